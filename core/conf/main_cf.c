/*
 * main_cf - the assignments of main.cf
 *
 *	# comment
 *	name = value, a line that begins with a blank
 *	    continues it; '#' further on is part of the value
 *
 * A line without '=', without a name, with a NUL byte or longer than LINES_MAX
 * is an error that names file and line: guessing would run a server that was
 * not asked for. The first line may not begin with a blank; it is passed over with a
 * warning.
 */
#include "conf/main_cf.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "conf/lines.h"

const char *assignment_split(const char *text, struct assignment *out)
{
	struct slice line = slice_trim(slice_of(text));
	const char *equals = memchr(line.ptr, '=', line.len);
	size_t n;

	if (equals == line.ptr) {
		return "missing attribute name";
	}
	if (equals == NULL) {
		return "missing '=' after attribute name";
	}
	n = (size_t)(equals - line.ptr);
	out->name = slice_trim((struct slice){ line.ptr, n });
	out->value = slice_trim((struct slice){ equals + 1, line.len - n - 1 });
	if (memchr(out->name.ptr, ' ', out->name.len) != NULL ||
		memchr(out->name.ptr, '\t', out->name.len) != NULL) {
		return "missing '=' after attribute name";
	}
	return NULL;
}

/* set_error - "path, line n: what" with the begin of the line; -1 */
static int set_error(char **error_r, const char *path, const struct lines *l, const char *what)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s, line %d: %s: \"%.60s\"", path, l->number, what, buf_str(&l->text));
	*error_r = buf_steal(&b);
	return -1;
}

/* take_line - one logical line */
static int take_line(const char *path, const struct lines *l,
	int (*fn)(void *arg, struct slice name, struct slice value, int line), void *arg,
	char **error_r)
{
	struct assignment a;
	const char *wrong;

	if (l->has_nul) {
		return set_error(error_r, path, l, "NUL byte in the line");
	}
	if (l->too_long) {
		return set_error(error_r, path, l, "line too long");
	}
	if (l->orphan) {
		log_warn("%s, line %d: logical line must not start with whitespace: \"%.60s\"",
			path, l->number, buf_str(&l->text));
		return 0;
	}
	wrong = assignment_split(buf_str(&l->text), &a);
	if (wrong != NULL) {
		return set_error(error_r, path, l, wrong);
	}
	return fn(arg, a.name, a.value, l->number);
}

int main_cf_read(const char *path,
	int (*fn)(void *arg, struct slice name, struct slice value, int line), void *arg,
	char **error_r)
{
	struct buf error = BUF_INIT;
	struct lines l;
	int rc;

	if (lines_open(&l, path) != 0) {
		int missing = errno == ENOENT;

		buf_addf(&error, "open %s: %s", path, strerror(errno));
		*error_r = buf_steal(&error);
		return missing ? 1 : -1;
	}
	while ((rc = lines_next(&l)) > 0) {
		rc = take_line(path, &l, fn, arg, error_r);
		if (rc != 0) {
			break;
		}
	}
	if (rc < 0 && *error_r == NULL) {
		buf_addf(&error, "read %s: %s", path, strerror(errno));
		*error_r = buf_steal(&error);
	}
	lines_close(&l);
	return rc;
}
