/*
 * rewriting - what is changed on the way out
 *
 *	generic(5)		envelope addresses, and those in headers of the message itself
 *	header_checks(5)	IGNORE STRIP REPLACE PREPEND WARN INFO DUNNO: what smtp can do
 *
 * A table that does not answer while the message passes spoils it: no dot is sent, it waits.
 */
#include "applets/deliver/smtp/rewriting.h"

#include <ctype.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map.h"
#include "address/lookup.h"
#include "address/rewrite.h"
#include "message/cleanup_header.h"

enum { KINDS = 3 };

struct rewriting {
	struct maps *generic, *header[KINDS], *body, *reply;
};

struct rewriting *rewriting_new(const struct smtp_settings *s)
{
	struct rewriting *r = mem_alloc(sizeof(*r));

	r->generic = maps_open(s->generic_maps, 0);
	r->header[MIME_FILTER_PRIMARY] = maps_open(s->header_checks, 0);
	r->header[MIME_FILTER_MIME] = maps_open(s->mime_header_checks, 0);
	r->header[MIME_FILTER_NESTED] = maps_open(s->nested_header_checks, 0);
	r->body = maps_open(s->body_checks, 0);
	r->reply = maps_open(s->reply_filter, 0);
	return r;
}

void rewriting_free(struct rewriting *r)
{
	if (r == NULL) {
		return;
	}
	maps_close(r->generic);
	for (size_t i = 0; i < KINDS; i++) {
		maps_close(r->header[i]);
	}
	maps_close(r->body);
	maps_close(r->reply);
	mem_free(r);
}

/* ---- generic(5) ---- */

/* with_extension - "user+ext@domain" of what the table has, where it is to be kept */
static const char *with_extension(struct arena *a, const char *address, const char *ext)
{
	const char *at = address_at(address);

	if (ext == NULL || !list_has(param.propagate_unmatched_extensions, "generic")) {
		return address;
	}
	return at == NULL ? arena_printf(a, "%s%s", address, ext)
			  : arena_printf(a, "%.*s%s%s", (int)(at - address), address, ext, at);
}

int rewriting_address(struct rewriting *r, struct arena *a, const char *address, const char **out)
{
	struct buf value = BUF_INIT;
	const char *ext = NULL, *found;
	int rc = 0;

	*out = address;
	if (maps_empty(r->generic) || *address == '\0') {
		return 0;
	}
	rc = lookup_address(a, r->generic, address, LOOKUP_ALL, &value, &ext, NULL);
	if (rc > 0) {
		found = buf_str(&value);
		if (*found == '@') { /* the domain alone */
			found = address_make(a, address_local(a, address), found + 1);
			ext = NULL;
		}
		*out = rewrite_address(
			a, with_extension(a, arena_strdup(a, found), ext), REWRITE_LOCAL);
	}
	buf_free(&value);
	return rc < 0 ? -1 : 0;
}

static const char *map_header_address(void *arg, struct arena *a, const char *address)
{
	struct rewriting_mail *m = arg;
	const char *out;

	if (rewriting_address(m->rewriting, a, address, &out) != 0) {
		m->failed = true;
	}
	return out;
}

/* map_header - by generic(5): has it changed? */
static bool map_header(struct rewriting_mail *m, struct slice text, size_t value, struct buf *out)
{
	return !maps_empty(m->rewriting->generic) &&
		cleanup_header_role(text.ptr, text.len) != CLEANUP_NOBODY &&
		cleanup_change_header(out, text.ptr, text.len, value, map_header_address, m);
}

/* ---- header_checks(5), body_checks ---- */

struct check {
	struct rewriting_mail *mail;
	const char *where; /* "header", "body" */
	struct slice text;
	const char *argument; /* of the action */
	struct buf *instead;
};

static void log_action(const struct check *c, const char *action)
{
	int len = c->text.len < 60 ? (int)c->text.len : 60;

	log_info("%s: %s: %s %.*s%s%s", c->mail->id, action, c->where, len, c->text.ptr,
		*c->argument != '\0' ? ": " : "", c->argument);
}

/* is_header - "Name: ..." */
static bool is_header(const char *text)
{
	const char *p = text;

	while (isgraph((unsigned char)*p) && *p != ':') {
		p++;
	}
	return p > text && *p == ':';
}

/* usable - a text that may take the place of what is there, or stand before it */
static bool usable(const struct check *c, const char *action)
{
	bool header = c->where[0] == 'h';

	if (*c->argument == '\0' || (header && !is_header(c->argument))) {
		log_warn("%s: %s action without %s: \"%s\"", c->mail->id, action,
			header ? "a header" : "text", c->argument);
		return false;
	}
	return true;
}

static enum mime_filter_verdict keep(const struct check *c)
{
	(void)c;
	return MIME_FILTER_KEEP;
}

static enum mime_filter_verdict drop(const struct check *c)
{
	(void)c;
	return MIME_FILTER_DROP;
}

static enum mime_filter_verdict strip(const struct check *c)
{
	log_action(c, "strip");
	return MIME_FILTER_DROP;
}

static enum mime_filter_verdict info(const struct check *c)
{
	log_action(c, "info");
	return MIME_FILTER_KEEP;
}

static enum mime_filter_verdict warning(const struct check *c)
{
	log_action(c, "warning");
	return MIME_FILTER_KEEP;
}

static enum mime_filter_verdict replace(const struct check *c)
{
	if (!usable(c, "REPLACE")) {
		return MIME_FILTER_KEEP;
	}
	log_action(c, "replace");
	buf_adds(c->instead, c->argument);
	return MIME_FILTER_REPLACE;
}

static enum mime_filter_verdict prepend(const struct check *c)
{
	if (!usable(c, "PREPEND")) {
		return MIME_FILTER_KEEP;
	}
	log_action(c, "prepend");
	buf_addf(c->instead, "%s\n", c->argument);
	buf_add(c->instead, c->text.ptr, c->text.len);
	return MIME_FILTER_REPLACE;
}

/* act - on what a table has said */
static enum mime_filter_verdict act(struct check *c, const char *said)
{
	static const struct {
		const char *name;
		enum mime_filter_verdict (*fn)(const struct check *c);
	} actions[] = { { "DUNNO", keep }, { "OK", keep }, { "IGNORE", drop }, { "STRIP", strip },
		{ "INFO", info }, { "WARN", warning }, { "REPLACE", replace },
		{ "PREPEND", prepend } };
	size_t len = strcspn(said, " \t");

	c->argument = said + len + strspn(said + len, " \t");
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (slice_ieq((struct slice){ said, len }, actions[i].name)) {
			return actions[i].fn(c);
		}
	}
	log_warn("%s: unsupported command in %s checks: %s", c->mail->id, c->where, said);
	return MIME_FILTER_KEEP;
}

/* look_up - what a table says of a text */
static enum mime_filter_verdict look_up(struct rewriting_mail *m, struct maps *maps,
	const char *where, struct slice text, struct buf *instead)
{
	enum mime_filter_verdict verdict = MIME_FILTER_KEEP;
	struct buf value = BUF_INIT;
	struct check c = { .mail = m, .where = where, .text = text, .instead = instead };
	char *key;
	int rc;

	if (maps_empty(maps)) {
		return verdict;
	}
	key = mem_strndup(text.ptr, text.len);
	rc = maps_get(maps, key, &value);
	if (rc > 0) {
		verdict = act(&c, buf_str(&value));
	} else if (rc < 0) {
		log_warn("%s: smtp %s checks lookup error", m->id, where);
		m->failed = true;
	}
	mem_free(key);
	buf_free(&value);
	return verdict;
}

static enum mime_filter_verdict on_header(void *arg, enum mime_filter_header kind,
	struct slice text, size_t value, struct buf *instead)
{
	struct rewriting_mail *m = arg;
	struct buf mapped = BUF_INIT;
	enum mime_filter_verdict verdict;
	bool changed = kind == MIME_FILTER_PRIMARY && map_header(m, text, value, &mapped);

	if (changed) {
		text = (struct slice){ mapped.data, mapped.len };
	}
	verdict = look_up(m, m->rewriting->header[kind], "header", text, instead);
	if (verdict == MIME_FILTER_KEEP && changed) {
		buf_add(instead, mapped.data, mapped.len);
		verdict = MIME_FILTER_REPLACE;
	}
	buf_free(&mapped);
	return verdict;
}

static enum mime_filter_verdict on_body(void *arg, struct slice line, struct buf *instead)
{
	struct rewriting_mail *m = arg;

	return look_up(m, m->rewriting->body, "body", line, instead);
}

void rewriting_hooks(struct rewriting *r, struct rewriting_mail *m, struct mime_filter_hooks *hooks)
{
	bool headers = !maps_empty(r->generic);

	for (size_t i = 0; i < KINDS; i++) {
		headers = headers || !maps_empty(r->header[i]);
	}
	*hooks = (struct mime_filter_hooks){ .header = headers ? on_header : NULL,
		.body = !maps_empty(r->body) ? on_body : NULL,
		.arg = m };
}

/* ---- smtp_reply_filter ---- */

bool rewriting_has_reply_filter(const struct rewriting *r)
{
	return !maps_empty(r->reply);
}

void rewriting_reply(void *arg, struct buf *line)
{
	struct rewriting *r = arg;
	struct buf value = BUF_INIT;

	if (maps_get(r->reply, buf_str(line), &value) > 0) {
		log_info("replacing server reply \"%s\" with \"%s\"", buf_str(line),
			buf_str(&value));
		buf_reset(line);
		buf_add(line, value.data, value.len);
	}
	buf_free(&value);
}
