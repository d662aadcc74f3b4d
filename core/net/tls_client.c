/*
 * tls_client - TLS to a server that we have called
 *
 * BearSSL's client ends a handshake whose certificate it does not like. Mail is sent to whoever
 * takes it unless somebody said otherwise, so here the chain is only collected while the handshake
 * runs (at most 100 KB), and judged at its end (cert/tls_verify.c); the handshake itself proves
 * that the server has the key of its certificate. What it is worth is for the caller to ask.
 *
 * The clock: a router begins in 1970. Dates are judged by the clock, or by the day this program was
 * made if that is later; what is not valid yet is judged by the newest mail that was seen as well.
 * That one may have come while the clock was ahead, so by its time alone nothing has expired.
 *
 * RFC 5246, RFC 6066 3 (server name), RFC 7435 (opportunistic security).
 */
#include "net/tls_client.h"

#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/crypto.h"
#include "base/date.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/tls_files.h"
#include "net/tls_impl.h"
#include "cert/tls_match.h"
#include "cert/tls_pem.h"
#include "net/tls_session.h"
#include "cert/tls_verify.h"

/* When this program was made: the Makefile says it. */
#ifndef BUILD_SECONDS
#define BUILD_SECONDS 0
#endif

enum { CHAIN_BYTES = 100 * 1024 };

struct tls_client {
	unsigned refs; /* the owner's, and one of each connection */
	struct tls_trust *trust;
	char *cert_file, *key_file; /* our own; NULL: none */
	bool several;
	struct tls_stamp cert_stamp, key_stamp;
	time_t looked;
	struct tls_keys *keys;
	unsigned depth;
	bool several_labels, floor_wanted, floor_said;
	int64_t seen;                  /* when the newest mail came */
	struct tls_sessions *sessions; /* NULL: none */
};

/* An x509 engine of BearSSL's that keeps what it is given. */
struct collector {
	const br_x509_class *vtable;
	br_x509_decoder_context leaf;
	struct buf der;
	size_t starts[TLS_CHAIN_MAX + 1];
	size_t count; /* certificates begun */
	bool too_many;
};

struct client_side {
	br_ssl_client_context context; /* first: BearSSL's own way up */
	struct collector collector;
	struct tls_client *client;
	struct tls_keys *keys;
	struct tls_judge judge;
	struct tls_trust *own_trust; /* of this target alone; or NULL */
	unsigned generation;
	char session[TLS_SESSION_KEY]; /* "": not to be resumed */
	struct tls_verdict *verdict;   /* of the chain, or of the session that is to be resumed */
	bool tried, up;
	struct tls_peer peer;
	struct arena texts;
};

static const uint16_t suites[] = { BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_ECDSA_WITH_AES_256_CCM,
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_CCM, BR_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,
	BR_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384, BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
	BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, BR_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	BR_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, BR_TLS_RSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_RSA_WITH_AES_128_GCM_SHA256, BR_TLS_RSA_WITH_AES_256_CCM,
	BR_TLS_RSA_WITH_AES_128_CCM, BR_TLS_RSA_WITH_AES_256_CBC_SHA256,
	BR_TLS_RSA_WITH_AES_128_CBC_SHA256, BR_TLS_RSA_WITH_AES_256_CBC_SHA,
	BR_TLS_RSA_WITH_AES_128_CBC_SHA };

/* ---- The client ---- */

static struct tls_keys *load_keys(const struct tls_client *c, char **error_r)
{
	return tls_keys_load(
		&(struct tls_server_config){
			.cert_file = c->cert_file, .key_file = c->key_file, .several = c->several },
		error_r);
}

/* take_own - our certificate, now */
static int take_own(struct tls_client *c, const struct tls_server_config *own, struct buf *error)
{
	char *text = NULL;

	c->cert_file = mem_strdup(own->cert_file);
	c->key_file = mem_strdup(
		own->key_file != NULL && own->key_file[0] != '\0' ? own->key_file : own->cert_file);
	c->several = own->several;
	(void)tls_stamp_take(c->cert_file, c->several, &c->cert_stamp);
	(void)tls_stamp_take(c->key_file, c->several, &c->key_stamp);
	c->looked = time(NULL);
	c->keys = load_keys(c, &text);
	if (c->keys == NULL) {
		buf_adds(error, text);
		mem_free(text);
		return -1;
	}
	return 0;
}

/* the_trust - of the configuration's files, and the system's where they are wanted, too */
static struct tls_trust *the_trust(const struct tls_client_config *config)
{
	static const char *const system[] = { "/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem" };
	const char *files[2];
	size_t count = 0;
	struct tls_stamp stamp;

	if (config->ca_file != NULL && config->ca_file[0] != '\0') {
		files[count++] = config->ca_file;
	}
	for (size_t i = 0; config->ca_default && i < ARRAY_LEN(system); i++) {
		if (tls_stamp_take(system[i], false, &stamp) && stamp.size > 0) {
			files[count++] = system[i];
			break;
		}
	}
	return tls_trust_new(files, count, config->ca_path);
}

struct tls_client *tls_client_new(const struct tls_client_config *config, struct buf *error)
{
	struct tls_client *c = mem_alloc(sizeof(*c));

	c->refs = 1;
	c->trust = the_trust(config);
	c->depth = config->depth < TLS_CHAIN_MAX ? config->depth : TLS_CHAIN_MAX - 1;
	c->several_labels = config->several_labels;
	c->floor_wanted = config->clock_floor;
	if (config->sessions > 0) {
		c->sessions = tls_sessions_new(config->sessions, config->session_seconds);
	}
	if (config->own != NULL && take_own(c, config->own, error) != 0) {
		tls_client_free(c);
		return NULL;
	}
	return c;
}

void tls_client_free(struct tls_client *c)
{
	if (c == NULL || --c->refs > 0) {
		return;
	}
	tls_trust_free(c->trust);
	tls_keys_unref(c->keys);
	tls_sessions_free(c->sessions);
	mem_free(c->cert_file);
	mem_free(c->key_file);
	mem_free(c);
}

void tls_client_seen(struct tls_client *c, int64_t when)
{
	c->seen = when > c->seen ? when : c->seen;
}

/* refresh_own - follow the files of our certificate; what cannot be loaded changes nothing */
static void refresh_own(struct tls_client *c)
{
	struct tls_stamp cert, key;
	struct tls_keys *fresh;
	time_t now = time(NULL);
	char *error = NULL;

	if (c->cert_file == NULL || now == c->looked) {
		return;
	}
	c->looked = now;
	if (!tls_stamp_take(c->cert_file, c->several, &cert) ||
		!tls_stamp_take(c->key_file, c->several, &key) ||
		(tls_stamp_same(&cert, &c->cert_stamp) && tls_stamp_same(&key, &c->key_stamp))) {
		return;
	}
	c->cert_stamp = cert;
	c->key_stamp = key;
	fresh = load_keys(c, &error);
	if (fresh == NULL) {
		log_warn("%s: the certificate loaded before stays in use", error);
		mem_free(error);
		return;
	}
	tls_keys_unref(c->keys);
	c->keys = fresh;
}

/* instead_of_clock - when, which is said once */
static int64_t instead_of_clock(struct tls_client *c, int64_t when)
{
	char text[DATE_SIZE];

	if (!c->floor_said) {
		c->floor_said = true;
		date_rfc5322(text, when, false);
		log_warn("the clock is not set: certificates are judged by %s", text);
	}
	return when;
}

/* the_time - by which certificates are judged */
static int64_t the_time(struct tls_client *c)
{
	int64_t now = time(NULL);

	return c->floor_wanted && now < BUILD_SECONDS ? instead_of_clock(c, BUILD_SECONDS) : now;
}

/* ---- The chain comes ---- */

static void start_chain(const br_x509_class **class, const char *server_name)
{
	struct collector *c = (struct collector *)(void *)class;

	(void)server_name;
	buf_reset(&c->der);
	c->count = 0;
	c->too_many = false;
}

static void start_cert(const br_x509_class **class, uint32_t length)
{
	struct collector *c = (struct collector *)(void *)class;

	if (c->count == 0) {
		br_x509_decoder_init(&c->leaf, NULL, NULL);
	}
	if (c->count == TLS_CHAIN_MAX || length > CHAIN_BYTES - c->der.len) {
		c->too_many = true;
	} else {
		c->starts[c->count++] = c->der.len;
	}
}

static void append(const br_x509_class **class, const unsigned char *data, size_t len)
{
	struct collector *c = (struct collector *)(void *)class;

	if (c->too_many) {
		return;
	}
	if (c->count == 1) {
		br_x509_decoder_push(&c->leaf, data, len);
	}
	buf_add(&c->der, data, len);
}

static void end_cert(const br_x509_class **class)
{
	(void)class;
}

static struct client_side *side_of(struct collector *c)
{
	return (struct client_side *)(void *)((char *)c - offsetof(struct client_side, collector));
}

/* judge - by the clock, and where that is too early, by the newest mail */
static struct tls_verdict *judge(struct client_side *s, const struct slice *certs)
{
	const struct collector *c = &s->collector;
	struct tls_client *client = s->client;
	struct tls_verdict *v = tls_verify(certs, c->count, c->too_many, &s->judge), *later;

	if (!v->early || !client->floor_wanted || client->seen <= s->judge.now) {
		return v;
	}
	s->judge.now = client->seen;
	later = tls_verify(certs, c->count, c->too_many, &s->judge);
	if (later->peer.status <= v->peer.status) {
		tls_verdict_unref(later);
		return v;
	}
	(void)instead_of_clock(client, client->seen);
	tls_verdict_unref(v);
	return later;
}

/* end_chain - judge it; only a key that we cannot use ends the handshake */
static unsigned end_chain(const br_x509_class **class)
{
	struct collector *c = (struct collector *)(void *)class;
	struct client_side *s = side_of(c);
	struct slice certs[TLS_CHAIN_MAX];

	if (c->count == 0) {
		return BR_ERR_X509_EMPTY_CHAIN;
	}
	if (br_x509_decoder_get_pkey(&c->leaf) == NULL) {
		return (unsigned)br_x509_decoder_last_error(&c->leaf);
	}
	c->starts[c->count] = c->der.len;
	for (size_t i = 0; i < c->count; i++) {
		certs[i] = (struct slice){ buf_str(&c->der) + c->starts[i],
			c->starts[i + 1] - c->starts[i] };
	}
	tls_verdict_unref(s->verdict);
	s->verdict = NULL;
	s->verdict = judge(s, certs);
	buf_free(&c->der);
	return 0;
}

static const br_x509_pkey *get_pkey(const br_x509_class *const *class, unsigned *usages)
{
	struct collector *c = (struct collector *)(void *)(uintptr_t) class;

	if (usages != NULL) {
		*usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
	}
	return br_x509_decoder_get_pkey(&c->leaf);
}

static const br_x509_class collector_class = { sizeof(struct collector), start_chain, start_cert,
	append, end_cert, end_chain, get_pkey };

/* ---- Connections ---- */

/* on_up - the handshake is done: who is it, and may it be resumed? */
static void on_up(void *side, struct tls *t)
{
	struct client_side *s = side;
	br_ssl_session_parameters params;

	s->up = true;
	if (s->verdict == NULL) {
		return;
	}
	s->peer = s->verdict->peer;
	s->peer.resumed = s->tried && s->collector.count == 0;
	if (s->session[0] == '\0' || s->peer.resumed ||
		(s->judge.proof != TLS_PROOF_NONE && !s->peer.matched)) {
		return;
	}
	br_ssl_engine_get_session_parameters(t->engine, &params);
	if (params.session_id_len > 0) {
		tls_sessions_put(
			s->client->sessions, s->session, s->generation, &params, s->verdict);
	}
	forget(&params, sizeof(params));
}

static void free_side(void *side)
{
	struct client_side *s = side;

	if (s->tried && !s->up) {
		tls_sessions_drop(s->client->sessions, s->session); /* maybe it was to blame */
	}
	buf_free(&s->collector.der);
	tls_verdict_unref(s->verdict);
	tls_trust_free(s->own_trust);
	tls_keys_unref(s->keys);
	tls_client_free(s->client);
	arena_free(&s->texts);
}

static const char *const *copy_texts(struct arena *a, const char *const *texts, size_t count)
{
	const char **copy = arena_alloc(a, (count + 1) * sizeof(*copy));

	for (size_t i = 0; i < count; i++) {
		copy[i] = arena_strdup(a, texts[i]);
	}
	return copy;
}

/* set_judge - what target says of the proof */
static void set_judge(struct client_side *s, const struct tls_target *target, enum digest digest)
{
	struct tls_client *c = s->client;

	s->judge = (struct tls_judge){ .proof = target->proof,
		.unjudged = target->unjudged,
		.names = copy_texts(&s->texts, target->names, target->name_count),
		.digests = copy_texts(&s->texts, target->digests, target->digest_count),
		.tlsa = copy_texts(&s->texts, target->tlsa, target->tlsa_count),
		.name_count = target->name_count,
		.digest_count = target->digest_count,
		.tlsa_count = target->tlsa_count,
		.digest = digest,
		.several_labels = c->several_labels,
		.depth = c->depth,
		.now = the_time(c),
		.trust = c->trust };
	if (target->ca_file_count > 0) {
		s->own_trust = tls_trust_new(target->ca_files, target->ca_file_count, NULL);
		s->judge.trust = s->own_trust;
	}
	s->generation = target->unjudged ? 0 : tls_trust_refresh(s->judge.trust);
	for (size_t i = 0; i < target->ca_file_count; i++) {
		struct tls_stamp stamp;

		(void)tls_stamp_take(target->ca_files[i], false, &stamp);
		s->generation = s->generation * 31 + (unsigned)(stamp.mtime.tv_sec + stamp.size);
	}
}

static void add_list(struct buf *out, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buf_addf(out, "%zu:%s,", strlen(list[i]), list[i]);
	}
	buf_addc(out, '\n');
}

/* name_session - a key of all that the session was judged by */
static void name_session(struct client_side *s, const struct tls_target *t)
{
	unsigned char sum[DIGEST_MAX];
	struct buf all = BUF_INIT, hex = BUF_INIT;
	struct slice part;

	buf_addf(&all, "%d %d %d %d %d\n", (int)t->proof, t->unjudged, (int)s->judge.digest,
		t->min_version, t->max_version);
	add_list(&all, &t->session, 1);
	add_list(&all, t->names, t->name_count);
	add_list(&all, t->digests, t->digest_count);
	add_list(&all, t->tlsa, t->tlsa_count);
	add_list(&all, t->ca_files, t->ca_file_count);
	add_list(&all, &t->server_name, t->server_name != NULL ? 1 : 0);
	add_list(&all, &t->exclude, t->exclude != NULL ? 1 : 0);
	part = (struct slice){ buf_str(&all), all.len };
	digest_of(DIGEST_SHA256, &part, 1, sum);
	hex_encode(&hex, sum, 32);
	(void)str_copy(s->session, sizeof(s->session), buf_str(&hex));
	buf_free(&all);
	buf_free(&hex);
}

/* offer_session - one that may be resumed, if there is one */
static void offer_session(struct client_side *s, const struct tls_target *target)
{
	br_ssl_session_parameters params;

	if (target->session == NULL || s->client->sessions == NULL) {
		return;
	}
	name_session(s, target);
	s->verdict = tls_sessions_get(s->client->sessions, s->session, s->generation, &params);
	if (s->verdict != NULL) {
		s->tried = true;
		br_ssl_engine_set_session_parameters(&s->context.eng, &params);
	}
	forget(&params, sizeof(params));
}

/* set_suites - all but those that are excluded; false: none is left */
static bool set_suites(struct client_side *s, const char *exclude)
{
	uint16_t list[ARRAY_LEN(suites)];
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		if (exclude == NULL || !tls_suite_in(suites[i], exclude)) {
			list[count++] = suites[i];
		}
	}
	br_ssl_engine_set_suites(&s->context.eng, list, count);
	return count > 0;
}

static void set_keys(struct client_side *s)
{
	struct tls_keys *k = s->client->keys;

	if (k == NULL) {
		return;
	}
	s->keys = k;
	k->refs++;
	if (k->key_type == BR_KEYTYPE_RSA) {
		br_ssl_client_set_single_rsa(&s->context, k->chain, k->count,
			br_skey_decoder_get_rsa(&k->key), br_rsa_pkcs1_sign_get_default());
	} else {
		br_ssl_client_set_single_ec(&s->context, k->chain, k->count,
			br_skey_decoder_get_ec(&k->key), BR_KEYTYPE_SIGN, k->issuer_key_type,
			br_ec_get_default(), br_ecdsa_sign_asn1_get_default());
	}
}

/* usable_name - what may be said as server name: a host name and no address (RFC 6066 3) */
static const char *usable_name(const char *name)
{
	return name != NULL && name[0] != '\0' && strlen(name) < 254 && strchr(name, ':') == NULL &&
			name[strspn(name, "0123456789.")] != '\0'
		? name
		: NULL;
}

struct tls *tls_client_start(
	struct tls_client *c, const struct tls_target *target, struct buf *error)
{
	enum digest digest = DIGEST_SHA256;
	struct client_side *s;
	struct tls *t;

	if (target->digest != NULL && !tls_digest_find(target->digest, &digest)) {
		buf_addf(error, "digest algorithm \"%s\" not found", target->digest);
		return NULL;
	}
	refresh_own(c);
	/* A client states the record size it wants; below 16 KB only few are allowed (RFC 6066 4).
	 */
	t = tls_new(BR_SSL_BUFSIZE_OUTPUT, sizeof(*s), free_side);
	s = t->side;
	t->engine = &s->context.eng;
	t->on_up = on_up;
	s->client = c;
	c->refs++;
	s->peer = (struct tls_peer){ TLS_PEER_ANONYMOUS, false, false, "", "", "", "", "", "", "",
		"" };
	set_judge(s, target, digest);
	br_ssl_client_zero(&s->context);
	br_ssl_client_set_default_rsapub(&s->context);
	br_ssl_engine_set_default_rsavrfy(t->engine);
	br_ssl_engine_set_default_ecdsa(t->engine);
	s->collector.vtable = &collector_class;
	br_ssl_engine_set_x509(t->engine, &s->collector.vtable);
	if (!set_suites(s, target->exclude)) {
		buf_adds(error, "no cipher is left by what is excluded");
		tls_free(t);
		return NULL;
	}
	set_keys(s);
	tls_set_up(t, BR_SSL_BUFSIZE_OUTPUT, (unsigned)target->min_version,
		(unsigned)target->max_version, 0);
	offer_session(s, target);
	(void)br_ssl_client_reset(&s->context, usable_name(target->server_name), s->tried);
	return t;
}

const struct tls_peer *tls_peer(const struct tls *t)
{
	return &((const struct client_side *)t->side)->peer;
}

const char *tls_peer_status_name(enum tls_peer_status s)
{
	static const char *const names[] = { "Anonymous", "Untrusted", "Trusted", "Verified" };

	return names[s];
}
