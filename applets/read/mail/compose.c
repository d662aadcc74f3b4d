/*
 * compose - a message from the terminal or from a file
 *
 * On a terminal: Subject: is asked for, a lone dot or end of file ends the text, lines that begin
 * with ~ are escapes, and after one interrupt the next ends without sending. From a file or pipe
 * the whole input is the text (escapes only with -~).
 */
#include "mail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "mime/address.h"

enum { TEXT_MAX = 1 << 28, INCLUDE_MAX = 1 << 26 };

static void count_interrupt(int signo)
{
	(void)signo;
	G.interrupts++;
}

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

/* read_line - one line without its end; false at the end of input or when interrupted */
static bool read_line(FILE *in, struct buf *line)
{
	int c;

	buf_reset(line);
	while ((c = getc(in)) != EOF && c != '\n') {
		buf_addc(line, (char)c);
	}
	if (c == EOF && errno == EINTR) {
		clearerr(in);
	}
	return c != EOF || line->len > 0;
}

static void ask(FILE *in, const char *prompt, struct buf *into)
{
	struct buf line = BUF_INIT;

	printf("%s%s", prompt, buf_str(into));
	fflush(stdout);
	if (read_line(in, &line)) {
		buf_adds(into, buf_str(&line));
	}
	buf_free(&line);
}

/* ---- Escapes ---- */

static void add_file(struct draft *d, const char *name)
{
	size_t len = 0;
	char *path = path_expand(name);
	char *data = path != NULL ? file_read(path, INCLUDE_MAX, &len) : NULL;

	if (data == NULL) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
	} else {
		buf_add(&d->text, data, len);
		printf("\"%s\" %zu bytes\n", path, len);
	}
	mem_free(data);
	mem_free(path);
}

/* add_messages - ~f as they are, ~m behind the indent prefix */
static void add_messages(struct draft *d, const char *list_text, bool indent)
{
	unsigned *list = G.view != NULL ? msglist_parse(list_text, false) : NULL;
	const char *prefix = var_get("indentprefix");

	if (G.view == NULL) {
		printf("No messages to send from!\n");
	}
	for (unsigned *n = list; n != NULL && *n != 0; n++) {
		if (indent) {
			show_quoted(
				&d->text, *n, prefix != NULL && prefix[0] != '\0' ? prefix : "\t");
		} else {
			(void)message_text(*n, &d->text);
		}
	}
	mem_free(list);
}

/* edit - the text through an editor and back */
static void edit(struct draft *d, const char *variable, const char *fallback)
{
	char path[] = "/tmp/mail.XXXXXX";
	const char *editor = var_get(variable);
	struct buf command = BUF_INIT;
	int fd = mkostemp(path, O_CLOEXEC);
	size_t len = 0;
	char *data;

	if (fd < 0 || fd_write_all(fd, buf_str(&d->text), d->text.len) != 0) {
		perror(path);
		if (fd >= 0) {
			close(fd);
			unlink(path);
		}
		return;
	}
	close(fd);
	buf_addf(&command, "%s %s", editor != NULL && editor[0] != '\0' ? editor : fallback, path);
	if (shell_run(buf_str(&command)) == 0 && (data = file_read(path, TEXT_MAX, &len)) != NULL) {
		buf_reset(&d->text);
		buf_add(&d->text, data, len);
		mem_free(data);
	}
	unlink(path);
	buf_free(&command);
}

static void print_draft(const struct draft *d)
{
	printf("-------\nMessage contains:\n");
	if (d->to.len > 0) {
		printf("To: %s\n", buf_str(&d->to));
	}
	if (d->cc.len > 0) {
		printf("Cc: %s\n", buf_str(&d->cc));
	}
	if (d->bcc.len > 0) {
		printf("Bcc: %s\n", buf_str(&d->bcc));
	}
	printf("Subject: %s\n\n%s", buf_str(&d->subject), buf_str(&d->text));
}

static void attach(struct draft *d, const char *name)
{
	struct attachment *at = mem_alloc(sizeof(*at)), **end = &d->attachments;

	at->path = path_expand(name);
	while (*end != NULL) {
		end = &(*end)->next;
	}
	*end = at;
}

static void write_text(const struct draft *d, const char *name)
{
	char *path = path_expand(name);
	FILE *file = path != NULL ? fopen(path, "ae") : NULL;

	if (file == NULL || fwrite(buf_str(&d->text), 1, d->text.len, file) != d->text.len) {
		perror(name);
	}
	if (file != NULL) {
		fclose(file);
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
	       "~@ file  attach a file                 ~!command  run a command\n");
}

enum escape_result { ESCAPE_DONE, ESCAPE_END, ESCAPE_ABORT, ESCAPE_QUIT };

static enum escape_result escape(struct draft *d, FILE *in, const char *line)
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
		(void)shell_run(args[0] != '\0' ? args : NULL);
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
		add_file(d, "~/dead.letter");
		break;
	case 'r':
	case '<':
		add_file(d, args);
		break;
	case 'f':
	case 'F':
		add_messages(d, args, false);
		break;
	case 'm':
	case 'M':
		add_messages(d, args, true);
		break;
	case 'e':
		edit(d, "EDITOR", "ed");
		break;
	case 'v':
		edit(d, "VISUAL", "vi");
		break;
	case 'p':
		print_draft(d);
		break;
	case 'w':
		write_text(d, args);
		break;
	case '@':
		attach(d, args);
		break;
	case 'h':
		ask(in, "To: ", &d->to);
		ask(in, "Subject: ", &d->subject);
		ask(in, "Cc: ", &d->cc);
		ask(in, "Bcc: ", &d->bcc);
		break;
	default:
		printf("Unknown tilde escape: ~%c\n", line[1]);
		break;
	}
	if (line[1] != '~' && line[1] != 's' && line[1] != 't' && line[1] != 'c' &&
		line[1] != 'b') {
		printf("(continue)\n");
	}
	return ESCAPE_DONE;
}

/* keep_dead - the text given up with ~q or two interrupts */
static void keep_dead(const struct draft *d)
{
	if (d->text.len > 0 && !var_on("nosave") && var_on("save")) {
		write_text(d, "~/dead.letter");
	}
}

/* read_text - false: given up */
static bool read_text(struct draft *d, FILE *in, bool terminal)
{
	bool escapes = terminal || var_on("tildeescapes"),
	     dot = terminal && (var_on("dot") || var_on("ignoreeof"));
	struct buf line = BUF_INIT;
	bool sent = true;
	int seen = 0;

	for (;;) {
		errno = 0;
		if (!read_line(in, &line)) {
			if (!(terminal && G.interrupts != seen)) {
				break;		/* end of input */
			}
			seen = (int)G.interrupts;
			if (seen > 1) {
				keep_dead(d);
				sent = false;
				break;
			}
			printf("\n(Interrupt -- one more to kill letter)\n");
			continue;
		}
		if (dot && strcmp(buf_str(&line), ".") == 0) {
			break;
		}
		if (escapes && buf_str(&line)[0] == '~' && buf_str(&line)[1] != '\0') {
			enum escape_result result = escape(d, in, buf_str(&line));

			if (result == ESCAPE_END) {
				break;
			}
			if (result != ESCAPE_DONE) {
				if (result == ESCAPE_QUIT) {
					keep_dead(d);
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

int compose(struct draft *d, FILE *in, bool terminal, bool ask_subject)
{
	struct sigaction act = { .sa_handler = count_interrupt }, old;
	bool go_on;

	G.interrupts = 0;
	if (terminal) {
		sigaction(SIGINT, &act, &old);	/* without SA_RESTART: reading a line stops */
		if (ask_subject && (var_on("ask") || var_on("asksub")) && d->subject.len == 0) {
			ask(in, "Subject: ", &d->subject);
		}
		if (var_on("askcc")) {
			ask(in, "Cc: ", &d->cc);
		}
	}
	go_on = read_text(d, in, terminal);
	if (terminal) {
		clearerr(in);
		sigaction(SIGINT, &old, NULL);
		if (go_on) {
			printf("EOT\n");
		}
	}
	if (!go_on) {
		return 1;
	}
	if (d->text.len == 0 && d->attachments == NULL) {
		if (var_on("skipemptybody")) {
			return 0;
		}
		if (!terminal) {
			fprintf(stderr, "Null message body; hope that's ok\n");
		}
	}
	return send_draft(d);
}

/* ---- Replies and forwards ---- */

/* add_address - to a list, unless it is us */
static void add_address(struct buf *list, const struct mime_address *m)
{
	struct buf one = BUF_INIT;

	if (m->mailbox == NULL || m->mailbox[0] == '\0' || mime_address_is_group(m)) {
		return;
	}
	if (m->domain != NULL && m->domain[0] != '\0') {
		mime_address_put(&one, m);
	} else {
		buf_adds(&one, m->mailbox);
	}
	if (strcasestr(buf_str(list), buf_str(&one)) == NULL &&
	    (var_on("metoo") || !str_ieq(m->mailbox, G.user))) {
		list_add(list, buf_str(&one));
	}
	buf_free(&one);
}

static void add_field(struct buf *list, struct arena *a, unsigned n, const char *name)
{
	int left = 1000;

	for (struct mime_address *m = mime_addresses(a, slice_of(message_raw_field(a, n, name)));
		m != NULL && left-- > 0; m = m->next) {
		add_address(list, m);
	}
}

void draft_reply(struct draft *d, unsigned n, bool all)
{
	struct arena a = ARENA_INIT;
	const char *to = message_raw_field(&a, n, "Reply-To");
	const char *subject = message_field(&a, n, "Subject"),
		   *id = message_raw_field(&a, n, "Message-ID");
	const char *references = message_raw_field(&a, n, "References");

	add_field(&d->to, &a, n, to[0] != '\0' ? "Reply-To" : "From");
	if (d->to.len == 0) {			/* a mail to ourselves is answered all the same */
		list_add(&d->to, message_from(&a, n, true));
	}
	if (all) {
		add_field(&d->to, &a, n, "To");
		add_field(&d->cc, &a, n, "Cc");
	}
	buf_addf(&d->subject, "%s%s", str_istarts(subject, "re:") ? "" : "Re: ", subject);
	if (id[0] != '\0') {
		buf_adds(&d->in_reply_to, id);
		buf_addf(&d->references, "%s%s%s", references, references[0] != '\0' ? "\n " : "",
			id);
	}
	if (var_on("quote")) {
		const char *prefix = var_get("indentprefix");

		buf_addf(&d->text, "%s wrote:\n\n", message_from(&a, n, false));
		show_quoted(&d->text, n, prefix != NULL && prefix[0] != '\0' ? prefix : "> ");
	}
	arena_free(&a);
}

void draft_forward(struct draft *d, unsigned n)
{
	struct arena a = ARENA_INIT;
	const char *subject = message_field(&a, n, "Subject");
	struct buf text = BUF_INIT;

	buf_addf(&d->subject, "%s%s", str_istarts(subject, "fwd:") ? "" : "Fwd: ", subject);
	buf_adds(&d->text, "\n-------- Original Message --------\n");
	buf_addf(&d->text, "From: %s\nTo: %s\nDate: %s\nSubject: %s\n\n",
		message_field(&a, n, "From"), message_field(&a, n, "To"),
		message_field(&a, n, "Date"), subject);
	show_quoted(&text, n, "");
	buf_add(&d->text, buf_str(&text), text.len);
	buf_free(&text);
	arena_free(&a);
}
