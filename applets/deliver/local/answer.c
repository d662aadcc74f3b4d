/*
 * answer - what became of the targets of a recipient, and what qmgr is told
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
#include "base/log.h"
#include "ipc/delivery_log.h"
#include "applets/deliver/local/client.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/local/local.h"
#include "applets/deliver/local/underway.h"

static void on_client_turn(struct loop_hook *h)
{
	struct client *c = h->owner;

	c->io->resume(c->io);
}

/* client_wake - feed() is to be called: there are answers, or room for requests */
void client_wake(struct local *g, struct client *c)
{
	loop_at_end(g->service.loop, &c->hook, on_client_turn, c);
}

/* request_end - its last recipient was answered */
void request_end(struct local *g, struct request *q)
{
	underway_leave(g, q);
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
		request_end(g, q);
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

void recipient_add(struct recipient *rc, const char *address)
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
 * target_ended - a target of the recipient has ended; the last one gives the answer. unsure: it may
 * have been delivered before, and could not be looked for. Then it stays what it was: under another
 * address nobody would find it.
 */
void target_ended(struct local *g, struct recipient *rc, const struct target *t,
	enum delivery_status status, const char *dsn, const char *text, bool unsure)
{
	if (status != DELIVERY_SENT && t->again && rc->targets > 1 && !unsure) {
		/*
		 * It has an address of its own: it is tried under that, and fails there if
		 * it must.
		 */
		recipient_add(rc, t->address);
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
	target_ended(g, j->recipient, j->target, status, dsn, text,
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
