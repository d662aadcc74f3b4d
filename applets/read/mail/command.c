/*
 * command - the commands of mail, one table
 *
 * A command may be shortened to any beginning; the table's order says which one a short form
 * means (t is type, d delete, h headers ...). A number alone shows that message; an
 * empty line shows the next one.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "applets/read/mail/mail.h"

/* What a command may be called for: flags of the table. */
enum {
	NEEDS_FOLDER = 1,
	NEEDS_WRITE = 2,
	TAKES_LIST = 4,    /* argument is a message list, default the dot */
	TAKES_DELETED = 8, /* ... of deleted messages */
	ON_LIST = NEEDS_FOLDER | TAKES_LIST
};

struct command {
	const char *name;
	void (*run)(struct mail_state *mail, const char *args, const unsigned *list);
	unsigned flags;
	const char *help; /* NULL: not in ? */
};

static void cmd_type(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	show_list(mail, list, 0);
}

static void cmd_Type(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	show_list(mail, list, SHOW_ALL_HEADERS);
}

/* next_message - the first one after n that is not deleted, 0 none */
static unsigned next_message(struct mail_state *mail, unsigned n, int by)
{
	for (n += (unsigned)by; n >= 1 && n <= mail->count; n += (unsigned)by) {
		if ((mail->messages[n].marks & MARK_DELETED) == 0) {
			return n;
		}
	}
	return 0;
}

static void show_step(struct mail_state *mail, int by)
{
	unsigned n = next_message(mail, mail->current, by);

	if (n == 0) {
		printf(by > 0 ? "At EOF\n" : "At first message\n");
	} else {
		show_list(mail, (unsigned[]){ n, 0 }, 0);
	}
}

static void cmd_show(struct mail_state *mail, const char *args, const unsigned *list)
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

static void cmd_edit(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	edit_list(mail, list, "EDITOR", "ed");
}

static void cmd_visual(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	edit_list(mail, list, "VISUAL", "vi");
}

static void cmd_next(struct mail_state *mail, const char *args, const unsigned *list)
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

static void cmd_previous(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	(void)args;
	show_step(mail, -1);
}

static void cmd_headers(struct mail_state *mail, const char *args, const unsigned *list)
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

static void cmd_from(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	headers_list(mail, list);
	while (*list != 0) {
		mail->current = *list++;
	}
}

static void cmd_scroll(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	headers_scroll(mail, args[0] == '-' ? -1 : 1);
}

static void mark_list(struct mail_state *mail, const unsigned *list, unsigned set, unsigned clear)
{
	for (; *list != 0; list++) {
		mail->messages[*list].marks = (mail->messages[*list].marks | set) & ~clear;
		mail->current = *list;
	}
}

/* after_delete - the dot moves to the next message that is left */
static void after_delete(struct mail_state *mail)
{
	unsigned n = next_message(mail, mail->current, 1);

	n = n != 0 ? n : next_message(mail, mail->current, -1);
	mail->current = n != 0 ? n : mail->current;
	mail->moved = false;
}

static void cmd_delete(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	mark_list(mail, list, MARK_DELETED, MARK_SAVED | MARK_HELD | MARK_MBOX);
	after_delete(mail);
}

static void cmd_dp(struct mail_state *mail, const char *args, const unsigned *list)
{
	cmd_delete(mail, args, list);
	if (next_message(mail, 0, 1) == 0) {
		printf("No more messages\n");
	} else {
		show_list(mail, (unsigned[]){ mail->current, 0 }, 0);
	}
}

static void cmd_undelete(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	mark_list(mail, list, 0, MARK_DELETED);
}

static void cmd_unread(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	mark_list(mail, list, MARK_UNREAD, MARK_READ);
}

/* store_flag - flags of the mailbox itself, at once */
static void store_flag(
	struct mail_state *mail, const unsigned *list, enum flag_op op, unsigned flag)
{
	for (; *list != 0; list++) {
		uint32_t uid = mailbox_info(mail->view, *list)->uid;

		mail->current = *list;
		(void)mailbox_store(mail->view, &uid, 1, op, flag, 0, ~(uint64_t)0, NULL, NULL);
	}
}

static void cmd_flag(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	store_flag(mail, list, FLAGS_ADD, MAIL_FLAGGED);
}

static void cmd_unflag(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	store_flag(mail, list, FLAGS_REMOVE, MAIL_FLAGGED);
}

static void cmd_answered(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	store_flag(mail, list, FLAGS_ADD, MAIL_ANSWERED);
}

static void cmd_hold(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	mark_list(mail, list, MARK_HELD, MARK_MBOX | MARK_SAVED);
}

static void cmd_mbox(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	mark_list(mail, list, MARK_MBOX, MARK_HELD);
}

static void cmd_touch(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	mark_list(mail, list, MARK_READ, MARK_UNREAD);
}

static void cmd_size(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	for (; *list != 0; list++) {
		unsigned long lines, bytes;

		message_size(mail, *list, &lines, &bytes);
		printf("%u: %lu/%lu\n", *list, lines, bytes);
	}
}

static void cmd_top(struct mail_state *mail, const char *args, const unsigned *list)
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

/* ---- Files ---- */

static void save_to(struct mail_state *mail, const char *args, unsigned mark)
{
	char *name = NULL, *path;
	unsigned *list = msglist_split(mail, args, &name);

	path = list != NULL ? path_expand(mail, name[0] != '\0' ? name : "&") : NULL;
	mem_free(name);
	if (list != NULL && path != NULL && save_messages(mail, path, list, true, false) &&
		mark != 0) {
		mark_list(mail, list, mark, 0);
	}
	mem_free(list);
	mem_free(path);
}

static void cmd_save(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	save_to(mail, args, MARK_SAVED);
}

static void cmd_copy(struct mail_state *mail, const char *args, const unsigned *list)
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
	char *path;

	buf_addf(&name, "%s%.*s", var_on(mail, "outfolder") ? "+" : "", (int)strcspn(from, "@/"),
		from);
	if (name.len > 0) {
		utf8_printable(name.data, name.len);
	}
	path = path_expand(mail, buf_str(&name));
	if (path != NULL && path[0] != '\0' && path[0] != '.' &&
		save_messages(mail, path, list, true, false) && mark != 0) {
		mark_list(mail, list, mark, 0);
	}
	mem_free(path);
	buf_free(&name);
	arena_free(&a);
}

static void cmd_Save(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	save_author(mail, list, MARK_SAVED);
}

static void cmd_Copy(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	save_author(mail, list, 0);
}

static void cmd_move(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	save_to(mail, args, MARK_DELETED);
	after_delete(mail);
}

/* cmd_write - the texts to one file, attachments to files of their own */
static void cmd_write(struct mail_state *mail, const char *args, const unsigned *list)
{
	char *name = NULL, *path;
	unsigned *named;

	(void)list;
	if (args[0] == '\0') {
		printf("No file specified.\n");
		return;
	}
	named = msglist_split(mail, args, &name);
	path = named != NULL ? path_expand(mail, name[0] != '\0' ? name : "&") : NULL;
	if (path != NULL && save_messages(mail, path, named, false, false)) {
		if (attachments_save(mail, named)) {
			mark_list(mail, named, MARK_SAVED, 0);
		} else {
			mail->exit_status = 1;
		}
	}
	mem_free(name);
	mem_free(path);
	mem_free(named);
}

static void cmd_file(struct mail_state *mail, const char *args, const unsigned *list)
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
	path = path_expand(mail, args);
	if (folder_switch(mail, path)) {
		mail->moved = false;
		folder_banner(mail);
		if (var_on(mail, "header")) {
			headers_window(mail, mail->current);
		}
	}
	mem_free(path);
}

static void cmd_pipe(struct mail_state *mail, const char *args, const unsigned *list)
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

/* ---- The rest ---- */

static void cmd_quit(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	(void)list;
	mail->quit = true;
}

static void cmd_exit(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	(void)list;
	mail->quit = mail->exit_now = true;
}

static void cmd_shell(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)list;
	(void)shell_run(mail, args[0] != '\0' ? args : NULL);
	printf("!\n");
}

static void cmd_echo(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)mail;
	(void)list;
	printf("%s\n", args);
}

static void cmd_cd(struct mail_state *mail, const char *args, const unsigned *list)
{
	char *path = path_expand(mail, args[0] != '\0' ? args : "~");

	(void)list;
	if (path == NULL || chdir(path) != 0) {
		perror(args);
	}
	mem_free(path);
}

static void cmd_source(struct mail_state *mail, const char *args, const unsigned *list)
{
	char *path = path_expand(mail, args);

	(void)list;
	if (path != NULL) {
		(void)rc_read(mail, path, false);
	}
	mem_free(path);
}

static void cmd_version(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)mail;
	(void)args;
	(void)list;
	printf("Heirloom Mail version 12.4 7/29/08\n");
}

/* cmd_folders - what + means, listed */
static void cmd_folders(struct mail_state *mail, const char *args, const unsigned *list)
{
	struct buf command = BUF_INIT;
	char *path = path_expand(mail, "+");

	(void)args;
	(void)list;
	setenv("MAIL_FOLDER", path != NULL ? path : ".", 1); /* no quoting to get wrong */
	buf_adds(&command, "exec ls -F -- \"$MAIL_FOLDER\"");
	(void)shell_run(mail, buf_str(&command));
	unsetenv("MAIL_FOLDER");
	mem_free(path);
	buf_free(&command);
}

static void cmd_list(struct mail_state *mail, const char *args, const unsigned *list);
static void cmd_newmail(struct mail_state *mail, const char *args, const unsigned *list);

static void cmd_number(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)mail;
	(void)args;
	for (; *list != 0; list++) {
		printf("%u\n", *list);
	}
}

static void cmd_help(struct mail_state *mail, const char *args, const unsigned *list);

static const struct command commands[] = {
	{ "type", cmd_type, ON_LIST, "show messages (also print, p, or a number)" },
	{ "next", cmd_next, NEEDS_FOLDER, "go to the next message and show it" },
	{ "headers", cmd_headers, NEEDS_FOLDER, "list headers (h+ h- scroll)" },
	{ "delete", cmd_delete, ON_LIST | NEEDS_WRITE, "delete messages" },
	{ "undelete", cmd_undelete, ON_LIST | TAKES_DELETED, "take deletions back" },
	{ "save", cmd_save, NEEDS_FOLDER, "append messages to a file: s [list] file" },
	{ "reply", command_reply, ON_LIST, "answer to the sender and all recipients" },
	{ "Reply", command_Reply, ON_LIST, "answer to the sender only" },
	{ "mail", command_mail, 0, "write a new message: m address" },
	{ "quit", cmd_quit, 0, "end and carry out deletions" },
	{ "xit", cmd_exit, 0, "end and leave the mailbox as it was" },
	{ "write", cmd_write, NEEDS_FOLDER, "append message texts to a file" },
	{ "from", cmd_from, ON_LIST, "list headers of these messages" },
	{ "forward", command_forward, NEEDS_FOLDER, "forward a message: fwd [list] address" },
	{ "unread", cmd_unread, ON_LIST, "mark as not read (also U, new)" },
	{ "hold", cmd_hold, ON_LIST, "keep in the mailbox (also preserve)" },
	{ "copy", cmd_copy, NEEDS_FOLDER, "like save, but stays" },
	{ "print", cmd_type, ON_LIST, NULL },
	{ "pipe", cmd_pipe, NEEDS_FOLDER, "give messages to a command: | [list] \"command\"" },
	{ "file", cmd_file, 0, "open another mailbox (also folder)" },
	{ "top", cmd_top, ON_LIST, "first lines of messages" },
	{ "z", cmd_scroll, NEEDS_FOLDER, "scroll the header list (z+ z-)" },
	{ "shell", cmd_shell, 0, "run a shell, or !command" },
	{ "help", cmd_help, 0, NULL },
	{ "?", cmd_help, 0, NULL },
	{ "!", cmd_shell, 0, NULL },
	{ "|", cmd_pipe, NEEDS_FOLDER, NULL },
	{ "=", cmd_number, ON_LIST, NULL },
	{ "-", cmd_previous, NEEDS_FOLDER, NULL },
	{ "+", cmd_next, NEEDS_FOLDER, NULL },
	{ "Type", cmd_Type, ON_LIST, NULL },
	{ "Print", cmd_Type, ON_LIST, NULL },
	{ "edit", cmd_edit, ON_LIST, "a copy of messages in $EDITOR (visual: $VISUAL)" },
	{ "resend", command_resend, NEEDS_FOLDER,
		"send a message on as it is: resend [list] address" },
	{ "newmail", cmd_newmail, NEEDS_FOLDER, "look for new mail (also inc)" },
	{ "inc", cmd_newmail, NEEDS_FOLDER, NULL },
	{ "visual", cmd_visual, ON_LIST, NULL },
	{ "respond", command_reply, ON_LIST, NULL },
	{ "Respond", command_Reply, ON_LIST, NULL },
	{ "replyall", command_replyall, ON_LIST, NULL },
	{ "replysender", command_Reply, ON_LIST, NULL },
	{ "followup", command_replyall, ON_LIST, NULL },
	{ "Followup", command_replyall, ON_LIST, NULL },
	{ "fwd", command_forward, NEEDS_FOLDER, NULL },
	{ "Forward", command_forward, NEEDS_FOLDER, NULL },
	{ "Resend", command_resend, NEEDS_FOLDER, NULL },
	{ "redirect", command_resend, NEEDS_FOLDER, NULL },
	{ "exit", cmd_exit, 0, NULL },
	{ "list", cmd_list, 0, NULL },
	{ "more", cmd_type, ON_LIST, NULL },
	{ "More", cmd_Type, ON_LIST, NULL },
	{ "page", cmd_type, ON_LIST, NULL },
	{ "Page", cmd_Type, ON_LIST, NULL },
	{ "Save", cmd_Save, ON_LIST, NULL },
	{ "Copy", cmd_Copy, ON_LIST, NULL },
	{ "show", cmd_show, ON_LIST, NULL },
	{ "Show", cmd_show, ON_LIST, NULL },
	{ "move", cmd_move, NEEDS_FOLDER | NEEDS_WRITE, NULL },
	{ "mv", cmd_move, NEEDS_FOLDER | NEEDS_WRITE, NULL },
	{ "flag", cmd_flag, ON_LIST | NEEDS_WRITE, NULL },
	{ "unflag", cmd_unflag, ON_LIST | NEEDS_WRITE, NULL },
	{ "answered", cmd_answered, ON_LIST | NEEDS_WRITE, NULL },
	{ "folders", cmd_folders, 0, NULL },
	{ "version", cmd_version, 0, NULL },
	{ "dp", cmd_dp, ON_LIST | NEEDS_WRITE, NULL },
	{ "dt", cmd_dp, ON_LIST | NEEDS_WRITE, NULL },
	{ "Unread", cmd_unread, ON_LIST, NULL },
	{ "new", cmd_unread, ON_LIST, NULL },
	{ "New", cmd_unread, ON_LIST, NULL },
	{ "preserve", cmd_hold, ON_LIST, NULL },
	{ "mbox", cmd_mbox, ON_LIST, NULL },
	{ "touch", cmd_touch, ON_LIST, NULL },
	{ "size", cmd_size, ON_LIST, NULL },
	{ "folder", cmd_file, 0, NULL },
	{ "cd", cmd_cd, 0, NULL },
	{ "chdir", cmd_cd, 0, NULL },
	{ "echo", cmd_echo, 0, NULL },
	{ "source", cmd_source, 0, NULL },
};

static void cmd_help(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)mail;
	(void)args;
	(void)list;
	printf("             mail commands\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (commands[i].help != NULL) {
			printf("%-12s %s\n", commands[i].name, commands[i].help);
		}
	}
	printf("\nset unset alias ignore retain echo cd source size touch mbox = - | ! and more; a "
	       "list is\n"
	       "numbers, 3-7, . $ *, :n new :u unread :d deleted, /subject, or a sender's name.\n");
}

static void cmd_list(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)mail;
	(void)args;
	(void)list;
	printf("Commands are:\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		printf("%s%s", commands[i].name,
			i + 1 == ARRAY_LEN(commands) ? "\n"
				: i % 10 == 9        ? ",\n"
						     : ", ");
	}
}

/* find_command - the exact name, else the first row that begins so */
static const struct command *find_command(const char *name, size_t len)
{
	const struct command *found = NULL;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strncmp(commands[i].name, name, len) == 0) {
			if (commands[i].name[len] == '\0') {
				return &commands[i];
			}
			found = found != NULL ? found : &commands[i];
		}
	}
	return found;
}

static void run_command(struct mail_state *mail, const struct command *c, const char *args)
{
	unsigned *list = NULL;

	if ((c->flags & NEEDS_FOLDER) && mail->view == NULL) {
		printf("No mailbox is open\n");
		return;
	}
	if ((c->flags & NEEDS_WRITE) && mail->read_only) {
		printf("Read-only mailbox: cannot %s\n", c->name);
		return;
	}
	if (c->flags & TAKES_LIST) {
		list = msglist_parse(mail, args, (c->flags & TAKES_DELETED) != 0);
		if (list == NULL) {
			return;
		}
	}
	c->run(mail, args, list);
	mem_free(list);
}

void command_line(struct mail_state *mail, char *line, bool in_rc)
{
	const struct command *c;
	char *p = line + strspn(line, " \t");
	size_t len = strlen(p);
	const char *args;

	while (len > 0 && isspace((unsigned char)p[len - 1])) {
		p[--len] = '\0';
	}
	if (*p == '#') {
		return;
	}
	if (*p == '\0') {
		if (!in_rc && mail->view != NULL) {
			cmd_next(mail, "", NULL);
		}
		return;
	}
	if (isdigit((unsigned char)*p) || *p == '.' || *p == '$' || *p == '^' || *p == '*' ||
		*p == ':' || *p == '/') {
		len = 0; /* a list alone shows the messages */
	} else if (strchr("?!|=-+", *p) != NULL) {
		len = 1;
	} else {
		for (len = 0; isalpha((unsigned char)p[len]); len++) {
			continue;
		}
	}
	args = p + len + strspn(p + len, " \t");
	if (vars_command(mail, p, len, args)) {
		return;
	}
	c = len == 0 ? &commands[0] : find_command(p, len);
	if (c == NULL || (in_rc && (c->flags & NEEDS_FOLDER))) {
		if (in_rc) {
			return; /* rc files of other versions hold commands that we do not have */
		}
		printf("Unknown command: \"%s\"\n", p);
		return;
	}
	run_command(mail, c, args);
}

/* show_new - mail that came since: said, and listed */
static unsigned show_new(struct mail_state *mail)
{
	unsigned before = mail->count, fresh = folder_follow(mail);

	if (fresh > 0) {
		printf("New mail has arrived.\nLoaded %u new message%s.\n", fresh,
			fresh == 1 ? "" : "s");
		if (var_on(mail, "header")) {
			for (unsigned n = before + 1; n <= mail->count; n++) {
				headers_list(mail, (unsigned[]){ n, 0 });
			}
		}
	}
	return fresh;
}

static void cmd_newmail(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)args;
	(void)list;
	if (show_new(mail) == 0) {
		printf("No new mail.\n");
	}
}

static void prompt(struct mail_state *mail)
{
	printf("%s", var_on(mail, "prompt") ? var_get(mail, "prompt") : "& ");
	fflush(stdout);
}

/*
 * read_command - false at the end of input; an interrupt only throws away what was typed. It counts
 * from before the prompt on, because who sees the prompt may press it.
 */
static bool read_command(struct mail_state *mail, struct buf *line)
{
	bool got;

	if (!mail->interactive) {
		return read_line(mail, mail->in, line);
	}
	interrupts_catch(mail, true);
	prompt(mail);
	while (!(got = read_line(mail, mail->in, line)) && interrupts_take(mail) > 0) {
		clearerr(mail->in);
		printf("\nInterrupt\n");
		prompt(mail);
	}
	interrupts_catch(mail, false);
	if (!got) {
		printf("\n");
	}
	return got;
}

void commands_run(struct mail_state *mail)
{
	struct buf line = BUF_INIT;

	while (!mail->quit) {
		char *text;

		if (mail->interactive && (var_on(mail, "newmail") || var_on(mail, "autoinc"))) {
			(void)show_new(mail);
		}
		fflush(stdout);
		if (!read_command(mail, &line)) {
			break;
		}
		while (line_continues(&line)) {
			struct buf more = BUF_INIT;

			bool got = read_line(mail, mail->in, &more);

			buf_add(&line, buf_str(&more), more.len);
			buf_free(&more);
			if (!got) {
				break;
			}
		}
		text = mem_strdup(buf_str(&line));
		command_line(mail, text, false);
		mem_free(text);
	}
	buf_free(&line);
}
