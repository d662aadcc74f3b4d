/*
 * sendmail_options - the command line of sendmail(1)
 *
 * Postfix sendmail(1): which options there are, which of Sendmail's are accepted and do nothing,
 * and which of their values are left out with a warning.
 */
#include "applets/receive/sendmail_options.h"

#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "proto/smtp.h"
#include "queue/queue_message.h"

enum { ENVID_MAX = 100 };

_Noreturn void sendmail_end(int status, const char *text)
{
	const struct passwd *pw = getpwuid(getuid());

	fprintf(stderr, "sendmail: fatal: %s(%ld): %s\n", pw != NULL ? pw->pw_name : "unknown",
		(long)getuid(), text);
	exit(status);
}

void sendmail_warn(const char *text)
{
	fprintf(stderr, "sendmail: warning: %s\n", text);
}

static void set_body(struct sendmail_options *o, const char *text)
{
	o->flags |= str_ieq(text, "8BITMIME") ? QUEUE_F_8BIT : 0;
}

/* use_config - -C: a main.cf, or its directory */
static void use_config(struct sendmail_options *o, const char *path)
{
	size_t n = strlen(path);
	char *dir;

	(void)o;
	if (str_ends(path, "/main.cf")) {
		n -= strlen("/main.cf");
	}
	dir = mem_strndup(path, n);
	setenv("MAIL_CONFIG", dir, 1);
	mem_free(dir);
}

static void set_newaliases(struct sendmail_options *o, const char *text)
{
	(void)text;
	o->mode = 'i';
}

static void set_notify(struct sendmail_options *o, const char *text)
{
	unsigned notify;

	if (smtp_parse_notify(slice_of(text), &notify)) {
		o->notify = notify;
	} else {
		sendmail_warn("bad -N option value -- ignored");
	}
}

/* set_o - -oX, and the -O Name=value forms of it that matter */
static void set_o(struct sendmail_options *o, const char *text)
{
	if (*text == 'i' || str_istarts(text, "IgnoreDots")) {
		o->keep_dots = true;
	}
}

static void set_return(struct sendmail_options *o, const char *text)
{
	if (str_ieq(text, "full")) {
		o->flags |= QUEUE_F_RET_FULL;
	} else if (str_ieq(text, "hdrs")) {
		o->flags |= QUEUE_F_RET_HDRS;
	} else {
		sendmail_warn("bad -R option value -- ignored");
	}
}

static void set_envid(struct sendmail_options *o, const char *text)
{
	bool plain = true;

	for (const char *p = text; *p != '\0'; p++) {
		plain = plain && *p >= ' ' && *p <= '~';
	}
	if (strlen(text) > ENVID_MAX) {
		sendmail_warn("too long -V option value -- ignored");
	} else if (!plain) {
		sendmail_warn("bad syntax in -V option value -- ignored");
	} else {
		o->envid = text;
	}
}

/* set_mode - -bX */
static void set_mode(struct sendmail_options *o, const char *text)
{
	o->mode = *text;
}

/* set_queue_run - -q, whose argument is part of the word or is none */
static void set_queue_run(struct sendmail_options *o, const char *text)
{
	char why[] = "-qX: there is no such run of the queue";

	o->queue_run = text != NULL ? text : "";
	if (strcmp(o->queue_run, "I") == 0) {
		sendmail_end(EX_USAGE, "-qI needs a queue id behind it");
	}
	if (strcmp(o->queue_run, "R") == 0) {
		sendmail_end(EX_USAGE, "-qR needs a site behind it");
	}
	if (strchr("IR0123456789", o->queue_run[0]) == NULL) {
		why[2] = o->queue_run[0];
		sendmail_end(EX_USAGE, why);
	}
}

/* set_verbose - once: a report of the delivery; once more: what is done here */
static void set_verbose(struct sendmail_options *o, const char *text)
{
	(void)text;
	if ((o->flags & QUEUE_F_RECORD) != 0) {
		log_set_verbose(log_verbose() + 1);
	}
	o->flags |= QUEUE_F_RECORD;
}

/* set_x - -XV with VERP's delimiters; Sendmail's -X, a file for all that is said, does nothing */
static void set_x(struct sendmail_options *o, const char *text)
{
	if (*text == 'V') {
		o->verp = text + 1;
	}
}

enum kind { CALL, TEXT, FLAG };

/* Those that are not here are accepted for Sendmail's sake. */
static const struct option {
	char letter;
	enum kind kind;
	size_t field; /* of TEXT: is the argument; of FLAG: is set */
	void (*set)(struct sendmail_options *o, const char *text);
} options[] = {
	{ 'B', CALL, 0, set_body },
	{ 'C', CALL, 0, use_config },
	{ 'F', TEXT, offsetof(struct sendmail_options, full_name), NULL },
	{ 'I', CALL, 0, set_newaliases },
	{ 'N', CALL, 0, set_notify },
	{ 'O', CALL, 0, set_o },
	{ 'R', CALL, 0, set_return },
	{ 'V', CALL, 0, set_envid },
	{ 'X', CALL, 0, set_x },
	{ 'b', CALL, 0, set_mode },
	{ 'f', TEXT, offsetof(struct sendmail_options, sender), NULL },
	{ 'i', FLAG, offsetof(struct sendmail_options, keep_dots), NULL },
	{ 'o', CALL, 0, set_o },
	{ 'q', CALL, 0, set_queue_run },
	{ 'r', TEXT, offsetof(struct sendmail_options, sender), NULL },
	{ 't', FLAG, offsetof(struct sendmail_options, from_headers), NULL },
	{ 'v', CALL, 0, set_verbose },
};

static void set_option(struct sendmail_options *o, const struct option *option, const char *text)
{
	char *field = (char *)o + option->field;

	switch (option->kind) {
	case CALL:
		option->set(o, text);
		break;
	case TEXT:
		*(const char **)(void *)field = text;
		break;
	case FLAG:
		*(bool *)(void *)field = true;
		break;
	}
}

void sendmail_options(struct sendmail_options *o, int argc, char **argv)
{
	int letter;

	memset(o, 0, sizeof(*o));
	o->mode = 'm';
	while ((letter = getopt(argc, argv, "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q::tvx")) !=
		-1) {
		if (letter == '?') {
			exit(EX_USAGE);
		}
		for (size_t i = 0; i < ARRAY_LEN(options); i++) {
			if (options[i].letter == letter) {
				set_option(o, &options[i], optarg);
			}
		}
	}
}
