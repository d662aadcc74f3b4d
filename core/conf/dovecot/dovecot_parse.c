/*
 * dovecot_parse - the text of dovecot.conf to a tree of sections
 *
 *	# comment                       key = value # comment
 *	key = "quoted # text"           key = $other_key more
 *	key = <file                     key = first \
 *	section [name] {                      second
 *	  key = value                   !include conf.d/50-x.conf
 *	}                               !include_try local.conf
 *
 * A section of the same type and name goes on with the one before; passdb,
 * userdb and namespace without a name are each their own. Include patterns are
 * relative to the file they stand in, and go in alphabetical order. An
 * included file may stand inside a section.
 *
 * Bounds: FILE_MAX bytes a file, INCLUDE_MAX files within files, DEPTH_MAX sections within
 * sections, NODES_MAX nodes in all.
 */
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_tree.h"

enum { FILE_MAX = 4 * 1024 * 1024, INCLUDE_MAX = 20, DEPTH_MAX = 32, NODES_MAX = 100000 };

struct parser {
	struct dovecot_tree *tree;
	const char *path;
	int line;
	int includes; /* files within files */
	struct conf_node *stack[DEPTH_MAX];
	int depth; /* stack[depth] is the section we are in */
	char **error_r;
};

static int parse_file(struct parser *p, const char *path, bool optional);

/* fail - "path:line: what"; -1 */
static int fail(struct parser *p, const char *what, const char *detail)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s:%d: %s", p->path, p->line, what);
	if (detail != NULL) {
		buf_addf(&b, ": %.100s", detail);
	}
	*p->error_r = buf_steal(&b);
	return -1;
}

/* cut_comment - end the line where a comment begins; quotes protect '#' */
static void cut_comment(struct parser *p, char *line)
{
	for (char *c = line; *c != '\0'; c++) {
		if (*c == '"' || *c == '\'') {
			char quote = *c++;

			for (; *c != '\0' && *c != quote; c++) {
				if (*c == '\\' && c[1] != '\0') {
					c++;
				}
			}
			if (*c == '\0') {
				return;
			}
		} else if (*c == '#') {
			if (c > line && !isspace((unsigned char)c[-1])) {
				log_warn("%s:%d: ambiguous '#' is taken as a comment: put a blank "
					 "before it, or "
					 "quote the value",
					p->path, p->line);
			}
			*c = '\0';
			return;
		}
	}
}

static char *trim(char *s)
{
	size_t len;

	while (isspace((unsigned char)*s)) {
		s++;
	}
	len = strlen(s);
	while (len > 0 && isspace((unsigned char)s[len - 1])) {
		len--;
	}
	s[len] = '\0';
	return s;
}

/* unquote - s without its quotes, escapes undone; false: it is not quoted */
static bool unquote(char *s)
{
	size_t len = strlen(s), out = 0;

	if (len < 2 || (s[0] != '"' && s[0] != '\'') || s[len - 1] != s[0]) {
		return false;
	}
	for (size_t i = 1; i < len - 1; i++) {
		if (s[i] == '\\' && i + 1 < len - 1) {
			i++;
		}
		s[out++] = s[i];
	}
	s[out] = '\0';
	return true;
}

/* current_value - of a setting, in this section or the ones around it, or its default */
static const char *current_value(struct parser *p, const char *name)
{
	bool inverted;
	const char *key = dovecot_old_name(name, &inverted);

	for (int i = p->depth; i >= 0; i--) {
		const struct conf_node *n = tree_find(p->stack[i], key);

		if (n != NULL) {
			return n->value;
		}
	}
	return dovecot_setting_default(key);
}

/* expand_variables - $name, $SET:name and $ENV:name; names that nobody knows stay as they are */
static void expand_variables(struct parser *p, const char *value, struct buf *out)
{
	while (*value != '\0') {
		size_t n = strcspn(value, "$");
		const char *name, *known;
		char *copy;
		bool env, set;

		buf_add(out, value, n);
		value += n;
		if (*value == '\0') {
			break;
		}
		env = str_starts(value + 1, "ENV:");
		set = str_starts(value + 1, "SET:");
		name = value + 1 + (env || set ? 4 : 0);
		n = 0;
		while (isalnum((unsigned char)name[n]) || name[n] == '_') {
			n++;
		}
		copy = mem_strndup(name, n);
		known = n == 0 ? NULL : env ? getenv(copy) : current_value(p, copy);
		mem_free(copy);
		if (known != NULL || env) {
			buf_adds(out, known != NULL ? known : "");
		} else {
			buf_add(out, value, (size_t)(name + n - value));
		}
		value = name + n;
	}
}

/* set_value - key = value in the section we are in */
static int set_value(struct parser *p, const char *key, char *value)
{
	struct buf out = BUF_INIT;
	bool inverted;

	if (p->tree->nodes > NODES_MAX) {
		return fail(p, "too many settings", NULL);
	}
	if (!unquote(value) && strchr(value, '$') != NULL) {
		expand_variables(p, value, &out);
	} else {
		buf_adds(&out, value);
	}
	key = dovecot_old_name(key, &inverted);
	if (inverted) {
		tree_set(p->tree, p->stack[p->depth], key,
			str_ieq(buf_str(&out), "yes") ? "no" : "yes", p->path, p->line);
	} else {
		tree_set(p->tree, p->stack[p->depth], key, buf_str(&out), p->path, p->line);
	}
	buf_free(&out);
	return 0;
}

/* include_pattern - the files a pattern names, one after the other */
static int include_pattern(struct parser *p, char *pattern, bool optional)
{
	struct buf full = BUF_INIT;
	const char *slash = strrchr(p->path, '/');
	glob_t found;
	int rc;

	unquote(pattern);
	if (*pattern == '\0') {
		return fail(p, "include without a file name", NULL);
	}
	if (*pattern != '/' && slash != NULL) {
		buf_add(&full, p->path, (size_t)(slash - p->path) + 1);
	}
	buf_adds(&full, pattern);
	rc = glob(full.data, 0, NULL, &found);
	if (rc == GLOB_NOMATCH) {
		/* A directory without files is fine, a missing file is not. */
		rc = 0;
		if (!optional && strpbrk(pattern, "*?[") == NULL) {
			rc = fail(p, "no such file", full.data);
		}
		buf_free(&full);
		return rc;
	}
	if (rc != 0) {
		rc = fail(p, "cannot look for files", full.data);
	}
	for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
		rc = parse_file(p, found.gl_pathv[i], optional);
	}
	globfree(&found);
	buf_free(&full);
	return rc;
}

/* open_section - "type [name] {" */
static int open_section(struct parser *p, char *head)
{
	char *key = trim(head), *name;

	for (name = key; *name != '\0' && !isspace((unsigned char)*name); name++) {
		continue;
	}
	if (*name != '\0') {
		*name++ = '\0';
		name = trim(name);
		unquote(name);
	}
	if (*key == '\0') {
		return fail(p, "section without a type", NULL);
	}
	if (p->depth + 1 == DEPTH_MAX || p->tree->nodes > NODES_MAX) {
		return fail(p, "too many sections", key);
	}
	p->stack[p->depth + 1] = tree_section(
		p->tree, p->stack[p->depth], key, *name != '\0' ? name : NULL, p->path, p->line);
	p->depth++;
	return 0;
}

static int parse_line(struct parser *p, char *line, int floor);

/* parse_section_line - a line with '{': a section, perhaps all of it on this line */
static int parse_section_line(struct parser *p, char *line, char *brace, int floor)
{
	char *rest;
	size_t len;
	int rc, opened;

	*brace = '\0';
	if (open_section(p, line) != 0) {
		return -1;
	}
	opened = p->depth;
	rest = trim(brace + 1);
	len = strlen(rest);
	if (len == 0) {
		return 0;
	}
	if (rest[len - 1] != '}') {
		return parse_line(p, rest, floor);
	}
	rest[len - 1] = '\0';
	rc = parse_line(p, rest, opened);
	if (rc == 0 && p->depth != opened) {
		rc = fail(p, "section is not closed", p->stack[p->depth]->key);
	}
	p->depth = opened - 1;
	return rc;
}

/*
 * parse_line - one line, comments and continuations dealt with; floor: the depth this file began
 * at
 */
static int parse_line(struct parser *p, char *line, int floor)
{
	char *text = trim(line), *equals, *brace;

	if (*text == '\0') {
		return 0;
	}
	if (strcmp(text, "}") == 0) {
		if (p->depth == floor) {
			return fail(p, "unexpected '}'", NULL);
		}
		p->depth--;
		return 0;
	}
	if (str_starts(text, "!include_try") && isspace((unsigned char)text[12])) {
		return include_pattern(p, trim(text + 12), true);
	}
	if (str_starts(text, "!include") && isspace((unsigned char)text[8])) {
		return include_pattern(p, trim(text + 8), false);
	}
	equals = strchr(text, '=');
	brace = strchr(text, '{');
	if (brace != NULL && (equals == NULL || brace < equals)) {
		return parse_section_line(p, text, brace, floor);
	}
	if (equals == NULL) {
		return fail(p, "expecting '=' or '{'", text);
	}
	*equals = '\0';
	text = trim(text);
	if (*text == '\0') {
		return fail(p, "setting without a name", NULL);
	}
	return set_value(p, text, trim(equals + 1));
}

/* parse_text - all lines of a file */
static int parse_text(struct parser *p, char *text)
{
	struct buf line = BUF_INIT;
	int floor = p->depth, rc = 0, first = 1;
	char *next;

	if (str_starts(text, "\xef\xbb\xbf")) {
		text += 3;
	}
	p->line = 0;
	for (; text != NULL && rc == 0; text = next) {
		char *piece;
		size_t len;

		next = strchr(text, '\n');
		if (next != NULL) {
			*next++ = '\0';
		}
		p->line++;
		piece = trim(text);
		if (*piece == '#') {
			continue;
		}
		cut_comment(p, piece);
		piece = trim(piece);
		len = strlen(piece);
		if (line.len == 0) {
			first = p->line;
		}
		if (len > 0 && piece[len - 1] == '\\') {
			piece[len - 1] = '\0';
			buf_adds(&line, trim(piece));
			buf_addc(&line, ' ');
			continue;
		}
		if (line.len > 0) {
			int here = p->line;

			buf_adds(&line, piece);
			p->line = first;
			rc = parse_line(p, line.data, floor);
			p->line = here;
			buf_reset(&line);
		} else {
			rc = parse_line(p, piece, floor);
		}
	}
	if (rc == 0 && line.len > 0) {
		rc = fail(p, "the last line ends in '\\'", NULL);
	}
	if (rc == 0 && p->depth != floor) {
		p->line = p->stack[p->depth]->line;
		rc = fail(p, "section is not closed", p->stack[p->depth]->key);
	}
	buf_free(&line);
	return rc;
}

/* parse_file - one file; 0, -1, or 1 when it is not there and optional */
static int parse_file(struct parser *p, const char *path, bool optional)
{
	const char *outer_path = p->path;
	int outer_line = p->line, rc;
	size_t len;
	char *text;

	if (p->includes == INCLUDE_MAX) {
		return fail(p, "too many files within files", path);
	}
	text = file_read(path, FILE_MAX, &len);
	if (text == NULL) {
		if (optional && (errno == ENOENT || errno == EACCES)) {
			return 0;
		}
		return fail(p, strerror(errno), path);
	}
	p->path = arena_strdup(&p->tree->arena, path);
	p->includes++;
	p->line = 1;
	rc = strlen(text) == len ? parse_text(p, text) : fail(p, "NUL byte in the file", NULL);
	p->includes--;
	/* An error keeps its place. */
	p->path = outer_path;
	p->line = outer_line;
	mem_free(text);
	return rc;
}

int dovecot_parse(struct dovecot_tree *t, const char *path, char **error_r)
{
	struct parser p = { .tree = t, .path = path, .error_r = error_r };
	struct buf b = BUF_INIT;
	char *text;
	size_t len;
	int missing;

	p.stack[0] = &t->root;
	/* The main file's absence is not an error of a line of some file. */
	text = file_read(path, FILE_MAX, &len);
	if (text == NULL) {
		missing = errno == ENOENT;
		buf_addf(&b, "open %s: %s", path, strerror(errno));
		*error_r = buf_steal(&b);
		return missing ? 1 : -1;
	}
	mem_free(text);
	return parse_file(&p, path, false);
}
