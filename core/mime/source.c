/*
 * source - where the bytes of a message come from, and their two countings
 *
 * A window of the source may be shorter than what a parser must see at once (a
 * boundary line, a header); such a piece is put together in the bounce buffer.
 * The bytes are read as often as a parser asks; nothing is kept.
 *
 * RFC 5322 2.1 (line ends), RFC 3501 4.3 (no NUL in literals)
 */
#include "mime/source.h"

#include <string.h>

void mime_source_memory(struct mime_source *s, const char *data, size_t len)
{
	memset(s, 0, sizeof(*s));
	s->mem = data;
	s->mem_len = len;
}

void mime_source_function(struct mime_source *s,
	const char *(*bytes)(void *arg, uint64_t offset, size_t *len_r), void *arg)
{
	memset(s, 0, sizeof(*s));
	s->bytes = bytes;
	s->arg = arg;
}

void mime_source_free(struct mime_source *s)
{
	buf_free(&s->bounce);
}

/* window_at - whatever the source gives in one piece */
static const char *window_at(struct mime_source *s, uint64_t offset, size_t want, size_t *len_r)
{
	if (s->bytes != NULL) {
		*len_r = want;
		return s->bytes(s->arg, offset, len_r);
	}
	if (offset >= s->mem_len) {
		return NULL;
	}
	*len_r = s->mem_len - (size_t)offset;
	return s->mem + offset;
}

const char *mime_source_at(struct mime_source *s, uint64_t offset, size_t least, size_t *len_r)
{
	size_t len = 0;
	const char *p = window_at(s, offset, *len_r > least ? *len_r : least, &len);

	if (p == NULL || len == 0) {
		*len_r = 0;
		return NULL;
	}
	if (len >= least || s->bytes == NULL) {
		*len_r = len;
		return p;
	}
	buf_reset(&s->bounce);
	while (p != NULL && len > 0) {
		buf_add(&s->bounce, p, len);
		if (s->bounce.len >= least) {
			break;
		}
		p = window_at(s, offset + s->bounce.len, least - s->bounce.len, &len);
	}
	*len_r = s->bounce.len;
	return s->bounce.data;
}

size_t mime_bare_lfs(const char *data, size_t len, bool *last_cr)
{
	const char *p = data, *end = data + len;
	size_t bare = 0;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		bare += p > data ? p[-1] != '\r' : !*last_cr;
		p++;
	}
	if (len > 0) {
		*last_cr = end[-1] == '\r';
	}
	return bare;
}

void mime_to_wire(struct buf *out, const char *data, size_t len, bool *last_cr)
{
	const char *p = data, *end = data + len;
	size_t start = out->len;
	char *nul;

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t n;

		if (lf == NULL) {
			buf_add(out, p, (size_t)(end - p));
			break;
		}
		n = (size_t)(lf - p);
		if (lf > data ? lf[-1] == '\r' : *last_cr) {
			buf_add(out, p, n + 1);
		} else {
			char *to = buf_reserve(out, n + 2);

			memcpy(to, p, n);
			to[n] = '\r';
			to[n + 1] = '\n';
			buf_added(out, n + 2);
		}
		p = lf + 1;
	}
	if (len > 0) {
		*last_cr = end[-1] == '\r';
	}
	for (p = data; p < end && memchr(p, '\0', (size_t)(end - p)) != NULL; p = end) {
		/* Rare: replace in what was just added. */
		while (start < out->len &&
			(nul = memchr(out->data + start, '\0', out->len - start)) != NULL) {
			*nul = (char)0x80;
		}
	}
}
