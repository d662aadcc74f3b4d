#ifndef NET_STREAM_TLS_H
#define NET_STREAM_TLS_H

#include "base/stream.h"
#include "net/tls.h"

/*
 * From now on the stream speaks TLS by this engine, which is the stream's (tls_free): secured()
 * when the handshake is done, closed() with STREAM_TLS when it fails. Before, what is in out waits.
 */
void stream_tls(struct stream *s, struct tls *engine);
/* The engine, for its version and cipher; NULL: the stream is in the clear. */
const struct tls *stream_tls_engine(const struct stream *s);

#endif
