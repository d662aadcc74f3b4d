/*
 * compose - a message from the terminal or from a file
 *
 * On a terminal: Subject: is asked for, a lone dot or end of file ends the text, lines that begin
 * with ~ are escapes, and after one interrupt the next ends without sending. From a file or pipe
 * the whole input is the text (escapes only with -~).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "applets/read/mail/mail.h"

enum { TEXT_MAX = 1 << 28, INCLUDE_MAX = 1 << 26 };

/* ---- Escapes ---- */

/* say_counts - "name" lines/bytes */
static void say_counts(const char *name, const char *data, size_t len)
{
	unsigned long lines = 0;

	for (size_t i = 0; i < len; i++) {
		lines += data[i] == '\n';
	}
	printf("\"%s\" %lu/%zu\n", name, lines, len);
}

/* add_output - ~<!command: what a command prints */
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
	say_counts(command, buf_str(&d->text) + before, d->text.len - before);
}

static void add_file(struct mail_state *mail, struct draft *d, const char *name)
{
	size_t len = 0;
	char *path = path_expand(mail, name);
	char *data = path != NULL ? file_read(path, INCLUDE_MAX, &len) : NULL;

	if (name[0] == '\0') {
		printf("Interpolate what file?\n");
	} else if (data == NULL) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
	} else {
		buf_add(&d->text, data, len);
		say_counts(path, data, len);
	}
	mem_free(data);
	mem_free(path);
}

/* add_value - ~i variable, ~a sign, ~A Sign; \n and \t in it are understood */
static void add_value(struct mail_state *mail, struct draft *d, const char *name)
{
	const char *value = var_get(mail, name);
	size_t before = d->text.len;

	if (value == NULL || value[0] == '\0') {
		printf("%s: not set\n", name);
		return;
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
}

/* filter - ~|command: the text goes in, what comes out is the text; nothing: it stays */
static void filter(struct draft *d, const char *command)
{
	char path[] = "/tmp/mail.XXXXXX";
	struct buf line = BUF_INIT;
	int fd = mkostemp(path, O_CLOEXEC);
	size_t len;

	buf_addf(&line, "(%s\n) <%s", command, path);
	if (fd < 0 || fd_write_all(fd, buf_str(&d->text), d->text.len) != 0) {
		perror(path);
	} else {
		FILE *from = popen(buf_str(&line), "re");
		struct buf out = BUF_INIT;
		char piece[4096];

		while (from != NULL && (len = fread(piece, 1, sizeof(piece), from)) > 0 &&
			out.len < TEXT_MAX) {
			buf_add(&out, piece, len);
		}
		if (from == NULL || pclose(from) != 0 || out.len == 0) {
			printf("\"%s\" failed or printed nothing: the text stays as it was\n",
				command);
			buf_free(&out);
		} else {
			buf_free(&d->text);
			d->text = out;
			say_counts(command, buf_str(&out), out.len);
		}
	}
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	buf_free(&line);
}

/* run_line - ~: and ~_: a command of mail */
static void run_line(struct mail_state *mail, const char *command)
{
	char *copy = mem_strdup(command);

	mail->run_line(mail, copy, false);
	mem_free(copy);
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

static void print_draft(struct mail_state *mail, const struct draft *d)
{
	const struct {
		const char *name;
		const struct buf *value;
	} fields[] = { { "To", &d->to }, { "Cc", &d->cc }, { "Bcc", &d->bcc },
		{ "Subject", &d->subject } };

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
}

static void attach(struct mail_state *mail, struct draft *d, const char *name)
{
	struct attachment *at = mem_alloc(sizeof(*at)), **end = &d->attachments;

	at->path = path_expand(mail, name);
	while (*end != NULL) {
		end = &(*end)->next;
	}
	*end = at;
}

static void write_text(
	struct mail_state *mail, const struct draft *d, const char *name, mode_t mode)
{
	char *path = path_expand(mail, name);
	int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode) : -1;
	bool ok = fd >= 0 && fd_write_all(fd, buf_str(&d->text), d->text.len) == 0;

	if (fd >= 0 && close(fd) != 0) {
		ok = false;
	}
	if (ok) {
		say_counts(path, buf_str(&d->text), d->text.len);
	} else {
		perror(name);
	}
	mem_free(path);
}

static void escape_help(void)
{
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
}

enum escape_result { ESCAPE_DONE, ESCAPE_END, ESCAPE_ABORT, ESCAPE_QUIT };

static enum escape_result escape(
	struct mail_state *mail, struct draft *d, FILE *in, const char *line)
{
	const char *args = line + 2 + strspn(line + 2, " \t");

	switch (line[1]) {
	case '.':
		return ESCAPE_END;
	case 'q':
	case 'Q':
		return ESCAPE_QUIT;
	case 'x':
		return ESCAPE_ABORT;
	case '?':
		escape_help();
		break;
	case '~':
		buf_addf(&d->text, "%s\n", line + 1);
		break;
	case '!':
		(void)shell_run(mail, args[0] != '\0' ? args : NULL);
		printf("!\n");
		break;
	case 'b':
		list_add(&d->bcc, args);
		break;
	case 'c':
		list_add(&d->cc, args);
		break;
	case 't':
		list_add(&d->to, args);
		break;
	case 's':
		buf_reset(&d->subject);
		buf_adds(&d->subject, args);
		break;
	case 'd':
		add_file(mail, d, "~/dead.letter");
		break;
	case 'r':
	case '<':
		if (args[0] == '!') {
			add_output(d, args + 1);
		} else {
			add_file(mail, d, args);
		}
		break;
	case 'i':
		add_value(mail, d, args);
		break;
	case 'a':
		add_value(mail, d, "sign");
		break;
	case 'A':
		add_value(mail, d, "Sign");
		break;
	case '|':
		filter(d, args);
		break;
	case ':':
	case '_':
		run_line(mail, args);
		break;
	case 'f':
	case 'F':
		add_messages(mail, d, args, false);
		break;
	case 'm':
	case 'M':
		add_messages(mail, d, args, true);
		break;
	case 'e':
		(void)shell_edit(mail, &d->text, "EDITOR", "ed");
		break;
	case 'v':
		(void)shell_edit(mail, &d->text, "VISUAL", "vi");
		break;
	case 'p':
		print_draft(mail, d);
		break;
	case 'w':
		write_text(mail, d, args, 0666);
		break;
	case '@':
		attach(mail, d, args);
		break;
	case 'h':
		if (!draft_ask(mail, in, "To: ", &d->to) ||
			!draft_ask(mail, in, "Subject: ", &d->subject) ||
			!draft_ask(mail, in, "Cc: ", &d->cc) ||
			!draft_ask(mail, in, "Bcc: ", &d->bcc)) {
			return ESCAPE_QUIT;
		}
		break;
	default:
		printf("Unknown tilde escape: ~%c\n", line[1]);
		break;
	}
	if (strchr("ehmMpvfF|:_?", line[1]) != NULL) {
		printf("(continue)\n");
	}
	return ESCAPE_DONE;
}

/* keep_dead - the text given up with ~q or two interrupts */
static void keep_dead(struct mail_state *mail, const struct draft *d)
{
	if (d->text.len > 0 && !var_on(mail, "nosave") && var_on(mail, "save")) {
		write_text(mail, d, "~/dead.letter", 0600);
	}
}

/* read_text - false: given up */
static bool read_text(struct mail_state *mail, struct draft *d, FILE *in, bool terminal)
{
	bool escapes = terminal || var_on(mail, "tildeescapes"),
	     dot = terminal && (var_on(mail, "dot") || var_on(mail, "ignoreeof"));
	struct buf line = BUF_INIT;
	bool sent = true, killed;

	for (;;) {
		if (!read_line(mail, in, &line)) {
			if (hangup_came()) {
				buf_add(&d->text, buf_str(&line), line.len);
				keep_dead(mail, d);
				sent = false;
				break;
			}
			if (!terminal || !draft_interrupted(mail, &killed)) {
				if (terminal && var_on(mail, "ignoreeof") &&
					mail->eof_count++ < 3) {
					printf("Use \".\" to terminate letter.\n");
					clearerr(in);
					continue;
				}
				break; /* end of input */
			}
			if (killed) {
				keep_dead(mail, d);
				sent = false;
				break;
			}
			continue;
		}
		interrupts_forget(mail);
		if (dot && strcmp(buf_str(&line), ".") == 0) {
			break;
		}
		if (escapes && buf_str(&line)[0] == '~' && buf_str(&line)[1] != '\0') {
			enum escape_result result = escape(mail, d, in, buf_str(&line));

			if (result == ESCAPE_END) {
				break;
			}
			if (result != ESCAPE_DONE) {
				if (result == ESCAPE_QUIT) {
					keep_dead(mail, d);
				}
				sent = false;
				break;
			}
			continue;
		}
		buf_add(&d->text, buf_str(&line), line.len);
		buf_addc(&d->text, '\n');
		if (d->text.len > TEXT_MAX) {
			fprintf(stderr, "message too large\n");
			sent = false;
			break;
		}
	}
	buf_free(&line);
	return sent;
}

int compose(struct mail_state *mail, struct draft *d, FILE *in, bool terminal, bool ask_subject)
{
	struct sigaction before;
	bool go_on = true;

	hangup_catch(&before);
	interrupts_forget(mail);
	mail->eof_count = 0;
	if (terminal) {
		interrupts_catch(mail, true);
		go_on = (!(ask_subject && (var_on(mail, "ask") || var_on(mail, "asksub")) &&
				 d->subject.len == 0) ||
				draft_ask(mail, in, "Subject: ", &d->subject)) &&
			(!var_on(mail, "askcc") || draft_ask(mail, in, "Cc: ", &d->cc)) &&
			(!var_on(mail, "askbcc") || draft_ask(mail, in, "Bcc: ", &d->bcc));
		if (go_on && d->text.len > 0) { /* what is quoted */
			terminal_say(mail, stdout, buf_str(&d->text));
			fflush(stdout);
		}
	}
	go_on = go_on && read_text(mail, d, in, terminal);
	hangup_release(&before);
	if (hangup_came()) {
		mail->quit = mail->exit_now = true; /* nobody is there any more */
	}
	if (terminal) {
		clearerr(in);
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
