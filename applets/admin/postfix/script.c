/*
 * script - what is said, as Postfix's script says it: to standard error and to the log
 *
 * What is warned of before the log is open is kept for it. What the reading of main.cf,
 * dovecot.conf, tables and lists warns of comes to the terminal once.
 */
#include "applets/admin/postfix/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/str.h"
#include "base/utf8.h"
#include "applets/daemon/process.h"

static struct {
	bool log_open;
	struct buf early; /* lines from before the log was open */
	struct hash said; /* on the terminal */
	int worst;
	bool quiet; /* at start: only what stands in the way */
} G;

/* ---- Faults ---- */

void script_count(bool quiet)
{
	G.worst = 0;
	G.quiet = quiet;
}

int script_worst(void)
{
	return G.worst;
}

bool script_is_quiet(void)
{
	return G.quiet;
}

bool script_fault(int severity)
{
	G.worst = G.worst < severity ? severity : G.worst;
	return severity > 1 || !G.quiet;
}

/* ---- Lines ---- */

static void emit(const char *severity, const char *fmt, va_list ap)
{
	char text[2000];
	int fd = log_fd();

	vsnprintf(text, sizeof(text), fmt, ap);
	utf8_printable(text, strlen(text));
	dprintf(2, "postfix/postfix-script: %s%s\n", severity, text);
	/* The log as well, unless that is this very terminal. */
	if (G.log_open && fd != 1 && fd != 2) {
		log_info("%s%s", severity, text);
	}
}

/* on_warning - of what we call: main.cf, dovecot.conf, tables, lists */
static void on_warning(const char *severity, const char *text)
{
	int fd = log_fd();

	if (!G.log_open) {
		buf_addf(&G.early, "%s%s\n", severity, text);
	} else if (script_fault(1) && fd != 1 && fd != 2 && hash_set(&G.said, text, &G) == NULL) {
		dprintf(2, "postfix/postfix-script: %s%s\n", severity, text);
	}
}

/* script_open_log - with what there was to say before */
void script_open_log(void)
{
	int fd;

	service_open_log("postfix-script", 0, false);
	G.log_open = true;
	fd = log_fd();
	log_set_listener(NULL);
	for (struct slice rest = { buf_str(&G.early), G.early.len }, line;
		fd != 1 && fd != 2 && (line = slice_word(&rest, "\n")).ptr != NULL;) {
		log_info("%.*s", (int)line.len, line.ptr);
	}
	buf_free(&G.early);
	log_set_listener(on_warning);
}

void script_begin(void)
{
	log_set_listener(on_warning);
}

#define EMIT(severity)                   \
	do {                             \
		va_list ap;              \
		va_start(ap, fmt);       \
		emit(severity, fmt, ap); \
		va_end(ap);              \
	} while (0)

void script_info(const char *fmt, ...)
{
	EMIT("");
}

void script_warn(const char *fmt, ...)
{
	EMIT("warning: ");
}

int script_fatal(const char *fmt, ...)
{
	EMIT("fatal: ");
	return 1;
}

/* script_check_file - only its owner (root, or us) may write a file we believe */
void script_check_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		return; /* whoever needs it says so */
	}
	if (geteuid() == 0 && st.st_uid != 0) {
		warning("not owned by root: %s", path);
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		warning("group or other writable: %s (mode %04o, 0644 is usual)", path,
			(unsigned)st.st_mode & 07777);
	}
}
