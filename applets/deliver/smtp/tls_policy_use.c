/*
 * tls_policy_use - a connection by a policy: TLSA records, the engine, what the log says
 *
 * The log lines are Postfix's. smtp_tls_loglevel 1 tells of each connection; why a server did not
 * prove what it had to is always said; 2 tells of every certificate.
 *
 * RFC 7672 (DANE for SMTP).
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "applets/deliver/smtp/tls_policy_impl.h"

enum tls_level tls_policy_level(const struct tls_policy *p)
{
	return p->level;
}

bool tls_policy_wrapper(const struct tls_policy *p)
{
	return p->ps->settings.wrapper && p->level != TLS_LEVEL_NONE;
}

/* ---- DANE ---- */

static bool is_dane(const struct tls_policy *p)
{
	return p->level == TLS_LEVEL_DANE || p->level == TLS_LEVEL_DANE_ONLY;
}

/* without_records - no proof can be asked for: DANE goes on without; false: DANE_ONLY waits */
static bool without_records(struct tls_policy *p, enum tls_level level, const char *why)
{
	if (p->level == TLS_LEVEL_DANE_ONLY) {
		return false;
	}
	if (p->ps->settings.log_level > 1) {
		log_info("%s: %s", p->host, why);
	}
	p->level = level;
	return true;
}

bool tls_policy_wants_tlsa(struct tls_policy *p, bool mx_secure)
{
	enum tls_level insecure;

	p->mx_secure = mx_secure;
	if (!is_dane(p)) {
		return false;
	}
	if (!mx_secure &&
		(p->level == TLS_LEVEL_DANE_ONLY ||
			!tls_level_parse(p->ps->settings.insecure_mx, &insecure) ||
			insecure <= TLS_LEVEL_MAY)) {
		(void)without_records(
			p, TLS_LEVEL_MAY, "Verification not possible, MX RRset is insecure");
		return false;
	}
	return true;
}

/* usable - is it a record that SMTP uses? The engine looks closer */
static bool usable(const char *record)
{
	return (record[0] == '2' || record[0] == '3') && record[1] == ' ';
}

bool tls_policy_tlsa(struct tls_policy *p, enum dns_status status, const char *const *values,
	size_t count, struct buf *error)
{
	enum tls_level insecure;

	if (!is_dane(p)) {
		return true;
	}
	if (status == DNS_TRY_AGAIN) {
		buf_addf(error, "TLSA lookup error for %s", p->host);
		return false;
	}
	for (size_t i = 0; i < count && status == DNS_OK; i++) {
		if (usable(values[i])) {
			tls_policy_add(&p->a, &p->tlsa, &p->tlsa_count, values[i], "\n");
		}
	}
	if (p->tlsa_count == 0) {
		bool some = status == DNS_OK && count > 0;
		const char *why = some ? "TLSA records unusable" : "no TLSA records found";

		if (!without_records(p, some ? TLS_LEVEL_ENCRYPT : TLS_LEVEL_MAY, why)) {
			buf_adds(error, why);
			return false;
		}
		return true;
	}
	p->level = TLS_LEVEL_DANE;
	/* Nobody who can be believed said that this is the host: its key is worth no more. */
	if (!p->mx_secure && tls_level_parse(p->ps->settings.insecure_mx, &insecure) &&
		insecure == TLS_LEVEL_ENCRYPT) {
		p->level = TLS_LEVEL_ENCRYPT;
		p->tlsa_count = 0;
	}
	return true;
}

/* ---- The engine ---- */

static void set_target(struct tls_policy *p, struct tls_target *t)
{
	switch (p->level) {
	case TLS_LEVEL_NONE:
	case TLS_LEVEL_MAY:
	case TLS_LEVEL_ENCRYPT:
		t->proof = TLS_PROOF_NONE;
		t->unjudged = p->ps->settings.log_level == 0;
		break;
	case TLS_LEVEL_FINGERPRINT:
		t->proof = TLS_PROOF_FINGERPRINT;
		t->digests = p->match;
		t->digest_count = p->match_count;
		break;
	case TLS_LEVEL_DANE:
	case TLS_LEVEL_DANE_ONLY:
		t->proof = TLS_PROOF_TLSA;
		t->tlsa = p->tlsa;
		t->tlsa_count = p->tlsa_count;
		t->server_name = p->host; /* RFC 7672 8.1 */
		break;
	case TLS_LEVEL_VERIFY:
	case TLS_LEVEL_SECURE:
		t->proof = TLS_PROOF_NAMES;
		t->names = p->match;
		t->name_count = p->match_count;
		break;
	}
}

struct tls *tls_policy_start(struct tls_policy *p, const char *who, struct buf *error)
{
	const char *names[] = { p->host, p->next_hop }; /* RFC 7672 3.2.2 */
	struct buf session = BUF_INIT;
	struct tls_target target = { .server_name = p->server_name,
		.digest = p->ps->settings.digest,
		.ca_files = p->ca_files,
		.ca_file_count = p->ca_file_count,
		.min_version = p->min_version,
		.max_version = p->max_version,
		.exclude = p->exclude };
	struct tls *t;

	if (p->level == TLS_LEVEL_DANE_ONLY) {
		buf_adds(error, "Verification not possible, MX RRset is insecure");
		return NULL;
	}
	if (p->ps->own_broken && p->level >= TLS_LEVEL_ENCRYPT) {
		buf_adds(error, "TLS is required, but our TLS engine is unavailable");
		return NULL;
	}
	set_target(p, &target);
	if (target.proof == TLS_PROOF_TLSA) {
		target.names = names;
		target.name_count = ARRAY_LEN(names);
	}
	buf_addf(&session, "%s %s %s", p->ps->settings.service, p->next_hop, who);
	target.session = buf_str(&session);
	t = tls_client_start(p->ps->client, &target, error);
	buf_free(&session);
	return t;
}

/* ---- What is said ---- */

/* explain - why it is not the one, or not trusted */
static void explain(const struct tls_policy *p, const char *who, const struct tls_peer *peer)
{
	struct buf wanted = BUF_INIT;

	if (peer->reason[0] == '\0') {
		return;
	}
	log_info("%scertificate verification failed for %s: %s", peer->whose, who, peer->reason);
	if (strstr(peer->reason, "hostname mismatch") != NULL) {
		for (size_t i = 0; i < p->match_count; i++) {
			buf_addf(&wanted, "%s%s", i > 0 ? ", " : "", p->match[i]);
		}
		log_info("%s: the certificate is for %s; wanted: %s", who,
			peer->names[0] != '\0' ? peer->names : "no host",
			p->match_count > 0 ? buf_str(&wanted) : p->host);
	}
	buf_free(&wanted);
}

bool tls_policy_done(struct tls_policy *p, const char *who, const struct tls *t, struct buf *error)
{
	const struct tls_peer *peer = tls_peer(t);
	int64_t log_level = p->ps->settings.log_level;
	bool must = p->level > TLS_LEVEL_ENCRYPT;

	if (!peer->matched && (must || log_level > 1)) {
		explain(p, who, peer);
	}
	if (log_level > 1) {
		if (peer->matched && p->level >= TLS_LEVEL_VERIFY) {
			log_info("%s: matched peername: %s", who, peer->matched_by);
		}
		log_info("%s: subject_CN=%s, issuer_CN=%s, fingerprint=%s, pkey_fingerprint=%s",
			who, peer->subject, peer->issuer, peer->fingerprint,
			peer->public_fingerprint);
	}
	if (log_level > 0) {
		log_info("%s TLS connection established to %s: %s with cipher %s (%d/%d bits)",
			tls_peer_status_name(peer->status), who, tls_version_name(t),
			tls_cipher_name(t), tls_cipher_bits(t), tls_cipher_bits(t));
	}
	if (must && !peer->matched) {
		buf_adds(error, "Server certificate not verified");
		return false;
	}
	return true;
}

void tls_policy_refusal(
	const struct tls_policy *p, const char *who, const char *reply, struct buf *out)
{
	(void)p;
	if (reply == NULL) {
		buf_addf(out, "TLS is required, but was not offered by host %s", who);
	} else {
		buf_addf(out, "TLS is required, but host %s refused to start TLS: %s", who, reply);
	}
}

void tls_policy_note_offer(const struct tls_policy *p, const char *host)
{
	if (p->ps->settings.note_offer && p->level == TLS_LEVEL_NONE) {
		log_info("Host offered STARTTLS: [%s]", host);
	}
}

/* ---- For connections that are used again ---- */

static void add_list(struct buf *out, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buf_addf(out, " %zu:%s", strlen(list[i]), list[i]);
	}
	buf_addc(out, ';');
}

void tls_policy_set_key(struct tls_policy *p)
{
	struct buf out = BUF_INIT;

	buf_addf(&out, "%s %d %d-%d;", tls_level_name(p->level), tls_policy_wrapper(p),
		p->min_version, p->max_version);
	add_list(&out, p->match, p->match_count);
	add_list(&out, p->ca_files, p->ca_file_count);
	add_list(&out, &p->exclude, p->exclude != NULL ? 1 : 0);
	add_list(&out, &p->server_name, p->server_name != NULL ? 1 : 0);
	p->key = arena_strdup(&p->a, buf_str(&out));
	buf_free(&out);
}

const char *tls_policy_key(const struct tls_policy *p)
{
	return p->key;
}

bool tls_policy_same(const struct tls_policy *a, const struct tls_policy *b)
{
	return a->ps == b->ps && strcmp(a->key, b->key) == 0;
}
