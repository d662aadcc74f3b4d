#ifndef ROUTE_RESOLVE_H
#define ROUTE_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/*
 * Where a recipient goes, and which recipients exist. Everything here works
 * from a compiled form of param (mydestination, relay_domains, ..., transport_maps),
 * made by route_init(): call it after the first and after every later conf_load().
 * Tables are opened there and follow their files by themselves.
 */
void route_init(void);
void route_free(void);

enum route_class {
	ROUTE_LOCAL,   /* mydestination, or [address] of ours */
	ROUTE_ALIAS,   /* virtual_alias_domains */
	ROUTE_VIRTUAL, /* virtual_mailbox_domains */
	ROUTE_RELAY,   /* relay_domains */
	ROUTE_OTHER    /* the rest of the world */
};

/* Class of a domain ("" counts as local; "[1.2.3.4]" is an address literal): 0, or -1 temporary. */
int route_class_of(const char *domain, enum route_class *class_r);

struct route {
	enum route_class class;
	/* service of master.cf: "local", "smtp", "relay", "virtual", "lmtp"... */
	const char *transport;
	const char *nexthop;   /* "test.example", "[relay.example]:587", "unix:private/x" */
	const char *recipient; /* the address as the agent is to see it (user@domain) */
	bool routed;           /* it named another host through one of ours: u%d@here */
	const char *dsn;       /* for 0 and -1: "5.1.1", "4.3.0" */
	const char *text;      /* for 0 and -1: why, for the log, mailq and the DSN */
};

/*
 * sender ("" null) is for sender_dependent_relayhost_maps and
 * sender_dependent_default_transport_maps. Texts of *r are owned by a.
 * 1: r->transport and r->nexthop say where. The transports `error' and `retry'
 * never come out of here:
 * 0: undeliverable (error transport, unknown user of a virtual alias domain, bad address);
 * -1: try again later (a table does not answer, retry transport).
 */
int route_resolve(struct arena *a, const char *sender, const char *address, struct route *r);
/* The same for an address probe: address_verify_..._transport and the like. */
int route_resolve_probe(struct arena *a, const char *sender, const char *address, struct route *r);

/*
 * Is the client one of mynetworks (mynetworks_style when mynetworks is not set)? 1, 0, -1
 * temporary.
 */
int route_mynetworks_match(const char *addr);
/*
 * Does a local part exist: local_recipient_maps (with recipient_delimiter),
 * local_passwd_file. An empty local_recipient_maps says yes to all. 1, 0, -1.
 */
int route_local_recipient_exists(const char *local);
/*
 * Is the address listed anywhere: canonical and virtual alias tables, then by
 * the class of its domain local_recipient_maps, virtual_mailbox_maps,
 * relay_recipient_maps. *class_r may be NULL. 1, 0 (unlisted: reject), -1 temporary.
 */
int route_recipient_exists(const char *address, enum route_class *class_r);

/*
 * virtual_alias_maps, until nothing changes any more: 1 and the addresses that take this
 * one's place (at least one, without duplicates; owned by a), 0 it is no alias, -1 temporary
 * (a table does not answer, too deep, too many).
 */
int route_virtual_expand(
	struct arena *a, const char *address, const char ***list_r, size_t *count_r);

/*
 * Does mail for the address end in the error or retry transport, because main.cf or a
 * transport table says so? "error:5.1.1 moved away", "retry:later" (in a), or NULL: it does not,
 * or an alias takes the address elsewhere.
 */
const char *route_refusal(struct arena *a, const char *address);

/* Text for a reply about an unlisted recipient: "User unknown in local recipient table". */
const char *route_unknown_text(enum route_class c);

#endif
