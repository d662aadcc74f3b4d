/*
 * mail - send and read mail (mailx, Mail, nail)
 *
 *	mail [-s subject] [-c cc] [-b bcc] [-r from] [-a file]... address...	send
 *	mail [-f [file] | -u user] [-e | -H] [-N]				read
 *
 * The command of Heirloom mailx in letters, options and files; see mail.h for how it is divided.
 * Exit status: 0; 1 no mail, nothing sent or an error (64 and up: what sendmail said is printed).
 */
#include "mail.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "applets/applets.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

struct mail_state G;

struct options {
	bool no_rc, read_only, exists_only, headers_only, no_headers, from_headers, force_send,
		tildes;
	const char *file, *user, *batch_header;
	bool have_file;
	struct draft draft;
};

static const char version_text[] = "Heirloom Mail version 12.4 7/29/08.";

/* know_user - who runs this; a uid without an account gets its number as name and HOME or / */
static void know_user(void)
{
	struct passwd *pw = getpwuid(getuid());
	const char *home = getenv("HOME"), *user = getenv("USER");
	char number[24];

	snprintf(number, sizeof(number), "%lu", (unsigned long)getuid());
	G.user = mem_strdup(pw != NULL			      ? pw->pw_name
			    : user != NULL && user[0] != '\0' ? user
							      : number);
	G.home = mem_strdup(home != NULL && home[0] == '/' ? home : pw != NULL ? pw->pw_dir : "/");
}

static void set_defaults(void)
{
	static const char *const flags[] = { "append", "ask", "dot", "header", "hold", "keep",
		"save", "showname" };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		var_set(flags[i], "");
	}
}

static void read_rc_files(const struct options *o)
{
	const char *own = getenv("MAILRC");
	char *path;

	if (!o->no_rc && !rc_read("/etc/mail.rc", true)) {
		(void)rc_read("/etc/nail.rc", true);
	}
	path = path_expand(own != NULL && own[0] != '\0' ? own : "~/.mailrc");
	(void)rc_read(path, true);
	mem_free(path);
}

/* option_S - -S name[=value] */
static void option_S(const char *text)
{
	const char *equals = strchr(text, '=');
	char *name = mem_strndup(text, equals != NULL ? (size_t)(equals - text) : strlen(text));

	var_set(name, equals != NULL ? equals + 1 : "");
	mem_free(name);
}

static void add_attachment(struct draft *d, const char *path)
{
	struct attachment *at = mem_alloc(sizeof(*at)), **end = &d->attachments;

	at->path = mem_strdup(path);
	while (*end != NULL) {
		end = &(*end)->next;
	}
	*end = at;
}

/* one_option - false: not an option of ours */
static bool one_option(struct options *o, int c)
{
	switch (c) {
	case 'a':
		add_attachment(&o->draft, optarg);
		break;
	case 'b':
		list_add(&o->draft.bcc, optarg);
		break;
	case 'c':
		list_add(&o->draft.cc, optarg);
		break;
	case 'r':
		mem_free(o->draft.from);
		o->draft.from = mem_strdup(optarg);
		break;
	case 's':
		buf_reset(&o->draft.subject);
		buf_adds(&o->draft.subject, optarg);
		o->force_send = true;
		break;
	case 'e':
		o->exists_only = true;
		break;
	case 'E':
		var_set("skipemptybody", "");
		break;
	case 'f':
		o->have_file = true;
		break;
	case 'H':
		o->headers_only = true;
		break;
	case 'i':
		var_set("ignore", "");
		break;
	case 'n':
		o->no_rc = true;
		break;
	case 'N':
		o->no_headers = true;
		break;
	case 'R':
		o->read_only = true;
		break;
	case 'S':
		option_S(optarg);
		break;
	case 'u':
		o->user = optarg;
		break;
	case '~':
		o->tildes = true;
		break;
	case 'v':
	case 'd':
	case 'F':
	case 'B':
	case 'I':
		break;		/* accepted: nothing to do with a queue of our own */
	default:
		return false;
	}
	return true;
}

/* send_mode - mail address... */
static int send_mode(struct options *o, char **addresses, int count)
{
	struct buf flat = BUF_INIT;
	int status;

	var_set("sending", "");
	for (int i = 0; i < count; i++) {
		buf_adds(&flat, addresses[i]);
		list_add(&o->draft.to, buf_str(&flat));
		buf_reset(&flat);
	}
	buf_free(&flat);
	for (char *c = o->draft.subject.data; c != NULL && *c != '\0'; c++) {
		*c = *c == '\n' || *c == '\r' ? ' ' : *c;	/* no header can be slipped in */
	}
	if (o->tildes) {
		var_set("tildeescapes", "");
	}
	status = compose(&o->draft, stdin, G.interactive, true);
	draft_free(&o->draft);
	return status;
}

/* read_mode - mail, mail -f file, mail -u user */
static int read_mode(struct options *o, const char *file)
{
	char *path = o->have_file ? path_expand(file != NULL ? file : "&") : NULL;
	int opened;

	if (o->exists_only) {
		int null_err = dup(2);

		if (freopen("/dev/null", "we", stderr) == NULL) {
			close(null_err);
			return 1;
		}
		close(null_err);
	}
	opened = folder_open(path, o->user, o->read_only || o->exists_only || o->headers_only);
	mem_free(path);
	if (opened != 0) {
		return 1;
	}
	if (o->exists_only) {
		bool any = G.count > 0;

		folder_close();
		return any ? 0 : 1;
	}
	if (o->headers_only) {
		headers_window(1);
		for (unsigned n = 25; n <= G.count; n += 20) {
			headers_window(n);
		}
		folder_close();
		return 0;
	}
	if (!o->no_headers && var_on("header")) {
		if (!var_on("quiet")) {
			printf("%s  Type ? for help.\n", version_text);
		}
		folder_banner();
		headers_window(G.current);
	}
	commands_run();
	folder_quit(G.exit_now);
	folder_close();
	return G.exit_status;
}

int mail_main(int argc, char **argv)
{
	struct options o = { .no_rc = false };
	int c;

	log_open("mail", LOG_TO_STDERR);
	know_user();
	set_defaults();
	optind = 1;
	while ((c = getopt(argc, argv, "a:A:b:Bc:dDeEfFhHiInNO:q:r:RS:s:tT:u:vV~")) != -1) {
		if (c == 'V') {
			printf("%s\n", version_text + strlen("Heirloom Mail version "));
			return 0;
		}
		if (!one_option(&o, c)) {
			return applet_usage("mail");
		}
	}
	G.in = stdin;
	G.interactive = isatty(0) != 0;
	read_rc_files(&o);
	if (!o.have_file && o.user == NULL &&
		(optind < argc || o.draft.cc.len > 0 || o.draft.bcc.len > 0)) {
		return send_mode(&o, argv + optind, argc - optind);
	}
	if (o.force_send && !o.have_file) {
		fprintf(stderr, "Send options without primary recipient specified.\n");
		return applet_usage("mail");
	}
	return read_mode(&o, optind < argc ? argv[optind] : NULL);
}
