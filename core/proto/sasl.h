#ifndef PROTO_SASL_H
#define PROTO_SASL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/crypto.h"

/*
 * The server side of SASL mechanisms, without I/O and without a database:
 *
 *	start -> SASL_CHALLENGE: send s->challenge, sasl_server_step() with the answer
 *	      -> SASL_PASSWORD:  is s->password the password of s->user? The caller decides; the
 *				 exchange is over
 *	      -> SASL_SECRET:    what is known about s->user: sasl_server_secret() goes on
 *	      -> SASL_OK         proven (CRAM-MD5, SCRAM); s->challenge may hold a last word for the
 *				 client
 *	      -> SASL_FAIL       wrong or malformed; s->error says which
 */
enum sasl_mech {
	SASL_PLAIN,
	SASL_LOGIN,
	SASL_CRAM_MD5,
	SASL_SCRAM_SHA_1,
	SASL_SCRAM_SHA_256,
	SASL_MECHS
};

enum { SASL_F_PLAINTEXT = 1, SASL_F_DICTIONARY = 2, SASL_F_ACTIVE = 4, SASL_F_MUTUAL = 8 };

struct sasl_mech_info {
	const char *name;
	unsigned flags;
};

const struct sasl_mech_info *sasl_mech_info(enum sasl_mech mech);
/* By name, any case; false: unknown. */
bool sasl_mech_find(const char *name, enum sasl_mech *mech_r);

enum sasl_result { SASL_CHALLENGE, SASL_PASSWORD, SASL_SECRET, SASL_OK, SASL_FAIL };

struct sasl_server {
	enum sasl_mech mech;
	struct arena arena; /* all strings below; sasl_server_free() */
	int step;
	const char *authzid; /* whom to act as; "" same as user */
	const char *user;    /* as sent */
	const char *password;
	struct buf challenge; /* raw, to be base64 encoded */
	const char *error;
	/* SCRAM */
	const char *client_first_bare, *server_first, *nonce, *gs2;
	unsigned rounds;
	unsigned char salt[16];
	unsigned char server_key[DIGEST_MAX], stored_key[DIGEST_MAX];
};

/* What a password database knows, for CRAM-MD5 and SCRAM. */
struct sasl_secret {
	const char *plain; /* the password, or NULL */
	const char *scram; /* "ROUNDS,SALT,STOREDKEY,SERVERKEY" in base64, of this mechanism's
			      digest, or NULL */
};

/* host is named in CRAM-MD5's challenge. initial: decoded initial response, NULL: none. */
enum sasl_result sasl_server_start(
	struct sasl_server *s, enum sasl_mech mech, const char *host, const struct slice *initial);
enum sasl_result sasl_server_step(struct sasl_server *s, struct slice response);
/* After SASL_SECRET; secret NULL: no such user (goes on as if, and fails at the end). */
enum sasl_result sasl_server_secret(struct sasl_server *s, const struct sasl_secret *secret);
void sasl_server_free(struct sasl_server *s);

/* "ROUNDS,SALT,STOREDKEY,SERVERKEY" of a password: the {SCRAM-SHA-x} scheme. True when password
 * matches. */
bool sasl_scram_check(enum digest d, const char *stored, const char *password);

#endif
