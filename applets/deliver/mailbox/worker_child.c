/*
 * worker_child - the child's side: it has become the user, and delivers what it is given
 *
 * Blocking, one message after the other. It knows nothing but what comes over
 * its socket. See worker.c for the messages.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"
#include "deliver/deliver.h"
#include "applets/deliver/mailbox/worker.h"

enum { READ_SIZE = 64 * 1024, PAUSE_MS = 200 };

/* The socket and what was read from it. */
struct line {
	int sock;
	pid_t parent; /* whose child we are as long as it lives */
	struct buf in, out;
};

/* A content: here, or asked for piece by piece. */
struct content {
	struct line *line;
	size_t item;
	const char *data; /* NULL: ask */
	size_t len;
	char *piece; /* the piece asked for last */
	int64_t piece_at;
	size_t piece_len;
};

/* wait_for_work - until there is something to read; memory does not wait along */
static void wait_for_work(struct line *l)
{
	struct pollfd p = { .fd = l->sock, .events = POLLIN };

	if (poll(&p, 1, PAUSE_MS) == 0) {
		buf_shrink(&l->in, 0);
		mem_trim();
	}
}

/* receive - the next whole message; false: there will be none */
static bool receive(struct line *l, struct wire *w, size_t *size)
{
	int rc;

	while ((rc = wire_next(&l->in, w, size)) == 0) {
		ssize_t n;

		wait_for_work(l);
		n = read(l->sock, buf_reserve(&l->in, READ_SIZE), READ_SIZE);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return false;
		}
		buf_added(&l->in, (size_t)n);
	}
	return rc > 0;
}

/* send_out - what was put into l->out; false: our parent has gone */
static bool send_out(struct line *l)
{
	bool good = fd_write_all(l->sock, buf_str(&l->out), l->out.len) == 0;

	buf_reset(&l->out);
	return good;
}

/*
 * fetch - the piece of a large content that begins at offset; false: it cannot be had. Also when
 * our parent has died: the delivery then cuts off what it has written, and leaves no torn message.
 */
static bool fetch(struct content *c, int64_t offset)
{
	struct line *l = c->line;
	struct line reply = { .sock = l->sock };
	size_t mark = wire_begin(&l->out), size, len = 0;
	const char *data;
	struct wire w;
	bool good;

	wire_put_int(&l->out, WORKER_WANT);
	wire_put_int(&l->out, c->item);
	wire_put_int(&l->out, (uint64_t)offset);
	wire_end(&l->out, mark);
	/* The batch itself stays in l->in; nothing else comes before this answer. */
	good = send_out(l) && receive(&reply, &w, &size) && wire_get_int(&w) == WORKER_DATA &&
		wire_get_int(&w) == 0;
	data = good ? wire_get_bytes(&w, &len) : NULL;
	good = good && wire_ok(&w) && len <= WORKER_PIECE;
	if (good) {
		if (c->piece == NULL) {
			c->piece = mem_alloc(WORKER_PIECE);
		}
		memcpy(c->piece, data, len);
		c->piece_at = offset;
		c->piece_len = len;
	}
	buf_free(&reply.in);
	return good;
}

static int64_t content_read(void *arg, int64_t offset, void *data, size_t len)
{
	struct content *c = arg;
	const char *from;
	size_t left;

	if (c->data != NULL) {
		from = c->data + offset;
		left = (size_t)offset < c->len ? c->len - (size_t)offset : 0;
	} else {
		if ((c->piece == NULL || offset < c->piece_at ||
			    offset >= c->piece_at + (int64_t)c->piece_len) &&
			!fetch(c, offset)) {
			return -1;
		}
		from = c->piece + (offset - c->piece_at);
		left = (size_t)(c->piece_at + (int64_t)c->piece_len - offset);
	}
	len = len < left ? len : left;
	memcpy(data, from, len);
	return (int64_t)len;
}

static void probe(struct line *l, struct wire *w)
{
	char id[DELIVER_ID_SIZE] = "";
	struct deliver_how how = { .lock_ms = 0 };
	const char *path = wire_get_str(w);
	size_t mark;
	int rc;

	how.any_owner = wire_get_int(w) != 0;
	rc = deliver_probe(path, &how, id);
	if (rc < 0 && errno != EAGAIN) {
		rc = 0; /* the delivery will say why */
	}
	mark = wire_begin(&l->out);
	wire_put_int(&l->out, WORKER_PROBED);
	wire_put_int(&l->out, (uint64_t)(rc + 1));
	wire_put_str(&l->out, id);
	wire_end(&l->out, mark);
	if (!send_out(l)) {
		_exit(1);
	}
}

/* take_items - the items of a batch; false: malformed */
static bool take_items(struct line *l, struct wire *w, struct deliver_item *items,
	struct content *contents, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct deliver_item *it = &items[i];
		uint64_t flags;

		it->queue_id = wire_get_str(w);
		it->sender = wire_get_str(w);
		it->recipient = wire_get_str(w);
		it->original = wire_get_str(w);
		flags = wire_get_int(w);
		it->suspect = (flags & 1) != 0;
		it->repair = (flags & 2) != 0;
		it->read = content_read;
		it->read_arg = &contents[i];
		contents[i].line = l;
		contents[i].item = i;
		if (wire_get_int(w) != 0) {
			contents[i].data = wire_get_bytes(w, &contents[i].len);
		}
	}
	return wire_ok(w);
}

/* parent_lives - else another agent is asked for this batch, and looks when our lock is free */
static bool parent_lives(void *arg)
{
	const struct line *l = arg;

	return getppid() == l->parent;
}

static void batch(struct line *l, struct wire *w)
{
	const char *path = wire_get_str(w);
	struct deliver_how how = { .size_limit = (int64_t)wire_get_int(w) };
	struct deliver_item *items;
	struct content *contents;
	size_t count, mark;
	int locked;

	how.lock_ms = (int)wire_get_int(w);
	how.any_owner = wire_get_int(w) != 0;
	how.home = wire_get_str(w);
	how.parents = wire_get_int(w) != 0;
	count = (size_t)wire_get_int(w);
	if (count > BATCH_ITEMS) {
		_exit(1);
	}
	items = mem_calloc(count + 1, sizeof(*items));
	contents = mem_calloc(count + 1, sizeof(*contents));
	if (!take_items(l, w, items, contents, count)) {
		_exit(1);
	}
	how.wanted = parent_lives;
	how.wanted_arg = l;
	locked = deliver_to_mailbox(path, &how, items, count);
	mark = wire_begin(&l->out);
	wire_put_int(&l->out, WORKER_RESULT);
	wire_put_int(&l->out, (uint64_t)locked);
	wire_put_int(&l->out, count);
	for (size_t i = 0; i < count; i++) {
		wire_put_int(&l->out, (uint64_t)items[i].status);
		wire_put_int(&l->out, items[i].suspect);
		wire_put_str(&l->out, items[i].dsn);
		wire_put_str(&l->out, items[i].text);
		mem_free(contents[i].piece);
	}
	wire_end(&l->out, mark);
	if (!send_out(l)) {
		_exit(1);
	}
	mem_free(items);
	mem_free(contents);
}

/* send_log - lines to our parent, between its other messages */
static void send_log(void *arg, const char *lines, size_t len)
{
	const int *sock = arg;
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b);

	wire_put_int(&b, WORKER_LOG);
	wire_put_bytes(&b, lines, len);
	wire_end(&b, mark);
	(void)fd_write_all(*sock, buf_str(&b), b.len);
	buf_free(&b);
}

void worker_log(const int *sock)
{
	log_set_sink(send_log, (void *)sock);
}

_Noreturn void worker_child(int sock, pid_t parent)
{
	struct line l = { .sock = sock, .parent = parent };

	for (;;) {
		struct wire w;
		size_t size;

		if (!receive(&l, &w, &size)) {
			_exit(0);
		}
		switch (wire_get_int(&w)) {
		case WORKER_PROBE:
			probe(&l, &w);
			break;
		case WORKER_BATCH:
			batch(&l, &w);
			break;
		default:
			_exit(1);
		}
		buf_consume(&l.in, size);
		buf_shrink(&l.in, READ_SIZE);
	}
}
