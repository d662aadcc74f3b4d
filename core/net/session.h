#ifndef NET_SESSION_H
#define NET_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/loop.h"

/*
 * A session is protocol without I/O. Bytes come in, bytes go out, and the
 * return value says what it wants next. The same session code runs behind
 * sockets (net/serve.h), on stdin and stdout (-S), in unit tests and fuzzers.
 *
 *	   bytes in --> feed() --> bytes out
 *			 |
 *			 +--> SESSION_READ   more input, please
 *			      SESSION_WAIT   something is pending; io->resume() will be called
 *			      SESSION_TLS    start TLS now (out is sent in the clear first)
 *			      SESSION_HANDOFF  another process takes the connection (see serve.h)
 *			      SESSION_CLOSE  send out, then close
 */
enum session_want { SESSION_READ, SESSION_WAIT, SESSION_TLS, SESSION_HANDOFF, SESSION_CLOSE };

enum session_event {
	SESSION_EV_TLS_UP,     /* the handshake is done; io->tls_* are set */
	SESSION_EV_TLS_FAILED, /* the connection is about to close; io->error says why */
	SESSION_EV_TIMEOUT,    /* no input for io->timeout seconds, or the peer takes no output that
			       long */
	SESSION_EV_EOF,        /* the peer closed its side */
	SESSION_EV_ERROR,      /* the connection is gone; io->error says why */
	SESSION_EV_NO_MEMORY, /* an allocation failed inside feed(); the session is ended after this
			       */
	SESSION_EV_SHUTDOWN,  /* the server stops: finish what is under way, then SESSION_CLOSE */
	SESSION_EV_DRAINED /* all output was sent, after a feed() that left more than io->out_high
			    */
};

struct session_addr {
	char host[256]; /* verified name, or "unknown" */
	char addr[64];  /* "127.0.0.1", "::1", "" on stdio without a socket */
	int port;
};

/*
 * What the driver gives a session. The driver owns it; it outlives the
 * session. In tests loop is NULL and resume counts calls.
 */
struct session_io {
	struct loop *loop;
	struct session_addr peer;
	struct session_addr local;
	uid_t peer_uid; /* of the process behind a unix socket; (uid_t)-1: not known */
	bool tls; /* the connection is encrypted now; true in open() already when TLS comes first */
	const char *tls_version; /* "" when plain */
	const char *tls_cipher;
	int tls_bits;
	const char *error; /* for the failure events */
	int timeout; /* seconds without input until SESSION_EV_TIMEOUT; the session may change it */
	size_t out_high; /* session stops producing above this much output (default 65536) and waits
			    for DRAINED */
	uint64_t bytes_in, bytes_out; /* of the application, so far */
	void (*resume)(struct session_io
			*io); /* what was pending is done: feed() is called in this turn */
	/* Has the peer gone, whatever of its input is still to be read? NULL: not known. */
	bool (*hung_up)(struct session_io *io);
	void *driver; /* the driver's own */
	void *layer;  /* of a class that stands between driver and session (applets/read/login.c) */
};

struct session_class {
	const char *name;
	/*
	 * A new session; writes its greeting to out. NULL: refuse the connection after out.
	 * When TLS comes first (465, 993, 995) the greeting is held until the handshake is
	 * done; SESSION_EV_TLS_UP follows with io->tls_version and the others set.
	 */
	void *(*open)(struct session_io *io, void *service, struct buf *out);
	/* Consume from in (buf_consume), add to out. Called again while it makes progress. */
	enum session_want (*feed)(void *session, struct buf *in, struct buf *out);
	/* Something happened; may add to out. The answer is obeyed like feed()'s. */
	enum session_want (*event)(void *session, enum session_event event, struct buf *out);
	void (*close)(void *session);
};

#endif
