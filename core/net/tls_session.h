#ifndef NET_TLS_SESSION_H
#define NET_TLS_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "cert/tls_verify.h"
#include "bearssl.h"

/*
 * For core/net/tls*.c: sessions that a client may resume. A resumed session shows no certificate,
 * so what the first one was found worth is kept with it; the key has to say everything that this
 * was judged by.
 */
struct tls_sessions;

enum { TLS_SESSION_KEY = 65 }; /* 64 hex digits and NUL */

/* max of them, the oldest goes first; for so many seconds each. */
struct tls_sessions *tls_sessions_new(size_t max, int64_t seconds);
void tls_sessions_free(struct tls_sessions *s);
/* trust: its generation; one that was judged by another is no session any more. NULL: none. The
 * verdict is the caller's reference. */
struct tls_verdict *tls_sessions_get(
	struct tls_sessions *s, const char *key, unsigned trust, br_ssl_session_parameters *out);
void tls_sessions_put(struct tls_sessions *s, const char *key, unsigned trust,
	const br_ssl_session_parameters *session, struct tls_verdict *v);
void tls_sessions_drop(struct tls_sessions *s, const char *key);

#endif
