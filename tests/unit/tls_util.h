/* tls_util.h - a server's and a client's engine, and the wires between them */
#ifndef TESTS_UNIT_TLS_UTIL_H
#define TESTS_UNIT_TLS_UTIL_H

#include "base/buf.h"
#include "net/tls_client.h"

struct tls_pair {
	struct tls *server, *client;
	struct buf up, down; /* wire: to the server, to the client */
	struct buf server_in, server_out, client_in, client_out;
	int server_rc, client_rc;
};

/* After the handshake, or what became of it. */
struct tls_pair tls_pair_new(
	struct tls_context *server, struct tls_client *client, const struct tls_target *target);
void tls_pair_turn(struct tls_pair *p);
/* A line up and 20,000 bytes down; the same bytes have to come. */
void tls_pair_talk(struct tls_pair *p);
void tls_pair_free(struct tls_pair *p);

#endif
