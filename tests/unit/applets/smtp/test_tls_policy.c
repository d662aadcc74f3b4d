/*
 * test_tls_policy - which TLS a next hop gets, by tables and settings
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "applets/deliver/smtp/tls_policy_impl.h"
#include "cert_util.h"
#include "conf_util.h"
#include "tls_util.h"
#include "unit.h"

static struct tls_policies *open_policies(const char *lines, bool lmtp)
{
	struct buf error = BUF_INIT;
	struct tls_policies *ps;

	conf_util_load(lines);
	ps = tls_policies_open(lmtp, &error);
	CHECK_STR(buf_str(&error), "");
	REQUIRE(ps != NULL);
	return ps;
}

/* found - "LEVEL word word ...": the words are what has to match; "?": the mail waits */
static const char *found(struct tls_policies *ps, const char *next_hop, const char *host)
{
	static struct buf out;
	struct buf error = BUF_INIT;
	struct tls_policy *p = tls_policy_find(ps, next_hop, host, 25, &error);

	buf_reset(&out);
	if (p == NULL) {
		CHECK_STR(buf_str(&error), "client TLS configuration problem");
		buf_free(&error);
		return "?";
	}
	buf_adds(&out, tls_level_name(tls_policy_level(p)));
	for (size_t i = 0; i < p->match_count; i++) {
		buf_addf(&out, " %s", p->match[i]);
	}
	tls_policy_free(p);
	return buf_str(&out);
}

TEST(tls_policy, settings)
{
	static const struct {
		const char *lines, *want;
		bool lmtp;
	} rows[] = {
		{ "", "none", false },
		{ "smtp_use_tls = yes", "may", false },
		{ "smtp_use_tls = yes\nsmtp_enforce_tls = yes", "verify mx.example.com", false },
		{ "smtp_enforce_tls = yes\nsmtp_tls_enforce_peername = no", "encrypt", false },
		{ "smtp_enforce_tls = yes\nsmtp_tls_security_level = none", "none", false },
		{ "smtp_tls_security_level = MAY", "may", false },
		{ "smtp_tls_security_level = encrypt", "encrypt", false },
		{ "smtp_tls_security_level = verify", "verify mx.example.com", false },
		{ "smtp_tls_security_level = secure", "secure example.com .example.com", false },
		{ "smtp_tls_security_level = dane", "dane", false },
		{ "smtp_tls_security_level = dane-only", "dane-only", false },
		{ "smtp_tls_security_level = secure\nsmtp_tls_secure_cert_match = hostname, "
		  "x.example",
			"secure mx.example.com x.example", false },
		{ "smtp_tls_security_level = fingerprint", "?", false },
		{ "smtp_tls_security_level = fingerprint\n"
		  "smtp_tls_fingerprint_cert_match = AA:BB, CC:DD | EE:FF",
			"fingerprint AA:BB CC:DD EE:FF", false },
		{ "smtp_tls_security_level = may", "none", true },
		{ "lmtp_tls_security_level = encrypt", "encrypt", true },
		{ "smtp_tls_security_level = encrypt\nsmtp_tls_mandatory_protocols = >=TLSv1.3",
			"?", false },
		{ "smtp_tls_security_level = encrypt\nsmtp_tls_mandatory_protocols = >=TLSv9", "?",
			false },
		{ "smtp_tls_security_level = encrypt\nsmtp_tls_mandatory_ciphers = high", "encrypt",
			false },
		{ "smtp_tls_security_level = encrypt\nsmtp_tls_mandatory_ciphers = null", "?",
			false },
		{ "smtp_tls_security_level = may\nsmtp_tls_mandatory_ciphers = null", "may",
			false },
		{ "smtp_tls_wrappermode = yes", "encrypt", false },
		{ "smtp_tls_wrappermode = yes\nsmtp_tls_security_level = secure",
			"secure example.com .example.com", false },
	};

	log_open("unit", LOG_TO_STDERR);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tls_policies *ps = open_policies(rows[i].lines, rows[i].lmtp);

		CHECK_ROW(rows[i].lines);
		CHECK_STR(found(ps, "example.com", "mx.example.com"), rows[i].want);
		tls_policies_close(ps);
	}
}

TEST(tls_policy, a_level_that_is_none)
{
	struct buf error = BUF_INIT;

	conf_util_load("smtp_tls_security_level = maybe");
	CHECK(tls_policies_open(false, &error) == NULL);
	CHECK_STR(buf_str(&error), "smtp_tls_security_level: invalid TLS level \"maybe\"");
	buf_free(&error);
}

TEST(tls_policy, a_socket_of_this_host)
{
	struct tls_policies *ps = open_policies("lmtp_tls_security_level = may\n", true);

	log_open("unit", LOG_TO_STDERR);
	CHECK_STR(found(ps, "unix:/run/dovecot/lmtp", "localhost"), "none");
	CHECK_STR(found(ps, "/run/dovecot/lmtp", "localhost"), "none");
	CHECK_STR(found(ps, "inet:lmtp.example:24", "lmtp.example"), "may");
	tls_policies_close(ps);
	ps = open_policies("lmtp_tls_security_level = encrypt\n", true);
	CHECK_STR(found(ps, "unix:/run/dovecot/lmtp", "localhost"), "encrypt");
	tls_policies_close(ps);
	ps = open_policies("lmtp_tls_security_level = dane\n", true);
	CHECK_STR(found(ps, "unix:/run/dovecot/lmtp", "localhost"), "?");
	tls_policies_close(ps);
}

/* One row of the table, and what it makes of the level. */
static const struct {
	const char *row, *want;
} table[] = {
	{ "none", "none" },
	{ "none match=x ciphers=y", "none" },
	{ "may", "may" },
	{ "ENCRYPT protocols=TLSv1.2 ciphers=high exclude=RC4", "encrypt" },
	{ "encrypt, protocols=!SSLv2:!SSLv3", "encrypt" },
	{ "encrypt protocols=>=TLSv1.2", "encrypt" },
	{ "encrypt protocols=TLSv1.3", "?" },
	{ "encrypt protocols=", "encrypt" },
	{ "encrypt match=x", "?" },
	{ "verify", "verify mx.example.com" },
	{ "secure", "secure example.com .example.com" },
	{ "secure match=nexthop:hostname:a.example",
		"secure example.com mx.example.com a.example" },
	{ "secure match=a.example match=.b.example", "secure a.example .b.example" },
	{ "secure match=", "?" },
	{ "secure servername=x.example servername=y.example", "?" },
	{ "secure servername=x_y", "secure example.com .example.com" },
	{ "secure servername=-x", "?" },
	{ "secure servername=a/b", "?" },
	{ "fingerprint match=AA:BB|CC:DD match=EE:FF", "fingerprint AA:BB CC:DD EE:FF" },
	{ "fingerprint", "?" },
	{ "fingerprint tafile=/x", "?" },
	{ "secure tafile=/x tafile=/y", "secure example.com .example.com" },
	{ "dane-only", "dane-only" },
	{ "half-dane", "?" },
	{ "secure connection_reuse=yes", "secure example.com .example.com" },
	{ "secure connection_reuse=maybe", "?" },
	{ "encrypt ciphers=", "?" },
	{ "encrypt ciphers=strong", "?" },
	{ "encrypt ciphers=high ciphers=high", "?" },
	{ "encrypt exclude=", "encrypt" },
	{ "encrypt nosuch=1", "?" },
	{ "encrypt nosuch", "?" },
	{ "encrypt =x", "?" },
	{ " , ", "?" },
};

TEST(tls_policy, rows)
{
	log_open("unit", LOG_TO_STDERR);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char lines[400];
		struct tls_policies *ps;

		snprintf(lines, sizeof(lines),
			"smtp_tls_security_level = may\n"
			"smtp_tls_policy_maps = static:{%s}\n",
			table[i].row);
		ps = open_policies(lines, false);
		CHECK_ROW(table[i].row);
		CHECK_STR(found(ps, "example.com", "mx.example.com"), table[i].want);
		tls_policies_close(ps);
	}
}

TEST(tls_policy, which_row)
{
	static const struct {
		const char *next_hop, *want;
	} rows[] = {
		{ "example.com", "encrypt" },
		{ "Example.COM", "encrypt" },
		{ "sub.example.com", "verify mx" },
		{ "deep.sub.example.com", "verify mx" },
		{ "[mail.example.com]", "may" }, /* not a part of a domain */
		{ "[mail.example.com]:587", "secure mail.example.com .mail.example.com" },
		{ "mail.example.com:587", "may" },
		{ "[192.0.2.1]", "secure 192.0.2.1 .192.0.2.1" },
		{ "[ipv6:2001:db8::1]:25", "secure 2001:db8::1 .2001:db8::1" },
		{ "10.0.2.1", "may" },
		{ "example.org", "none" },
		{ "other", "may" },
	};
	const char *path = unit_file("policy",
		"example.com encrypt\n"
		".example.com verify\n"
		"[mail.example.com]:587 secure\n"
		"[192.0.2.1] secure\n"
		"[ipv6:2001:db8::1]:25 secure\n"
		".1 none\n"
		".org none\n"
		"mx none\n");
	char lines[500];
	struct tls_policies *ps;

	snprintf(lines, sizeof(lines),
		"smtp_tls_security_level = may\nsmtp_tls_policy_maps = texthash:%s\n"
		"smtp_tls_per_site = static:MUST\n",
		path);
	ps = open_policies(lines, false);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_ROW(rows[i].next_hop);
		CHECK_STR(found(ps, rows[i].next_hop, "mx"), rows[i].want);
	}
	tls_policies_close(ps);
}

/* postconf(5), smtp_tls_per_site: the stricter of host and next hop, but NONE goes before MAY. */
TEST(tls_policy, per_site)
{
	static const struct {
		const char *level, *hop, *host, *want;
	} rows[] = {
		{ "may", "MAY", "MAY", "may" },
		{ "encrypt", "MAY", "MAY", "encrypt" },
		{ "verify", "MAY", "NONE", "none" },
		{ "verify", "NONE", "MAY", "none" },
		{ "may", "NONE", "MUST", "verify mx" },
		{ "may", "MUST_NOPEERMATCH", "NONE", "encrypt" },
		{ "secure", "MUST_NOPEERMATCH", "x", "?" },
		{ "secure", "NONE", "NONE", "none" },
	};

	log_open("unit", LOG_TO_STDERR);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char lines[400];
		struct tls_policies *ps;

		snprintf(lines, sizeof(lines),
			"smtp_tls_security_level = %s\n"
			"smtp_tls_per_site = inline:{{hop = %s}, {mx = %s}}\n",
			rows[i].level, rows[i].hop, rows[i].host);
		ps = open_policies(lines, false);
		CHECK_ROW(lines);
		CHECK_STR(found(ps, "hop", "mx"), rows[i].want);
		tls_policies_close(ps);
	}
}

TEST(tls_policy, a_table_that_does_not_answer)
{
	struct tls_policies *ps = open_policies(
		"smtp_tls_security_level = may\nsmtp_tls_policy_maps = fail:x\n", false);

	log_open("unit", LOG_TO_STDERR);
	CHECK_STR(found(ps, "example.com", "mx"), "?");
	tls_policies_close(ps);
}

static struct tls_policy *find(struct tls_policies *ps)
{
	struct buf error = BUF_INIT;
	struct tls_policy *p = tls_policy_find(ps, "example.com", "mx.example.com", 25, &error);

	CHECK_STR(buf_str(&error), "");
	REQUIRE(p != NULL);
	return p;
}

TEST(tls_policy, dane)
{
	static const char *const good[] = { "3 1 1 00", "1 0 0 00" }, *const bad[] = { "1 1 1 00" };
	static const struct {
		const char *lines;
		bool secure;
		enum dns_status status;
		const char *const *values;
		size_t count;
		const char *want; /* "LEVEL", "not asked LEVEL", "? why" */
	} rows[] = {
		{ "dane", true, DNS_OK, good, 2, "dane" },
		{ "dane", true, DNS_OK, bad, 1, "encrypt" },
		{ "dane", true, DNS_NOT_FOUND, NULL, 0, "may" },
		{ "dane", true, DNS_TRY_AGAIN, NULL, 0, "? TLSA lookup error for mx.example.com" },
		{ "dane-only", true, DNS_OK, good, 2, "dane" },
		{ "dane-only", true, DNS_OK, bad, 1, "? TLSA records unusable" },
		{ "dane-only", true, DNS_NOT_FOUND, NULL, 0, "? no TLSA records found" },
		{ "dane-only", false, DNS_OK, good, 2, "not asked dane-only" },
		{ "dane", false, DNS_OK, good, 2,
			"dane" }, /* the default of dane_insecure_mx_policy */
		{ "dane\nsmtp_tls_dane_insecure_mx_policy = may", false, DNS_OK, good, 2,
			"not asked may" },
		{ "dane\nsmtp_tls_dane_insecure_mx_policy = encrypt", false, DNS_OK, good, 2,
			"encrypt" },
		{ "encrypt", true, DNS_OK, good, 2, "not asked encrypt" },
		{ "secure", true, DNS_OK, good, 2, "not asked secure" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf lines = BUF_INIT, got = BUF_INIT, error = BUF_INIT;
		struct tls_policies *ps;
		struct tls_policy *p;

		buf_addf(&lines, "smtp_tls_security_level = %s\n", rows[i].lines);
		ps = open_policies(buf_str(&lines), false);
		p = find(ps);
		CHECK_ROW(rows[i].lines);
		if (!tls_policy_wants_tlsa(p, rows[i].secure)) {
			buf_addf(&got, "not asked %s", tls_level_name(tls_policy_level(p)));
		} else if (tls_policy_tlsa(
				   p, rows[i].status, rows[i].values, rows[i].count, &error)) {
			buf_adds(&got, tls_level_name(tls_policy_level(p)));
		} else {
			buf_addf(&got, "? %s", buf_str(&error));
		}
		CHECK_STR(buf_str(&got), rows[i].want);
		if (tls_policy_level(p) == TLS_LEVEL_DANE_ONLY) {
			/* Whoever asked for nothing gets nothing either. */
			buf_reset(&error);
			CHECK(tls_policy_start(p, "mx[192.0.2.1]:25", &error) == NULL);
			CHECK_STR(
				buf_str(&error), "Verification not possible, MX RRset is insecure");
		}
		tls_policy_free(p);
		tls_policies_close(ps);
		buf_free(&lines);
		buf_free(&got);
		buf_free(&error);
	}
}

TEST(tls_policy, used_again_by_its_like_only)
{
	struct tls_policies *ps =
		open_policies("smtp_tls_security_level = may\n"
			      "smtp_tls_policy_maps = inline:{{a.example = secure "
			      "match=x}, {b.example = secure match=x}, {c.example = "
			      "secure match=y}, {d.example = encrypt}}\n",
			false);
	static const char *const hops[] = { "a.example", "b.example", "c.example", "d.example",
		"e.example" };
	struct tls_policy *p[5];
	struct buf error = BUF_INIT;

	for (size_t i = 0; i < 5; i++) {
		p[i] = tls_policy_find(ps, hops[i], "mx", 25, &error);
		REQUIRE(p[i] != NULL);
	}
	for (size_t i = 0; i < 5; i++) {
		for (size_t k = 0; k < 5; k++) {
			CHECK_ROW(hops[i]);
			CHECK_INT(tls_policy_same(p[i], p[k]), i == k || i + k == 1);
			CHECK_INT(strcmp(tls_policy_key(p[i]), tls_policy_key(p[k])) == 0,
				i == k || i + k == 1);
		}
	}
	for (size_t i = 0; i < 5; i++) {
		tls_policy_free(p[i]);
	}
	tls_policies_close(ps);
}

/* What was logged since the last clear. */
static struct buf logged;

static void take_lines(void *arg, const char *lines, size_t len)
{
	buf_add(arg, lines, len);
}

static void hear_log(void)
{
	log_open("unit", LOG_TO_SINK);
	log_set_sink(take_lines, &logged);
	buf_reset(&logged);
}

TEST(tls_policy, an_offer_is_noted)
{
	struct tls_policies *ps = open_policies("smtp_tls_note_starttls_offer = yes\n", false);
	struct tls_policy *p = find(ps);

	hear_log();
	tls_policy_note_offer(p, "mx.example.com");
	CHECK(strstr(buf_str(&logged), "Host offered STARTTLS: [mx.example.com]") != NULL);
	tls_policy_free(p);
	tls_policies_close(ps);
	ps = open_policies(
		"smtp_tls_note_starttls_offer = yes\nsmtp_tls_security_level = may\n", false);
	p = find(ps);
	buf_reset(&logged);
	tls_policy_note_offer(p, "mx.example.com");
	CHECK_STR(buf_str(&logged), "");
	tls_policy_free(p);
	tls_policies_close(ps);
}

TEST(tls_policy, whose_word_counts)
{
	hear_log();
	conf_util_load("");
	CHECK_INT(tls_policies_trust(), DNS_TRUST_LOOPBACK);
	conf_util_load("dnssec_resolver = any");
	CHECK_INT(tls_policies_trust(), DNS_TRUST_ANY);
	conf_util_load("dnssec_resolver = none");
	CHECK_INT(tls_policies_trust(), DNS_TRUST_NONE);
	CHECK_STR(buf_str(&logged), "");
	conf_util_load("dnssec_resolver = yes");
	CHECK_INT(tls_policies_trust(), DNS_TRUST_NONE);
	CHECK(strstr(buf_str(&logged), "it is none") != NULL);
}

TEST(tls_policy, texts)
{
	struct tls_policies *ps = open_policies(
		"smtp_tls_security_level = encrypt\nsmtp_tls_wrappermode = yes\n", false);
	struct tls_policy *p = find(ps);
	struct buf out = BUF_INIT;

	CHECK(tls_policy_wrapper(p));
	tls_policies_seen(ps, 1000);
	tls_policy_refusal(p, "mx[192.0.2.1]", NULL, &out);
	CHECK_STR(buf_str(&out), "TLS is required, but was not offered by host mx[192.0.2.1]");
	buf_reset(&out);
	tls_policy_refusal(p, "mx[192.0.2.1]", "454 4.7.0 no", &out);
	CHECK_STR(buf_str(&out),
		"TLS is required, but host mx[192.0.2.1] refused to start TLS: 454 4.7.0 no");
	buf_free(&out);
	tls_policy_free(p);
	tls_policies_close(ps);
}

static void write_pem(const char *name, const struct cert_spec *spec, char path[300])
{
	struct buf der = BUF_INIT, pem = BUF_INIT;
	FILE *f;

	cert_make(&der, spec);
	cert_pem(&pem, &der);
	cert_key_pem(&pem, spec->key);
	snprintf(path, 300, "%s/%s", unit_tmpdir(), name);
	f = fopen(path, "w");
	REQUIRE(f != NULL && fputs(buf_str(&pem), f) >= 0 && fclose(f) == 0);
	buf_free(&der);
	buf_free(&pem);
}

/* shakes - a handshake by this policy with a server of this file; whether its mail may go */
static bool shakes(struct tls_policies *ps, const char *server_file)
{
	struct tls_server_config config = { .cert_file = server_file, .min_version = 12 };
	struct tls_policy *p = find(ps);
	struct buf error = BUF_INIT;
	struct tls_pair pair;
	char *text = NULL;
	struct tls_context *server = tls_server_context(&config, &text);
	bool good;

	REQUIRE(server != NULL);
	memset(&pair, 0, sizeof(pair));
	pair.server = tls_new_server(server);
	pair.client = tls_policy_start(p, "mx.example.com[192.0.2.1]:25", &error);
	CHECK_STR(buf_str(&error), "");
	REQUIRE(pair.client != NULL);
	tls_pair_turn(&pair);
	CHECK(tls_is_up(pair.client));
	good = tls_policy_done(p, "mx.example.com[192.0.2.1]:25", pair.client, &error);
	CHECK_STR(buf_str(&error), good ? "" : "Server certificate not verified");
	tls_pair_free(&pair);
	tls_context_free(server);
	tls_policy_free(p);
	buf_free(&error);
	return good;
}

TEST(tls_policy, who_may_have_the_mail)
{
	struct cert_key key, other;
	char right[300], wrong[300];
	static const struct {
		const char *lines;
		bool right, wrong;
	} rows[] = {
		{ "may", true, true }, { "encrypt", true, true }, { "verify", true, false },
		{ "secure", true, false }, /* .example.com */
		{ "secure\nsmtp_tls_secure_cert_match = nexthop", false, false },
		{ "secure\nsmtp_tls_secure_cert_match = hostname", true, false },
		{ "fingerprint\nsmtp_tls_fingerprint_cert_match = 00:11", false, false },
		{ "dane", true, true }, /* without records: as may */
	};

	log_open("unit", LOG_TO_STDERR);
	cert_key_make(&key);
	cert_key_make(&other);
	write_pem("right.pem",
		&(struct cert_spec){
			.subject = "R", .hosts = "mx.example.com", .key = &key, .ca = true },
		right);
	write_pem("wrong.pem",
		&(struct cert_spec){
			.subject = "R", .hosts = "mx.example.com", .key = &other, .ca = true },
		wrong);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf lines = BUF_INIT;
		struct tls_policies *ps;

		buf_addf(&lines,
			"smtp_tls_security_level = %s\nsmtp_tls_CAfile = %s\nsmtp_tls_loglevel = "
			"2\n"
			"compatibility_level = 3.6\n",
			rows[i].lines, right);
		ps = open_policies(buf_str(&lines), false);
		if (strcmp(rows[i].lines, "dane") == 0) {
			ps->level =
				TLS_LEVEL_MAY; /* what tls_policy_tlsa() makes of it: TEST dane */
		}
		CHECK_ROW(rows[i].lines);
		CHECK_INT(shakes(ps, right), rows[i].right);
		CHECK_INT(shakes(ps, wrong), rows[i].wrong);
		tls_policies_close(ps);
		buf_free(&lines);
	}
}

/* Postfix's lines, which people and programs read. */
TEST(tls_policy, what_the_log_says)
{
	static const char head[] = "mx.example.com[192.0.2.1]:25",
			  up[] = " TLS connection established to mx.example.com[192.0.2.1]:25: "
				 "TLSv1.2 with cipher ECDHE-ECDSA-AES256-GCM-SHA384 (256/256 bits)";
	struct cert_key key;
	char path[300], line[500];
	struct tls_policies *ps;

	cert_key_make(&key);
	write_pem("server.pem",
		&(struct cert_spec){
			.subject = "S", .hosts = "a.example b.example", .key = &key, .ca = true },
		path);
	hear_log();
	ps = open_policies("smtp_tls_security_level = may\n", false);
	CHECK(shakes(ps, path));
	CHECK_STR(buf_str(&logged), "");
	tls_policies_close(ps);
	ps = open_policies("smtp_tls_security_level = may\nsmtp_tls_loglevel = 1\n", false);
	CHECK(shakes(ps, path));
	snprintf(line, sizeof(line), "Untrusted%s\n", up);
	CHECK(strstr(buf_str(&logged), line) != NULL);
	CHECK(strstr(buf_str(&logged), "verification") == NULL);
	tls_policies_close(ps);
	snprintf(line, sizeof(line),
		"smtp_tls_security_level = verify\nsmtp_tls_CAfile = %s\nsmtp_tls_loglevel = 0\n",
		path);
	ps = open_policies(line, false);
	buf_reset(&logged);
	CHECK(!shakes(ps, path));
	snprintf(line, sizeof(line),
		"server certificate verification failed for %s: num=62:hostname mismatch\n", head);
	CHECK(strstr(buf_str(&logged), line) != NULL);
	snprintf(line, sizeof(line),
		"%s: the certificate is for a.example, b.example; wanted: mx.example.com\n", head);
	CHECK(strstr(buf_str(&logged), line) != NULL);
	CHECK(strstr(buf_str(&logged), "established") == NULL);
	tls_policies_close(ps);
}

TEST(tls_policy, our_certificate_is_no_good)
{
	struct cert_key key;
	struct tls_policies *ps;
	struct tls_policy *p;
	struct buf error = BUF_INIT;
	char path[300];

	log_open("unit", LOG_TO_STDERR);
	cert_key_make(&key);
	write_pem("server.pem", &(struct cert_spec){ .subject = "R", .key = &key }, path);
	ps = open_policies(
		"smtp_tls_security_level = may\nsmtp_tls_cert_file = /nonexistent\n", false);
	CHECK(shakes(ps, path)); /* without it, as in the clear */
	tls_policies_close(ps);
	ps = open_policies(
		"smtp_tls_security_level = encrypt\nsmtp_tls_cert_file = /nonexistent\n", false);
	p = find(ps);
	CHECK(tls_policy_start(p, "mx[192.0.2.1]:25", &error) == NULL);
	CHECK_STR(buf_str(&error), "TLS is required, but our TLS engine is unavailable");
	buf_free(&error);
	tls_policy_free(p);
	tls_policies_close(ps);
}
