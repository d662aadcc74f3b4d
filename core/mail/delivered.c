/*
 * delivered - who is this message, if our delivery agent put it there?
 *
 * Above the content stand Return-Path, X-Original-To and Delivered-To (deliver/deliver_text.c), and
 * the content's first Received header is ours and names the queue id.
 */
#include "mail/delivered.h"

#include <string.h>

/* line_end - just behind the newline of the line at pos; len when it has none */
static size_t line_end(const char *data, size_t len, size_t pos)
{
	const char *nl = memchr(data + pos, '\n', len - pos);

	return nl != NULL ? (size_t)(nl - data) + 1 : len;
}

/* added_line - the line at pos is `name: value\n': its value, and pos moves behind it */
static bool added_line(
	const char *data, size_t len, size_t *pos, const char *name, struct slice *value_r)
{
	size_t n = strlen(name), end = line_end(data, len, *pos);

	if (end - *pos < n || memcmp(data + *pos, name, n) != 0 || data[end - 1] != '\n') {
		return false;
	}
	*value_r = (struct slice){ data + *pos + n, end - 1 - *pos - n };
	*pos = end;
	return true;
}

/* find_received - the first Received header of the content */
static void find_received(struct delivered_head *h, const char *data, size_t len)
{
	size_t pos = h->content;

	while (pos < len && data[pos] != '\n') {
		size_t end = line_end(data, len, pos);

		while (end < len && (data[end] == ' ' || data[end] == '\t')) {
			end = line_end(data, len, end);
		}
		if (len - pos >= 9 && memcmp(data + pos, "Received:", 9) == 0) {
			h->received = (struct slice){ data + pos, end - pos };
			h->received_whole = end < len;
			return;
		}
		pos = end;
	}
}

void delivered_parse(struct delivered_head *h, const char *data, size_t len, size_t start)
{
	struct slice path = { NULL, 0 };
	size_t pos = start;

	*h = (struct delivered_head){ .ours = false };
	h->ours = added_line(data, len, &pos, "Return-Path: ", &path);
	added_line(data, len, &pos, "X-Original-To: ", &h->original);
	added_line(data, len, &pos, "Delivered-To: ", &h->recipient);
	h->content = pos;
	find_received(h, data, len);
}

bool delivered_next_id(struct slice *rest, char id[DELIVERED_ID_SIZE])
{
	while (rest->len > 0) {
		const char *p = memmem(rest->ptr, rest->len, "id ", 3);
		size_t n = 0;
		bool word;

		if (p == NULL) {
			return false;
		}
		word = p > rest->ptr && (p[-1] == ' ' || p[-1] == '\t' || p[-1] == '\n');
		rest->len -= (size_t)(p + 3 - rest->ptr);
		rest->ptr = p + 3;
		while (n < rest->len &&
			((rest->ptr[n] >= '0' && rest->ptr[n] <= '9') ||
				(rest->ptr[n] >= 'A' && rest->ptr[n] <= 'Z') ||
				(rest->ptr[n] >= 'a' && rest->ptr[n] <= 'z'))) {
			n++;
		}
		if (word && n > 0 && n < DELIVERED_ID_SIZE && n < rest->len) {
			memcpy(id, rest->ptr, n);
			id[n] = '\0';
			return true;
		}
	}
	return false;
}
