/*
 * dns_hosts - /etc/hosts, for dns.c
 */
#include "net/dns_hosts.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { HOSTS_MAX_BYTES = 1 << 20 };

void dns_hosts_free(struct dns_hosts *h)
{
	for (size_t i = 0; i < h->count; i++) {
		mem_free(h->lines[i].addr);
		mem_free(h->lines[i].names);
	}
	mem_free(h->lines);
	h->lines = NULL;
	h->count = 0;
}

bool dns_canonical_addr(const char *text, char out[64])
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		return inet_ntop(AF_INET, &v4, out, 64) != NULL;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		return inet_ntop(AF_INET6, &v6, out, 64) != NULL;
	}
	return false;
}

static void add_host_line(struct dns_hosts *h, struct slice line)
{
	struct slice word = slice_word(&line, " \t\r");
	struct buf names = BUF_INIT;
	char text[64], addr[64];

	if (word.ptr == NULL || word.len >= sizeof(text)) {
		return;
	}
	memcpy(text, word.ptr, word.len);
	text[word.len] = '\0';
	if (!dns_canonical_addr(text, addr)) {
		return;
	}
	while ((word = slice_word(&line, " \t\r")).ptr != NULL) {
		if (names.len > 0) {
			buf_addc(&names, ' ');
		}
		buf_add(&names, word.ptr, word.len);
	}
	if (names.len == 0) {
		return;
	}
	h->lines = mem_realloc(h->lines, (h->count + 1) * sizeof(*h->lines));
	h->lines[h->count].addr = mem_strdup(addr);
	h->lines[h->count++].names = buf_steal(&names);
}

void dns_hosts_read(struct dns_hosts *h, const char *path)
{
	size_t len;
	char *text = file_read(path, HOSTS_MAX_BYTES, &len);
	char *line, *next;

	dns_hosts_free(h);
	for (line = text; line != NULL && *line != '\0'; line = next) {
		char *end = line + strcspn(line, "\n");

		next = *end != '\0' ? end + 1 : end;
		end = line + strcspn(line, "#\n");
		add_host_line(h, (struct slice){ line, (size_t)(end - line) });
	}
	mem_free(text);
}

bool dns_hosts_name(const struct dns_hosts *h, const char *addr, char *name, size_t size)
{
	for (size_t i = 0; i < h->count; i++) {
		if (strcmp(h->lines[i].addr, addr) == 0) {
			size_t len = strcspn(h->lines[i].names, " ");

			if (len < size) {
				memcpy(name, h->lines[i].names, len);
				name[len] = '\0';
				return true;
			}
		}
	}
	return false;
}

size_t dns_hosts_addrs(const struct dns_hosts *h, const char *name, bool v4, bool v6,
	const char *values[DNS_VALUES_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < h->count && count < DNS_VALUES_MAX; i++) {
		bool is6 = strchr(h->lines[i].addr, ':') != NULL;

		if ((is6 ? v6 : v4) && list_has(h->lines[i].names, name)) {
			values[count++] = h->lines[i].addr;
		}
	}
	return count;
}
