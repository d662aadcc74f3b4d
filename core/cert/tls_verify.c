/*
 * tls_verify - a server's chain, judged
 *
 * BearSSL's engine validates one chain in one order. What servers send is not always that: the
 * order is another one, a root or a certificate of something else is among it, an authority has two
 * certificates under one name. So the ways from the server's certificate to an anchor are tried,
 * each issuer found by its name, and BearSSL judges each way: signatures, dates, authorities,
 * critical extensions. Hashes older than SHA-224 do not count in a signature.
 *
 * What BearSSL does not do is done here: dates of anchors, the purpose of the server's certificate,
 * names (with all names that are found, to be shown), digests, TLSA.
 *
 * RFC 5280 6 (paths), RFC 6125 (names), RFC 7671 and 7672 (DANE).
 */
#include "cert/tls_verify.h"

#include <string.h>

#include "base/mem.h"
#include "cert/tls_match.h"
#include "cert/x509_says.h"

enum {
	TRIES_MAX = 24,   /* ways that are judged: a chain made to cost us time has millions */
	ANCHORS_MAX = 8,  /* of one name */
	NAMES_TEXT = 400, /* bytes of the certificate's names that are shown */
	TLSA_MAX = 32
};

struct search {
	const struct tls_judge *judge;
	const struct slice *certs;
	struct x509_names names[TLS_CHAIN_MAX];
	size_t count;
	const br_x509_trust_anchor *own; /* of TLSA records, instead of judge->trust */
	size_t own_count;
	size_t path[TLS_CHAIN_MAX], length;
	unsigned tries;
	bool too_long;
	int error; /* BearSSL's of the last way that was judged; 0: there was none */
	enum tls_date date;
};

static bool same(struct slice a, struct slice b)
{
	return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* ---- A way to an anchor ---- */

/* validate - BearSSL's word on the way with these anchors: 0 is good */
static int validate(const struct search *s, const br_x509_trust_anchor *anchors, size_t count)
{
	static const br_hash_class *const hashes[] = { &br_sha224_vtable, &br_sha256_vtable,
		&br_sha384_vtable, &br_sha512_vtable };
	br_x509_minimal_context *x = mem_alloc(sizeof(*x));
	const br_x509_class **class = &x->vtable;
	int64_t now = s->judge->now;
	int error;

	br_x509_minimal_init(x, &br_sha256_vtable, anchors, count);
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		br_x509_minimal_set_hash(x, br_sha224_ID + (int)i, hashes[i]);
	}
	br_x509_minimal_set_rsa(x, br_rsa_pkcs1_vrfy_get_default());
	br_x509_minimal_set_ecdsa(x, br_ec_get_default(), br_ecdsa_vrfy_asn1_get_default());
	br_x509_minimal_set_time(x, (uint32_t)(now / 86400 + 719528), (uint32_t)(now % 86400));
	(*class)->start_chain(class, NULL);
	for (size_t i = 0; i < s->length; i++) {
		struct slice cert = s->certs[s->path[i]];

		(*class)->start_cert(class, (uint32_t)cert.len);
		(*class)->append(class, (const unsigned char *)cert.ptr, cert.len);
		(*class)->end_cert(class);
	}
	error = (int)(*class)->end_chain(class);
	mem_free(x);
	return error;
}

/* note_dates - which kind of wrong date there is on the way */
static void note_dates(struct search *s)
{
	for (size_t i = 0; i < s->length && s->date == TLS_DATE_GOOD; i++) {
		struct slice cert = s->certs[s->path[i]];

		s->date = tls_date_of(cert.ptr, cert.len, s->judge->now);
	}
}

/* ends_well - is the way as it is now a good one? */
static bool ends_well(struct search *s)
{
	const struct x509_names *last = &s->names[s->path[s->length - 1]];
	br_x509_trust_anchor found[2 * ANCHORS_MAX];
	size_t count = 0;
	int error = 0;

	if (s->own != NULL) {
		error = validate(s, s->own, s->own_count);
	} else {
		int64_t now = s->judge->now;

		count = tls_trust_find(
			s->judge->trust, last->issuer, now, found, ANCHORS_MAX, &s->date);
		if (s->length == 1 && !same(last->issuer, last->subject)) {
			/* The server's own certificate may be among those we trust. */
			count += tls_trust_find(s->judge->trust, last->subject, now, found + count,
				ANCHORS_MAX, &s->date);
		}
		error = count > 0 ? validate(s, found, count) : -1;
	}
	for (size_t i = 0; i < count; i++) {
		tls_anchor_free(&found[i]);
	}
	if (error > 0) {
		s->error = error;
	}
	if (error == BR_ERR_X509_EXPIRED) {
		note_dates(s);
	}
	return error == 0;
}

static bool on_the_way(const struct search *s, size_t which)
{
	for (size_t i = 0; i < s->length; i++) {
		if (s->path[i] == which) {
			return true;
		}
	}
	return false;
}

/* search - go on from the last certificate of the way, to each that may be its issuer's */
static bool search(struct search *s)
{
	struct slice issuer = s->names[s->path[s->length - 1]].issuer;

	if (s->tries++ >= TRIES_MAX) {
		return false;
	}
	if (ends_well(s)) {
		return true;
	}
	for (size_t i = 1; i < s->count; i++) {
		if (!same(s->names[i].subject, issuer) || on_the_way(s, i)) {
			continue;
		}
		if (s->length > s->judge->depth) {
			s->too_long = true;
			return false;
		}
		s->path[s->length++] = i;
		if (search(s)) {
			return true;
		}
		s->length--;
	}
	return false;
}

/* ---- Why not ---- */

static void set_reason(struct tls_verdict *v, const char *whose, const char *reason)
{
	v->peer.whose = whose;
	v->peer.reason = reason;
}

/* what_error - in OpenSSL's numbers and words, which stand in Postfix's logs */
static const char *what_error(int error)
{
	switch (error) {
	case BR_ERR_X509_BAD_SIGNATURE:
		return "num=7:certificate signature failure";
	case BR_ERR_X509_CRITICAL_EXTENSION:
		return "num=34:unhandled critical extension";
	case BR_ERR_X509_NOT_CA:
	case BR_ERR_X509_FORBIDDEN_KEY_USAGE:
		return "num=79:invalid CA certificate";
	case BR_ERR_X509_WEAK_PUBLIC_KEY:
		return "num=66:EE certificate key too weak";
	case BR_ERR_X509_UNSUPPORTED:
		return "num=68:CA signature digest algorithm too weak";
	default:
		return "num=1:unspecified certificate verification error";
	}
}

/* issuer_of_last - of the last certificate that follows from the server's by name */
static struct slice issuer_of_last(const struct search *s)
{
	size_t at = 0;

	for (size_t steps = 0; steps < s->count; steps++) {
		size_t i = 1;

		while (i < s->count &&
			!(same(s->names[i].subject, s->names[at].issuer) && i != at)) {
			i++;
		}
		if (i == s->count) {
			break;
		}
		at = i;
	}
	return s->names[at].issuer;
}

static void explain(struct tls_verdict *v, const struct search *s, bool too_many)
{
	struct buf issuer = BUF_INIT;

	if (s->date == TLS_DATE_OVER) {
		set_reason(v, "server ", "certificate has expired");
	} else if (s->date == TLS_DATE_EARLY) {
		set_reason(v, "server ", "certificate not yet valid");
	} else if (s->error != 0 && s->error != BR_ERR_X509_NOT_TRUSTED) {
		set_reason(v, "server ", what_error(s->error));
	} else if (s->too_long || too_many) {
		set_reason(v, "",
			arena_printf(&v->texts, "certificate chain longer than limit(%u)",
				s->judge->depth));
	} else if (same(s->names[0].issuer, s->names[0].subject)) {
		set_reason(v, "", "self-signed certificate");
	} else {
		x509_name_text(&issuer, issuer_of_last(s));
		set_reason(v, "", arena_printf(&v->texts, "untrusted issuer %s", buf_str(&issuer)));
	}
	buf_free(&issuer);
}

/* ---- Names ---- */

struct name_match {
	const struct tls_judge *judge;
	struct arena *texts;
	const char *found; /* of the certificate's names */
};

static bool match_host(void *arg, const char *host)
{
	struct name_match *m = arg;

	for (size_t i = 0; i < m->judge->name_count; i++) {
		if (tls_host_matches(host, m->judge->names[i], m->judge->several_labels)) {
			m->found = arena_strdup(m->texts, host);
			return true;
		}
	}
	return false;
}

static bool note_host(void *arg, const char *host)
{
	struct buf *out = arg;

	if (out->len + strlen(host) > NAMES_TEXT) {
		buf_adds(out, ", ...");
		return true;
	}
	buf_addf(out, "%s%s", out->len > 0 ? ", " : "", host);
	return false;
}

/* check_names - the chain is good, but for its dates: is it the right one's? */
static void check_names(
	struct tls_verdict *v, const struct tls_judge *j, const struct x509_names *leaf)
{
	struct name_match m = { j, &v->texts, NULL };

	if (!x509_each_host(leaf, match_host, &m)) {
		v->peer.status = TLS_PEER_UNTRUSTED;
		set_reason(v, "server ", "num=62:hostname mismatch");
	} else if (v->peer.status == TLS_PEER_TRUSTED) {
		v->peer.matched = true;
		v->peer.matched_by = m.found;
		v->peer.status = TLS_PEER_VERIFIED;
	}
}

/* ---- Judges ---- */

/* check_chain - is there a way to an anchor? Then status is TRUSTED */
static bool check_chain(struct tls_verdict *v, struct search *s, bool too_many)
{
	bool good;

	s->path[0] = 0;
	s->length = 1;
	good = search(s);
	if (good && x509_not_for_servers(&s->names[0])) {
		set_reason(v, "", "not designated for use as a server certificate");
		return false;
	}
	if (!good) {
		explain(v, s, too_many);
		return false;
	}
	v->peer.status = TLS_PEER_TRUSTED;
	return true;
}

static void check_digests(struct tls_verdict *v, const struct tls_judge *j)
{
	for (size_t i = 0; i < j->digest_count && !v->peer.matched; i++) {
		if (tls_digest_same(j->digests[i], v->peer.fingerprint) ||
			tls_digest_same(j->digests[i], v->peer.public_fingerprint)) {
			v->peer.matched = true;
			v->peer.matched_by = arena_strdup(&v->texts, j->digests[i]);
			v->peer.status = TLS_PEER_VERIFIED;
		}
	}
	if (!v->peer.matched) {
		set_reason(v, "server ", "num=65:no matching DANE TLSA records");
	}
}

static struct slice certificate(const struct search *s, size_t i)
{
	return (struct slice){ s->certs[i].ptr, s->names[i].len };
}

/* match_record - usage 3: the server's certificate; 2: makes an anchor of each that it names */
static bool match_record(const struct tls_tlsa *r, const struct search *s,
	br_x509_trust_anchor anchors[TLS_CHAIN_MAX], size_t *count)
{
	if (r->usage == 3) {
		return tls_tlsa_matches(r, certificate(s, 0), s->names[0].public_key);
	}
	for (size_t i = 0; i < s->count && *count < TLS_CHAIN_MAX; i++) {
		struct slice cert = certificate(s, i);

		if (tls_tlsa_matches(r, cert, s->names[i].public_key) &&
			tls_date_of(cert.ptr, cert.len, s->judge->now) == TLS_DATE_GOOD &&
			tls_anchor_make(&anchors[*count], cert.ptr, cert.len, true)) {
			++*count;
		}
	}
	/* The authority itself is in the record, and need not be in the chain. */
	if (r->selector == 0 && r->type == 0 && *count < TLS_CHAIN_MAX &&
		tls_date_of(r->data.data, r->data.len, s->judge->now) == TLS_DATE_GOOD &&
		tls_anchor_make(&anchors[*count], r->data.data, r->data.len, true)) {
		++*count;
	}
	return false;
}

/* check_tlsa - one record of usage 3 is enough (RFC 7672 3.1.1: no names, no dates) */
static void check_tlsa(struct tls_verdict *v, struct search *s, bool too_many)
{
	const struct tls_judge *j = s->judge;
	struct tls_tlsa *list = mem_calloc(TLSA_MAX, sizeof(*list));
	br_x509_trust_anchor anchors[TLS_CHAIN_MAX];
	size_t count = 0, anchor_count = 0;

	for (size_t i = 0; i < j->tlsa_count && count < TLSA_MAX; i++) {
		count += tls_tlsa_parse(&list[count], j->tlsa[i]) ? 1 : 0;
	}
	for (size_t i = 0; i < count && !v->peer.matched; i++) {
		if (!tls_tlsa_outdone(&list[i], list, count) &&
			match_record(&list[i], s, anchors, &anchor_count)) {
			v->peer.matched = true;
			v->peer.status = TLS_PEER_VERIFIED;
			v->peer.matched_by = "TLSA 3";
		}
	}
	if (!v->peer.matched && anchor_count > 0) {
		s->own = anchors;
		s->own_count = anchor_count;
		if (check_chain(v, s, too_many)) {
			check_names(v, j, &s->names[0]);
		}
	} else if (!v->peer.matched) {
		set_reason(v, "server ", "num=65:no matching DANE TLSA records");
	}
	for (size_t i = 0; i < anchor_count; i++) {
		tls_anchor_free(&anchors[i]);
	}
	for (size_t i = 0; i < count; i++) {
		buf_free(&list[i].data);
	}
	mem_free(list);
}

/* describe - who it says it is */
static void describe(struct tls_verdict *v, const struct tls_judge *j, const struct search *s)
{
	const struct x509_names *leaf = &s->names[0];
	struct buf text = BUF_INIT;
	const struct {
		const char **out;
		struct slice name, bytes;
	} rows[] = {
		{ &v->peer.subject, leaf->subject, { NULL, 0 } },
		{ &v->peer.issuer, leaf->issuer, { NULL, 0 } },
		{ &v->peer.fingerprint, { NULL, 0 }, certificate(s, 0) },
		{ &v->peer.public_fingerprint, { NULL, 0 }, leaf->public_key },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_reset(&text);
		if (rows[i].name.ptr != NULL) {
			x509_name_short(&text, rows[i].name);
		} else {
			tls_digest_text(&text, j->digest, rows[i].bytes);
		}
		*rows[i].out = arena_strdup(&v->texts, buf_str(&text));
	}
	buf_reset(&text);
	(void)x509_each_host(leaf, note_host, &text);
	v->peer.names = arena_strdup(&v->texts, buf_str(&text));
	buf_free(&text);
}

/* read_all - the certificates that can be read; false: the server's cannot */
static bool read_all(
	struct search *s, const struct slice *certs, struct slice kept[TLS_CHAIN_MAX], size_t count)
{
	for (size_t i = 0; i < count && s->count < TLS_CHAIN_MAX; i++) {
		if (x509_read(&s->names[s->count], certs[i].ptr, certs[i].len)) {
			kept[s->count++] = certs[i];
		} else if (i == 0) {
			return false;
		}
	}
	s->certs = kept;
	return s->count > 0;
}

struct tls_verdict *tls_verify(
	const struct slice *certs, size_t count, bool too_many, const struct tls_judge *j)
{
	struct tls_verdict *v = mem_alloc(sizeof(*v));
	struct search *s = mem_alloc(sizeof(*s));
	struct slice kept[TLS_CHAIN_MAX];

	v->refs = 1;
	v->peer = (struct tls_peer){ .status = TLS_PEER_UNTRUSTED,
		.whose = "",
		.reason = "",
		.subject = "",
		.issuer = "",
		.fingerprint = "",
		.public_fingerprint = "",
		.names = "",
		.matched_by = "" };
	s->judge = j;
	if (!read_all(s, certs, kept, count)) {
		set_reason(v, "server ", what_error(0));
		mem_free(s);
		return v;
	}
	describe(v, j, s);
	switch (j->proof) {
	case TLS_PROOF_NONE:
		if (!j->unjudged) {
			(void)check_chain(v, s, too_many);
		}
		break;
	case TLS_PROOF_NAMES:
		if (check_chain(v, s, too_many) || s->date != TLS_DATE_GOOD) {
			check_names(v, j, &s->names[0]);
		}
		break;
	case TLS_PROOF_FINGERPRINT:
		check_digests(v, j);
		break;
	case TLS_PROOF_TLSA:
		check_tlsa(v, s, too_many);
		break;
	}
	v->early = s->date == TLS_DATE_EARLY;
	mem_free(s);
	return v;
}

void tls_verdict_unref(struct tls_verdict *v)
{
	if (v != NULL && --v->refs == 0) {
		arena_free(&v->texts);
		mem_free(v);
	}
}
