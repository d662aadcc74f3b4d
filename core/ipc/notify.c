/*
 * notify - words to qmgr
 *
 * A writer that found the socket full keeps up to 64 KB back; beyond that it
 * forgets the ids and says QMGR_SCAN once there is room again. A connection
 * that broke (qmgr was restarted) is made anew once for each notice; when
 * that fails nobody is there, and the one who comes looks for himself.
 */
#include "ipc/notify.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "base/wire.h"

enum { HELD_MAX = 65536, IDS_PER_MESSAGE = 4096, PATH_SIZE = 4096 };

struct queue_notify {
	struct loop *loop;
	char *path;
	struct watch watch;
	struct buf out;
	bool lost; /* ids were forgotten: QMGR_SCAN is due */
};

static char *make_path(const char *dir)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/public/qmgr", dir);
	return mem_strdup(path);
}

struct queue_notify *queue_notify_new(struct loop *loop, const char *dir)
{
	struct queue_notify *n = mem_alloc(sizeof(*n));

	n->loop = loop;
	n->path = make_path(dir);
	n->watch.fd = -1;
	return n;
}

static void disconnect(struct queue_notify *n)
{
	int fd = n->watch.fd;

	if (fd >= 0) {
		loop_unwatch(n->loop, &n->watch);
		close(fd);
	}
	buf_reset(&n->out);
}

void queue_notify_free(struct queue_notify *n)
{
	if (n == NULL) {
		return;
	}
	disconnect(n);
	buf_free(&n->out);
	mem_free(n->path);
	mem_free(n);
}

static void put_message(struct buf *b, enum qmgr_message kind, const queue_id *ids, size_t count)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, kind);
	if (kind == QMGR_NEW) {
		wire_put_int(b, count);
		for (size_t i = 0; i < count; i++) {
			wire_put_int(b, ids[i]);
		}
	}
	wire_end(b, mark);
}

/* push - send what is held; 0 (some may be left), or -1: the connection is gone */
static int push(struct queue_notify *n)
{
	while (buf_unread(&n->out) > 0) {
		ssize_t sent =
			send(n->watch.fd, buf_head(&n->out), buf_unread(&n->out), MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0 && errno == EAGAIN) {
			break;
		}
		if (sent <= 0) {
			return -1;
		}
		buf_consume(&n->out, (size_t)sent);
	}
	if (buf_unread(&n->out) == 0 && n->lost) {
		n->lost = false;
		put_message(&n->out, QMGR_SCAN, NULL, 0);
		return push(n);
	}
	/* Reading tells that the other side went away; it never sends. */
	loop_want(n->loop, &n->watch, buf_unread(&n->out) > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	return 0;
}

static void on_ready(struct watch *w, unsigned events)
{
	struct queue_notify *n = w->owner;
	char c;

	if (events & (LOOP_READ | LOOP_HANGUP)) {
		ssize_t got = recv(w->fd, &c, 1, MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
			disconnect(n);
			return;
		}
	}
	if (push(n) != 0) {
		disconnect(n);
	}
}

static bool reconnect(struct queue_notify *n)
{
	int fd;

	disconnect(n);
	fd = unix_connect(n->path);
	if (fd < 0) {
		return false;
	}
	loop_watch(n->loop, &n->watch, fd, LOOP_READ, on_ready, n);
	return true;
}

/* send_ids - over the connection there is; false: it is gone */
static bool send_ids(struct queue_notify *n, const queue_id *ids, size_t count)
{
	if (n->watch.fd < 0) {
		return false;
	}
	if (buf_unread(&n->out) > HELD_MAX) {
		n->lost = true;
	} else {
		put_message(&n->out, QMGR_NEW, ids, count);
	}
	return push(n) == 0;
}

void queue_notify_committed(struct queue_notify *n, const struct queue *q)
{
	size_t count;
	const queue_id *ids = queue_committed(q, &count);

	/* The log of how they came goes before what the queue manager says of them. */
	log_flush();
	for (size_t at = 0; at < count; at += IDS_PER_MESSAGE) {
		size_t some = count - at < IDS_PER_MESSAGE ? count - at : IDS_PER_MESSAGE;

		if (!send_ids(n, ids + at, some) &&
			(!reconnect(n) || !send_ids(n, ids + at, some))) {
			disconnect(n);
			return;
		}
	}
}

/* wait_for - until fd is ready; false with errno after so many milliseconds */
static bool wait_for(int fd, short events, int ms)
{
	struct pollfd p = { fd, events, 0 };
	int rc;

	do {
		rc = poll(&p, 1, ms);
	} while (rc < 0 && errno == EINTR);
	if (rc == 0) {
		errno = ETIMEDOUT;
	}
	return rc > 0;
}

/* exchange - send the request, read the answer; as queue_ask_qmgr() */
static int exchange(int fd, struct buf *b, int ms)
{
	struct wire w;
	size_t size;
	int rc;

	while (buf_unread(b) > 0) {
		ssize_t n = send(fd, buf_head(b), buf_unread(b), MSG_NOSIGNAL);

		if (n > 0) {
			buf_consume(b, (size_t)n);
		} else if (errno != EAGAIN || !wait_for(fd, POLLOUT, ms)) {
			return -1;
		}
	}
	while ((rc = wire_next(b, &w, &size)) == 0 && b->len < 4096) {
		ssize_t n;

		if (!wait_for(fd, POLLIN, ms)) {
			return -1;
		}
		n = read(fd, buf_reserve(b, 256), 256);
		if (n <= 0) {
			errno = n == 0 ? ECONNRESET : errno;
			return -1;
		}
		buf_added(b, (size_t)n);
	}
	if (rc != 1) {
		errno = EPROTO;
		return -1;
	}
	return (int)wire_get_int(&w);
}

int queue_ask_qmgr(const char *dir, enum qmgr_message kind, const char *text, int seconds)
{
	char *path = make_path(dir);
	int fd = unix_connect(path), answer, saved;
	struct buf b = BUF_INIT;
	size_t mark;

	mem_free(path);
	if (fd < 0) {
		return -1;
	}
	mark = wire_begin(&b);
	wire_put_int(&b, kind);
	if (text != NULL) {
		wire_put_str(&b, text);
	}
	wire_end(&b, mark);
	answer = exchange(fd, &b, seconds * 1000);
	saved = errno;
	buf_free(&b);
	close(fd);
	errno = saved;
	return answer;
}
