/*
 * imap_mailbox - mailbox names and LIST patterns
 *
 * Modified UTF-7: printable ASCII stands for itself, '&' is "&-", runs of anything else
 * are UTF-16 in base64 with ',' for '/' between '&' and '-'. Only the shortest form
 * is a name; a server that took others would have two names for one mailbox.
 *
 * RFC 3501 5.1.3, 6.3.8; RFC 2152
 */
#include "proto/imap_mailbox.h"

#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "mime/charset.h"
#include "mime/structure.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool is_direct(unsigned char c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* put_unit - one UTF-16 unit; *high holds a surrogate that waits for its other half */
static bool put_unit(struct buf *out, uint32_t unit, uint32_t *high)
{
	if (*high != 0) {
		if (unit < 0xdc00 || unit > 0xdfff) {
			return false;
		}
		utf8_put(out, 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00));
		*high = 0;
		return true;
	}
	if (unit >= 0xdc00 && unit <= 0xdfff) {
		return false;
	}
	if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return true;
	}
	if (is_direct((unsigned char)unit) && unit < 0x80) {
		return false;	/* must stand for itself */
	}
	utf8_put(out, unit);
	return true;
}

/* decode_run - after '&': base64 up to '-'; NULL: malformed */
static const char *decode_run(struct buf *out, const char *p)
{
	uint32_t bits = 0, high = 0;
	unsigned have = 0;

	for (; *p != '-'; p++) {
		const char *at = *p != '\0' ? strchr(alphabet, *p) : NULL;

		if (at == NULL) {
			return NULL;
		}
		bits = bits << 6 | (uint32_t)(at - alphabet);
		have += 6;
		if (have >= 16) {
			have -= 16;
			if (!put_unit(out, bits >> have & 0xffff, &high)) {
				return NULL;
			}
		}
	}
	if (high != 0 || have >= 6 || (bits & ((1u << have) - 1)) != 0) {
		return NULL;
	}
	return p + 1;
}

bool imap_utf7_decode(struct buf *out, const char *p)
{
	while (*p != '\0') {
		if (!is_direct((unsigned char)*p)) {
			return false;
		}
		if (*p != '&') {
			buf_addc(out, *p++);
		} else if (p[1] == '-') {
			buf_addc(out, '&');
			p += 2;
		} else {
			p = decode_run(out, p + 1);
			if (p == NULL) {
				return false;
			}
			if (p[0] == '&' && p[1] != '-') {	/* two runs that should be one */
				return false;
			}
		}
	}
	return true;
}

void imap_utf7_encode(struct buf *out, const char *s)
{
	size_t len = strlen(s), i = 0, n;
	uint32_t bits = 0;
	unsigned have = 0;
	bool run = false;

	while (i < len || run) {
		int32_t c = i < len ? utf8_get(s + i, len - i, &n) : ' ';
		unsigned count, k;
		uint32_t units[2];

		if (c >= 0 && c < 0x80 && is_direct((unsigned char)c)) {
			if (run) {
				if (have > 0) {
					buf_addc(out, alphabet[bits << (6 - have) & 63]);
				}
				buf_addc(out, '-');
				run = false;
				continue;
			}
			buf_adds(out, c == '&' ? "&-" : (char[2]){ (char)c, '\0' });
			i += n;
			continue;
		}
		i += n;
		c = c < 0 ? 0xfffd : c;
		count = c >= 0x10000 ? 2 : 1;
		units[0] = count == 2 ? 0xd800 + (((uint32_t)c - 0x10000) >> 10) : (uint32_t)c;
		units[1] = 0xdc00 + (((uint32_t)c - 0x10000) & 0x3ff);
		if (!run) {
			buf_addc(out, '&');
			run = true;
			have = 0;
		}
		for (k = 0; k < count; k++) {
			bits = bits << 16 | units[k];
			for (have += 16; have >= 6;) {
				have -= 6;
				buf_addc(out, alphabet[bits >> have & 63]);
			}
		}
	}
}

/* Encoded names are printable ASCII: quoted always does, and some clients read no literal in LIST. */
void imap_put_mailbox(struct buf *out, const char *utf8)
{
	struct buf name = BUF_INIT;
	const char *s;
	bool quoted;

	imap_utf7_encode(&name, utf8);
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
			p.data[i] = "INBOX"[i];		/* "in%" */
		}
	}
	m = match_here(buf_str(&p), buf_str(&n), separator, &steps);
	buf_free(&p);
	buf_free(&n);
	return m;
}
