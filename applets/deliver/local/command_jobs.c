/*
 * command_jobs - |command and mailbox_command, run as the recipient
 *
 *	job --> waiting --> running (applets/deliver/command) --> sent, deferred or bounced
 */
#include "applets/deliver/local/command_jobs.h"

#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_read.h"
#include "applets/deliver/agent/result.h"
#include "applets/deliver/local/local.h"

enum { COMMANDS_MAX = 20 };

static void command_begin(struct local *g);

/* put_head - the lines above the content, as prepend_delivered_header wants them */
static void put_head(struct buf *out, const struct job *j)
{
	const struct recipient *rc = j->recipient;
	const struct deliver_item it = { .sender = rc->sender,
		.recipient =
			list_has(param.prepend_delivered_header, "command") ? rc->r->address : "",
		.original = rc->original };

	deliver_head(out, &it, true);
}

static void end_job(struct local *g, struct job *j, enum delivery_status status, const char *dsn,
	const char *text)
{
	agent_load(&g->host, -1);
	job_done(j, status, dsn, text);
}

static void on_done(struct command_work *w, const struct command_end *end)
{
	const struct command_job *c = w->owner;
	struct agent_request *q = w->request;
	struct local *g = q->host->owner;
	const char *text = end->text;

	if (end->status == DELIVERY_SENT) {
		text = arena_printf(&q->arena, "delivered to command: %s", w->shown);
	}
	c->job->output = arena_strdup(&q->arena, end->output);
	end_job(g, c->job, end->status, end->dsn, text);
	command_begin(g);
}

static const struct command_class class = {
	.name = "local-command", .prepare = command_prepare, .run = command_run, .done = on_done
};

static uint64_t key_of(const struct job *j)
{
	char uid[24];

	snprintf(uid, sizeof(uid), "%lu", (unsigned long)j->target->user.uid);
	return command_key(command_key(0, j->target->value), uid);
}

/* run - one job */
static void run(struct local *g, struct job *j)
{
	const struct local_user *u = &j->target->user;
	struct agent_request *q = &j->recipient->request->q;
	struct queue *queue = agent_queue(&g->host);
	struct command_job *c = arena_alloc(&q->arena, sizeof(*c));
	struct queue_envelope env;
	struct arena a = ARENA_INIT;
	struct buf head = BUF_INIT;

	c->job = j;
	c->rcpt = j->recipient->r;
	c->work = (struct command_work){ .class = &class,
		.request = q,
		.rcpts = &c->rcpt,
		.rcpt_count = 1,
		.shown = j->target->value,
		.key = key_of(j),
		.user = { u->uid, u->gid,
			u->uid == 0                  ? NULL
				: u->name[0] != '\0' ? u->name
						     : "nobody" },
		.time_limit = param.command_time_limit,
		.owner = c };
	put_head(&head, j);
	c->env = queue != NULL && queue_get(queue, q->r.id, &a, &env) == 1 ? &env : NULL;
	if (!command_start(&g->commands, &c->work, &head)) {
		log_warn("cannot start command: %m");
		end_job(g, j, DELIVERY_DEFERRED, "4.3.0", "cannot start a process");
	}
	arena_free(&a);
}

/*
 * same_user - do both count for one? Those of aliases run as somebody who has no home: each
 * recipient for itself
 */
static bool same_user(const struct job *a, const struct job *b)
{
	return a->target->user.uid == b->target->user.uid &&
		(a->target->user.home[0] != '\0' ||
			str_ieq(a->recipient->r->address, b->recipient->r->address));
}

/* may_run - local_destination_concurrency_limit: a user's slow commands hold up no one else's */
static bool may_run(const struct local *g, const struct job *j)
{
	int64_t limit = param.local_destination_concurrency_limit;
	int64_t count = 0;

	for (const struct command_work *w = commands_next(&g->commands, NULL);
		w != NULL && limit > 0; w = commands_next(&g->commands, w)) {
		const struct command_job *c = w->owner;

		count += same_user(c->job, j);
	}
	return limit == 0 || count < limit;
}

/* take_job - the first that may run, or that nobody waits for any more; NULL: none */
static struct job *take_job(struct local *g)
{
	struct jobs *q = &g->command_jobs;
	struct job **link = &q->first, *before = NULL, *j;

	while ((j = *link) != NULL && job_wanted(j) && !may_run(g, j)) {
		before = j;
		link = &j->next;
	}
	if (j != NULL) {
		*link = j->next;
		if (q->last == j) {
			q->last = before;
		}
	}
	return j;
}

/* command_begin - as many as may run */
static void command_begin(struct local *g)
{
	struct job *j;

	while (g->commands.count < COMMANDS_MAX && (j = take_job(g)) != NULL) {
		if (job_wanted(j)) {
			run(g, j);
		} else {
			end_job(g, j, DELIVERY_DEFERRED, "4.3.0", "the queue manager went away");
		}
	}
}

void command_add(struct local *g, struct job *j)
{
	struct agent_request *q = &j->recipient->request->q;

	if (j->box.suspect && command_was_done(q, j->recipient->r, key_of(j))) {
		job_done(j, DELIVERY_SENT, "2.0.0",
			arena_printf(&q->arena, "delivered to command: %s", j->target->value));
		return;
	}
	agent_load(&g->host, 1);
	j->next = NULL;
	if (g->command_jobs.last != NULL) {
		g->command_jobs.last->next = j;
	} else {
		g->command_jobs.first = j;
	}
	g->command_jobs.last = j;
	command_begin(g);
}
