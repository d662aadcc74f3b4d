/*
 * escape - the lines of a letter that begin with ~
 *
 * A row of the table for each letter: what it does, and to what when that does not stand behind it.
 */
#include "applets/read/mail/compose/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "applets/read/mail/compose/draft.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/list.h"
#include "applets/read/mail/msglist.h"
#include "applets/read/mail/path.h"
#include "applets/read/mail/shell.h"
#include "applets/read/mail/show.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"
#include "applets/read/mail/vars.h"

enum { FILTERED_MAX = 1 << 28, INCLUDE_MAX = 1 << 26 };

/* add_output - what a command prints */
static void add_output(struct draft *d, const char *command)
{
	char data[4096];
	size_t before = d->text.len, n;
	FILE *from;

	fflush(stdout);
	from = popen(command, "re");
	if (from == NULL) {
		perror(command);
		return;
	}
	while (d->text.len - before < INCLUDE_MAX && (n = fread(data, 1, sizeof(data), from)) > 0) {
		buf_add(&d->text, data, n);
	}
	pclose(from);
	draft_say_counts(command, buf_str(&d->text) + before, d->text.len - before);
}

/* add_file - a file, or <!command */
static bool add_file(struct mail_state *mail, struct draft *d, const char *name)
{
	size_t len = 0;
	char *path, *data;

	if (name[0] == '!') {
		add_output(d, name + 1);
		return true;
	}
	if (name[0] == '\0') {
		printf("Interpolate what file?\n");
		return true;
	}
	path = path_of_file(mail, name);
	data = path != NULL ? file_read(path, INCLUDE_MAX, &len) : NULL;
	if (data != NULL) {
		buf_add(&d->text, data, len);
		draft_say_counts(path, data, len);
	} else if (path != NULL) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
	}
	mem_free(data);
	mem_free(path);
	return true;
}

/* add_value - ~i variable, ~a sign, ~A Sign; \n and \t in it are understood */
static bool add_value(struct mail_state *mail, struct draft *d, const char *name)
{
	const char *value = var_get(mail, name);
	size_t before = d->text.len;

	if (value == NULL || value[0] == '\0') {
		printf("%s: not set\n", name);
		return true;
	}
	for (; *value != '\0'; value++) {
		if (*value == '\\' && (value[1] == 'n' || value[1] == 't')) {
			buf_addc(&d->text, *++value == 'n' ? '\n' : '\t');
		} else {
			buf_addc(&d->text, *value);
		}
	}
	buf_addc(&d->text, '\n');
	printf("%s", buf_str(&d->text) + before);
	return true;
}

/* take_filtered - what a command prints becomes the text; nothing: it stays as it was */
static void take_filtered(struct draft *d, const char *command, const char *line)
{
	FILE *from = popen(line, "re");
	struct buf out = BUF_INIT;
	char piece[4096];
	size_t len;

	while (from != NULL && (len = fread(piece, 1, sizeof(piece), from)) > 0 &&
		out.len < FILTERED_MAX) {
		buf_add(&out, piece, len);
	}
	if (from == NULL || pclose(from) != 0 || out.len == 0) {
		printf("\"%s\" failed or printed nothing: the text stays as it was\n", command);
		buf_free(&out);
	} else {
		buf_free(&d->text);
		d->text = out;
		draft_say_counts(command, buf_str(&out), out.len);
	}
}

/* filter - the text goes into a command */
static bool filter(struct mail_state *mail, struct draft *d, const char *command)
{
	char path[] = "/tmp/mail.XXXXXX";
	struct buf line = BUF_INIT;
	int fd = mkostemp(path, O_CLOEXEC);

	(void)mail;
	buf_addf(&line, "(%s\n) <%s", command, path);
	if (fd < 0 || fd_write_all(fd, buf_str(&d->text), d->text.len) != 0) {
		perror(path);
	} else {
		take_filtered(d, command, buf_str(&line));
	}
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	buf_free(&line);
	return true;
}

/* run_line - a command of mail */
static bool run_line(struct mail_state *mail, struct draft *d, const char *command)
{
	char *copy = mem_strdup(command);

	(void)d;
	mail->run_line(mail, copy, false);
	mem_free(copy);
	return true;
}

/* add_messages - ~f as they are, ~m behind the indent prefix */
static void add_messages(
	struct mail_state *mail, struct draft *d, const char *list_text, bool indent)
{
	unsigned *list = mail->view != NULL ? msglist_parse(mail, list_text, false) : NULL;
	const char *prefix = var_get(mail, "indentprefix");

	if (mail->view == NULL) {
		printf("No messages to send from!\n");
	}
	for (unsigned *n = list; n != NULL && *n != 0; n++) {
		if (indent) {
			show_quoted(mail, &d->text, *n,
				prefix != NULL && prefix[0] != '\0' ? prefix : "\t");
		} else {
			(void)message_text(mail, *n, &d->text);
		}
	}
	mem_free(list);
}

/* say_typed - what was typed is in the terminal's character set, what was inserted in UTF-8 */
static void say_typed(struct mail_state *mail, const struct buf *typed)
{
	struct buf text = BUF_INIT;

	buf_add(&text, buf_str(typed), typed->len);
	terminal_text(mail, &text);
	terminal_say(mail, stdout, buf_str(&text));
	buf_free(&text);
}

/* print_draft - headers and text so far */
static bool print_draft(struct mail_state *mail, struct draft *d, const char *args)
{
	const struct {
		const char *name;
		const struct buf *value;
	} fields[] = { { "To", &d->to }, { "Cc", &d->cc }, { "Bcc", &d->bcc },
		{ "Subject", &d->subject } };

	(void)args;
	printf("-------\nMessage contains:\n");
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (fields[i].value->len > 0 || fields[i].value == &d->subject) {
			printf("%s: ", fields[i].name);
			say_typed(mail, fields[i].value);
			printf("\n");
		}
	}
	printf("\n");
	say_typed(mail, &d->text);
	return true;
}

/* help - the list of escapes */
static bool help(struct mail_state *mail, struct draft *d, const char *args)
{
	(void)mail;
	(void)d;
	(void)args;
	printf("~~ text  a line that begins with ~     ~.  end the message\n"
	       "~b names blind copies                  ~c names  copies\n"
	       "~d  read ~/dead.letter                 ~e  edit ($EDITOR)   ~v  edit ($VISUAL)\n"
	       "~f list  insert messages               ~m list  the same, indented\n"
	       "~h  ask for all headers                ~p  print the message so far\n"
	       "~q  give up, keep the text             ~x  give up\n"
	       "~r file  insert a file                 ~s text  subject\n"
	       "~t names  recipients                   ~w file  write the text to a file\n"
	       "~@ file  attach a file                 ~!command  run a command\n"
	       "~i name  insert a variable             ~a  ~A  insert sign, Sign\n"
	       "~<!command  insert its output          ~|command  text through a command\n"
	       "~:command   a command of mail\n");
	return true;
}

/* insert - messages as they are */
static bool insert(struct mail_state *mail, struct draft *d, const char *list)
{
	add_messages(mail, d, list, false);
	return true;
}

/* insert_indented - messages behind the indent prefix */
static bool insert_indented(struct mail_state *mail, struct draft *d, const char *list)
{
	add_messages(mail, d, list, true);
	return true;
}

static bool run_shell(struct mail_state *mail, struct draft *d, const char *command)
{
	(void)d;
	(void)shell_run(mail, command[0] != '\0' ? command : NULL);
	printf("!\n");
	return true;
}

static bool edit(struct mail_state *mail, struct draft *d, const char *variable)
{
	(void)shell_edit(mail, &d->text, variable, strcmp(variable, "VISUAL") == 0 ? "vi" : "ed");
	return true;
}

static bool add_to(struct mail_state *mail, struct draft *d, const char *names)
{
	(void)mail;
	list_add(&d->to, names);
	return true;
}

static bool add_cc(struct mail_state *mail, struct draft *d, const char *names)
{
	(void)mail;
	list_add(&d->cc, names);
	return true;
}

static bool add_bcc(struct mail_state *mail, struct draft *d, const char *names)
{
	(void)mail;
	list_add(&d->bcc, names);
	return true;
}

static bool set_subject(struct mail_state *mail, struct draft *d, const char *text)
{
	(void)mail;
	buf_reset(&d->subject);
	buf_adds(&d->subject, text);
	return true;
}

/* ask_headers - false: interrupted twice */
static bool ask_headers(struct mail_state *mail, struct draft *d, const char *args)
{
	(void)args;
	return draft_ask(mail, "To: ", &d->to) && draft_ask(mail, "Subject: ", &d->subject) &&
		draft_ask(mail, "Cc: ", &d->cc) && draft_ask(mail, "Bcc: ", &d->bcc);
}

static bool write_out(struct mail_state *mail, struct draft *d, const char *name)
{
	draft_write(mail, d, name, 0666);
	return true;
}

static bool attach(struct mail_state *mail, struct draft *d, const char *name)
{
	char *path = path_of_file(mail, name);

	if (path != NULL) {
		draft_attach(d, path);
	}
	return true;
}

/* What a row says besides. */
enum {
	SAYS_SO = 1,    /* (continue) */
	KEEPS_DEAD = 2, /* when it fails the letter is given up, and kept in ~/dead.letter */
	ENDS = 4        /* the letter */
};

static const struct escape {
	char letters[3];
	unsigned char flags;
	/* False, or none: the letter is given up. */
	bool (*run)(struct mail_state *mail, struct draft *d, const char *args);
	const char *args; /* NULL: what stands behind the letter */
} escapes[] = {
	{ ".", ENDS, NULL, NULL },
	{ "qQ", KEEPS_DEAD, NULL, NULL },
	{ "x", 0, NULL, NULL },
	{ "?", SAYS_SO, help, NULL },
	{ "!", 0, run_shell, NULL },
	{ ":_", SAYS_SO, run_line, NULL },
	{ "|", SAYS_SO, filter, NULL },
	{ "b", 0, add_bcc, NULL },
	{ "c", 0, add_cc, NULL },
	{ "t", 0, add_to, NULL },
	{ "s", 0, set_subject, NULL },
	{ "h", SAYS_SO | KEEPS_DEAD, ask_headers, NULL },
	{ "d", 0, add_file, "~/dead.letter" },
	{ "r<", 0, add_file, NULL },
	{ "i", 0, add_value, NULL },
	{ "a", 0, add_value, "sign" },
	{ "A", 0, add_value, "Sign" },
	{ "fF", SAYS_SO, insert, NULL },
	{ "mM", SAYS_SO, insert_indented, NULL },
	{ "e", SAYS_SO, edit, "EDITOR" },
	{ "v", SAYS_SO, edit, "VISUAL" },
	{ "p", SAYS_SO, print_draft, NULL },
	{ "w", 0, write_out, NULL },
	{ "@", 0, attach, NULL },
};

/* escape_run - one line: find its row and do what it says */
enum progress escape_run(struct mail_state *mail, struct draft *d, const char *line)
{
	const char *args = line + 2 + strspn(line + 2, " \t");
	const struct escape *e = escapes, *end = escapes + ARRAY_LEN(escapes);

	while (e < end && strchr(e->letters, line[1]) == NULL) {
		e++;
	}
	if (line[1] == '~') {
		buf_addf(&d->text, "%s\n", line + 1);
	} else if (e == end) {
		printf("Unknown tilde escape: ~%c\n", line[1]);
	} else if (e->flags & ENDS) {
		return LETTER_ENDS;
	} else if (e->run == NULL || !e->run(mail, d, e->args != NULL ? e->args : args)) {
		if (e->flags & KEEPS_DEAD) {
			draft_keep_dead(mail, d);
		}
		return LETTER_GIVEN_UP;
	} else if (e->flags & SAYS_SO) {
		printf("(continue)\n");
	}
	return LETTER_GOES_ON;
}
