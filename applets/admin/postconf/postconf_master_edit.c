/*
 * postconf_master_edit - change master.cf in place: rows (-M), fields (-F), -o parameters (-P)
 *
 *	postconf -M 'submission/inet=submission inet n - n - - smtpd'	replace, or add at the end
 *	postconf -MX smtps/inet		postconf -M# smtps/inet		remove, comment out
 *	postconf -F '*\/unix/chroot=n'					(without the backslash)
 *	postconf -P 'submission/inet/smtpd_tls_security_level=encrypt'
 *	postconf -PX submission/inet/smtpd_tls_security_level
 *
 * Service and type may be '*'. Comments stay where they are, and so does every row that nobody
 * asked for; a changed one is written anew, in the form of -Mf. A row that is set replaces
 * all of its kind; one whose fields or parameters change comes behind the comments within it.
 *
 * Different from Postfix: a field cannot be made empty, which would be a row that nobody can read.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/main_cf.h"
#include "conf/master_cf.h"
#include "applets/admin/postconf/postconf.h"

#define BLANKS " \t\r\n"

enum { COLUMN_TYPE = 1, COLUMN_COMMAND = 7, ARGUMENTS_MAX = 1000 };

struct row {
	const char *columns[MASTER_COLUMNS];
	const char *argv[ARGUMENTS_MAX + 3]; /* NULL-terminated; room for one more -o */
	size_t argc;
};

struct request {
	const char *text;           /* the argument */
	const char *service, *type; /* "*": any */
	const char *name;           /* of the field or parameter */
	size_t column;
	const char *value;
	struct row *row; /* -Me */
	bool matched;
};

struct master_edit {
	struct postconf *pc;
	enum master_part part;
	enum edit_mode mode;
	struct request *list;
	size_t count;
	char *error; /* the first one met in the file */
};

/* set_error - what: "text", of which the first line is shown */
static void set_error(struct master_edit *e, const char *what, const char *text)
{
	struct buf b = BUF_INIT;

	if (e->error == NULL) {
		buf_addf(&b, "%s: \"%.*s\"", what, (int)strcspn(text, "\n"), text);
		e->error = buf_steal(&b);
	}
}

/* ---- Rows ---- */

/* check_field - a fatal error unless the value can stand in that column; whole: for the text */
static void check_field(size_t column, const char *value, const char *whole)
{
	static const char types[][11] = { "inet", "unix", "fifo", "pass", "unix-dgram" };
	size_t digits = strspn(value, "0123456789");
	bool good = *value != '\0', dash = strcmp(value, "-") == 0;

	switch (column) {
	case COLUMN_TYPE:
		good = false;
		for (size_t i = 0; i < ARRAY_LEN(types); i++) {
			good = good || strcmp(value, types[i]) == 0;
		}
		break;
	case 2:
	case 3:
	case 4:
		good = dash || strcmp(value, "y") == 0 || strcmp(value, "n") == 0;
		break;
	case 5:
		good = dash ||
			(digits > 0 && (value[digits] == '\0' || strcmp(value + digits, "?") == 0));
		break;
	case 6:
		good = dash || (digits > 0 && value[digits] == '\0');
		break;
	default:
		break;
	}
	if (!good) {
		log_fatal("invalid %s field \"%s\" in \"%s\"", postconf_columns[column], value,
			whole);
	}
}

/* take_arguments - the rest of a row; false: too many, or a brace is not closed */
static bool take_arguments(struct arena *a, struct row *r, struct slice rest)
{
	struct slice arg;
	int rc;

	r->argc = 0;
	while ((rc = master_cf_argument(&rest, &arg)) > 0) {
		if (r->argc == ARGUMENTS_MAX) {
			return false;
		}
		r->argv[r->argc++] = arena_strndup(a, arg.ptr, arg.len);
	}
	r->argv[r->argc] = NULL;
	return rc == 0;
}

/* split_row - a logical line; false: a field is missing */
static bool split_row(struct arena *a, struct row *r, const char *text)
{
	struct slice rest = slice_of(text);

	for (size_t i = 0; i < MASTER_COLUMNS; i++) {
		struct slice word = slice_word(&rest, BLANKS);

		if (word.ptr == NULL) {
			return false;
		}
		r->columns[i] = arena_strndup(a, word.ptr, word.len);
	}
	return take_arguments(a, r, rest);
}

/* is_param - is argv[i] the -o of that parameter? */
static bool is_param(const struct row *r, size_t i, const char *name)
{
	struct assignment a;

	return i + 1 < r->argc && strcmp(r->argv[i], "-o") == 0 &&
		assignment_split(r->argv[i + 1], &a) == NULL && slice_eq(a.name, name);
}

static void remove_params(struct row *r, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->argc; i++) {
		if (is_param(r, i, name)) {
			i++;
		} else {
			r->argv[kept++] = r->argv[i];
		}
	}
	r->argc = kept;
	r->argv[kept] = NULL;
}

/* set_param - in its place, or behind the options */
static void set_param(struct master_edit *e, struct row *r, const struct request *q)
{
	const char *text = arena_printf(&e->pc->arena, "%s=%s", q->name, q->value);
	size_t at = 0;

	for (size_t i = 0; i < r->argc; i++) {
		if (is_param(r, i, q->name)) {
			r->argv[i + 1] = text;
			return;
		}
	}
	while (at < r->argc && r->argv[at][0] == '-') {
		at += strcmp(r->argv[at], "-o") == 0 && at + 1 < r->argc ? 2 : 1;
	}
	if (r->argc >= ARGUMENTS_MAX) {
		set_error(e, "too many arguments", q->text);
		return;
	}
	memmove(&r->argv[at + 2], &r->argv[at], (r->argc - at + 1) * sizeof(r->argv[0]));
	r->argv[at] = "-o";
	r->argv[at + 1] = text;
	r->argc += 2;
}

static void set_field(struct master_edit *e, struct row *r, const struct request *q)
{
	struct slice rest = slice_of(q->value), word;
	struct arena *a = &e->pc->arena;

	if (q->column != COLUMN_COMMAND) {
		r->columns[q->column] = q->value;
		return;
	}
	word = slice_word(&rest, BLANKS);
	r->columns[COLUMN_COMMAND] = arena_strndup(a, word.ptr, word.len);
	if (!take_arguments(a, r, rest)) {
		set_error(e, "missing '}' in arguments", q->text);
	}
}

/* ---- Requests ---- */

/* split_name - "service/type" or "service/type/name" of a request */
static void split_name(struct master_edit *e, struct request *q, struct slice name)
{
	static const char *const wants[] = {
		[PART_ROW] = "-Me, -MX or -M# requires service_name/type",
		[PART_FIELD] = "-Fe or -FX requires service_name/type/field_name",
		[PART_PARAM] = "-Pe or -PX requires service_name/type/parameter",
	};
	size_t want = e->part == PART_ROW ? 2 : 3, count = 0;
	const char *parts[3] = { "", "", "" };
	struct arena *a = &e->pc->arena;

	for (const char *p = name.ptr, *end = name.ptr + name.len; count < 4; count++) {
		const char *slash = count + 1 < want ? memchr(p, '/', (size_t)(end - p)) : NULL;
		const char *stop = slash != NULL ? slash : end;

		if (stop == p) {
			log_fatal("%s", wants[e->part]);
		}
		parts[count] = arena_strndup(a, p, (size_t)(stop - p));
		if (slash == NULL) {
			break;
		}
		p = slash + 1;
	}
	if (count + 1 != want) {
		log_fatal("%s", wants[e->part]);
	}
	q->service = parts[0];
	q->type = parts[1];
	q->name = parts[2];
}

/* take_value - check what a request sets */
static void take_value(struct master_edit *e, struct request *q)
{
	struct arena *a = &e->pc->arena;

	switch (e->part) {
	case PART_ROW:
		q->row = arena_alloc(a, sizeof(*q->row));
		if (!split_row(a, q->row, q->value)) {
			log_fatal("bad field count: \"%s\"", q->text);
		}
		for (size_t i = 0; i < MASTER_COLUMNS; i++) {
			check_field(i, q->row->columns[i], q->value);
		}
		break;
	case PART_FIELD:
		check_field(q->column, q->value, q->value);
		break;
	case PART_PARAM:
		if (strpbrk(q->value, BLANKS) != NULL) {
			log_fatal("-Pe does not accept whitespace in parameter value");
		}
		break;
	}
}

static void add_request(struct master_edit *e, const char *arg)
{
	struct request *q = &e->list[e->count++];
	struct assignment a = { .name = slice_trim(slice_of(arg)), .value = { "", 0 } };
	const char *wrong;

	q->text = arg;
	if (strchr(arg, '\n') != NULL) {
		log_fatal("-e, -X, or -# accepts no multi-line input");
	}
	wrong = e->mode == EDIT_SET ? assignment_split(arg, &a) : NULL;
	if (wrong != NULL) {
		log_fatal("%s: \"%s\"", wrong, arg);
	}
	if (e->mode != EDIT_SET && strchr(arg, '=') != NULL) {
		log_fatal("-X or -# requires names without value");
	}
	split_name(e, q, a.name);
	q->value = arena_strndup(&e->pc->arena, a.value.ptr, a.value.len);
	if (e->part == PART_FIELD) {
		while (q->column < MASTER_COLUMNS &&
			strcmp(postconf_columns[q->column], q->name) != 0) {
			q->column++;
		}
		if (q->column == MASTER_COLUMNS) {
			log_fatal("invalid service attribute name: \"%s\"", q->name);
		}
	}
	if (e->mode == EDIT_SET) {
		take_value(e, q);
	}
}

static bool is_meant(const struct request *q, const struct row *r)
{
	/* A new row comes in the place of its like, whatever it was asked to replace. */
	if (q->row != NULL && strcmp(q->row->columns[0], r->columns[0]) == 0 &&
		strcmp(q->row->columns[COLUMN_TYPE], r->columns[COLUMN_TYPE]) == 0) {
		return true;
	}
	return (strcmp(q->service, "*") == 0 || strcmp(q->service, r->columns[0]) == 0) &&
		(strcmp(q->type, "*") == 0 || strcmp(q->type, r->columns[COLUMN_TYPE]) == 0);
}

/* ---- The file ---- */

/* What becomes of the lines of a row. */
enum fate { KEEP, DROP, COMMENT };

/* line_length - with its end */
static size_t line_length(struct slice text, size_t at)
{
	const char *end = memchr(text.ptr + at, '\n', text.len - at);

	return end != NULL ? (size_t)(end - text.ptr) + 1 - at : text.len - at;
}

/* is_content - is it neither empty nor a comment? */
static bool is_content(const char *line, size_t len)
{
	size_t i = 0;

	while (i < len && isspace((unsigned char)line[i])) {
		i++;
	}
	return i < len && line[i] != '#';
}

/* logical_line - the row that begins there, without the comments in it */
static const char *logical_line(struct arena *a, struct slice text, size_t at)
{
	struct buf b = BUF_INIT;
	const char *copy;

	for (bool first = true; at < text.len; first = false) {
		size_t n = line_length(text, at);

		if (is_content(text.ptr + at, n)) {
			if (!first && !isspace((unsigned char)text.ptr[at])) {
				break;
			}
			buf_add(&b, text.ptr + at, n);
		}
		at += n;
	}
	copy = arena_strdup(a, buf_str(&b));
	buf_free(&b);
	return copy;
}

/* replace_row - what -M wants done with it */
static enum fate replace_row(struct master_edit *e, const struct row *r, struct buf *out)
{
	for (size_t i = 0; i < e->count; i++) {
		struct request *q = &e->list[i];

		if (!is_meant(q, r)) {
			continue;
		}
		if (e->mode == EDIT_SET && !q->matched) {
			postconf_add_row(out, q->row->columns, q->row->argv, true);
		}
		q->matched = true;
		return e->mode == EDIT_COMMENT ? COMMENT : DROP;
	}
	return KEEP;
}

/* change_row - what -F and -P want changed in it, as text to come behind its comments */
static enum fate change_row(struct master_edit *e, struct row *r, struct buf *later)
{
	/* All requests ask for the row as it was, even when one of them renames it. */
	const struct row before = *r;
	bool any = false;

	for (size_t i = 0; i < e->count; i++) {
		struct request *q = &e->list[i];

		if (!is_meant(q, &before)) {
			continue;
		}
		any = q->matched = true;
		if (e->part == PART_FIELD) {
			set_field(e, r, q);
		} else if (e->mode == EDIT_SET) {
			set_param(e, r, q);
		} else {
			remove_params(r, q->name);
		}
	}
	if (any) {
		postconf_add_row(later, r->columns, r->argv, true);
	}
	return any ? DROP : KEEP;
}

/* begin_row - decide what becomes of the row that begins at that place */
static enum fate begin_row(struct master_edit *e, const char *path, struct slice text, size_t at,
	struct buf *out, struct buf *later)
{
	const char *line = logical_line(&e->pc->arena, text, at);
	struct row *r = arena_alloc(&e->pc->arena, sizeof(*r));

	if (!split_row(&e->pc->arena, r, line)) {
		set_error(e, arena_printf(&e->pc->arena, "%s: bad field count", path), line);
		return KEEP;
	}
	return e->part == PART_ROW ? replace_row(e, r, out) : change_row(e, r, later);
}

static char *rewrite(void *arg, const char *path, struct slice text, struct buf *out)
{
	struct master_edit *e = arg;
	struct buf later = BUF_INIT;
	enum fate fate = KEEP;
	size_t n;

	for (size_t at = 0; at < text.len; at += n) {
		const char *line = text.ptr + at;
		bool content = is_content(line, n = line_length(text, at));

		if (content && !isspace((unsigned char)*line)) {
			buf_add(out, buf_str(&later), later.len);
			buf_reset(&later);
			fate = begin_row(e, path, text, at, out, &later);
		}
		if (content && fate == COMMENT) {
			buf_addc(out, '#');
		}
		if (!content || fate != DROP) {
			buf_add(out, line, n);
		}
		if (out->len > 0 && out->data[out->len - 1] != '\n') {
			buf_addc(out, '\n');
		}
	}
	buf_add(out, buf_str(&later), later.len);
	buf_free(&later);
	for (size_t i = 0; i < e->count && e->error == NULL; i++) {
		struct request *q = &e->list[i];

		if (!q->matched && e->part == PART_ROW && e->mode == EDIT_SET) {
			postconf_add_row(out, q->row->columns, q->row->argv, true);
		} else if (!q->matched && e->part != PART_ROW) {
			log_warn("unmatched service_name/type: \"%s\"", q->text);
		}
	}
	return e->error;
}

int postconf_edit_master(
	struct postconf *pc, enum master_part part, enum edit_mode mode, char **args)
{
	struct master_edit e = { .pc = pc, .part = part, .mode = mode };
	size_t count = 0;

	if (part == PART_FIELD && mode != EDIT_SET) {
		log_fatal("with option -F, do not specify %s", mode == EDIT_REMOVE ? "-X" : "-#");
	}
	if (part == PART_PARAM && mode == EDIT_COMMENT) {
		log_fatal("with option -P, do not specify -#");
	}
	while (args[count] != NULL) {
		count++;
	}
	if (count == 0) {
		log_fatal("%s",
			mode == EDIT_SET ? "-e requires name=value argument"
					 : "missing service argument");
	}
	e.list = arena_alloc(&pc->arena, count * sizeof(*e.list));
	memset(e.list, 0, count * sizeof(*e.list));
	for (size_t i = 0; i < count; i++) {
		add_request(&e, args[i]);
	}
	postconf_rewrite(pc, "master.cf", " for reading", rewrite, &e);
	return 0;
}
