/*
 * test_tls_client - who is the server? Chains good and bad, names, digests, TLSA, sessions
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/mem.h"
#include "cert/tls_match.h"
#include "cert/tls_trust.h"
#include "cert/tls_verify.h"
#include "cert/x509.h"
#include "cert_util.h"
#include "tls_util.h"
#include "unit.h"

/* An authority, one below it, and a server. */
struct pki {
	struct cert_key root_key, middle_key, key, other_key;
	struct buf root, middle, middle2, leaf; /* DER */
	char ca_file[300];
};

static void write_text(char path[300], const char *name, const struct buf *text)
{
	FILE *f;

	snprintf(path, 300, "%s/%s", unit_tmpdir(), name);
	f = fopen(path, "w");
	REQUIRE(f != NULL && fputs(buf_str(text), f) >= 0 && fclose(f) == 0);
}

static void write_certs(char path[300], const char *name, const struct buf *const *certs,
	size_t count, const struct cert_key *key)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < count; i++) {
		cert_pem(&text, certs[i]);
	}
	if (key != NULL) {
		cert_key_pem(&text, key);
	}
	write_text(path, name, &text);
	buf_free(&text);
}

static struct pki *new_pki(void)
{
	struct pki *p = mem_alloc(sizeof(*p));
	const struct buf *root = &p->root;

	cert_key_make(&p->root_key);
	cert_key_make(&p->middle_key);
	cert_key_make(&p->key);
	cert_key_make(&p->other_key);
	cert_make(&p->root,
		&(struct cert_spec){ .subject = "Root", .key = &p->root_key, .ca = true });
	cert_make(&p->middle,
		&(struct cert_spec){ .subject = "Middle",
			.issuer = "Root",
			.key = &p->middle_key,
			.signer = &p->root_key,
			.ca = true });
	/* The same authority, certified by one that nobody knows. */
	cert_make(&p->middle2,
		&(struct cert_spec){ .subject = "Middle",
			.issuer = "Old Root",
			.key = &p->middle_key,
			.signer = &p->other_key,
			.ca = true });
	write_certs(p->ca_file, "ca.pem", &root, 1, NULL);
	return p;
}

static void free_pki(struct pki *p)
{
	buf_free(&p->root);
	buf_free(&p->middle);
	buf_free(&p->middle2);
	buf_free(&p->leaf);
	mem_free(p);
}

static struct tls_client *new_client(const char *ca_file, size_t sessions)
{
	struct buf error = BUF_INIT;
	struct tls_client *c = tls_client_new(&(struct tls_client_config){ .ca_file = ca_file,
						      .depth = 9,
						      .several_labels = true,
						      .clock_floor = true,
						      .sessions = sessions,
						      .session_seconds = 3600 },
		&error);

	CHECK_STR(buf_str(&error), "");
	REQUIRE(c != NULL);
	return c;
}

static struct tls_target target_for(const char *const *name)
{
	return (struct tls_target){ .proof = TLS_PROOF_NAMES,
		.names = name,
		.name_count = 1,
		.server_name = *name,
		.min_version = 12,
		.max_version = 12 };
}

static struct tls_context *server_of(const char *path)
{
	struct tls_server_config config = { .cert_file = path, .min_version = 12 };
	char *error = NULL;
	struct tls_context *ctx = tls_server_context(&config, &error);

	CHECK_STR(error, NULL);
	REQUIRE(ctx != NULL);
	return ctx;
}

/* A server with these certificates, called by a client with this target. */
static struct tls_pair call(struct pki *p, const struct buf *const *certs, size_t count,
	struct tls_client *client, const struct tls_target *target)
{
	char path[300];
	struct tls_context *server;
	struct tls_pair pair;

	write_certs(path, "server.pem", certs, count, &p->key);
	server = server_of(path);
	pair = tls_pair_new(server, client, target);
	tls_context_free(server);
	return pair;
}

static void check_row(struct pki *p, const char *what, const char *const *name,
	enum tls_peer_status status, const char *reason)
{
	const struct buf *certs[] = { &p->leaf, &p->middle };
	struct tls_client *client = new_client(p->ca_file, 0);
	struct tls_target target = target_for(name);
	struct tls_pair pair = call(p, certs, 2, client, &target);
	const struct tls_peer *peer = tls_peer(pair.client);

	CHECK_ROW(what);
	CHECK(tls_is_up(pair.client) && tls_is_up(pair.server));
	CHECK_INT(peer->status, status);
	CHECK_INT(peer->matched, status == TLS_PEER_VERIFIED);
	CHECK_STR(peer->reason, reason);
	tls_pair_free(&pair);
	tls_client_free(client);
	buf_reset(&p->leaf);
	CHECK_ROW(NULL);
}

static const char *const mx = "mx.example";

TEST(tls_client, what_is_refused)
{
	static const struct {
		const char *what;
		struct cert_spec spec;
		const char *reason;
	} rows[] = {
		{ "good", { .hosts = "mx.example" }, "" },
		{ "good, SHA-384", { .hosts = "mx.example", .hash = CERT_SHA384 }, "" },
		{ "wildcard", { .hosts = "*.example *.a.example" }, "num=62:hostname mismatch" },
		{ "name only as CN", { .subject = "mx.example" }, "" },
		{ "CN does not count beside a name",
			{ .subject = "mx.example", .hosts = "b.example" },
			"num=62:hostname mismatch" },
		{ "NUL in a name", { .hosts = "mx.example|.evil.example" },
			"num=62:hostname mismatch" },
		{ "another name", { .hosts = "a.example b.example" }, "num=62:hostname mismatch" },
		{ "over", { .hosts = "mx.example", .until = 1700000000 },
			"certificate has expired" },
		{ "over, and another's", { .hosts = "a.example", .until = 1700000000 },
			"num=62:hostname mismatch" },
		{ "not yet", { .hosts = "mx.example", .from = 4700000000 },
			"certificate not yet valid" },
		{ "MD5", { .hosts = "mx.example", .hash = CERT_MD5 },
			"num=68:CA signature digest algorithm too weak" },
		{ "SHA-1", { .hosts = "mx.example", .hash = CERT_SHA1 },
			"num=68:CA signature digest algorithm too weak" },
		{ "for clients", { .hosts = "mx.example", .for_clients = true },
			"not designated for use as a server certificate" },
		{ "critical extension", { .hosts = "mx.example", .critical = true },
			"num=34:unhandled critical extension" },
		{ "nobody's", { .hosts = "mx.example", .issuer = "Nobody" },
			"untrusted issuer /CN=Nobody" },
	};
	struct pki *p = new_pki();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cert_spec spec = rows[i].spec;

		spec.subject = spec.subject != NULL ? spec.subject : "server";
		spec.issuer = spec.issuer != NULL ? spec.issuer : "Middle";
		spec.key = &p->key;
		spec.signer = &p->middle_key;
		cert_make(&p->leaf, &spec);
		check_row(p, rows[i].what, &mx,
			rows[i].reason[0] == '\0' ? TLS_PEER_VERIFIED : TLS_PEER_UNTRUSTED,
			rows[i].reason);
	}
	free_pki(p);
}

TEST(tls_client, a_signature_that_is_not_the_issuers)
{
	struct pki *p = new_pki();

	cert_make(&p->leaf,
		&(struct cert_spec){ .subject = "server",
			.issuer = "Middle",
			.hosts = "mx.example",
			.key = &p->key,
			.signer = &p->other_key });
	check_row(p, "below the middle", &mx, TLS_PEER_UNTRUSTED,
		"num=7:certificate signature failure");
	cert_make(&p->leaf,
		&(struct cert_spec){ .subject = "server",
			.issuer = "Root",
			.hosts = "mx.example",
			.key = &p->key,
			.signer = &p->other_key });
	check_row(p, "below the root", &mx, TLS_PEER_UNTRUSTED, "untrusted issuer /CN=Root");
	cert_make(&p->leaf,
		&(struct cert_spec){
			.subject = "mx.example", .hosts = "mx.example", .key = &p->key });
	check_row(p, "self-signed", &mx, TLS_PEER_UNTRUSTED, "self-signed certificate");
	free_pki(p);
}

static void make_leaf(struct pki *p)
{
	buf_reset(&p->leaf);
	cert_make(&p->leaf,
		&(struct cert_spec){ .subject = "The Server",
			.issuer = "Middle",
			.hosts = "mx.example *.wild.example 192.0.2.1",
			.key = &p->key,
			.signer = &p->middle_key });
}

/* The server takes what stands in its file in an order of its own; here the client is given any. */
TEST(tls_client, order_and_strangers_do_not_matter)
{
	struct pki *p = new_pki();
	struct buf *der[] = { &p->leaf, &p->middle, &p->middle2, &p->root };
	static const unsigned char orders[][5] = { { 0, 1 }, { 0, 2, 1 }, { 0, 1, 2 }, { 0, 3, 1 },
		{ 0, 3, 2, 1 }, { 0, 0, 2, 1 } };
	struct tls_judge judge = { .proof = TLS_PROOF_NAMES,
		.names = &mx,
		.name_count = 1,
		.depth = 9,
		.now = time(NULL) };
	const char *file = p->ca_file;

	make_leaf(p);
	judge.trust = tls_trust_new(&file, 1, NULL);
	(void)tls_trust_refresh(judge.trust);
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct slice certs[5];
		struct tls_verdict *v;
		size_t count = 0;

		do {
			const struct buf *b = der[orders[i][count]];

			certs[count++] = (struct slice){ b->data, b->len };
		} while (count < 5 && orders[i][count] != 0);
		if (i == 5) { /* the server's certificate twice */
			certs[1] = certs[0];
			certs[2] = (struct slice){ der[2]->data, der[2]->len };
			certs[3] = (struct slice){ der[1]->data, der[1]->len };
			count = 4;
		}
		v = tls_verify(certs, count, false, &judge);
		CHECK_INT(v->peer.status, TLS_PEER_VERIFIED);
		tls_verdict_unref(v);
		/* And without the one in the middle there is no way. */
		judge.depth = 0;
		v = tls_verify(certs, count, false, &judge);
		CHECK_STR(v->peer.reason, "certificate chain longer than limit(0)");
		tls_verdict_unref(v);
		judge.depth = 9;
	}
	tls_trust_free(judge.trust);
	free_pki(p);
}

TEST(tls_client, whoever_it_is)
{
	struct pki *p = new_pki();
	const struct buf *certs[] = { &p->leaf, &p->middle };
	struct tls_client *trusting = new_client(p->ca_file, 0), *blind = new_client("", 0);
	struct tls_target target = { .min_version = 12, .max_version = 12 };
	struct tls_pair pair;

	make_leaf(p);
	pair = call(p, certs, 2, trusting, &target);
	CHECK_INT(tls_peer(pair.client)->status, TLS_PEER_TRUSTED);
	CHECK_STR(tls_peer(pair.client)->subject, "The Server");
	CHECK_STR(tls_peer(pair.client)->issuer, "Middle");
	CHECK_STR(tls_peer(pair.client)->names, "mx.example, *.wild.example, 192.0.2.1");
	CHECK_INT(strlen(tls_peer(pair.client)->fingerprint), 32 * 3 - 1);
	tls_pair_talk(&pair);
	tls_pair_free(&pair);
	pair = call(p, certs, 2, blind, &target);
	CHECK_INT(tls_peer(pair.client)->status, TLS_PEER_UNTRUSTED);
	CHECK_STR(tls_peer(pair.client)->reason, "untrusted issuer /CN=Root");
	tls_pair_talk(&pair);
	tls_pair_free(&pair);
	/* Where nobody wants to know, no file is read, and it is nobody special. */
	CHECK_INT(unlink(p->ca_file), 0);
	target.unjudged = true;
	pair = call(p, certs, 2, blind, &target);
	CHECK_INT(tls_peer(pair.client)->status, TLS_PEER_UNTRUSTED);
	CHECK_STR(tls_peer(pair.client)->reason, "");
	CHECK_STR(tls_peer(pair.client)->subject, "The Server");
	tls_pair_talk(&pair);
	tls_pair_free(&pair);
	tls_client_free(trusting);
	tls_client_free(blind);
	free_pki(p);
}

TEST(tls_client, names)
{
	static const struct {
		const char *host, *want;
		bool several, good;
	} rows[] = {
		{ "mx.example", "MX.example", false, true },
		{ "mx.example", "mx.example.org", false, false },
		{ "*.example.org", "mx.example.org", false, true },
		{ "*.example.org", "a.mx.example.org", false, false },
		{ "*.example.org", "a.mx.example.org", true, true },
		{ "*.example.org", "example.org", true, false },
		{ "*.example.org", ".example.org", true, true },
		{ "mx.example.org", ".example.org", true, true },
		{ "example.org", ".example.org", true, false },
		{ "badexample.org", ".example.org", true, false },
		{ "*.org", "example.org", true, false },
		{ "*", "org", true, false },
		{ "*.", "org.", true, false },
		{ "*..org", "a..org", true, false },
		{ "m*.example.org", "mx.example.org", true, false },
		{ "mx.*.org", "mx.example.org", true, false },
		{ "*.*.org", "mx.example.org", true, false },
		{ "*.example.org", "*.example.org", true, false },
		{ "192.0.2.1", "192.0.2.1", true, true },
		{ "*.0.2.1", "192.0.2.1", true, false },
		{ "2001:db8::1", "2001:DB8::1", true, true },
		{ "a", ".", true, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_ROW(rows[i].host);
		CHECK_INT(tls_host_matches(rows[i].host, rows[i].want, rows[i].several),
			rows[i].good);
	}
}

TEST(tls_client, fingerprints_need_no_authority_and_no_date)
{
	struct pki *p = new_pki();
	const struct buf *certs[] = { &p->leaf };
	struct tls_client *client = new_client("", 0);
	struct tls_target target = { .proof = TLS_PROOF_FINGERPRINT,
		.min_version = 12,
		.max_version = 12,
		.digest = "sha512" };
	char cert[256], key[256];
	const char *digests[2];
	struct tls_pair pair;

	cert_make(&p->leaf,
		&(struct cert_spec){ .subject = "x", .key = &p->key, .until = 1700000000 });
	pair = call(p, certs, 1, client, &target);
	CHECK(!tls_peer(pair.client)->matched);
	CHECK_STR(tls_peer(pair.client)->reason, "num=65:no matching DANE TLSA records");
	CHECK_STR(tls_peer_status_name(tls_peer(pair.client)->status), "Untrusted");
	CHECK(tls_digest_known("SHA512") && !tls_digest_known("sha3"));
	snprintf(cert, sizeof(cert), "%s", tls_peer(pair.client)->fingerprint);
	snprintf(key, sizeof(key), "%s", tls_peer(pair.client)->public_fingerprint);
	tls_pair_free(&pair);
	CHECK(strcmp(cert, key) != 0);
	target.digests = digests;
	for (int i = 0; i < 4; i++) {
		digests[0] = i == 3 ? cert + 3 : "AA:BB";
		digests[1] = i == 0 ? cert : i == 1 ? key : "";
		if (i == 1) {
			str_lower(key);
		}
		target.digest_count = 2;
		pair = call(p, certs, 1, client, &target);
		CHECK_INT(tls_peer(pair.client)->matched, i < 2);
		CHECK_INT(tls_peer(pair.client)->status,
			i < 2 ? TLS_PEER_VERIFIED : TLS_PEER_UNTRUSTED);
		tls_pair_free(&pair);
	}
	tls_client_free(client);
	free_pki(p);
}

/* record - "usage selector type hex" of a certificate */
static char *record(const char *head, const struct buf *der, unsigned selector, unsigned type)
{
	struct x509_names names;
	struct buf out = BUF_INIT;
	unsigned char sum[DIGEST_MAX];
	struct slice part;

	REQUIRE(x509_read(&names, der->data, der->len));
	part = selector == 0 ? (struct slice){ der->data, der->len } : names.public_key;
	buf_addf(&out, "%s %u %u ", head, selector, type);
	if (type == 0) {
		hex_encode(&out, part.ptr, part.len);
	} else {
		digest_of(type == 1 ? DIGEST_SHA256 : DIGEST_SHA512, &part, 1, sum);
		hex_encode(&out, sum, type == 1 ? 32 : 64);
	}
	return buf_steal(&out);
}

TEST(tls_client, tlsa)
{
	struct pki *p = new_pki();
	const struct buf *certs[] = { &p->leaf, &p->middle };
	const char *good = "mx.example", *bad = "other.example";
	const struct {
		const char *head;
		const struct buf *of;
		unsigned selector, type;
		const char *const *name;
		bool match;
	} rows[] = {
		{ "3", &p->leaf, 1, 1, &bad, true }, /* RFC 7672 3.1.1: names do not count */
		{ "3", &p->leaf, 0, 2, &bad, true },
		{ "3", &p->leaf, 0, 0, &bad, true },
		{ "3", &p->middle, 1, 1, &good, false },
		{ "2", &p->middle, 1, 1, &good, true },
		{ "2", &p->middle, 0, 2, &good, true },
		{ "2", &p->middle, 1, 1, &bad, false },
		{ "2", &p->root, 0, 0, &good, true },  /* not in the chain, whole in the record */
		{ "2", &p->root, 0, 1, &good, false }, /* not in the chain */
		{ "2", &p->leaf, 1, 1, &good, false },
		{ "1", &p->leaf, 1, 1, &good, false }, /* RFC 7672 3.1.3 */
		{ "0", &p->root, 0, 0, &good, false },
	};
	struct tls_client *client = new_client("", 0);

	make_leaf(p);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = record(rows[i].head, rows[i].of, rows[i].selector, rows[i].type);
		const char *list[] = { "3 1 1 00", "junk", text };
		struct tls_target target = target_for(rows[i].name);
		struct tls_pair pair;

		CHECK_ROW(text);
		target.proof = TLS_PROOF_TLSA;
		target.tlsa = list;
		target.tlsa_count = 3;
		pair = call(p, certs, 2, client, &target);
		CHECK_INT(tls_peer(pair.client)->matched, rows[i].match);
		CHECK_INT(tls_peer(pair.client)->reason[0] == '\0', rows[i].match);
		tls_pair_free(&pair);
		mem_free(text);
	}
	CHECK_ROW(NULL);
	tls_client_free(client);
	free_pki(p);
}

TEST(tls_client, a_better_digest_counts_alone)
{
	struct pki *p = new_pki();
	const struct buf *certs[] = { &p->leaf, &p->middle };
	char *weak, *strong;
	struct tls_client *client = new_client("", 0);
	struct tls_target target = target_for(&mx);
	struct tls_pair pair;

	make_leaf(p);
	weak = record("3", &p->leaf, 1, 1);
	strong = record("3", &p->middle, 1, 2); /* another key's */
	target.proof = TLS_PROOF_TLSA;
	target.tlsa = (const char *const[]){ weak, strong };
	target.tlsa_count = 2;
	pair = call(p, certs, 2, client, &target);
	CHECK(!tls_peer(pair.client)->matched);
	tls_pair_free(&pair);
	mem_free(weak);
	mem_free(strong);
	tls_client_free(client);
	free_pki(p);
}

/* resumes - a second connection with this target, after one with the first */
static bool resumes(struct tls_client *client, struct tls_context *server,
	const struct tls_target *first, const struct tls_target *second)
{
	struct tls_pair pair = tls_pair_new(server, client, first);
	enum tls_peer_status status = tls_peer(pair.client)->status;
	bool resumed;

	CHECK(tls_is_up(pair.client));
	tls_pair_free(&pair);
	pair = tls_pair_new(server, client, second);
	CHECK(tls_is_up(pair.client));
	resumed = tls_peer(pair.client)->resumed;
	if (resumed) {
		CHECK_INT(tls_peer(pair.client)->status, status);
		CHECK_STR(tls_peer(pair.client)->subject, "The Server");
	}
	tls_pair_talk(&pair);
	tls_pair_free(&pair);
	return resumed;
}

TEST(tls_client, sessions_are_resumed_by_their_like_only)
{
	struct pki *p = new_pki();
	const struct buf *certs[] = { &p->leaf, &p->middle };
	struct tls_client *client = new_client(p->ca_file, 2);
	struct tls_target target = target_for(&mx), other;
	struct tls_context *server;
	const char *wild = "a.wild.example";
	char path[300];

	make_leaf(p);
	write_certs(path, "server.pem", certs, 2, &p->key);
	server = server_of(path);
	CHECK(!resumes(client, server, &target, &target)); /* no session is named */
	target.session = "smtp:mx.example";
	CHECK(resumes(client, server, &target, &target));
	other = target;
	other.names = &wild;
	CHECK(!resumes(client, server, &target, &other));
	other = target;
	other.proof = TLS_PROOF_NONE;
	CHECK(!resumes(client, server, &target, &other));
	CHECK(resumes(client, server, &other, &other));
	other = target;
	other.session = "smtp:mx2.example";
	CHECK(!resumes(client, server, &target, &other)); /* two at most: the oldest is gone */
	/* What trust was built on has changed. */
	CHECK(resumes(client, server, &target, &target));
	sleep(1);
	write_certs(p->ca_file, "ca.pem", certs + 1, 1, NULL);
	{
		struct tls_pair pair = tls_pair_new(server, client, &target);

		CHECK(!tls_peer(pair.client)->resumed);
		CHECK_INT(tls_peer(pair.client)->status, TLS_PEER_VERIFIED);
		tls_pair_free(&pair);
	}
	tls_context_free(server);
	tls_client_free(client);
	free_pki(p);
}

TEST(tls_client, a_session_of_a_wrong_server_is_not_kept)
{
	struct pki *p = new_pki();
	const struct buf *certs[] = { &p->leaf, &p->middle };
	struct tls_client *client = new_client(p->ca_file, 4);
	const char *wrong = "wrong.example";
	struct tls_target target = target_for(&wrong);
	struct tls_context *server;
	char path[300];

	make_leaf(p);
	write_certs(path, "server.pem", certs, 2, &p->key);
	server = server_of(path);
	target.session = "x";
	CHECK(!resumes(client, server, &target, &target));
	tls_context_free(server);
	tls_client_free(client);
	free_pki(p);
}

TEST(tls_client, a_device_without_a_clock)
{
	struct pki *p = new_pki();
	struct tls_client *client = new_client(p->ca_file, 0);
	const struct buf *certs[] = { &p->leaf, &p->middle };
	struct tls_target target = target_for(&mx);
	int64_t later = (int64_t)time(NULL) + 86400 * 400LL;
	struct tls_pair pair;

	log_open("unit", LOG_TO_STDERR);
	cert_make(&p->leaf,
		&(struct cert_spec){ .subject = "The Server",
			.issuer = "Middle",
			.hosts = "mx.example",
			.key = &p->key,
			.signer = &p->middle_key,
			.from = later - 86400 });
	pair = call(p, certs, 2, client, &target);
	CHECK_STR(tls_peer(pair.client)->reason, "certificate not yet valid");
	tls_pair_free(&pair);
	/* Mail of a later day is in the queue: so late it must be. An older one changes nothing. */
	tls_client_seen(client, later);
	tls_client_seen(client, 1000);
	pair = call(p, certs, 2, client, &target);
	CHECK_INT(tls_peer(pair.client)->status, TLS_PEER_VERIFIED);
	tls_pair_free(&pair);
	tls_client_free(client);
	free_pki(p);
}

TEST(tls_client, the_clock_was_ahead)
{
	struct pki *p = new_pki();
	struct tls_client *client = new_client(p->ca_file, 0);
	const struct buf *certs[] = { &p->leaf, &p->middle };
	struct tls_target target = target_for(&mx);
	int64_t now = time(NULL);
	struct tls_pair pair;

	/* Mail came while it said that it was thirty years later: nothing expires by that. */
	log_open("unit", LOG_TO_STDERR);
	cert_make(&p->leaf,
		&(struct cert_spec){ .subject = "The Server",
			.issuer = "Middle",
			.hosts = "mx.example",
			.key = &p->key,
			.signer = &p->middle_key,
			.until = now + 86400 });
	tls_client_seen(client, now + 30 * 366 * 86400LL);
	pair = call(p, certs, 2, client, &target);
	CHECK_INT(tls_peer(pair.client)->status, TLS_PEER_VERIFIED);
	tls_pair_free(&pair);
	/* What is too early stays too early when it is over by then. */
	buf_reset(&p->leaf);
	cert_make(&p->leaf,
		&(struct cert_spec){ .subject = "The Server",
			.issuer = "Middle",
			.hosts = "mx.example",
			.key = &p->key,
			.signer = &p->middle_key,
			.from = now + 86400,
			.until = now + 2 * 86400 });
	pair = call(p, certs, 2, client, &target);
	CHECK_STR(tls_peer(pair.client)->reason, "certificate not yet valid");
	tls_pair_free(&pair);
	tls_client_free(client);
	free_pki(p);
}

TEST(tls_client, our_own_certificate)
{
	struct pki *p = new_pki();
	const struct buf *certs[] = { &p->leaf, &p->middle };
	char path[300], lone[300];
	struct tls_server_config own = { .cert_file = path };
	struct buf error = BUF_INIT;
	struct tls_client *client;

	make_leaf(p);
	write_certs(path, "own.pem", certs, 2, &p->key);
	write_certs(lone, "lone.pem", certs, 1, &p->other_key);
	client = tls_client_new(&(struct tls_client_config){ .own = &own, .depth = 9 }, &error);
	CHECK(client != NULL);
	tls_client_free(client);
	own.cert_file = lone;
	client = tls_client_new(&(struct tls_client_config){ .own = &own, .depth = 9 }, &error);
	CHECK(client == NULL);
	CHECK(strstr(buf_str(&error), "does not belong") != NULL);
	buf_free(&error);
	free_pki(p);
}

TEST(tls_client, suites_that_are_excluded)
{
	struct pki *p = new_pki();
	const struct buf *certs[] = { &p->leaf, &p->middle };
	struct tls_client *client = new_client(p->ca_file, 0);
	struct tls_target target = { .min_version = 12, .max_version = 12 };
	struct buf error = BUF_INIT;
	struct tls_pair pair;

	make_leaf(p);
	target.exclude = "aNULL, AES256:CHACHA20";
	pair = call(p, certs, 2, client, &target);
	CHECK_STR(tls_cipher_name(pair.client), "ECDHE-ECDSA-AES128-GCM-SHA256");
	tls_pair_free(&pair);
	target.exclude = "AES CHACHA20";
	CHECK(tls_client_start(client, &target, &error) == NULL);
	CHECK_STR(buf_str(&error), "no cipher is left by what is excluded");
	buf_free(&error);
	target.exclude = "kECDHE"; /* and the server has no other */
	pair = call(p, certs, 2, client, &target);
	CHECK(!tls_is_up(pair.client));
	CHECK_INT(tls_peer(pair.client)->status, TLS_PEER_ANONYMOUS);
	tls_pair_free(&pair);
	tls_client_free(client);
	free_pki(p);
}

TEST(tls_client, anchors_are_found_in_their_files)
{
	struct pki *p = new_pki();
	struct buf text = BUF_INIT, old = BUF_INIT;
	char path[300];
	const char *file = path;
	struct x509_names names;
	br_x509_trust_anchor found[4];
	enum tls_date date = TLS_DATE_GOOD;
	struct tls_trust *t;

	log_open("unit", LOG_TO_STDERR);
	buf_adds(&text, "# a bundle, as they come\n\nRoot\n====\n");
	cert_pem(&text, &p->root);
	buf_adds(&text, "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n");
	cert_key_pem(&text, &p->key);
	cert_pem(&text, &p->middle);
	cert_make(&old,
		&(struct cert_spec){ .subject = "Middle",
			.key = &p->other_key,
			.ca = true,
			.until = 1700000000 });
	cert_pem(&text, &old);
	write_text(path, "bundle.pem", &text);
	t = tls_trust_new(&file, 1, NULL);
	CHECK_INT(tls_trust_refresh(t), 1);
	CHECK_INT(tls_trust_count(t), 3);
	REQUIRE(x509_read(&names, p->middle.data, p->middle.len));
	CHECK_INT(tls_trust_find(t, names.subject, time(NULL), found, 4, &date), 1);
	CHECK_INT(date, TLS_DATE_OVER); /* the old one was left out */
	CHECK_INT(found[0].flags, BR_X509_TA_CA);
	tls_anchor_free(&found[0]);
	CHECK_INT(tls_trust_find(t, names.public_key, time(NULL), found, 4, &date), 0);
	/* A file that cannot be read is as if it were empty. */
	sleep(1);
	CHECK_INT(unlink(path), 0);
	CHECK_INT(tls_trust_refresh(t), 2);
	CHECK_INT(tls_trust_count(t), 0);
	tls_trust_free(t);
	buf_free(&text);
	buf_free(&old);
	free_pki(p);
}
