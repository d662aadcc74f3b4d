/*
 * map_source - rows of the text that tables are made from
 *
 *	key value			postmap, texthash
 *	"key with blanks" value
 *	name: value, "|command", /file	aliases(5)
 *	"quoted name":value
 *
 * Logical lines as in main.cf. Keys are folded to lower case. An alias's value is kept
 * as written, but for the blanks around its commas, so that a list looks the same
 * whatever way its lines were broken.
 */
#include "map/map_source.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

static const char unbalanced[] = "unbalanced '\"'";

struct reader {
	const char *path;
	unsigned flags;
	struct buf key, value;
};

/* quoted - length of the text up to the quote that closes the one at s[0]; 0: none does */
static size_t quoted(const char *s)
{
	for (size_t i = 1; s[i] != '\0'; i++) {
		if (s[i] == '\\' && s[i + 1] != '\0') {
			i++;
		} else if (s[i] == '"') {
			return i + 1;
		}
	}
	return 0;
}

/* split_map - "key value"; NULL, or what is wrong */
static const char *split_map(struct reader *r, char *line)
{
	char *end = line;

	while (*end != '\0' && !isspace((unsigned char)*end)) {
		if (*end == '"') {
			size_t n = quoted(end);

			if (n == 0) {
				return unbalanced;
			}
			end += n;
		} else {
			end += *end == '\\' && end[1] != '\0' ? 2 : 1;
		}
	}
	buf_add(&r->key, line, (size_t)(end - line));
	while (isspace((unsigned char)*end)) {
		end++;
	}
	buf_adds(&r->value, end);
	if (r->key.len == 0 || r->value.len == 0) {
		return "expected format: key whitespace value";
	}
	return NULL;
}

/* split_name - the name of an alias up to its colon; where the value begins, or NULL */
static char *split_name(struct reader *r, char *p)
{
	bool blank = false;

	while (*p != ':') {
		if (*p == '\0' || *p == ',') {
			return NULL;
		}
		if (isspace((unsigned char)*p)) {
			blank = r->key.len > 0;
			p++;
			continue;
		}
		/* Words are held apart by one blank. */
		if (blank) {
			buf_addc(&r->key, ' ');
		}
		blank = false;
		if (*p == '"') {
			size_t n = quoted(p);

			if (n == 0) {
				return NULL;
			}
			for (size_t i = 1; i < n - 1; i++) {
				if (p[i] == '\\') {
					i++;
				}
				buf_addc(&r->key, p[i]);
			}
			p += n;
		} else {
			if (*p == '\\' && p[1] != '\0') {
				p++;
			}
			buf_addc(&r->key, *p++);
		}
	}
	return p + 1;
}

/* add_list - an alias's value, with its commas in order */
static void add_list(struct buf *out, const char *p)
{
	while (isspace((unsigned char)*p)) {
		p++;
	}
	while (*p != '\0') {
		size_t n = 1;

		if (*p == '"') {
			n = quoted(p);
			if (n == 0) {
				n = strlen(p);
			}
		} else if (*p == '\\' && p[1] != '\0') {
			n = 2;
		} else if (*p == ',') {
			while (out->len > 0 && isspace((unsigned char)out->data[out->len - 1])) {
				buf_truncate(out, out->len - 1);
			}
			buf_adds(out, ", ");
			for (p++; isspace((unsigned char)*p); p++) {
				continue;
			}
			continue;
		} else if (isspace((unsigned char)*p)) {
			while (isspace((unsigned char)p[1])) {
				p++;
			}
			buf_addc(out, ' ');
			p++;
			continue;
		}
		buf_add(out, p, n);
		p += n;
	}
}

/* split_alias - "name: value" */
static const char *split_alias(struct reader *r, char *line)
{
	char *rest = split_name(r, line);

	if (rest == NULL || r->key.len == 0) {
		return "need name:value pair";
	}
	if (strchr(r->key.data, '@') != NULL) {
		return "name must be local";
	}
	add_list(&r->value, rest);
	return r->value.len == 0 ? "need name:value pair" : NULL;
}

/* trim_end - blanks at the end of a line, of whatever kind */
static void trim_end(struct buf *b)
{
	size_t len = b->len;

	while (len > 0 && isspace((unsigned char)b->data[len - 1])) {
		len--;
	}
	if (len < b->len) {
		buf_truncate(b, len);
	}
}

/* take_line - a logical line into r->key and r->value; 1, 0 when it was passed over, -1 */
static int take_line(struct reader *r, struct lines *l, char **error_r)
{
	struct buf b = BUF_INIT;
	const char *wrong;

	if (l->has_nul || l->too_long) {
		buf_addf(&b, "%s, line %d: %s", r->path, l->number,
			l->has_nul ? "NUL byte in the line" : "line too long");
		*error_r = buf_steal(&b);
		return -1;
	}
	if (l->orphan) {
		log_warn("%s, line %d: logical line must not start with whitespace: \"%.30s\"",
			r->path, l->number, buf_str(&l->text));
		return 0;
	}
	trim_end(&l->text);
	buf_reset(&r->key);
	buf_reset(&r->value);
	wrong = r->flags & SOURCE_ALIAS ? split_alias(r, l->text.data) : split_map(r, l->text.data);
	if (wrong != NULL) {
		if (wrong == unbalanced) {
			log_warn("%s, line %d: %s in '%.100s' -- ignoring this line", r->path,
				l->number, wrong, buf_str(&l->text));
		} else {
			log_warn("%s, line %d: %s", r->path, l->number, wrong);
		}
		return 0;
	}
	if (!(r->flags & SOURCE_ALIAS) && r->key.data[r->key.len - 1] == ':') {
		log_warn("%s, line %d: record is in \"key: value\" format; is this an alias file?",
			r->path, l->number);
	}
	if (!(r->flags & SOURCE_EXACT)) {
		str_lower(r->key.data);
	}
	return 1;
}

int map_source_read(struct lines *l, const char *path, unsigned flags,
	int (*fn)(void *arg, const char *key, const char *value, int line), void *arg,
	char **error_r)
{
	struct reader r = { .path = path, .flags = flags };
	struct buf b = BUF_INIT;
	int rc = 0, got;

	while (rc == 0 && (got = lines_next(l)) != 0) {
		if (got < 0) {
			buf_addf(&b, "read %s: %s", path, strerror(errno));
			*error_r = buf_steal(&b);
			rc = -1;
			break;
		}
		got = take_line(&r, l, error_r);
		rc = got > 0 ? fn(arg, buf_str(&r.key), buf_str(&r.value), l->number) : got;
	}
	buf_free(&r.key);
	buf_free(&r.value);
	return rc;
}
