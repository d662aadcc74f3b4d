/*
 * test_sasl_client - SASL from the client's side: the RFCs' exchanges, and with our server
 */
#include <string.h>

#include "base/str.h"
#include "proto/sasl.h"
#include "proto/sasl_client.h"
#include "unit.h"

static struct slice text(const char *s)
{
	return slice_of(s);
}

/* RFC 5802 5, RFC 7677 3: the same conversation in both */
TEST(sasl_client, scram_vectors)
{
	static const struct {
		enum sasl_client_mech mech;
		const char *nonce, *first, *server_first, *final, *server_final;
	} rows[] = {
		{ SASL_CLIENT_SCRAM_SHA_1, "fyko+d2lbbFgONRv9qkxdawL",
			"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
			"p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=" },
		{ SASL_CLIENT_SCRAM_SHA_256, "rOprNGfwEbeRWgbNEkqO",
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
			"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
			"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" },
	};
	static const struct sasl_account account = { .user = "user", .password = "pencil" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sasl_client s = { .nonce = rows[i].nonce };

		CHECK_ROW(sasl_client_name(rows[i].mech));
		sasl_client_start(&s, rows[i].mech, &account);
		CHECK(s.first);
		CHECK_STR(buf_str(&s.response), rows[i].first);
		CHECK(sasl_client_step(&s, text(rows[i].server_first)));
		CHECK_STR(buf_str(&s.response), rows[i].final);
		CHECK(!sasl_client_done(&s));
		CHECK(sasl_client_step(&s, text(rows[i].server_final)));
		CHECK_INT(s.response.len, 0);
		CHECK(sasl_client_done(&s));
		CHECK(!sasl_client_step(&s, text("more")));
		sasl_client_free(&s);
	}
}

TEST(sasl_client, scram_is_not_fooled)
{
	static const struct sasl_account account = { .user = "us,er=", .password = "pencil" };
	static const struct {
		const char *first, *final, *error;
	} rows[] = {
		{ "r=abcX,s=QSXCR+Q6sek8bf92,i=4096",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", "signature" },
		{ "r=abcX,s=QSXCR+Q6sek8bf92,i=4096", "v=", "signature" },
		{ "r=abcX,s=QSXCR+Q6sek8bf92,i=4096", "", "signature" },
		{ "r=abcX,s=QSXCR+Q6sek8bf92,i=4096", "e=invalid-proof", "refuses" },
		{ "r=xyzX,s=QSXCR+Q6sek8bf92,i=4096", NULL, "malformed" },
		{ "r=abc,s=QSXCR+Q6sek8bf92,i=4096", NULL, "malformed" },
		{ "r=abcX,s=QSXCR+Q6sek8bf92,i=0", NULL, "malformed" },
		{ "r=abcX,s=QSXCR+Q6sek8bf92,i=99999999", NULL, "malformed" },
		{ "r=abcX,s=***,i=4096", NULL, "malformed" },
		{ "r=abcX,s=,i=4096", NULL, "malformed" },
		{ "r=abcX,i=4096", NULL, "malformed" },
		{ "m=1,r=abcX,s=QSXCR+Q6sek8bf92,i=4096", NULL, "malformed" },
		{ "", NULL, "malformed" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sasl_client s = { .nonce = "abc" };
		bool good;

		CHECK_ROW(rows[i].first);
		sasl_client_start(&s, SASL_CLIENT_SCRAM_SHA_1, &account);
		CHECK_STR(buf_str(&s.response), "n,,n=us=2Cer=3D,r=abc");
		good = sasl_client_step(&s, text(rows[i].first));
		CHECK(good == (rows[i].final != NULL));
		if (rows[i].final != NULL) {
			CHECK(!sasl_client_step(&s, text(rows[i].final)));
		}
		CHECK(s.error != NULL && strstr(s.error, rows[i].error) != NULL);
		CHECK(!sasl_client_done(&s));
		sasl_client_free(&s);
	}
}

/* the others: what is said, challenge by challenge */
TEST(sasl_client, plain_and_others)
{
	static const struct sasl_account tim = { .user = "tim", .password = "tanstaaftanstaaf" };
	static const struct sasl_account token = {
		.user = "some,one@x", .token = "vF9", .host = "mx.x", .port = 143
	};
	struct sasl_client s = { .step = 0 };

	sasl_client_start(&s, SASL_CLIENT_CRAM_MD5, &tim); /* RFC 2195 2 */
	CHECK(!s.first);
	CHECK(sasl_client_step(&s, text("<1896.697170952@postoffice.reston.mci.net>")));
	CHECK_STR(buf_str(&s.response), "tim b913a602c7eda7a495b4e6e7334d3890");
	CHECK(sasl_client_done(&s));
	CHECK(!sasl_client_step(&s, text("x")));
	sasl_client_free(&s);

	sasl_client_start(&s, SASL_CLIENT_PLAIN, &tim);
	CHECK(s.first);
	CHECK_MEM(s.response.data, s.response.len, "\0tim\0tanstaaftanstaaf", 21);
	CHECK(!sasl_client_step(&s, text("")));
	sasl_client_free(&s);

	sasl_client_start(&s, SASL_CLIENT_LOGIN, &tim);
	CHECK(!s.first);
	CHECK(sasl_client_step(&s, text("whatever")));
	CHECK_STR(buf_str(&s.response), "tim");
	CHECK(sasl_client_step(&s, text("")));
	CHECK_STR(buf_str(&s.response), "tanstaaftanstaaf");
	CHECK(!sasl_client_step(&s, text("")));
	sasl_client_free(&s);

	sasl_client_start(&s, SASL_CLIENT_XOAUTH2, &token);
	CHECK_STR(buf_str(&s.response), "user=some,one@x\001auth=Bearer vF9\001\001");
	CHECK(sasl_client_step(&s, text("{\"status\":\"401\"}")));
	CHECK_INT(s.response.len, 0);
	CHECK(!sasl_client_step(&s, text("{}")));
	sasl_client_free(&s);

	sasl_client_start(&s, SASL_CLIENT_OAUTHBEARER, &token); /* RFC 7628 4.1's shape */
	CHECK_STR(buf_str(&s.response),
		"n,a=some=2Cone@x,\001host=mx.x\001port=143\001auth=Bearer vF9\001\001");
	CHECK(sasl_client_step(&s, text("{\"status\":\"invalid_token\"}")));
	CHECK_STR(buf_str(&s.response), "\001");
	sasl_client_free(&s);
}

static bool no_plain(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "PLAIN") != 0;
}

TEST(sasl_client, choice)
{
	static const struct {
		const char *announced, *options;
		bool token, filter;
		const char *want; /* NULL: none */
	} rows[] = {
		{ "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256", "", false, false,
			"SCRAM-SHA-256" },
		{ "plain login cram-md5 scram-sha-1", "", false, false, "SCRAM-SHA-1" },
		{ "PLAIN LOGIN", "noanonymous", false, false, "PLAIN" },
		{ "PLAIN LOGIN", "noanonymous", false, true, "LOGIN" },
		{ "PLAIN LOGIN", "noplaintext, noanonymous", false, false, NULL },
		{ "PLAIN CRAM-MD5", "noplaintext noanonymous", false, false, "CRAM-MD5" },
		{ "PLAIN CRAM-MD5", "noactive", false, false, NULL },
		{ "PLAIN CRAM-MD5 SCRAM-SHA-1", "mutual_auth", false, false, "SCRAM-SHA-1" },
		{ "PLAIN SCRAM-SHA-256", "nodictionary", false, false, NULL },
		{ "PLAIN SCRAM-SHA-256", "forward_secrecy", false, false, NULL },
		{ "PLAIN XOAUTH2 OAUTHBEARER", "", true, false, "OAUTHBEARER" },
		{ "PLAIN XOAUTH2", "noanonymous", true, false, "XOAUTH2" },
		{ "PLAIN XOAUTH2", "noplaintext", true, false, NULL },
		{ "PLAIN LOGIN", "", true, false, NULL },
		{ "XOAUTH2", "", false, false, NULL },
		{ "GSSAPI", "", false, false, NULL },
		{ "", "", false, false, NULL },
	};
	struct sasl_account account = { .user = "u" };
	struct slice bad;
	unsigned options;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sasl_client_choice choice = { .announced = rows[i].announced };
		enum sasl_client_mech mech;
		bool found;

		CHECK_ROW(rows[i].announced);
		CHECK(sasl_client_options(rows[i].options, &choice.options, &bad));
		choice.allowed = rows[i].filter ? no_plain : NULL;
		account.password = rows[i].token ? NULL : "p";
		account.token = rows[i].token ? "t" : NULL;
		found = sasl_client_choose(&choice, &account, &mech);
		CHECK_STR(found ? sasl_client_name(mech) : NULL, rows[i].want);
	}
	CHECK_ROW(NULL);
	CHECK(!sasl_client_options("noanonymous, none", &options, &bad));
	CHECK(slice_eq(bad, "none"));
}

/* pair - our client and our own server (proto/sasl.h) */
static enum sasl_result pair(
	enum sasl_client_mech mech, enum sasl_mech server_mech, const char *password, bool *proven)
{
	const struct sasl_account account = { .user = "ann", .password = password };
	const struct sasl_secret secret = { .plain = "secret" };
	struct sasl_client c = { .step = 0 };
	struct sasl_server s;
	struct slice response;
	enum sasl_result rc;

	memset(&s, 0, sizeof(s));
	sasl_client_start(&c, mech, &account);
	response = (struct slice){ buf_str(&c.response), c.response.len };
	rc = sasl_server_start(&s, server_mech, "mx", c.first ? &response : NULL);
	for (int n = 0; n < 10 && (rc == SASL_CHALLENGE || rc == SASL_SECRET); n++) {
		if (rc == SASL_SECRET) {
			rc = sasl_server_secret(&s, &secret);
			continue;
		}
		if (!sasl_client_step(
			    &c, (struct slice){ buf_str(&s.challenge), s.challenge.len })) {
			rc = SASL_FAIL;
			break;
		}
		rc = sasl_server_step(&s, (struct slice){ buf_str(&c.response), c.response.len });
	}
	if (rc == SASL_PASSWORD) {
		rc = strcmp(s.password, "secret") == 0 ? SASL_OK : SASL_FAIL;
	}
	if (rc == SASL_OK && s.challenge.len > 2 && memcmp(s.challenge.data, "v=", 2) == 0 &&
		!c.proven) {
		(void)sasl_client_step(&c, (struct slice){ s.challenge.data, s.challenge.len });
	}
	*proven = sasl_client_done(&c);
	sasl_client_free(&c);
	sasl_server_free(&s);
	return rc;
}

TEST(sasl_client, with_our_own_server)
{
	static const struct {
		enum sasl_client_mech client;
		enum sasl_mech server;
	} rows[] = {
		{ SASL_CLIENT_PLAIN, SASL_PLAIN },
		{ SASL_CLIENT_LOGIN, SASL_LOGIN },
		{ SASL_CLIENT_CRAM_MD5, SASL_CRAM_MD5 },
		{ SASL_CLIENT_SCRAM_SHA_1, SASL_SCRAM_SHA_1 },
		{ SASL_CLIENT_SCRAM_SHA_256, SASL_SCRAM_SHA_256 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool proven;

		CHECK_ROW(sasl_client_name(rows[i].client));
		CHECK_INT(pair(rows[i].client, rows[i].server, "secret", &proven), SASL_OK);
		CHECK(proven);
		CHECK_INT(pair(rows[i].client, rows[i].server, "wrong", &proven), SASL_FAIL);
	}
}
