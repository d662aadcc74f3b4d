#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/stream.h"
#include "net/dns.h"

/*
 * A connection to somebody else: the name is resolved, its addresses are tried in turn (RFC 8305),
 * TLS is begun, and the caller's stream is open.
 */
struct dial;

enum dial_status {
	DIAL_OK,
	DIAL_NOT_FOUND, /* the name has no address of a family that is wanted */
	DIAL_TRY_AGAIN, /* the name service does not say */
	DIAL_FAILED,    /* no address could be connected to */
	DIAL_TLS_FAILED
};

struct dial_config {
	/* What to connect to: path (a unix socket), or addresses, or host; and for texts, name. */
	const char *path;
	const char *const *addresses; /* as text, tried in this order */
	size_t address_count;
	const char *host; /* a name, or an address */
	const char *name; /* NULL: host */
	int port;
	bool no_v4, no_v6, v4_first;   /* of host's addresses */
	const char *bind_v4, *bind_v6; /* our own address; NULL or "": any */
	/* Milliseconds; 0: no limit. delay_ms 0: as RFC 8305 says; -1: one after the other. */
	int64_t delay_ms;   /* after so long without an answer the next address is tried as well */
	int64_t attempt_ms; /* so long one address has to answer */
	int64_t total_ms;   /* all of it, with TLS */
	/*
	 * TLS: begins it on the connected stream (stream_tls), with its argument. A hook, because a
	 * program that only dials in the clear needs no client's half of TLS. NULL: in the clear.
	 */
	void (*begin_tls)(struct stream *s, void *arg);
	void *tls_arg;
};

/* An address that was tried. */
struct dial_try {
	char address[64];
	int error; /* errno; 0: it is the one, or another was faster */
};

struct dial_result {
	enum dial_status status;
	const char *error; /* "connect to mx.example[192.0.2.1]:25: Connection refused" */
	const struct dial_try *tries; /* in the order of their beginning */
	size_t try_count;
	/* Of the connection, or of the last try; "" and 0 for a unix socket, or before that. */
	const char *address, *local;
	int port, local_port;
};

typedef void dial_fn(void *arg, const struct dial_result *result);

/*
 * s is the caller's, closed (stream_init), and has to live until fn was called or the dial was
 * cancelled. fn is called once, by the loop, never from inside dial_start(); then s is open, with
 * TLS and all, or closed. config is copied, but for tls_arg, which must live on. dns may be NULL
 * where there is no name to resolve.
 */
struct dial *dial_start(struct loop *loop, struct dns *dns, const struct dial_config *config,
	struct stream *s, dial_fn *fn, void *arg);
/* Forget it: fn is not called, s is closed. Inside fn: nothing is left to cancel. NULL: nothing. */
void dial_cancel(struct dial *d);

#endif
