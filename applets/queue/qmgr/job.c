/*
 * job - active messages in memory: the table of them, their recipients
 *
 * A message with many recipients is worked on in parts of RCPTS_AT_ONCE, one after
 * the other, so that memory stays bounded.
 */
#include "applets/queue/qmgr/job.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "queue/queue_hold.h"
#include "applets/queue/qmgr/post.h"
#include "applets/queue/qmgr/qmgr.h"

enum { RCPTS_AT_ONCE = 500 };

/* ---- The table of active messages ---- */

static struct job **job_slot(struct qmgr *m, queue_id id)
{
	/* Ids are times: multiply, so that mails of one moment spread. */
	uint64_t h = id * UINT64_C(0x9e3779b97f4a7c15);
	struct job **slot = &m->jobs[h >> (64 - JOB_BITS)];

	while (*slot != NULL && (*slot)->id != id) {
		slot = &(*slot)->hash_next;
	}
	return slot;
}

void job_enter(struct qmgr *m, struct job *j)
{
	struct job **slot = job_slot(m, j->id);

	j->hash_next = *slot;
	*slot = j;
	m->job_count++;
	m->probe_count += (j->flags & QUEUE_F_PROBE) != 0;
}

struct job *job_find(struct qmgr *m, queue_id id)
{
	return *job_slot(m, id);
}

/* ---- Recipients ---- */

/* pack - copy s to *at and move on; "" needs no copy */
static const char *pack(char **at, const char *s)
{
	size_t size = strlen(s) + 1;
	char *to = *at;

	if (size == 1) {
		return "";
	}
	memcpy(to, s, size);
	*at += size;
	return to;
}

/* rcpt_new - with its texts behind it, in one block */
struct rcpt *rcpt_new(const struct queue_recipient *q)
{
	struct rcpt *r = mem_alloc(
		sizeof(*r) + strlen(q->address) + strlen(q->original) + strlen(q->orcpt) + 3);
	char *at = (char *)(r + 1);

	r->n = q->n;
	r->notify = q->notify;
	r->address = pack(&at, q->address);
	r->original = pack(&at, q->original);
	r->orcpt = pack(&at, q->orcpt);
	return r;
}

static void free_rcpt(struct rcpt *r)
{
	mem_free(r->as);
	mem_free(r->dsn);
	mem_free(r->text);
	mem_free(r->mta);
	mem_free(r->diagnostic_type);
	mem_free(r->diagnostic);
	mem_free(r);
}

static void free_list(struct rcpt *r)
{
	while (r != NULL) {
		struct rcpt *next = r->next;

		free_rcpt(r);
		r = next;
	}
}

void job_free_rcpts(struct qmgr *m, struct job *j)
{
	m->rcpt_count -= j->count;
	free_list(j->rcpts);
	j->rcpts = NULL;
	j->rcpts_tail = &j->rcpts;
	j->count = 0;
}

static void add_rcpt(struct qmgr *m, struct job *j, struct rcpt *r)
{
	*j->rcpts_tail = r;
	j->rcpts_tail = &r->next;
	j->count++;
	j->waiting += r->state == RCPT_NEW;
	m->rcpt_count++;
}

/* job_load_rcpts - the next part of the recipients; their number, or -1 */
int job_load_rcpts(struct qmgr *m, struct job *j, struct arena *a)
{
	struct queue_recipient *found;
	int count;

	if (m->found == NULL) {
		m->found = mem_calloc(RCPTS_AT_ONCE, sizeof(*m->found));
	}
	found = m->found;
	count = queue_recipients(m->queue, j->id, j->next_n, true, a, found, RCPTS_AT_ONCE);
	for (int i = 0; i < count; i++) {
		struct rcpt *r = rcpt_new(&found[i]);

		r->suspect = j->suspect;
		r->unanswered = j->unanswered;
		/* Others stand in its place, of which its sender is to be told. */
		if (found[i].dsn[0] == '2') {
			r->state = RCPT_DONE;
			r->action = "expanded";
			r->dsn = mem_strdup(found[i].dsn);
			r->text = mem_strdup(found[i].reason);
			j->told++;
		} else if ((j->flags & QUEUE_F_EXPIRE) != 0 && *found[i].reason != '\0') {
			r->dsn = mem_strdup(found[i].dsn);
			r->text = mem_strdup(found[i].reason);
		}
		add_rcpt(m, j, r);
		j->next_n = found[i].n + 1;
	}
	j->more = count == RCPTS_AT_ONCE;
	return count;
}

/* ---- Jobs ---- */

bool job_is_traced(const struct job *j)
{
	return (j->flags & QUEUE_F_VERIFY) != 0 ||
		((j->flags & QUEUE_F_RECORD) != 0 && j->attempts == 0);
}

/* job_new - from the envelope; texts behind the struct */
struct job *job_new(const struct queue_envelope *env)
{
	struct job *j = mem_alloc(sizeof(*j) + strlen(env->sender) + strlen(env->envid) + 2);
	char *at = (char *)(j + 1);

	j->id = env->id;
	j->flags = env->flags;
	j->attempts = env->attempts;
	j->state = env->state;
	j->arrival = env->arrival;
	j->active_since = clock_wall_us();
	j->size = env->size;
	j->sender = pack(&at, env->sender);
	j->envid = pack(&at, env->envid);
	j->rcpts_tail = &j->rcpts;
	j->added_tail = &j->added;
	j->last_n = -1;
	return j;
}

void job_take_added(struct qmgr *m, struct job *j)
{
	while (j->added != NULL) {
		struct rcpt *r = j->added;

		j->added = r->next;
		r->next = NULL;
		/* Those that will be read with a later part anyway are not taken now. */
		if (j->more && r->n >= j->next_n) {
			free_rcpt(r);
		} else {
			add_rcpt(m, j, r);
		}
	}
	j->added_tail = &j->added;
}

void job_leave_added(struct job *j)
{
	j->more = j->more || j->added != NULL;
	free_list(j->added);
	j->added = NULL;
	j->added_tail = &j->added;
}

bool job_leave_unsent(struct qmgr *m, struct job *j)
{
	struct rcpt **p = &j->rcpts;

	while (*p != NULL) {
		struct rcpt *r = *p;

		if (r->state != RCPT_NEW) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		free_rcpt(r);
		j->count--;
		j->waiting--;
		m->rcpt_count--;
		j->more = true;
	}
	j->rcpts_tail = p;
	if (j->waiting > 0 || j->touched || j->unsettled || j->posts != NULL) {
		return false;
	}
	job_free(m, j);
	return true;
}

void job_forget_known(struct job *j)
{
	if (j->known != NULL) {
		hash_free(j->known, NULL);
		mem_free(j->known);
		j->known = NULL;
	}
}

void job_end_routing(struct job *j)
{
	if (j->routing != NULL) {
		map_wait_end(&j->routing->wait);
		mem_free(j->routing);
		j->routing = NULL;
	}
}

void job_free(struct qmgr *m, struct job *j)
{
	struct job **slot = job_slot(m, j->id);

	job_end_routing(j);
	while (j->posts != NULL) {
		post_drop(j->posts);
	}
	if (j->held) {
		queue_unhold(m->succession.holds, QUEUE_HOLD_MESSAGE, j->id, 0);
	}
	*slot = j->hash_next;
	m->job_count--;
	m->probe_count -= (j->flags & QUEUE_F_PROBE) != 0;
	job_free_rcpts(m, j);
	free_list(j->added);
	job_forget_known(j);
	mem_free(j);
}

void jobs_free(struct qmgr *m)
{
	for (size_t i = 0; i < JOB_SLOTS; i++) {
		while (m->jobs[i] != NULL) {
			job_free(m, m->jobs[i]);
		}
	}
	mem_free(m->found);
	mem_free(m->spare);
}
