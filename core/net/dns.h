#ifndef NET_DNS_H
#define NET_DNS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"

/*
 * Asynchronous DNS (c-ares) on the event loop. /etc/hosts is honoured;
 * /etc/resolv.conf is looked at again when it changes. A question can be
 * cancelled until its answer came.
 */
enum dns_status { DNS_OK, DNS_NOT_FOUND, DNS_TRY_AGAIN };

struct dns;
struct dns_query;

struct dns *dns_new(struct loop *loop);
void dns_free(struct dns *d);
/* Ask these servers ("127.0.0.1:5300,[::1]:53") instead of those of resolv.conf. */
void dns_set_servers(struct dns *d, const char *servers);
/* Read this file instead of /etc/hosts, from the next question on. */
void dns_set_hosts(struct dns *d, const char *path);

/*
 * answer: status, names or addresses as text (valid during the call). What is known at
 * once (hosts file, loopback, numeric) is answered before the asking function returns; it then
 * returns NULL.
 */
typedef void dns_answer_fn(
	void *arg, enum dns_status status, const char *const *values, size_t count);

/*
 * Verified name of an address: PTR, then A/AAAA of that name must hold the address. One value.
 * Loopback addresses never go to a name server.
 */
struct dns_query *dns_peer_name(struct dns *d, const char *addr, dns_answer_fn *fn, void *arg);
/* Addresses of a host. */
struct dns_query *dns_host(
	struct dns *d, const char *name, bool v4, bool v6, dns_answer_fn *fn, void *arg);
/*
 * Mail exchangers as "preference host", best first; "0 ." is a null MX (RFC 7505). Those that
 * are no host names are left out; DNS_TRY_AGAIN when none is. DNS_NOT_FOUND: no MX.
 */
struct dns_query *dns_mx(struct dns *d, const char *domain, dns_answer_fn *fn, void *arg);
/*
 * TLSA records of a host's port (RFC 6698; RFC 7672 2.2: at the end of its CNAMEs first), as
 * "usage selector type hex". DNS_NOT_FOUND: none, or the zone is not signed, or no answer is to be
 * believed (dns_trust_resolver); DNS_TRY_AGAIN: nobody knows, and the server must not be believed.
 */
struct dns_query *dns_tlsa(
	struct dns *d, const char *host, unsigned port, dns_answer_fn *fn, void *arg);
/*
 * Whose word counts that an answer was validated (the AD bit, RFC 6840 5.8): a name server on this
 * host (the default), any, nobody.
 */
enum dns_trust { DNS_TRUST_LOOPBACK, DNS_TRUST_ANY, DNS_TRUST_NONE };
void dns_trust_resolver(struct dns *d, enum dns_trust trust);
/* Inside the fn of dns_mx() and dns_tlsa(): a validated answer, by one whose word counts. */
bool dns_authenticated(const struct dns *d);
/* Inside the answering function, of a question to a name server: why there is nothing. */
const char *dns_reason(const struct dns *d);
void dns_cancel(struct dns_query *q);

#endif
