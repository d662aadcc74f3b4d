#ifndef NET_DNS_CHANNEL_H
#define NET_DNS_CHANNEL_H

#include <stdbool.h>
#include <time.h>

#include "base/loop.h"
#include "net/dns.h"
#include "net/dns_hosts.h"
#include <ares.h>

/* Private to dns*.c: c-ares on the event loop. */

struct channel;

struct dns_watch {
	struct watch watch;
	struct dns_watch *next;
	struct channel *channel;
};

struct channel {
	struct dns *dns;
	struct channel *next;
	ares_channel ares;
	struct dns_watch *watches;
	struct timer timer;
	unsigned pending; /* questions under way */
	bool retired;
	int vouches; /* its servers' word on validation counts: 1, 0; -1: not looked at yet */
};

struct dns {
	struct loop *loop;
	struct channel *channels; /* the first one takes new questions */
	struct timer sweep;
	time_t looked;
	struct timespec resolv_time, hosts_time;
	struct dns_hosts hosts;
	char *servers;    /* instead of resolv.conf's; NULL: those */
	char *hosts_path; /* instead of /etc/hosts; NULL: that */
	enum dns_trust trust;
	bool authenticated; /* the answer that is being given */
	bool trust_said;    /* that nobody's word counts, though TLSA records are asked for */
	const char *reason; /* dns_reason() */
};

/* Follow /etc/hosts and /etc/resolv.conf, once a second at most. */
void dns_refresh(struct dns *d);
/* Made with the first question; NULL: c-ares cannot start. */
struct channel *dns_channel_current(struct dns *d);
/* After questions were asked: when c-ares wants to be called next. */
void dns_channel_timer(struct channel *ch);
/* A timer of dns's own: retired channels without questions go; not from their own callbacks. */
void dns_channel_sweep(struct timer *t);
void dns_channel_free(struct channel *ch);

#endif
