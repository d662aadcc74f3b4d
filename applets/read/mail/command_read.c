/*
 * command_read - the commands of mail that show messages and mark them
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/mailbox.h"
#include "applets/read/mail/commands.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/headers.h"
#include "applets/read/mail/msglist.h"
#include "applets/read/mail/shell.h"
#include "applets/read/mail/show.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/vars.h"

void command_type(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	show_list(mail, list, 0);
}

void command_Type(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	show_list(mail, list, SHOW_ALL_HEADERS);
}

/* show_step - the next or previous message that is not deleted */
static void show_step(struct mail_state *mail, int by)
{
	unsigned n = folder_next(mail, mail->current, by);

	if (n == 0) {
		printf(by > 0 ? "At EOF\n" : "At first message\n");
	} else {
		show_list(mail, (unsigned[]){ n, 0 }, 0);
	}
}

void command_show(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	show_list(mail, list, SHOW_ALL_HEADERS | SHOW_RAW);
}

/* edit_list - a copy of each message in an editor: the mailbox stays as it is */
static void edit_list(
	struct mail_state *mail, const unsigned *list, const char *variable, const char *fallback)
{
	for (; *list != 0; list++) {
		struct buf text = BUF_INIT;

		mail->current = *list;
		if (message_text(mail, *list, &text)) {
			(void)shell_edit(mail, &text, variable, fallback);
			mail->messages[*list].marks |= MARK_READ;
		}
		buf_free(&text);
	}
}

void command_edit(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	edit_list(mail, list, "EDITOR", "ed");
}

void command_visual(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	edit_list(mail, list, "VISUAL", "vi");
}

/* command_next - the next message, or the first of a list */
void command_next(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	if (args[0] != '\0') {
		unsigned *named = msglist_parse(mail, args, false);

		if (named != NULL) {
			show_list(mail, (unsigned[]){ named[0], 0 }, 0);
		}
		mem_free(named);
		return;
	}
	/* The dot itself comes first as long as it was never shown. */
	if (!mail->moved && mail->current > 0 &&
		(mail->messages[mail->current].marks & (MARK_DELETED | MARK_READ)) == 0) {
		mail->moved = true;
		show_list(mail, (unsigned[]){ mail->current, 0 }, 0);
		return;
	}
	show_step(mail, 1);
}

void command_previous(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	(void)args;
	show_step(mail, -1);
}

/* command_headers - the screenful with a message, + and - the next and last */
void command_headers(struct mail_state *mail, const char *args, const unsigned *list)
{
	unsigned *named;

	(void)list;
	if (args[0] == '\0') {
		headers_window(mail, mail->current);
		return;
	}
	if (args[1] == '\0' && (args[0] == '+' || args[0] == '-')) {
		headers_scroll(mail, args[0] == '+' ? 1 : -1);
		return;
	}
	named = msglist_parse(mail, args, false);
	if (named != NULL) {
		mail->current = named[0];
		headers_window(mail, mail->current);
	}
	mem_free(named);
}

void command_from(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	headers_list(mail, list);
	while (*list != 0) {
		mail->current = *list++;
	}
}

void command_scroll(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	headers_scroll(mail, args[0] == '-' ? -1 : 1);
}

void command_delete(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	folder_mark(mail, list, MARK_DELETED, MARK_SAVED | MARK_HELD | MARK_MBOX);
	folder_leave_deleted(mail);
}

/* command_dp - delete, and show what comes after */
void command_dp(struct mail_state *mail, const char *args, const unsigned *list)
{
	command_delete(mail, args, list);
	if (folder_next(mail, 0, 1) == 0) {
		printf("No more messages\n");
	} else {
		show_list(mail, (unsigned[]){ mail->current, 0 }, 0);
	}
}

void command_undelete(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	folder_mark(mail, list, 0, MARK_DELETED);
}

void command_unread(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	folder_mark(mail, list, MARK_UNREAD, MARK_READ);
}

void command_flag(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	folder_flag(mail, list, FLAGS_ADD, MAIL_FLAGGED);
}

void command_unflag(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	folder_flag(mail, list, FLAGS_REMOVE, MAIL_FLAGGED);
}

void command_answered(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	folder_flag(mail, list, FLAGS_ADD, MAIL_ANSWERED);
}

void command_hold(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	folder_mark(mail, list, MARK_HELD, MARK_MBOX | MARK_SAVED);
}

void command_mbox(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	folder_mark(mail, list, MARK_MBOX, MARK_HELD);
}

void command_touch(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	folder_mark(mail, list, MARK_READ, MARK_UNREAD);
}

/* command_size - number: lines/bytes */
void command_size(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	for (; *list != 0; list++) {
		unsigned long lines, bytes;

		message_size(mail, *list, &lines, &bytes);
		printf("%u: %lu/%lu\n", *list, lines, bytes);
	}
}

/* command_top - the first lines, as many as toplines says */
void command_top(struct mail_state *mail, const char *args, const unsigned *list)
{
	const char *toplines = var_get(mail, "toplines");
	int64_t count = 5;

	(void)args;
	if (toplines != NULL) {
		(void)str_to_int(toplines, 1, 10000, &count);
	}
	for (; *list != 0; list++) {
		struct buf text = BUF_INIT;
		const char *line;

		mail->current = *list;
		printf("Message %2u:\n", *list);
		show_quoted(mail, &text, *list, "");
		line = buf_str(&text);
		for (int64_t left = count; left > 0 && *line != '\0'; left--) {
			size_t len = strcspn(line, "\n");

			printf("%.*s\n", (int)len, line);
			line += len + (line[len] == '\n');
		}
		buf_free(&text);
	}
}

void command_number(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)mail;
	(void)args;
	for (; *list != 0; list++) {
		printf("%u\n", *list);
	}
}
