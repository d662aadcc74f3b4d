#ifndef APPLETS_SMTP_HOSTS_H
#define APPLETS_SMTP_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"
#include "net/dns.h"
#include "applets/deliver/smtp/nexthop.h"
#include "applets/deliver/smtp/settings.h"

/*
 * The addresses of a next hop, in the order in which they are to be tried.
 */
struct hosts; /* how it is looked up */

struct smtp_host {
	const char *name, *address;
	unsigned preference; /* of its MX record */
	bool v6;
};

struct hosts_result {
	const struct smtp_host *list;
	size_t count;
	unsigned best;  /* the preference of the domain's best MX */
	bool we_are_mx; /* what is worse than we are was left out */
	bool mx_secure; /* there was no MX to be looked up, or it was validated by DNSSEC */
	/* count is 0: why. Loop: it is ourselves. */
	const char *dsn, *text;
	bool loop;
};

/* settings live on. lmtp: there are no MX records. */
struct hosts *hosts_new(struct loop *loop, const struct smtp_settings *settings, bool lmtp);
void hosts_free(struct hosts *h); /* after the last question */
/* For other questions about the same hosts. */
struct dns *hosts_dns(struct hosts *h);

struct hosts_query;
/* result and its texts are good during the call, which comes from the loop. */
typedef void hosts_fn(void *arg, const struct hosts_result *result);
/* hop has a host; its texts live until the answer. */
struct hosts_query *hosts_find(struct hosts *h, const struct nexthop *hop, hosts_fn *fn, void *arg);
void hosts_cancel(struct hosts_query *q); /* NULL: nothing */

#endif
