/*
 * draft - a letter that is being written: its fields, and what interrupts do to it
 */
#include <string.h>

#include "base/mem.h"
#include "applets/read/mail/mail.h"

void draft_free(struct draft *d)
{
	buf_free(&d->to);
	buf_free(&d->cc);
	buf_free(&d->bcc);
	buf_free(&d->subject);
	buf_free(&d->in_reply_to);
	buf_free(&d->references);
	buf_free(&d->text);
	while (d->attachments != NULL) {
		struct attachment *next = d->attachments->next;

		mem_free(d->attachments->path);
		mem_free(d->attachments);
		d->attachments = next;
	}
	mem_free(d->from);
	memset(d, 0, sizeof(*d));
}

bool draft_interrupted(struct mail_state *mail, bool *kill_r)
{
	int count = interrupts_take(mail);

	*kill_r = false;
	if (count == 0) {
		return false;
	}
	if (var_on(mail, "ignore")) {
		printf("\n@\n");
		interrupts_forget(mail);
	} else if (count > 1) {
		printf("\n");
		*kill_r = true;
	} else {
		printf("\n(Interrupt -- one more to kill letter)\n");
	}
	fflush(stdout);
	return true;
}

bool draft_ask(struct mail_state *mail, FILE *in, const char *prompt, struct buf *into)
{
	struct buf line = BUF_INIT;
	bool killed = false, got;

	do {
		printf("%s", prompt);
		terminal_say(mail, stdout, buf_str(into));
		fflush(stdout);
		got = read_line(mail, in, &line);
	} while (!got && draft_interrupted(mail, &killed) && !killed);
	if (got) {
		interrupts_forget(mail);
		terminal_text(mail, &line);
		buf_adds(into, buf_str(&line));
	}
	buf_free(&line);
	return !killed;
}
