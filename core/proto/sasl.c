/*
 * sasl - the server side of SASL mechanisms
 *
 * PLAIN and LOGIN end with a password for the caller to check; CRAM-MD5 and
 * SCRAM ask for what is stored and prove it here. SCRAM's last word (v=...) goes out as
 * a challenge that the client answers with nothing, because SMTP, POP3 and IMAP
 * cannot carry data along with success. Channel binding is not offered.
 *
 * RFC 4616 (PLAIN), RFC 2195 (CRAM-MD5), RFC 5802 and RFC 7677 (SCRAM); LOGIN
 * is draft-murchison-sasl-login.
 */
#include "proto/sasl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"
#include "proto/scram.h"

enum { SCRAM_ROUNDS = 4096, SCRAM_ROUNDS_MAX = 10000000, NAME_MAX_LEN = 1024 };

static const struct sasl_mech_info mechs[SASL_MECHS] = {
	[SASL_PLAIN] = { "PLAIN", SASL_F_PLAINTEXT },
	[SASL_LOGIN] = { "LOGIN", SASL_F_PLAINTEXT },
	[SASL_CRAM_MD5] = { "CRAM-MD5", SASL_F_DICTIONARY | SASL_F_ACTIVE },
	[SASL_SCRAM_SHA_1] = { "SCRAM-SHA-1", SASL_F_MUTUAL },
	[SASL_SCRAM_SHA_256] = { "SCRAM-SHA-256", SASL_F_MUTUAL },
};

const struct sasl_mech_info *sasl_mech_info(enum sasl_mech mech)
{
	return &mechs[mech];
}

bool sasl_mech_find(const char *name, enum sasl_mech *mech_r)
{
	for (size_t i = 0; i < SASL_MECHS; i++) {
		if (str_ieq(mechs[i].name, name)) {
			*mech_r = (enum sasl_mech)i;
			return true;
		}
	}
	return false;
}

static enum sasl_result fail(struct sasl_server *s, const char *why)
{
	s->error = why;
	return SASL_FAIL;
}

static enum sasl_result challenge(struct sasl_server *s, const char *text)
{
	buf_reset(&s->challenge);
	buf_adds(&s->challenge, text);
	s->step++;
	return SASL_CHALLENGE;
}

static char *keep(struct sasl_server *s, struct slice text)
{
	return arena_strndup(&s->arena, text.ptr, text.len);
}

static bool has_nul(struct slice text)
{
	return memchr(text.ptr, '\0', text.len) != NULL;
}

/* ---- PLAIN, LOGIN ---- */

static enum sasl_result plain(struct sasl_server *s, struct slice r)
{
	const char *first = memchr(r.ptr, '\0', r.len), *second;
	size_t left;

	if (first == NULL) {
		return fail(s, "malformed PLAIN response");
	}
	left = r.len - (size_t)(first + 1 - r.ptr);
	second = memchr(first + 1, '\0', left);
	if (second == NULL) {
		return fail(s, "malformed PLAIN response");
	}
	left -= (size_t)(second - first);
	if (memchr(second + 1, '\0', left) != NULL) {
		return fail(s, "malformed PLAIN response");
	}
	s->authzid = keep(s, (struct slice){ r.ptr, (size_t)(first - r.ptr) });
	s->user = keep(s, (struct slice){ first + 1, (size_t)(second - first - 1) });
	s->password = keep(s, (struct slice){ second + 1, left });
	return SASL_PASSWORD;
}

static enum sasl_result login(struct sasl_server *s, struct slice r)
{
	if (has_nul(r)) {
		return fail(s, "malformed LOGIN response");
	}
	if (s->step == 1) {
		s->user = keep(s, r);
		return challenge(s, "Password:");
	}
	s->password = keep(s, r);
	return SASL_PASSWORD;
}

/* ---- CRAM-MD5 ---- */

static enum sasl_result cram_start(struct sasl_server *s, const char *host)
{
	unsigned char noise[8];
	struct buf text = BUF_INIT;
	enum sasl_result rc;

	random_bytes(noise, sizeof(noise));
	buf_addc(&text, '<');
	hex_encode(&text, noise, sizeof(noise));
	buf_addf(&text, ".%lld@%s>", (long long)time(NULL), host);
	s->server_first = arena_strdup(&s->arena, buf_str(&text));
	rc = challenge(s, s->server_first);
	buf_free(&text);
	return rc;
}

static enum sasl_result cram_response(struct sasl_server *s, struct slice r)
{
	const char *blank = NULL;

	for (size_t i = 0; i < r.len; i++) {
		blank = r.ptr[i] == ' ' ? r.ptr + i : blank;
	}
	if (blank == NULL || has_nul(r) || r.len - (size_t)(blank - r.ptr) != 33) {
		return fail(s, "malformed CRAM-MD5 response");
	}
	s->user = keep(s, (struct slice){ r.ptr, (size_t)(blank - r.ptr) });
	s->nonce = keep(s, (struct slice){ blank + 1, 32 });
	return SASL_SECRET;
}

static enum sasl_result cram_verify(struct sasl_server *s, const struct sasl_secret *secret)
{
	struct slice text = slice_of(s->server_first);
	unsigned char sum[DIGEST_MAX];
	struct buf hex = BUF_INIT, sent = BUF_INIT;
	bool good;

	if (secret == NULL || secret->plain == NULL) {
		return fail(s,
			secret == NULL ? "unknown user"
				       : "CRAM-MD5 needs a plain password in the database");
	}
	hmac_of(DIGEST_MD5, secret->plain, strlen(secret->plain), &text, 1, sum);
	hex_encode(&hex, sum, digest_size(DIGEST_MD5));
	good = hex_decode(&sent, s->nonce, 32) && sent.len == 16 &&
		equal_secret(sent.data, sum, 16);
	buf_free(&hex);
	buf_free(&sent);
	return good ? SASL_OK : fail(s, "Password mismatch");
}

/* ---- SCRAM ---- */

static enum digest scram_digest(const struct sasl_server *s)
{
	return s->mech == SASL_SCRAM_SHA_1 ? DIGEST_SHA1 : DIGEST_SHA256;
}

static const char *to_base64(struct sasl_server *s, const void *data, size_t len)
{
	struct buf b = BUF_INIT;
	const char *text;

	base64_encode(&b, data, len);
	text = arena_strdup(&s->arena, buf_str(&b));
	buf_free(&b);
	return text;
}

/* unquote_name - RFC 5802 5.1: "=2C" and "=3D" in names; NULL: malformed */
static const char *unquote_name(struct sasl_server *s, const char *name)
{
	char *out = arena_alloc(&s->arena, strlen(name) + 1), *o = out;

	for (; *name != '\0'; name++) {
		if (*name != '=') {
			*o++ = *name;
		} else if (strncmp(name, "=2C", 3) == 0 || strncmp(name, "=3D", 3) == 0) {
			*o++ = name[1] == '2' ? ',' : '=';
			name += 2;
		} else {
			return NULL;
		}
	}
	return out;
}

/* scram_first - client-first-message: gs2 header, n=user, r=nonce */
static enum sasl_result scram_first(struct sasl_server *s, struct slice r)
{
	const char *text = keep(s, r), *rest = text;
	const char *name, *nonce;

	if (has_nul(r) || (text[0] != 'n' && text[0] != 'y') || text[1] != ',') {
		return fail(s,
			text[0] == 'p' ? "channel binding is not offered"
				       : "malformed SCRAM message");
	}
	rest += 2;
	if (*rest == 'a') {
		s->authzid = scram_attribute(&s->arena, &rest, 'a');
		s->authzid = s->authzid != NULL ? unquote_name(s, s->authzid) : NULL;
		if (s->authzid == NULL) {
			return fail(s, "malformed SCRAM message");
		}
	} else if (*rest++ != ',') {
		return fail(s, "malformed SCRAM message");
	}
	s->gs2 = arena_strndup(&s->arena, text, (size_t)(rest - text));
	s->client_first_bare = rest;
	name = scram_attribute(&s->arena, &rest, 'n');
	nonce = name != NULL ? scram_attribute(&s->arena, &rest, 'r') : NULL;
	name = name != NULL ? unquote_name(s, name) : NULL;
	if (name == NULL || nonce == NULL || nonce[0] == '\0') {
		return fail(s, "malformed SCRAM message");
	}
	s->user = name;
	s->nonce = nonce;
	return SASL_SECRET;
}

struct scram_stored {
	unsigned rounds;
	struct buf salt, stored, server;
};

/* parse_stored - "ROUNDS,SALT,STOREDKEY,SERVERKEY"; the buffers are the caller's on both ways */
static bool parse_stored(enum digest d, const char *text, struct scram_stored *out)
{
	struct slice rest = slice_of(text), part[4];
	char number[16] = "";
	int64_t rounds;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < 4; i++) {
		part[i] = slice_word(&rest, ",");
		if (part[i].ptr == NULL) {
			return false;
		}
	}
	if (part[0].len >= sizeof(number)) {
		return false;
	}
	memcpy(number, part[0].ptr, part[0].len);
	if (!str_to_int(number, 1, SCRAM_ROUNDS_MAX, &rounds)) {
		return false;
	}
	out->rounds = (unsigned)rounds;
	return base64_decode(&out->salt, part[1].ptr, part[1].len) &&
		base64_decode(&out->stored, part[2].ptr, part[2].len) &&
		base64_decode(&out->server, part[3].ptr, part[3].len) &&
		out->stored.len == digest_size(d) && out->server.len == digest_size(d);
}

static void free_stored(struct scram_stored *st)
{
	buf_free(&st->salt);
	buf_free(&st->stored);
	buf_free(&st->server);
}

bool sasl_scram_check(enum digest d, const char *stored, const char *password)
{
	struct scram_keys mine;
	struct scram_stored st;
	bool good = false;

	if (parse_stored(d, stored, &st)) {
		scram_derive(d, password, st.salt.data, st.salt.len, st.rounds, &mine);
		good = equal_secret(mine.stored, st.stored.data, digest_size(d));
		forget(&mine, sizeof(mine));
	}
	free_stored(&st);
	return good;
}

/* derive - the keys that the proof is checked with, from a password */
static void derive(struct sasl_server *s, const char *password)
{
	struct scram_keys keys;

	scram_derive(scram_digest(s), password, s->salt, sizeof(s->salt), s->rounds, &keys);
	memcpy(s->stored_key, keys.stored, sizeof(keys.stored));
	memcpy(s->server_key, keys.server, sizeof(keys.server));
	forget(&keys, sizeof(keys));
}

/* scram_challenge - server-first-message from what is stored, or from nothing for unknown users */
static enum sasl_result scram_challenge(struct sasl_server *s, const struct sasl_secret *secret)
{
	enum digest d = scram_digest(s);
	struct scram_stored st;
	unsigned char noise[18];
	const char *salt;

	memset(&st, 0, sizeof(st));
	s->rounds = SCRAM_ROUNDS;
	random_bytes(s->salt, sizeof(s->salt));
	salt = to_base64(s, s->salt, sizeof(s->salt));
	if (secret != NULL && secret->scram != NULL) {
		if (!parse_stored(d, secret->scram, &st)) {
			free_stored(&st);
			return fail(s, "the stored SCRAM key is malformed");
		}
		s->rounds = st.rounds;
		salt = to_base64(s, st.salt.data, st.salt.len);
		memcpy(s->stored_key, st.stored.data, st.stored.len);
		memcpy(s->server_key, st.server.data, st.server.len);
		free_stored(&st);
	} else if (secret != NULL && secret->plain != NULL) {
		derive(s, secret->plain);
	} else {
		/* A key nobody has: the exchange goes on and fails at its end. */
		random_bytes(s->stored_key, sizeof(s->stored_key));
		s->error = secret == NULL ? "unknown user"
					  : "SCRAM needs a plain or SCRAM password in the database";
	}
	random_bytes(noise, sizeof(noise));
	s->nonce = arena_printf(&s->arena, "%s%s", s->nonce, to_base64(s, noise, sizeof(noise)));
	s->server_first = arena_printf(&s->arena, "r=%s,s=%s,i=%u", s->nonce, salt, s->rounds);
	return challenge(s, s->server_first);
}

/* scram_final - client-final-message: the proof */
static enum sasl_result scram_final(struct sasl_server *s, struct slice r)
{
	enum digest d = scram_digest(s);
	size_t size = digest_size(d);
	const char *text = keep(s, r), *rest = text, *binding, *nonce, *proof64, *bare, *auth;
	unsigned char sum[DIGEST_MAX];
	struct slice part;
	struct buf proof = BUF_INIT;
	bool good;

	binding = scram_attribute(&s->arena, &rest, 'c');
	nonce = binding != NULL ? scram_attribute(&s->arena, &rest, 'r') : NULL;
	bare = arena_strndup(&s->arena, text, rest > text ? (size_t)(rest - text) - 1 : 0);
	proof64 = nonce != NULL ? scram_attribute(&s->arena, &rest, 'p') : NULL;
	if (has_nul(r) || proof64 == NULL ||
		strcmp(binding, to_base64(s, s->gs2, strlen(s->gs2))) != 0 ||
		strcmp(nonce, s->nonce) != 0) {
		return fail(s, "malformed SCRAM message");
	}
	if (!base64_decode(&proof, proof64, strlen(proof64)) || proof.len != size) {
		buf_free(&proof);
		return fail(s, "malformed SCRAM message");
	}
	auth = arena_printf(&s->arena, "%s,%s,%s", s->client_first_bare, s->server_first, bare);
	part = slice_of(auth);
	hmac_of(d, s->stored_key, size, &part, 1, sum);
	for (size_t i = 0; i < size; i++) {
		proof.data[i] = (char)(proof.data[i] ^ sum[i]);
	}
	part = (struct slice){ proof.data, size };
	digest_of(d, &part, 1, sum);
	good = equal_secret(sum, s->stored_key, size) && s->error == NULL;
	buf_free(&proof);
	if (!good) {
		return fail(s, s->error != NULL ? s->error : "Password mismatch");
	}
	part = slice_of(auth);
	hmac_of(d, s->server_key, size, &part, 1, sum);
	return challenge(s, arena_printf(&s->arena, "v=%s", to_base64(s, sum, size)));
}

/* ---- All of them ---- */

enum sasl_result sasl_server_start(
	struct sasl_server *s, enum sasl_mech mech, const char *host, const struct slice *initial)
{
	memset(s, 0, sizeof(*s));
	s->mech = mech;
	s->authzid = s->user = s->password = "";
	if (mech == SASL_CRAM_MD5) {
		return initial == NULL ? cram_start(s, host)
				       : fail(s, "CRAM-MD5 has no initial response");
	}
	if (mech == SASL_LOGIN) {
		(void)challenge(s, "Username:");
		/* Some clients send the name at once. */
		return initial != NULL && initial->len > 0 ? sasl_server_step(s, *initial)
							   : SASL_CHALLENGE;
	}
	(void)challenge(s, "");
	return initial != NULL ? sasl_server_step(s, *initial) : SASL_CHALLENGE;
}

enum sasl_result sasl_server_step(struct sasl_server *s, struct slice response)
{
	if (response.ptr == NULL) {
		response.ptr = "";
	}
	if (response.len > NAME_MAX_LEN * 8) {
		return fail(s, "response is too long");
	}
	switch (s->mech) {
	case SASL_PLAIN:
		return plain(s, response);
	case SASL_LOGIN:
		return login(s, response);
	case SASL_CRAM_MD5:
		return cram_response(s, response);
	case SASL_SCRAM_SHA_1:
	case SASL_SCRAM_SHA_256:
		if (s->step == 1) {
			return scram_first(s, response);
		}
		if (s->step == 2) {
			return scram_final(s, response);
		}
		return response.len == 0 ? SASL_OK : fail(s, "malformed SCRAM message");
	case SASL_MECHS:
		break;
	}
	return fail(s, "unknown mechanism");
}

enum sasl_result sasl_server_secret(struct sasl_server *s, const struct sasl_secret *secret)
{
	switch (s->mech) {
	case SASL_CRAM_MD5:
		return cram_verify(s, secret);
	case SASL_SCRAM_SHA_1:
	case SASL_SCRAM_SHA_256:
		return scram_challenge(s, secret);
	case SASL_PLAIN:
	case SASL_LOGIN:
	case SASL_MECHS:
		break;
	}
	return fail(s, "this mechanism asks for no secret");
}

void sasl_server_free(struct sasl_server *s)
{
	if (s->password != NULL && s->password[0] != '\0') {
		forget((void *)(uintptr_t)s->password, strlen(s->password));
	}
	forget(s->stored_key, sizeof(s->stored_key));
	forget(s->server_key, sizeof(s->server_key));
	arena_free(&s->arena);
	buf_free(&s->challenge);
	s->password = NULL;
}
