/*
 * test_dial - addresses that answer, refuse and hang, names that are late, TLS, and callers who
 * change their mind
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unixsock.h"
#include "net/stream_tls.h"
#include "dial_util.h"
#include "test_cert.h"
#include "unit.h"

static const char *text(char out[200], const char *fmt, const char *address, int port)
{
	snprintf(out, 200, fmt, address, port);
	return out;
}

/* ---- One address ---- */

TEST(dial, connects_to_an_address)
{
	struct dial_rig r;

	dial_rig_open(&r, "127.0.0.1");
	r.config.host = "127.0.0.1";
	(void)dial_rig_all(&r);
	CHECK_INT(r.status, DIAL_OK);
	CHECK_STR(r.error, "");
	CHECK_STR(r.address, "127.0.0.1");
	CHECK_STR(r.local, "127.0.0.1");
	CHECK_INT(r.port, r.our_port);
	CHECK(r.local_port > 0 && r.local_port != r.our_port);
	CHECK_STR(r.tried, "127.0.0.1=ok");
	dial_rig_talk(&r);
	dial_rig_close(&r);
}

TEST(dial, is_refused)
{
	char want[200];
	struct dial_rig r;

	dial_rig_open(&r, "127.0.0.1");
	close(r.listener);
	r.listener = dup(0);
	r.config.host = "127.0.0.1";
	(void)dial_rig_all(&r);
	CHECK_INT(r.status, DIAL_FAILED);
	CHECK_STR(r.error,
		text(want, "connect to 127.0.0.1[%s]:%d: Connection refused", "127.0.0.1",
			r.our_port));
	CHECK_STR(r.tried, "127.0.0.1=refused");
	dial_rig_close(&r);
}

TEST(dial, binds_its_own_address)
{
	struct dial_rig r;

	dial_rig_open(&r, "127.0.0.1");
	r.config.host = "127.0.0.1";
	r.config.bind_v4 = "127.0.0.9";
	(void)dial_rig_all(&r);
	CHECK_INT(r.status, DIAL_OK);
	CHECK_STR(r.local, "127.0.0.9");
	dial_rig_close(&r);

	dial_rig_open(&r, "127.0.0.1");
	r.config.host = "127.0.0.1";
	r.config.bind_v4 = "192.0.2.1";
	(void)dial_rig_all(&r);
	CHECK_INT(r.status, DIAL_FAILED);
	CHECK_STR(r.tried, "127.0.0.1=notavail");
	dial_rig_close(&r);

	dial_rig_open(&r, "127.0.0.1");
	r.config.host = "127.0.0.1";
	r.config.bind_v4 = "::1";
	(void)dial_rig_all(&r);
	CHECK_STR(r.tried, "127.0.0.1=notavail");
	dial_rig_close(&r);
}

TEST(dial, addresses_may_have_a_zone)
{
	static const struct {
		const char *host;
		const char *tried;
	} rows[] = {
		{ "::1%lo", "::1%lo=ok" },
		{ "::1%1", "::1%1=ok" },
		{ "::1%nosuch0", "::1%nosuch0=other" },
		{ "::1%", "::1%=other" },
		{ "::1%0", "::1%0=other" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dial_rig r;

		CHECK_ROW(rows[i].host);
		dial_rig_open(&r, "::1");
		r.config.addresses = &rows[i].host;
		r.config.address_count = 1;
		(void)dial_rig_all(&r);
		CHECK_STR(r.tried, rows[i].tried);
		dial_rig_close(&r);
	}
	CHECK_ROW(NULL);
}

/* ---- Several ---- */

TEST(dial, tries_the_next_when_one_refuses)
{
	static const char *const addresses[] = { "::1", "127.0.0.7", "nonsense", "127.0.0.1",
		"127.0.0.2" };
	struct dial_rig r;

	dial_rig_open(&r, "127.0.0.1");
	r.config.addresses = addresses;
	r.config.address_count = 5;
	r.config.name = "mx.example";
	CHECK(dial_rig_all(&r) < 200);
	CHECK_INT(r.status, DIAL_OK);
	CHECK_STR(r.address, "127.0.0.1");
	CHECK(strstr(r.tried, "127.0.0.7=refused nonsense=other 127.0.0.1=ok") != NULL);
	dial_rig_talk(&r);
	dial_rig_close(&r);
}

TEST(dial, names_the_last_when_all_refuse)
{
	static const char *const addresses[] = { "127.0.0.7", "127.0.0.8" };
	char want[200];
	struct dial_rig r;

	dial_rig_open(&r, "127.0.0.1");
	r.config.addresses = addresses;
	r.config.address_count = 2;
	r.config.name = "mx.example";
	(void)dial_rig_all(&r);
	CHECK_INT(r.status, DIAL_FAILED);
	CHECK_STR(r.tried, "127.0.0.7=refused 127.0.0.8=refused");
	CHECK_STR(r.error,
		text(want, "connect to mx.example[%s]:%d: Connection refused", "127.0.0.8",
			r.our_port));
	CHECK_STR(r.address, "127.0.0.8");
	dial_rig_close(&r);
}

TEST(dial, does_not_wait_for_one_that_hangs)
{
	static const char *const addresses[] = { "127.0.0.2", "127.0.0.1" };
	struct dial_rig r;
	int64_t took;

	dial_rig_open(&r, "127.0.0.1");
	dial_rig_hang(&r, "127.0.0.2");
	r.config.addresses = addresses;
	r.config.address_count = 2;
	took = dial_rig_all(&r);
	CHECK(took >= 245 && took < 900);
	CHECK_INT(r.status, DIAL_OK);
	CHECK_STR(r.tried, "127.0.0.2=ok 127.0.0.1=ok");
	CHECK_STR(r.address, "127.0.0.1");
	dial_rig_talk(&r);
	dial_rig_close(&r);
}

TEST(dial, the_first_may_still_win)
{
	static const char *const addresses[] = { "127.0.0.2", "127.0.0.7" };
	struct dial_rig r;
	int fd;

	dial_rig_open(&r, "127.0.0.1");
	dial_rig_hang(&r, "127.0.0.2");
	r.config.addresses = addresses;
	r.config.address_count = 2;
	r.config.delay_ms = 20;
	dial_rig_start(&r);
	dial_rig_turns(&r, 20);
	CHECK_INT(r.called, 0);
	/* Room in its backlog: the kernel's second try is heard. */
	for (size_t i = 0; i < HANGERS; i++) {
		close(r.hangers[i]);
		r.hangers[i] = -1;
	}
	while ((fd = accept(r.hanger, NULL, NULL)) >= 0) {
		close(fd);
	}
	(void)dial_rig_finish(&r);
	CHECK_INT(r.status, DIAL_OK);
	CHECK_STR(r.tried, "127.0.0.7=refused 127.0.0.2=ok");
	CHECK_STR(r.address, "127.0.0.2");
	dial_rig_close(&r);
}

TEST(dial, one_after_the_other)
{
	static const char *const addresses[] = { "127.0.0.2", "127.0.0.1" };
	struct dial_rig r;
	int64_t took;

	dial_rig_open(&r, "127.0.0.1");
	dial_rig_hang(&r, "127.0.0.2");
	r.config.addresses = addresses;
	r.config.address_count = 2;
	r.config.delay_ms = -1;
	r.config.attempt_ms = 500;
	took = dial_rig_all(&r);
	CHECK(took >= 495 && took < 1500);
	CHECK_STR(r.tried, "127.0.0.2=timeout 127.0.0.1=ok");
	dial_rig_close(&r);
}

TEST(dial, all_of_it_has_a_deadline)
{
	char want[200];
	struct dial_rig r;
	int64_t took;

	dial_rig_open(&r, "127.0.0.1");
	dial_rig_hang(&r, "127.0.0.2");
	r.config.host = "127.0.0.2";
	r.config.total_ms = 100;
	took = dial_rig_all(&r);
	CHECK(took >= 95 && took < 800);
	CHECK_INT(r.status, DIAL_FAILED);
	CHECK_STR(r.tried, "127.0.0.2=timeout");
	snprintf(want, sizeof(want), "connect to 127.0.0.2[127.0.0.2]:%d: %s", r.our_port,
		strerror(ETIMEDOUT));
	CHECK_STR(r.error, want);
	dial_rig_close(&r);
}

/* ---- Names ---- */

/* resolves - the tries that dialling this name makes; how long it took */
static int64_t resolves(const char *listener, const char *name, bool v4_first, bool no_v6,
	enum dial_status status, const char *tried)
{
	struct dial_rig r;
	int64_t took;

	CHECK_ROW(name);
	dial_rig_open(&r, listener);
	dial_rig_name_server(&r);
	r.config.host = name;
	r.config.v4_first = v4_first;
	r.config.no_v6 = no_v6;
	took = dial_rig_all(&r);
	CHECK_INT(r.status, status);
	CHECK_STR(r.tried, tried);
	CHECK((*r.error == '\0') == (status == DIAL_OK));
	if (status != DIAL_OK) {
		CHECK(strstr(r.error, name) != NULL);
	}
	dial_rig_close(&r);
	CHECK_ROW(NULL);
	return took;
}

TEST(dial, asks_for_both_families)
{
	int64_t took;

	/* 6 is waited for a little, though 4 was there before. */
	(void)resolves("::1", "both.example", false, false, DIAL_OK, "::1=ok");
	(void)resolves(
		"127.0.0.1", "both.example", false, false, DIAL_OK, "::1=refused 127.0.0.1=ok");
	(void)resolves("127.0.0.1", "both.example", true, false, DIAL_OK, "127.0.0.1=ok");
	(void)resolves("127.0.0.1", "both.example", false, true, DIAL_OK, "127.0.0.1=ok");
	/* But not for ever. */
	took = resolves("127.0.0.1", "late6.example", false, false, DIAL_OK, "127.0.0.1=ok");
	CHECK(took >= 48 && took < 300);
	took = resolves("127.0.0.1", "never6.example", false, false, DIAL_OK, "127.0.0.1=ok");
	CHECK(took >= 48 && took < 300);
	/* What comes late is tried when nothing else is left. */
	took = resolves("::1", "late6.example", false, false, DIAL_OK, "127.0.0.1=refused ::1=ok");
	CHECK(took >= 390);
	took = resolves("::1", "only6.example", true, false, DIAL_OK, "::1=ok");
	CHECK(took < 300);
}

TEST(dial, families_take_turns)
{
	struct dial_rig r;

	/* Skipped where there is no IPv6. */
	dial_rig_open(&r, "::1");
	dial_rig_close(&r);
	(void)resolves("127.0.0.3", "many.example", true, false, DIAL_OK,
		"127.0.0.2=refused ::1=refused 127.0.0.3=ok");
}

TEST(dial, names_that_are_not_there)
{
	(void)resolves("127.0.0.1", "none.example", false, false, DIAL_NOT_FOUND, "");
	(void)resolves("127.0.0.1", "only6.example", false, true, DIAL_NOT_FOUND, "");
	(void)resolves("127.0.0.1", "ill.example", false, false, DIAL_TRY_AGAIN, "");
}

TEST(dial, a_name_server_that_is_silent)
{
	struct dial_rig r;
	int64_t took;

	dial_rig_open(&r, "127.0.0.1");
	dial_rig_name_server(&r);
	r.config.host = "dead.example";
	r.config.total_ms = 100;
	took = dial_rig_all(&r);
	CHECK(took >= 95 && took < 800);
	CHECK_INT(r.status, DIAL_TRY_AGAIN);
	CHECK(strstr(r.error, "dead.example") != NULL);
	dial_rig_close(&r);
}

TEST(dial, knows_localhost)
{
	struct dial_rig r;

	dial_rig_open(&r, "127.0.0.1");
	r.config.host = "localhost";
	(void)dial_rig_all(&r);
	CHECK_INT(r.status, DIAL_OK);
	CHECK_STR(r.address, "127.0.0.1");
	dial_rig_close(&r);
}

/* ---- Unix sockets ---- */

TEST(dial, connects_to_a_path)
{
	char path[4096], want[4200];
	struct dial_rig r;

	dial_rig_open(&r, "127.0.0.1");
	snprintf(path, sizeof(path), "%s/sock", unit_tmpdir());
	r.config.path = path;
	(void)dial_rig_all(&r);
	CHECK_INT(r.status, DIAL_FAILED);
	snprintf(want, sizeof(want), "connect to %s: No such file or directory", path);
	CHECK_STR(r.error, want);
	close(r.listener);
	r.listener = unix_listen(path, 0600);
	r.called = 0;
	(void)dial_rig_all(&r);
	CHECK_INT(r.status, DIAL_OK);
	CHECK_STR(r.address, "");
	CHECK_STR(r.tried, "");
	dial_rig_talk(&r);
	dial_rig_close(&r);
}

TEST(dial, waits_for_a_backlog)
{
	char path[4096];
	struct dial_rig r;
	int fds[3], fd;

	dial_rig_open(&r, "127.0.0.1");
	snprintf(path, sizeof(path), "%s/sock", unit_tmpdir());
	close(r.listener);
	r.listener = unix_listen(path, 0600);
	CHECK(listen(r.listener, 0) == 0);
	fds[0] = unix_connect(path);
	CHECK(fds[0] >= 0);
	CHECK_INT(unix_connect(path), -1);
	CHECK_INT(errno, EAGAIN);
	r.config.path = path;
	dial_rig_start(&r);
	dial_rig_turns(&r, 5);
	CHECK_INT(r.called, 0);
	fd = accept(r.listener, NULL, NULL);
	(void)dial_rig_finish(&r);
	CHECK_INT(r.status, DIAL_OK);
	close(fd);
	close(fds[0]);
	dial_rig_close(&r);
}

/* ---- TLS ---- */

static void write_pem(char path[4096], const char *name, const char *pem)
{
	FILE *f;

	snprintf(path, 4096, "%s/%s", unit_tmpdir(), name);
	f = fopen(path, "w");
	REQUIRE(f != NULL && fputs(pem, f) >= 0 && fclose(f) == 0);
}

static void begin_tls(struct stream *s, void *arg)
{
	struct dial_rig *r = arg;
	struct buf error = BUF_INIT;
	struct tls *t = tls_client_start(r->client_tls, &r->target, &error);

	REQUIRE(t != NULL);
	stream_tls(s, t);
}

/* use_tls - the certificate has to be for *name, which lives on */
static void use_tls(struct dial_rig *r, const char *const *name)
{
	char cert[4096], key[4096], *error = NULL;
	struct buf text = BUF_INIT;

	write_pem(cert, "cert.pem", ec_cert);
	write_pem(key, "key.pem", ec_key);
	r->server_tls = tls_server_context(
		&(struct tls_server_config){
			.cert_file = cert, .key_file = key, .min_version = 12 },
		&error);
	r->client_tls =
		tls_client_new(&(struct tls_client_config){ .ca_file = cert, .depth = 9 }, &text);
	REQUIRE(r->server_tls != NULL && r->client_tls != NULL);
	r->target = (struct tls_target){ .proof = TLS_PROOF_NAMES,
		.names = name,
		.name_count = 1,
		.min_version = 12,
		.max_version = 12 };
	r->config.host = "127.0.0.1";
	r->config.begin_tls = begin_tls;
	r->config.tls_arg = r;
}

static const char *const right = "test.example", *const wrong = "other.example";

/* accept_tls - the server, which greets under TLS, as one does that speaks first */
static void accept_tls(struct dial_rig *r)
{
	int fd = -1;

	for (int i = 0; i < 100 && fd < 0; i++) {
		loop_turn(r->loop, DIAL_TURN_MS);
		fd = accept4(r->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	REQUIRE(fd >= 0);
	stream_open(&r->server, fd);
	buf_adds(&r->server.out, "220 hello");
	stream_tls(&r->server, tls_new_server(r->server_tls));
}

TEST(dial, begins_tls)
{
	struct dial_rig r;

	dial_rig_open(&r, "127.0.0.1");
	use_tls(&r, &right);
	CHECK(stream_tls_engine(r.s) == NULL);
	dial_rig_start(&r);
	accept_tls(&r);
	(void)dial_rig_finish(&r);
	CHECK_INT(r.status, DIAL_OK);
	CHECK_STR(r.address, "127.0.0.1");
	CHECK_STR(tls_version_name(stream_tls_engine(r.s)), "TLSv1.2");
	CHECK_INT(tls_peer(stream_tls_engine(r.s))->status, TLS_PEER_VERIFIED);
	dial_rig_turns(&r, 5);
	/* The greeting may have come with the end of the handshake. */
	CHECK_STR(r.heard, "220 hello");
	buf_adds(&r.s->out, "EHLO");
	CHECK_INT(stream_flush(r.s), 0);
	dial_rig_turns(&r, 5);
	CHECK_STR(r.secret, "EHLO");
	stream_finish(r.s);
	dial_rig_turns(&r, 5);
	CHECK_INT(r.why, STREAM_DONE);
	CHECK_INT(r.server.fd, -1);
	dial_rig_close(&r);
}

TEST(dial, the_certificate_names_another)
{
	struct dial_rig r;

	dial_rig_open(&r, "127.0.0.1");
	use_tls(&r, &wrong);
	dial_rig_start(&r);
	accept_tls(&r);
	(void)dial_rig_finish(&r);
	CHECK_INT(r.status, DIAL_OK); /* whether that will do is for the caller to say */
	CHECK(!tls_peer(stream_tls_engine(r.s))->matched);
	CHECK_STR(tls_peer(stream_tls_engine(r.s))->reason, "num=62:hostname mismatch");
	dial_rig_close(&r);
}

TEST(dial, the_peer_speaks_no_tls)
{
	struct dial_rig r;
	int fd;

	dial_rig_open(&r, "127.0.0.1");
	use_tls(&r, &right);
	dial_rig_start(&r);
	dial_rig_turns(&r, 5);
	fd = accept(r.listener, NULL, NULL);
	CHECK_INT(write(fd, "220 mail.example ESMTP\r\n", 24), 24);
	(void)dial_rig_finish(&r);
	CHECK_INT(r.status, DIAL_TLS_FAILED);
	CHECK(r.s->class == &dial_rig_caller && r.s->owner == &r);
	CHECK(strstr(r.error, "TLS handshake with 127.0.0.1[127.0.0.1]:") == r.error);
	CHECK_STR(r.address, "127.0.0.1");
	close(fd);
	dial_rig_close(&r);

	dial_rig_open(&r, "127.0.0.1");
	use_tls(&r, &right);
	dial_rig_start(&r);
	dial_rig_turns(&r, 5);
	close(accept(r.listener, NULL, NULL));
	(void)dial_rig_finish(&r);
	CHECK_INT(r.status, DIAL_TLS_FAILED);
	dial_rig_close(&r);

	dial_rig_open(&r, "127.0.0.1");
	use_tls(&r, &right);
	r.config.total_ms = 60;
	(void)dial_rig_all(&r);
	CHECK_INT(r.status, DIAL_TLS_FAILED);
	CHECK(strstr(r.error, "timed out") != NULL);
	dial_rig_close(&r);
}

/* ---- Changes of mind ---- */

/* cancelled - after so many turns; nothing is told, nothing is left */
static void cancelled(struct dial_rig *r, int turns)
{
	dial_rig_start(r);
	dial_rig_turns(r, turns);
	CHECK_INT(r->called, 0);
	dial_cancel(r->dial);
	r->dial = NULL;
	CHECK_INT(r->s->fd, -1);
	CHECK(r->s->class == &dial_rig_caller && r->s->owner == r);
	dial_rig_turns(r, 5);
	CHECK_INT(r->called, 0);
	dial_rig_close(r);
}

TEST(dial, is_cancelled_at_any_moment)
{
	static const char *const addresses[] = { "127.0.0.2", "127.0.0.2" };
	char path[4096];
	struct dial_rig r;

	dial_rig_open(&r, "127.0.0.1");
	r.config.host = "127.0.0.1";
	cancelled(&r, 0);

	dial_rig_open(&r, "127.0.0.1");
	dial_rig_name_server(&r);
	r.config.host = "dead.example";
	cancelled(&r, 5);

	/* One family has answered. */
	dial_rig_open(&r, "127.0.0.1");
	dial_rig_name_server(&r);
	r.config.host = "only6.example";
	r.config.total_ms = 1000;
	cancelled(&r, 2);

	dial_rig_open(&r, "127.0.0.1");
	dial_rig_hang(&r, "127.0.0.2");
	r.config.addresses = addresses;
	r.config.address_count = 2;
	r.config.delay_ms = 5;
	r.config.attempt_ms = r.config.total_ms = 3000;
	cancelled(&r, 10);

	dial_rig_open(&r, "127.0.0.1");
	use_tls(&r, &right);
	cancelled(&r, 5);

	dial_rig_open(&r, "127.0.0.1");
	snprintf(path, sizeof(path), "%s/sock", unit_tmpdir());
	close(r.listener);
	r.listener = unix_listen(path, 0600);
	(void)listen(r.listener, 0);
	r.hangers[0] = unix_connect(path);
	r.config.path = path;
	cancelled(&r, 5);
	close(r.hangers[0]);
}

TEST(dial, is_cancelled_inside_its_answer)
{
	for (int in_fn = FN_CANCEL; in_fn <= FN_FREE; in_fn++) {
		struct dial_rig r;

		dial_rig_open(&r, "127.0.0.1");
		r.config.host = "127.0.0.1";
		r.in_fn = in_fn;
		(void)dial_rig_all(&r);
		CHECK_INT(r.status, DIAL_OK);
		dial_rig_turns(&r, 5);
		dial_rig_close(&r);

		dial_rig_open(&r, "127.0.0.1");
		use_tls(&r, &right);
		r.in_fn = in_fn;
		dial_rig_start(&r);
		accept_tls(&r);
		(void)dial_rig_finish(&r);
		CHECK_INT(r.status, DIAL_OK);
		dial_rig_turns(&r, 5);
		dial_rig_close(&r);

		dial_rig_open(&r, "127.0.0.1");
		r.config.host = "127.0.0.7";
		r.in_fn = in_fn;
		(void)dial_rig_all(&r);
		CHECK_INT(r.status, DIAL_FAILED);
		dial_rig_turns(&r, 5);
		dial_rig_close(&r);
	}
}
