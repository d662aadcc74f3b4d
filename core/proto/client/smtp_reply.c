/*
 * smtp_reply - replies of an SMTP server, read in pieces
 *
 * The last line decides (code and enhanced code), as with Postfix. A line without a code belongs to
 * the reply unless the caller is strict, which it has to be where several replies are under way: a
 * line that is passed over could then be one of them.
 *
 * RFC 5321 4.2, RFC 3463
 */
#include "proto/client/smtp_reply.h"

#include <string.h>

#include "base/str.h"
#include "base/utf8.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* digits - one to three of them at *p, which goes behind them */
static bool digits(const char **p)
{
	const char *start = *p;

	while (is_digit(**p) && *p - start < 4) {
		(*p)++;
	}
	return *p > start && *p - start < 4;
}

/* enhanced - "5.1.1" of the class that the code has, at text; its length, 0: none */
static size_t enhanced(const char *text, char class)
{
	const char *p = text;

	if (*p != class || p[1] != '.') {
		return 0;
	}
	p += 2;
	if (!digits(&p) || *p++ != '.' || !digits(&p) || (*p != ' ' && *p != '\t' && *p != '\0')) {
		return 0;
	}
	return (size_t)(p - text);
}

/* last_line - code and enhanced code of the line that ends the reply */
static void last_line(struct smtp_reply *r, const char *line)
{
	const char *p = line + 3;
	size_t len;

	r->code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
	if (memchr("245", line[0], 3) == NULL) {
		(void)str_copy(r->dsn, sizeof(r->dsn), "5.5.0");
		return;
	}
	p += strspn(p, " ");
	len = enhanced(p, line[0]);
	if (len > 0 && len < sizeof(r->dsn)) {
		memcpy(r->dsn, p, len);
		r->dsn[len] = '\0';
	} else {
		(void)str_copy(r->dsn, sizeof(r->dsn), "0.0.0");
		r->dsn[0] = line[0];
	}
}

/* fetch - up to a line's end from in to r->line; true: a line is whole */
static bool fetch(struct smtp_reply *r, struct buf *in, size_t limit)
{
	const char *p = buf_head(in);
	size_t len = buf_unread(in), room, n;
	const char *lf = len > 0 ? memchr(p, '\n', len) : NULL;

	n = lf != NULL ? (size_t)(lf - p) : len;
	room = r->line.len < limit ? limit - r->line.len : 0;
	buf_add(&r->line, p, n < room ? n : room);
	r->cut = r->cut || n > room;
	n += lf != NULL ? 1 : 0;
	buf_consume(in, n);
	r->total += n;
	return lf != NULL;
}

/* take_line - r->line is whole: keep its text; true: it ends the reply */
static bool take_line(
	struct smtp_reply *r, const struct smtp_reply_options *o, size_t limit, bool *garbage_r)
{
	size_t len = r->line.len;
	const char *line;

	if (len > 0 && !r->cut && r->line.data[len - 1] == '\r') {
		buf_truncate(&r->line, len - 1);
	}
	if (o->filter != NULL) {
		o->filter(o->arg, &r->line);
	}
	if (r->line.len > 0) {
		utf8_printable(r->line.data, r->line.len);
	}
	line = buf_str(&r->line);
	if (r->text.len < limit) {
		if (r->text.len > 0) {
			buf_addc(&r->text, '\n');
		}
		buf_add(&r->text, line, r->line.len);
	}
	*garbage_r = !(is_digit(line[0]) && is_digit(line[1]) && is_digit(line[2]) &&
		(line[3] == '-' || line[3] == ' ' || line[3] == '\0'));
	return !*garbage_r && line[3] != '-';
}

enum smtp_reply_result smtp_reply_take(
	struct smtp_reply *r, struct buf *in, const struct smtp_reply_options *options)
{
	size_t limit = options->line_limit != 0 ? options->line_limit : SMTP_REPLY_LINE;

	if (r->taken) {
		r->taken = false;
		r->total = 0;
		buf_reset(&r->text);
	}
	while (buf_unread(in) > 0) {
		bool garbage, last;

		if (!fetch(r, in, limit)) {
			break;
		}
		last = take_line(r, options, limit, &garbage);
		r->cut = false;
		if (last) {
			last_line(r, buf_str(&r->line));
		}
		buf_reset(&r->line);
		if (last || (garbage && options->strict)) {
			r->taken = true;
			return last ? SMTP_REPLY_WHOLE : SMTP_REPLY_GARBAGE;
		}
	}
	return r->total > SMTP_REPLY_MAX ? SMTP_REPLY_ENDLESS : SMTP_REPLY_MORE;
}

void smtp_reply_free(struct smtp_reply *r)
{
	buf_free(&r->text);
	buf_free(&r->line);
}
