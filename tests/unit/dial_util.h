/*
 * dial_util - somebody who dials, and whom he reaches: listeners on loopback, a name server
 */
#ifndef TESTS_UNIT_DIAL_UTIL_H
#define TESTS_UNIT_DIAL_UTIL_H

#include <stdint.h>

#include "net/dial.h"
#include "net/tls_client.h"

enum { DIAL_TURN_MS = 5, HANGERS = 4 };

/* What fn does beside noting what it is told. */
enum in_fn { FN_NONE, FN_CANCEL, FN_CLOSE, FN_FREE };

struct dial_rig {
	struct loop *loop;
	struct dns *dns;
	struct dial *dial;
	struct dial_config config;
	struct stream *s;
	/* What fn was told. */
	int called;
	enum dial_status status;
	char error[300], tried[300], address[64], local[64];
	int port, local_port;
	enum in_fn in_fn;
	char heard[64]; /* by the stream */
	enum stream_end why;
	/* The other side. */
	int listener, our_port, hangers[HANGERS], hanger;
	struct stream server;
	struct watch ns;
	struct late *late;
	struct tls_context *server_tls;
	struct tls_client *client_tls;
	struct tls_target target;
	char secret[64]; /* what the server heard under TLS */
};

extern const struct stream_class dial_rig_caller; /* of s */

/* Names are asked for at a server of our own, which knows those of dial_util.c. */
void dial_rig_name_server(struct dial_rig *r);
/* A listener at the address, and a configuration for its port. */
void dial_rig_open(struct dial_rig *r, const char *address);
/* An IPv4 address at which nobody answers: a listener whose backlog is full. */
void dial_rig_hang(struct dial_rig *r, const char *address);
void dial_rig_close(struct dial_rig *r);
void dial_rig_start(struct dial_rig *r);
/* Turns until fn was called; how many milliseconds it took. */
int64_t dial_rig_finish(struct dial_rig *r);
/* Both. */
int64_t dial_rig_all(struct dial_rig *r);
void dial_rig_turns(struct dial_rig *r, int count);
/* Both ways over the connection that was made. */
void dial_rig_talk(struct dial_rig *r);

#endif
