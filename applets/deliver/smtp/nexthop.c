/*
 * nexthop - the forms in which a next hop can be written
 *
 * Manual: Postfix's transport(5), relayhost in postconf(5).
 */
#include "applets/deliver/smtp/nexthop.h"

#include <string.h>

#include "base/str.h"
#include "conf/master_cf.h"

enum { NEXTHOPS_MAX = 100 };

static const char separators[] = ", \t\r\n";

/* take_prefix - is it at the head of *text? Then *text goes behind it */
static bool take_prefix(struct slice *text, const char *prefix)
{
	size_t len = strlen(prefix);

	if (text->len < len || !slice_ieq((struct slice){ text->ptr, len }, prefix)) {
		return false;
	}
	text->ptr += len;
	text->len -= len;
	return true;
}

/* take_host - "[host]" or what stands before a colon; NULL: a bracket is not closed */
static const char *take_host(struct arena *a, struct slice *text, struct nexthop *hop)
{
	struct slice host = *text;
	const char *end = memchr(text->ptr, ']', text->len), *colon;

	if (text->len > 0 && text->ptr[0] == '[') {
		if (end == NULL) {
			return NULL;
		}
		hop->bracketed = true;
		host = (struct slice){ text->ptr + 1, (size_t)(end - text->ptr) - 1 };
		text->len -= (size_t)(end + 1 - text->ptr);
		text->ptr = end + 1;
		(void)take_prefix(&host, "ipv6:");
		return arena_strndup(a, host.ptr, host.len);
	}
	colon = memchr(text->ptr, ':', text->len);
	if (colon != NULL) {
		host.len = (size_t)(colon - text->ptr);
	}
	text->ptr += host.len;
	text->len -= host.len;
	return arena_strndup(a, host.ptr, host.len);
}

/* parse_one - NULL, or what is wrong with it */
static const char *parse_one(struct arena *a, struct slice text, bool lmtp,
	const char *default_port, struct nexthop *hop)
{
	const char *port = default_port;

	*hop = (struct nexthop){ .text = arena_strndup(a, text.ptr, text.len) };
	if (lmtp && take_prefix(&text, "unix:")) {
		hop->path = arena_strndup(a, text.ptr, text.len);
		return text.len > 0 ? NULL : "no path";
	}
	if (lmtp) {
		(void)take_prefix(&text, "inet:");
	}
	hop->host = take_host(a, &text, hop);
	if (hop->host == NULL) {
		return "a bracket that is not closed";
	}
	if (hop->host[0] == '\0') {
		return "no host";
	}
	if (text.len > 0 && text.ptr[0] != ':') {
		return "garbage after the bracket";
	}
	if (text.len > 1) {
		port = arena_strndup(a, text.ptr + 1, text.len - 1);
	}
	hop->port = service_port(port);
	return hop->port > 0 ? NULL : "no such port";
}

/* count_words - up to one more than may be there */
static size_t count_words(struct slice rest)
{
	size_t count = 0;

	while (count <= NEXTHOPS_MAX && slice_word(&rest, separators).ptr != NULL) {
		count++;
	}
	return count;
}

bool nexthop_parse(struct arena *a, const char *text, bool lmtp, const char *default_port,
	struct nexthop **list_r, size_t *count_r, struct buf *error)
{
	struct slice rest = slice_of(text), word;
	struct nexthop *list = arena_alloc(a, (count_words(rest) + 1) * sizeof(*list));
	size_t count = 0;

	while ((word = slice_word(&rest, separators)).ptr != NULL) {
		const char *why = count == NEXTHOPS_MAX
			? "too many of them"
			: parse_one(a, word, lmtp, default_port, &list[count++]);

		if (why != NULL) {
			buf_addf(error, "bad next hop \"%.*s\": %s", (int)word.len, word.ptr, why);
			return false;
		}
	}
	if (count == 0) {
		buf_adds(error, "no next hop");
		return false;
	}
	*list_r = list;
	*count_r = count;
	return true;
}
