/*
 * terminal - what is shown on a terminal and typed there
 *
 * Control characters other than tab and line end are shown as ?, so that a message cannot drive the
 * terminal. What goes to a terminal of another character set (LC_ALL, LC_CTYPE, LANG, or the
 * variable ttycharset) is converted, and what is typed there, too.
 */
#include "applets/read/mail/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "mime/charset.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/vars.h"

enum { WIDTH_MIN = 40, WIDTH_MAX = 500 };

/* What the handlers of signals have seen: they have no other place to say it. */
static struct {
	volatile sig_atomic_t interrupts; /* SIGINT, while a line is read or a text written */
	volatile sig_atomic_t hung;       /* SIGHUP, while a letter is written */
} signals_G;

/* terminal_size - bounded, so that a list can be made for it */
void terminal_size(unsigned *rows, unsigned *columns)
{
	struct winsize ws;

	*rows = 24;
	*columns = 80;
	if (ioctl(1, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 5 && ws.ws_col >= WIDTH_MIN) {
		*rows = ws.ws_row;
		*columns = ws.ws_col < WIDTH_MAX ? ws.ws_col : WIDTH_MAX;
	}
}

/* ---- What is written ---- */

bool terminal_safe(int32_t code)
{
	return !(code < 32 || (code >= 0x7f && code < 0xa0) || /* C0, DEL, C1 */
		(code >= 0x202a && code <= 0x202e) || /* text shown in another order than it is */
		(code >= 0x2066 && code <= 0x2069));
}

/* terminal_put_safe - carriage returns go */
void terminal_put_safe(struct buf *out, const char *text, size_t len)
{
	size_t size;

	for (size_t i = 0; i < len; i += size) {
		int32_t code = utf8_get(text + i, len - i, &size);

		if (terminal_safe(code) || code == '\n' || code == '\t') {
			buf_add(out, text + i, size);
		} else if (code != '\r') {
			buf_addc(out, '?');
		}
	}
}

/* terminal_charset - what the terminal is set to, NULL: UTF-8 */
static const char *terminal_charset(struct mail_state *mail)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *set = var_get(mail, "ttycharset"), *dot = NULL;

	for (size_t i = 0; set == NULL && dot == NULL && i < ARRAY_LEN(names); i++) {
		const char *locale = getenv(names[i]);

		if (locale != NULL && locale[0] != '\0') {
			dot = strchr(locale, '.');
			set = dot != NULL ? dot + 1 : "";
		}
	}
	/* Without one: UTF-8, which is what systems of today are set to. */
	return set == NULL || set[0] == '\0' || str_ieq(set, "utf-8") || str_ieq(set, "utf8") ? NULL
											      : set;
}

/* terminal_encoder - into the terminal's set; NULL: it is UTF-8, or a set we do not know */
static struct mime_encoder *terminal_encoder(struct mail_state *mail)
{
	const char *charset = terminal_charset(mail);

	if (charset == NULL) {
		return NULL;
	}
	if (mail->terminal_set == NULL || strcmp(mail->terminal_set, charset) != 0) {
		mime_encoder_close(mail->terminal);
		mem_free(mail->terminal_set);
		mail->terminal_set = mem_strdup(charset);
		mail->terminal = mime_encoder_open(charset);
	}
	return mail->terminal;
}

/* put_text - in the terminal's character set where it is meant for that */
static void put_text(struct mail_state *mail, FILE *to, const char *text, size_t len, bool terminal)
{
	struct mime_encoder *e = terminal ? terminal_encoder(mail) : NULL;
	struct buf converted = BUF_INIT;

	if (e != NULL) {
		(void)mime_encoder_put(e, text, len, &converted);
		fwrite(buf_str(&converted), 1, converted.len, to);
	} else {
		fwrite(text, 1, len, to);
	}
	buf_free(&converted);
}

void terminal_write(struct mail_state *mail, FILE *to, const char *text, size_t len)
{
	put_text(mail, to, text, len, isatty(fileno(to)) != 0);
}

void terminal_say(struct mail_state *mail, FILE *to, const char *text)
{
	struct buf safe = BUF_INIT;

	terminal_put_safe(&safe, text, strlen(text));
	terminal_write(mail, to, buf_str(&safe), safe.len);
	buf_free(&safe);
}

/* terminal_text - what is UTF-8 already stays */
void terminal_text(struct mail_state *mail, struct buf *text)
{
	const char *charset = terminal_charset(mail);
	struct buf converted = BUF_INIT;

	if (charset != NULL && !utf8_valid(buf_str(text), text->len) &&
		mime_to_utf8(charset, buf_str(text), text->len, &converted)) {
		buf_free(text);
		*text = converted;
	}
}

/*
 * pager - what shows a text of that many lines: nothing where it fits the screen (the variable crt
 * says how long that is), nor where there is no more(1) or no shell
 */
static const char *pager(struct mail_state *mail, size_t lines)
{
	const char *crt = var_get(mail, "crt"), *program = var_get(mail, "PAGER");
	unsigned rows, columns;
	int64_t limit;

	if (crt == NULL || access("/bin/sh", X_OK) != 0) {
		return NULL;
	}
	if (!str_to_int(crt, 1, 100000, &limit)) {
		terminal_size(&rows, &columns);
		limit = rows - 1; /* one for the prompt */
	}
	if ((int64_t)lines <= limit) {
		return NULL;
	}
	if (program == NULL || program[0] == '\0') {
		program = access("/usr/bin/more", X_OK) == 0 || access("/bin/more", X_OK) == 0
			? "more"
			: NULL;
	}
	return program;
}

/* terminal_page - through a pager if it is longer than the screen */
void terminal_page(struct mail_state *mail, const struct buf *text)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	const char *text_at = buf_str(text), *program;
	size_t lines = 0;
	int status = -1;
	FILE *to;

	for (size_t i = 0; i < text->len; i++) {
		lines += text_at[i] == '\n' ? 1 : 0;
	}
	program = pager(mail, lines);
	fflush(stdout);
	to = program != NULL ? popen(program, "w") : NULL;
	if (to != NULL) {
		sigaction(SIGPIPE, &ignore, &before); /* it may be left before the end */
		put_text(mail, to, text_at, text->len, true);
		status = pclose(to);
		sigaction(SIGPIPE, &before, NULL);
	}
	if (to == NULL || (WIFEXITED(status) && WEXITSTATUS(status) == 127)) {
		terminal_write(mail, stdout, text_at, text->len);
	}
}

/* ---- What is typed ---- */

static void count_interrupt(int signo)
{
	(void)signo;
	signals_G.interrupts++;
}

static void note_hangup(int signo)
{
	(void)signo;
	signals_G.hung = 1;
}

bool interrupts_pending(struct mail_state *mail)
{
	return signals_G.interrupts != mail->told;
}

/* interrupts_take - each is answered once */
int interrupts_take(struct mail_state *mail)
{
	int count = signals_G.interrupts;

	if (count == mail->told) {
		return 0;
	}
	mail->told = count;
	return count;
}

void interrupts_forget(struct mail_state *mail)
{
	signals_G.interrupts = mail->told = 0;
}

/* hangup_catch - until released */
void hangup_catch(struct sigaction *before)
{
	/* Without SA_RESTART: the line being read ends. One that is ignored (nohup) stays so. */
	struct sigaction act = { .sa_handler = note_hangup };

	signals_G.hung = 0;
	sigaction(SIGHUP, NULL, before);
	if (before->sa_handler != SIG_IGN) {
		sigaction(SIGHUP, &act, NULL);
	}
}

void hangup_release(const struct sigaction *before)
{
	sigaction(SIGHUP, before, NULL);
}

bool hangup_came(void)
{
	return signals_G.hung != 0;
}

/*
 * wait_input - until there is a character or the end; false: interrupted. SIGINT is let in only
 * while waiting, so that none is missed between the prompt and the read; for that stdin has no
 * buffer on a terminal.
 */
static bool wait_input(struct mail_state *mail, FILE *in)
{
	struct pollfd p = { .fd = fileno(in), .events = POLLIN };
	sigset_t block, before;
	int rc = 0;

	if (!mail->catching) {
		return true;
	}
	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGHUP);
	sigprocmask(SIG_BLOCK, &block, &before);
	while (rc == 0 && !interrupts_pending(mail) && !signals_G.hung) {
		rc = ppoll(&p, 1, NULL, &before);
		rc = rc < 0 && errno == EINTR ? 0 : rc;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return !interrupts_pending(mail) && !signals_G.hung;
}

/* interrupts_catch - until called with false */
void interrupts_catch(struct mail_state *mail, bool on)
{
	/* without SA_RESTART: reading a line stops, and so does writing a long text */
	struct sigaction act = { .sa_handler = count_interrupt };

	if (on) {
		interrupts_forget(mail);
		sigaction(SIGINT, &act, &mail->before_catching);
	} else {
		sigaction(SIGINT, &mail->before_catching, NULL);
	}
	mail->catching = on;
}

/* read_line - character by character, interrupts let in between */
bool read_line(struct mail_state *mail, FILE *in, struct buf *line)
{
	int c = EOF;

	buf_reset(line);
	while (wait_input(mail, in) && (c = getc(in)) != EOF && c != '\n') {
		buf_addc(line, (char)c);
	}
	if (interrupts_pending(mail)) {
		buf_reset(line);
		return false;
	}
	if (signals_G.hung) {
		return false; /* what is there of the line stays */
	}
	return c != EOF || line->len > 0;
}
