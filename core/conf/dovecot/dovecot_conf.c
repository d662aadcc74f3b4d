/*
 * dovecot_conf - dovecot.conf: load, look up, expand
 *
 * The text is parsed (dovecot_parse.c), brought to the names of Dovecot 2.3
 * (dovecot_names.c) and its plain settings are converted (dovecot_settings.c)
 * before anything of the present configuration changes. The tree before it is kept for
 * one more load, because sessions hold pointers into it.
 */
#include "conf/dovecot/dovecot_conf.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_tree.h"
#include "conf/params.h"

enum { OVERRIDES_MAX = 100 };

static struct dovecot_tree *current, *previous;
static char **overrides; /* "name", NUL, "value" */
static size_t override_count;

bool dovecot_conf_override(const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	char *copy;

	if (equals == NULL || equals == assignment || override_count == OVERRIDES_MAX) {
		return false;
	}
	if (overrides == NULL) {
		overrides = mem_calloc(OVERRIDES_MAX, sizeof(*overrides));
	}
	copy = mem_strdup(assignment);
	copy[equals - assignment] = '\0';
	overrides[override_count++] = copy;
	return true;
}

static void tree_free(struct dovecot_tree *t)
{
	if (t != NULL) {
		arena_free(&t->arena);
		mem_free(t);
	}
}

/*
 * follow_main_cf - where mail is when dovecot.conf does not say: where main.cf, if it was read, has
 * it delivered (home_mailbox, mail_spool_directory), so that a spool that was moved is moved once
 */
static void follow_main_cf(struct dovecot_tree *t)
{
	const char *def = dovecot_setting_default("mail_location");
	const char *path = param.mail_spool_directory;
	bool home = param.home_mailbox != NULL && param.home_mailbox[0] != '\0';
	struct buf place = BUF_INIT;

	if (tree_find(&t->root, "mail_location") != NULL || path == NULL || path[0] == '\0') {
		return;
	}
	if (home) {
		path = param.home_mailbox;
	}
	/* A name that ends in a slash is a maildir, for local delivery too (local(8)). */
	buf_adds(&place, str_ends(path, "/") ? "maildir:" : "mbox:~/mail:INBOX=");
	buf_adds(&place, home ? "~/" : "");
	buf_add(&place, path, strlen(path) - str_ends(path, "/"));
	buf_adds(&place, home ? "" : "/%u");
	if (strcmp(buf_str(&place), def) != 0) {
		tree_set(t, &t->root, "mail_location", buf_str(&place), "main.cf", 0);
	}
	buf_free(&place);
}

int dovecot_conf_load(const char *path, bool optional, char **error_r)
{
	struct dovecot_tree *next = mem_alloc(sizeof(*next));
	struct settings values = { 0 };
	int rc = dovecot_parse(next, path, error_r);

	if (rc == 1 && optional) {
		mem_free(*error_r);
		*error_r = NULL;
		rc = 0;
	}
	if (rc != 0) {
		tree_free(next);
		return -1;
	}
	for (size_t i = 0; i < override_count; i++) {
		tree_set(next, &next->root, overrides[i], overrides[i] + strlen(overrides[i]) + 1,
			"-o", 0);
	}
	dovecot_translate(next);
	follow_main_cf(next);
	dovecot_convert(next, &values);
	tree_free(previous);
	previous = current;
	current = next;
	setting = values;
	return 0;
}

const struct conf_node *dovecot_conf_root(void)
{
	static const struct conf_node none;

	return current != NULL ? &current->root : &none;
}

void dovecot_unused(void (*fn)(void *arg, const struct conf_node *node, bool refused), void *arg)
{
	dovecot_unused_below(dovecot_conf_root(), fn, arg);
}

const char *conf_protocol_setting(const char *protocol, const char *name)
{
	const char *value = conf_setting(dovecot_conf_root(), name, dovecot_setting_default(name));
	const struct conf_node *n = NULL;

	while ((n = conf_next_section(dovecot_conf_root(), "protocol", n)) != NULL) {
		bool other = n->name != NULL && n->name[0] == '!';

		if (n->name != NULL && (strcmp(n->name + other, protocol) == 0) != other) {
			value = conf_setting(n, name, value);
		}
	}
	return value;
}

const char *dovecot_file_path(const char *value)
{
	while (*value == '<' || isspace((unsigned char)*value)) {
		value++;
	}
	return value;
}

/* ---- Variables ---- */

struct variables {
	const char *user, *home, *protocol;
};

static const struct {
	char letter;
	const char *name;
} variable_names[] = {
	{ 'u', "user" },
	{ 'u', "username" },
	{ 'n', "usern" },
	{ 'd', "domain" },
	{ 'h', "home" },
	{ 's', "service" },
	{ 's', "protocol" },
	{ 'p', "pid" },
	{ 'H', "hostname" },
};

/* variable - the value of one letter; false: none of ours */
static bool variable(const struct variables *v, char letter, struct buf *out)
{
	const char *at = strrchr(v->user, '@');
	char host[256];

	switch (letter) {
	case 'u':
		buf_adds(out, v->user);
		return true;
	case 'n':
		buf_add(out, v->user, at != NULL ? (size_t)(at - v->user) : strlen(v->user));
		return true;
	case 'd':
		buf_adds(out, at != NULL ? at + 1 : "");
		return true;
	case 'h':
		buf_adds(out, v->home);
		return true;
	case 's':
		buf_adds(out, v->protocol);
		return true;
	case 'p':
		buf_addf(out, "%ld", (long)getpid());
		return true;
	case 'H':
		if (gethostname(host, sizeof(host)) == 0) {
			host[sizeof(host) - 1] = '\0';
			buf_adds(out, host);
		}
		return true;
	default:
		return false;
	}
}

/* change_case - of what begins at from */
static void change_case(struct buf *b, size_t from, bool upper)
{
	for (size_t i = from; i < b->len; i++) {
		b->data[i] = (char)(upper ? toupper((unsigned char)b->data[i])
					  : tolower((unsigned char)b->data[i]));
	}
}

/* keep_part - the user or domain part of an address that begins at from */
static void keep_part(struct buf *b, size_t from, bool domain)
{
	const char *at = memchr(buf_str(b) + from, '@', b->len - from);
	char *rest;

	if (!domain) {
		if (at != NULL) {
			buf_truncate(b, (size_t)(at - b->data));
		}
		return;
	}
	rest = mem_strdup(at != NULL ? at + 1 : "");
	buf_truncate(b, from);
	buf_adds(b, rest);
	mem_free(rest);
}

/* long_variable - the inside of %{name | filter | filter} */
static void long_variable(const struct variables *v, const char *text, size_t len, struct buf *out)
{
	struct slice rest = { text, len }, word;
	size_t from = out->len;
	bool found = false;

	word = slice_trim(slice_word(&rest, "|"));
	for (size_t i = 0; i < ARRAY_LEN(variable_names) && !found; i++) {
		if (slice_eq(word, variable_names[i].name)) {
			found = variable(v, variable_names[i].letter, out);
		}
	}
	if (!found && word.len == 1) {
		found = variable(v, word.ptr[0], out);
	}
	if (!found) {
		buf_addf(out, "UNSUPPORTED_VARIABLE_%.*s", (int)word.len, word.ptr);
		return;
	}
	while ((word = slice_word(&rest, "|")).ptr != NULL) {
		word = slice_trim(word);
		if (slice_eq(word, "lower") || slice_eq(word, "upper")) {
			change_case(out, from, slice_eq(word, "upper"));
		} else if (slice_eq(word, "username") || slice_eq(word, "domain")) {
			keep_part(out, from, slice_eq(word, "domain"));
		}
	}
}

/* cut - offset.width of what begins at from */
static void cut(struct buf *b, size_t from, size_t offset, size_t width)
{
	size_t len = b->len - from;
	char *part;

	if (offset > len) {
		offset = len;
	}
	if (width == 0 || width > len - offset) {
		width = len - offset;
	}
	part = mem_strndup(buf_str(b) + from + offset, width);
	buf_truncate(b, from);
	buf_adds(b, part);
	mem_free(part);
}

/* short_variable - %u with its modifiers (%Lu, %1.2n); p stands behind '%'; where it ends */
static const char *short_variable(const struct variables *v, const char *p, struct buf *out)
{
	size_t offset = 0, width = 0, from = out->len;
	bool lower = false, upper = false;

	while (isdigit((unsigned char)*p) && width < 10000) {
		width = width * 10 + (size_t)(*p++ - '0');
	}
	if (*p == '.') {
		offset = width;
		width = 0;
		for (p++; isdigit((unsigned char)*p) && width < 10000; p++) {
			width = width * 10 + (size_t)(*p - '0');
		}
	}
	for (; *p == 'L' || *p == 'U' || *p == 'T'; p++) {
		lower = lower || *p == 'L';
		upper = upper || *p == 'U';
	}
	if (*p == '{') {
		size_t len = strcspn(p + 1, "}");

		long_variable(v, p + 1, len, out);
		p += len + 1 + (p[len + 1] == '}');
	} else if (*p == '%') {
		buf_addc(out, *p++);
	} else if (*p != '\0') {
		if (*p == 'H' || !variable(v, *p, out)) {
			buf_addf(out, "UNSUPPORTED_VARIABLE_%c", *p);
		}
		p++;
	}
	if (lower || upper) {
		change_case(out, from, upper);
	}
	if (offset > 0 || width > 0) {
		cut(out, from, offset, width);
	}
	return p;
}

char *dovecot_expand(const char *text, const char *user, const char *home, const char *protocol)
{
	struct variables v = { user != NULL ? user : "", home != NULL ? home : "",
		protocol != NULL ? protocol : "" };
	struct buf out = BUF_INIT;

	while (*text != '\0') {
		size_t n = strcspn(text, "%");

		buf_add(&out, text, n);
		text += n;
		if (*text == '%') {
			text = short_variable(&v, text + 1, &out);
		}
	}
	return buf_steal(&out);
}
