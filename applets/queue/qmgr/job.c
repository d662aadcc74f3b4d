/*
 * job - an active message: picked up, its recipients tried, then settled
 *
 *	load -> recipients NEW -> WAITING (in a request) -> DONE | DEFERRED | BOUNCED
 *						  |			     |
 *				     connection broke: again,	   settle.c
 *				     suspect			 (end of turn)
 *
 * A message with many recipients is worked on in parts of RCPTS_AT_ONCE, one after
 * the other, so that memory stays bounded.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "ipc/delivery_log.h"
#include "applets/queue/qmgr/qmgr.h"

enum { RCPTS_AT_ONCE = 500, BREAKS_MAX = 255 };

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
static struct rcpt *rcpt_new(const struct queue_recipient *q)
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

static void free_rcpts(struct qmgr *m, struct job *j)
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
	j->waiting++;
	m->rcpt_count++;
}

/* load_rcpts - the next part of the recipients; their number, or -1 */
static int load_rcpts(struct qmgr *m, struct job *j, struct arena *a)
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
		add_rcpt(m, j, r);
		j->next_n = found[i].n + 1;
	}
	j->more = count == RCPTS_AT_ONCE;
	return count;
}

/* ---- Loading ---- */

/*
 * is_suspect - may it be in the mailbox already? New mail when it was there before we started:
 * our predecessor may have been killed. Deferred mail always: it may have been tried ahead of its
 * time (flushed) by one that was killed, or its agent may have died between delivery and answer.
 */
static bool is_suspect(struct qmgr *m, const struct queue_envelope *env)
{
	return env->state != QUEUE_INCOMING || env->id < m->start_id;
}

/* new_job - from the envelope; texts behind the struct */
static struct job *new_job(struct qmgr *m, const struct queue_envelope *env)
{
	struct job *j = mem_alloc(sizeof(*j) + strlen(env->sender) + strlen(env->envid) + 2);
	char *at = (char *)(j + 1);

	j->id = env->id;
	j->flags = env->flags;
	j->attempts = env->attempts;
	j->state = env->state;
	j->arrival = env->arrival;
	j->active_since = qmgr_now_us();
	j->size = env->size;
	j->sender = pack(&at, env->sender);
	j->envid = pack(&at, env->envid);
	j->rcpts_tail = &j->rcpts;
	j->added_tail = &j->added;
	j->last_n = -1;
	j->suspect = is_suspect(m, env);
	return j;
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
	struct job *j = new_job(m, env), **slot = job_slot(m, env->id);
	int64_t total = load_rcpts(m, j, a);

	if (total >= 0 && j->more) {
		total = queue_count_recipients(m->queue, j->id, NULL);
	}
	j->hash_next = *slot;
	*slot = j;
	m->job_count++;
	if (total < 0) {
		job_free(m, j);
		return -1;
	}
	log_active(j, total);
	if (j->count == 0) {
		settle_touch(m, j); /* nobody is left: a crash came before its removal */
	} else {
		transport_submit(m, j);
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

	free_rcpts(m, j);
	count = load_rcpts(m, j, &m->scratch);
	arena_reset(&m->scratch);
	if (count < 0) {
		qmgr_queue_trouble(m, "cannot read recipients");
		return -1;
	}
	if (count == 0) {
		settle_touch(m, j);
	} else {
		transport_submit(m, j);
	}
	return 0;
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
	if (j->waiting > 0 || j->touched || j->unsettled) {
		return false;
	}
	job_free(m, j);
	return true;
}

void job_free(struct qmgr *m, struct job *j)
{
	struct job **slot = job_slot(m, j->id);

	succession_free(m, j);
	*slot = j->hash_next;
	m->job_count--;
	free_rcpts(m, j);
	free_list(j->added);
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
}

/* ---- Answers ---- */

/* know_recipients - the addresses the message has already, done or not; 0 or -1 */
static int know_recipients(struct qmgr *m, const struct job *j, struct hash *known)
{
	struct arena a = ARENA_INIT;
	struct queue_recipient r[64];
	int64_t from = 0;
	int count;

	for (const struct rcpt *added = j->added; added != NULL; added = added->next) {
		hash_set(known, added->address, known);
	}
	do {
		count = queue_recipients(m->queue, j->id, from, false, &a, r, 64);
		for (int i = 0; i < count; i++) {
			hash_set(known, r[i].address, known);
			from = r[i].n + 1;
		}
		arena_reset(&a);
	} while (count == 64);
	arena_free(&a);
	return count < 0 ? -1 : 0;
}

/* add_address - a recipient that takes r's place, from the next commit on */
static void add_address(struct qmgr *m, struct job *j, const struct rcpt *r, const char *address)
{
	struct queue_recipient add = { .n = ++j->last_n,
		.address = address,
		.orcpt = r->orcpt,
		.dsn = "",
		.reason = "",
		.original = *r->original != '\0' ? r->original : r->address,
		.notify = r->notify & ~(unsigned)DSN_SUCCESS };
	struct rcpt *own = rcpt_new(&add);

	queue_recipient_append(m->queue, j->id, &add);
	*j->added_tail = own;
	j->added_tail = &own->next;
}

/*
 * expand - the addresses of an answer become recipients, or with an owner a message of
 * their own. Those that the message has already are left out, which also ends every
 * circle of aliases; 0 or -1
 */
static int expand(
	struct qmgr *m, struct job *j, const struct rcpt *r, const struct delivery_answer *a)
{
	struct hash known = { 0 };
	int rc;

	if (*a->owner != '\0') {
		rc = notice_forward(m, j, a->owner, a->added, a->added_count);
		if (rc == 0) {
			settle_with_copy(m, j);
		}
		return rc;
	}
	rc = know_recipients(m, j, &known);
	if (rc == 0 && j->last_n < 0 && queue_count_recipients(m->queue, j->id, &j->last_n) < 0) {
		rc = -1;
	}
	for (size_t i = 0; i < a->added_count && rc == 0; i++) {
		if (*a->added[i] != '\0' && hash_set(&known, a->added[i], &known) == NULL) {
			add_address(m, j, r, a->added[i]);
		}
	}
	hash_free(&known, NULL);
	return rc;
}

static void set_result(struct rcpt *r, enum rcpt_state state, const char *dsn, const char *text)
{
	r->state = state;
	mem_free(r->dsn);
	mem_free(r->text);
	r->dsn = mem_strdup(dsn);
	r->text = mem_strdup(text);
}

void job_answer(struct qmgr *m, struct job *j, struct rcpt *r, const struct delivery_answer *a)
{
	enum delivery_status status = a->status;

	if (r->state != RCPT_NEW && r->state != RCPT_WAITING) {
		return;
	}
	j->waiting--;
	settle_touch(m, j);
	/* Also beside a member that failed: the others must not wait for it. */
	if (a->added_count > 0 && expand(m, j, r, a) != 0) {
		set_result(r, RCPT_DEFERRED, "4.3.0", "mail queue file error while forwarding");
		return;
	}
	switch (status) {
	case DELIVERY_SENT:
		r->state = RCPT_DONE;
		if (notice_wants(r, DSN_SUCCESS)) {
			set_result(r, RCPT_DONE, a->dsn, a->text);
		}
		break;
	case DELIVERY_DEFERRED:
		set_result(r, RCPT_DEFERRED, a->dsn, a->text);
		break;
	case DELIVERY_BOUNCED:
		set_result(r, param.soft_bounce ? RCPT_DEFERRED : RCPT_BOUNCED, a->dsn, a->text);
		break;
	}
}

void job_fail(struct qmgr *m, struct job *j, struct rcpt *r, enum delivery_status status,
	const char *dsn, const char *text)
{
	struct delivery_answer a = { .status = status, .dsn = dsn, .text = text, .owner = "" };
	char id[QUEUE_ID_TEXT], tag[64];
	int64_t now = qmgr_now_us();
	struct delivery_log line = { .queue_id = id,
		.to = r->address,
		.orig_to = r->original,
		.relay = "none",
		.arrival = j->arrival,
		.active_since = j->active_since,
		.begun = now,
		.ended = now,
		.dsn = dsn,
		.status = delivery_status_name(status),
		.text = text };

	/* What no agent could be asked for is logged by "error", as everywhere. */
	queue_id_text(j->id, id);
	snprintf(tag, sizeof(tag), "%.40s/error", param.syslog_name);
	log_set_tag(tag);
	delivery_log_line(&line);
	snprintf(tag, sizeof(tag), "%.40s/qmgr", param.syslog_name);
	log_set_tag(tag);
	job_answer(m, j, r, &a);
}
