/*
 * test_tls - handshakes in memory between our server and our client, good and bad
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "test_cert.h"
#include "tls_util.h"
#include "unit.h"

/*
 * Self-signed, for tests alone: CN=rsa.example (2048 bits), until 2126; and
 * tests/unit/test_cert.h.
 */
static const char rsa_key[] = "-----BEGIN PRIVATE KEY-----\n"
			      "MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQDSZeuus7RzQGQM\n"
			      "Bi3NI+OHMrjiiMgxoW6eTvy6BaCqtbw0eU8t84jlAI9YFygcyw3eNQkDPAUWjjvF\n"
			      "To8tbYbeTsNZ6AVykisMaU4MqDoXMRBBpcTtHFZJZrPJSxAq2Uum27JeX8nMoJnO\n"
			      "GwQo0IkjE7Bcwl+oQ5YMwY2Y42UhJlSi5FKmCwqCjA4k5UYTg4/Uxp7whmCbfbUk\n"
			      "SOzpAMULGkpSQ6582bcY5X+MxULKxD2LJ+NDNavxsyzwgLDT2Ywpur7/uco0bazU\n"
			      "wlgiVNeYYWHgHIuZ1KQm0uExkjy7oJ1nhaj9lqXGGgN3hSeeG6VbWy7hGOAG44Tg\n"
			      "DX6ydX9HAgMBAAECggEADYIXrfbBs33t2SEdwwRL27vznNpqqAJqUhBWL4dO98ba\n"
			      "l4U2V91BQRqrxAcbPzCrlO7+GM67W5Be4V3C2YglAZQ4UfG7RSOB+guvbtFE3C+n\n"
			      "5d8ZE/QezMWi7giQuCo4A4rVb95h3BkaPDOwglepMQRW7WMECzno91ax8EqhN+Mv\n"
			      "+f6sTccUX1RP+I684L4dJ1GbymzTEqS5x342l6QbJcXhXh75LODAcDnoTwA3K/CY\n"
			      "2EacNCtBnohJFgoPetTc0Iu1i8uo6gMzGAHgwgl59PgeeRY0NurkVmFxfnd0xshr\n"
			      "WB9Zeaik2HKjkYW4TvX8vdzp1mhUeTr7kxaEkBM78QKBgQDufszdSxLw8qvo7C5O\n"
			      "TluWOXZ2acKXP/28pzJoIk8SaxOwoavb/cz+AV1/BfTIbycLpcDDQSTUMd9D6LZp\n"
			      "Z6kcF5UqYGz3poS/UBpEb6zFowUlJl3Pd0hWs5Mk1gzlRj5R7Zys7N6HoXAvJ7Hr\n"
			      "r+7N9Sc0OTNdnmLAjQoyDEI+7wKBgQDh1zByLzifgn1HvyvmDm4M3fgYDoFBtrFo\n"
			      "r97iW+U5Ek3rCNpiiXpw9KsdkuPQpEXMn5HjOILU7ESckt1Pn1swsKB5dNIAY0YC\n"
			      "MQ/yhjUzvSNnoF+kUX2lASof29vISMuvPkixNa7maDAlTVVX6qDdFjzrtbzlGWwN\n"
			      "WY7PPU1FKQKBgQDrOUjZYfg2iUIgowEw3nvaeKZsN/disgySit1ec6hFZDKxXWNh\n"
			      "wLr0M2iBpeA959M826h5a8DlQKMSGW4AG+tg96l5eE1BHI2FG34szXA8JYMnluWj\n"
			      "f+RrDwYrqKpjX5qLt611qNH6N7Gr8Jy89nKz0/1stpYA2fxQKUtK/WhBJQKBgQC1\n"
			      "jzk8YugjnFU5a+BP2EPzBjQgqvCRMt2XauRFmFlEs4l+raRb2WhdDOXQJboOjzIq\n"
			      "GhK/2DueD7/tHEjdbSBzmVu5qQf3Fdg/hM/sSqbUzHZ9JboeMQFQuQnziN49OwC9\n"
			      "BtaL2LueMh6arnww7MicVPdvC7ErgW+Tn+8mfoLzWQKBgQCEt5DlMcMw0bKOd7NF\n"
			      "rs7WfZY3s32TkWXrsb0SWmgJvnzcTOm1/+O3BmxWbfNllVK9Xr306YGq67nlbblz\n"
			      "G98Sinh19A25jzgdOHAc1vmYDrvcD/0UJcWXTuNqbRBEr3giSupDxU7yQSAjK6nY\n"
			      "tkcyKmMklX9RTvMyxfMs0LUTIg==\n"
			      "-----END PRIVATE KEY-----\n";
static const char rsa_cert[] = "-----BEGIN CERTIFICATE-----\n"
			       "MIIDJzCCAg+gAwIBAgIUBpaJVqSkmwpFftRFXgerDj9LnwswDQYJKoZIhvcNAQEL\n"
			       "BQAwFjEUMBIGA1UEAwwLcnNhLmV4YW1wbGUwIBcNMjYxMTIyMTQzNDE2WhgPMjEy\n"
			       "NjEwMjkxNDM0MTZaMBYxFDASBgNVBAMMC3JzYS5leGFtcGxlMIIBIjANBgkqhkiG\n"
			       "9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0mXrrrO0c0BkDAYtzSPjhzK44ojIMaFunk78\n"
			       "ugWgqrW8NHlPLfOI5QCPWBcoHMsN3jUJAzwFFo47xU6PLW2G3k7DWegFcpIrDGlO\n"
			       "DKg6FzEQQaXE7RxWSWazyUsQKtlLptuyXl/JzKCZzhsEKNCJIxOwXMJfqEOWDMGN\n"
			       "mONlISZUouRSpgsKgowOJOVGE4OP1Mae8IZgm321JEjs6QDFCxpKUkOufNm3GOV/\n"
			       "jMVCysQ9iyfjQzWr8bMs8ICw09mMKbq+/7nKNG2s1MJYIlTXmGFh4ByLmdSkJtLh\n"
			       "MZI8u6CdZ4Wo/ZalxhoDd4UnnhulW1su4RjgBuOE4A1+snV/RwIDAQABo2swaTAd\n"
			       "BgNVHQ4EFgQUQG1qukTlFfp0d/5jLcqK0/pccJowHwYDVR0jBBgwFoAUQG1qukTl\n"
			       "Ffp0d/5jLcqK0/pccJowDwYDVR0TAQH/BAUwAwEB/zAWBgNVHREEDzANggtyc2Eu\n"
			       "ZXhhbXBsZTANBgkqhkiG9w0BAQsFAAOCAQEAB6Q+JceBn0GLgFueskCXcmwFKZOa\n"
			       "tiQBakRRb2ZNXJoVUAQfIB6NrOuFLG43Frxvnom59XDs3JWvhJ6n4DdVEnXG0ipz\n"
			       "Qj/SICB2PF/uVhNc6F7V7si72gXKVhDRsFS/C4R2Xn9pJHpApuB+PFr5zKmcSQR6\n"
			       "md2coAQkOP5s37UVBZ+ocj5XfHCZ74CpsxbTDxUwJo9GC6tcNtKcSaz/OwtdYSmV\n"
			       "2oYEjVdktna57stSo9KN0lN9JqTUj5zT0Uqpdr9SDL7HqcsiusLxKQLTzZmpyB8j\n"
			       "oJrdW8fiQ9W2dwKOGf4QAU+/XhyRvVi0GLXqw0ebd6/FJt7y4Cm+Y9TuOw==\n"
			       "-----END CERTIFICATE-----\n";

struct file {
	char path[300];
};

static struct file write_file(const char *name, const char *a, const char *b)
{
	struct file f;
	FILE *out;

	snprintf(f.path, sizeof(f.path), "%s/%s", unit_tmpdir(), name);
	out = fopen(f.path, "w");
	REQUIRE(out != NULL);
	REQUIRE(fputs(a, out) >= 0 && fputs(b, out) >= 0 && fclose(out) == 0);
	return f;
}

static struct tls_context *server_context(const char *cert, const char *key, int min_version)
{
	struct tls_server_config config = {
		.cert_file = cert, .key_file = key, .min_version = min_version
	};
	char *error = NULL;
	struct tls_context *ctx = tls_server_context(&config, &error);

	CHECK_STR(error, NULL);
	REQUIRE(ctx != NULL);
	return ctx;
}

static struct tls_client *client_of_all(void)
{
	struct buf error = BUF_INIT;
	struct tls_client *c = tls_client_new(&(struct tls_client_config){ .depth = 9 }, &error);

	REQUIRE(c != NULL);
	return c;
}

static struct tls_pair new_pair(
	struct tls_context *server, struct tls_client *client, const char *name)
{
	return tls_pair_new(server, client,
		&(struct tls_target){ .server_name = name, .min_version = 12, .max_version = 12 });
}

TEST(tls, handshake_and_talk)
{
	static const struct {
		const char *name, *key, *cert, *cipher;
	} rows[] = {
		{ "ec", ec_key, ec_cert, "ECDHE-ECDSA-" },
		{ "rsa", rsa_key, rsa_cert, "ECDHE-RSA-" },
	};
	struct tls_client *client = client_of_all();

	for (size_t i = 0; i < 2; i++) {
		struct file f = write_file(rows[i].name, rows[i].key, rows[i].cert);
		struct tls_context *server = server_context(f.path, "", 12);
		struct tls_pair p = new_pair(server, client, "any.name");

		CHECK_ROW(rows[i].name);
		CHECK(tls_is_up(p.server) && tls_is_up(p.client));
		CHECK_STR(tls_version_name(p.server), "TLSv1.2");
		CHECK(strncmp(tls_cipher_name(p.server), rows[i].cipher, strlen(rows[i].cipher)) ==
			0);
		CHECK_STR(tls_cipher_name(p.client), tls_cipher_name(p.server));
		CHECK(tls_cipher_bits(p.server) >= 128);
		tls_pair_talk(&p);
		tls_close_notify(p.client, &p.up);
		tls_pair_turn(&p);
		CHECK_INT(p.server_rc, 0);
		tls_pair_free(&p);
		tls_context_free(server);
	}
	tls_client_free(client);
}

TEST(tls, not_tls)
{
	struct file f = write_file("ec", ec_key, ec_cert);
	struct tls_context *server = server_context(f.path, "", 12);
	struct tls *t = tls_new_server(server);
	struct buf wire = BUF_INIT, none = BUF_INIT, out = BUF_INIT;

	buf_adds(&wire, "GET / HTTP/1.0\r\nHost: mail.test.example\r\n\r\n");
	CHECK_INT(tls_process(t, &wire, &none, &none, &out), -1);
	CHECK(tls_error(t)[0] != '\0');
	CHECK(!tls_is_up(t));
	buf_free(&wire);
	buf_free(&out);
	tls_free(t);
	tls_context_free(server);
}

TEST(tls, bad_files)
{
	struct file lone = write_file("lone", ec_cert, ""),
		    mixed = write_file("mixed", rsa_key, ec_cert);
	struct file empty = write_file("empty", "", ""),
		    cut = write_file("cut", "-----BEGIN CERTIFICATE-----\nMIIB\n", "");
	const char *const paths[] = { lone.path, mixed.path, empty.path, cut.path,
		"/nonexistent/x.pem" };
	const char *const words[] = { "no private key", "does not belong", "no certificate",
		"line 1: the certificate is damaged", "No such file" };

	for (size_t i = 0; i < 5; i++) {
		struct tls_server_config config = { .cert_file = paths[i], .min_version = 12 };
		char *error = NULL;

		CHECK_ROW(paths[i]);
		CHECK(tls_server_context(&config, &error) == NULL);
		REQUIRE(error != NULL);
		CHECK(strstr(error, words[i]) != NULL);
		CHECK(strstr(error, paths[i]) != NULL);
		mem_free(error);
	}
}

TEST(tls, certificate_is_replaced)
{
	struct file f = write_file("cert", ec_key, ec_cert);
	struct tls_context *server = server_context(f.path, "", 12);
	struct tls_client *client = client_of_all();
	struct tls_pair old = new_pair(server, client, "x"), p;

	log_open("unit", LOG_TO_STDERR);
	CHECK_INT(tls_context_refresh(server), TLS_SAME);
	sleep(1); /* files are looked at once a second */
	(void)write_file("cert", "rubbish\n", "");
	CHECK_INT(tls_context_refresh(server), TLS_BAD);
	CHECK_INT(tls_context_refresh(server), TLS_SAME);
	p = new_pair(server, client, "x");
	CHECK(strncmp(tls_cipher_name(p.server), "ECDHE-ECDSA", 11) == 0);
	tls_pair_free(&p);
	sleep(1);
	(void)write_file("cert", rsa_key, rsa_cert);
	CHECK_INT(tls_context_refresh(server), TLS_LOADED);
	p = new_pair(server, client, "x");
	CHECK(strncmp(tls_cipher_name(p.server), "ECDHE-RSA", 9) == 0);
	tls_pair_free(&p);
	tls_pair_talk(&old); /* what is under way keeps its key */
	tls_pair_free(&old);
	tls_context_free(server);
	tls_client_free(client);
}
