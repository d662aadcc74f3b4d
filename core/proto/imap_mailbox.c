/*
 * imap_mailbox - mailbox names in answers, and LIST patterns
 *
 * RFC 3501 5.1, 6.3.8
 */
#include "proto/imap_mailbox.h"

#include <string.h>

#include "base/str.h"
#include "proto/utf7.h"

/* Encoded names are printable ASCII: quoted always does, and some clients read no literal in
 * LIST. */
void imap_put_mailbox(struct buf *out, const char *utf8)
{
	struct buf name = BUF_INIT;
	const char *s;
	bool quoted;

	(void)utf7_encode(&name, utf8, strlen(utf8)); /* names are valid UTF-8 */
	s = buf_str(&name);
	quoted = *s == '\0' || s[strcspn(s, " (){%*\"\\")] != '\0' || str_ieq(s, "NIL");
	buf_adds(out, quoted ? "\"" : "");
	for (; *s != '\0'; s++) {
		buf_adds(out, *s == '"' || *s == '\\' ? "\\" : "");
		buf_addc(out, *s);
	}
	buf_adds(out, quoted ? "\"" : "");
	buf_free(&name);
}

/* match_here - pattern against name; steps bounds the work (patterns of many stars) */
static enum imap_match match_here(const char *p, const char *n, char separator, unsigned *steps)
{
	bool parent = false, any;

	for (; *p != '\0' && *p != '*' && *p != '%'; p++, n++) {
		if (*n == '\0') {
			return *p == separator ? IMAP_MATCH_PARENT : IMAP_MATCH_NO;
		}
		if (*p != *n) {
			return IMAP_MATCH_NO;
		}
	}
	if (*p == '\0') {
		return *n == '\0' ? IMAP_MATCH_YES : IMAP_MATCH_NO;
	}
	for (any = *p == '*'; p[1] == '*' || p[1] == '%';
		p++) { /* a run is as wide as its widest */
		any = any || p[1] == '*';
	}
	for (;; n++) {
		enum imap_match m;

		if (++*steps > 100000) {
			return IMAP_MATCH_NO;
		}
		m = match_here(p + 1, n, separator, steps);
		if (m == IMAP_MATCH_YES) {
			return m;
		}
		parent = parent || m == IMAP_MATCH_PARENT;
		if (*n == '\0') {
			break;
		}
		if (!any && *n == separator) {
			return parent ? IMAP_MATCH_PARENT : IMAP_MATCH_NO;
		}
	}
	return parent || any ? IMAP_MATCH_PARENT : IMAP_MATCH_NO;
}

enum imap_match imap_match(const char *pattern, const char *name, char separator)
{
	struct buf p = BUF_INIT, n = BUF_INIT;
	enum imap_match m;
	unsigned steps = 0;
	size_t i;

	buf_adds(&p, pattern);
	buf_adds(&n, name);
	/* INBOX has no case: as a whole or as the first component. */
	if (str_istarts(pattern, "INBOX")) {
		memcpy(p.data, "INBOX", 5);
	}
	if (str_istarts(name, "INBOX") && (name[5] == '\0' || name[5] == separator)) {
		memcpy(n.data, "INBOX", 5);
		for (i = 0; i < 5 && (pattern[i] & ~0x20) == "INBOX"[i]; i++) {
			p.data[i] = "INBOX"[i]; /* "in%" */
		}
	}
	m = match_here(buf_str(&p), buf_str(&n), separator, &steps);
	buf_free(&p);
	buf_free(&n);
	return m;
}
