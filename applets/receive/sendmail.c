/*
 * sendmail - how programs hand mail in
 *
 *	sendmail [options] recipient...  < message
 *	sendmail -t [options]            < message with its recipients in the headers
 *
 * Exit status 0 means that the message is on the disk (message/submit.h), whether the
 * server runs or not. Otherwise it is one of sysexits.h: EX_USAGE, EX_DATAERR,
 * EX_UNAVAILABLE (refused for good), EX_TEMPFAIL (try again), EX_CONFIG.
 *
 * -bs, -bp, -bi, -bd and -q are other applets under Sendmail's names. Options
 * that mean nothing here are accepted, as scripts pass them.
 */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "mime/address.h"
#include "mime/header.h"
#include "proto/smtp.h"
#include "queue/queue_message.h"
#include "message/verp.h"
#include "message/submit.h"
#include "applets/applets.h"
#include "applets/receive/sendmail_options.h"

enum { READ_SIZE = 65536, HEADERS_MAX = 10 * 1024 * 1024, RECIPIENTS_MAX = 100000 };

static struct G {
	struct arena arena;
	struct submit *submit;
	const char *sender;
	struct sendmail_options options;
	const char **recipients;
	size_t recipient_count;
	/* The reader. */
	bool at_line, done;     /* at a line's start; the dot came */
	size_t crs;             /* CRs that are held back */
	bool dot;               /* a dot at the line's start is held back */
	bool strip_cr, decided; /* sendmail_fix_line_endings */
	bool in_body;
	uint64_t size;      /* of the content so far */
	struct buf headers; /* -t: until they are complete */
} G = { .at_line = true };

static _Noreturn void die(int status, const char *text)
{
	text = arena_strdup(&G.arena, text); /* it may be the submission's */
	submit_free(G.submit);               /* what was written so far goes */
	sendmail_end(status, text);
}

/* run_applet - another applet in our place */
static _Noreturn void run_applet(const char *name, const char *arg, const char *arg2)
{
	char *argv[4] = { arena_strdup(&G.arena, name), NULL, NULL, NULL };
	const struct applet *applet = applet_find(name);
	int argc = 1;

	if (applet == NULL) {
		die(EX_UNAVAILABLE, arena_printf(&G.arena, "there is no %s in this build", name));
	}
	if (arg != NULL) {
		argv[argc++] = arena_strdup(&G.arena, arg);
	}
	if (arg2 != NULL) {
		argv[argc++] = arena_strdup(&G.arena, arg2);
	}
	optind = 1;
	exit(applet_call(applet, argc, argv));
}

/* ---- Recipients ---- */

static void add_recipient(const char *address)
{
	if (G.recipient_count == RECIPIENTS_MAX) {
		die(EX_USAGE, "too many recipients");
	}
	if ((G.recipient_count & (G.recipient_count + 1)) == 0) {
		const char **more =
			arena_alloc(&G.arena, (G.recipient_count * 2 + 2) * sizeof(*more));

		if (G.recipient_count > 0) {
			memcpy(more, G.recipients, G.recipient_count * sizeof(*more));
		}
		G.recipients = more;
	}
	G.recipients[G.recipient_count++] = address;
}

/*
 * is_guess - "a@@b", "a@" or "a b": the parser makes "a" of the first two and nothing of the last.
 * Such an element is queued as it is written, so that it bounces to the sender and neither reaches
 * somebody else nor gets lost.
 */
static bool is_guess(struct slice item, const struct mime_address *m)
{
	return m != NULL && m->next == NULL && m->broken && m->mailbox != NULL &&
		m->domain != NULL && memchr(item.ptr, '<', item.len) == NULL &&
		(*m->mailbox == '\0' ||
			(*m->domain == '\0' && memchr(item.ptr, '@', item.len) != NULL));
}

/* add_item - one element of a list: an address or a group of them */
static void add_item(struct slice item)
{
	const struct mime_address *m = mime_addresses(&G.arena, item);

	if (is_guess(item, m)) {
		struct buf b = BUF_INIT;

		mime_unfold(&b, item);
		add_recipient(arena_strdup(&G.arena, buf_str(&b)));
		buf_free(&b);
		return;
	}
	for (; m != NULL; m = m->next) {
		struct buf b = BUF_INIT;

		if (m->domain == NULL || m->mailbox == NULL || *m->mailbox == '\0') {
			continue; /* a group's start or end */
		}
		mime_address_put(&b, m);
		add_recipient(arena_strdup(&G.arena, buf_str(&b)));
		buf_free(&b);
	}
}

/* add_list - the addresses of a header's value or of an argument */
static void add_list(struct slice value)
{
	struct slice item;

	while (mime_list_next(&value, &item)) {
		add_item(item);
	}
}

/* read_recipients - -t: To, Cc and Bcc, or their Resent forms when there are any */
static void read_recipients(void)
{
	static const char *const names[2][3] = {
		{ "Resent-To", "Resent-Cc", "Resent-Bcc" },
		{ "To", "Cc", "Bcc" },
	};
	struct slice header = { buf_str(&G.headers), G.headers.len };
	size_t before = G.recipient_count;

	for (size_t set = 0; set < 2 && G.recipient_count == before; set++) {
		struct slice rest = header;
		struct mime_field f;

		while (mime_field_next(&rest, &f)) {
			for (size_t i = 0; i < 3; i++) {
				if (slice_ieq(f.name, names[set][i])) {
					add_list(f.value);
				}
			}
		}
	}
	if (G.recipient_count == 0) {
		die(EX_USAGE, "No recipient addresses found in message header");
	}
}

/* ---- The message ---- */

/* write_out - content to the submission */
static void write_out(const char *data, size_t len)
{
	G.size += len;
	if (param.message_size_limit > 0 && G.size > (uint64_t)param.message_size_limit) {
		die(EX_UNAVAILABLE, "message file too big");
	}
	(void)submit_write(G.submit, data, len); /* submit_end() says what went wrong */
}

/* caller - the sender when none is given: the login name */
static const char *caller(void)
{
	const struct passwd *pw = getpwuid(getuid());

	if (pw == NULL) {
		die(EX_OSERR, "unable to find local user name for this user id");
	}
	return arena_strdup(&G.arena, pw->pw_name);
}

/* caller_name - full name: NAME, else the first field of gecos, '&' being the login name */
static const char *caller_name(void)
{
	const struct passwd *pw = getpwuid(getuid());
	const char *name = getenv("NAME"), *p;
	struct buf b = BUF_INIT;

	if (name != NULL || pw == NULL) {
		return name != NULL ? name : "";
	}
	for (p = pw->pw_gecos; p != NULL && *p != '\0' && *p != ','; p++) {
		if (*p == '&') {
			buf_addc(&b, (char)toupper((unsigned char)pw->pw_name[0]));
			buf_adds(&b, pw->pw_name[0] != '\0' ? pw->pw_name + 1 : "");
		} else {
			buf_addc(&b, *p);
		}
	}
	name = arena_strdup(&G.arena, buf_str(&b));
	buf_free(&b);
	return name;
}

/* given_sender - -f: an address (the first of several), with a name or in <>; else as it is */
static const char *given_sender(void)
{
	const struct mime_address *m = mime_addresses(&G.arena, slice_of(G.options.sender));
	struct buf b = BUF_INIT;
	const char *sender = G.options.sender;

	if (strcmp(sender, "<>") == 0) {
		return "";
	}
	if (m != NULL && m->next != NULL) {
		sendmail_warn(
			arena_printf(&G.arena, "-f option specified malformed sender: %s", sender));
	}
	if (m != NULL && m->mailbox != NULL && *m->mailbox != '\0' && m->domain != NULL &&
		(!m->broken || strchr(sender, '<') != NULL)) {
		mime_address_put(&b, m); /* this one only */
		sender = arena_strdup(&G.arena, buf_str(&b));
		buf_free(&b);
	}
	return sender;
}

/* begin - sender and recipients; from here on content may follow */
static void begin(void)
{
	const char *sender = G.options.sender != NULL ? given_sender() : caller();

	G.sender = sender;
	if (smtp_has_8bit(slice_of(sender))) {
		G.options.flags |= QUEUE_F_SMTPUTF8;
	}
	for (size_t i = 0; i < G.recipient_count; i++) {
		if (smtp_has_8bit(slice_of(G.recipients[i]))) {
			G.options.flags |= QUEUE_F_SMTPUTF8;
		}
	}
	G.submit = submit_new();
	submit_envelope(G.submit, sender,
		G.options.full_name != NULL ? G.options.full_name : caller_name(), G.options.envid,
		G.options.flags);
	for (size_t i = 0; i < G.recipient_count; i++) {
		submit_recipient(G.submit, G.recipients[i], G.options.notify, NULL);
	}
}

/* headers_done - the blank line came (or the end): now the recipients are known */
static void headers_done(void)
{
	read_recipients();
	begin();
	G.in_body = true;
	write_out(buf_str(&G.headers), G.headers.len);
	buf_free(&G.headers);
}

/* put - a run of content, line ends done; header_end: it is the blank line */
static void put(const char *data, size_t len, bool header_end)
{
	if (G.in_body) {
		write_out(data, len);
		return;
	}
	if (G.headers.len + len > HEADERS_MAX) {
		die(EX_DATAERR, "message headers are too long");
	}
	buf_add(&G.headers, data, len);
	if (header_end) {
		headers_done();
	}
}

/* put_crs - those that were held back are content */
static void put_crs(void)
{
	for (; G.crs > 0; G.crs--) {
		put("\r", 1, false);
	}
}

/* end_line - LF; CRs before it go where sendmail_fix_line_endings says so */
static void end_line(void)
{
	bool empty = G.at_line && !G.dot;

	if (!G.decided) {
		/* strict: only when the first line ends with CRLF */
		G.decided = true;
		if (strcmp(param.sendmail_fix_line_endings, "strict") == 0) {
			G.strip_cr = G.crs > 0;
		}
	}
	if (G.dot) {
		G.dot = false;
		if (!G.options.keep_dots) {
			G.done = true;
			return;
		}
		put(".", 1, false);
	}
	if (G.crs > 0 && !G.strip_cr) {
		put_crs();
		empty = false;
	}
	G.crs = 0;
	put("\n", 1, empty);
	G.at_line = true;
}

/* take - input; lines are looked at without being copied */
static void take(const char *data, size_t len)
{
	const char *p = data, *end = data + len;

	while (p < end && !G.done) {
		const char *stop;

		if (*p == '\n') {
			end_line();
			p++;
			continue;
		}
		if (*p == '\r') {
			G.crs++;
			p++;
			continue;
		}
		if (G.crs > 0) { /* they stood inside a line */
			if (G.dot) {
				put(".", 1, false);
				G.dot = false;
			}
			put_crs();
			G.at_line = false;
		}
		if (G.at_line && *p == '.' && !G.dot) {
			G.dot = true;
			p++;
			continue;
		}
		if (G.dot) {
			put(".", 1, false);
			G.dot = false;
		}
		G.at_line = false;
		stop = p;
		while (stop < end && *stop != '\n' && *stop != '\r') {
			stop++;
		}
		put(p, (size_t)(stop - p), false);
		p = stop;
	}
}

/* finish_input - the last line may have no end */
static void finish_input(void)
{
	if ((G.dot || G.crs > 0) && !G.done) {
		end_line();
	}
	if (!G.at_line && !G.done) {
		put("\n", 1, false);
	}
	if (!G.in_body) {
		headers_done();
	}
}

/* read_message - from stdin */
static void read_message(void)
{
	char *data = mem_realloc(NULL, READ_SIZE);
	ssize_t n;

	G.strip_cr = strcmp(param.sendmail_fix_line_endings, "never") != 0;
	while (!G.done && (n = read(0, data, READ_SIZE)) != 0) {
		if (n > 0) {
			take(data, (size_t)n);
		} else if (errno != EINTR) {
			die(EX_IOERR,
				arena_printf(&G.arena, "error reading input: %s", strerror(errno)));
		}
	}
	mem_free(data);
	finish_input();
}

/* use_verp - -XV: each recipient has a sender of its own */
static void use_verp(void)
{
	unsigned flags;

	if (G.options.verp == NULL) {
		return;
	}
	flags = verp_flags(slice_of(G.options.verp));
	if (flags == 0) {
		die(EX_USAGE,
			"-XV wants two VERP delimiters that verp_delimiter_filter has, or none");
	}
	G.options.flags |= flags;
}

/* deliver - the message, or with -bv one that is delivered nowhere, into the queue; exit status */
static int deliver(void)
{
	if (G.options.mode == 'v') {
		G.options.flags |= QUEUE_F_VERIFY;
	}
	use_verp();
	if (!G.options.from_headers) {
		if (G.recipient_count == 0) {
			die(EX_USAGE,
				"Recipient addresses must be specified on the command line or"
				" via the -t option");
		}
		begin();
		G.in_body = true;
	}
	if (G.options.mode == 'v') {
		write_out("Subject: probe\n\n", strlen("Subject: probe\n\n"));
	} else {
		read_message();
	}
	switch (submit_end(G.submit)) {
	case SUBMIT_OK:
		break;
	case SUBMIT_RETRY:
		die(EX_TEMPFAIL, submit_error(G.submit));
	case SUBMIT_REFUSED:
		die(EX_UNAVAILABLE, submit_error(G.submit));
	}
	submit_free(G.submit);
	if ((G.options.flags & (QUEUE_F_VERIFY | QUEUE_F_RECORD)) != 0) {
		printf("Mail Delivery Status Report will be mailed to <%s>.\n", G.sender);
	}
	return EX_OK;
}

/* run_queue - -q: all, -qI an id, -qR a site; -q15m means nothing without -bd */
static _Noreturn void run_queue(void)
{
	switch (*G.options.queue_run) {
	case 'I':
		run_applet("postqueue", "-i", G.options.queue_run + 1);
	case 'R':
		run_applet("postqueue", "-s", G.options.queue_run + 1);
	default:
		run_applet("postqueue", "-f", NULL);
	}
}

/*
 * open_log - what queueing says of a message goes where the server logs; the caller's terminal, or
 * the mail that cron makes of it, gets only what is wrong (die()), or all with -v
 */
static void open_log(void)
{
	char tag[64];

	if (log_verbose() > 0) {
		return;
	}
	snprintf(tag, sizeof(tag), "%.40s/pickup", param.syslog_name);
	log_open(tag, LOG_TO_SYSLOG);
	/* /dev/stdout is the server's, not this program's. */
	if (param.maillog_file[0] != '\0' && !str_starts(param.maillog_file, "/dev/")) {
		(void)log_open_file(param.maillog_file);
	}
}

/* What -b makes of this, other than taking a message. */
static const struct mode {
	char letter;
	const char *applet, *arg;
} modes[] = {
	{ 'D', "postfix", "start" },
	{ 'd', "postfix", "start" },
	{ 'i', "newaliases", NULL },
	{ 'l', "postfix", "start" },
	{ 'p', "postqueue", "-p" },
	{ 's', "smtpd", "-S" },
};

/* run_mode - returns if a message is to be taken, or looked at */
static void run_mode(bool recipients)
{
	if (G.options.mode == 'h' || G.options.mode == 'H') {
		exit(EX_OK); /* Sendmail's host status: nothing to purge */
	}
	if (G.options.mode == 'm' || G.options.mode == 'v') {
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		const struct mode *m = &modes[i];

		if (m->letter != G.options.mode) {
			continue;
		}
		if (G.options.from_headers) {
			die(EX_USAGE,
				arena_printf(
					&G.arena, "-b%c takes no message, so no -t", m->letter));
		}
		if (recipients) {
			die(EX_USAGE,
				arena_printf(&G.arena, "-b%c takes no recipients", m->letter));
		}
		run_applet(m->applet, m->arg, NULL);
	}
	die(EX_USAGE, arena_printf(&G.arena, "unsupported: -b%c", G.options.mode));
}

int sendmail_main(int argc, char **argv)
{
	char *error = NULL;

	log_open("sendmail", LOG_TO_STDERR);
	sendmail_options(&G.options, argc, argv);
	run_mode(optind < argc);
	if (G.options.queue_run != NULL) {
		if (optind < argc) {
			die(EX_USAGE, "-q cannot be combined with recipients");
		}
		run_queue();
	}
	if (conf_load(conf_dir(NULL), true, &error) != 0) {
		die(EX_CONFIG, error);
	}
	open_log();
	for (; optind < argc; optind++) {
		add_list(slice_of(argv[optind]));
	}
	return deliver();
}
