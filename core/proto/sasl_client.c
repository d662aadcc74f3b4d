/*
 * sasl_client - the client side of SASL mechanisms
 *
 * SCRAM's server proves itself with its signature, which comes as a challenge before the protocol's
 * own success (SMTP cannot carry data along with it): a success without it is not believed. Channel
 * binding is not used, so the gs2 header is "n,,".
 *
 * RFC 4616 (PLAIN), RFC 2195 (CRAM-MD5), RFC 5802 and RFC 7677 (SCRAM), RFC 7628 (OAUTHBEARER);
 * LOGIN is draft-murchison-sasl-login, XOAUTH2 what large providers document.
 */
#include "proto/sasl_client.h"

#include <string.h>

#include "base/crypto.h"
#include "base/encode.h"
#include "proto/scram.h"

/* A server that wants more work of us (some 0.3 s) holds up all other sessions. Servers have 4096
 * (RFC 7677 4) to 100,000. */
enum { ROUNDS_MAX = 250000, SERVER_TEXT_MAX = 4096 };

struct mech {
	const char *name;
	unsigned good; /* SASL_OPT_* that it satisfies */
	bool token;    /* needs a token instead of a password */
};

static const struct mech mechs[SASL_CLIENT_MECHS] = {
	[SASL_CLIENT_SCRAM_SHA_256] = { "SCRAM-SHA-256",
		SASL_OPT_NOPLAINTEXT | SASL_OPT_NOACTIVE | SASL_OPT_NOANONYMOUS |
			SASL_OPT_MUTUAL_AUTH,
		false },
	[SASL_CLIENT_SCRAM_SHA_1] = { "SCRAM-SHA-1",
		SASL_OPT_NOPLAINTEXT | SASL_OPT_NOACTIVE | SASL_OPT_NOANONYMOUS |
			SASL_OPT_MUTUAL_AUTH,
		false },
	[SASL_CLIENT_CRAM_MD5] = { "CRAM-MD5", SASL_OPT_NOPLAINTEXT | SASL_OPT_NOANONYMOUS, false },
	[SASL_CLIENT_PLAIN] = { "PLAIN", SASL_OPT_NOANONYMOUS, false },
	[SASL_CLIENT_LOGIN] = { "LOGIN", SASL_OPT_NOANONYMOUS, false },
	[SASL_CLIENT_OAUTHBEARER] = { "OAUTHBEARER", SASL_OPT_NOANONYMOUS, true },
	[SASL_CLIENT_XOAUTH2] = { "XOAUTH2", SASL_OPT_NOANONYMOUS, true },
};

bool sasl_client_options(const char *text, unsigned *options_r, struct slice *bad_r)
{
	static const char words[][16] = { "noplaintext", "noactive", "nodictionary", "noanonymous",
		"mutual_auth", "forward_secrecy" };
	struct slice rest = slice_of(text), word;
	unsigned options = 0;

	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		size_t i = 0;

		while (i < ARRAY_LEN(words) && !slice_ieq(word, words[i])) {
			i++;
		}
		if (i == ARRAY_LEN(words)) {
			*bad_r = word;
			return false;
		}
		options |= 1U << i;
	}
	*options_r = options;
	return true;
}

const char *sasl_client_name(enum sasl_client_mech mech)
{
	return mechs[mech].name;
}

bool sasl_client_choose(const struct sasl_client_choice *choice, const struct sasl_account *account,
	enum sasl_client_mech *mech_r)
{
	/* Bound to the password first, then what can be stolen on the way. */
	for (size_t i = 0; i < SASL_CLIENT_MECHS; i++) {
		const struct mech *m = &mechs[i];

		if ((m->token ? account->token : account->password) != NULL &&
			(choice->options & ~m->good) == 0 && list_has(choice->announced, m->name) &&
			(choice->allowed == NULL || choice->allowed(choice->arg, m->name))) {
			*mech_r = (enum sasl_client_mech)i;
			return true;
		}
	}
	return false;
}

static bool fail(struct sasl_client *s, const char *why)
{
	s->error = why;
	return false;
}

/* wipe - a buffer that may have held a secret, with what it grew out of */
static void wipe(struct buf *b)
{
	if (b->data != NULL) {
		forget(b->data, b->cap);
	}
	buf_free(b);
}

/* answer - room for a response of so many bytes: so it never moves and leaves nothing behind */
static struct buf *answer(struct sasl_client *s, size_t size)
{
	wipe(&s->response);
	(void)buf_reserve(&s->response, size + 1);
	return &s->response;
}

/* put_name - RFC 5802 5.1: "," and "=" in names */
static void put_name(struct buf *out, const char *name)
{
	for (; *name != '\0'; name++) {
		if (*name == ',' || *name == '=') {
			buf_adds(out, *name == ',' ? "=2C" : "=3D");
		} else {
			buf_addc(out, *name);
		}
	}
}

/* ---- PLAIN, LOGIN, XOAUTH2, OAUTHBEARER ---- */

static void plain(struct sasl_client *s)
{
	const struct sasl_account *a = s->account;
	struct buf *out = answer(s, strlen(a->user) + strlen(a->password) + 2);

	buf_addc(out, '\0');
	buf_adds(out, a->user);
	buf_addc(out, '\0');
	buf_adds(out, a->password);
}

static bool login(struct sasl_client *s)
{
	const char *text = s->step == 0 ? s->account->user : s->account->password;

	if (s->step > 1) {
		return fail(s, "the server asks for more than name and password");
	}
	buf_adds(answer(s, strlen(text)), text);
	return true;
}

static void xoauth2(struct sasl_client *s)
{
	const struct sasl_account *a = s->account;
	struct buf *out = answer(s, strlen(a->user) + strlen(a->token) + 32);

	buf_addf(out, "user=%s\001auth=Bearer %s\001\001", a->user, a->token);
}

static void oauthbearer(struct sasl_client *s)
{
	const struct sasl_account *a = s->account;
	struct buf *out = answer(s,
		3 * strlen(a->user) + strlen(a->token) + (a->host != NULL ? strlen(a->host) : 0) +
			64);

	buf_adds(out, "n,a=");
	put_name(out, a->user);
	buf_adds(out, ",\001");
	if (a->host != NULL) {
		buf_addf(out, "host=%s\001", a->host);
	}
	if (a->port != 0) {
		buf_addf(out, "port=%d\001", a->port);
	}
	buf_addf(out, "auth=Bearer %s\001\001", a->token);
}

/* refused - the server's error (JSON) is answered with nothing or ^A; then it says 535 itself */
static bool refused(struct sasl_client *s)
{
	if (s->step > 1) {
		return fail(s, "the server goes on after its refusal");
	}
	answer(s, 1);
	if (s->mech == SASL_CLIENT_OAUTHBEARER) {
		buf_addc(&s->response, '\001');
	}
	return true;
}

/* ---- CRAM-MD5 ---- */

static bool cram(struct sasl_client *s, struct slice challenge)
{
	const struct sasl_account *a = s->account;
	unsigned char sum[DIGEST_MAX];

	if (s->step != 0) {
		return fail(s, "the server goes on after the response");
	}
	if (challenge.len == 0) {
		return fail(s, "the challenge is empty");
	}
	hmac_of(DIGEST_MD5, a->password, strlen(a->password), &challenge, 1, sum);
	buf_addf(answer(s, strlen(a->user) + 40), "%s ", a->user);
	hex_encode(&s->response, sum, digest_size(DIGEST_MD5));
	return true;
}

/* ---- SCRAM ---- */

static void scram_first(struct sasl_client *s)
{
	struct buf text = BUF_INIT;
	unsigned char noise[18];

	if (s->nonce == NULL) {
		random_bytes(noise, sizeof(noise));
		base64_encode(&text, noise, sizeof(noise));
		s->nonce = arena_strdup(&s->arena, buf_str(&text));
		buf_reset(&text);
	}
	buf_adds(&text, "n=");
	put_name(&text, s->account->user);
	buf_addf(&text, ",r=%s", s->nonce);
	s->bare = arena_strdup(&s->arena, buf_str(&text));
	buf_free(&text);
	buf_addf(answer(s, strlen(s->bare) + 3), "n,,%s", s->bare);
}

struct scram_server {
	const char *first; /* server-first-message */
	const char *nonce;
	struct buf salt;
	unsigned rounds;
};

static bool parse_first(struct sasl_client *s, struct slice challenge, struct scram_server *server)
{
	const char *rest, *salt, *rounds;
	int64_t n;

	if (challenge.len > SERVER_TEXT_MAX || memchr(challenge.ptr, '\0', challenge.len) != NULL) {
		return false;
	}
	server->first = arena_strndup(&s->arena, challenge.ptr, challenge.len);
	rest = server->first;
	server->nonce = scram_attribute(&s->arena, &rest, 'r');
	salt = server->nonce != NULL ? scram_attribute(&s->arena, &rest, 's') : NULL;
	rounds = salt != NULL ? scram_attribute(&s->arena, &rest, 'i') : NULL;
	if (rounds == NULL || !str_to_int(rounds, 1, ROUNDS_MAX, &n)) {
		return false;
	}
	server->rounds = (unsigned)n;
	return base64_decode(&server->salt, salt, strlen(salt)) && server->salt.len > 0 &&
		str_starts(server->nonce, s->nonce) && strlen(server->nonce) > strlen(s->nonce);
}

/* scram_proof - the client's proof into proof; what the server has to say into s->expected */
static void scram_proof(struct sasl_client *s, const struct scram_server *server, const char *final,
	unsigned char proof[DIGEST_MAX])
{
	enum digest d = s->mech == SASL_CLIENT_SCRAM_SHA_1 ? DIGEST_SHA1 : DIGEST_SHA256;
	const struct slice message[] = { slice_of(s->bare), SLICE_LIT(","), slice_of(server->first),
		SLICE_LIT(","), slice_of(final) };
	unsigned char sum[DIGEST_MAX];
	struct scram_keys keys;
	size_t size = digest_size(d);

	scram_derive(d, s->account->password, server->salt.data, server->salt.len, server->rounds,
		&keys);
	hmac_of(d, keys.server, size, message, ARRAY_LEN(message), sum);
	buf_reset(&s->expected);
	base64_encode(&s->expected, sum, size);
	hmac_of(d, keys.stored, size, message, ARRAY_LEN(message), sum);
	for (size_t i = 0; i < size; i++) {
		proof[i] = keys.client[i] ^ sum[i];
	}
	forget(&keys, sizeof(keys));
}

static bool scram_final(struct sasl_client *s, struct slice challenge)
{
	struct scram_server server = { .salt = BUF_INIT };
	unsigned char proof[DIGEST_MAX];
	struct buf final = BUF_INIT;
	bool good = parse_first(s, challenge, &server);

	if (good) {
		buf_addf(&final, "c=biws,r=%s", server.nonce);
		scram_proof(s, &server, buf_str(&final), proof);
		buf_addf(answer(s, final.len + 2 * DIGEST_MAX), "%s,p=", buf_str(&final));
		base64_encode(&s->response, proof, s->mech == SASL_CLIENT_SCRAM_SHA_1 ? 20 : 32);
		forget(proof, sizeof(proof));
	}
	buf_free(&final);
	buf_free(&server.salt);
	return good || fail(s, "the server's SCRAM message is malformed");
}

static bool scram_verify(struct sasl_client *s, struct slice challenge)
{
	if (challenge.len > 2 && memcmp(challenge.ptr, "e=", 2) == 0) {
		return fail(s, "the server refuses the SCRAM proof");
	}
	if (challenge.len != s->expected.len + 2 || memcmp(challenge.ptr, "v=", 2) != 0 ||
		!equal_secret(challenge.ptr + 2, s->expected.data, s->expected.len)) {
		return fail(
			s, "the server does not know the password: its SCRAM signature is wrong");
	}
	s->proven = true;
	answer(s, 0);
	return true;
}

static bool scram(struct sasl_client *s, struct slice challenge)
{
	if (s->step == 1) {
		return scram_final(s, challenge);
	}
	return s->step == 2 ? scram_verify(s, challenge)
			    : fail(s, "the server goes on after the end of SCRAM");
}

/* ---- All of them ---- */

void sasl_client_start(
	struct sasl_client *s, enum sasl_client_mech mech, const struct sasl_account *account)
{
	s->mech = mech;
	s->account = account;
	s->step = 0;
	s->first = true;
	switch (mech) {
	case SASL_CLIENT_PLAIN:
		plain(s);
		break;
	case SASL_CLIENT_XOAUTH2:
		xoauth2(s);
		break;
	case SASL_CLIENT_OAUTHBEARER:
		oauthbearer(s);
		break;
	case SASL_CLIENT_SCRAM_SHA_1:
	case SASL_CLIENT_SCRAM_SHA_256:
		scram_first(s);
		break;
	case SASL_CLIENT_LOGIN:
	case SASL_CLIENT_CRAM_MD5:
	case SASL_CLIENT_MECHS:
		s->first = false;
		return;
	}
	s->step = 1;
}

bool sasl_client_step(struct sasl_client *s, struct slice challenge)
{
	bool good = false;

	switch (s->mech) {
	case SASL_CLIENT_PLAIN:
		return fail(s, "the server goes on after the response");
	case SASL_CLIENT_LOGIN:
		good = login(s);
		break;
	case SASL_CLIENT_CRAM_MD5:
		good = cram(s, challenge);
		break;
	case SASL_CLIENT_SCRAM_SHA_1:
	case SASL_CLIENT_SCRAM_SHA_256:
		good = scram(s, challenge);
		break;
	case SASL_CLIENT_XOAUTH2:
	case SASL_CLIENT_OAUTHBEARER:
		good = refused(s);
		break;
	case SASL_CLIENT_MECHS:
		break;
	}
	s->step++;
	return good;
}

bool sasl_client_done(struct sasl_client *s)
{
	bool mutual = (mechs[s->mech].good & SASL_OPT_MUTUAL_AUTH) != 0;

	return !mutual || s->proven ||
		fail(s, "the server has not proven that it knows the password");
}

void sasl_client_free(struct sasl_client *s)
{
	wipe(&s->response);
	wipe(&s->expected);
	arena_free(&s->arena);
	memset(s, 0, sizeof(*s));
}
