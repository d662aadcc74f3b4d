#ifndef APPLETS_DELIVER_SMTP_TLS_POLICY_H
#define APPLETS_DELIVER_SMTP_TLS_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/dns.h"
#include "net/tls_client.h"

/*
 * Which TLS a next hop gets: smtp_tls_* (or lmtp_tls_*) and their policy table.
 *
 * One attempt:
 *	tls_policy_find() with the next hop, once for each host that is tried;
 *	level NONE: no STARTTLS. wrapper: TLS before the greeting. Else, STARTTLS announced: use it;
 *	not announced, or refused: level MAY goes on in the clear, any other defers, see
 *	tls_policy_refusal().
 *	tls_policy_wants_tlsa(): ask dns_tlsa() for the host, give the answer to tls_policy_tlsa().
 *	tls_policy_start() makes the engine. Handshake failed: level MAY may try once more on a new
 *	connection in the clear, any other defers. Handshake done: tls_policy_done(), which logs;
 *	false: quit, defer with its text. Then, and not before, EHLO anew, AUTH and mail.
 * A connection may be used again only where tls_policy_same() holds.
 */
struct tls_policies; /* of one service; opened again by each reload */

/* As Postfix orders them: what is above ENCRYPT has to be proved. */
enum tls_level {
	TLS_LEVEL_NONE,
	TLS_LEVEL_MAY,
	TLS_LEVEL_ENCRYPT,
	TLS_LEVEL_FINGERPRINT,
	TLS_LEVEL_DANE,
	TLS_LEVEL_DANE_ONLY,
	TLS_LEVEL_VERIFY,
	TLS_LEVEL_SECURE
};
const char *tls_level_name(enum tls_level level);            /* "dane-only" */
bool tls_level_parse(const char *text, enum tls_level *out); /* any case */

/*
 * Before root is given up: our certificate and its key are read here. A bad smtp_tls_security_level
 * is an error (NULL, text in *error); a certificate that cannot be loaded is logged, and TLS goes
 * without it.
 */
struct tls_policies *tls_policies_open(bool lmtp, struct buf *error);
/* What is wrong with the settings, for `postfix check': each as a line. */
void tls_policies_check(bool lmtp, void (*warn)(const char *text));
void tls_policies_close(struct tls_policies *ps); /* after its policies and engines */
/* Mail that came in at this time is at hand: so late it is, even where no clock says so. */
void tls_policies_seen(struct tls_policies *ps, int64_t arrival);

/* Whose word on DNS answers counts (dnssec_resolver): for dns_trust_resolver(). */
enum dns_trust tls_policies_trust(void);

struct tls_policy; /* of one host of one next hop */

/*
 * next_hop: as the route has it ("example.com", "[mx.example]:587", "unix:path"); host: the MX or
 * address that is tried; port. A table may be asked: within map_wait_enter() NULL may mean "not
 * yet" (map/map_wait.h). NULL: defer with *error ("client TLS configuration problem", 4.7.5), and
 * what is wrong is logged.
 */
struct tls_policy *tls_policy_find(struct tls_policies *ps, const char *next_hop, const char *host,
	unsigned port, struct buf *error);
void tls_policy_free(struct tls_policy *p);
enum tls_level tls_policy_level(const struct tls_policy *p); /* after tls_policy_tlsa() */
bool tls_policy_wrapper(const struct tls_policy *p);

/*
 * DANE: are TLSA records to be asked for? mx_secure: the host is the next hop itself, or the MX
 * answer was authenticated (dns_authenticated()).
 */
bool tls_policy_wants_tlsa(struct tls_policy *p, bool mx_secure);
/*
 * The answer of dns_tlsa(): level becomes DANE with records, or ENCRYPT where none of them can be
 * used, or MAY where there are none; DANE_ONLY has to have them. False: defer (4.7.5) with *error.
 */
bool tls_policy_tlsa(struct tls_policy *p, enum dns_status status, const char *const *values,
	size_t count, struct buf *error);

/* The engine; who: "mx.example[192.0.2.1]:25", for log and sessions. NULL: defer with *error. */
struct tls *tls_policy_start(struct tls_policy *p, const char *who, struct buf *error);
/*
 * The handshake is over and good: "Trusted TLS connection established to ..." is logged by
 * smtp_tls_loglevel. False: it is not the server we want, *error is "Server certificate not
 * verified" (4.7.5).
 */
bool tls_policy_done(struct tls_policy *p, const char *who, const struct tls *t, struct buf *error);

/* STARTTLS is missing (reply NULL) or was refused with this reply, and the level needs it: the text
 * (4.7.4): "TLS is required, but was not offered by host NAME". */
void tls_policy_refusal(
	const struct tls_policy *p, const char *who, const char *reply, struct buf *out);
/* smtp_tls_note_starttls_offer: said when the host offers STARTTLS and the level is NONE. */
void tls_policy_note_offer(const struct tls_policy *p, const char *host);

/*
 * May a connection made for a go on with mail for b, which was only just found? And a text that is
 * equal then, for a key.
 */
bool tls_policy_same(const struct tls_policy *a, const struct tls_policy *b);
const char *tls_policy_key(const struct tls_policy *p);

#endif
