/*
 * pop3d - the POP3 server
 *
 *	AUTHORIZATION (login.c) --PASS, AUTH--> TRANSACTION (mail.c) --QUIT--> UPDATE
 *
 * The first state lives in the login part, which may touch no mail; the others
 * in the mail part, which runs as the user (applets/read/login.h). This file has the
 * one table of commands and the one dispatcher that enforces its flags.
 *
 * RFC 1939, 2449 (CAPA, response codes), 2595 (STLS), 3206 (SYS/TEMP, AUTH),
 * 5034 (AUTH), 1460 (LAST).
 */
#include "applets/read/pop3d/pop3d.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "applets/applets.h"

enum {
	IN_LOGIN = POP3_LOGIN,
	IN_MAIL = POP3_MAIL,
	NEEDS_ARGS = 4 /* something has to follow the verb */
};

static const struct pop3_command commands[] = {
	{ "AUTH", IN_LOGIN, pop3_auth },
	{ "CAPA", IN_LOGIN | IN_MAIL, pop3_capa },
	{ "DELE", IN_MAIL, pop3_dele },
	{ "LAST", IN_MAIL, pop3_last },
	{ "LIST", IN_MAIL, pop3_list },
	{ "NOOP", IN_MAIL, pop3_noop },
	{ "PASS", IN_LOGIN, pop3_pass },
	{ "QUIT", IN_LOGIN, pop3_login_quit },
	{ "QUIT", IN_MAIL, pop3_quit },
	{ "RETR", IN_MAIL, pop3_retr },
	{ "RSET", IN_MAIL, pop3_rset },
	{ "STAT", IN_MAIL, pop3_stat },
	{ "STLS", IN_LOGIN, pop3_stls },
	{ "TOP", IN_MAIL, pop3_top },
	{ "UIDL", IN_MAIL, pop3_uidl_list },
	{ "USER", IN_LOGIN | NEEDS_ARGS, pop3_user },
};

const struct login_protocol pop3_protocol = {
	.name = "pop3",
	.tls_name = "pop3s",
	.login = &pop3_login_class,
	.mail = &pop3_mail_class,
};

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

enum session_want pop3_capa(struct pop3 *s, struct slice args, struct buf *out)
{
	(void)args;
	pop3_ok(out, "%s", "");
	buf_adds(out, "CAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n");
	if (s->phase == POP3_LOGIN) {
		bool plain = login_plaintext_ok(s->io);

		if (s->service->tls_available && !s->io->tls) {
			buf_adds(out, "STLS\r\n");
		}
		if (plain) {
			buf_adds(out, "USER\r\n");
		}
		buf_addf(out, "SASL %s\r\n", auth_client_mechs(s->service->auth, plain));
	}
	buf_adds(out, ".\r\n");
	return SESSION_READ;
}

/* ---- Dispatch ---- */

/* bad_command - too many of them in a row are no mail client */
static enum session_want bad_command(struct pop3 *s, const char *verb, struct buf *out)
{
	if (++s->bad >= POP3_BAD_MAX) {
		pop3_err(out, "Too many bad commands.");
		return pop3_close(s, "Too many bad commands");
	}
	if (s->phase == POP3_MAIL) {
		pop3_err(out, "Unknown command: %s", verb);
	} else {
		pop3_err(out, "Unknown command.");
	}
	return SESSION_READ;
}

/* dispatch - one line: find the command, enforce its flags, run it */
static enum session_want dispatch(struct pop3 *s, struct slice line, struct buf *out)
{
	char verb[16];
	struct slice args = pop3_verb(line, verb, sizeof(verb));

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct pop3_command *c = &commands[i];

		if (strcmp(c->verb, verb) != 0 || !(c->flags & s->phase)) {
			continue;
		}
		s->bad = 0;
		if ((c->flags & NEEDS_ARGS) && args.len == 0) {
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
			want = pop3_auth_line(s, line, out);
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

int pop3d_main(int argc, char **argv)
{
	return login_main(&pop3_protocol, argc, argv);
}
