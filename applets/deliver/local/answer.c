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
#include <string.h>

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
		.mta = rc->mta,
		.diagnostic_type = rc->diagnostic_type,
		.diagnostic = rc->diagnostic,
		.reach = rc->reach,
		.added_count = wait ? 0 : rc->added_count,
		.added = rc->added,
		.owner = rc->owner };

	agent_answer(&rc->request->q, rc->r, &res);
}

void recipient_add(struct recipient *rc, const char *address)
{
	rc->added[rc->added_count++] = address;
}

/* recipient_add_more - beside those that there is room for, one for each target */
static void recipient_add_more(struct recipient *rc, const char *address)
{
	struct arena *a = &rc->request->q.arena;
	const char **more = arena_alloc(a, (rc->added_count + rc->targets + 2) * sizeof(*more));

	memcpy(more, rc->added, rc->added_count * sizeof(*more));
	rc->added = more;
	recipient_add(rc, arena_strdup(a, address));
}

/* weight - a target to be tried again keeps the recipient, even beside one that failed for good */
static int weight(enum delivery_status status)
{
	return status == DELIVERY_DEFERRED ? 2 : status == DELIVERY_BOUNCED;
}

/* note_status - the recipient's is the weightiest of its targets' */
static void note_status(struct recipient *rc, const struct agent_result *res)
{
	struct arena *a = &rc->request->q.arena;
	const char *dtype = res->diagnostic_type;

	if (rc->text == NULL || weight(res->status) > weight(rc->status)) {
		rc->status = res->status;
		rc->dsn = arena_strdup(a, res->dsn);
		rc->text = arena_strdup(a, res->text);
		rc->mta = res->mta != NULL ? arena_strdup(a, res->mta) : NULL;
		rc->diagnostic_type = dtype != NULL ? arena_strdup(a, dtype) : NULL;
		rc->diagnostic = res->diagnostic != NULL ? arena_strdup(a, res->diagnostic) : NULL;
		rc->reach = res->reach;
	} else if (res->status == DELIVERY_SENT && res->reach < rc->reach) {
		rc->reach = res->reach; /* to one of several: that is to be reported */
	}
}

/* note_end - the line about a target, and its status */
static void note_end(struct recipient *rc, struct agent_result *res)
{
	res->relay = "local";
	agent_log(&rc->request->q, rc->r, res);
	note_status(rc, res);
}

/* log_added - one line for what goes on under other addresses */
static void log_added(struct recipient *rc)
{
	struct buf text = BUF_INIT;
	struct agent_result res = { .status = DELIVERY_SENT, .dsn = "2.0.0", .to = rc->r->address };

	buf_adds(&text, "forwarded as");
	for (size_t i = 0; i < rc->added_count && text.len < 200; i++) {
		buf_addf(&text, "%s %s", i > 0 ? "," : "", rc->added[i]);
	}
	if (text.len >= 200) {
		buf_addf(&text, " ... (%zu addresses)", rc->added_count);
	}
	res.text = buf_str(&text);
	note_end(rc, &res);
	buf_free(&text);
}

/* one_less - target to wait for; the last one gives the answer */
static void one_less(struct recipient *rc)
{
	if (--rc->pending == 0) {
		if (rc->added_count > 0) {
			log_added(rc);
		}
		answer(rc);
	}
}

/*
 * split_off - is a target that failed tried under an address of its own, and fails there if it
 * must? unsure: it may have been delivered before, and could not be looked for. Then it stays what
 * it was: under another address nobody would find it.
 */
static bool split_off(
	struct recipient *rc, const struct target *t, enum delivery_status status, bool unsure)
{
	if (status != DELIVERY_SENT && t->again && rc->targets > 1 && !unsure) {
		recipient_add(rc, t->address);
		return true;
	}
	return false;
}

/* end_target - with what is known of it but for the address */
static void end_target(
	struct recipient *rc, const struct target *t, struct agent_result *res, bool unsure)
{
	if (!split_off(rc, t, res->status, unsure) && t->kind != TARGET_REMOTE) {
		res->to = t->address;
		note_end(rc, res);
	}
	one_less(rc);
}

void target_ended(struct recipient *rc, const struct target *t, enum delivery_status status,
	const char *dsn, const char *text, bool unsure)
{
	struct agent_result res = { .status = status, .dsn = dsn, .text = text };

	end_target(rc, t, &res, unsure);
}

void target_passed(
	struct recipient *rc, const struct target *t, const struct delivery_answer *a, bool unsure)
{
	const struct agent_result res = { .status = a->status,
		.dsn = a->dsn,
		.text = a->text,
		.mta = a->mta,
		.diagnostic_type = a->diagnostic_type,
		.diagnostic = a->diagnostic,
		.reach = a->reach };

	for (size_t i = 0; i < a->added_count; i++) {
		recipient_add_more(rc, a->added[i]);
	}
	if (!split_off(rc, t, a->status, unsure)) {
		note_status(rc, &res);
	}
	one_less(rc);
}

void job_done(struct job *j, enum delivery_status status, const char *dsn, const char *text)
{
	struct agent_result res = { .status = status, .dsn = dsn, .text = text };

	if (j->output != NULL && status != DELIVERY_SENT) {
		res.diagnostic_type = "x-unix";
		res.diagnostic = j->output[0] != '\0' ? j->output : text;
	}
	end_target(j->recipient, j->target, &res,
		j->box.suspect && status == DELIVERY_DEFERRED && j->target->kind == TARGET_MAILBOX);
}

bool job_wanted(const struct job *j)
{
	return agent_is_wanted(&j->recipient->request->q);
}
