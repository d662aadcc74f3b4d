/*
 * tls - TLS 1.0 to 1.2 as an engine without I/O, on BearSSL
 *
 * A server's context holds what connections share: certificate and key (reloaded when
 * the files change, old connections keep the old ones) and the cache of sessions
 * that can be resumed. Clients are in tls_client.c.
 *
 * A connection holds BearSSL's state and two record buffers. The input buffer must take
 * 16 KB records, for the peer chooses; ours are smaller on the server side,
 * which saves 8 KB for each idle client and costs nothing measurable.
 *
 * Random numbers come from getrandom(2), so no /dev is needed. Renegotiation
 * is refused. 3DES is left out (CVE-2016-2183), everything else BearSSL has is offered.
 *
 * RFC 5246, RFC 4346, RFC 2246, RFC 4492, RFC 5288, RFC 7905.
 */
#include "net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/tls_files.h"
#include "net/tls_impl.h"
#include "cert/tls_pem.h"

enum {
	SERVER_OUT = 8192 + 85, /* our records: 8 KB and BearSSL's overhead */
	CACHE_BYTES = 16384     /* about 160 sessions to resume */
};

struct tls_context {
	bool outdated, several, handed_over;
	char *cert_file, *key_file;
	unsigned min_version;
	bool server_order;
	struct tls_stamp cert_stamp, key_stamp;
	time_t looked;
	struct tls_keys *keys;
	br_ssl_session_cache_lru cache;
	unsigned char *cache_store;
};

/* A connection's. */
struct server_side {
	br_ssl_server_context server;
	struct tls_keys *keys; /* referenced while we use them */
};

/* ---- Contexts ---- */

static unsigned bear_version(unsigned version)
{
	return version <= 10 ? BR_TLS10 : version == 11 ? BR_TLS11 : BR_TLS12;
}

static struct tls_keys *load_keys(const struct tls_context *ctx, char **error_r)
{
	return tls_keys_load(&(struct tls_server_config){ .cert_file = ctx->cert_file,
				     .key_file = ctx->key_file,
				     .several = ctx->several },
		error_r);
}

struct tls_context *tls_server_context(const struct tls_server_config *config, char **error_r)
{
	struct tls_context *ctx = mem_alloc(sizeof(*ctx));

	ctx->cert_file = mem_strdup(config->cert_file);
	ctx->key_file = mem_strdup(config->key_file != NULL && config->key_file[0] != '\0'
			? config->key_file
			: config->cert_file);
	ctx->min_version = (unsigned)config->min_version;
	ctx->server_order = config->server_order;
	ctx->several = config->several;
	(void)tls_stamp_take(ctx->cert_file, ctx->several, &ctx->cert_stamp);
	(void)tls_stamp_take(ctx->key_file, ctx->several, &ctx->key_stamp);
	ctx->looked = time(NULL);
	ctx->keys = load_keys(ctx, error_r);
	if (ctx->keys == NULL) {
		tls_context_free(ctx);
		return NULL;
	}
	ctx->cache_store = mem_realloc(NULL, CACHE_BYTES);
	br_ssl_session_cache_lru_init(&ctx->cache, ctx->cache_store, CACHE_BYTES);
	return ctx;
}

void tls_context_free(struct tls_context *ctx)
{
	if (ctx == NULL) {
		return;
	}
	tls_keys_unref(ctx->keys);
	mem_free(ctx->cert_file);
	mem_free(ctx->key_file);
	mem_free(ctx->cache_store);
	mem_free(ctx);
}

enum tls_refresh tls_context_refresh(struct tls_context *ctx)
{
	struct tls_stamp cert, key;
	struct tls_keys *fresh;
	time_t now = time(NULL);
	char *error = NULL;
	bool readable;

	if (now == ctx->looked) {
		return TLS_SAME;
	}
	ctx->looked = now;
	if (ctx->handed_over) {
		return TLS_DENIED;
	}
	readable = tls_stamp_take(ctx->cert_file, ctx->several, &cert);
	readable = tls_stamp_take(ctx->key_file, ctx->several, &key) && readable;
	if (tls_stamp_same(&cert, &ctx->cert_stamp) && tls_stamp_same(&key, &ctx->key_stamp)) {
		return TLS_SAME;
	}
	/* Remembered even when it is bad: said once, not at every connection. */
	ctx->cert_stamp = cert;
	ctx->key_stamp = key;
	ctx->outdated = true;
	if (!readable) {
		return TLS_DENIED;
	}
	fresh = load_keys(ctx, &error);
	if (fresh == NULL) {
		log_warn("%s: the certificate loaded before stays in use", error);
		mem_free(error);
		return TLS_BAD;
	}
	log_info("certificate %s was replaced: new one loaded", ctx->cert_file);
	tls_keys_unref(ctx->keys);
	ctx->keys = fresh;
	br_ssl_session_cache_lru_init(&ctx->cache, ctx->cache_store, CACHE_BYTES);
	ctx->outdated = false;
	return TLS_LOADED;
}

void tls_context_hand_over(struct tls_context *ctx)
{
	ctx->handed_over = true;
}

void tls_context_set_outdated(struct tls_context *ctx, bool outdated)
{
	ctx->outdated = outdated;
}

static void put_stamp(
	const struct tls_stamp *cert, const struct tls_stamp *key, char out[TLS_STAMP_SIZE])
{
	const struct tls_stamp *stamps[] = { cert, key };
	size_t len = 0;

	for (size_t i = 0; i < 2; i++) {
		len += (size_t)snprintf(out + len, TLS_STAMP_SIZE - len, "%lld.%ld:%lld:%llu ",
			(long long)stamps[i]->mtime.tv_sec, (long)stamps[i]->mtime.tv_nsec,
			(long long)stamps[i]->size, (unsigned long long)stamps[i]->inode);
	}
}

void tls_context_stamp(const struct tls_context *ctx, char out[TLS_STAMP_SIZE])
{
	put_stamp(&ctx->cert_stamp, &ctx->key_stamp, out);
}

void tls_files_stamp(const struct tls_server_config *config, char out[TLS_STAMP_SIZE])
{
	const char *key_file = config->key_file != NULL && config->key_file[0] != '\0'
		? config->key_file
		: config->cert_file;
	struct tls_stamp cert, key;

	(void)tls_stamp_take(config->cert_file, config->several, &cert);
	(void)tls_stamp_take(key_file, config->several, &key);
	put_stamp(&cert, &key, out);
}

bool tls_context_outdated(const struct tls_context *ctx)
{
	return ctx->outdated;
}

/* ---- Connections ---- */

static const uint16_t rsa_suites[] = { BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384, BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	BR_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	BR_TLS_RSA_WITH_AES_256_GCM_SHA384, BR_TLS_RSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_RSA_WITH_AES_256_CCM, BR_TLS_RSA_WITH_AES_128_CCM,
	BR_TLS_RSA_WITH_AES_256_CBC_SHA256, BR_TLS_RSA_WITH_AES_128_CBC_SHA256,
	BR_TLS_RSA_WITH_AES_256_CBC_SHA, BR_TLS_RSA_WITH_AES_128_CBC_SHA };

static const uint16_t ec_suites[] = { BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_ECDSA_WITH_AES_256_CCM,
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_CCM, BR_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, BR_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA };

/* seed - BearSSL's generator gets its entropy from us */
static void seed(br_ssl_engine_context *engine)
{
	unsigned char bytes[32];
	size_t have = 0;

	while (have < sizeof(bytes)) {
		ssize_t n = getrandom(bytes + have, sizeof(bytes) - have, 0);

		if (n <= 0 && errno != EINTR) {
			return; /* the engine then asks the system, or fails as BR_ERR_NO_RANDOM */
		}
		have += n > 0 ? (size_t)n : 0;
	}
	br_ssl_engine_inject_entropy(engine, bytes, sizeof(bytes));
	memset(bytes, 0, sizeof(bytes));
}

struct tls *tls_new(size_t out_size, size_t side_size, void (*on_free)(void *side))
{
	size_t at = (sizeof(struct tls) + out_size + 15) / 16 * 16;
	struct tls *t = mem_realloc(NULL, at + side_size);

	memset(t, 0, offsetof(struct tls, in));
	t->side = (char *)t + at;
	t->side_size = side_size;
	t->on_free = on_free;
	memset(t->side, 0, side_size);
	return t;
}

/* set_algorithms - what both sides have; BearSSL's own profiles would link its 3DES as well */
static void set_algorithms(br_ssl_engine_context *engine)
{
	static const br_hash_class *const hashes[] = { &br_md5_vtable, &br_sha1_vtable,
		&br_sha224_vtable, &br_sha256_vtable, &br_sha384_vtable, &br_sha512_vtable };

	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		br_ssl_engine_set_hash(engine, br_md5_ID + (int)i, hashes[i]);
	}
	br_ssl_engine_set_prf10(engine, br_tls10_prf);
	br_ssl_engine_set_prf_sha256(engine, br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(engine, br_tls12_sha384_prf);
	br_ssl_engine_set_default_aes_cbc(engine);
	br_ssl_engine_set_default_aes_ccm(engine);
	br_ssl_engine_set_default_aes_gcm(engine);
	br_ssl_engine_set_default_chapol(engine);
}

void tls_set_up(struct tls *t, size_t out_size, unsigned min, unsigned max, uint32_t flags)
{
	set_algorithms(t->engine);
	br_ssl_engine_set_versions(t->engine, bear_version(min), bear_version(max));
	br_ssl_engine_add_flags(t->engine, BR_OPT_NO_RENEGOTIATION | flags);
	br_ssl_engine_set_buffers_bidi(t->engine, t->in, sizeof(t->in), t->out, out_size);
	seed(t->engine);
}

static void free_server(void *side)
{
	tls_keys_unref(((struct server_side *)side)->keys);
}

struct tls *tls_new_server(struct tls_context *ctx)
{
	struct tls *t = tls_new(SERVER_OUT, sizeof(struct server_side), free_server);
	struct server_side *s = t->side;
	br_ssl_server_context *sc = &s->server;
	struct tls_keys *k = ctx->keys;

	t->engine = &sc->eng;
	k->refs++;
	s->keys = k;
	br_ssl_server_zero(sc);
	br_ssl_engine_set_default_ec(t->engine);
	if (k->key_type == BR_KEYTYPE_RSA) {
		br_ssl_server_set_single_rsa(sc, k->chain, k->count,
			br_skey_decoder_get_rsa(&k->key), BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN,
			br_rsa_private_get_default(), br_rsa_pkcs1_sign_get_default());
		br_ssl_engine_set_suites(t->engine, rsa_suites, ARRAY_LEN(rsa_suites));
	} else {
		br_ssl_server_set_single_ec(sc, k->chain, k->count, br_skey_decoder_get_ec(&k->key),
			BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN, k->issuer_key_type,
			br_ssl_engine_get_ec(t->engine), br_ecdsa_sign_asn1_get_default());
		br_ssl_engine_set_suites(t->engine, ec_suites, ARRAY_LEN(ec_suites));
	}
	tls_set_up(t, SERVER_OUT, ctx->min_version, 12,
		ctx->server_order ? BR_OPT_ENFORCE_SERVER_PREFERENCES : 0);
	br_ssl_server_set_cache(sc, &ctx->cache.vtable);
	(void)br_ssl_server_reset(sc);
	return t;
}

void tls_free(struct tls *t)
{
	if (t != NULL) {
		t->on_free(t->side);
		forget(t->side, t->side_size); /* session keys */
		mem_free(t);
	}
}

static void tell_up(struct tls *t)
{
	if (!t->up) {
		t->up = true;
		if (t->on_up != NULL) {
			t->on_up(t->side, t);
		}
	}
}

/* move_out - records and decoded bytes that the engine has for us; whether there were any */
static bool move_out(struct tls *t, unsigned state, struct buf *plain_in, struct buf *wire_out)
{
	size_t len;
	bool moved = false;

	if (state & BR_SSL_SENDREC) {
		unsigned char *p = br_ssl_engine_sendrec_buf(t->engine, &len);

		buf_add(wire_out, p, len);
		br_ssl_engine_sendrec_ack(t->engine, len);
		moved = true;
	}
	if (state & BR_SSL_RECVAPP) {
		unsigned char *p = br_ssl_engine_recvapp_buf(t->engine, &len);

		buf_add(plain_in, p, len);
		br_ssl_engine_recvapp_ack(t->engine, len);
		moved = true;
	}
	return moved;
}

/* move_in - what we have for the engine; whether it took any */
static bool move_in(struct tls *t, struct buf *wire_in, struct buf *plain_out)
{
	unsigned state = br_ssl_engine_current_state(t->engine);
	bool moved = false;
	size_t len;

	if (state & BR_SSL_SENDAPP) {
		tell_up(t);
	}
	if ((state & BR_SSL_SENDAPP) && buf_unread(plain_out) > 0) {
		unsigned char *p = br_ssl_engine_sendapp_buf(t->engine, &len);

		len = len < buf_unread(plain_out) ? len : buf_unread(plain_out);
		memcpy(p, buf_head(plain_out), len);
		br_ssl_engine_sendapp_ack(t->engine, len);
		buf_consume(plain_out, len);
		if (buf_unread(plain_out) == 0) {
			br_ssl_engine_flush(t->engine, 0);
		}
		moved = true;
	}
	state = br_ssl_engine_current_state(t->engine);
	if ((state & BR_SSL_RECVREC) && buf_unread(wire_in) > 0) {
		unsigned char *p = br_ssl_engine_recvrec_buf(t->engine, &len);

		len = len < buf_unread(wire_in) ? len : buf_unread(wire_in);
		memcpy(p, buf_head(wire_in), len);
		br_ssl_engine_recvrec_ack(t->engine, len);
		buf_consume(wire_in, len);
		moved = true;
	}
	return moved;
}

int tls_process(struct tls *t, struct buf *wire_in, struct buf *plain_in, struct buf *plain_out,
	struct buf *wire_out)
{
	for (;;) {
		unsigned state = br_ssl_engine_current_state(t->engine);
		bool moved;

		if (state & BR_SSL_CLOSED) {
			return br_ssl_engine_last_error(t->engine) == 0 ? 0 : -1;
		}
		if (state & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) {
			tell_up(t);
		}
		moved = move_out(t, state, plain_in, wire_out);
		if (!move_in(t, wire_in, plain_out) && !moved) {
			return 1;
		}
	}
}

void tls_close_notify(struct tls *t, struct buf *wire_out)
{
	struct buf none = BUF_INIT;

	if (!(br_ssl_engine_current_state(t->engine) & BR_SSL_CLOSED)) {
		br_ssl_engine_close(t->engine);
		(void)tls_process(t, &none, &none, &none, wire_out);
		buf_free(&none);
	}
}

bool tls_is_up(const struct tls *t)
{
	return t->up;
}

const char *tls_version_name(const struct tls *t)
{
	switch (br_ssl_engine_get_version(t->engine)) {
	case BR_TLS10:
		return "TLSv1";
	case BR_TLS11:
		return "TLSv1.1";
	case BR_TLS12:
		return "TLSv1.2";
	default:
		return "";
	}
}

static unsigned suite(const struct tls *t)
{
	br_ssl_session_parameters params;

	br_ssl_engine_get_session_parameters(t->engine, &params);
	return params.cipher_suite;
}

const char *tls_cipher_name(const struct tls *t)
{
	return tls_suite_name(suite(t));
}

int tls_cipher_bits(const struct tls *t)
{
	return tls_suite_bits(suite(t));
}

const char *tls_error(const struct tls *t)
{
	int code = br_ssl_engine_last_error(t->engine);

	return code == 0 ? "" : tls_error_name(code);
}
