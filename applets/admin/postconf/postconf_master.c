/*
 * postconf_master - show master.cf: -M rows, -P their -o parameters, -F their fields
 *
 * Patterns are "service", "service/type" or "service/type/name"; '*' and
 * nothing stand for any.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/main_cf.h"
#include "conf/master_cf.h"
#include "applets/admin/postconf/postconf.h"

enum { LINE_LIMIT = 80, INDENT = 4, PATTERN_PARTS = 3 };

static const char *const type_names[] = {
	[SERVICE_INET] = "inet",
	[SERVICE_UNIX] = "unix",
	[SERVICE_FIFO] = "fifo",
	[SERVICE_PASS] = "pass",
};

const char *const postconf_columns[MASTER_COLUMNS] = { "service", "type", "private", "unprivileged",
	"chroot", "wakeup", "process_limit", "command" };

/* read_master - or end */
static void read_master(const struct postconf *pc, struct master_cf *cf)
{
	struct buf path = BUF_INIT;
	char *error = NULL;

	buf_addf(&path, "%s/master.cf", pc->dir);
	if (master_cf_read(path.data, cf, &error) != 0) {
		log_fatal("%s", error);
	}
	buf_free(&path);
}

/* try_master - false when there is none; a bad one ends us */
static bool try_master(const struct postconf *pc, struct master_cf *cf)
{
	struct buf path = BUF_INIT;
	bool there;

	buf_addf(&path, "%s/master.cf", pc->dir);
	there = access(path.data, F_OK) == 0;
	buf_free(&path);
	if (there) {
		read_master(pc, cf);
	}
	return there;
}

bool postconf_each_override(
	struct postconf *pc, void (*fn)(void *arg, const char *value), void *arg)
{
	struct master_cf cf;

	if (!try_master(pc, &cf)) {
		return false;
	}
	for (size_t i = 0; i < cf.count; i++) {
		for (char **a = cf.services[i].argv; *a != NULL; a++) {
			if (strcmp(*a, "-o") == 0 && a[1] != NULL) {
				fn(arg, *++a);
			}
		}
	}
	master_cf_free(&cf);
	return true;
}

bool postconf_each_service(struct postconf *pc,
	void (*fn)(void *arg, const char *name, const char *command), void *arg)
{
	struct master_cf cf;

	if (!try_master(pc, &cf)) {
		return false;
	}
	for (size_t i = 0; i < cf.count; i++) {
		if (cf.services[i].type == SERVICE_UNIX) {
			fn(arg, cf.services[i].name, cf.services[i].command);
		}
	}
	master_cf_free(&cf);
	return true;
}

/* ---- Patterns ---- */

/* matches - does "service/type/name" mean this? */
static bool matches(const char *pattern, const struct master_service *s, const char *name)
{
	const char *parts[PATTERN_PARTS] = { s->name, type_names[s->type], name };

	for (int i = 0; i < PATTERN_PARTS && *pattern != '\0'; i++) {
		size_t n = strcspn(pattern, "/");

		if (parts[i] != NULL && !(n == 1 && *pattern == '*') &&
			!slice_eq((struct slice){ pattern, n }, parts[i])) {
			return false;
		}
		pattern += n + (pattern[n] == '/');
	}
	return true;
}

/* wanted - is it meant by any of the patterns? Notes in hits which ones were. */
static bool wanted(char **patterns, bool *hits, const struct master_service *s, const char *name)
{
	bool any = patterns[0] == NULL;

	for (size_t i = 0; patterns[i] != NULL; i++) {
		if (matches(patterns[i], s, name)) {
			any = hits[i] = true;
		}
	}
	return any;
}

static bool *make_hits(struct postconf *pc, char **patterns)
{
	size_t n = 0;

	while (patterns[n] != NULL) {
		n++;
	}
	return arena_alloc(&pc->arena, (n + 1) * sizeof(bool));
}

static void warn_unmatched(char **patterns, const bool *hits)
{
	fflush(stdout);
	for (size_t i = 0; patterns[i] != NULL; i++) {
		if (!hits[i]) {
			log_warn("unmatched request: \"%s\"", patterns[i]);
		}
	}
}

/* ---- Rows ---- */

/* fields - the columns as they would be written */
static void fields(const struct master_service *s, struct arena *a, const char *out[MASTER_COLUMNS])
{
	out[0] = s->name;
	out[1] = type_names[s->type];
	out[2] = s->type == SERVICE_INET || !s->private_ ? "n" : "-";
	out[3] = s->unpriv ? "-" : "n";
	out[4] = s->chroot ? "y" : "n";
	out[5] = s->wakeup == 0 ? "-"
				: arena_printf(a, "%d%s", s->wakeup, s->wakeup_if_used ? "?" : "");
	out[6] = arena_printf(a, "%d", s->max_procs);
	if (s->max_procs_default) {
		out[6] = "-";
	}
	out[7] = s->command;
}

/* add_arguments - from column on; folded, -o stands on a line of its own */
static void add_arguments(struct buf *out, const char *const *argv, size_t column, bool fold)
{
	bool fresh = false; /* right behind an -o and its value */

	for (; *argv != NULL; argv++) {
		bool option = strcmp(*argv, "-o") == 0 && argv[1] != NULL;
		const char *text = option ? *++argv : *argv;
		struct assignment a;
		struct buf b = BUF_INIT;

		if (option) {
			buf_adds(&b, "-o ");
		}
		if (option && strpbrk(text, " \t") != NULL && assignment_split(text, &a) == NULL) {
			buf_addf(&b, "{%.*s=%.*s}", (int)a.name.len, a.name.ptr, (int)a.value.len,
				a.value.ptr);
		} else if (strpbrk(text, " \t") != NULL || *text == '\0') {
			buf_addf(&b, "{%s}", text);
		} else {
			buf_adds(&b, text);
		}
		if (fold && (option || fresh || column + 1 + b.len >= LINE_LIMIT)) {
			buf_addf(out, "\n%*s", INDENT, "");
			column = INDENT;
		} else {
			buf_addc(out, ' ');
			column++;
		}
		buf_add(out, b.data, b.len);
		column += b.len;
		fresh = option;
		buf_free(&b);
	}
}

void postconf_add_row(
	struct buf *out, const char *const *columns, const char *const *argv, bool fold)
{
	static const size_t goals[MASTER_COLUMNS] = { 0, 11, 17, 25, 33, 41, 49, 57 };
	size_t at = 0;

	for (size_t i = 0; i < MASTER_COLUMNS; i++) {
		do {
			if (i > 0) {
				buf_addc(out, ' ');
				at++;
			}
		} while (at < goals[i]);
		buf_adds(out, columns[i]);
		at += strlen(columns[i]);
	}
	add_arguments(out, argv, at, fold);
	buf_addc(out, '\n');
}

static void print_service(struct postconf *pc, const struct master_service *s)
{
	const char *columns[MASTER_COLUMNS];
	struct buf row = BUF_INIT;

	fields(s, &pc->arena, columns);
	postconf_add_row(&row, columns, (const char *const *)s->argv, pc->fold);
	fputs(buf_str(&row), stdout);
	buf_free(&row);
}

int postconf_services(struct postconf *pc, char **patterns)
{
	bool *hits = make_hits(pc, patterns);
	struct master_cf cf;

	read_master(pc, &cf);
	for (size_t i = 0; i < cf.count; i++) {
		if (wanted(patterns, hits, &cf.services[i], NULL)) {
			print_service(pc, &cf.services[i]);
		}
	}
	warn_unmatched(patterns, hits);
	master_cf_free(&cf);
	return 0;
}

/* ---- -o parameters and fields ---- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* print_params - the -o parameters of a service, sorted by name */
static void print_params(
	struct postconf *pc, const struct master_service *s, char **patterns, bool *hits)
{
	const char *prefix = arena_printf(&pc->arena, "%s/%s/", s->name, type_names[s->type]);
	const char **names;
	size_t count = 0, total = 0;
	struct assignment a;

	while (s->argv[total] != NULL) {
		total++;
	}
	names = arena_alloc(&pc->arena, (total + 1) * sizeof(*names));
	for (size_t i = 0; i + 1 < total; i++) {
		if (strcmp(s->argv[i], "-o") != 0 || assignment_split(s->argv[++i], &a) != NULL) {
			continue;
		}
		/* Name, NUL, value: sorted by the name. */
		names[count] = arena_printf(&pc->arena, "%.*s%c%.*s", (int)a.name.len, a.name.ptr,
			0, (int)a.value.len, a.value.ptr);
		if (wanted(patterns, hits, s, names[count])) {
			count++;
		}
	}
	qsort(names, count, sizeof(*names), compare_texts);
	for (size_t i = 0; i < count; i++) {
		postconf_print(pc, arena_printf(&pc->arena, "%s%s", prefix, names[i]),
			names[i] + strlen(names[i]) + 1);
	}
}

int postconf_service_params(struct postconf *pc, char **patterns)
{
	bool *hits = make_hits(pc, patterns);
	struct master_cf cf;

	read_master(pc, &cf);
	for (size_t i = 0; i < cf.count; i++) {
		print_params(pc, &cf.services[i], patterns, hits);
	}
	warn_unmatched(patterns, hits);
	master_cf_free(&cf);
	return 0;
}

int postconf_service_fields(struct postconf *pc, char **patterns)
{
	bool *hits = make_hits(pc, patterns);
	struct master_cf cf;

	read_master(pc, &cf);
	for (size_t i = 0; i < cf.count; i++) {
		const struct master_service *s = &cf.services[i];
		const char *columns[MASTER_COLUMNS];

		fields(s, &pc->arena, columns);
		for (size_t f = 0; f < MASTER_COLUMNS; f++) {
			struct buf value = BUF_INIT;

			if (!wanted(patterns, hits, s, postconf_columns[f])) {
				continue;
			}
			buf_adds(&value, columns[f]);
			for (char **arg = s->argv; f == 7 && *arg != NULL; arg++) {
				buf_addf(&value, strpbrk(*arg, " \t") != NULL ? " {%s}" : " %s",
					*arg);
			}
			postconf_print(pc,
				arena_printf(&pc->arena, "%s/%s/%s", s->name, type_names[s->type],
					postconf_columns[f]),
				buf_str(&value));
			buf_free(&value);
		}
	}
	warn_unmatched(patterns, hits);
	master_cf_free(&cf);
	return 0;
}
