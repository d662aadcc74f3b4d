/*
 * pop3_dispatch - lines of a POP3 session, through the table of its phase
 */
#include <stdarg.h>
#include <string.h>

#include "applets/read/pop3d/pop3d.h"

/* ---- Replies ---- */

static void reply(struct buf *out, const char *status, const char *fmt, va_list ap)
{
	size_t bare;

	buf_adds(out, status);
	bare = out->len;
	buf_addc(out, ' ');
	buf_addvf(out, fmt, ap);
	if (out->len == bare + 1) {
		buf_truncate(out, bare);
	}
	buf_adds(out, "\r\n");
}

void pop3_ok(struct buf *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply(out, "+OK", fmt, ap);
	va_end(ap);
}

void pop3_err(struct buf *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply(out, "-ERR", fmt, ap);
	va_end(ap);
}

enum session_want pop3_close(struct pop3 *s, const char *reason)
{
	s->closing = true;
	if (s->reason == NULL) {
		s->reason = reason;
	}
	return SESSION_CLOSE;
}

void pop3_put_capa(struct buf *out)
{
	pop3_ok(out, "%s", "");
	buf_adds(out, "CAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n");
}

/* ---- Dispatch ---- */

/* bad_command - too many of them in a row are no mail client */
static enum session_want bad_command(struct pop3 *s, const char *verb, struct buf *out)
{
	if (++s->bad >= POP3_BAD_MAX) {
		pop3_err(out, "Too many bad commands.");
		return pop3_close(s, "Too many bad commands");
	}
	if (s->phase->repeats_verb) {
		pop3_err(out, "Unknown command: %s", verb);
	} else {
		pop3_err(out, "Unknown command.");
	}
	return SESSION_READ;
}

/* dispatch - one line: find the command of this phase, run it */
static enum session_want dispatch(struct pop3 *s, struct slice line, struct buf *out)
{
	char verb[16];
	struct slice args = pop3_verb(line, verb, sizeof(verb));

	for (size_t i = 0; i < s->phase->count; i++) {
		const struct pop3_command *c = &s->phase->commands[i];

		if (strcmp(c->verb, verb) != 0) {
			continue;
		}
		s->bad = 0;
		if (c->needs_args && args.len == 0) {
			pop3_err(out, "Missing argument.");
			return SESSION_READ;
		}
		return c->run(s, args, out);
	}
	return bad_command(s, verb, out);
}

/* next_line - without its end; 1, 0 more is needed, -1 too long or with a NUL */
static int next_line(struct buf *in, size_t max, struct slice *line)
{
	size_t have = buf_unread(in);
	const char *head = buf_head(in), *nl = memchr(head, '\n', have < max ? have : max);

	if (nl == NULL) {
		return have >= max ? -1 : 0;
	}
	*line = (struct slice){ head, (size_t)(nl - head) };
	if (line->len > 0 && head[line->len - 1] == '\r') {
		line->len--;
	}
	return memchr(head, '\0', line->len) != NULL ? -1 : 1;
}

enum session_want pop3_feed(struct pop3 *s, struct buf *in, struct buf *out)
{
	enum session_want want = SESSION_READ;
	struct slice line;
	int rc = 1;

	/* A long reply comes first; between two parts of it nothing is read. */
	if (s->more != NULL) {
		s->more(s, out);
	}
	while (want == SESSION_READ && s->more == NULL && !s->closing &&
		buf_unread(out) <= s->io->out_high) {
		rc = next_line(in, s->auth_reads ? POP3_AUTH_LINE_MAX : POP3_LINE_MAX, &line);
		if (rc <= 0) {
			break;
		}
		if (s->auth_reads) {
			want = s->phase->answer(s, line, out);
		} else {
			want = dispatch(s, line, out);
		}
		/* What PASS and AUTH said must not stay in memory. */
		memset((char *)buf_head(in), 0, line.len);
		buf_consume(in,
			(size_t)((const char *)memchr(line.ptr + line.len, '\n', 2) + 1 -
				buf_head(in)));
	}
	if (rc < 0) {
		pop3_err(out, "Input line too long, or not text. Closing connection.");
		return pop3_close(s, "Too long or bad input line");
	}
	return s->closing ? SESSION_CLOSE : want;
}
