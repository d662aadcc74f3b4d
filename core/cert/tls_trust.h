#ifndef CERT_TLS_TRUST_H
#define CERT_TLS_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "bearssl.h"

/*
 * For core/cert and core/net/tls*.c: whom we trust. Only where each certificate
 * stands in its file is kept (24 bytes); it is read when its name is asked for.
 */
struct tls_trust;

/* files: count paths; directory "" or NULL: none. Nothing is read yet. */
struct tls_trust *tls_trust_new(const char *const *files, size_t count, const char *directory);
void tls_trust_free(struct tls_trust *t);
/* Look at the files, at most once a second. The number changes with what is trusted. */
unsigned tls_trust_refresh(struct tls_trust *t);
size_t tls_trust_count(const struct tls_trust *t);

/* The dates of an anchor are looked at here: BearSSL does not. */
enum tls_date { TLS_DATE_GOOD, TLS_DATE_EARLY, TLS_DATE_OVER };
enum tls_date tls_date_of(const void *der, size_t len, int64_t now);

/*
 * The anchors of this name (whole DER), for the time now; at most max, each to be freed. *date_r is
 * changed when one is left out for its dates.
 */
size_t tls_trust_find(struct tls_trust *t, struct slice name, int64_t now,
	br_x509_trust_anchor *out, size_t max, enum tls_date *date_r);
/* Make an anchor of a certificate; is_ca: it is one whatever it says. False: it cannot be used. */
bool tls_anchor_make(br_x509_trust_anchor *ta, const void *der, size_t len, bool is_ca);
void tls_anchor_free(br_x509_trust_anchor *ta);

#endif
