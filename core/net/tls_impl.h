#ifndef NET_TLS_IMPL_H
#define NET_TLS_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/tls.h"
#include "bearssl.h"

/* Private to core/net/tls*.c: one connection. tls.c moves its bytes; what a side adds to it is
 * behind `side', and told by hooks. */
struct tls {
	br_ssl_engine_context *engine;
	bool up;
	void *side; /* behind out */
	size_t side_size;
	void (*on_up)(void *side, struct tls *t); /* the handshake is done, once; or NULL */
	void (*on_free)(void *side);
	/* Not cleared when allocated: pages of idle connections stay untouched. */
	unsigned char in[BR_SSL_BUFSIZE_INPUT];
	unsigned char out[];
};

/* With a zeroed side of this size; on_free is called before it is wiped and goes. The caller sets
 * engine, which is in the side. */
struct tls *tls_new(size_t out_size, size_t side_size, void (*on_free)(void *side));
/* Versions 10 to 12; flags are BearSSL's. Hashes and ciphers, all but 3DES. The last thing before
 * its reset. */
void tls_set_up(struct tls *t, size_t out_size, unsigned min, unsigned max, uint32_t flags);

#endif
