#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * TLS as an engine without I/O: bytes of the wire in and out, bytes of the
 * application in and out. This header is all that the rest of the tree knows;
 * behind it is BearSSL (TLS 1.0 to 1.2), and another library can stand there.
 */
struct tls_context; /* a server's certificate and key; clients are in net/tls_client.h */
struct tls;         /* one connection: about 34 KB */

struct tls_server_config {
	const char *cert_file; /* PEM chain; may hold the key as well */
	const char *key_file;  /* PEM; NULL or "": in cert_file */
	bool several;          /* both are lists of files (white space, commas) */
	int min_version;       /* 10, 11, 12 for TLS 1.0 .. 1.2 */
	bool server_order;     /* prefer our order of suites */
};

/* NULL with a text naming the file (caller frees). */
struct tls_context *tls_server_context(const struct tls_server_config *config, char **error_r);
void tls_context_free(struct tls_context *ctx);
/*
 * Look at the files (at most once a second) and load them when they changed.
 * A bad new file keeps the old certificate and is logged. TLS_DENIED: the new files are there, but
 * this process may not read them any more (it gave up root).
 */
enum tls_refresh { TLS_SAME, TLS_LOADED, TLS_BAD, TLS_DENIED };
enum tls_refresh tls_context_refresh(struct tls_context *ctx);
/*
 * From now on another process looks at the files (this one cannot see them any more): a refresh
 * only says TLS_DENIED, once a second. That process compares stamps, which are texts: of the files
 * as they were loaded, and as they are. What it finds is set here.
 */
enum { TLS_STAMP_SIZE = 160 };
void tls_context_hand_over(struct tls_context *ctx);
void tls_context_stamp(const struct tls_context *ctx, char out[TLS_STAMP_SIZE]);
void tls_files_stamp(const struct tls_server_config *config, char out[TLS_STAMP_SIZE]);
void tls_context_set_outdated(struct tls_context *ctx, bool outdated);
/* The files have changed, and what they hold now could not be loaded: an older one is in use. */
bool tls_context_outdated(const struct tls_context *ctx);

/*
 * "!SSLv2, !TLSv1", ">=TLSv1.2" or "TLSv1.1 TLSv1.2" as smtpd_tls_protocols has it: what of it this
 * build has, 10 to 12; *min > *max: nothing. False: it is none of these.
 */
bool tls_versions(const char *protocols, int *min, int *max);

struct tls *tls_new_server(struct tls_context *ctx);
void tls_free(struct tls *t);

/*
 * Move bytes: takes from wire_in, adds to plain_in, takes from plain_out, adds
 * to wire_out, as far as it goes. 1: open; 0: closed by the peer's
 * close_notify; -1: failed, tls_error() says why (wire_out may hold an alert).
 * plain_out is only taken once the handshake is done. Output is held back
 * until nothing is left in plain_out, so one record carries a whole reply.
 */
int tls_process(struct tls *t, struct buf *wire_in, struct buf *plain_in, struct buf *plain_out,
	struct buf *wire_out);
void tls_close_notify(struct tls *t, struct buf *wire_out);
bool tls_is_up(const struct tls *t);               /* handshake done */
const char *tls_version_name(const struct tls *t); /* "TLSv1.2" */
const char *tls_cipher_name(const struct tls *t);  /* "ECDHE-RSA-AES256-GCM-SHA384" */
int tls_cipher_bits(const struct tls *t);
const char *tls_error(const struct tls *t);

#endif
