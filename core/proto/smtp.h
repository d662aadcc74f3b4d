#ifndef PROTO_SMTP_H
#define PROTO_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/*
 * The grammar of SMTP and LMTP: command lines, paths with every address shape
 * of RFC 5321 4.1.2, ESMTP parameters, replies. No I/O and no policy.
 *
 * Addresses are kept as they stand between < and >, in their plainest form:
 * the local part is quoted only where it must be, source routes are gone, a
 * trailing dot of the domain too.
 */

/* ---- Command lines ---- */

/*
 * "MAIL FROM:<a@b> SIZE=1" gives verb "MAIL", rest "FROM:<a@b> SIZE=1". Blanks around are
 * dropped.
 */
void smtp_split(struct slice line, struct slice *verb_r, struct slice *rest_r);

/*
 * "FROM:" or "TO:" (any case, blanks after the colon) at the head of
 * *rest: true and *rest goes behind it.
 */
bool smtp_keyword(struct slice *rest, const char *keyword);

/* ---- Paths ---- */

enum {
	SMTP_PATH_NULL = 1,  /* <> is fine (MAIL) */
	SMTP_PATH_STRICT = 2 /* only <...>; otherwise a bare word is taken too */
};

struct smtp_path {
	const char *address; /* owned by the arena; "" is the null path */
	bool utf8;           /* bytes above 127 (RFC 6531) */
	bool utf8_domain;    /* in the domain */
};

/*
 * A path at the head of *rest, which then goes behind it and the blanks that
 * follow. False: no path, or something other than a blank behind it.
 */
bool smtp_parse_path(struct arena *a, struct slice *rest, unsigned flags, struct smtp_path *out);

/* The whole of text is an address (no <>): its plainest form, or NULL. */
const char *smtp_plain_address(struct arena *a, struct slice text);

/*
 * A host name for HELO and domains: labels of letters, digits, '-', '_', UTF-8; no empty
 * label; RFC 1035 lengths.
 */
bool smtp_valid_hostname(struct slice name);
/*
 * "[1.2.3.4]", "[IPv6:::1]"; with brackets. The address without both in addr_r (may be
 * NULL), NUL-terminated.
 */
bool smtp_valid_literal(struct slice text, char addr_r[64]);
/*
 * Has it two labels or more and is no number (RFC 5321 4.1.2 Domain as reject_non_fqdn_*
 * wants it)?
 */
bool smtp_is_fqdn(struct slice name);

/* ---- ESMTP parameters ---- */

struct smtp_param {
	struct slice text; /* the whole, for "Unsupported option: text" */
	struct slice key;
	struct slice value; /* ptr NULL when there is no '=' */
};

/* The next of *rest; false at the end. */
bool smtp_next_param(struct slice *rest, struct smtp_param *p);

/* Digits and nothing else. */
bool smtp_is_number(struct slice text);
/* Digits only, no sign, fits. */
bool smtp_parse_size(struct slice text, uint64_t *size_r);
/*
 * RFC 3461 4.1: NEVER or a list of SUCCESS, FAILURE, DELAY. Values are 1 never, 2 success,
 * 4 failure, 8 delay.
 */
bool smtp_parse_notify(struct slice text, unsigned *notify_r);
/* RFC 3461 4.2 "type;xtext" (utf-8 forms of RFC 6533 too): "type;address" decoded, or NULL. */
const char *smtp_parse_orcpt(struct arena *a, struct slice text);
/* RFC 3461 4.4: printable ASCII after decoding, or NULL. */
const char *smtp_parse_envid(struct arena *a, struct slice text);

/* ---- Replies ---- */

/*
 * Append a reply, "250 2.1.0 Ok", with CRLF. Text with LF in it becomes
 * continuation lines, each with the code (and enhanced code) again. Other
 * control bytes become '?'.
 */
void smtp_put_reply(struct buf *out, const char *text);

/* UTF-8 as RFC 3629 has it (no surrogates, nothing overlong). */
bool smtp_valid_utf8(struct slice text);
/* Any byte above 127? */
bool smtp_has_8bit(struct slice text);

#endif
