/*
 * test_login_handoff - an auth process that has answered one login is gone when the next one asks
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/unixsock.h"
#include "ipc/control.h"
#include "ipc/handoff.h"
#include "applets/admin/dovecot/dovecot.h"
#include "unit.h"

enum { LOGIN_PID = 71, AUTH_PID = 72 };

static struct buf logged;

static void note(const char *severity, const char *text)
{
	(void)severity;
	buf_addf(&logged, "%s;", text);
}

/* log_in - a login that this auth process has granted; the client's end */
static int log_in(struct supervisor *sv, struct sv_child *login, unsigned request)
{
	const struct handoff_login m = { .service = "imap",
		.client_pid = LOGIN_PID,
		.request = request,
		.server_pid = AUTH_PID,
		.cookie = "c",
		.user = request == 1 ? "first" : "second",
		.line = "",
		.refusal = "no\r\n",
		.rip = "192.0.2.1",
		.session = "s",
		.tag = "a",
		.unread = "" };
	struct buf b = BUF_INIT;
	struct wire w;
	size_t size;
	int ends[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	handoff_put_login(&b, &m);
	REQUIRE(wire_next(&b, &w, &size) == 1);
	CHECK_INT(wire_get_int(&w), SERVICE_MSG_LOGIN);
	handoff_message(sv, login, SERVICE_MSG_LOGIN, &w, ends[0]);
	buf_free(&b);
	return ends[1];
}

TEST(login_handoff, what_auth_said_before_it_went_away_is_heard)
{
	struct sv_child auth = { .command = "auth", .pid = AUTH_PID, .relayed = true };
	struct sv_child login = {
		.next = &auth, .command = "imapd", .pid = LOGIN_PID, .relayed = true
	};
	struct supervisor sv = { .loop = loop_new(), .children = &login };
	char text[200];
	int ends[2], peer, one, two;
	size_t count;

	log_set_listener(note);
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	auth.control.fd = ends[0];
	handoff_start(&sv, "", 0);
	one = log_in(&sv, &login, 1);
	REQUIRE(unix_recv_fds(ends[1], text, sizeof(text), &peer, 1, &count) > 0 && count == 1);
	REQUIRE(read(peer, text, sizeof(text)) > 0);
	/* It answers the first, and leaves before the loop comes round. */
	REQUIRE(dprintf(peer, "FAIL\t1\treason=not today\n") > 0);
	close(peer);
	two = log_in(&sv, &login, 2);
	for (int i = 0; i < 5; i++) {
		loop_turn(sv.loop, 1);
	}
	CHECK_STR(buf_str(&logged),
		"imap-login: Error: user=<first>, rip=192.0.2.1: not today;"
		"imap-login: Error: user=<second>, rip=192.0.2.1: the auth process went away;");
	CHECK_INT(read(one, text, sizeof(text)), 4);
	CHECK_INT(read(two, text, sizeof(text)), 4);
	log_set_listener(NULL);
	buf_free(&logged);
	close(one);
	close(two);
	close(ends[0]);
	close(ends[1]);
	loop_free(sv.loop);
}
