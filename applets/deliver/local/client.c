/*
 * client - connections from the queue manager
 */
#include "applets/deliver/local/client.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/local/local.h"
#include "applets/deliver/local/underway.h"

/* take_request - one message from the wire: 1, 0 more bytes, -1 not ours */
static int take_request(struct local *g, struct client *c, struct buf *in)
{
	struct request *q;
	struct wire w;
	size_t size;
	int rc = wire_next(in, &w, &size);

	if (rc <= 0) {
		return rc;
	}
	q = request_new(g);
	if (!delivery_get_request(&w, &q->arena, &q->r)) {
		request_keep(g, q);
		return -1;
	}
	buf_consume(in, size);
	queue_id_text(q->r.id, q->id);
	q->begun = clock_wall_us();
	q->g = g;
	q->client = c;
	q->next = c->requests;
	if (q->next != NULL) {
		q->next->prev = q;
	}
	c->requests = q;
	if (underway_enter(g, q)) {
		request_begin(g, q);
	}
	return 1;
}

/* ---- The session ---- */

static void *client_open(struct session_io *io, void *service, struct buf *out)
{
	struct local *g = service;
	struct client *c = mem_alloc(sizeof(*c));

	(void)out;
	c->g = g;
	c->io = io;
	io->timeout = INT32_MAX / 1000;
	c->next = g->clients;
	g->clients = c;
	return c;
}

/* client_feed - take what has come, give what is answered */
static enum session_want client_feed(void *session, struct buf *in, struct buf *out)
{
	struct client *c = session;
	struct local *g = c->g;
	struct queue *together;
	int rc = 1;

	/* A dead one's requests are another's by now, who may have them delivered already. */
	if (c->io->hung_up != NULL && c->io->hung_up(c->io)) {
		return SESSION_CLOSE;
	}
	together = g->queue != NULL && queue_read_begin(g->queue) == 0 ? g->queue : NULL;

	/* One view of the queue for all that have come: its locks are taken once. */
	while (rc > 0 && !c->ending && g->jobs < JOBS_HIGH) {
		rc = take_request(g, c, in);
	}
	/* After an error it was closed. */
	if (together != NULL && g->queue == together) {
		queue_read_end(together);
	}
	c->paused = rc > 0;
	if (c->answers.len > 0) {
		buf_add(out, c->answers.data, c->answers.len);
		buf_reset(&c->answers);
		buf_shrink(&c->answers, 65536);
	}
	if (rc < 0) {
		log_warn("malformed request from the queue manager");
		return SESSION_CLOSE;
	}
	if ((c->ending || (g->draining && !c->paused)) && c->requests == NULL) {
		return SESSION_CLOSE;
	}
	return c->paused || c->ending ? SESSION_WAIT : SESSION_READ;
}

static enum session_want client_event(void *session, enum session_event event, struct buf *out)
{
	struct client *c = session;

	switch (event) {
	case SESSION_EV_SHUTDOWN:
		c->ending = true;
		client_wake(c->g, c);
		return SESSION_WAIT;
	case SESSION_EV_TIMEOUT:
	case SESSION_EV_DRAINED:
	case SESSION_EV_TLS_UP:
		break;
	case SESSION_EV_EOF:
	case SESSION_EV_ERROR:
	case SESSION_EV_NO_MEMORY:
	case SESSION_EV_TLS_FAILED:
		return SESSION_CLOSE;
	}
	(void)out;
	return c->ending ? SESSION_WAIT : SESSION_READ;
}

static void client_close(void *session)
{
	struct client *c = session, **p = &c->g->clients;
	struct local *g = c->g;
	struct request *q;

	while (*p != c) {
		p = &(*p)->next;
	}
	*p = c->next;
	/* What is under way goes on; qmgr will ask again and call it suspect. */
	while ((q = c->requests) != NULL) {
		c->requests = q->next;
		q->client = NULL;
		q->prev = q->next = NULL;
	}
	loop_unhook(g->service.loop, &c->hook);
	buf_free(&c->answers);
	mem_free(c);
}

void clients_drain(struct local *g)
{
	for (struct client *c = g->clients; c != NULL; c = c->next) {
		c->ending = true;
	}
	clients_wake(g);
}

void clients_wake(struct local *g)
{
	for (struct client *c = g->clients; c != NULL; c = c->next) {
		client_wake(g, c);
	}
}

const struct session_class local_session = { .name = "local",
	.open = client_open,
	.feed = client_feed,
	.event = client_event,
	.close = client_close };
