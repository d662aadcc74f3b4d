/*
 * command_file - the commands of mail that have to do with files: save, copy, write, file, pipe
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "applets/read/mail/attach.h"
#include "applets/read/mail/commands.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/headers.h"
#include "applets/read/mail/msglist.h"
#include "applets/read/mail/path.h"
#include "applets/read/mail/quit.h"
#include "applets/read/mail/save.h"
#include "applets/read/mail/shell.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/vars.h"

/* save_to - "list file": append, and mark what was appended */
static void save_to(struct mail_state *mail, const char *args, unsigned mark)
{
	char *name = NULL, *path;
	unsigned *list = msglist_split(mail, args, &name);

	path = list != NULL ? path_of_file(mail, name[0] != '\0' ? name : "&") : NULL;
	mem_free(name);
	if (list != NULL && path != NULL && save_messages(mail, path, list, true, false) &&
		mark != 0) {
		folder_mark(mail, list, mark, 0);
	}
	mem_free(list);
	mem_free(path);
}

void command_save(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	save_to(mail, args, MARK_SAVED);
}

void command_copy(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	save_to(mail, args, 0);
}

/* save_author - S and C: to a file named after the sender of the first message */
static void save_author(struct mail_state *mail, const unsigned *list, unsigned mark)
{
	struct arena a = ARENA_INIT;
	struct buf name = BUF_INIT;
	const char *from = message_from(mail, &a, list[0], true);
	bool outfolder = var_on(mail, "outfolder");
	char *path;

	buf_addf(&name, "%s%.*s", outfolder ? "+" : "", (int)strcspn(from, "@/"), from);
	if (name.len > 0) {
		utf8_printable(name.data, name.len);
	}
	/* A stranger's name: it stands for nothing but itself. */
	path = outfolder ? path_of_file(mail, buf_str(&name)) : mem_strdup(buf_str(&name));
	if (path != NULL && path[0] != '\0' && path[0] != '.' &&
		save_messages(mail, path, list, true, false) && mark != 0) {
		folder_mark(mail, list, mark, 0);
	}
	mem_free(path);
	buf_free(&name);
	arena_free(&a);
}

void command_Save(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	save_author(mail, list, MARK_SAVED);
}

void command_Copy(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	save_author(mail, list, 0);
}

void command_move(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	save_to(mail, args, MARK_DELETED);
	folder_leave_deleted(mail);
}

/* command_write - the texts to one file, attachments to files of their own */
void command_write(struct mail_state *mail, const char *args, const unsigned *list)
{
	char *name = NULL, *path;
	unsigned *named;

	(void)list;
	if (args[0] == '\0') {
		printf("No file specified.\n");
		return;
	}
	named = msglist_split(mail, args, &name);
	path = named != NULL ? path_of_file(mail, name[0] != '\0' ? name : "&") : NULL;
	if (path != NULL && save_messages(mail, path, named, false, false)) {
		if (attachments_save(mail, named)) {
			folder_mark(mail, named, MARK_SAVED, 0);
		} else {
			mail->exit_status = 1;
		}
	}
	mem_free(name);
	mem_free(path);
	mem_free(named);
}

/* command_file - name the open one, or go to another */
void command_file(struct mail_state *mail, const char *args, const unsigned *list)
{
	char *path;

	(void)list;
	if (args[0] == '\0') {
		if (mail->view == NULL) {
			printf("No file\n");
		} else {
			folder_banner(mail);
		}
		return;
	}
	path = path_of_folder(mail, args);
	if (folder_switch(mail, path)) {
		mail->moved = false;
		folder_banner(mail);
		if (var_on(mail, "header")) {
			headers_window(mail, mail->current);
		}
	}
	mem_free(path);
}

/* command_pipe - "list \"command\"": the messages as they are shown */
void command_pipe(struct mail_state *mail, const char *args, const unsigned *list)
{
	const char *quote = strpbrk(args, "\"'");
	char *list_text, *command;
	unsigned *named;

	(void)list;
	if (quote == NULL) {
		/* no quotes: the whole argument is the command, for the dot */
		list_text = mem_strdup("");
		command = mem_strdup(args);
	} else {
		size_t len = strlen(quote + 1);

		list_text = mem_strndup(args, (size_t)(quote - args));
		command = mem_strndup(quote + 1, len > 0 && quote[len] == *quote ? len - 1 : len);
	}
	named = msglist_parse(mail, list_text, false);
	if (named != NULL && command[0] != '\0') {
		(void)pipe_messages(mail, command, named);
	}
	mem_free(named);
	mem_free(list_text);
	mem_free(command);
}

/* command_cd - ~ without an argument */
void command_cd(struct mail_state *mail, const char *args, const unsigned *list)
{
	char *path = path_of_file(mail, args[0] != '\0' ? args : "~");

	(void)list;
	if (path != NULL && chdir(path) != 0) {
		perror(args);
	}
	mem_free(path);
}

/* command_folders - what + means, listed */
void command_folders(struct mail_state *mail, const char *args, const unsigned *list)
{
	struct buf command = BUF_INIT;
	char *path = path_of_file(mail, "+");

	(void)args;
	(void)list;
	setenv("MAIL_FOLDER", path != NULL ? path : ".", 1); /* no quoting to get wrong */
	buf_adds(&command, "exec ls -F -- \"$MAIL_FOLDER\"");
	(void)shell_run(mail, buf_str(&command));
	unsetenv("MAIL_FOLDER");
	mem_free(path);
	buf_free(&command);
}
