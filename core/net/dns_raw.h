#ifndef NET_DNS_RAW_H
#define NET_DNS_RAW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Private to dns*.c: replies as they came, for what c-ares does not read. */

enum { DNS_RAW_A = 1, DNS_RAW_MX = 15, DNS_RAW_TLSA = 52 };

/* The header's flags; -1: it is no reply. */
int dns_raw_rcode(const unsigned char *reply, size_t len);
bool dns_raw_authenticated(const unsigned char *reply, size_t len); /* AD: RFC 4035 3.2.3 */
void dns_raw_ask_authenticated(unsigned char *query, size_t len);   /* AD: RFC 6840 5.7 */
/* The name at the end of the answer's CNAMEs, maybe name itself; false: damaged, or a circle. */
bool dns_raw_end(const unsigned char *reply, size_t len, const char *name, char end[256]);
/*
 * Add "usage selector type hex" and NUL to out for each TLSA record of name (or its alias); at most
 * max. Their number, or -1: damaged.
 */
int dns_raw_tlsa(const unsigned char *reply, size_t len, size_t max, struct buf *out);

#endif
