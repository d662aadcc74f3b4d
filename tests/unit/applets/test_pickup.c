/*
 * test_pickup - submissions over the socket and in the maildrop, with a stage of the pipeline that
 * waits: nothing else does meanwhile, and each becomes one message
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "ipc/pickup_request.h"
#include "route/resolve.h"
#include "applets/receive/maildrop.h"
#include "applets/receive/pickup_session.h"
#include "conf_util.h"
#include "stage_util.h"
#include "unit.h"

enum { LONG_MS = 60000, FILES = 5 };

static struct {
	struct pickup pickup;
	struct loop_hook hook;
	int resumed;
} S;

static const char *main_cf = "";

static void commit(void)
{
	CHECK_INT(queue_commit(S.pickup.queue), 0);
}

static void run_commit(struct loop_hook *h)
{
	(void)h;
	commit();
}

static void commit_soon(void)
{
	loop_at_end(S.pickup.loop, &S.hook, run_commit, NULL);
}

static void begin(void)
{
	char *error = NULL;

	log_open("unit", LOG_TO_FILE);
	conf_util_load(main_cf);
	route_init();
	memset(&S, 0, sizeof(S));
	S.pickup.loop = loop_new();
	S.pickup.queue = queue_open(unit_tmpdir(), QUEUE_CREATE, &error);
	REQUIRE(S.pickup.queue != NULL);
	S.pickup.authorized = match_list_new("a", "static:all", 0);
	S.pickup.commit_soon = commit_soon;
}

static void finish(void)
{
	queue_close(S.pickup.queue);
	match_list_free(S.pickup.authorized);
	loop_free(S.pickup.loop);
}

/* put_letter - a whole submission */
static void put_letter(struct buf *b)
{
	static const char content[] = "From: a@b.example\nSubject: x\n\nbody\n";
	struct pickup_message m = { .kind = PICKUP_BEGIN,
		.sender = "a@b.example",
		.full_name = "",
		.envid = "",
		.address = "u@c.example",
		.orcpt = "",
		.data = content,
		.len = sizeof(content) - 1 };

	pickup_put(b, &m);
	m.kind = PICKUP_RECIPIENT;
	pickup_put(b, &m);
	m.kind = PICKUP_DATA;
	pickup_put(b, &m);
	m.kind = PICKUP_END;
	pickup_put(b, &m);
}

static int messages(void)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	int count = 0;

	for (queue_id id = 0; queue_next(S.pickup.queue, id, &a, &env) == 1; id = env.id) {
		CHECK(env.size > 60);
		count++;
	}
	arena_free(&a);
	return count;
}

/* ---- The socket ---- */

static void on_resume(struct session_io *io)
{
	(void)io;
	S.resumed++;
}

/* open_session - somebody who may */
static void *open_session(struct session_io *io, struct buf *out)
{
	struct pickup_client *client = mem_alloc(sizeof(*client));

	memset(io, 0, sizeof(*io));
	io->resume = on_resume;
	client->pickup = &S.pickup;
	client->uid = geteuid();
	return pickup_class.open(io, client, out);
}

/* expect_answer - one, at the head of out */
static void expect_answer(struct buf *out, enum pickup_status status, const char *text)
{
	struct pickup_message m;
	size_t size = 0;

	REQUIRE(pickup_get(out, &m, &size) == 1);
	CHECK_INT(m.kind, PICKUP_ANSWER);
	CHECK_INT(m.status, status);
	if (text != NULL) {
		CHECK_STR(m.text, text);
	}
	buf_consume(out, size);
}

/* feed - all of in, with turns of the loop while something is waited for */
static enum session_want feed(void *session, struct buf *in, struct buf *out)
{
	enum session_want want = pickup_class.feed(session, in, out);

	for (int i = 0; i < 200 && want == SESSION_WAIT; i++) {
		int before = S.resumed;

		CHECK_INT(pickup_class.event(session, SESSION_EV_SHUTDOWN, out), SESSION_WAIT);
		loop_turn(S.pickup.loop, 10);
		want = pickup_class.feed(session, in, out);
		CHECK(want == SESSION_WAIT || S.resumed > before);
	}
	return want;
}

TEST(pickup, a_session_waits)
{
	struct session_io io;
	int expected = 0;

	begin();
	for (enum stage_moment at = STAGE_BEGIN; at < STAGE_MOMENTS; at++) {
		struct buf in = BUF_INIT, out = BUF_INIT;
		void *session = open_session(&io, &out);

		/* Two, one behind the other, are answered one by one. */
		stage_util_wait(at, 0, PIPELINE_OK);
		put_letter(&in);
		put_letter(&in);
		CHECK_INT(feed(session, &in, &out), SESSION_READ);
		CHECK_INT(stage_util_waited(), 2);
		expect_answer(&out, PICKUP_OK, NULL);
		expect_answer(&out, PICKUP_OK, NULL);
		CHECK_INT((long long)buf_unread(&out), 0);
		expected += 2;
		stage_util_wait(at, 0, PIPELINE_REJECT);
		put_letter(&in);
		CHECK_INT(feed(session, &in, &out), SESSION_READ);
		expect_answer(&out, PICKUP_REFUSED, "not this one");
		stage_util_wait(at, 0, PIPELINE_TEMPFAIL);
		put_letter(&in);
		CHECK_INT(feed(session, &in, &out), SESSION_READ);
		expect_answer(&out, PICKUP_RETRY, "not this one");
		pickup_class.close(session);
		buf_free(&in);
		buf_free(&out);
	}
	CHECK_INT(messages(), expected);
	finish();
}

/* One that waits for long keeps no other, and leaves nothing when it goes. */
TEST(pickup, another_session_goes_on)
{
	struct session_io io[2];
	struct buf in[2] = { BUF_INIT, BUF_INIT }, out = BUF_INIT;
	void *slow, *other;

	begin();
	slow = open_session(&io[0], &out);
	other = open_session(&io[1], &out);
	stage_util_wait(STAGE_BODY, LONG_MS, PIPELINE_OK);
	put_letter(&in[0]);
	CHECK_INT(pickup_class.feed(slow, &in[0], &out), SESSION_WAIT);
	CHECK_INT(stage_util_waiting(), 1);
	stage_util_wait(STAGE_NEVER, 0, PIPELINE_OK);
	put_letter(&in[1]);
	CHECK_INT(feed(other, &in[1], &out), SESSION_READ);
	expect_answer(&out, PICKUP_OK, NULL);
	CHECK_INT(pickup_class.event(slow, SESSION_EV_EOF, &out), SESSION_CLOSE);
	pickup_class.close(slow);
	pickup_class.close(other);
	CHECK_INT((long long)buf_unread(&out), 0);
	CHECK_INT(messages(), 1);
	buf_free(&in[0]);
	buf_free(&in[1]);
	buf_free(&out);
	finish();
}

/* ---- The maildrop ---- */

static bool is_authorized(uid_t uid)
{
	(void)uid;
	return true;
}

/* drop - a file that is whole; number from 0 */
static void drop(int number)
{
	struct buf b = BUF_INIT;
	char path[300];
	int fd;

	put_letter(&b);
	snprintf(path, sizeof(path), "maildrop/%032X", (unsigned)number);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	REQUIRE(fd >= 0 && fd_write_all(fd, buf_head(&b), buf_unread(&b)) == 0);
	close(fd);
	buf_free(&b);
}

static int dropped(void)
{
	char path[300];
	int count = 0;

	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "maildrop/%032X", (unsigned)i);
		count += access(path, F_OK) == 0;
	}
	return count;
}

static struct maildrop *open_drop(void)
{
	struct maildrop_config config = { .commit = commit, .is_authorized = is_authorized };
	struct maildrop *d;

	begin();
	config.loop = S.pickup.loop;
	config.queue = S.pickup.queue;
	REQUIRE(chdir(unit_tmpdir()) == 0);
	REQUIRE(mkdir("maildrop", 0700) == 0);
	for (int i = 0; i < FILES; i++) {
		drop(i);
	}
	d = maildrop_new(&config);
	REQUIRE(d != NULL);
	return d;
}

static void turns(int count)
{
	while (count-- > 0) {
		loop_turn(S.pickup.loop, 2);
	}
}

TEST(pickup, files_wait)
{
	for (enum stage_moment at = STAGE_BEGIN; at < STAGE_MOMENTS; at++) {
		struct maildrop *d;

		stage_util_wait(at, 1, PIPELINE_OK);
		d = open_drop();
		for (int i = 0; i < 100 && dropped() > 0; i++) {
			turns(1);
			maildrop_scan(d); /* a wake-up in between does no harm */
		}
		CHECK_INT(dropped(), 0);
		CHECK_INT(stage_util_waited(), FILES);
		CHECK_INT(messages(), FILES);
		maildrop_close(d);
		finish();
		REQUIRE(unlink("queue.db") == 0 && rmdir("maildrop") == 0);
	}
}

/* Who is woken while a file waits looks again: what came meanwhile need not be in the list. */
TEST(pickup, files_that_come_meanwhile)
{
	char path[300];
	struct maildrop *d;

	stage_util_wait(STAGE_END, 5, PIPELINE_OK);
	d = open_drop();
	turns(1);
	CHECK_INT(stage_util_waiting(), 1);
	drop(FILES);
	maildrop_scan(d);
	turns(100);
	snprintf(path, sizeof(path), "maildrop/%032X", FILES);
	CHECK(access(path, F_OK) != 0);
	CHECK_INT(messages(), FILES + 1);
	maildrop_close(d);
	finish();
}

/* Behind the stage that waits a table does: the file is given up, and tried when it answers. */
TEST(pickup, files_wait_for_tables_too)
{
	char text[600];
	struct maildrop *d;
	int fd;

	/* The copy's address is looked up at the end. */
	snprintf(text, sizeof(text),
		"always_bcc = copy@d.example\nvirtual_alias_maps = "
		"inline:{u@c.example=u@c.example}, socketmap:unix:%s/silent:name\n",
		unit_tmpdir());
	main_cf = text;
	REQUIRE(chdir(unit_tmpdir()) == 0);
	fd = unix_listen("silent", 0600);
	REQUIRE(fd >= 0);
	stage_util_wait(STAGE_BODY, 1, PIPELINE_OK);
	d = open_drop();
	turns(50);
	CHECK_INT(stage_util_waited(), FILES);
	CHECK_INT(dropped(), FILES);
	CHECK_INT(messages(), 0);
	maildrop_close(d);
	finish();
	close(fd);
}

/* What a stage cannot take now stays, holds up nobody, and is not tried again at once. */
TEST(pickup, files_that_fail)
{
	struct maildrop *d;

	stage_util_wait(STAGE_BODY, 1, PIPELINE_TEMPFAIL);
	d = open_drop();
	turns(100);
	CHECK_INT(dropped(), FILES);
	CHECK_INT(stage_util_waited(), FILES);
	CHECK_INT(messages(), 0);
	stage_util_wait(STAGE_BODY, 1, PIPELINE_REJECT);
	maildrop_scan(d);
	turns(100);
	CHECK_INT(dropped(), 0); /* set aside */
	CHECK_INT(messages(), 0);
	maildrop_close(d);
	finish();
}

/* A process that ends leaves the file to the next, which may look at once. */
TEST(pickup, files_are_left)
{
	struct maildrop *d, *next;
	struct maildrop_config config = { .commit = commit, .is_authorized = is_authorized };

	stage_util_wait(STAGE_END, LONG_MS, PIPELINE_OK);
	d = open_drop();
	turns(3);
	CHECK_INT(stage_util_waiting(), 1);
	config.loop = S.pickup.loop;
	config.queue = S.pickup.queue;
	next = maildrop_new(&config);
	turns(3);
	CHECK_INT(stage_util_waited(), 1); /* not both at a time */
	maildrop_close(d);
	CHECK_INT(stage_util_waiting(), 0);
	stage_util_wait(STAGE_END, 0, PIPELINE_OK);
	maildrop_scan(next);
	turns(50);
	CHECK_INT(dropped(), 0);
	CHECK_INT(messages(), FILES);
	maildrop_close(next);
	finish();
}
