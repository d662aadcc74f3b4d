/*
 * test_peer - who may list and flush, where a table says it that takes its time
 *
 * The peers are others than we (their uid is made up); the server of the table is this test.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/unixsock.h"
#include "applets/queue/qmgr/peer.h"
#include "unit.h"

enum { NOBODY_OF_ALL = 54321, HELD_MS = 1000 };

struct rig {
	struct loop *loop;
	struct peers peers;
	int table, asker,
		caller; /* where the table listens; who asks it; the other end of the peer */
	char path[512], list[600], service[512];
	int may, calls; /* peer_is_allowed() and how often it was asked */
};

static void look(struct peer *p)
{
	struct rig *rig = p->peers->owner;

	p->uid = NOBODY_OF_ALL;
	rig->may = peer_is_allowed(p);
	rig->calls++;
	stream_pause(&p->s, rig->may < 0);
}

static bool on_message(struct peer *p, struct wire *w)
{
	(void)w;
	look(p);
	return true;
}

static void on_more(struct peer *p)
{
	look(p);
	p->closing = !p->waits;
}

static void turns(struct rig *rig)
{
	int64_t before = clock_ms();

	for (int i = 0; i < 10; i++) {
		loop_turn(rig->loop, 2);
	}
	/* The table says nothing meanwhile: the loop is for others. */
	CHECK(clock_ms() - before < HELD_MS);
}

static void rig_open(struct rig *rig, bool listing)
{
	memset(rig, 0, sizeof(*rig));
	rig->loop = loop_new();
	rig->may = -2;
	rig->asker = -1;
	snprintf(rig->path, sizeof(rig->path), "%s/table", unit_tmpdir());
	snprintf(rig->service, sizeof(rig->service), "%s/service", unit_tmpdir());
	snprintf(rig->list, sizeof(rig->list), "!root, socketmap:unix:%s:name", rig->path);
	rig->table = unix_listen(rig->path, 0600);
	rig->peers.parameter = "authorized_test_users";
	rig->peers.list = rig->list;
	rig->peers.message = listing ? NULL : on_message;
	rig->peers.known = look;
	rig->peers.more = listing ? on_more : NULL;
	peers_listen(&rig->peers, rig->loop, rig, unix_listen(rig->service, 0600));
	rig->caller = unix_connect(rig->service);
	REQUIRE(rig->table >= 0 && rig->caller >= 0 && fd_set_nonblock(rig->table, true) == 0);
	turns(rig);
}

/* ask - as the peer */
static void ask(struct rig *rig)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b);

	wire_put_int(&b, 1);
	wire_end(&b, mark);
	REQUIRE(write(rig->caller, b.data, b.len) == (ssize_t)b.len);
	buf_free(&b);
	turns(rig);
}

/* asked - the table is asked for this user, and nothing is decided */
static void asked(struct rig *rig)
{
	char text[100];
	ssize_t n;

	CHECK_INT(rig->may, -1);
	rig->asker = accept4(rig->table, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	REQUIRE(rig->asker >= 0);
	turns(rig);
	n = read(rig->asker, text, sizeof(text) - 1);
	REQUIRE(n > 0);
	text[n] = '\0';
	CHECK_STR(text, "12:name unknown,");
}

static void say(struct rig *rig, const char *answer)
{
	REQUIRE(write(rig->asker, answer, strlen(answer)) == (ssize_t)strlen(answer));
	turns(rig);
}

static void rig_close(struct rig *rig)
{
	peers_close(&rig->peers);
	close(rig->table);
	close(rig->asker);
	if (rig->caller >= 0) {
		close(rig->caller);
	}
	loop_free(rig->loop);
}

TEST(peer, who_asks_waits_for_the_table)
{
	struct rig rig;

	rig_open(&rig, false);
	ask(&rig);
	asked(&rig);
	ask(&rig); /* behind the one that waits */
	CHECK_INT(rig.calls, 1);
	say(&rig, "4:OK 1,");
	CHECK_INT(rig.may, -1);
	CHECK_INT(rig.calls, 3); /* the answer to the first; the second asks anew */
	say(&rig, "9:NOTFOUND ,");
	CHECK_INT(rig.may, 0);
	CHECK_INT(rig.calls, 4);
	rig_close(&rig);
}

TEST(peer, who_is_told_waits_for_the_table)
{
	struct rig rig;
	char c;

	rig_open(&rig, true);
	asked(&rig);
	CHECK_INT(rig.calls, 1); /* not again and again */
	CHECK_INT(rig.peers.count, 1);
	say(&rig, "4:OK 1,");
	CHECK_INT(rig.may, 1);
	CHECK_INT(rig.peers.count, 0);
	CHECK_INT(read(rig.caller, &c, 1), 0);
	rig_close(&rig);
}

TEST(peer, one_that_leaves_meanwhile_is_forgotten)
{
	struct rig rig;

	for (int listing = 0; listing < 2; listing++) {
		rig_open(&rig, listing);
		if (!listing) {
			ask(&rig);
		}
		asked(&rig);
		close(rig.caller);
		rig.caller = -1;
		turns(&rig);
		say(&rig, "4:OK 1,");
		CHECK_INT(rig.peers.count, 0);
		rig_close(&rig);
		(void)unlink(rig.path);
		(void)unlink(rig.service);
	}
}

TEST(peer, the_end_does_not_wait)
{
	struct rig rig;

	rig_open(&rig, false);
	ask(&rig);
	asked(&rig);
	peers_close(&rig.peers);
	turns(&rig);
	CHECK_INT(rig.calls, 1);
	rig_close(&rig);
}
