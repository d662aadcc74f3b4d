/*
 * compose - a message from the terminal or from a file
 *
 * On a terminal: Subject: is asked for, a lone dot or end of file ends the text, lines that begin
 * with ~ are escapes (escape.c), and after one interrupt the next ends without sending. From a file
 * or pipe the whole input is the text (escapes only with -~).
 */
#include "applets/read/mail/compose/compose.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "applets/read/mail/compose/draft.h"
#include "applets/read/mail/compose/escape.h"
#include "applets/read/mail/compose/send.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"
#include "applets/read/mail/vars.h"

enum { TEXT_MAX = 1 << 28, EOF_FORGIVEN = 3 };

/* no_line - the input ended, or something else ended the line */
static enum progress no_line(struct mail_state *mail, struct draft *d, const struct buf *begun)
{
	bool killed = false;

	if (hangup_came()) {
		buf_add(&d->text, buf_str(begun), begun->len);
		draft_keep_dead(mail, d);
		return LETTER_GIVEN_UP;
	}
	if (mail->interactive && draft_interrupted(mail, &killed)) {
		if (killed) {
			draft_keep_dead(mail, d);
		}
		return killed ? LETTER_GIVEN_UP : LETTER_GOES_ON;
	}
	if (mail->interactive && var_on(mail, "ignoreeof") && mail->eof_count++ < EOF_FORGIVEN) {
		printf("Use \".\" to terminate letter.\n");
		clearerr(mail->in);
		return LETTER_GOES_ON;
	}
	return LETTER_ENDS;
}

/* take_line - of the text, an escape, or the dot that ends it */
static enum progress take_line(
	struct mail_state *mail, struct draft *d, const struct buf *line, bool escapes, bool dot)
{
	const char *text = buf_str(line);

	interrupts_forget(mail);
	if (dot && strcmp(text, ".") == 0) {
		return LETTER_ENDS;
	}
	if (escapes && text[0] == '~' && text[1] != '\0') {
		return escape_run(mail, d, text);
	}
	buf_add(&d->text, text, line->len);
	buf_addc(&d->text, '\n');
	if (d->text.len > TEXT_MAX) {
		fprintf(stderr, "message too large\n");
		return LETTER_GIVEN_UP;
	}
	return LETTER_GOES_ON;
}

/* read_text - false: given up */
static bool read_text(struct mail_state *mail, struct draft *d)
{
	bool escapes = mail->interactive || var_on(mail, "tildeescapes"),
	     dot = mail->interactive && (var_on(mail, "dot") || var_on(mail, "ignoreeof"));
	struct buf line = BUF_INIT;
	enum progress progress = LETTER_GOES_ON;

	while (progress == LETTER_GOES_ON) {
		progress = read_line(mail, mail->in, &line)
			? take_line(mail, d, &line, escapes, dot)
			: no_line(mail, d, &line);
	}
	buf_free(&line);
	return progress == LETTER_ENDS;
}

/* ask_fields - what the variables want asked for; false: interrupted twice */
static bool ask_fields(struct mail_state *mail, struct draft *d, bool ask_subject)
{
	return (!(ask_subject && (var_on(mail, "ask") || var_on(mail, "asksub")) &&
			d->subject.len == 0) ||
		       draft_ask(mail, "Subject: ", &d->subject)) &&
		(!var_on(mail, "askcc") || draft_ask(mail, "Cc: ", &d->cc)) &&
		(!var_on(mail, "askbcc") || draft_ask(mail, "Bcc: ", &d->bcc));
}

/* compose - ask, read, send */
int compose(struct mail_state *mail, struct draft *d, bool ask_subject)
{
	struct sigaction before;
	bool go_on = true;

	hangup_catch(&before);
	interrupts_forget(mail);
	mail->eof_count = 0;
	if (mail->interactive) {
		interrupts_catch(mail, true);
		go_on = ask_fields(mail, d, ask_subject);
		if (go_on && d->text.len > 0) { /* what is quoted */
			terminal_say(mail, stdout, buf_str(&d->text));
			fflush(stdout);
		}
	}
	go_on = go_on && read_text(mail, d);
	hangup_release(&before);
	if (hangup_came()) {
		mail->quit = mail->exit_now = true; /* nobody is there any more */
	}
	if (mail->interactive) {
		clearerr(mail->in);
		interrupts_catch(mail, false);
		if (go_on) {
			printf("EOT\n");
		}
	}
	if (!go_on) {
		return 1;
	}
	if (d->text.len == 0 && d->attachments == NULL) {
		if (var_on(mail, "skipemptybody")) {
			return 0;
		}
		fprintf(stderr, "Null message body; hope that's ok\n");
	}
	return send_draft(mail, d);
}
