/*
 * test_stream_turns - owners that go away inside their callbacks, waiting without a loop, filters
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stream_filter.h"
#include "stream_util.h"
#include "unit.h"

/* ---- Owners that go away ---- */

/* gone_in - the callback at `where` acts so; what came after it is not told */
static void gone_in(const struct stream_class *class, size_t where, enum act what, const char *data,
	size_t len, const char *heard)
{
	char got[256];
	struct rig r;

	rig_open(&r, class);
	*(enum act *)((char *)&r + where) = what;
	buf_adds(&r.s->out, "out");
	stream_more(r.s);
	(void)stream_flush(r.s);
	if (len > 0) {
		rig_say(&r, data, len);
	}
	(void)shutdown(r.peer, SHUT_WR);
	rig_settle(&r);
	CHECK_STR(rig_hear(&r, got), heard);
	if (what == ACT_REOPEN) {
		/* It is a new connection, and works. */
		buf_adds(&r.s->out, "new");
		CHECK_INT(stream_flush(r.s), 0);
		CHECK_INT(read(r.peer, got, sizeof(got)), 3);
		CHECK(memcmp(got, "new", 3) == 0);
	} else {
		CHECK(r.s == NULL || r.s->fd < 0);
	}
	rig_close(&r);
}

TEST(stream, may_go_away_in_any_callback)
{
	static const enum act acts[] = { ACT_CLOSE, ACT_FREE, ACT_REOPEN };
	struct buf b = BUF_INIT;

	rig_frame(&b, "one");
	rig_frame(&b, "two");
	for (size_t i = 0; i < 3; i++) {
		enum act a = acts[i];

		gone_in(&rig_lines, offsetof(struct rig, on_message), a, "a\nb\n", 4, "a;");
		gone_in(&rig_frames, offsetof(struct rig, on_message), a, b.data, b.len, "one;");
		gone_in(&rig_pairs, offsetof(struct rig, on_message), a, "abcd", 4, "abcd;");
		gone_in(&rig_lines, offsetof(struct rig, on_taken), a, "a\nb\n", 4, "a;b;");
		gone_in(&rig_lines, offsetof(struct rig, on_drained), a, "a\nb\n", 4, "");
		gone_in(&rig_lines, offsetof(struct rig, on_closed), a, "a\n", 2, "a;");
		gone_in(&rig_silent, offsetof(struct rig, on_closed), a, "a", 1, "");
	}
	buf_free(&b);
}

TEST(stream, may_go_away_when_its_time_is_over)
{
	static const enum act acts[] = { ACT_CLOSE, ACT_FREE, ACT_REOPEN };

	for (size_t i = 0; i < 3; i++) {
		struct rig r;

		rig_open(&r, &rig_lines);
		r.on_closed = acts[i];
		stream_deadline(r.s, 1);
		rig_until_end(&r);
		CHECK_INT(r.why, STREAM_TIMEOUT);
		rig_settle(&r);
		CHECK_INT(r.ended, 1);
		rig_close(&r);
	}
}

TEST(stream, changes_its_class_between_two_messages)
{
	char got[256];
	struct rig r;

	rig_open(&r, &rig_lines);
	r.on_message = ACT_SWITCH;
	r.next = &rig_pairs;
	rig_say(&r, "a\nb\ncd", 6);
	rig_settle(&r);
	CHECK_STR(rig_hear(&r, got), "a;b\ncd;");
	rig_close(&r);
}

/* ---- Without the loop ---- */

TEST(stream, waits_without_a_loop)
{
	struct buf want = BUF_INIT, got = BUF_INIT;
	struct rig r = { 0 };
	struct stream s;
	int64_t start;

	r.s = &s;
	stream_init(&s, NULL, &rig_lines, &r);
	CHECK_INT(stream_wait(&s, clock_ms() + 1000), -1);
	stream_open(&s, rig_pair(&r));
	start = clock_ms();
	CHECK_INT(stream_wait(&s, start + 30), 0);
	CHECK(clock_ms() - start >= 29);
	CHECK_INT(stream_wait(&s, start), 0);
	rig_say(&r, "a\nb", 3);
	CHECK_INT(stream_wait(&s, clock_ms() + 1000), 1);
	CHECK_STR(buf_str(&r.heard), "a;!");
	rig_fill(&want, 1000000);
	buf_add(&s.out, want.data, want.len);
	CHECK_INT(stream_flush(&s), 0);
	CHECK_INT(stream_wait(&s, clock_ms() + 10), 0);
	for (int i = 0; i < TURNS_MAX && stream_unsent(&s) > 0; i++) {
		rig_read_all(&r, &got);
		CHECK_INT(stream_wait(&s, clock_ms() + 1000), 1);
	}
	rig_read_all(&r, &got);
	CHECK_MEM(got.data, got.len, want.data, want.len);
	close(r.peer);
	while (stream_wait(&s, clock_ms() + 1000) > 0) {
	}
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.why, STREAM_EOF);
	buf_free(&want);
	buf_free(&got);
	buf_free(&r.heard);
}

TEST(stream, may_go_away_while_it_is_waited_for)
{
	struct rig r = { 0 };

	r.s = mem_alloc(sizeof(*r.s));
	stream_init(r.s, NULL, &rig_lines, &r);
	stream_open(r.s, rig_pair(&r));
	r.on_message = ACT_FREE;
	rig_say(&r, "a\nb\n", 4);
	CHECK_INT(stream_wait(r.s, clock_ms() + 1000), -1);
	CHECK(r.s == NULL);
	CHECK_STR(buf_str(&r.heard), "a;");
	close(r.peer);
	buf_free(&r.heard);
}

TEST(stream, waiting_helps_a_stream_of_a_loop)
{
	struct rig r;

	rig_open(&r, &rig_lines);
	rig_say(&r, "a\n", 2);
	CHECK_INT(stream_wait(r.s, clock_ms() + 1000), 1);
	CHECK_STR(buf_str(&r.heard), "a;!");
	rig_say(&r, "b\n", 2);
	rig_settle(&r);
	CHECK_STR(buf_str(&r.heard), "a;!b;!");
	rig_close(&r);
}

/* ---- A filter ---- */

/*
 * A cipher that only turns a bit of each byte. Its handshake: "?" goes out, "!" comes in. 'E' on
 * the wire is an error of the peer, 'Z' its end.
 */
struct fake {
	struct stream_filter base;
	bool asked, up, ended;
};

static int fake_process(struct stream_filter *f, struct buf *in, struct buf *out)
{
	struct fake *k = (struct fake *)f;

	if (!k->asked) {
		k->asked = true;
		buf_addc(&f->wire_out, '?');
	}
	while (buf_unread(&f->wire_in) > 0 && !k->ended) {
		char c = *buf_head(&f->wire_in);

		buf_consume(&f->wire_in, 1);
		if (c == 'E') {
			buf_adds(&f->wire_out, "alert");
			return -1;
		}
		k->ended = c == 'Z';
		if (!k->up) {
			k->up = c == '!';
		} else if (!k->ended) {
			buf_addc(in, (char)(c ^ 0x20));
		}
	}
	while (k->up && buf_unread(out) > 0) {
		buf_addc(&f->wire_out, (char)(*buf_head(out) ^ 0x20));
		buf_consume(out, 1);
	}
	return k->ended ? 0 : 1;
}

static bool fake_is_up(const struct stream_filter *f)
{
	return ((const struct fake *)f)->up;
}

static void fake_say_end(struct stream_filter *f)
{
	buf_addc(&f->wire_out, 'Z');
}

static const char *fake_error(const struct stream_filter *f)
{
	(void)f;
	return "bad bytes";
}

static void fake_free(struct stream_filter *f)
{
	mem_free(f);
}

static const struct stream_filter_class fake_class = { fake_process, fake_is_up, fake_say_end,
	fake_error, fake_free };

static void start_fake(struct rig *r)
{
	struct fake *k = mem_alloc(sizeof(*k));

	k->base.class = &fake_class;
	stream_filter(r->s, &k->base);
}

/* peer_reads - this, and nothing else */
static void peer_reads(const struct rig *r, const char *want)
{
	struct buf got = BUF_INIT;

	rig_read_all(r, &got);
	CHECK_STR(buf_str(&got), want);
	buf_free(&got);
}

TEST(stream, output_waits_for_the_handshake)
{
	char got[256];
	struct rig r;
	int64_t start;

	rig_open(&r, &rig_lines);
	buf_adds(&r.s->out, "hello");
	start_fake(&r);
	rig_settle(&r);
	peer_reads(&r, "?");
	CHECK_INT(r.secured, 0);
	/* Nothing can be done meanwhile, and nothing is. */
	loop_turn(r.loop, 0);
	start = clock_ms();
	loop_turn(r.loop, 50);
	CHECK(clock_ms() - start >= 45);
	rig_say(&r, "!AB*", 4);
	rig_settle(&r);
	CHECK_INT(r.secured, 1);
	peer_reads(&r, "HELLO");
	CHECK_STR(rig_hear(&r, got), "ab;");
	CHECK_INT(stream_send(r.s, "more", 4), 4);
	peer_reads(&r, "MORE");
	stream_finish(r.s);
	rig_settle(&r);
	peer_reads(&r, "Z");
	CHECK_INT(r.why, STREAM_DONE);
	rig_close(&r);
}

TEST(stream, what_was_said_in_the_clear_is_dropped)
{
	char got[256];
	struct rig r;

	rig_open(&r, &rig_lines);
	rig_say(&r, "clear", 5);
	rig_settle(&r);
	start_fake(&r);
	rig_say(&r, "!", 1);
	rig_say(&r, "X*", 2);
	rig_settle(&r);
	CHECK_STR(rig_hear(&r, got), "x;");
	rig_close(&r);
}

TEST(stream, a_filter_fails_or_ends)
{
	char got[256];
	struct rig r;

	rig_open(&r, &rig_lines);
	start_fake(&r);
	rig_say(&r, "!A*E", 4);
	rig_until_end(&r);
	CHECK_STR(rig_hear(&r, got), "a;");
	CHECK_INT(r.why, STREAM_TLS);
	CHECK_STR(stream_text(r.s, r.why), "bad bytes");
	peer_reads(&r, "?alert");
	rig_close(&r);

	rig_open(&r, &rig_lines);
	start_fake(&r);
	rig_say(&r, "!A*Z", 4);
	rig_until_end(&r);
	CHECK_STR(rig_hear(&r, got), "a;");
	CHECK_INT(r.why, STREAM_EOF);
	rig_close(&r);

	rig_open(&r, &rig_lines);
	start_fake(&r);
	rig_say(&r, "E", 1);
	rig_until_end(&r);
	CHECK_INT(r.secured, 0);
	CHECK_INT(r.why, STREAM_TLS);
	rig_close(&r);
}

TEST(stream, a_filter_keeps_only_so_much_back)
{
	struct buf want = BUF_INIT, got = BUF_INIT;
	struct rig r;
	size_t at = 0;

	rig_open(&r, &rig_lines);
	start_fake(&r);
	rig_say(&r, "!", 1);
	rig_settle(&r);
	peer_reads(&r, "?");
	rig_fill(&want, 3000000);
	for (int i = 0; i < TURNS_MAX && at < want.len; i++) {
		size_t some = want.len - at < 16384 ? want.len - at : 16384;
		ssize_t n = stream_send(r.s, want.data + at, some);

		CHECK(stream_unsent(r.s) < 65536 + 16384);
		if (n == 0) {
			rig_read_all(&r, &got);
			loop_turn(r.loop, 0);
		}
		at += n > 0 ? (size_t)n : 0;
	}
	CHECK_INT(at, want.len);
	for (int i = 0; i < TURNS_MAX && got.len < want.len; i++) {
		rig_read_all(&r, &got);
		loop_turn(r.loop, 0);
	}
	for (size_t i = 0; i < got.len; i++) {
		got.data[i] ^= 0x20;
	}
	CHECK_MEM(got.data, got.len, want.data, want.len);
	buf_free(&want);
	buf_free(&got);
	rig_close(&r);
}

TEST(stream, may_go_away_when_it_is_secured)
{
	static const enum act acts[] = { ACT_CLOSE, ACT_FREE, ACT_REOPEN };

	for (size_t i = 0; i < 3; i++) {
		char got[256];
		struct rig r;

		rig_open(&r, &rig_lines);
		start_fake(&r);
		r.on_secured = acts[i];
		rig_say(&r, "!A*", 3);
		rig_settle(&r);
		CHECK_INT(r.secured, 1);
		CHECK_STR(rig_hear(&r, got), "");
		rig_close(&r);
	}
}
