/*
 * request - qmgr's requests become jobs, their ends become answers
 *
 *	request (message) 1-n recipient 1-n job (target of its expansion)
 *
 * A recipient is answered when its last job has ended:
 *
 *	all were delivered		sent, and addresses elsewhere are added to the message
 *	some members of an alias were
 *	not				sent; those are added as recipients of their own and tried
 *					(or bounced) by themselves, so nobody gets a mail twice
 *	what has no address of its own
 *	(commands, files, the user
 *	itself) was not			deferred or bounced
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "ipc/delivery_log.h"
#include "applets/deliver/local/local.h"

enum { SPARE_SECONDS = 3 };

/* ---- The message's content ---- */

int64_t request_read(void *arg, int64_t offset, void *data, size_t len)
{
	struct request *q = arg;
	struct local *g = q->g;
	struct queue *queue;
	int64_t n;

	if (offset < (int64_t)q->content.len) {
		size_t left = q->content.len - (size_t)offset;

		len = len < left ? len : left;
		memcpy(data, q->content.data + offset, len);
		return (int64_t)len;
	}
	if (q->content_whole) {
		return 0;
	}
	queue = local_queue(g);
	if (queue == NULL) {
		return -1;
	}
	n = queue_read(queue, q->r.id, offset, data, len);
	if (n < 0) {
		log_warn("%s: %s", q->id, queue_error(queue));
		queue_close(queue);
		g->queue = NULL;
	}
	/* Rows that are gone would look like a short message. */
	return n == 0 && offset < q->r.size ? -1 : n;
}

/*
 * content_load - the beginning of the message into g->scratch: its headers, and mostly
 * the whole, which then is kept for the delivery; how many bytes, or -1
 */
static int64_t content_load(struct local *g, struct request *q)
{
	int64_t n = request_read(q, 0, g->scratch, CONTENT_KEEP);

	if (n >= 0 && n >= q->r.size && g->content_bytes + (size_t)n <= CONTENT_TOTAL) {
		buf_add(&q->content, g->scratch, (size_t)n);
		q->content_whole = true;
		g->content_bytes += (size_t)n;
	}
	return n;
}

/* find_delivered_to - the values of the message's Delivered-To headers */
static void find_delivered_to(struct request *q, const char *p, size_t len)
{
	static const char name[] = "Delivered-To:";
	const char *end = p + len;
	const char **list = NULL;
	size_t room = 0;

	while (p < end && *p != '\n') {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct slice line = { p, (size_t)((nl != NULL ? nl : end) - p) };

		if (line.len > sizeof(name) &&
			slice_ieq((struct slice){ line.ptr, sizeof(name) - 1 }, name)) {
			line.ptr += sizeof(name) - 1;
			line.len -= sizeof(name) - 1;
			line = slice_trim(line);
			if (q->delivered_count == room) {
				const char **more =
					arena_alloc(&q->arena, (room + 8) * 2 * sizeof(*more));

				if (room > 0) {
					memcpy(more, list, room * sizeof(*more));
				}
				room = (room + 8) * 2;
				list = more;
			}
			list[q->delivered_count++] = arena_strndup(&q->arena, line.ptr, line.len);
		}
		p = nl != NULL ? nl + 1 : end;
	}
	q->delivered_to = list;
}

static bool was_delivered(void *arg, const char *address)
{
	const struct request *q = arg;

	for (size_t i = 0; i < q->delivered_count; i++) {
		if (str_ieq(q->delivered_to[i], address)) {
			return true;
		}
	}
	return false;
}

/* ---- Answers ---- */

static void on_client_turn(struct loop_hook *h)
{
	struct client *c = h->owner;

	c->io->resume(c->io);
}

/* client_wake - feed() is to be called: there are answers, or room for requests */
static void client_wake(struct local *g, struct client *c)
{
	loop_at_end(g->service.loop, &c->hook, on_client_turn, c);
}

static void spares_free(struct local *g)
{
	struct request *q;

	while ((q = g->spares) != NULL) {
		g->spares = q->next;
		buf_free(&q->content);
		arena_free(&q->arena);
		mem_free(q);
	}
	g->spare_count = 0;
}

static void on_spare_timer(struct timer *t)
{
	struct local *g = t->owner;

	if (g->jobs == 0) {
		spares_free(g);
	} else {
		loop_timer(g->service.loop, t, SPARE_SECONDS * 1000, on_spare_timer, g);
	}
}

/* request_new - zeroed but for memory it may still have from an earlier one */
static struct request *request_new(struct local *g)
{
	struct request *q = g->spares;

	if (q == NULL) {
		return mem_alloc(sizeof(*q));
	}
	g->spares = q->next;
	g->spare_count--;
	q->next = NULL;
	return q;
}

/* request_keep - as a spare: in a burst the same memory serves again and again */
static void request_keep(struct local *g, struct request *q)
{
	struct buf content = q->content;
	struct arena arena = q->arena;

	if (g->spare_count >= SPARES_MAX) {
		buf_free(&content);
		arena_free(&arena);
		mem_free(q);
		return;
	}
	buf_reset(&content);
	buf_shrink(&content, SPARE_CONTENT);
	arena_reset(&arena);
	memset(q, 0, sizeof(*q));
	q->content = content;
	q->arena = arena;
	q->next = g->spares;
	g->spares = q;
	g->spare_count++;
	if (g->spare_timer.slot == 0) {
		loop_timer(
			g->service.loop, &g->spare_timer, SPARE_SECONDS * 1000, on_spare_timer, g);
	}
}

void requests_free(struct local *g)
{
	struct request *q;

	while ((q = underway_any(g)) != NULL) {
		underway_leave(g, q);
		request_keep(g, q);
	}
	spares_free(g);
}

/* request_free - its last recipient was answered */
static void request_free(struct local *g, struct request *q)
{
	if (q->client != NULL) {
		if (q->prev != NULL) {
			q->prev->next = q->next;
		} else {
			q->client->requests = q->next;
		}
		if (q->next != NULL) {
			q->next->prev = q->prev;
		}
	}
	g->content_bytes -= q->content.len;
	underway_leave(g, q);
	request_keep(g, q);
}

void request_drop(struct local *g, struct request *q)
{
	request_free(g, q);
}

/* answer - the recipient is decided; the request may be gone afterwards */
static void answer(struct local *g, struct recipient *rc)
{
	struct request *q = rc->request;
	struct client *c = q->client;

	if (c != NULL) {
		/* With an owner they become a message of their own: once, not at every try. */
		bool wait = rc->owner != NULL && rc->status == DELIVERY_DEFERRED;
		size_t added = wait ? 0 : rc->added_count;
		const struct delivery_answer a = { .serial = q->r.serial,
			.n = rc->r->n,
			.status = rc->status,
			.dsn = rc->dsn,
			.text = rc->text,
			.added_count = added,
			.added = rc->added,
			.owner = rc->owner != NULL && added > 0 ? rc->owner : "" };

		delivery_put_answer(&c->answers, &a);
	}
	if (--q->open == 0) {
		request_free(g, q);
	}
	if (c != NULL) {
		client_wake(g, c);
	}
}

/* log_end - the line about a target */
static void log_end(const struct recipient *rc, const char *to, enum delivery_status status,
	const char *dsn, const char *text)
{
	const struct request *q = rc->request;
	const struct delivery_log line = { .queue_id = q->id,
		.to = to,
		.orig_to = rc->original,
		.relay = "local",
		.arrival = q->r.arrival,
		.active_since = q->r.active_since,
		.begun = q->begun,
		.dsn = dsn,
		.status = delivery_status_name(status),
		.text = text };

	delivery_log_line(&line);
}

static void add_address(struct recipient *rc, const char *address)
{
	rc->added[rc->added_count++] = address;
}

/* weight - a target to be tried again keeps the recipient, even beside one that failed for good */
static int weight(enum delivery_status status)
{
	return status == DELIVERY_DEFERRED ? 2 : status == DELIVERY_BOUNCED;
}

/* note_status - the recipient's status is the weightiest of its targets' */
static void note_status(
	struct recipient *rc, enum delivery_status status, const char *dsn, const char *text)
{
	if (rc->text == NULL || weight(status) > weight(rc->status)) {
		rc->status = status;
		rc->dsn = arena_strdup(&rc->request->arena, dsn);
		rc->text = arena_strdup(&rc->request->arena, text);
	}
}

/* log_added - one line for what goes on under other addresses */
static void log_added(struct recipient *rc)
{
	struct buf text = BUF_INIT;

	buf_adds(&text, "forwarded as");
	for (size_t i = 0; i < rc->added_count && text.len < 200; i++) {
		buf_addf(&text, "%s %s", i > 0 ? "," : "", rc->added[i]);
	}
	if (text.len >= 200) {
		buf_addf(&text, " ... (%zu addresses)", rc->added_count);
	}
	log_end(rc, rc->r->address, DELIVERY_SENT, "2.0.0", buf_str(&text));
	note_status(rc, DELIVERY_SENT, "2.0.0", buf_str(&text));
	buf_free(&text);
}

/*
 * ended - a target of the recipient has ended; the last one gives the answer. unsure: it may have
 * been delivered before, and could not be looked for. Then it stays what it was: under another
 * address nobody would find it.
 */
static void ended(struct local *g, struct recipient *rc, const struct target *t,
	enum delivery_status status, const char *dsn, const char *text, bool unsure)
{
	if (status != DELIVERY_SENT && t->again && rc->targets > 1 && !unsure) {
		/*
		 * It has an address of its own: it is tried under that, and fails there if
		 * it must.
		 */
		add_address(rc, t->address);
	} else {
		if (t->kind != TARGET_REMOTE) {
			log_end(rc, t->address, status, dsn, text);
			note_status(rc, status, dsn, text);
		}
	}
	if (--rc->pending == 0) {
		if (rc->added_count > 0) {
			log_added(rc);
		}
		answer(g, rc);
	}
}

void job_done(struct local *g, struct job *j, enum delivery_status status, const char *dsn,
	const char *text)
{
	g->jobs--;
	ended(g, j->recipient, j->target, status, dsn, text,
		j->suspect && status == DELIVERY_DEFERRED && j->target->kind == TARGET_MAILBOX);
	if (g->jobs == JOBS_HIGH / 2) {
		for (struct client *c = g->clients; c != NULL; c = c->next) {
			if (c->paused) {
				client_wake(g, c);
			}
		}
	}
}

bool job_wanted(const struct job *j)
{
	return j->recipient->request->client != NULL;
}

void job_item(const struct job *j, struct deliver_item *it)
{
	const struct recipient *rc = j->recipient;

	*it = (struct deliver_item){ .queue_id = rc->request->id,
		.sender = rc->sender,
		.recipient = rc->r->address,
		.original = rc->original,
		.suspect = j->suspect,
		.read = request_read,
		.read_arg = rc->request };
}

/* ---- Requests ---- */

/* was_deferred - has an earlier try of this recipient ended with "later"? */
static bool was_deferred(struct local *g, struct recipient *rc)
{
	struct queue *queue = local_queue(g);
	struct queue_recipient r;

	return queue != NULL &&
		queue_recipients(queue, rc->request->r.id, (int64_t)rc->r->n, true,
			&rc->request->arena, &r, 1) == 1 &&
		(uint64_t)r.n == rc->r->n && r.dsn[0] != '\0';
}

/* begin_target - a job, or the end of it at once */
static void begin_target(
	struct local *g, struct recipient *rc, const struct target *t, bool suspect)
{
	struct job *j = arena_alloc(&rc->request->arena, sizeof(*j));

	j->recipient = rc;
	j->target = t;
	j->suspect = suspect;
	switch (t->kind) {
	case TARGET_MAILBOX:
	case TARGET_FILE:
		g->jobs++;
		box_add(g, j);
		break;
	case TARGET_COMMAND:
		g->jobs++;
		command_add(g, j);
		break;
	case TARGET_REMOTE:
		add_address(rc, t->value);
		ended(g, rc, t, DELIVERY_SENT, "2.0.0", "", false);
		break;
	case TARGET_DISCARD:
		ended(g, rc, t, DELIVERY_SENT, "2.0.0", t->value, false);
		break;
	case TARGET_FAIL:
		ended(g, rc, t, DELIVERY_BOUNCED, t->dsn, t->value, false);
		break;
	case TARGET_DEFER:
		ended(g, rc, t, DELIVERY_DEFERRED, t->dsn, t->value, false);
		break;
	}
}

/* begin_recipient - follow its aliases, begin the deliveries */
static void begin_recipient(struct local *g, struct recipient *rc)
{
	struct request *q = rc->request;
	const struct expand_env env = { was_delivered, q };
	bool suspect = (rc->r->flags & DELIVERY_SUSPECT) != 0;
	struct expansion e;
	struct target *next;

	expand_recipient(&q->arena, &env, rc->r->address, &e);
	rc->targets = rc->pending = e.count;
	rc->added = arena_alloc(&q->arena, (e.count + 1) * sizeof(*rc->added));
	/* A bounce stays one: the owner must not get bounces of bounces. */
	rc->owner = q->r.sender[0] != '\0' ? e.owner : NULL;
	rc->sender = rc->owner != NULL ? rc->owner : q->r.sender;
	if (!suspect && e.count > 1) {
		suspect = was_deferred(g, rc);
	}
	/* The request may end with its last target. */
	for (struct target *t = e.first; t != NULL; t = next) {
		next = t->next;
		begin_target(g, rc, t, suspect);
	}
}

void request_begin(struct local *g, struct request *q)
{
	size_t count = q->r.recipient_count;
	int64_t len = content_load(g, q);

	if (len >= 0) {
		find_delivered_to(q, g->scratch, (size_t)len);
	}
	q->recipients = arena_alloc(&q->arena, (count + 1) * sizeof(*q->recipients));
	q->open = count + 1; /* one more: it must not end under our hands */
	for (size_t i = 0; i < count; i++) {
		struct recipient *rc = &q->recipients[i];

		rc->request = q;
		rc->r = &q->r.recipients[i];
		rc->original = rc->r->original[0] != '\0' ? rc->r->original : rc->r->address;
		rc->sender = q->r.sender;
		if (len >= 0) {
			begin_recipient(g, rc);
		} else {
			const struct target t = { .kind = TARGET_DEFER, .address = rc->r->address };

			rc->pending = rc->targets = 1;
			ended(g, rc, &t, DELIVERY_DEFERRED, "4.3.0",
				"cannot read the message from the queue", false);
		}
	}
	if (--q->open == 0) {
		request_free(g, q);
	}
}

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
	q->begun = local_now();
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
