/*
 * mail - send and read mail (mailx, Mail, nail)
 *
 *	mail [-s subject] [-c cc] [-b bcc] [-r from] [-a file]... address...	send
 *	mail -t	[options] <headers-and-text					send
 *	mail [-f [file] | -u user] [-e | -H] [-N]				read
 *
 * The command of Heirloom mailx in letters, options and files; see state.h for how it is divided.
 * Exit status: 0; 1 no mail, nothing sent or an error (64 and up: what sendmail said is printed).
 */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "mime/header.h"
#include "mime/word.h"
#include "applets/applets.h"
#include "applets/read/mail/command.h"
#include "applets/read/mail/compose/compose.h"
#include "applets/read/mail/compose/draft.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/headers.h"
#include "applets/read/mail/list.h"
#include "applets/read/mail/path.h"
#include "applets/read/mail/quit.h"
#include "applets/read/mail/rc.h"
#include "applets/read/mail/compose/send.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/vars.h"

struct options {
	bool no_rc, read_only, exists_only, headers_only, no_headers, force_send, tildes;
	const char *user;
	bool have_file, from_headers;
	const char *quote_file;
	const char **set; /* -S, again after the rc files: they win */
	size_t set_count;
	char **operands;
	int operand_count;
	struct draft draft;
};

enum { TEMPLATE_MAX = 1 << 28 };

static const char version_text[] = "Heirloom Mail version 12.4 7/29/08.";

/* know_user - who runs this; a uid without an account gets its number as name and HOME or / */
static void know_user(struct mail_state *mail)
{
	struct passwd *pw = getpwuid(getuid());
	const char *home = getenv("HOME"), *user = getenv("USER");
	char number[24];

	snprintf(number, sizeof(number), "%lu", (unsigned long)getuid());
	mail->user = mem_strdup(pw != NULL                ? pw->pw_name
			: user != NULL && user[0] != '\0' ? user
							  : number);
	mail->home = mem_strdup(home != NULL && home[0] == '/' ? home
			: pw != NULL                           ? pw->pw_dir
							       : "/");
}

/* set_defaults - what the rc file of CentOS sets */
static void set_defaults(struct mail_state *mail)
{
	static const char flags[][9] = { "append", "ask", "crt", "dot", "header", "hold", "keep",
		"quote", "save", "showname" };
	static const char ignored[][26] = { "received", "in-reply-to", "message-id", "references",
		"mime-version", "content-transfer-encoding" };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		var_set(mail, flags[i], "");
	}
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
		hash_set(&mail->ignored, ignored[i], &mail->ignored);
	}
	var_set(mail, "indentprefix", "> ");
	var_set(mail, "newmail", "nopoll");
}

/* read_rc_files - the system's, then the user's */
static void read_rc_files(struct mail_state *mail, const struct options *o)
{
	const char *own = getenv("MAILRC");
	char *path;

	if (!o->no_rc && !rc_read(mail, "/etc/mail.rc", true)) {
		(void)rc_read(mail, "/etc/nail.rc", true);
	}
	path = path_of_file(mail, own != NULL && own[0] != '\0' ? own : "~/.mailrc");
	if (path != NULL) {
		(void)rc_read(mail, path, true);
	}
	mem_free(path);
}

/* option_S - -S name[=value] */
static void option_S(struct mail_state *mail, const char *text)
{
	const char *equals = strchr(text, '=');
	char *name = mem_strndup(text, equals != NULL ? (size_t)(equals - text) : strlen(text));

	var_set(mail, name, equals != NULL ? equals + 1 : "");
	mem_free(name);
}

/* option_flag - one that only says yes; false: none of these */
static bool option_flag(struct options *o, int c)
{
	static const struct {
		char letter;
		unsigned char at; /* in the options */
	} flags[] = {
		{ 'e', offsetof(struct options, exists_only) },
		{ 'f', offsetof(struct options, have_file) },
		{ 'H', offsetof(struct options, headers_only) },
		{ 'n', offsetof(struct options, no_rc) },
		{ 'N', offsetof(struct options, no_headers) },
		{ 'R', offsetof(struct options, read_only) },
		{ 't', offsetof(struct options, from_headers) },
		{ '~', offsetof(struct options, tildes) },
	};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (flags[i].letter == c) {
			*(bool *)((char *)o + flags[i].at) = true;
			return true;
		}
	}
	return false;
}

/* option_variable - one that stands for `set name`; false: none of these */
static bool option_variable(struct mail_state *mail, int c)
{
	const char *name = c == 'E' ? "skipemptybody"
		: c == 'i'          ? "ignore"
		: c == 'v'          ? "verbose"
		: c == 'd'          ? "debug"
				    : NULL;

	if (name != NULL) {
		var_set(mail, name, "");
	}
	return name != NULL;
}

/* option_value - one with an argument; false: none of these */
static bool option_value(struct mail_state *mail, struct options *o, int c, char *value)
{
	switch (c) {
	case 'a':
		draft_attach(&o->draft, mem_strdup(value));
		break;
	case 'b':
		list_add(&o->draft.bcc, value);
		break;
	case 'c':
		list_add(&o->draft.cc, value);
		break;
	case 'r':
		mem_free(o->draft.from);
		o->draft.from = mem_strdup(value);
		break;
	case 's':
		buf_reset(&o->draft.subject);
		buf_adds(&o->draft.subject, value);
		o->force_send = true;
		break;
	case 'S':
		option_S(mail, value);
		o->set = mem_realloc(o->set, (o->set_count + 1) * sizeof(*o->set));
		o->set[o->set_count++] = value;
		break;
	case 'u':
		o->user = value;
		break;
	case 'q':
		o->quote_file = value;
		break;
	default:
		return false;
	}
	return true;
}

/* one_option - false: not an option of ours */
static bool one_option(struct mail_state *mail, struct options *o, int c)
{
	/* The last ones are accepted: of no use with a queue of our own, or of news. */
	return option_flag(o, c) || option_variable(mail, c) || option_value(mail, o, c, optarg) ||
		strchr("FBIhOT", c) != NULL;
}

/* add_field_of - -t: one header of the template */
static void add_field_of(struct mail_state *mail, struct draft *d, const struct mime_field *f)
{
	struct buf value = BUF_INIT;

	mime_unfold(&value, f->value);
	if (slice_ieq(f->name, "To")) {
		list_add(&d->to, buf_str(&value));
	} else if (slice_ieq(f->name, "Cc")) {
		list_add(&d->cc, buf_str(&value));
	} else if (slice_ieq(f->name, "Bcc")) {
		list_add(&d->bcc, buf_str(&value));
	} else if (slice_ieq(f->name, "Subject")) {
		buf_reset(&d->subject);
		mime_words_decode(&d->subject, f->value, NULL);
	} else if (slice_ieq(f->name, "From") && d->from == NULL) {
		var_set(mail, "from", buf_str(&value));
	} else if (slice_ieq(f->name, "Reply-To")) {
		var_set(mail, "replyto", buf_str(&value));
	} else if (f->name.len > 0) {
		fprintf(stderr, "%.*s: header ignored\n", (int)f->name.len, f->name.ptr);
	}
	buf_free(&value);
}

/* template_mode - -t: standard input is headers, a blank line, the text */
static int template_mode(struct mail_state *mail, struct options *o)
{
	struct buf input = BUF_INIT;
	struct slice rest;
	struct mime_field field;
	size_t n = 1;

	while (n > 0 && input.len < TEMPLATE_MAX) {
		n = fread(buf_reserve(&input, 65536), 1, 65536, stdin);
		buf_added(&input, n);
	}
	rest = (struct slice){ buf_str(&input), input.len };
	while (mime_field_next(&rest, &field)) {
		add_field_of(mail, &o->draft, &field);
	}
	if (rest.len > 0 && (rest.ptr[0] == '\n' || str_starts(rest.ptr, "\r\n"))) {
		size_t blank = rest.ptr[0] == '\n' ? 1 : 2;

		rest.ptr += blank;
		rest.len -= blank;
	}
	buf_add(&o->draft.text, rest.ptr, rest.len);
	buf_free(&input);
	return send_draft(mail, &o->draft);
}

/* add_quote_file - -q: the text begins with that file */
static bool add_quote_file(struct draft *d, const char *path)
{
	size_t len = 0;
	char *data = file_read(path, TEMPLATE_MAX, &len);

	if (data == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	buf_add(&d->text, data, len);
	mem_free(data);
	return true;
}

/* may_attach - a file that cannot be read is said before a text is typed */
static bool may_attach(const struct draft *d)
{
	for (const struct attachment *at = d->attachments; at != NULL; at = at->next) {
		if (access(at->path, R_OK) != 0) {
			fprintf(stderr, "%s: %s\n", at->path, strerror(errno));
			return false;
		}
	}
	return true;
}

/* send_mode - mail address... */
static int send_mode(struct mail_state *mail, struct options *o)
{
	int status = 1;

	for (int i = 0; i < o->operand_count; i++) {
		list_add(&o->draft.to, o->operands[i]);
	}
	for (char *c = o->draft.subject.data; c != NULL && *c != '\0'; c++) {
		*c = *c == '\n' || *c == '\r' ? ' ' : *c; /* no header can be slipped in */
	}
	if (o->tildes) {
		var_set(mail, "tildeescapes", "");
	}
	if (may_attach(&o->draft) &&
		(o->quote_file == NULL || add_quote_file(&o->draft, o->quote_file))) {
		status = o->from_headers ? template_mode(mail, o) : compose(mail, &o->draft, true);
	}
	draft_free(&o->draft);
	return status;
}

/* read_mode - mail, mail -f file, mail -u user */
static int read_mode(struct mail_state *mail, struct options *o, const char *file)
{
	char *path = o->have_file ? path_of_folder(mail, file != NULL ? file : "&") : NULL;
	int opened;

	if (o->exists_only) {
		int null_err = dup(2);

		if (freopen("/dev/null", "we", stderr) == NULL) {
			close(null_err);
			return 1;
		}
		close(null_err);
	}
	opened =
		folder_open(mail, path, o->user, o->read_only || o->exists_only || o->headers_only);
	mem_free(path);
	if (opened != 0) {
		return 1;
	}
	if (o->exists_only) {
		return mail->count > 0 ? 0 : 1;
	}
	if (o->headers_only) {
		headers_all(mail);
		return 0;
	}
	if (!o->no_headers && var_on(mail, "header")) {
		if (!var_on(mail, "quiet")) {
			printf("%s  Type ? for help.\n", version_text);
		}
		folder_banner(mail);
		headers_window(mail, mail->current);
	}
	commands_run(mail);
	folder_quit(mail, mail->exit_now);
	return mail->exit_status;
}

/*
 * parse_options - also behind addresses (`mail root -s subject`), as people write it; 0, 1 usage,
 * 2 done
 */
static int parse_options(struct mail_state *mail, struct options *o, int argc, char **argv)
{
	/* '-' first: an operand comes as option 1 */
	static const char letters[] = "-a:b:Bc:dEeFfh:HiInNO:q:r:RS:s:tT:u:vV~";
	int c;

	o->operands = mem_calloc((size_t)argc + 1, sizeof(*o->operands));
	optind = 1;
	while ((c = getopt(argc, argv, letters)) != -1) {
		if (c == 1) {
			o->operands[o->operand_count++] = optarg;
		} else if (c == 'V') {
			printf("12.4 7/29/08\n");
			return 2;
		} else if (!one_option(mail, o, c)) {
			return 1;
		}
	}
	while (optind < argc) {
		o->operands[o->operand_count++] = argv[optind++];
	}
	return 0;
}

/* run - as the options say; the exit status */
static int run(struct mail_state *mail, struct options *o)
{
	mail->in = stdin;
	mail->run_line = command_line;
	mail->interactive = isatty(0) != 0;
	if (mail->interactive) {
		setvbuf(stdin, NULL, _IONBF, 0); /* compose/compose.c waits for it with ppoll */
	}
	mail->sending = !o->have_file && o->user == NULL &&
		(o->operand_count > 0 || o->draft.cc.len > 0 || o->draft.bcc.len > 0 ||
			o->from_headers);
	read_rc_files(mail, o);
	for (size_t i = 0; i < o->set_count; i++) {
		option_S(mail, o->set[i]);
	}
	if (mail->sending) {
		return send_mode(mail, o);
	}
	if ((o->force_send || o->draft.attachments != NULL || o->quote_file != NULL) &&
		!o->have_file) {
		fprintf(stderr, "Send options without primary recipient specified.\n");
		return applet_usage("mail");
	}
	return read_mode(mail, o, o->operand_count > 0 ? o->operands[0] : NULL);
}

/* mail_main - know who and what, then run */
int mail_main(int argc, char **argv)
{
	struct mail_state state = { .in = NULL }, *mail = &state;
	struct options o = { .no_rc = false };
	int parsed, status;

	log_open("mail", LOG_TO_SYSLOG); /* errors are printed; the rest is not for the user */
	know_user(mail);
	set_defaults(mail);
	parsed = parse_options(mail, &o, argc, argv);
	status = parsed == 0 ? run(mail, &o) : parsed == 1 ? applet_usage("mail") : 0;
	folder_close(mail);
	state_free(mail);
	draft_free(&o.draft);
	mem_free(o.operands);
	mem_free(o.set);
	return status;
}
