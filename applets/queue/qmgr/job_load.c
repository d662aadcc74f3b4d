/*
 * job_load - a message becomes active
 *
 *	load -> recipients NEW -> WAITING (in a request) -> DONE | DEFERRED | BOUNCED
 *						  |			     |
 *				     connection broke: again,	   settle.c
 *				     suspect			 (end of turn)
 */
#include "base/log.h"
#include "applets/queue/qmgr/dispatch.h"
#include "applets/queue/qmgr/job.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/settle.h"
#include "applets/queue/qmgr/succession.h"

/*
 * is_suspect - may it be in the mailbox already? New mail when it was there before we started:
 * our predecessor may have been killed. Deferred mail always: it may have been tried ahead of its
 * time (flushed) by one that was killed, or its agent may have died between delivery and answer.
 */
static bool is_suspect(struct qmgr *m, const struct queue_envelope *env)
{
	return env->state != QUEUE_INCOMING || env->id < m->start_id;
}

/*
 * is_unanswered - may our predecessor have been at it? New mail, and what was due before we
 * started; what we have put off ourselves has had its answer.
 */
static bool is_unanswered(struct qmgr *m, const struct queue_envelope *env)
{
	return env->id < m->start_id &&
		(env->state == QUEUE_INCOMING || env->next_try <= m->started);
}

/* log_active - ID: from=<a@b>, size=1234, nrcpt=1 (queue active) */
static void log_active(const struct job *j, int64_t count)
{
	char id[QUEUE_ID_TEXT];

	queue_id_text(j->id, id);
	log_info("%s: from=<%s>, size=%lld, nrcpt=%lld (queue active)", id, j->sender,
		(long long)j->size, (long long)count);
}

/* start_job - read recipients, log, send on its way; 1, or -1 */
static int start_job(struct qmgr *m, const struct queue_envelope *env, struct arena *a)
{
	struct job *j = job_new(env);
	int64_t total;

	j->suspect = is_suspect(m, env);
	j->unanswered = is_unanswered(m, env);
	j->flushed = m->load.flushing;
	total = job_load_rcpts(m, j, a);
	if (total >= 0 && j->more) {
		total = queue_count_recipients(m->queue, j->id, NULL);
	}
	job_enter(m, j);
	if (total < 0) {
		job_free(m, j);
		return -1;
	}
	log_active(j, total - (int64_t)j->told);
	if (j->waiting == 0) {
		settle_touch(m, j); /* nobody is left: a crash came before its removal */
	} else {
		dispatch_submit(m, j);
	}
	return 1;
}

int job_load(struct qmgr *m, queue_id id)
{
	struct arena *a = &m->scratch;
	struct queue_envelope env;
	int rc;

	if (job_find(m, id) != NULL) {
		return 0;
	}
	if (succession_is_elders(m, id)) {
		succession_await(m, id);
		return 0;
	}
	rc = queue_get(m->queue, id, a, &env);
	if (rc > 0 && (env.state == QUEUE_HOLD || env.state == QUEUE_CORRUPT)) {
		rc = 0;
	}
	if (rc > 0) {
		rc = start_job(m, &env, a);
	}
	arena_reset(a);
	if (rc < 0) {
		qmgr_queue_trouble(m, "cannot read a message");
	}
	return rc;
}

int job_load_more(struct qmgr *m, struct job *j)
{
	int count;

	job_free_rcpts(m, j);
	count = job_load_rcpts(m, j, &m->scratch);
	arena_reset(&m->scratch);
	if (count < 0) {
		qmgr_queue_trouble(m, "cannot read recipients");
		return -1;
	}
	if (j->waiting == 0) {
		settle_touch(m, j);
	} else {
		dispatch_submit(m, j);
	}
	return 0;
}
