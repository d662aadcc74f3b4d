#ifndef NET_TLS_CLIENT_H
#define NET_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/tls.h"

/*
 * The client's half of TLS: who the server is, and whether that is whom we want. The handshake goes
 * on whoever it is (opportunistic TLS, RFC 7435); tls_peer() says what was found out, and the
 * caller ends the connection where that is not enough. Nothing secret is to be sent before.
 *
 * STARTTLS: what the server sent in the clear after its "220" must not reach the engine nor the
 * session after it (RFC 3207 4.2, response injection): whoever reads the 220 checks that nothing
 * follows it, and ends the connection if something does.
 */
struct tls_client; /* shared by connections: trust, our certificate, sessions to resume */

struct tls_client_config {
	/* Trust anchors, PEM: a file; a directory; the system's as well. All "" or NULL: none. */
	const char *ca_file, *ca_path;
	bool ca_default;
	const struct tls_server_config *own; /* our certificate; NULL: none */
	unsigned depth;                      /* certificates of a chain, at most */
	bool several_labels;                 /* a wildcard stands for more than one label */
	bool clock_floor; /* a clock older than this build, or than mail, may be wrong */
	size_t sessions;  /* to resume, at most; 0: none */
	int64_t session_seconds;
};

/*
 * Our certificate is read now (later it may belong to root alone), and -1 or NULL of it is an
 * error; anchors are read when they are needed first, and again when a file has changed: trouble
 * with them is logged, and nothing is trusted. config is copied. NULL with a text in *error.
 */
struct tls_client *tls_client_new(const struct tls_client_config *config, struct buf *error);
void tls_client_free(struct tls_client *c); /* after its connections */
/* Mail of this time has been seen: what is valid by then is not too early. */
void tls_client_seen(struct tls_client *c, int64_t when);

/* By what a server shows that it is the right one. */
enum tls_proof {
	TLS_PROOF_NONE,        /* whoever it is; its chain is looked at for the log */
	TLS_PROOF_NAMES,       /* a chain to a trust anchor, and one of names in the certificate */
	TLS_PROOF_FINGERPRINT, /* digest of the certificate or its public key, whatever its dates */
	TLS_PROOF_TLSA         /* RFC 6698, 7672: usages 2 and 3; names count for usage 2 */
};

/* What one connection is to be. Copied. */
struct tls_target {
	enum tls_proof proof;
	bool unjudged; /* TLS_PROOF_NONE, and nobody wants to know: the chain is not looked at */
	const char *server_name;    /* SNI; NULL, "" or an address: none */
	const char *const *names;   /* "mx.example", ".example" (below it) */
	const char *const *digests; /* "AB:CD:..." as the digest below makes them */
	const char *const *tlsa;    /* as dns_tlsa() gives them: "3 1 1 0123ab..." */
	size_t name_count, digest_count, tlsa_count;
	const char *digest;          /* md5, sha1, sha256, sha384, sha512; NULL: sha256 */
	const char *const *ca_files; /* instead of the client's anchors; NULL: those */
	size_t ca_file_count;
	int min_version, max_version; /* 10, 11, 12 */
	const char *exclude; /* suites that are not offered: OpenSSL's names, or parts of them */
	/* Which sessions may be resumed by this one (host, port, policy, ...); NULL: none is. */
	const char *session;
};

/* An engine for stream_tls() or a tls_process() loop. NULL with a text: target is no good. */
struct tls *tls_client_start(
	struct tls_client *c, const struct tls_target *target, struct buf *error);

/* In the order of trust; tls_peer_status_name() is what Postfix's log calls it. */
enum tls_peer_status {
	TLS_PEER_ANONYMOUS,
	TLS_PEER_UNTRUSTED,
	TLS_PEER_TRUSTED,
	TLS_PEER_VERIFIED
};

/* After the handshake (or during: before it is up, status is TLS_PEER_ANONYMOUS). */
struct tls_peer {
	enum tls_peer_status status;
	bool resumed;
	bool matched; /* proof was asked for, and is there */
	/*
	 * Why not, or why not more, as Postfix's log has it: whose (it ends with a blank, or is
	 * empty), "certificate verification failed for NAME: ", reason ("untrusted issuer /CN=x").
	 * "" when there is none.
	 */
	const char *whose, *reason;
	/* Of the server's certificate, printable; "" when unknown. */
	const char *subject, *issuer;                 /* CN (or O) */
	const char *fingerprint, *public_fingerprint; /* by target's digest */
	const char *names;      /* those it is for: "a.example, *.b.example" */
	const char *matched_by; /* which of its names, or the digest, or "TLSA 3" */
};

const struct tls_peer *tls_peer(const struct tls *t);
const char *tls_peer_status_name(enum tls_peer_status s); /* "Untrusted" */

/* "md5" ...: whether it is a digest that target.digest may be. */
bool tls_digest_known(const char *name);

#endif
