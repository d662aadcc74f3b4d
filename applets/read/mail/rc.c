/*
 * rc - files of commands: /etc/mail.rc, ~/.mailrc, source; if r|s|t ... else ... endif in them
 */
#include "applets/read/mail/rc.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "applets/read/mail/state.h"

enum { RC_LINE_MAX = 1 << 20, RC_DEPTH_MAX = 10 };

/* condition_true - `if r` receiving, `if s` sending, `if t` on a terminal */
static bool condition_true(struct mail_state *mail, const char *args)
{
	switch (args[strspn(args, " \t")]) {
	case 'r':
	case 'R':
		return !mail->sending;
	case 's':
	case 'S':
		return mail->sending;
	case 't':
	case 'T':
		return mail->interactive;
	default:
		return true;
	}
}

/* Where in an rc file we are. */
struct rc {
	unsigned depth;    /* of ifs that are open */
	unsigned skipping; /* the depth of the outermost that is false; 0: none */
	bool body;         /* of define or account: commands for later, which we do not have */
};

/* begins_body - "define name {", "account name {" of Heirloom and s-nail */
static bool begins_body(const char *p)
{
	size_t len = strlen(p);

	return len > 0 && p[len - 1] == '{' &&
		(str_starts(p, "define ") || str_starts(p, "account ") || str_starts(p, "ac ") ||
			str_starts(p, "def "));
}

/* rc_if - if, else and endif, which may stand in one another; false: none of them */
static bool rc_if(struct mail_state *mail, struct rc *rc, const char *p)
{
	if (str_starts(p, "if ") || str_starts(p, "if\t")) {
		rc->depth++;
		if (rc->skipping == 0 && !condition_true(mail, p + 2)) {
			rc->skipping = rc->depth;
		}
	} else if (strcmp(p, "else") == 0 && rc->depth > 0) {
		if (rc->skipping == rc->depth) {
			rc->skipping = 0;
		} else if (rc->skipping == 0) {
			rc->skipping = rc->depth;
		}
	} else if (strcmp(p, "endif") == 0 && rc->depth > 0) {
		rc->skipping = rc->skipping == rc->depth ? 0 : rc->skipping;
		rc->depth--;
	} else {
		return false;
	}
	return true;
}

/* rc_line - one line of an rc file */
static void rc_line(struct mail_state *mail, char *line, struct rc *rc)
{
	char *p = line + strspn(line, " \t");
	size_t len = strlen(p);

	while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t')) {
		p[--len] = '\0';
	}
	if (*p == '#' || *p == '\0') {
		return;
	}
	if (rc->body) {
		rc->body = strcmp(p, "}") != 0;
	} else if (rc_if(mail, rc, p)) {
		return;
	} else if (begins_body(p)) {
		rc->body = true;
	} else if (rc->skipping == 0) {
		mail->run_line(mail, p, true);
	}
}

/* line_continues - an odd number of backslashes at the end */
bool line_continues(struct buf *line)
{
	size_t n = 0;

	while (n < line->len && line->data[line->len - 1 - n] == '\\') {
		n++;
	}
	if (n % 2 == 0) {
		return false; /* none, or backslashes that stand for themselves */
	}
	line->data[line->len - 1] = ' ';
	return true;
}

/* rc_next - a line without its end, with those it is continued by; false: no more */
static bool rc_next(FILE *file, struct buf *line)
{
	bool any = false, more = true;

	buf_reset(line);
	while (more && line->len < RC_LINE_MAX) {
		int c = EOF;

		more = false;
		while ((c = getc(file)) != EOF && c != '\n' && line->len < RC_LINE_MAX) {
			buf_addc(line, (char)c);
		}
		any = any || c != EOF || line->len > 0;
		if (line->len > 0 && line->data[line->len - 1] == '\r') {
			buf_truncate(line, line->len - 1);
		}
		more = c != EOF && line_continues(line);
	}
	return any;
}

/* rc_read - line by line, bounded in depth */
bool rc_read(struct mail_state *mail, const char *path, bool quiet)
{
	FILE *file = mail->rc_depth < RC_DEPTH_MAX ? fopen(path, "re") : NULL;
	struct buf line = BUF_INIT;
	struct rc rc = { 0 };

	if (file == NULL) {
		if (!quiet) {
			perror(path);
		}
		return false;
	}
	mail->rc_depth++;
	while (rc_next(file, &line)) {
		char *text = mem_strdup(buf_str(&line));

		rc_line(mail, text, &rc);
		mem_free(text);
	}
	mail->rc_depth--;
	buf_free(&line);
	fclose(file);
	return true;
}
