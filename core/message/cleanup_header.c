/*
 * cleanup_header - header values: addresses completed, From and Received made
 *
 * A header's value is walked once, byte by byte, without building anything;
 * only the places of the addresses are noted. An address that is changed is
 * replaced where it stands, everything round it (names, comments, folds) stays
 * as the author wrote it. What cannot be read as an address is left alone.
 *
 *	phrase <local@domain>, local@domain (comment), group: member, member;
 *
 * RFC 5322 3.4 (addresses), 4.4 (obsolete ones); RFC 5321 4.4 (Received).
 */
#include "message/cleanup_header.h"

#include <string.h>

#include "base/arena.h"
#include "base/date.h"
#include "base/str.h"
#include "conf/params.h"
#include "mime/charset.h"
#include "mime/word.h"
#include "proto/smtp.h"
#include "address/rewrite.h"
#include "message/cleanup.h"

enum { COMMENT_DEPTH_MAX = 50, ADDRESS_TOKENS_MAX = 10240 };

/* One pass over a value. */
struct walk {
	const char *p, *end;
	size_t words;             /* of the element so far */
	const char *start, *stop; /* the last word: a run without blanks */
	bool angle;               /* inside <> */
	const char *route;        /* "@a,@b:" before the address in <>, or NULL */
	size_t tokens;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* skip_comment - p at '(': behind its ')' */
static const char *skip_comment(const char *p, const char *end)
{
	int depth = 0;

	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end) {
			p++;
		} else if (*p == '(' && depth < COMMENT_DEPTH_MAX) {
			depth++;
		} else if (*p == ')' && --depth == 0) {
			return p + 1;
		}
	}
	return end;
}

/* skip_quoted - p at '"': behind the closing one */
static const char *skip_quoted(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '\\' && p + 1 < end) {
			p++;
		} else if (*p == '"') {
			return p + 1;
		}
	}
	return end;
}

/* skip_word - a run of atoms, quoted strings, dots, '@' and literals without blanks */
static const char *skip_word(const char *p, const char *end)
{
	while (p < end && !is_space(*p) && memchr("(),;<>", *p, 6) == NULL) {
		if (*p == '"') {
			p = skip_quoted(p, end);
		} else if (*p == '[') {
			while (p < end && *p != ']' && *p != '\n') {
				p++;
			}
		} else if (*p == ':') {
			break;
		} else {
			p++;
		}
	}
	return p;
}

/* begin_element - forget the words of the element before */
static void begin_element(struct walk *w)
{
	w->words = 0;
	w->angle = false;
	w->route = NULL;
}

/* skip_route - p behind '<': past a source route there, which is remembered */
static void skip_route(struct walk *w)
{
	const char *p = w->p;

	while (p < w->end && *p != ':' && *p != '>' && *p != '<' && *p != '"' && *p != '[') {
		p++;
	}
	if (w->p < w->end && *w->p == '@' && p < w->end && *p == ':') {
		w->route = w->p;
		w->p = p + 1;
	}
}

/*
 * next_address - the next address that stands in one piece: true and
 * start..stop, in <> with the route before it. A phrase of several words is no address.
 */
static bool next_address(struct walk *w)
{
	while (w->p < w->end && w->tokens++ < ADDRESS_TOKENS_MAX) {
		char c = *w->p;
		bool one = w->words == 1;

		if (is_space(c)) {
			w->p++;
		} else if (c == '(') {
			w->p = skip_comment(w->p, w->end);
		} else if (c == '<') {
			begin_element(w);
			w->angle = true;
			w->p++;
			skip_route(w);
		} else if (c == '>' || c == ',' || c == ';') {
			bool found = one && (w->angle ? c == '>' : c != '>');
			const char *route = w->route;

			begin_element(w);
			w->route = found ? route : NULL;
			/* what follows <> up to the comma is none */
			w->words = c == '>' ? 2 : 0;
			w->p++;
			if (found) {
				return true;
			}
		} else if (c == ':') {
			w->words = w->angle ? 2 : 0; /* a route, or a group's name */
			w->p++;
		} else {
			w->start = w->p;
			w->p = w->stop = skip_word(w->p, w->end);
			w->words++;
			if (w->start == w->stop) {
				w->p++; /* a byte that fits nowhere */
			}
		}
	}
	if (w->p >= w->end && w->words == 1 && !w->angle) {
		w->words = 0;
		return true;
	}
	return false;
}

/* needs_completion - no domain, or a domain without a dot or with one at its end */
static bool needs_completion(const char *start, const char *stop)
{
	const char *at = NULL;

	for (const char *p = start; p < stop; p++) {
		if (*p == '"') {
			p = skip_quoted(p, stop) - 1;
		} else if (*p == '@') {
			at = p;
		}
	}
	return at == NULL ||
		(at + 1 < stop && at[1] != '[' &&
			(stop[-1] == '.' || memchr(at, '.', (size_t)(stop - at)) == NULL));
}

bool cleanup_complete_header(
	struct buf *out, const char *text, size_t len, size_t value, bool local)
{
	struct walk w = { .p = text + value, .end = text + len };
	struct arena a = ARENA_INIT;
	const char *done = text;
	bool changed = false;

	if (!local && *param.remote_header_rewrite_domain == '\0') {
		return false;
	}
	while (next_address(&w)) {
		const char *old, *new, *from = w.route != NULL ? w.route : w.start;
		bool dot;

		w.route = NULL;
		if (w.start == w.stop || (from == w.start && !needs_completion(w.start, w.stop))) {
			continue;
		}
		/* "user@host." is complete, and smtp_plain_address() takes the dot away */
		dot = w.stop[-1] == '.' && memchr(w.start, '@', (size_t)(w.stop - w.start)) != NULL;
		old = smtp_plain_address(&a, (struct slice){ w.start, (size_t)(w.stop - w.start) });
		if (old == NULL || *old == '\0') {
			continue;
		}
		new = dot ? old : rewrite_address(&a, old, local ? REWRITE_LOCAL : REWRITE_REMOTE);
		if (strcmp(old, new) != 0 || from != w.start || dot) {
			buf_add(out, done, (size_t)(from - done));
			buf_adds(out, new);
			done = w.stop;
			changed = true;
		}
	}
	if (changed) {
		buf_add(out, done, (size_t)(text + len - done));
	}
	arena_free(&a);
	return changed;
}

bool cleanup_change_header(struct buf *out, const char *text, size_t len, size_t value,
	const char *(*change)(void *arg, struct arena *a, const char *address), void *arg)
{
	struct walk w = { .p = text + value, .end = text + len };
	struct arena a = ARENA_INIT;
	const char *done = text;

	while (next_address(&w)) {
		const char *old, *new;

		w.route = NULL;
		if (w.start == w.stop) {
			continue;
		}
		old = smtp_plain_address(&a, (struct slice){ w.start, (size_t)(w.stop - w.start) });
		if (old == NULL || *old == '\0') {
			continue;
		}
		new = change(arg, &a, old);
		if (strcmp(old, new) != 0) {
			buf_add(out, done, (size_t)(w.start - done));
			buf_adds(out, new);
			done = w.stop;
		}
	}
	if (done != text) {
		buf_add(out, done, (size_t)(text + len - done));
	}
	arena_free(&a);
	return done != text;
}

/* put_phrase - a display name: bare where atoms allow it, else quoted; RFC 5322 3.2.5 */
static void put_phrase(struct buf *out, const char *name)
{
	bool quote = false;

	for (const char *p = name; *p != '\0'; p++) {
		quote = quote || strchr("()<>[]:;@\\,.\"", *p) != NULL;
	}
	if (!quote) {
		buf_adds(out, name);
		return;
	}
	buf_addc(out, '"');
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\') {
			buf_addc(out, '\\');
		}
		buf_addc(out, *p);
	}
	buf_addc(out, '"');
}

void cleanup_put_mailbox(struct buf *out, const char *address, const char *full_name)
{
	char name[128];

	if (*address == '\0') {
		full_name = "Mail Delivery System";
	}
	str_copy(name, sizeof(name), full_name);
	for (char *p = name; *p != '\0'; p++) {
		*p = (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p;
	}
	for (size_t n = strlen(name);
		n > 0 && !utf8_valid(name, n) && utf8_valid(full_name, strlen(full_name)); n--) {
		name[n - 1] = '\0'; /* cut inside a character */
	}
	if (*name == '\0') {
		buf_adds(out, address);
		return;
	}
	if (strcmp(param.header_from_format, "obsolete") == 0) {
		if (*address != '\0') {
			buf_adds(out, address);
		} else {
			buf_addf(out, "MAILER-DAEMON@%s", param.myhostname);
		}
		buf_addf(out, " (%s)", name);
		return;
	}
	if (smtp_has_8bit(slice_of(name)) && utf8_valid(name, strlen(name))) {
		mime_words_encode(out, slice_of(name), strlen("From: "), true);
	} else {
		put_phrase(out, name);
	}
	if (*address != '\0') {
		buf_addf(out, " <%s>", address);
	} else {
		buf_addf(out, " <MAILER-DAEMON@%s>", param.myhostname);
	}
}

/* put_clean - text of a stranger inside a header: comments and controls cannot be forged */
static void put_clean(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		buf_addc(out, c < 0x20 || c == 0x7f || strchr("()\\\"", c) != NULL ? '?' : (char)c);
	}
}

void cleanup_received(struct buf *out, const struct cleanup_trace *t)
{
	char date[DATE_SIZE];

	date_rfc5322(date, t->when, true);
	if (*t->client_addr == '\0') {
		buf_addf(out, "Received: by %s (%s, from userid %ld)\n\tid %s; %s\n",
			param.myhostname, param.mail_name, (long)t->uid, t->queue_id, date);
		return;
	}
	buf_adds(out, "Received: from ");
	put_clean(out, *t->helo != '\0' ? t->helo : t->client_name);
	buf_adds(out, " (");
	put_clean(out, t->client_name);
	buf_addf(out, " [%s%s])\n", strchr(t->client_addr, ':') != NULL ? "IPv6:" : "",
		t->client_addr);
	if (t->tls != NULL) {
		buf_addf(out, "\t(using %s)\n\t(No client certificate requested)\n", t->tls);
	}
	if (t->sasl_user != NULL) {
		buf_adds(out, "\t(Authenticated sender: ");
		put_clean(out, t->sasl_user);
		buf_adds(out, ")\n");
	}
	buf_addf(out, "\tby %s (%s) with %s id %s", param.myhostname, param.mail_name, t->proto,
		t->queue_id);
	if (t->recipient != NULL) {
		buf_addf(out, "\n\tfor <%s>", t->recipient);
	}
	buf_addf(out, "; %s\n", date);
}
