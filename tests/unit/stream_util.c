/*
 * stream_util - a stream whose owner does as the test says
 */
#include "stream_util.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "unit.h"

int rig_pair(struct rig *r)
{
	int ends[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	r->peer = ends[1];
	return ends[0];
}

/* act - what the test wants to happen in this callback; what it is to answer */
static bool act(struct rig *r, enum act what)
{
	struct stream *s = r->s;

	switch (what) {
	case ACT_NONE:
		break;
	case ACT_CLOSE:
		stream_close(s);
		break;
	case ACT_FREE:
		r->s = NULL;
		stream_close(s);
		mem_free(s);
		break;
	case ACT_REOPEN:
		close(r->peer);
		stream_open(s, rig_pair(r));
		break;
	case ACT_REFUSE:
		return false;
	case ACT_PAUSE:
		stream_pause(s, true);
		break;
	case ACT_SWITCH:
		stream_use(s, r->next, r);
		break;
	}
	return true;
}

static bool on_line(struct stream *s, char *text, size_t len)
{
	struct rig *r = s->owner;
	bool good;

	CHECK_INT(strlen(text), len);
	r->more = stream_has_more(s);
	good = act(r, r->on_message);
	/* Whatever has become of the stream. */
	buf_add(&r->heard, text, len);
	buf_addc(&r->heard, ';');
	return good;
}

static bool on_frame(struct stream *s, struct wire *w)
{
	struct rig *r = s->owner;
	bool good;

	r->more = stream_has_more(s);
	good = act(r, r->on_message);
	buf_adds(&r->heard, wire_get_str(w));
	buf_addc(&r->heard, ';');
	CHECK(wire_ok(w));
	return good;
}

/* on_data - takes pairs of bytes */
static bool on_data(struct stream *s, struct buf *in)
{
	struct rig *r = s->owner;
	bool good = act(r, r->on_message);

	while (buf_unread(in) >= 2) {
		buf_add(&r->heard, buf_head(in), 2);
		buf_consume(in, 2);
	}
	buf_addc(&r->heard, ';');
	return good;
}

static void on_taken(struct stream *s)
{
	struct rig *r = s->owner;

	buf_addc(&r->heard, '!');
	(void)act(r, r->on_taken);
}

static void on_drained(struct stream *s)
{
	struct rig *r = s->owner;

	r->drained++;
	(void)act(r, r->on_drained);
}

static void on_secured(struct stream *s)
{
	struct rig *r = s->owner;

	r->secured++;
	(void)act(r, r->on_secured);
}

static void on_closed(struct stream *s, enum stream_end why)
{
	struct rig *r = s->owner;

	CHECK_INT(s->fd, -1);
	r->ended++;
	r->why = why;
	(void)act(r, r->on_closed);
}

const struct stream_class rig_lines = { .line = on_line,
	.taken = on_taken,
	.drained = on_drained,
	.secured = on_secured,
	.closed = on_closed,
	.read_size = 64,
	.in_max = LINE_MAX };
const struct stream_class rig_frames = {
	.frame = on_frame, .closed = on_closed, .read_size = 64, .in_max = 100
};
const struct stream_class rig_pairs = {
	.data = on_data, .closed = on_closed, .read_size = 64, .in_max = 8
};
/* Nothing but the end is told. */
const struct stream_class rig_silent = { .closed = on_closed, .read_size = 64 };

void rig_open(struct rig *r, const struct stream_class *class)
{
	memset(r, 0, sizeof(*r));
	r->loop = loop_new();
	r->s = mem_alloc(sizeof(*r->s));
	stream_init(r->s, r->loop, class, r);
	stream_open(r->s, rig_pair(r));
}

void rig_close(struct rig *r)
{
	if (r->s != NULL) {
		stream_close(r->s);
		mem_free(r->s);
	}
	buf_free(&r->heard);
	loop_free(r->loop);
	close(r->peer);
}

void rig_say(const struct rig *r, const void *data, size_t len)
{
	CHECK_INT(write(r->peer, data, len), (long long)len);
}

void rig_settle(struct rig *r)
{
	loop_turn(r->loop, TURN_MS);
	for (int i = 0; i < 10; i++) {
		loop_turn(r->loop, 0);
	}
}

void rig_until_end(struct rig *r)
{
	for (int i = 0; i < TURNS_MAX && r->ended == 0; i++) {
		loop_turn(r->loop, TURN_MS);
	}
}

const char *rig_hear(struct rig *r, char out[256])
{
	size_t n = 0;

	for (size_t i = 0; i < r->heard.len && n < 255; i++) {
		if (r->heard.data[i] != '!') {
			out[n++] = r->heard.data[i];
		}
	}
	out[n] = '\0';
	buf_reset(&r->heard);
	return out;
}

void rig_frame(struct buf *b, const char *text)
{
	size_t mark = wire_begin(b);

	wire_put_str(b, text);
	wire_end(b, mark);
}

void rig_read_all(const struct rig *r, struct buf *b)
{
	ssize_t n;

	while ((n = read(r->peer, buf_reserve(b, 4096), 4096)) > 0) {
		buf_added(b, (size_t)n);
	}
}

void rig_fill(struct buf *b, size_t len)
{
	for (int i = 0; b->len < len; i++) {
		buf_addf(b, "%d,", i);
	}
}
