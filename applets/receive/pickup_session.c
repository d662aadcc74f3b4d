/*
 * pickup_session - one submission after the other over a connection, each answered after its commit
 */
#include "applets/receive/pickup_session.h"

#include <pwd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "map/map_wait.h"
#include "queue/queue_write.h"
#include "ipc/pickup_request.h"
#include "message/enqueue.h"

enum { SESSION_SECONDS = 300 };

struct session {
	struct pickup *pickup;
	struct session_io *io;
	uid_t uid;
	struct enqueue *enqueue;
	struct waiting *waiting; /* the commit is due */
	struct map_wait wait;    /* the tables of the message that is being taken */
	bool asking;             /* one has yet to answer */
	bool authorized;         /* said before END is taken */
	bool ended;              /* it is taken */
	struct buf held;
};

/* What a commit tells about; the session may be gone by then. */
struct waiting {
	struct session *session;
};

static void answer(struct buf *out, enum pickup_status status, const char *text)
{
	const struct pickup_message m = { .kind = PICKUP_ANSWER, .status = status, .text = text };

	pickup_put(out, &m);
}

bool pickup_is_authorized(const struct pickup *p, uid_t uid)
{
	const struct passwd *pw;

	if (uid == 0 || uid == geteuid()) {
		return true;
	}
	pw = getpwuid(uid);
	return match_domain(p->authorized, pw != NULL ? pw->pw_name : "unknown") > 0;
}

/* session_asked - tables have answered, or the stages go on */
static void session_asked(void *arg)
{
	struct session *s = arg;

	s->io->resume(s->io);
}

static void *session_open(struct session_io *io, void *service, struct buf *out)
{
	struct pickup_client *client = service;
	struct session *s = mem_alloc(sizeof(*s));

	(void)out;
	s->io = io;
	s->pickup = client->pickup;
	s->uid = client->uid;
	map_wait_init(&s->wait, s->pickup->loop, session_asked, s);
	io->timeout = SESSION_SECONDS;
	mem_free(client);
	return s;
}

static void session_close(void *session)
{
	struct session *s = session;

	if (s->waiting != NULL) {
		s->waiting->session = NULL;
	}
	map_wait_end(&s->wait);
	enqueue_free(s->enqueue);
	buf_free(&s->held);
	mem_free(s);
}

/* session_committed - from queue_commit() */
static void session_committed(void *arg, bool ok, const char *id)
{
	struct waiting *w = arg;
	struct session *s = w->session;

	if (s != NULL) {
		s->waiting = NULL;
		answer(&s->held, ok ? PICKUP_OK : PICKUP_RETRY,
			ok                                        ? id
				: queue_is_full(s->pickup->queue) ? "insufficient system storage"
								  : "queue file write error");
		s->io->resume(s->io);
	}
	mem_free(w);
}

/* session_end - END came: refuse, or wait for the commit */
static enum session_want session_end(struct session *s, struct buf *out)
{
	const char *text;
	enum pickup_status status = enqueue_result(s->enqueue, &text);

	s->ended = false;
	if (status == PICKUP_OK && !s->authorized) {
		status = PICKUP_REFUSED;
		text = "not authorized to submit mail (authorized_submit_users)";
	}
	if (status != PICKUP_OK) {
		log_info("%s: uid=%ld: %s", enqueue_id(s->enqueue), (long)s->uid, text);
		answer(out, status, text);
		enqueue_free(s->enqueue);
		s->enqueue = NULL;
		return SESSION_READ;
	}
	s->waiting = mem_alloc(sizeof(*s->waiting));
	s->waiting->session = s;
	enqueue_commit(s->enqueue, session_committed, s->waiting);
	s->enqueue = NULL;
	s->pickup->commit_soon();
	return SESSION_WAIT;
}

/* session_take - a message of the submission; as enqueue_take() */
static int session_take(struct session *s, const struct pickup_message *m)
{
	int rc;

	map_wait_enter(&s->wait);
	s->authorized = m->kind == PICKUP_END && pickup_is_authorized(s->pickup, s->uid);
	rc = map_is_waiting() ? 1 : enqueue_take(s->enqueue, m);
	(void)map_wait_leave(&s->wait);
	s->asking = rc == 1;
	if (rc != 1) {
		map_wait_forget(&s->wait);
	}
	return rc;
}

/* is_held - is something waited for that is no input? */
static bool is_held(const struct session *s)
{
	return s->waiting != NULL || s->asking || (s->enqueue != NULL && enqueue_waits(s->enqueue));
}

/* take_one - the message at the head of in; *rc_r as pickup_get() */
static enum session_want take_one(struct session *s, struct buf *in, struct buf *out, int *rc_r)
{
	struct pickup_message m;
	size_t size;

	*rc_r = pickup_get(in, &m, &size);
	if (*rc_r != 1) {
		return SESSION_READ;
	}
	if (s->enqueue == NULL) {
		s->enqueue = enqueue_new(
			s->pickup->queue, s->uid, NULL, s->pickup->loop, session_asked, s);
	}
	switch (session_take(s, &m)) {
	case 0:
		break;
	case 1:
		return SESSION_WAIT;
	default:
		*rc_r = -1;
		return SESSION_READ;
	}
	s->ended = m.kind == PICKUP_END;
	buf_consume(in, size);
	if (enqueue_waits(s->enqueue)) {
		return SESSION_WAIT;
	}
	return s->ended ? session_end(s, out) : SESSION_READ;
}

static enum session_want session_feed(void *session, struct buf *in, struct buf *out)
{
	struct session *s = session;
	enum session_want want = SESSION_READ;
	int rc = 1;

	if (s->waiting != NULL || (s->enqueue != NULL && enqueue_waits(s->enqueue))) {
		return SESSION_WAIT;
	}
	if (buf_unread(&s->held) > 0) {
		buf_add(out, buf_head(&s->held), buf_unread(&s->held));
		buf_free(&s->held);
	}
	if (s->ended) {
		want = session_end(s, out);
	}
	while (want == SESSION_READ && rc == 1) {
		want = take_one(s, in, out, &rc);
	}
	if (rc < 0) {
		log_warn("malformed submission from uid %ld", (long)s->uid);
		answer(out, PICKUP_REFUSED, "malformed submission");
		return SESSION_CLOSE;
	}
	return want;
}

static enum session_want session_event(void *session, enum session_event event, struct buf *out)
{
	const struct session *s = session;

	switch (event) {
	case SESSION_EV_NO_MEMORY:
		answer(out, PICKUP_RETRY, "out of memory");
		return SESSION_CLOSE;
	case SESSION_EV_TIMEOUT:
	case SESSION_EV_EOF:
	case SESSION_EV_ERROR:
		if (s->enqueue != NULL) {
			log_info("%s: submission by uid %ld broke off", enqueue_id(s->enqueue),
				(long)s->uid);
		}
		return SESSION_CLOSE;
	case SESSION_EV_SHUTDOWN:
		return is_held(s)            ? SESSION_WAIT
			: s->enqueue != NULL ? SESSION_READ
					     : SESSION_CLOSE;
	case SESSION_EV_TLS_UP:
	case SESSION_EV_TLS_FAILED:
	case SESSION_EV_DRAINED:
		break;
	}
	return is_held(s) ? SESSION_WAIT : SESSION_READ;
}

const struct session_class pickup_class = {
	.name = "pickup",
	.open = session_open,
	.feed = session_feed,
	.event = session_event,
	.close = session_close,
};
