/*
 * command - the commands of mail, one table
 *
 * A command may be shortened to any beginning; the table's order says which one a short form
 * means (t is type, d delete, h headers ...). A number alone shows that message; an
 * empty line shows the next one.
 */
#include "applets/read/mail/command.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "applets/read/mail/commands.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/headers.h"
#include "applets/read/mail/msglist.h"
#include "applets/read/mail/path.h"
#include "applets/read/mail/rc.h"
#include "applets/read/mail/shell.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"
#include "applets/read/mail/vars.h"

/* What a command may be called for: flags of the table. */
enum {
	NEEDS_FOLDER = 1,
	NEEDS_WRITE = 2,
	TAKES_LIST = 4,    /* argument is a message list, default the dot */
	TAKES_DELETED = 8, /* ... of deleted messages */
	ON_LIST = NEEDS_FOLDER | TAKES_LIST
};

struct command {
	char name[12];
	char help[51]; /* "": not in ? */
	unsigned char flags;
};

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

/* cmd_source - an rc file, now */
static void cmd_source(struct mail_state *mail, const char *args, const unsigned *list)
{
	char *path = path_of_file(mail, args);

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

static command_fn cmd_help, cmd_list, cmd_newmail;

/* Names and help by themselves, without pointers that each process would have to relocate. */
#define COMMANDS(ROW)                                                                          \
	ROW("type", command_type, ON_LIST, "show messages (also print, p, or a number)")       \
	ROW("next", command_next, NEEDS_FOLDER, "go to the next message and show it")          \
	ROW("headers", command_headers, NEEDS_FOLDER, "list headers (h+ h- scroll)")           \
	ROW("delete", command_delete, ON_LIST | NEEDS_WRITE, "delete messages")                \
	ROW("undelete", command_undelete, ON_LIST | TAKES_DELETED, "take deletions back")      \
	ROW("save", command_save, NEEDS_FOLDER, "append messages to a file: s [list] file")    \
	ROW("reply", command_reply, ON_LIST, "answer to the sender and all recipients")        \
	ROW("Reply", command_Reply, ON_LIST, "answer to the sender only")                      \
	ROW("mail", command_mail, 0, "write a new message: m address")                         \
	ROW("quit", cmd_quit, 0, "end and carry out deletions")                                \
	ROW("xit", cmd_exit, 0, "end and leave the mailbox as it was")                         \
	ROW("write", command_write, NEEDS_FOLDER, "append message texts to a file")            \
	ROW("from", command_from, ON_LIST, "list headers of these messages")                   \
	ROW("forward", command_forward, NEEDS_FOLDER, "forward a message: fwd [list] address") \
	ROW("unread", command_unread, ON_LIST, "mark as not read (also U, new)")               \
	ROW("hold", command_hold, ON_LIST, "keep in the mailbox (also preserve)")              \
	ROW("copy", command_copy, NEEDS_FOLDER, "like save, but stays")                        \
	ROW("print", command_type, ON_LIST, "")                                                \
	ROW("pipe", command_pipe, NEEDS_FOLDER,                                                \
		"give messages to a command: | [list] \"command\"")                            \
	ROW("file", command_file, 0, "open another mailbox (also folder)")                     \
	ROW("top", command_top, ON_LIST, "first lines of messages")                            \
	ROW("z", command_scroll, NEEDS_FOLDER, "scroll the header list (z+ z-)")               \
	ROW("shell", cmd_shell, 0, "run a shell, or !command")                                 \
	ROW("help", cmd_help, 0, "")                                                           \
	ROW("?", cmd_help, 0, "")                                                              \
	ROW("!", cmd_shell, 0, "")                                                             \
	ROW("|", command_pipe, NEEDS_FOLDER, "")                                               \
	ROW("=", command_number, ON_LIST, "")                                                  \
	ROW("-", command_previous, NEEDS_FOLDER, "")                                           \
	ROW("+", command_next, NEEDS_FOLDER, "")                                               \
	ROW("Type", command_Type, ON_LIST, "")                                                 \
	ROW("Print", command_Type, ON_LIST, "")                                                \
	ROW("edit", command_edit, ON_LIST, "a copy of messages in $EDITOR (visual: $VISUAL)")  \
	ROW("resend", command_resend, NEEDS_FOLDER,                                            \
		"send a message on as it is: resend [list] address")                           \
	ROW("newmail", cmd_newmail, NEEDS_FOLDER, "look for new mail (also inc)")              \
	ROW("inc", cmd_newmail, NEEDS_FOLDER, "")                                              \
	ROW("visual", command_visual, ON_LIST, "")                                             \
	ROW("respond", command_reply, ON_LIST, "")                                             \
	ROW("Respond", command_Reply, ON_LIST, "")                                             \
	ROW("replyall", command_replyall, ON_LIST, "")                                         \
	ROW("replysender", command_Reply, ON_LIST, "")                                         \
	ROW("followup", command_replyall, ON_LIST, "")                                         \
	ROW("Followup", command_replyall, ON_LIST, "")                                         \
	ROW("fwd", command_forward, NEEDS_FOLDER, "")                                          \
	ROW("Forward", command_forward, NEEDS_FOLDER, "")                                      \
	ROW("Resend", command_resend, NEEDS_FOLDER, "")                                        \
	ROW("redirect", command_resend, NEEDS_FOLDER, "")                                      \
	ROW("exit", cmd_exit, 0, "")                                                           \
	ROW("list", cmd_list, 0, "")                                                           \
	ROW("more", command_type, ON_LIST, "")                                                 \
	ROW("More", command_Type, ON_LIST, "")                                                 \
	ROW("page", command_type, ON_LIST, "")                                                 \
	ROW("Page", command_Type, ON_LIST, "")                                                 \
	ROW("Save", command_Save, ON_LIST, "")                                                 \
	ROW("Copy", command_Copy, ON_LIST, "")                                                 \
	ROW("show", command_show, ON_LIST, "")                                                 \
	ROW("Show", command_show, ON_LIST, "")                                                 \
	ROW("move", command_move, NEEDS_FOLDER | NEEDS_WRITE, "")                              \
	ROW("mv", command_move, NEEDS_FOLDER | NEEDS_WRITE, "")                                \
	ROW("flag", command_flag, ON_LIST | NEEDS_WRITE, "")                                   \
	ROW("unflag", command_unflag, ON_LIST | NEEDS_WRITE, "")                               \
	ROW("answered", command_answered, ON_LIST | NEEDS_WRITE, "")                           \
	ROW("folders", command_folders, 0, "")                                                 \
	ROW("version", cmd_version, 0, "")                                                     \
	ROW("dp", command_dp, ON_LIST | NEEDS_WRITE, "")                                       \
	ROW("dt", command_dp, ON_LIST | NEEDS_WRITE, "")                                       \
	ROW("Unread", command_unread, ON_LIST, "")                                             \
	ROW("new", command_unread, ON_LIST, "")                                                \
	ROW("New", command_unread, ON_LIST, "")                                                \
	ROW("preserve", command_hold, ON_LIST, "")                                             \
	ROW("mbox", command_mbox, ON_LIST, "")                                                 \
	ROW("touch", command_touch, ON_LIST, "")                                               \
	ROW("size", command_size, ON_LIST, "")                                                 \
	ROW("folder", command_file, 0, "")                                                     \
	ROW("cd", command_cd, 0, "")                                                           \
	ROW("chdir", command_cd, 0, "")                                                        \
	ROW("echo", cmd_echo, 0, "")                                                           \
	ROW("source", cmd_source, 0, "")

#define WORDS(name, run, flags, help) { name, help, flags },
#define RUN(name, run, flags, help) run,

static const struct command commands[] = { COMMANDS(WORDS) };
static command_fn *const functions[] = { COMMANDS(RUN) };

/* cmd_help - those that have a line of help */
static void cmd_help(struct mail_state *mail, const char *args, const unsigned *list)
{
	(void)mail;
	(void)args;
	(void)list;
	printf("             mail commands\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (commands[i].help[0] != '\0') {
			printf("%-12s %s\n", commands[i].name, commands[i].help);
		}
	}
	printf("\nset unset alias ignore retain echo cd source size touch mbox = - | ! and more; a "
	       "list is\n"
	       "numbers, 3-7, . $ *, :n new :u unread :d deleted, /subject, or a sender's name.\n");
}

/* cmd_list - the names, ten a line */
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

/* run_command - when what it needs is there */
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
	functions[c - commands](mail, args, list);
	mem_free(list);
}

/* command_line - find the command and run it */
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
			command_next(mail, "", NULL);
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

/* commands_run - until the end of input, quit or exit */
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
