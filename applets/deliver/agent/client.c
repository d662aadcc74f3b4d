/*
 * client - connections from the queue manager
 */
#include "applets/deliver/agent/client.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"
#include "queue/queue_read.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/agent/result.h"
#include "applets/deliver/agent/underway.h"

/* take_request - one message from the wire: 1, 0 more bytes, -1 not ours */
static int take_request(struct agent_host *h, struct agent_client *c, struct buf *in)
{
	struct agent_request *q;
	struct wire w;
	size_t size;
	int rc = wire_next(in, &w, &size);

	if (rc <= 0) {
		return rc;
	}
	q = agent_request_new(h);
	if (!delivery_get_request(&w, &q->arena, &q->r)) {
		agent_request_spare(h, q);
		return -1;
	}
	buf_consume(in, size);
	queue_id_text(q->r.id, q->id);
	q->begun = clock_wall_us();
	q->host = h;
	q->client = c;
	q->next = c->requests;
	if (q->next != NULL) {
		q->next->prev = q;
	}
	c->requests = q;
	if (underway_enter(h, q)) {
		h->begin(q);
	}
	return 1;
}

/* ---- The session ---- */

static void *client_open(struct session_io *io, void *service, struct buf *out)
{
	struct agent_host *h = service;
	struct agent_client *c = mem_alloc(sizeof(*c));

	(void)out;
	c->host = h;
	c->io = io;
	io->timeout = INT32_MAX / 1000;
	c->next = h->clients;
	h->clients = c;
	return c;
}

/* client_feed - take what has come, give what is answered */
static enum session_want client_feed(void *session, struct buf *in, struct buf *out)
{
	struct agent_client *c = session;
	struct agent_host *h = c->host;
	struct queue *together;
	int rc = 1;

	/* A dead one's requests are another's by now, who may have them delivered already. */
	if (c->io->hung_up != NULL && c->io->hung_up(c->io)) {
		return SESSION_CLOSE;
	}
	together = h->queue != NULL && queue_read_begin(h->queue) == 0 ? h->queue : NULL;

	/* One view of the queue for all that have come: its locks are taken once. */
	while (rc > 0 && !c->ending && h->load < AGENT_LOAD_HIGH) {
		rc = take_request(h, c, in);
	}
	/* After an error it was closed. */
	if (together != NULL && h->queue == together) {
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
	if ((c->ending || (h->draining && !c->paused)) && c->requests == NULL) {
		return SESSION_CLOSE;
	}
	return c->paused || c->ending ? SESSION_WAIT : SESSION_READ;
}

static enum session_want client_event(void *session, enum session_event event, struct buf *out)
{
	struct agent_client *c = session;

	switch (event) {
	case SESSION_EV_SHUTDOWN:
		c->ending = true;
		agent_client_wake(c);
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
	struct agent_client *c = session, **p = &c->host->clients;
	struct agent_host *h = c->host;
	struct agent_request *q;

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
	loop_unhook(h->service.loop, &c->hook);
	buf_free(&c->answers);
	mem_free(c);
}

void agent_clients_drain(struct agent_host *h)
{
	for (struct agent_client *c = h->clients; c != NULL; c = c->next) {
		c->ending = true;
	}
	agent_clients_wake(h);
}

void agent_clients_wake(struct agent_host *h)
{
	for (struct agent_client *c = h->clients; c != NULL; c = c->next) {
		agent_client_wake(c);
	}
}

const struct session_class agent_session = { .name = "agent",
	.open = client_open,
	.feed = client_feed,
	.event = client_event,
	.close = client_close };
