/*
 * test_sasl - digests, the auth protocol's lines, and SASL exchanges with known answers
 */
#include <stdio.h>
#include <string.h>

#include "base/crypto.h"
#include "base/encode.h"
#include "proto/sasl.h"
#include "ipc/auth_protocol.h"
#include "unit.h"

static const char *hex_of(const void *data, size_t len, struct buf *b)
{
	buf_reset(b);
	hex_encode(b, data, len);
	return buf_str(b);
}

TEST(crypto, known_digests)
{
	static const struct {
		enum digest digest;
		const char *hex;
	} rows[] = {
		/* of "abc": RFC 1321, FIPS 180-4 */
		{ DIGEST_MD5, "900150983cd24fb0d6963f7d28e17f72" },
		{ DIGEST_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ DIGEST_SHA256,
			"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	};
	struct slice parts[] = { SLICE_LIT("a"), SLICE_LIT("bc") };
	unsigned char out[DIGEST_MAX];
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_ROW(rows[i].hex);
		digest_of(rows[i].digest, parts, 2, out);
		CHECK_STR(hex_of(out, digest_size(rows[i].digest), &b), rows[i].hex);
	}
	CHECK_ROW(NULL);
	pbkdf2(DIGEST_SHA1, "password", "salt", 4, 4096, out, 20); /* RFC 6070 */
	CHECK_STR(hex_of(out, 20, &b), "4b007901b765489abead49d926f721d065a429c1");
	buf_free(&b);
}

TEST(auth_protocol, splits_and_joins)
{
	char text[] = "AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp=a\001tb\0011";
	struct auth_line line;
	struct buf b = BUF_INIT;

	REQUIRE(auth_line_parse(&line, text, sizeof(text) - 1));
	CHECK_STR(auth_line_at(&line, 2), "PLAIN");
	CHECK_STR(auth_line_get(&line, 3, "service"), "smtp");
	CHECK_STR(auth_line_get(&line, 3, "secured"), "");
	CHECK_STR(auth_line_get(&line, 3, "resp"), "a\tb\001");
	CHECK_STR(auth_line_get(&line, 3, "sec"), NULL);
	CHECK_STR(auth_line_at(&line, 30), "");
	auth_put(&b, "FAIL");
	auth_put_number(&b, 7);
	auth_put_pair(&b, "reason", "a\tb\n\001");
	auth_put_field(&b, "temp");
	auth_end(&b);
	CHECK_STR(buf_str(&b), "FAIL\t7\treason=a\001tb\001n\0011\ttemp\n");
	buf_free(&b);
}

TEST(auth_protocol, refuses_bad_lines)
{
	char nul[] = "A\tb\0c", escape[] = "A\tb\001", unknown[] = "A\t\001q";
	char many[300];
	struct auth_line line;

	memset(many, '\t', sizeof(many));
	CHECK(!auth_line_parse(&line, nul, sizeof(nul) - 1));
	CHECK(!auth_line_parse(&line, escape, sizeof(escape) - 1));
	CHECK(!auth_line_parse(&line, unknown, sizeof(unknown) - 1));
	CHECK(!auth_line_parse(&line, many, sizeof(many) - 1));
}

TEST(sasl, plain)
{
	static const struct {
		const char *text;
		size_t len;
		enum sasl_result want;
	} rows[] = {
		{ "\0tim\0tanstaaftanstaaf", 21, SASL_PASSWORD },
		{ "Ursel\0Kurt\0xipj3plmq", 20, SASL_PASSWORD },
		{ "\0tim", 4, SASL_FAIL },
		{ "tim", 3, SASL_FAIL },
		{ "\0tim\0a\0b", 8, SASL_FAIL },
		{ "", 0, SASL_FAIL },
	};
	struct sasl_server s;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice initial = { rows[i].text, rows[i].len };

		CHECK_INT(sasl_server_start(&s, SASL_PLAIN, "h", &initial), rows[i].want);
		if (i == 1) {
			CHECK_STR(s.authzid, "Ursel");
			CHECK_STR(s.user, "Kurt");
			CHECK_STR(s.password, "xipj3plmq");
		}
		sasl_server_free(&s);
	}
}

TEST(sasl, login)
{
	struct sasl_server s;

	CHECK_INT(sasl_server_start(&s, SASL_LOGIN, "h", NULL), SASL_CHALLENGE);
	CHECK_STR(buf_str(&s.challenge), "Username:");
	CHECK_INT(sasl_server_step(&s, SLICE_LIT("tim")), SASL_CHALLENGE);
	CHECK_STR(buf_str(&s.challenge), "Password:");
	CHECK_INT(sasl_server_step(&s, SLICE_LIT("secret")), SASL_PASSWORD);
	CHECK_STR(s.user, "tim");
	CHECK_STR(s.password, "secret");
	sasl_server_free(&s);
}

TEST(sasl, cram_md5)
{
	struct sasl_secret secret = { .plain = "tanstaaftanstaaf" };
	struct sasl_server s;
	char response[64];

	/* RFC 2195 2: the challenge of its example. */
	CHECK_INT(sasl_server_start(&s, SASL_CRAM_MD5, "h", NULL), SASL_CHALLENGE);
	s.server_first = "<1896.697170952@postoffice.reston.mci.net>";
	snprintf(response, sizeof(response), "tim b913a602c7eda7a495b4e6e7334d3890");
	CHECK_INT(sasl_server_step(&s, slice_of(response)), SASL_SECRET);
	CHECK_STR(s.user, "tim");
	CHECK_INT(sasl_server_secret(&s, &secret), SASL_OK);
	secret.plain = "other";
	CHECK_INT(sasl_server_secret(&s, &secret), SASL_FAIL);
	CHECK_INT(sasl_server_secret(&s, NULL), SASL_FAIL);
	sasl_server_free(&s);
}

/* RFC 7677 3: the example exchange, with its nonce and salt put in place of ours. */
TEST(sasl, scram_sha_256)
{
	static const char *const first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
	struct sasl_secret secret = { .plain = "pencil" };
	struct sasl_server s;
	struct slice initial = slice_of(first);

	CHECK_INT(sasl_server_start(&s, SASL_SCRAM_SHA_256, "h", &initial), SASL_SECRET);
	CHECK_STR(s.user, "user");
	secret.plain = NULL;
	secret.scram = "4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		       "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
	CHECK(sasl_scram_check(DIGEST_SHA256, secret.scram, "pencil"));
	CHECK(!sasl_scram_check(DIGEST_SHA256, secret.scram, "pencils"));
	CHECK_INT(sasl_server_secret(&s, &secret), SASL_CHALLENGE);
	s.nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
	s.server_first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
			 "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
	CHECK_INT(sasl_server_step(&s,
			  slice_of("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
				   "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
		SASL_CHALLENGE);
	CHECK_STR(buf_str(&s.challenge), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	CHECK_INT(sasl_server_step(&s, slice_of("")), SASL_OK);
	sasl_server_free(&s);
}

TEST(sasl, scram_refuses)
{
	static const char *const rows[] = {
		"",
		"x",
		"n",
		"n,",
		"p=tls-unique,,n=a,r=b",
		"n,,n=a",
		"n,,r=b,n=a",
		"n,,n=a=b,r=c",
		"n,a=x",
		"n,,n=,r=",
	};
	struct sasl_server s;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice initial = slice_of(rows[i]);

		CHECK_ROW(rows[i]);
		CHECK_INT(sasl_server_start(&s, SASL_SCRAM_SHA_1, "h", &initial), SASL_FAIL);
		sasl_server_free(&s);
	}
}
