#ifndef APPLETS_SMTP_SMTP_H
#define APPLETS_SMTP_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "map/map_wait.h"
#include "proto/sasl_client.h"
#include "proto/client/smtp_client_mail.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/agent/result.h"
#include "applets/deliver/smtp/hosts.h"
#include "applets/deliver/smtp/link.h"
#include "applets/deliver/smtp/link_cache.h"
#include "applets/deliver/smtp/nexthop.h"
#include "applets/deliver/smtp/rewriting.h"
#include "applets/deliver/smtp/settings.h"

struct dial;
struct accounts;
struct tls_policies;
struct tls_policy;

/*
 * The agent for other hosts. Each file calls those below it, never back:
 *
 *	smtp.c		start, stop
 *	ladder.c	a request: next hops, hosts, addresses, one after the other
 *	attempt.c	one of them: TLS, account, transaction, results
 *	  account.c	... who we are there
 *	  rewriting.c	... what is changed on the way out
 *	outcome.c	results -> answers to qmgr, or the next host
 *	link_cache.c	connections at rest
 *	link.c		a connection: the session without I/O on a stream
 *	hosts.c		a next hop -> addresses
 *	  hosts_order.c
 *	nexthop.c, tls_policy.c	its forms; which TLS a host gets
 *	settings.c	smtp_xxx and lmtp_xxx
 */
struct delivery;

struct smtp_agent {
	struct agent_host host;
	struct smtp_settings settings;
	bool lmtp;
	struct hosts *hosts;
	struct links links;
	struct link_cache cache;
	size_t links_max;
	struct tls_policies *tls;
	struct accounts *accounts;
	struct rewriting *rewriting;
	struct maps *discard;          /* EHLO words, by address */
	const char *bind_v4, *bind_v6; /* "" any */
	/* The session with a host is over, whatever is left of the recipients. */
	void (*next)(struct delivery *d);
	/* A connection that is ready and wanted: has another delivery taken it? */
	bool (*offer)(struct smtp_agent *g, const char *key, struct link *l);
	struct delivery *wait_first, **wait_tail; /* for a connection less */
	struct loop_hook wake;
	struct arena texts; /* as long as all this */
};

/* Why a recipient that is left is left. */
struct delivery_why {
	const char *dsn, *text, *mta, *diagnostic; /* in the request's arena; dsn NULL: no reason */
	bool loop;
};

/* One message on its way to one next hop. */
struct delivery {
	struct agent_request q;
	struct smtp_agent *g;
	struct delivery *wait_next;
	int64_t waits_since; /* loop milliseconds */
	bool *done;          /* of the request's recipients: answered */
	size_t left;         /* those that are not */
	struct delivery_why why;
	/* The ladder. */
	struct nexthop *sites;
	size_t site_count, site, fallbacks; /* fallbacks: the first of smtp_fallback_relay's */
	char *key;                          /* of connections to this site */
	struct hosts_query *query;
	struct dns_query *tlsa;
	struct smtp_host *hosts;
	size_t host_count, host, tried, sessions;
	unsigned best; /* the preference of the best MX */
	bool mx_secure;
	const char *visited;
	bool alone;                  /* the site has one address */
	bool cached;                 /* a connection at rest is being tried, or was */
	bool by_address, dead;       /* ... of another next hop; which was dead */
	bool final_site, final_host; /* no other is tried after this one */
	bool plain, plain_due;       /* TLS has failed and may be gone without */
	bool unbound;                /* our own address cannot be bound to */
	struct tls_policy *policy;
	struct map_wait wait;
	struct dial *dial;
	/* The session. */
	struct link *link;
	struct smtp_client_mail mail;
	struct smtp_client_xforward xforward;
	struct rewriting_mail rewritten;
	struct smtp_client_recipient *recipients;
	int64_t offset, connected;
	bool counted; /* as a session */
	bool begun;   /* the transaction; its results count */
	struct sasl_account account;
	struct sasl_client_choice choice;
	struct arena session; /* account and texts of one session */
};

static inline const struct nexthop *delivery_site(const struct delivery *d)
{
	return &d->sites[d->site];
}

#endif
