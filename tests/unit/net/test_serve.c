/*
 * test_serve - the session driver over socket pairs, with a toy session
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/loop.h"
#include "base/mem.h"
#include "net/serve.h"
#include "unit.h"

/*
 * The toy protocol: lines are echoed. "wait" answers when it is resumed,
 * "big" sends 1 MB in pieces, "bye" closes, "nomem" runs out of memory,
 * "give" hands the connection off.
 */
struct toy {
	struct session_io *io;
	size_t big_left;
	bool waiting;
	struct timer timer;
	char seen[200]; /* events, one letter each */
};

static char last_events[200];
static char handed[100];
static int handed_fd = -1;

static void note(struct toy *t, char c)
{
	size_t n = strlen(t->seen);

	if (n + 1 < sizeof(t->seen)) {
		t->seen[n] = c;
	}
	memcpy(last_events, t->seen, sizeof(last_events));
}

static void *toy_open(struct session_io *io, void *service, struct buf *out)
{
	struct toy *t = mem_alloc(sizeof(*t));

	(void)service;
	t->io = io;
	io->timeout = 60;
	buf_adds(out, "hello\n");
	return t;
}

static void wait_over(struct timer *timer)
{
	struct toy *t = timer->owner;

	t->waiting = false;
	t->io->resume(t->io);
}

static enum session_want produce(struct toy *t, struct buf *out)
{
	char block[1000];

	memset(block, 'x', sizeof(block));
	while (t->big_left > 0 && buf_unread(out) <= t->io->out_high) {
		buf_add(out, block, sizeof(block));
		t->big_left -= sizeof(block);
	}
	return t->big_left > 0 ? SESSION_WAIT : SESSION_READ;
}

static enum session_want toy_feed(void *session, struct buf *in, struct buf *out)
{
	struct toy *t = session;
	const char *end = memchr(buf_head(in), '\n', buf_unread(in));
	char line[100];
	size_t len;

	if (t->big_left > 0) {
		return produce(t, out);
	}
	if (end == NULL) {
		return SESSION_READ;
	}
	len = (size_t)(end - buf_head(in));
	snprintf(line, sizeof(line), "%.*s", (int)len, buf_head(in));
	buf_consume(in, len + 1);
	if (strcmp(line, "wait") == 0) {
		buf_adds(out, "waiting\n");
		loop_timer(t->io->loop, &t->timer, 5, wait_over, t);
		t->waiting = true;
		return SESSION_WAIT;
	}
	if (strcmp(line, "big") == 0) {
		t->big_left = 1000000;
		return produce(t, out);
	}
	if (strcmp(line, "nomem") == 0) {
		mem_fail_at(1);
		(void)mem_alloc(10);
	}
	buf_addf(out, "%s\n", line);
	return strcmp(line, "bye") == 0     ? SESSION_CLOSE
		: strcmp(line, "give") == 0 ? SESSION_HANDOFF
					    : SESSION_READ;
}

static enum session_want toy_event(void *session, enum session_event event, struct buf *out)
{
	struct toy *t = session;

	note(t, "ufteRnsd"[event]);
	switch (event) {
	case SESSION_EV_DRAINED:
		return produce(t, out);
	case SESSION_EV_NO_MEMORY:
		buf_adds(out, "no memory\n");
		return SESSION_CLOSE;
	case SESSION_EV_SHUTDOWN:
		buf_adds(out, "shutdown\n");
		return t->waiting ? SESSION_WAIT : SESSION_CLOSE;
	case SESSION_EV_EOF:
	case SESSION_EV_TIMEOUT:
	case SESSION_EV_ERROR:
	case SESSION_EV_TLS_UP:
	case SESSION_EV_TLS_FAILED:
		break;
	}
	return SESSION_CLOSE;
}

static void toy_close(void *session)
{
	struct toy *t = session;

	note(t, 'c');
	loop_untimer(t->io->loop, &t->timer);
	mem_free(t);
}

static const struct session_class toy_class = { "toy", toy_open, toy_feed, toy_event, toy_close };

static void take_over(struct server *s, struct session_io *io, int fd, struct buf *unread)
{
	(void)s;
	(void)io;
	handed_fd = fd;
	snprintf(handed, sizeof(handed), "%.*s", (int)buf_unread(unread), buf_head(unread));
}

struct rig {
	struct loop *loop;
	struct server *server;
	int fd; /* the client's end */
};

static struct rig new_rig(void)
{
	struct server_config config = {
		.class = &toy_class, .in_high = 4096, .handoff = take_over
	};
	struct rig r;
	int pair[2];

	r.loop = loop_new();
	r.server = server_new(r.loop, &config);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	r.fd = pair[0];
	memset(last_events, 0, sizeof(last_events));
	server_adopt(r.server, pair[1], "", 0);
	return r;
}

static void end_rig(struct rig *r)
{
	server_free(r->server);
	loop_free(r->loop);
	close(r->fd);
}

/* say - send text and turn the loop until want bytes or the end came; the answer in b */
static void say(struct rig *r, const char *text, size_t want, struct buf *b)
{
	if (text != NULL) {
		REQUIRE(write(r->fd, text, strlen(text)) == (ssize_t)strlen(text));
	}
	for (int i = 0; i < 2000 && buf_unread(b) < want; i++) {
		ssize_t n;

		loop_turn(r->loop, 10);
		n = read(r->fd, buf_reserve(b, 65536), 65536);
		if (n == 0) {
			break;
		}
		if (n > 0) {
			buf_added(b, (size_t)n);
		}
	}
}

TEST(serve, echoes_pipelined_lines)
{
	struct rig r = new_rig();
	struct buf b = BUF_INIT;

	say(&r, "one\ntwo\nthr", 14, &b);
	CHECK_STR(buf_str(&b), "hello\none\ntwo\n");
	say(&r, "ee\nbye\nnot read\n", 1000, &b);
	CHECK_STR(buf_str(&b), "hello\none\ntwo\nthree\nbye\n");
	CHECK_STR(last_events, "c");
	/* Unread input: the connection lingers until the client has closed, too. */
	CHECK_INT(server_sessions(r.server), 1);
	REQUIRE(shutdown(r.fd, SHUT_WR) == 0);
	loop_turn(r.loop, 10);
	CHECK_INT(server_sessions(r.server), 0);
	buf_free(&b);
	end_rig(&r);
}

TEST(serve, waits_and_resumes)
{
	struct rig r = new_rig();
	struct buf b = BUF_INIT;

	say(&r, "wait\nafter\n", 14 + 6, &b);
	CHECK_STR(buf_str(&b), "hello\nwaiting\nafter\n");
	buf_free(&b);
	end_rig(&r);
}

TEST(serve, eof_comes_after_what_waits)
{
	struct rig r = new_rig();
	struct buf b = BUF_INIT;

	REQUIRE(write(r.fd, "wait\nafter\n", 11) == 11);
	REQUIRE(shutdown(r.fd, SHUT_WR) == 0);
	say(&r, NULL, 1000, &b);
	CHECK_STR(buf_str(&b), "hello\nwaiting\nafter\n");
	CHECK_STR(last_events, "ec");
	buf_free(&b);
	end_rig(&r);
}

TEST(serve, slow_reader_gets_all)
{
	struct rig r = new_rig();
	struct buf b = BUF_INIT;

	say(&r, "big\nnext\n", 6 + 1000000 + 5, &b);
	CHECK_INT(b.len, 6 + 1000000 + 5);
	CHECK(memcmp(b.data + b.len - 6, "xnext\n", 6) == 0);
	buf_free(&b);
	end_rig(&r);
}

TEST(serve, memory_shortage_ends_one_session)
{
	struct rig r = new_rig();
	struct buf b = BUF_INIT;

	say(&r, "nomem\n", 1000, &b);
	mem_fail_at(0);
	CHECK_STR(buf_str(&b), "hello\nno memory\n");
	CHECK_STR(last_events, "nc");
	CHECK_INT(server_sessions(r.server), 0);
	buf_free(&b);
	end_rig(&r);
}

static void set_flag(void *arg)
{
	*(bool *)arg = true;
}

TEST(serve, shutdown_waits_for_what_is_under_way)
{
	struct rig r = new_rig();
	struct buf b = BUF_INIT;
	bool done = false;

	say(&r, "wait\n", 14, &b);
	server_shutdown(r.server, set_flag, &done);
	CHECK(!done);
	REQUIRE(shutdown(r.fd, SHUT_WR) == 0);
	say(&r, NULL, 1000, &b);
	loop_turn(r.loop, 0);
	CHECK_STR(buf_str(&b), "hello\nwaiting\nshutdown\n");
	CHECK(done);
	buf_free(&b);
	end_rig(&r);
}

TEST(serve, hands_off_with_unread_input)
{
	struct rig r = new_rig();
	struct buf b = BUF_INIT;

	say(&r, "give\nrest", 11, &b);
	CHECK_STR(buf_str(&b), "hello\ngive\n");
	CHECK_STR(handed, "rest");
	CHECK(handed_fd >= 0);
	CHECK_INT(server_sessions(r.server), 0);
	CHECK(write(handed_fd, "!", 1) == 1);
	close(handed_fd);
	buf_free(&b);
	end_rig(&r);
}

TEST(serve, endless_input_is_refused)
{
	struct rig r = new_rig();
	struct buf b = BUF_INIT;
	char junk[8001];

	memset(junk, 'a', sizeof(junk) - 1);
	junk[sizeof(junk) - 1] = '\0';
	say(&r, junk, 1000, &b);
	CHECK_STR(buf_str(&b), "hello\n");
	CHECK_STR(last_events, "Rc");
	buf_free(&b);
	end_rig(&r);
}

TEST(serve, stdio_from_a_file)
{
	struct server_config config = { .class = &toy_class, .in_high = 4096 };
	struct loop *loop = loop_new();
	struct server *s = server_new(loop, &config);
	char path[300], text[100];
	int in, out;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/in", unit_tmpdir());
	in = open(path, O_RDWR | O_CREAT, 0600);
	REQUIRE(in >= 0 && write(in, "one\nwait\nlast\n", 14) == 14 && lseek(in, 0, SEEK_SET) == 0);
	snprintf(path, sizeof(path), "%s/out", unit_tmpdir());
	out = open(path, O_RDWR | O_CREAT, 0600);
	REQUIRE(out >= 0);
	server_stdio(s, in, out);
	loop_run(loop);
	CHECK_INT(lseek(out, 0, SEEK_SET), 0);
	n = read(out, text, sizeof(text) - 1);
	REQUIRE(n >= 0);
	text[n] = '\0';
	CHECK_STR(text, "hello\none\nwaiting\nlast\n");
	server_free(s);
	loop_free(loop);
	close(in);
	close(out);
}
