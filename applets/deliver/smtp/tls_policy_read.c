/*
 * tls_policy_read - one row of smtp_tls_policy_maps
 *
 * "LEVEL attribute=value ...", separated by blanks or commas. What is not understood might have
 * made TLS stronger: such a row is no good, and its mail waits.
 */
#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "map/map_wait.h"
#include "applets/deliver/smtp/tls_policy_impl.h"

static const char levels[][12] = {
	[TLS_LEVEL_NONE] = "none",
	[TLS_LEVEL_MAY] = "may",
	[TLS_LEVEL_ENCRYPT] = "encrypt",
	[TLS_LEVEL_FINGERPRINT] = "fingerprint",
	[TLS_LEVEL_DANE] = "dane",
	[TLS_LEVEL_DANE_ONLY] = "dane-only",
	[TLS_LEVEL_VERIFY] = "verify",
	[TLS_LEVEL_SECURE] = "secure",
};

const char *tls_level_name(enum tls_level level)
{
	return levels[level];
}

bool tls_level_parse(const char *text, enum tls_level *out)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (str_ieq(text, levels[i])) {
			*out = (enum tls_level)i;
			return true;
		}
	}
	return false;
}

void tls_policy_add(struct arena *a, const char ***list, size_t *count, const char *words,
	const char *delimiters)
{
	struct slice rest = slice_of(words), word;

	while ((word = slice_word(&rest, delimiters)).ptr != NULL) {
		const char **grown = arena_alloc(a, (*count + 1) * sizeof(*grown));

		if (*count > 0) {
			memcpy(grown, *list, *count * sizeof(*grown));
		}
		grown[(*count)++] = arena_strndup(a, word.ptr, word.len);
		*list = grown;
	}
}

/* ---- Attributes ---- */

static bool bad(const char *where, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* bad - say so, unless the look-ups are done again: false */
static bool bad(const char *where, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	if (!map_is_waiting()) {
		va_start(ap, fmt);
		buf_addvf(&text, fmt, ap);
		va_end(ap);
		log_warn("%s: %s", where, buf_str(&text));
		buf_free(&text);
	}
	return false;
}

/* set_once - an attribute that stands at most once in a row */
static bool set_once(struct tls_policy *p, const char **to, const char *name, const char *value,
	const char *where)
{
	if (*to != NULL) {
		return bad(where, "attribute \"%s\" is specified multiple times", name);
	}
	*to = arena_strdup(&p->a, value);
	return true;
}

static bool take_match(struct tls_policy *p, const char *name, const char *value, const char *where)
{
	if (p->level <= TLS_LEVEL_ENCRYPT) {
		return bad(where, "attribute \"%s\" invalid at security level \"%s\"", name,
			tls_level_name(p->level));
	}
	if (*value == '\0') {
		return bad(where, "attribute \"%s\" has empty value", name);
	}
	/* Fingerprints have colons themselves. */
	tls_policy_add(&p->a, &p->match, &p->match_count, value,
		p->level == TLS_LEVEL_FINGERPRINT ? "|" : ":");
	return true;
}

static bool take_anchors(
	struct tls_policy *p, const char *name, const char *value, const char *where)
{
	if (p->level != TLS_LEVEL_VERIFY && p->level != TLS_LEVEL_SECURE) {
		return bad(where, "attribute \"%s\" invalid at security level \"%s\"", name,
			tls_level_name(p->level));
	}
	if (*value == '\0') {
		return bad(where, "attribute \"%s\" has empty value", name);
	}
	tls_policy_add(&p->a, &p->ca_files, &p->ca_file_count, value, ",");
	return true;
}

static bool host_name(const char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)s[i]) && strchr("-_.", s[i]) == NULL) {
			return false;
		}
	}
	return len > 0 && len < 254 && s[0] != '.' && s[0] != '-' && strstr(s, "..") == NULL;
}

static bool take_attribute(
	struct tls_policy *p, const char *name, const char *value, const char *where)
{
	if (str_ieq(name, "match")) {
		return take_match(p, name, value, where);
	}
	if (str_ieq(name, "tafile")) {
		return take_anchors(p, name, value, where);
	}
	if (str_ieq(name, "ciphers")) {
		return *value != '\0' ? set_once(p, &p->grade, name, value, where)
				      : bad(where, "attribute \"%s\" has empty value", name);
	}
	if (str_ieq(name, "protocols")) {
		return set_once(p, &p->protocols, name, value, where);
	}
	if (str_ieq(name, "exclude")) {
		return set_once(p, &p->exclude, name, value, where);
	}
	if (str_ieq(name, "servername")) {
		return host_name(value)
			? set_once(p, &p->server_name, name, value, where)
			: bad(where, "malformed attribute/value pair \"%s=%s\": no host name", name,
				  value);
	}
	if (str_ieq(name, "connection_reuse") || str_ieq(name, "enable_rpk")) {
		return str_ieq(value, "yes") || str_ieq(value, "no")
			? true
			: bad(where, "attribute \"%s\" has bad value: \"%s\"", name, value);
	}
	return bad(where, "invalid attribute name: \"%s\"", name);
}

bool tls_policy_read(struct tls_policy *p, const char *row, const char *where)
{
	static const char delimiters[] = ", \t\r\n";
	struct slice rest = slice_of(row), word = slice_word(&rest, delimiters);
	char *level;

	if (word.ptr == NULL) {
		return bad(where, "invalid empty policy");
	}
	level = arena_strndup(&p->a, word.ptr, word.len);
	if (!tls_level_parse(level, &p->level)) {
		return bad(where, "invalid security level \"%s\"", level);
	}
	while ((word = slice_word(&rest, delimiters)).ptr != NULL) {
		char *name = arena_strndup(&p->a, word.ptr, word.len), *value = strchr(name, '=');

		if (p->level == TLS_LEVEL_NONE) {
			(void)bad(where, "ignoring attribute \"%s\" with TLS disabled", name);
			continue;
		}
		if (value == NULL || value == name) {
			return bad(where, "malformed attribute/value pair \"%s\"", name);
		}
		*value = '\0';
		if (!take_attribute(p, name, value + 1, where)) {
			return false;
		}
	}
	return true;
}
