/*
 * submit_ways - the three ways of a local submission
 *
 * socket	DIR/public/pickup. Nothing is queued before END has arrived there, so until
 *		then a broken connection may be replaced by another way.
 * queue	queue.db, by whoever it belongs to (mail_owner, or the user of a server that runs
 *		as one user). Root does not open a database that somebody else writes.
 * maildrop	DIR/maildrop (mode 1733: anybody adds, nobody lists). A file "tmp." + 32 hex
 *		digits nobody can guess, since pickup's user has to be able to read it; fsynced,
 *		renamed to its final name, and the directory's change made durable: by fsync of
 *		the directory where it can be opened, else by syncfs(2) of its file system.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_write.h"
#include "route/resolve.h"
#include "message/submit_impl.h"

enum {
	SOCKET_SECONDS = 30,  /* without progress */
	ANSWER_SECONDS = 300, /* the commit may wait for a slow disk */
	TURN_MS = 1000,
	NAME_SIZE = 40
};

/* ---- The socket ---- */

/* take_answer - what pickup decided */
static enum way_status take_answer(struct submit *s, const struct pickup_message *m)
{
	if (m->status == PICKUP_OK) {
		(void)str_copy(s->id, sizeof(s->id), m->text);
		return WAY_OK;
	}
	submit_set_error(s, "%s", m->text);
	return m->status == PICKUP_REFUSED ? WAY_REFUSED : WAY_RETRY;
}

static bool on_answer(struct stream *stream, struct buf *in)
{
	struct submit *s = stream->owner;
	struct pickup_message m;
	size_t size;
	int rc = pickup_get(in, &m, &size);

	if (rc == 0) {
		return true;
	}
	if (rc < 0 || m.kind != PICKUP_ANSWER) {
		return false;
	}
	s->answered = true;
	s->answer = take_answer(s, &m);
	buf_consume(in, size);
	return true;
}

static const struct stream_class socket_class = {
	.data = on_answer, .read_size = 4096, .in_max = 1 << 17
};

static enum way_status socket_open(struct submit *s)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/public/pickup", param.queue_directory);
	stream_init(&s->socket, NULL, &socket_class, s);
	s->answered = false;
	if (stream_connect(&s->socket, path) != 0) {
		submit_set_error(s, "connect to %s: %s", path, strerror(errno));
		return WAY_BROKEN;
	}
	/* It has nothing to say before it has all. */
	stream_pause(&s->socket, true);
	return WAY_OK;
}

/* hear_answer - until pickup has answered, or is gone */
static bool hear_answer(struct submit *s)
{
	int rc = 1;

	stream_pause(&s->socket, false);
	while (!s->answered && rc > 0) {
		rc = stream_wait(&s->socket, clock_ms() + ANSWER_SECONDS * 1000);
	}
	return s->answered;
}

static enum way_status socket_put(struct submit *s, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = stream_send(&s->socket, data, len);

		if (n < 0) {
			if (hear_answer(s)) {
				return s->answer; /* it has heard enough to say no */
			}
			submit_set_error(
				s, "write to pickup: %s", stream_text(&s->socket, s->socket.lost));
			return WAY_BROKEN;
		}
		data += n;
		len -= (size_t)n;
		if (len > 0 && stream_wait(&s->socket, clock_ms() + SOCKET_SECONDS * 1000) == 0) {
			submit_set_error(s, "pickup does not take the message");
			return WAY_BROKEN;
		}
	}
	return WAY_OK;
}

static enum way_status socket_end(struct submit *s)
{
	if (hear_answer(s)) {
		return s->answer;
	}
	/* It may be queued or not: only the caller's retry is safe. */
	submit_set_error(s, "pickup went away before it answered");
	return WAY_RETRY;
}

static void socket_close(struct submit *s)
{
	stream_close(&s->socket);
}

/* ---- queue.db ---- */

/* may_write - is the queue ours, or may we make it because the directory is? */
static bool may_write(void)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/" QUEUE_SUBDIR, param.queue_directory);
	if (stat(path, &st) != 0) {
		return errno == ENOENT && geteuid() != 0 &&
			eaccess(param.queue_directory, W_OK) == 0;
	}
	if (st.st_uid != geteuid() && (geteuid() == 0 || eaccess(path, W_OK) != 0)) {
		return false;
	}
	snprintf(path, sizeof(path), "%s/" QUEUE_SUBDIR "/queue.db", param.queue_directory);
	return eaccess(path, W_OK) == 0 || errno == ENOENT;
}

static enum way_status queue_way_open(struct submit *s)
{
	char *error = NULL;

	if (!may_write()) {
		submit_set_error(s, "%s/" QUEUE_SUBDIR "/queue.db is not ours to write",
			param.queue_directory);
		return WAY_BROKEN;
	}
	s->queue = queue_open_below(param.queue_directory, QUEUE_CREATE, &error);
	if (s->queue == NULL) {
		submit_set_error(s, "%s", error != NULL ? error : "queue.db cannot be opened");
		free(error);
		return WAY_BROKEN;
	}
	/* virtual_alias_maps: a command that only hands mail in has opened no tables yet. */
	route_init();
	s->loop = loop_new();
	s->enqueue = enqueue_new(s->queue, getuid(), NULL, s->loop, NULL, NULL);
	return WAY_OK;
}

static enum way_status queue_way_put(struct submit *s, const char *data, size_t len)
{
	struct pickup_message m;
	size_t size;

	buf_add(&s->out, data, len);
	while (pickup_get(&s->out, &m, &size) == 1) {
		if (enqueue_take(s->enqueue, &m) != 0) {
			submit_set_error(s, "malformed submission");
			return WAY_REFUSED;
		}
		/* Its stages have time limits of their own. */
		while (enqueue_waits(s->enqueue)) {
			loop_turn(s->loop, TURN_MS);
		}
		buf_consume(&s->out, size);
	}
	return WAY_OK;
}

static void queue_way_done(void *arg, bool ok, const char *id)
{
	struct submit *s = arg;

	s->committed = ok;
	(void)str_copy(s->id, sizeof(s->id), id);
}

static enum way_status queue_way_end(struct submit *s)
{
	const char *text;
	enum pickup_status status = enqueue_result(s->enqueue, &text);

	if (status != PICKUP_OK) {
		submit_set_error(s, "%s", text);
		return status == PICKUP_REFUSED ? WAY_REFUSED : WAY_BROKEN;
	}
	enqueue_commit(s->enqueue, queue_way_done, s);
	s->enqueue = NULL;
	if (queue_commit(s->queue) != 0 || !s->committed) {
		submit_set_error(s, "queue.db: %s", queue_error(s->queue));
		return WAY_BROKEN;
	}
	return WAY_OK;
}

static void queue_way_close(struct submit *s)
{
	enqueue_free(s->enqueue);
	s->enqueue = NULL;
	loop_free(s->loop);
	s->loop = NULL;
	queue_close(s->queue);
	s->queue = NULL;
	buf_free(&s->out);
}

/* ---- The maildrop ---- */

/* drop_name - 32 hex digits that nobody guesses */
static bool drop_name(char name[NAME_SIZE])
{
	unsigned char raw[16];

	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw)) {
		return false;
	}
	for (size_t i = 0; i < sizeof(raw); i++) {
		snprintf(name + 2 * i, 3, "%02X", raw[i]);
	}
	return true;
}

static enum way_status drop_broken(struct submit *s)
{
	submit_set_error(s, "%s/maildrop: %s", param.queue_directory, strerror(errno));
	return WAY_BROKEN;
}

static enum way_status drop_open(struct submit *s)
{
	char path[4096], tmp[NAME_SIZE + 8];

	if (!drop_name(s->drop_name)) {
		submit_set_error(s, "no random numbers: %s", strerror(errno));
		return WAY_BROKEN;
	}
	/* By descriptor: what is mail_owner's may be exchanged while we work there. */
	snprintf(path, sizeof(path), "%s/maildrop", param.queue_directory);
	s->drop_dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(tmp, sizeof(tmp), "tmp.%s", s->drop_name);
	s->fd = s->drop_dir < 0
		? -1
		: openat(s->drop_dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			  0600);
	return s->fd >= 0 ? WAY_OK : drop_broken(s);
}

static enum way_status drop_put(struct submit *s, const char *data, size_t len)
{
	return fd_write_all(s->fd, data, len) == 0 ? WAY_OK : drop_broken(s);
}

static enum way_status drop_end(struct submit *s)
{
	char tmp[NAME_SIZE + 8];
	enum way_status status;

	snprintf(tmp, sizeof(tmp), "tmp.%s", s->drop_name);
	/* Readable for pickup's user; the name protects it from others. */
	if (fchmod(s->fd, 0644) != 0 || fsync(s->fd) != 0 ||
		renameat(s->drop_dir, tmp, s->drop_dir, s->drop_name) != 0) {
		return drop_broken(s);
	}
	if (dir_sync_at(s->drop_dir, s->fd) != 0) {
		status = drop_broken(s);
		(void)unlinkat(s->drop_dir, s->drop_name, 0);
		return status;
	}
	/* The mail is safe from here. */
	s->drop_name[0] = '\0';
	return WAY_OK;
}

static void drop_close(struct submit *s)
{
	char tmp[NAME_SIZE + 8];

	if (s->fd >= 0) {
		close(s->fd);
		snprintf(tmp, sizeof(tmp), "tmp.%s", s->drop_name);
		if (s->drop_name[0] != '\0') {
			(void)unlinkat(s->drop_dir, tmp, 0);
		}
	}
	if (s->drop_dir >= 0) {
		close(s->drop_dir);
	}
	s->fd = s->drop_dir = -1;
	s->drop_name[0] = '\0';
}

const struct submit_way submit_ways[] = {
	{ "socket", socket_open, socket_put, socket_end, socket_close },
	{ "queue", queue_way_open, queue_way_put, queue_way_end, queue_way_close },
	{ "maildrop", drop_open, drop_put, drop_end, drop_close },
};

const size_t submit_way_count = ARRAY_LEN(submit_ways);
