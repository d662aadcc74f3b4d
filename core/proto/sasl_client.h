#ifndef PROTO_SASL_CLIENT_H
#define PROTO_SASL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/*
 * The client side of SASL mechanisms, without I/O:
 *
 *	choose -> a mechanism of those the server announces
 *	start  -> s->first: s->response is an initial response
 *	step   -> the server's challenge in, s->response out
 *	done   -> the server says that it is satisfied: is it true? (SCRAM: it has proven itself)
 *
 * All secrets that are copied are wiped by sasl_client_free(). Base64 is the protocol's business.
 */
enum sasl_client_mech {
	SASL_CLIENT_SCRAM_SHA_256,
	SASL_CLIENT_SCRAM_SHA_1,
	SASL_CLIENT_CRAM_MD5,
	SASL_CLIENT_PLAIN,
	SASL_CLIENT_LOGIN,
	SASL_CLIENT_OAUTHBEARER,
	SASL_CLIENT_XOAUTH2,
	SASL_CLIENT_MECHS
};

/* The words of smtp_sasl_security_options. */
enum {
	SASL_OPT_NOPLAINTEXT = 1,
	SASL_OPT_NOACTIVE = 2,
	SASL_OPT_NODICTIONARY = 4,
	SASL_OPT_NOANONYMOUS = 8,
	SASL_OPT_MUTUAL_AUTH = 16,
	SASL_OPT_FORWARD_SECRECY = 32
};

/* Whose mail it is. The owner keeps and wipes the texts; none is ever logged here. */
struct sasl_account {
	const char *user;
	const char *password; /* NULL: none (or a token takes its place) */
	const char *token;    /* OAuth 2.0 bearer token: XOAUTH2, OAUTHBEARER; NULL: none */
	const char *host;     /* for OAUTHBEARER (RFC 7628 3.1); NULL: left out */
	int port;             /* the same; 0: left out */
};

struct sasl_client_choice {
	const char *announced; /* "PLAIN LOGIN": the words of AUTH's announcement */
	unsigned options;      /* SASL_OPT_* */
	/* smtp_sasl_mechanism_filter: may this one be used? NULL: all. name is as it is announced
	 * here, in capitals. */
	bool (*allowed)(void *arg, const char *name);
	void *arg;
};

/* Words of smtp_sasl_security_options; false: one is unknown, *bad_r is it. */
bool sasl_client_options(const char *text, unsigned *options_r, struct slice *bad_r);
const char *sasl_client_name(enum sasl_client_mech mech);
/* The strongest that the server has, the choice allows and the account can do. False: none. */
bool sasl_client_choose(const struct sasl_client_choice *choice, const struct sasl_account *account,
	enum sasl_client_mech *mech_r);

struct sasl_client {
	enum sasl_client_mech mech;
	bool first;          /* after start: response is an initial response */
	struct buf response; /* raw: to be base64 encoded; may be empty */
	const char *error;   /* after a failure: in our words, no secret in it */
	/* The rest is private. */
	struct arena arena;
	const struct sasl_account *account;
	int step;
	bool proven;         /* SCRAM: the server's signature was right */
	const char *nonce;   /* of the client; NULL at the start: random (the RFCs' vectors have
				theirs) */
	const char *bare;    /* client-first-message-bare */
	struct buf expected; /* the server's signature in base64 */
};

/* A zeroed *s; account lives until the free. Whether there is an initial response: s->first. */
void sasl_client_start(
	struct sasl_client *s, enum sasl_client_mech mech, const struct sasl_account *account);
/* False: the exchange cannot go on (to be cancelled with "*", RFC 4954 4), s->error says why. */
bool sasl_client_step(struct sasl_client *s, struct slice challenge);
/* The server has said that all is well. False: not believed, s->error. */
bool sasl_client_done(struct sasl_client *s);
void sasl_client_free(struct sasl_client *s);

#endif
