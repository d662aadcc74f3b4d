/*
 * fuzz_tls - files of certificates and keys, and chains that servers send
 *
 * The input: a byte that says which: trust anchors; certificates, "%%", the key; or a chain, DER
 * certificates with "%%" between them. Files are loaded, or a reason names the file; a chain
 * without trust anchors is worth nothing, whatever is in it.
 */
#include <string.h>

#include "base/mem.h"
#include "cert/tls_pem.h"
#include "cert/tls_verify.h"
#include "cert/x509.h"
#include "fuzz.h"

static void fuzz_anchors(struct slice rest)
{
	const char *file = fuzz_put("file", rest.ptr, rest.len);
	struct tls_trust *t = tls_trust_new(&file, 1, NULL);
	br_x509_trust_anchor found[4];
	enum tls_date date = TLS_DATE_GOOD;
	size_t count;

	(void)tls_trust_refresh(t);
	count = tls_trust_find(t, SLICE_LIT("0\x00"), 1796000000, found, 4, &date);
	for (size_t i = 0; i < count; i++) {
		tls_anchor_free(&found[i]);
	}
	REQUIRE(tls_trust_count(t) <= rest.len / 16);
	tls_trust_free(t);
}

static void fuzz_chain(struct slice rest)
{
	static const char *const names[] = { "mx.example", ".example" },
				 *const digests[] = { "AA:BB" },
				 *const tlsa[] = { "2 0 0 30", "3 1 1 00" };
	struct slice certs[TLS_CHAIN_MAX];
	struct tls_judge judge = { .names = names,
		.name_count = 2,
		.digests = digests,
		.digest_count = 1,
		.tlsa = tlsa,
		.tlsa_count = 2,
		.several_labels = true,
		.depth = 9,
		.now = 1796000000,
		.trust = tls_trust_new(NULL, 0, NULL) };
	size_t count = 0;

	while (rest.len > 0 && count < TLS_CHAIN_MAX) {
		certs[count++] = fuzz_part(&rest);
	}
	for (int proof = TLS_PROOF_NONE; count > 0 && proof <= TLS_PROOF_TLSA; proof++) {
		struct tls_verdict *v;

		judge.proof = (enum tls_proof)proof;
		v = tls_verify(certs, count, false, &judge);
		REQUIRE(!v->peer.matched && v->peer.status == TLS_PEER_UNTRUSTED);
		REQUIRE(v->peer.reason[0] != '\0' && strlen(v->peer.names) < 500);
		REQUIRE(strlen(v->peer.subject) < 2000);
		tls_verdict_unref(v);
	}
	tls_trust_free(judge.trust);
}

static void fuzz_keys(struct slice rest)
{
	struct slice chain = fuzz_part(&rest);
	struct tls_server_config files = { 0 };
	struct tls_keys *keys;
	char *error = NULL;

	files.cert_file = fuzz_put("chain", chain.ptr, chain.len);
	files.key_file = rest.len > 0 ? fuzz_file(rest.ptr, rest.len) : "";
	keys = tls_keys_load(&files, &error);
	if (keys != NULL) {
		REQUIRE(keys->count > 0 && keys->chain != NULL);
		tls_keys_unref(keys);
	} else {
		REQUIRE(error != NULL && strstr(error, fuzz_dir()) != NULL);
	}
	mem_free(error);
}

void fuzz(const char *data, size_t len)
{
	struct slice rest = { data + 1, len - 1 };

	if (len == 0) {
		return;
	}
	if ((unsigned char)data[0] % 2 == 1) {
		fuzz_keys(rest);
	} else if ((unsigned char)data[0] % 4 == 0) {
		fuzz_anchors(rest);
	} else {
		fuzz_chain(rest);
	}
}
