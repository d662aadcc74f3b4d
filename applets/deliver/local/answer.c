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
#include "applets/deliver/agent/result.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/local/local.h"

/* answer - the recipient is decided; the request may be gone afterwards */
static void answer(struct recipient *rc)
{
	/* With an owner they become a message of their own: once, not at every try. */
	bool wait = rc->owner != NULL && rc->status == DELIVERY_DEFERRED;
	const struct agent_result res = { .status = rc->status,
		.dsn = rc->dsn,
		.text = rc->text,
		.added_count = wait ? 0 : rc->added_count,
		.added = rc->added,
		.owner = rc->owner };

	agent_answer(&rc->request->q, rc->r, &res);
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

/* note_end - the line about a target; the recipient's status is the weightiest of its targets' */
static void note_end(struct recipient *rc, const char *to, enum delivery_status status,
	const char *dsn, const char *text)
{
	struct agent_request *q = &rc->request->q;
	struct agent_result res = {
		.status = status, .dsn = dsn, .text = text, .relay = "local", .to = to
	};

	agent_log(q, rc->r, &res);
	if (rc->text == NULL || weight(res.status) > weight(rc->status)) {
		rc->status = res.status;
		rc->dsn = arena_strdup(&q->arena, res.dsn);
		rc->text = arena_strdup(&q->arena, res.text);
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
	note_end(rc, rc->r->address, DELIVERY_SENT, "2.0.0", buf_str(&text));
	buf_free(&text);
}

/*
 * target_ended - a target of the recipient has ended; the last one gives the answer. unsure: it may
 * have been delivered before, and could not be looked for. Then it stays what it was: under another
 * address nobody would find it.
 */
void target_ended(struct recipient *rc, const struct target *t, enum delivery_status status,
	const char *dsn, const char *text, bool unsure)
{
	if (status != DELIVERY_SENT && t->again && rc->targets > 1 && !unsure) {
		/*
		 * It has an address of its own: it is tried under that, and fails there if
		 * it must.
		 */
		recipient_add(rc, t->address);
	} else if (t->kind != TARGET_REMOTE) {
		note_end(rc, t->address, status, dsn, text);
	}
	if (--rc->pending == 0) {
		if (rc->added_count > 0) {
			log_added(rc);
		}
		answer(rc);
	}
}

void job_done(struct job *j, enum delivery_status status, const char *dsn, const char *text)
{
	target_ended(j->recipient, j->target, status, dsn, text,
		j->box.suspect && status == DELIVERY_DEFERRED && j->target->kind == TARGET_MAILBOX);
}

bool job_wanted(const struct job *j)
{
	return agent_is_wanted(&j->recipient->request->q);
}
