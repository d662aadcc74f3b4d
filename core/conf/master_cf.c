/*
 * master_cf - the services of master.cf
 *
 *	# service type  private unpriv  chroot  wakeup  maxproc command + args
 *	smtp      inet  n       -       y       -       -       smtpd
 *	  -o { smtpd_banner = $myhostname ESMTP ready }
 *
 * Logical lines as in main.cf. A dash means the default: private, unprivileged,
 * no wake-up, default_process_limit. Braces keep blanks in an argument; an
 * argument that begins with '{' loses them and the blanks inside. Two rows of
 * the same name and type: the last one rules, with a warning.
 */
#include "conf/master_cf.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/lines.h"
#include "conf/params.h"

enum { MAX_SERVICES = 10000, MAX_ARGUMENTS = 1000 };

#define BLANKS " \t\r\n"

struct row {
	const char *path;
	int line;
	struct slice rest;
	char **error_r;
};

/* fail - "path, line n: what: "text""; -1 */
static int fail(struct row *r, const char *what, struct slice text)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s, line %d: %s", r->path, r->line, what);
	if (text.ptr != NULL) {
		buf_addf(&b, ": \"%.*s\"", text.len > 60 ? 60 : (int)text.len, text.ptr);
	}
	*r->error_r = buf_steal(&b);
	return -1;
}

/* field - the next column */
static int field(struct row *r, const char *name, struct slice *out)
{
	struct buf what = BUF_INIT;
	int rc = 0;

	*out = slice_word(&r->rest, BLANKS);
	if (out->ptr == NULL) {
		buf_addf(&what, "missing \"%s\" field", name);
		rc = fail(r, what.data, *out);
		buf_free(&what);
	}
	return rc;
}

/* yes_no - a column of y, n or - */
static int yes_no(struct row *r, const char *name, bool def, bool *out)
{
	struct buf what = BUF_INIT;
	struct slice text;
	int rc = field(r, name, &text);

	if (rc != 0) {
		return rc;
	}
	*out = def;
	if (slice_eq(text, "y") || slice_eq(text, "n")) {
		*out = text.ptr[0] == 'y';
	} else if (!slice_eq(text, "-")) {
		buf_addf(&what, "field \"%s\": bad value (y, n or -)", name);
		rc = fail(r, what.data, text);
		buf_free(&what);
	}
	return rc;
}

/* number - digits of a column */
static bool number(struct slice text, int *out)
{
	char digits[16];
	int64_t v;

	if (text.len >= sizeof(digits)) {
		return false;
	}
	memcpy(digits, text.ptr, text.len);
	digits[text.len] = '\0';
	if (!str_to_int(digits, 0, 1000000000, &v)) {
		return false;
	}
	*out = (int)v;
	return true;
}

static int read_type(struct row *r, struct master_service *s)
{
	static const char names[][5] = {
		[SERVICE_INET] = "inet",
		[SERVICE_UNIX] = "unix",
		[SERVICE_FIFO] = "fifo",
		[SERVICE_PASS] = "pass",
	};
	struct slice text;

	if (field(r, "type", &text) != 0) {
		return -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_eq(text, names[i])) {
			s->type = (enum service_type)i;
			return 0;
		}
	}
	/* Postfix has unix-dgram for postlogd alone, which nobody needs here. */
	if (slice_eq(text, "unix-dgram")) {
		s->type = SERVICE_UNIX;
		return 0;
	}
	return fail(r, "field \"type\": bad value (inet, unix, fifo or pass)", text);
}

static int read_wakeup(struct row *r, struct master_service *s)
{
	struct slice text;

	if (field(r, "wakeup", &text) != 0) {
		return -1;
	}
	if (slice_eq(text, "-")) {
		return 0;
	}
	if (text.ptr[text.len - 1] == '?') {
		s->wakeup_if_used = true;
		text.len--;
	}
	return number(text, &s->wakeup) ? 0 : fail(r, "field \"wakeup\": bad value", text);
}

static int read_max_procs(struct row *r, struct master_service *s)
{
	struct slice text;

	if (field(r, "maxproc", &text) != 0) {
		return -1;
	}
	if (slice_eq(text, "-")) {
		s->max_procs_default = true;
		s->max_procs =
			param.default_process_limit > 0 ? (int)param.default_process_limit : 100;
		return 0;
	}
	return number(text, &s->max_procs) ? 0 : fail(r, "field \"maxproc\": bad value", text);
}

int master_cf_argument(struct slice *rest, struct slice *out)
{
	int level = 0;
	size_t i;

	*rest = slice_trim(*rest);
	if (rest->len == 0) {
		return 0;
	}
	for (i = 0; i < rest->len; i++) {
		char c = rest->ptr[i];

		if (c == '{') {
			level++;
		} else if (c == '}' && level > 0) {
			level--;
		} else if (level == 0 && strchr(BLANKS, c) != NULL) {
			break;
		}
	}
	if (level > 0) {
		return -1;
	}
	*out = (struct slice){ rest->ptr, i };
	rest->ptr += i;
	rest->len -= i;
	if (out->ptr[0] == '{' && out->ptr[out->len - 1] == '}') {
		*out = slice_trim((struct slice){ out->ptr + 1, out->len - 2 });
	}
	return 1;
}

static int read_arguments(struct row *r, struct master_service *s)
{
	struct slice arg;
	size_t n = 0;
	int rc;

	s->argv = mem_calloc(1, sizeof(*s->argv));
	while ((rc = master_cf_argument(&r->rest, &arg)) > 0) {
		if (n == MAX_ARGUMENTS) {
			return fail(r, "too many arguments", arg);
		}
		s->argv = mem_realloc(s->argv, (n + 2) * sizeof(*s->argv));
		s->argv[n++] = mem_strndup(arg.ptr, arg.len);
		s->argv[n] = NULL;
	}
	return rc == 0 ? 0 : fail(r, "missing '}' in arguments", r->rest);
}

/* read_row - one logical line into s, whose memory is released by free_service() */
static int read_row(struct row *r, struct master_service *s)
{
	struct slice name, command;

	s->line = r->line;
	if (field(r, "service", &name) != 0) {
		return -1;
	}
	s->name = mem_strndup(name.ptr, name.len);
	if (read_type(r, s) != 0 || yes_no(r, "private", true, &s->private_) != 0 ||
		yes_no(r, "unprivileged", true, &s->unpriv) != 0 ||
		yes_no(r, "chroot", false, &s->chroot) != 0 || read_wakeup(r, s) != 0 ||
		read_max_procs(r, s) != 0 || field(r, "command", &command) != 0) {
		return -1;
	}
	/* A TCP port cannot be private. */
	if (s->type == SERVICE_INET) {
		s->private_ = false;
	}
	s->command = mem_strndup(command.ptr, command.len);
	return read_arguments(r, s);
}

static void free_service(struct master_service *s)
{
	mem_free(s->name);
	mem_free(s->command);
	for (char **arg = s->argv; arg != NULL && *arg != NULL; arg++) {
		mem_free(*arg);
	}
	mem_free(s->argv);
}

void master_cf_free(struct master_cf *cf)
{
	for (size_t i = 0; i < cf->count; i++) {
		free_service(&cf->services[i]);
	}
	mem_free(cf->services);
	*cf = (struct master_cf){ NULL, 0 };
}

/* add_service - at the end, or in the place of one of the same name and type */
static void add_service(struct master_cf *cf, const struct master_service *s, const char *path)
{
	for (size_t i = 0; i < cf->count; i++) {
		struct master_service *old = &cf->services[i];

		if (old->type == s->type && strcmp(old->name, s->name) == 0) {
			log_warn("%s, line %d: duplicate service %s (first on line %d): using the "
				 "last one",
				path, s->line, s->name, old->line);
			free_service(old);
			*old = *s;
			return;
		}
	}
	cf->services = mem_realloc(cf->services, (cf->count + 1) * sizeof(*cf->services));
	cf->services[cf->count++] = *s;
}

/* take_line - one logical line; 0 or -1 */
static int take_line(struct master_cf *cf, const struct lines *l, const char *path, char **error_r)
{
	struct row r = { path, l->number, slice_of(buf_str(&l->text)), error_r };
	struct master_service s = { .name = NULL };

	if (l->has_nul) {
		return fail(&r, "NUL byte in the line", r.rest);
	}
	if (l->too_long || cf->count == MAX_SERVICES) {
		return fail(&r, "line too long or too many services", r.rest);
	}
	if (l->orphan) {
		log_warn("%s, line %d: logical line must not start with whitespace: \"%.60s\"",
			path, l->number, buf_str(&l->text));
		return 0;
	}
	if (read_row(&r, &s) != 0) {
		free_service(&s);
		return -1;
	}
	add_service(cf, &s, path);
	return 0;
}

int master_cf_read(const char *path, struct master_cf *out, char **error_r)
{
	struct buf error = BUF_INIT;
	struct lines l;
	int rc, got;

	*out = (struct master_cf){ NULL, 0 };
	if (lines_open(&l, path) != 0) {
		buf_addf(&error, "open %s: %s", path, strerror(errno));
		*error_r = buf_steal(&error);
		return -1;
	}
	rc = 0;
	while (rc == 0 && (got = lines_next(&l)) != 0) {
		if (got < 0) {
			buf_addf(&error, "read %s: %s", path, strerror(errno));
			*error_r = buf_steal(&error);
			rc = -1;
		} else {
			rc = take_line(out, &l, path, error_r);
		}
	}
	lines_close(&l);
	if (rc != 0) {
		master_cf_free(out);
	}
	return rc;
}

int service_port(const char *name)
{
	/* An initramfs has no /etc/services. */
	static const struct {
		const char *name;
		int port;
	} known[] = {
		{ "imap", 143 },
		{ "imap2", 143 },
		{ "imaps", 993 },
		{ "lmtp", 24 },
		{ "managesieve", 4190 },
		{ "pop-3", 110 },
		{ "pop3", 110 },
		{ "pop3s", 995 },
		{ "sieve", 4190 },
		{ "smtp", 25 },
		{ "smtps", 465 },
		{ "ssmtp", 465 },
		{ "submission", 587 },
		{ "submissions", 465 },
	};
	const struct servent *entry;
	int64_t port;

	if (str_to_int(name, 1, 65535, &port)) {
		return (int)port;
	}
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (str_ieq(name, known[i].name)) {
			return known[i].port;
		}
	}
	entry = getservbyname(name, "tcp");
	return entry != NULL ? ntohs((uint16_t)entry->s_port) : 0;
}
