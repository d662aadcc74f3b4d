/*
 * header - fields of a message or part header
 *
 * A header is a run of fields up to a blank line. A field is "name: value" and
 * goes on over lines that begin with a blank. Lines that are neither (mbox From_
 * lines quoted by old software, damage) are given with an empty name, so that
 * who copies headers loses nothing.
 *
 * RFC 5322 2.2, 3.6, 4.5
 */
#include "mime/header.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* line_end - after the LF that ends the line at p, or end */
static const char *line_end(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	return lf != NULL ? lf + 1 : end;
}

bool mime_field_next(struct slice *rest, struct mime_field *f)
{
	const char *p = rest->ptr, *end = p + rest->len, *stop, *colon, *first;

	if (rest->len == 0 || *p == '\n' || (*p == '\r' && rest->len > 1 && p[1] == '\n')) {
		return false;
	}
	first = stop = line_end(p, end);
	while (stop < end && is_blank(*stop)) {
		stop = line_end(stop, end);
	}
	f->raw.ptr = p;
	f->raw.len = (size_t)(stop - p);
	f->value.ptr = p;
	f->name.ptr = p;
	f->name.len = 0;
	colon = is_blank(*p) ? NULL : memchr(p, ':', (size_t)(first - p));
	if (colon != NULL) {
		const char *name_end = colon;

		while (name_end > p && is_blank(name_end[-1])) {
			name_end--;
		}
		f->name.len = (size_t)(name_end - p);
		for (f->value.ptr = colon + 1; f->value.ptr < stop && is_blank(*f->value.ptr);
			f->value.ptr++) {
		}
	}
	rest->ptr = stop;
	rest->len = (size_t)(end - stop);
	if (stop > f->value.ptr && stop[-1] == '\n') {
		stop--;
		if (stop > f->value.ptr && stop[-1] == '\r') {
			stop--;
		}
	}
	f->value.len = (size_t)(stop - f->value.ptr);
	return true;
}

bool mime_field_find(struct slice header, const char *name, struct mime_field *f)
{
	while (mime_field_next(&header, f)) {
		if (slice_ieq(f->name, name)) {
			return true;
		}
	}
	return false;
}

void mime_unfold(struct buf *out, struct slice value)
{
	const char *p = value.ptr, *end = p + value.len;

	while (end > p && (is_blank(end[-1]) || end[-1] == '\r' || end[-1] == '\n')) {
		end--;
	}
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *stop = lf != NULL ? lf : end;

		if (lf != NULL && stop > p && stop[-1] == '\r') {
			stop--;
		}
		buf_add(out, p, (size_t)(stop - p));
		p = lf != NULL ? lf + 1 : end;
	}
}

struct slice mime_header_at(struct mime_source *s, uint64_t offset)
{
	struct slice all = { "", 0 };
	size_t least = 1, most = 4096, seen = 0;

	for (;;) {
		size_t len = most;
		const char *p = mime_source_at(s, offset, least, &len);
		const char *end, *line;

		if (p == NULL) {
			return all;
		}
		if (len > MIME_HEADER_MAX) {
			len = MIME_HEADER_MAX;
		}
		end = p + len;
		for (line = p + seen; line < end; line = line_end(line, end)) {
			if (*line == '\n' || (*line == '\r' && end - line > 1 && line[1] == '\n')) {
				all.ptr = p;
				all.len = (size_t)(line_end(line, end) - p);
				return all;
			}
			seen = (size_t)(line - p);
		}
		if (len < least || len >= MIME_HEADER_MAX) {
			all.ptr = p;
			all.len = len;
			return all;
		}
		least = len + 1;
		most = len * 4;
	}
}
