#ifndef CERT_X509_SAYS_H
#define CERT_X509_SAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "cert/x509.h"

/* What certificates say to people, and to be matched. */

/* The first and the last second of its time, since 1970. False: no dates. */
bool x509_dates(const struct x509_names *c, int64_t *from, int64_t *until);
/* A name as OpenSSL writes it on one line, printable: "/C=XX/O=Name/CN=mx.example". */
void x509_name_text(struct buf *out, struct slice name);
/* Its first common name, or, there being none, its organization, printable. */
void x509_name_short(struct buf *out, struct slice name);
/*
 * Call fn for each host (a name, maybe with a wildcard, or an address as text) that the certificate
 * is for: its subjectAltName, or, where no host name is in that, its common names (RFC 6125 6.4.4).
 * What cannot be a host name is left out. fn's true ends the walk and is returned.
 */
bool x509_each_host(const struct x509_names *c, bool (*fn)(void *arg, const char *host), void *arg);
/* Does it say (extended key usage) that it is not for servers? */
bool x509_not_for_servers(const struct x509_names *c);

#endif
