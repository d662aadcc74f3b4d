#ifndef APPLETS_SMTP_LINK_H
#define APPLETS_SMTP_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"
#include "base/stream.h"
#include "net/tls.h"
#include "proto/client/smtp_client.h"
#include "applets/deliver/smtp/settings.h"

/*
 * A connection to a next host: the session (proto/client/smtp_client.h) on a stream, with the time
 * limits of its stages and TLS. Whoever uses it is told what it wants by events, and answers by one
 * of the functions below; that is also how it is passed on (link_use).
 */
struct link;

struct link_events {
	/* Greeting and EHLO are over: starttls, auth, begin or quit. */
	void (*decide)(struct link *l);
	/* TLS is to begin: the engine; NULL: the owner has called link_refuse(). */
	struct tls *(*engine)(struct link *l);
	/* The handshake is over. False: not whom we want, the owner has called link_refuse(). */
	bool (*secured)(struct link *l);
	/* The next piece of the message: its bytes, 0 at its end, -1 it cannot be read. */
	int64_t (*content)(struct link *l, const char **data_r);
	/* The transaction is over, results are there. */
	void (*ready)(struct link *l);
	/* The session or the connection is over: smtp_client_failure() says why. l is gone then. */
	void (*closed)(struct link *l);
};

/* All of a process. */
struct links {
	struct loop *loop;
	const struct smtp_settings *settings;
	struct link *first;
	size_t count;                    /* those that do not just say QUIT */
	void (*freed)(struct links *ls); /* one is less */
	void *owner;
};

struct link {
	struct links *links;
	struct link *prev, *next;
	struct stream stream;
	struct smtp_client *client;
	struct smtp_client_config config;
	const struct link_events *on; /* NULL: it only says QUIT */
	void *owner;
	enum smtp_client_want want;
	struct buf in;
	char *host, *address; /* "mx.example", "192.0.2.1" or a path */
	char *discard;        /* of config, where it is the link's own */
	char *peer, *relay;   /* "mx.example[192.0.2.1]", with ":25" */
	int port;
	int64_t born;  /* loop milliseconds */
	unsigned uses; /* transactions, with the one under way */
	bool alone;    /* its next hop had no other address */
	bool tls, tls_first, shaking, tls_due;
	/* Of the user: what it was made for, and while it waits for the next mail. */
	char *key;
	struct link *idle_next;
	struct timer idle;
	struct tls_policy *policy; /* NULL, or the link's */
	bool accounted; /* logged in, or it has been found out that there is no account */
};

/* Closed, until the caller has opened stream; then link_start(). */
struct link *link_new(struct links *ls, const char *host, const char *address, int port);
/* hello and all that differs is in l->config. tls_first: engine() is asked before the greeting. */
void link_start(struct link *l, bool tls_first);
void link_free(struct link *l); /* at once; closed() is not called */
void link_use(struct link *l, const struct link_events *on, void *owner);

void link_starttls(struct link *l, bool required);
/* TLS cannot be had, or not with this server: the session fails with this text. */
void link_refuse(struct link *l, const char *text);
void link_auth(struct link *l, const struct sasl_account *account,
	const struct sasl_client_choice *choice);
void link_begin(struct link *l, struct smtp_client_mail *mail);
/* Nobody needs it any more: it says QUIT and goes. */
void link_quit(struct link *l);

#endif
