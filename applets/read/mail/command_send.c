/*
 * command_send - the commands of mail that send: reply, forward, resend, mail
 *
 * What was answered gets the flag \Answered. A resent message goes as it is, under Resent- headers
 * (RFC 5322 3.6.6).
 */
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/mem.h"
#include "mail/mailbox.h"
#include "applets/read/mail/commands.h"
#include "applets/read/mail/compose/compose.h"
#include "applets/read/mail/compose/draft.h"
#include "applets/read/mail/compose/draft_reply.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/list.h"
#include "applets/read/mail/msglist.h"
#include "applets/read/mail/compose/send.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"
#include "applets/read/mail/vars.h"

/* say_field - of a draft; what is in it may come from the message */
static void say_field(struct mail_state *mail, const char *name, const struct buf *value)
{
	printf("%s: ", name);
	terminal_say(mail, stdout, buf_str(value));
	printf("\n");
}

/* reply_to - say whom it goes to, and have it written */
static void reply_to(struct mail_state *mail, const unsigned *list, bool all)
{
	struct draft d = { .from = NULL };

	mail->current = list[0];
	for (; *list != 0; list++) { /* one answer to all of them */
		draft_reply(mail, &d, *list, all);
	}
	say_field(mail, "To", &d.to);
	if (d.cc.len > 0) {
		say_field(mail, "Cc", &d.cc);
	}
	say_field(mail, "Subject", &d.subject);
	printf("\n");
	if (compose(mail, &d, false) == 0 && !mail->read_only) {
		folder_flag(mail, (unsigned[]){ mail->current, 0 }, FLAGS_ADD, MAIL_ANSWERED);
	}
	draft_free(&d);
}

void command_reply(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	reply_to(mail, list, !var_on(mail, "flipr"));
}

void command_Reply(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	reply_to(mail, list, var_on(mail, "flipr"));
}

void command_replyall(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	reply_to(mail, list, true);
}

/* command_mail - a new letter */
void command_mail(struct mail_state *mail, const char *args, const unsigned *list)
{
	struct draft d = { .from = NULL };

	(void)list;
	if (args[0] == '\0') {
		printf("No recipients specified\n");
		return;
	}
	list_add(&d.to, args);
	(void)compose(mail, &d, true);
	draft_free(&d);
}

/* take_recipient - "list address": as save takes its file. NULL: said what is wrong */
static unsigned *take_recipient(struct mail_state *mail, const char *args, char **to_r)
{
	if (args[0] == '\0') {
		printf("No recipient specified.\n");
		return NULL;
	}
	return msglist_split(mail, args, to_r);
}

/* command_forward - "list address": the first of the list goes on in a new letter */
void command_forward(struct mail_state *mail, const char *args, const unsigned *list)
{
	struct draft d = { .from = NULL };
	char *to = NULL;
	unsigned *named = take_recipient(mail, args, &to);

	(void)list;
	if (named != NULL) {
		mail->current = named[0];
		list_add(&d.to, to);
		draft_forward(mail, &d, named[0]);
		(void)compose(mail, &d, false);
	}
	mem_free(to);
	mem_free(named);
	draft_free(&d);
}

/* resend_one - message n to the addresses of d.to */
static int resend_one(struct mail_state *mail, struct draft *d, unsigned n)
{
	struct buf message = BUF_INIT, text = BUF_INIT;
	char date[DATE_SIZE];
	int status = 1;

	date_rfc5322(date, time(NULL), false);
	buf_addf(&message, "Resent-From: %s\nResent-Date: %s\nResent-To: %s\n",
		var_on(mail, "from") ? var_get(mail, "from") : mail->user, date, buf_str(&d->to));
	if (message_text(mail, n, &text)) {
		buf_add(&message, buf_str(&text), text.len);
		status = send_to_list(mail, &message, d);
	}
	buf_free(&message);
	buf_free(&text);
	return status;
}

/* command_resend - "list address": each goes on as it is */
void command_resend(struct mail_state *mail, const char *args, const unsigned *list)
{
	char *to = NULL;
	unsigned *named = take_recipient(mail, args, &to);

	(void)list;
	for (size_t i = 0; named != NULL && named[i] != 0; i++) {
		struct draft d = { .from = NULL };

		mail->current = named[i];
		list_add(&d.to, to);
		mail->exit_status |= resend_one(mail, &d, named[i]);
		draft_free(&d);
	}
	mem_free(to);
	mem_free(named);
}
