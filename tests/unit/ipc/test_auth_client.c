/*
 * test_auth_client - the auth process goes away at every moment, and another one comes
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "ipc/auth_client.h"
#include "unit.h"

enum { TURNS_MAX = 200, TURN_MS = 10 };

/* A server that the test plays itself, and what its client was told. */
struct rig {
	struct loop *loop;
	struct auth_client *client;
	int listener, server; /* server: the connection, -1 none */
	char got[16384];
	int answers;
	enum auth_result result;
	char user[64], reason[200];
	unsigned long server_pid;
};

static void rig_open(struct rig *r)
{
	char path[4096];

	memset(r, 0, sizeof(*r));
	snprintf(path, sizeof(path), "%s/auth", unit_tmpdir());
	r->loop = loop_new();
	r->server = -1;
	/* It is not there yet: no waiting for its greeting. */
	r->client = auth_client_new(r->loop, path);
	r->listener = unix_listen(path, 0600);
	REQUIRE(r->listener >= 0);
}

static void rig_close(struct rig *r)
{
	auth_client_free(r->client);
	loop_free(r->loop);
	close(r->listener);
	if (r->server >= 0) {
		close(r->server);
	}
}

static void on_reply(void *arg, const struct auth_reply *reply)
{
	struct rig *r = arg;

	r->answers++;
	r->result = reply->result;
	r->server_pid = reply->server_pid;
	snprintf(r->user, sizeof(r->user), "%s", reply->user);
	snprintf(r->reason, sizeof(r->reason), "%s", reply->reason);
}

static struct auth_request *ask(struct rig *r)
{
	const struct auth_params p = { .service = "imap",
		.mech = "PLAIN",
		.initial = "AHUAcA==",
		.remote_ip = "",
		.local_ip = "" };

	return auth_start(r->client, &p, on_reply, r);
}

/* serve - accept and greet as process pid; false: nobody comes */
static bool serve(struct rig *r, int pid)
{
	for (int i = 0; i < TURNS_MAX && r->server < 0; i++) {
		loop_turn(r->loop, TURN_MS);
		r->server = accept4(r->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	if (r->server < 0) {
		return false;
	}
	return dprintf(r->server,
		       "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t%d\nCUID\t1\n"
		       "COOKIE\tabc\nDONE\n",
		       pid) > 0;
}

/* hear - turns until the client has sent a text; true: it came */
static bool hear(struct rig *r, const char *text)
{
	size_t len = 0;

	r->got[0] = '\0';
	for (int i = 0; i < TURNS_MAX && strstr(r->got, text) == NULL; i++) {
		ssize_t n;

		loop_turn(r->loop, TURN_MS);
		n = read(r->server, r->got + len, sizeof(r->got) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
		r->got[len] = '\0';
	}
	return strstr(r->got, text) != NULL;
}

static void go_away(struct rig *r)
{
	close(r->server);
	r->server = -1;
}

static void turns_until_answer(struct rig *r)
{
	for (int i = 0; i < TURNS_MAX && r->answers == 0; i++) {
		loop_turn(r->loop, TURN_MS);
	}
}

TEST(auth_client, asks_the_successor)
{
	struct rig r;

	rig_open(&r);
	(void)ask(&r);
	REQUIRE(serve(&r, 100));
	REQUIRE(hear(&r, "AUTH\t1\tPLAIN\t"));
	go_away(&r);
	REQUIRE(serve(&r, 101));
	CHECK(hear(&r, "AUTH\t1\tPLAIN\tservice=imap\tresp=AHUAcA==\n"));
	CHECK_INT(r.answers, 0);
	dprintf(r.server, "OK\t1\tuser=u\n");
	turns_until_answer(&r);
	CHECK_INT(r.answers, 1);
	CHECK_INT(r.result, AUTH_OK);
	CHECK_STR(r.user, "u");
	CHECK_INT((long long)r.server_pid, 101);
	/* Nothing is open: the next one comes back by itself, and with the right process. */
	go_away(&r);
	r.answers = 0;
	loop_turn(r.loop, 0);
	(void)ask(&r);
	REQUIRE(serve(&r, 102));
	CHECK(hear(&r, "AUTH\t2\tPLAIN\t"));
	CHECK(strstr(r.got, "AUTH\t1\t") == NULL);
	dprintf(r.server, "FAIL\t2\tuser=u\n");
	turns_until_answer(&r);
	CHECK_INT(r.result, AUTH_FAIL);
	CHECK_INT((long long)r.server_pid, 102);
	rig_close(&r);
}

TEST(auth_client, gives_up_in_the_end)
{
	struct rig r;
	int served = 0;

	rig_open(&r);
	(void)ask(&r);
	while (r.answers == 0 && served < 20 && serve(&r, 100)) {
		served++;
		go_away(&r);
	}
	turns_until_answer(&r);
	CHECK_INT(r.answers, 1);
	CHECK_INT(r.result, AUTH_TEMPFAIL);
	CHECK(served >= 2 && served <= 5);
	rig_close(&r);
}

TEST(auth_client, an_exchange_is_not_begun_anew)
{
	struct auth_request *request;
	struct rig r;

	rig_open(&r);
	request = ask(&r);
	REQUIRE(serve(&r, 100));
	REQUIRE(hear(&r, "AUTH\t1\t"));
	dprintf(r.server, "CONT\t1\tPDE+\n");
	turns_until_answer(&r);
	CHECK_INT(r.result, AUTH_CONTINUE);
	auth_continue(request, "cmVwbHk=");
	CHECK(hear(&r, "CONT\t1\tcmVwbHk=\n"));
	r.answers = 0;
	go_away(&r);
	turns_until_answer(&r);
	CHECK_INT(r.answers, 1);
	CHECK_INT(r.result, AUTH_TEMPFAIL);
	CHECK_INT(accept4(r.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), -1);
	rig_close(&r);
}

TEST(auth_client, several_at_once)
{
	struct rig r;

	rig_open(&r);
	for (int i = 0; i < 50; i++) {
		(void)ask(&r);
	}
	REQUIRE(serve(&r, 100));
	REQUIRE(hear(&r, "AUTH\t1\t"));
	go_away(&r);
	REQUIRE(serve(&r, 101));
	CHECK(hear(&r, "AUTH\t1\t"));
	for (int i = 1; i <= 50; i++) {
		dprintf(r.server, "OK\t%d\tuser=u\n", i);
	}
	for (int i = 0; i < TURNS_MAX && r.answers < 50; i++) {
		loop_turn(r.loop, TURN_MS);
	}
	CHECK_INT(r.answers, 50);
	CHECK_INT(r.result, AUTH_OK);
	rig_close(&r);
}

/* What it has granted is not asked for again: nobody would take the first grant. */
TEST(auth_client, an_answer_before_the_end_counts)
{
	struct rig r;

	rig_open(&r);
	(void)ask(&r);
	REQUIRE(serve(&r, 100));
	REQUIRE(hear(&r, "AUTH\t1\t"));
	dprintf(r.server, "OK\t1\tuser=u\n");
	go_away(&r);
	(void)ask(&r); /* which finds that nobody reads any more */
	REQUIRE(serve(&r, 101));
	CHECK_INT(r.answers, 1);
	CHECK_INT((long long)r.server_pid, 100);
	CHECK(hear(&r, "AUTH\t2\t"));
	CHECK(strstr(r.got, "AUTH\t1\t") == NULL);
	rig_close(&r);
}

/* What a client is shown, or what comes into a header, is one line and what it has to be. */
TEST(auth_client, odd_answers)
{
	static const struct {
		const char *answer;
		enum auth_result result;
		const char *user;
	} rows[] = {
		{ "OK\t%d\tuser=u\n", AUTH_OK, "u" },
		{ "OK\t%d\n", AUTH_TEMPFAIL, "" },
		{ "OK\t%d\tuser=\n", AUTH_TEMPFAIL, "" },
		{ "OK\t%d\tuser=u\001r\001nX: y\n", AUTH_TEMPFAIL, "" },
		{ "CONT\t%d\tcj1h\n", AUTH_CONTINUE, "" },
		{ "CONT\t%d\tcj1h\001r\001n250 ok\n", AUTH_TEMPFAIL, "" },
		{ "FAIL\t%d\tuser=u\treason=a\001r\001nb\n", AUTH_FAIL, "u" },
	};
	struct rig r;

	rig_open(&r);
	(void)ask(&r);
	REQUIRE(serve(&r, 100));
	dprintf(r.server, "OK\t1\tuser=u\n");
	turns_until_answer(&r);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct auth_request *request = ask(&r);

		CHECK_ROW(rows[i].answer);
		r.answers = 0;
		dprintf(r.server, rows[i].answer, (int)i + 2);
		turns_until_answer(&r);
		CHECK_INT(r.answers, 1);
		CHECK_INT(r.result, rows[i].result);
		CHECK_STR(r.user, rows[i].user);
		CHECK(strpbrk(r.reason, "\r\n") == NULL);
		if (r.result == AUTH_CONTINUE) {
			auth_cancel(request);
		}
	}
	CHECK_STR(r.reason, "a??b");
	rig_close(&r);
}

/* EHLO shows the names as they are: only what is one, and none in part. */
TEST(auth_client, odd_mechanisms)
{
	struct rig r;

	rig_open(&r);
	(void)ask(&r);
	REQUIRE(serve(&r, 100));
	dprintf(r.server,
		"MECH\tA B\nMECH\tX\001r\001nY\nMECH\t\n"
		"MECH\tSCRAM-SHA-256-PLUS-LONG\n");
	for (int i = 0; i < 100; i++) {
		dprintf(r.server, "MECH\tCRAM-MD5\n");
	}
	dprintf(r.server, "DONE\nOK\t1\tuser=u\n");
	turns_until_answer(&r);
	CHECK_INT(r.answers, 1);
	CHECK(str_starts(auth_client_mechs(r.client, true), "PLAIN CRAM-MD5 CRAM-MD5 "));
	CHECK(str_ends(auth_client_mechs(r.client, true), " CRAM-MD5"));
	rig_close(&r);
}
