/*
 * test_stream - messages over socket pairs: every split, every end, room, rests and deadlines
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/unixsock.h"
#include "stream_util.h"
#include "unit.h"

/* ---- Input ---- */

/* split - all of it in two pieces, at every place; then byte by byte */
static void split(const struct stream_class *class, const char *data, size_t len, const char *want)
{
	char got[256];
	struct rig r;

	for (size_t at = 0; at <= len; at++) {
		rig_open(&r, class);
		if (at > 0) {
			rig_say(&r, data, at);
			rig_settle(&r);
		}
		if (at < len) {
			rig_say(&r, data + at, len - at);
			rig_settle(&r);
		}
		CHECK_STR(rig_hear(&r, got), want);
		CHECK_INT(r.ended, 0);
		rig_close(&r);
	}
	rig_open(&r, class);
	for (size_t i = 0; i < len; i++) {
		rig_say(&r, data + i, 1);
		rig_settle(&r);
	}
	CHECK_STR(rig_hear(&r, got), want);
	CHECK_INT(r.ended, 0);
	rig_close(&r);
}

TEST(stream, lines_at_every_split)
{
	static const char text[] = "one\n\ntwo\r\nsixteen bytes...\nrest";

	split(&rig_lines, text, sizeof(text) - 1, "one;;two\r;sixteen bytes...;");
}

TEST(stream, frames_at_every_split)
{
	struct buf b = BUF_INIT;

	rig_frame(&b, "one");
	rig_frame(&b, "");
	rig_frame(&b, "three");
	buf_add(&b, "\0\0\0", 3);
	split(&rig_frames, b.data, b.len, "one;;three;");
	buf_free(&b);
}

TEST(stream, data_that_is_left_is_offered_again)
{
	char got[256];
	struct rig r;

	rig_open(&r, &rig_pairs);
	rig_say(&r, "abc", 3);
	rig_settle(&r);
	CHECK_STR(rig_hear(&r, got), "ab;");
	rig_say(&r, "d", 1);
	rig_settle(&r);
	CHECK_STR(rig_hear(&r, got), "cd;");
	rig_close(&r);
}

TEST(stream, taken_comes_once_a_read)
{
	struct rig r;

	rig_open(&r, &rig_lines);
	rig_say(&r, "a\nb\nc\n", 6);
	rig_settle(&r);
	CHECK_STR(buf_str(&r.heard), "a;b;c;!");
	CHECK(!r.more);
	rig_close(&r);
}

TEST(stream, says_whether_more_has_come)
{
	struct rig r;

	rig_open(&r, &rig_lines);
	r.on_message = ACT_CLOSE;
	rig_say(&r, "a\nb\n", 4);
	rig_settle(&r);
	CHECK_STR(buf_str(&r.heard), "a;");
	CHECK(r.more);
	rig_close(&r);
}

/* count - the lines are the numbers from 0 on */
static bool count(struct stream *s, char *text, size_t len)
{
	struct rig *r = s->owner;
	char want[32];

	snprintf(want, sizeof(want), "%d", r->drained++);
	CHECK_MEM(text, len, want, strlen(want));
	return true;
}

static const struct stream_class counter = { .line = count, .read_size = 64, .in_max = LINE_MAX };

TEST(stream, many_reads_keep_the_order)
{
	struct buf text = BUF_INIT;
	struct rig r;

	rig_open(&r, &counter);
	for (int i = 0; i < 2000; i++) {
		buf_addf(&text, "%d\n", i);
	}
	for (size_t i = 0; i < TURNS_MAX * 10 && r.drained < 2000; i++) {
		size_t some = 1 + i * 31 % 97;

		some = some < buf_unread(&text) ? some : buf_unread(&text);
		rig_say(&r, buf_head(&text), some);
		buf_consume(&text, some);
		loop_turn(r.loop, 0);
	}
	CHECK_INT(r.drained, 2000);
	buf_free(&text);
	rig_close(&r);
}

/* ---- Ends ---- */

/* ends - after these bytes (and the peer's close) it ends so, having heard that */
static void ends(const struct stream_class *class, enum act on_message, const char *data,
	size_t len, bool close_it, enum stream_end why, const char *heard)
{
	char got[256];
	struct rig r;

	rig_open(&r, class);
	r.on_message = on_message;
	if (len > 0) {
		rig_say(&r, data, len);
	}
	if (close_it) {
		CHECK(shutdown(r.peer, SHUT_WR) == 0);
	}
	rig_until_end(&r);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.why, why);
	CHECK_STR(rig_hear(&r, got), heard);
	CHECK_INT(r.s->fd, -1);
	CHECK(strlen(stream_text(r.s, r.why)) > 0);
	rig_close(&r);
}

TEST(stream, ends_with_the_peer)
{
	ends(&rig_lines, ACT_NONE, "", 0, true, STREAM_EOF, "");
	ends(&rig_lines, ACT_NONE, "a\nhalf", 6, true, STREAM_EOF, "a;");
	ends(&rig_frames, ACT_NONE, "\0\0\0", 3, true, STREAM_EOF, "");
	ends(&rig_pairs, ACT_NONE, "abc", 3, true, STREAM_EOF, "ab;");
}

TEST(stream, ends_when_it_is_not_understood)
{
	ends(&rig_lines, ACT_REFUSE, "a\nb\n", 4, false, STREAM_MALFORMED, "a;");
	ends(&rig_frames, ACT_REFUSE, "\0\0\0\6\0\0\0\1a\0", 10, false, STREAM_MALFORMED, "a;");
	ends(&rig_pairs, ACT_REFUSE, "ab", 2, false, STREAM_MALFORMED, "ab;");
	ends(&rig_silent, ACT_NONE, "a", 1, false, STREAM_MALFORMED, "");
}

TEST(stream, ends_when_a_message_is_too_long)
{
	ends(&rig_lines, ACT_NONE, "ok\n12345678901234567", 20, false, STREAM_TOO_LONG, "ok;");
	ends(&rig_lines, ACT_NONE, "12345678901234567\n", 18, false, STREAM_TOO_LONG, "");
	/* The length alone is enough. */
	ends(&rig_frames, ACT_NONE, "\0\0\0\145", 4, false, STREAM_TOO_LONG, "");
	ends(&rig_frames, ACT_NONE, "\377\377\377\377", 4, false, STREAM_TOO_LONG, "");
}

TEST(stream, a_reset_is_told_from_an_end)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger hard = { 1, 0 };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rig r;

	REQUIRE(bind(listener, (struct sockaddr *)&a, len) == 0 && listen(listener, 1) == 0);
	REQUIRE(getsockname(listener, (struct sockaddr *)&a, &len) == 0);
	REQUIRE(connect(fd, (struct sockaddr *)&a, len) == 0);
	rig_open(&r, &rig_lines);
	close(r.peer);
	r.peer = accept(listener, NULL, NULL);
	(void)fd_set_nonblock(fd, true);
	stream_open(r.s, fd);
	CHECK(setsockopt(r.peer, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
	close(r.peer);
	rig_until_end(&r);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.why, STREAM_LOST);
	CHECK_STR(stream_text(r.s, r.why), strerror(ECONNRESET));
	r.peer = listener;
	rig_close(&r);
}

TEST(stream, its_last_words_are_heard_though_it_takes_no_more)
{
	char got[256];
	struct rig r;

	rig_open(&r, &rig_lines);
	rig_say(&r, "421 bye\n", 8);
	close(r.peer);
	buf_adds(&r.s->out, "DATA\r\n");
	CHECK_INT(stream_flush(r.s), -1);
	CHECK_INT(stream_flush(r.s), -1);
	CHECK_INT(stream_send(r.s, "x", 1), -1);
	CHECK_INT(r.ended, 0);
	rig_until_end(&r);
	CHECK_STR(rig_hear(&r, got), "421 bye;");
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.why, STREAM_EOF);
	r.peer = dup(0);
	rig_close(&r);
}

TEST(stream, ends_when_the_peer_takes_nothing_and_says_nothing)
{
	struct rig r;

	rig_open(&r, &rig_lines);
	CHECK(shutdown(r.peer, SHUT_RD) == 0);
	buf_adds(&r.s->out, "hello");
	CHECK_INT(stream_flush(r.s), -1);
	rig_until_end(&r);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.why, STREAM_LOST);
	CHECK_STR(stream_text(r.s, r.why), strerror(EPIPE));
	rig_close(&r);
}

TEST(stream, closing_calls_nobody)
{
	struct rig r;

	rig_open(&r, &rig_lines);
	rig_say(&r, "a\n", 2);
	stream_close(r.s);
	stream_close(r.s);
	CHECK_INT(stream_flush(r.s), -1);
	rig_settle(&r);
	CHECK_INT(r.ended, 0);
	CHECK_INT(r.heard.len, 0);
	rig_close(&r);
}

TEST(stream, connects_to_a_path)
{
	char path[4096];
	struct rig r;
	int listener;

	rig_open(&r, &rig_lines);
	snprintf(path, sizeof(path), "%s/sock", unit_tmpdir());
	CHECK_INT(stream_connect(r.s, path), -1);
	CHECK_INT(errno, ENOENT);
	listener = unix_listen(path, 0600);
	CHECK_INT(stream_connect(r.s, path), 0);
	close(r.peer);
	r.peer = accept(listener, NULL, NULL);
	rig_say(&r, "a\n", 2);
	rig_settle(&r);
	CHECK_STR(buf_str(&r.heard), "a;!");
	close(listener);
	rig_close(&r);
}

/* ---- Output ---- */

TEST(stream, waits_for_room_and_says_when_all_is_sent)
{
	struct buf want = BUF_INIT, got = BUF_INIT;
	struct rig r;

	rig_open(&r, &rig_lines);
	rig_fill(&want, 3000000);
	buf_add(&r.s->out, want.data, want.len);
	CHECK_INT(stream_flush(r.s), 0);
	CHECK(stream_unsent(r.s) > 0);
	rig_settle(&r);
	CHECK_INT(r.drained, 0);
	for (int i = 0; i < TURNS_MAX && r.drained == 0; i++) {
		rig_read_all(&r, &got);
		loop_turn(r.loop, 0);
	}
	rig_read_all(&r, &got);
	CHECK_MEM(got.data, got.len, want.data, want.len);
	CHECK_INT(r.drained, 1);
	CHECK_INT(r.s->out.cap, 0);
	rig_settle(&r);
	CHECK_INT(r.drained, 1);
	buf_free(&want);
	buf_free(&got);
	rig_close(&r);
}

TEST(stream, what_callbacks_put_is_sent)
{
	struct buf got = BUF_INIT;
	struct rig r;

	rig_open(&r, &rig_lines);
	rig_say(&r, "a\n", 2);
	buf_adds(&r.s->out, "answer");
	rig_settle(&r);
	rig_read_all(&r, &got);
	CHECK_STR(buf_str(&got), "answer");
	/* Nothing had to wait; who wants to be called all the same asks. */
	CHECK_INT(r.drained, 0);
	stream_more(r.s);
	CHECK_INT(r.drained, 0);
	rig_settle(&r);
	CHECK_INT(r.drained, 1);
	buf_free(&got);
	rig_close(&r);
}

TEST(stream, sends_from_the_callers_memory)
{
	struct buf want = BUF_INIT, got = BUF_INIT;
	struct rig r;
	size_t at = 0;
	int rounds = 0;

	rig_open(&r, &rig_lines);
	rig_fill(&want, 2000000);
	while (at < want.len && rounds < TURNS_MAX) {
		ssize_t n = stream_send(r.s, want.data + at, want.len - at);

		CHECK(n >= 0);
		at += n > 0 ? (size_t)n : 0;
		CHECK_INT(stream_unsent(r.s), 0);
		if (at < want.len) {
			int before = r.drained;

			CHECK_INT(stream_send(r.s, want.data + at, want.len - at), 0);
			rig_settle(&r);
			CHECK_INT(r.drained, before);
			rig_read_all(&r, &got);
			rig_settle(&r);
			CHECK_INT(r.drained, before + 1);
		}
		rounds++;
	}
	rig_read_all(&r, &got);
	CHECK(rounds > 1);
	CHECK_MEM(got.data, got.len, want.data, want.len);
	buf_free(&want);
	buf_free(&got);
	rig_close(&r);
}

TEST(stream, what_waits_goes_before_what_is_sent)
{
	struct buf got = BUF_INIT, some = BUF_INIT;
	struct rig r;

	rig_open(&r, &rig_lines);
	buf_adds(&r.s->out, "first ");
	CHECK_INT(stream_send(r.s, "second", 6), 6);
	rig_fill(&some, 3000000);
	buf_add(&r.s->out, some.data, some.len);
	CHECK_INT(stream_send(r.s, "third", 5), 0);
	rig_read_all(&r, &got);
	CHECK(strncmp(buf_str(&got), "first second0,1,2,", 18) == 0);
	buf_free(&got);
	buf_free(&some);
	rig_close(&r);
}

TEST(stream, finishes_when_all_is_sent)
{
	struct buf got = BUF_INIT, want = BUF_INIT;
	struct rig r;

	rig_open(&r, &rig_lines);
	rig_fill(&want, 2000000);
	buf_add(&r.s->out, want.data, want.len);
	stream_finish(r.s);
	rig_settle(&r);
	CHECK_INT(r.ended, 0);
	for (int i = 0; i < TURNS_MAX && r.ended == 0; i++) {
		rig_read_all(&r, &got);
		loop_turn(r.loop, 0);
	}
	rig_read_all(&r, &got);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.why, STREAM_DONE);
	CHECK_MEM(got.data, got.len, want.data, want.len);
	stream_open(r.s, rig_pair(&r));
	stream_finish(r.s);
	CHECK_INT(r.ended, 1);
	rig_settle(&r);
	CHECK_INT(r.ended, 2);
	buf_free(&got);
	buf_free(&want);
	rig_close(&r);
}

/* ---- Rests ---- */

TEST(stream, rests_while_paused)
{
	char got[256];
	struct rig r;

	rig_open(&r, &rig_lines);
	r.on_message = ACT_PAUSE;
	rig_say(&r, "a\nb\nc\n", 6);
	rig_settle(&r);
	CHECK_STR(rig_hear(&r, got), "a;");
	stream_pause(r.s, false);
	rig_settle(&r);
	CHECK_STR(rig_hear(&r, got), "b;");
	rig_say(&r, "d\n", 2);
	r.on_message = ACT_NONE;
	rig_settle(&r);
	CHECK_STR(rig_hear(&r, got), "");
	stream_pause(r.s, false);
	rig_settle(&r);
	CHECK_STR(rig_hear(&r, got), "c;d;");
	rig_close(&r);
}

TEST(stream, a_peer_that_leaves_during_a_pause_waits)
{
	char got[256];
	struct rig r;
	int64_t start;

	rig_open(&r, &rig_lines);
	stream_pause(r.s, true);
	rig_say(&r, "a\n", 2);
	close(r.peer);
	rig_settle(&r);
	/* The hang-up is not reported over and over. */
	start = clock_ms();
	loop_turn(r.loop, 100);
	CHECK(clock_ms() - start >= 90);
	CHECK_INT(r.ended, 0);
	stream_pause(r.s, false);
	rig_until_end(&r);
	CHECK_STR(rig_hear(&r, got), "a;");
	CHECK_INT(r.why, STREAM_EOF);
	r.peer = dup(0);
	rig_close(&r);
}

TEST(stream, sending_fails_during_a_pause)
{
	char got[256];
	struct rig r;
	int64_t start;

	rig_open(&r, &rig_lines);
	stream_pause(r.s, true);
	rig_say(&r, "a\n", 2);
	close(r.peer);
	buf_adds(&r.s->out, "hello");
	CHECK_INT(stream_flush(r.s), -1);
	rig_settle(&r);
	start = clock_ms();
	loop_turn(r.loop, 100);
	CHECK(clock_ms() - start >= 90);
	stream_pause(r.s, false);
	rig_until_end(&r);
	CHECK_STR(rig_hear(&r, got), "a;");
	CHECK_INT(r.ended, 1);
	r.peer = dup(0);
	rig_close(&r);
}

/* hoard - takes nothing */
static bool hoard(struct stream *s, struct buf *in)
{
	struct rig *r = s->owner;

	(void)in;
	buf_addc(&r->heard, '.');
	return true;
}

static const struct stream_class hoarder = { .data = hoard, .read_size = 4, .in_max = 8 };

TEST(stream, reading_rests_when_nothing_is_taken)
{
	char rest[64];
	struct rig r;

	rig_open(&r, &hoarder);
	rig_say(&r, "0123456789abcdef", 16);
	for (int i = 0; i < 10; i++) {
		loop_turn(r.loop, 0);
	}
	CHECK_STR(buf_str(&r.heard), "..");
	CHECK_INT(read(r.s->fd, rest, sizeof(rest)), 8);
	stream_use(r.s, &rig_pairs, &r);
	stream_pause(r.s, false);
	loop_turn(r.loop, 0);
	CHECK_STR(buf_str(&r.heard), "..01234567;");
	rig_close(&r);
}

/* ---- Deadlines ---- */

TEST(stream, a_deadline_does_not_move)
{
	struct rig r;
	int64_t start = clock_ms();

	rig_open(&r, &rig_lines);
	stream_deadline(r.s, 60);
	for (int i = 0; i < TURNS_MAX && r.ended == 0; i++) {
		rig_say(&r, "a\n", 2);
		loop_turn(r.loop, 0);
		usleep(TURN_MS * 1000);
	}
	CHECK_INT(r.why, STREAM_TIMEOUT);
	CHECK_STR(stream_text(r.s, r.why), strerror(ETIMEDOUT));
	CHECK(clock_ms() - start >= 59);
	CHECK(clock_ms() - start < 2000);
	rig_close(&r);
}

enum { IDLE_MS = 150, STALL_MS = 100, TRIES = 50 };

/*
 * act_on - for twice the idle time act every ten milliseconds, with turns of the loop; false: the
 * machine was busy with something else for so long that the peer was idle indeed. *last_r: when it
 * was not for the last time
 */
static bool act_on(struct rig *r, void (*act)(struct rig *r, int i), int64_t *last_r)
{
	*last_r = clock_ms();
	for (int i = 0; i < 2 * IDLE_MS / 10; i++) {
		int64_t before = *last_r;

		act(r, i);
		*last_r = clock_ms();
		loop_turn(r->loop, 0);
		usleep(10000);
		if (clock_ms() - before >= STALL_MS) {
			return false;
		}
	}
	return true;
}

static void say_something(struct rig *r, int i)
{
	rig_say(r, "a", 1);
	if (i % 10 == 9) {
		rig_say(r, "\n", 1);
	}
}

TEST(stream, a_peer_that_does_something_is_not_idle)
{
	struct rig r;
	int64_t last = 0;
	bool steady = false;

	for (int i = 0; i < TRIES && !steady; i++) {
		rig_open(&r, &rig_lines);
		stream_idle(r.s, IDLE_MS);
		steady = act_on(&r, say_something, &last);
		if (steady) {
			CHECK_INT(r.ended, 0);
			rig_until_end(&r);
			CHECK_INT(r.why, STREAM_TIMEOUT);
			CHECK(clock_ms() - last >= IDLE_MS - 10);
		}
		rig_close(&r);
	}
	CHECK(steady);
}

static void read_some(struct rig *r, int i)
{
	char some[40000];

	(void)i;
	/* After a pause that was too long it has ended. */
	(void)!read(r->peer, some, sizeof(some));
}

/* Slowly, but it reads: bytes that go out count as those that come in. */
TEST(stream, a_peer_that_reads_is_not_idle)
{
	struct buf want = BUF_INIT;
	struct rig r;
	int64_t last;
	bool steady = false;

	rig_fill(&want, 3000000);
	for (int i = 0; i < TRIES && !steady; i++) {
		rig_open(&r, &rig_lines);
		buf_add(&r.s->out, want.data, want.len);
		stream_idle(r.s, IDLE_MS);
		CHECK_INT(stream_flush(r.s), 0);
		steady = act_on(&r, read_some, &last);
		if (steady) {
			CHECK_INT(r.ended, 0);
			CHECK(stream_unsent(r.s) > 0);
			rig_until_end(&r);
			CHECK_INT(r.why, STREAM_TIMEOUT);
		}
		rig_close(&r);
	}
	CHECK(steady);
	buf_free(&want);
}

TEST(stream, a_deadline_can_be_taken_back)
{
	struct rig r;

	rig_open(&r, &rig_lines);
	stream_deadline(r.s, 20);
	stream_idle(r.s, 20);
	stream_deadline(r.s, 0);
	stream_idle(r.s, 0);
	for (int i = 0; i < 10; i++) {
		loop_turn(r.loop, TURN_MS);
	}
	CHECK_INT(r.ended, 0);
	/* And it goes with the connection. */
	stream_deadline(r.s, 20);
	stream_open(r.s, rig_pair(&r));
	for (int i = 0; i < 10; i++) {
		loop_turn(r.loop, TURN_MS);
	}
	CHECK_INT(r.ended, 0);
	rig_close(&r);
}

TEST(stream, a_peer_is_not_idle_while_it_is_our_turn)
{
	struct rig r;

	rig_open(&r, &rig_lines);
	stream_idle(r.s, 30);
	stream_pause(r.s, true);
	for (int i = 0; i < 20; i++) {
		loop_turn(r.loop, TURN_MS);
	}
	CHECK_INT(r.ended, 0);
	stream_pause(r.s, false);
	rig_until_end(&r);
	CHECK_INT(r.why, STREAM_TIMEOUT);
	rig_close(&r);
}

/* We rest, but it is the peer's turn to take what waits. */
TEST(stream, a_peer_that_takes_nothing_is_idle_during_a_pause)
{
	struct rig r;

	rig_open(&r, &rig_lines);
	stream_pause(r.s, true);
	rig_fill(&r.s->out, 3000000);
	CHECK_INT(stream_flush(r.s), 0);
	stream_idle(r.s, 30);
	rig_until_end(&r);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.why, STREAM_TIMEOUT);
	rig_close(&r);
}
