/*
 * box - mailboxes that have jobs waiting, and the batches made of them
 *
 *	unseen --probe--> known --batch--> busy --> known ... --idle--> forgotten
 *
 * The first time a process of ours meets an mbox it looks at its tail: an earlier process may
 * have been killed in the middle of a write, and what is added behind a torn
 * message would hide it. A tail that names a message still in the queue is
 * compared with that message and cut off if it is torn.
 *
 * Jobs for a mailbox keep their order; at most one batch of a mailbox is under way. While somebody
 * else has the mailbox locked each waits for itself (deliver_lock_attempts times
 * deliver_lock_delay), in no process: those for other mailboxes go on.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "queue/queue_read.h"
#include "applets/deliver/agent/result.h"
#include "applets/deliver/mailbox/box_impl.h"
#include "applets/deliver/mailbox/worker.h"

enum {
	BATCH_BYTES = 16 << 20,
	BOXES_KEPT = 2000,
	RETRY_MS = 250,
	CHILD_LOCK_MS = 500,
	AGAIN_MS = 1000
};

static const char LOCKED[] =
	"unable to lock for exclusive access: Resource temporarily unavailable";

static void begin_boxes(struct loop_hook *h);
static void on_again(struct timer *t);

static void box_free(void *p)
{
	struct box *box = p;
	struct boxes *m = box->all;

	loop_untimer(m->host->service.loop, &box->retry);
	mem_free((char *)box->place.user.name);
	mem_free((char *)box->place.user.home);
	mem_free(box->key);
	mem_free((char *)box->place.path);
	mem_free(box);
}

void boxes_free(struct boxes *m)
{
	workers_free(m);
	loop_untimer(m->host->service.loop, &m->turn_timer);
	hash_free(&m->all, box_free);
}

/* make_dirty - the box is looked at at the end of the turn */
static void make_dirty(struct boxes *m, struct box *box)
{
	if (!box->dirty) {
		box->dirty = true;
		box->dirty_next = m->dirty;
		m->dirty = box;
	}
	loop_at_end(m->host->service.loop, &m->turn, begin_boxes, m);
}

/* ends_in_slash - a maildir? */
static bool ends_in_slash(const char *path)
{
	size_t len = strlen(path);

	return len > 0 && path[len - 1] == '/';
}

/* box_find - the mailbox of that place, made when it is new */
static struct box *box_find(struct boxes *m, const struct box_place *p)
{
	struct buf key = BUF_INIT;
	struct box *box;

	buf_addf(&key, "%ld %ld %d %s", (long)p->user.uid, (long)p->user.gid, p->file, p->path);
	box = hash_get(&m->all, buf_str(&key));
	if (box == NULL) {
		box = mem_alloc(sizeof(*box));
		box->all = m;
		box->key = mem_strdup(buf_str(&key));
		box->place = *p;
		box->place.path = mem_strdup(p->path);
		box->place.user.name = mem_strdup(p->user.name);
		box->place.user.home = mem_strdup(p->user.home);
		box->place.user.shell = NULL;
		/* Maildirs have no tail. */
		box->state = ends_in_slash(p->path) ? BOX_KNOWN : BOX_UNSEEN;
		hash_set(&m->all, box->key, box);
	}
	buf_free(&key);
	return box;
}

/* forget_some - boxes nobody waits for, when there are many; they are probed again later */
static void forget_some(struct boxes *m)
{
	struct hash_entry *e = NULL;

	while (m->all.count > BOXES_KEPT && (e = hash_next(&m->all, e)) != NULL) {
		struct box *box = e->value;

		if (box->state != BOX_BUSY && box->jobs.count == 0 && !box->dirty) {
			hash_del(&m->all, box->key);
			box_free(box);
			e = NULL;
			if (m->all.count <= BOXES_KEPT / 2) {
				break;
			}
		}
	}
}

static void jobs_push(struct box_jobs *q, struct box_job *j)
{
	j->next = NULL;
	if (q->last != NULL) {
		q->last->next = j;
	} else {
		q->first = j;
	}
	q->last = j;
	q->count++;
}

static struct box_job *jobs_pop(struct box_jobs *q)
{
	struct box_job *j = q->first;

	if (j != NULL) {
		q->first = j->next;
		if (q->first == NULL) {
			q->last = NULL;
		}
		q->count--;
	}
	return j;
}

/* waits_for_lock - is it looked at soon anyway? When not, whatever comes has to see to it. */
static bool waits_for_lock(const struct box *box)
{
	return box->retry.slot != 0;
}

void box_add(struct boxes *m, struct box_job *j, const struct box_place *place)
{
	struct box *box = box_find(m, place);

	agent_load(m->host, 1);
	j->locked_since = 0;
	jobs_push(&box->jobs, j);
	if (box->state != BOX_BUSY && !waits_for_lock(box)) {
		make_dirty(m, box);
	}
}

/* end_job - it is the owner's again */
static void end_job(struct boxes *m, struct box_job *j, enum delivery_status status,
	const char *dsn, const char *text)
{
	agent_load(m->host, -1);
	j->done(j, status, dsn, text);
}

/* ---- Batches ---- */

static struct deliver_how how_for(struct boxes *m, const struct box *box)
{
	return (struct deliver_how){ .size_limit = m->size_limit,
		.lock_ms = m->root && !box->locked ? CHILD_LOCK_MS : 0,
		.home = box->place.user.home,
		.any_owner = box->place.any_owner,
		.parents = box->place.parents };
}

static void batch_free(struct batch *b)
{
	if (b->repair != NULL) {
		buf_free(&b->repair->content);
		arena_free(&b->repair->arena);
		mem_free(b->repair);
	}
	mem_free(b->jobs);
	mem_free(b->items);
	mem_free(b);
}

/* batch_make - of the jobs that wait; NULL: nobody waits any more */
static struct batch *batch_make(struct boxes *m, struct box *box)
{
	size_t room = box->jobs.count < BATCH_ITEMS ? box->jobs.count : BATCH_ITEMS;
	struct batch *b = mem_alloc(sizeof(*b));
	int64_t bytes = 0;

	b->box = box;
	b->how = how_for(m, box);
	b->jobs = mem_calloc(room + 1, sizeof(*b->jobs));
	b->items = mem_calloc(room + 1, sizeof(*b->items));
	while (box->jobs.first != NULL && b->count < room &&
		(b->count == 0 || bytes < BATCH_BYTES)) {
		struct box_job *j = jobs_pop(&box->jobs);

		if (!agent_is_wanted(j->request)) {
			end_job(m, j, DELIVERY_DEFERRED, "4.3.0", "the queue manager went away");
			continue;
		}
		bytes += j->request->r.size;
		b->jobs[b->count] = j;
		b->items[b->count++] = (struct deliver_item){ .queue_id = j->request->id,
			.sender = j->sender,
			.recipient = j->recipient,
			.original = j->original,
			.suspect = j->suspect,
			.read = agent_read,
			.read_arg = j->request };
	}
	if (b->count == 0) {
		batch_free(b);
		return NULL;
	}
	return b;
}

/*
 * batch_repair - the tail names a message: if it is in the queue still it may be torn;
 * NULL: it is not, its delivery was complete
 */
static struct batch *batch_repair(struct boxes *m, struct box *box)
{
	struct queue *queue = agent_queue(m->host);
	struct queue_envelope env;
	struct agent_request *q;
	struct batch *b;
	queue_id id;

	if (queue == NULL || !queue_id_parse(box->repair, &id)) {
		return NULL;
	}
	q = mem_alloc(sizeof(*q));
	q->host = m->host;
	if (queue_get(queue, id, &q->arena, &env) != 1) {
		arena_free(&q->arena);
		mem_free(q);
		return NULL;
	}
	q->r.id = id;
	q->r.size = env.size;
	queue_id_text(id, q->id);
	b = mem_alloc(sizeof(*b));
	b->box = box;
	b->repair = q;
	b->how = how_for(m, box);
	b->items = mem_alloc(sizeof(*b->items));
	b->count = 1;
	b->items[0] = (struct deliver_item){ .queue_id = q->id,
		.sender = "",
		.recipient = "",
		.original = "",
		.repair = true,
		.read = agent_read,
		.read_arg = q };
	return b;
}

static void on_retry(struct timer *t)
{
	struct box *box = t->owner;
	struct boxes *m = box->all;

	make_dirty(m, box);
}

/* put_off - a job that has waited for long enough, in Postfix's words */
static void put_off(struct boxes *m, const struct box *box, struct box_job *j, const char *why)
{
	const struct box_place *t = &box->place;
	char text[300];

	if (t->file) {
		snprintf(text, sizeof(text), "cannot append message to file %.150s: %s", t->path,
			why);
	} else if (t->no_user) {
		snprintf(text, sizeof(text), "delivery failed to mailbox %.150s: %s", t->path, why);
	} else {
		snprintf(text, sizeof(text), "cannot update mailbox %.100s for user %.60s. %s",
			t->path, t->user.name, why);
	}
	end_job(m, j, DELIVERY_DEFERRED, "4.2.0", text);
}

/*
 * lock_wait - somebody else has the mailbox: jobs that have met its lock for long enough are put
 * off, others wait for the next try
 */
static void lock_wait(struct boxes *m, struct box *box, const char *why)
{
	int64_t now = loop_now(m->host->service.loop);
	int64_t patience = param.deliver_lock_attempts * param.deliver_lock_delay * 1000;
	struct box_jobs all = box->jobs;
	struct box_job *j;

	box->locked = true;
	loop_timer(m->host->service.loop, &box->retry, RETRY_MS, on_retry, box);
	box->jobs = (struct box_jobs){ NULL, NULL, 0 };
	while ((j = jobs_pop(&all)) != NULL) {
		if (j->locked_since == 0) {
			j->locked_since = now > 0 ? now : 1;
		}
		if (now - j->locked_since >= patience) {
			put_off(m, box, j, why);
		} else {
			jobs_push(&box->jobs, j);
		}
	}
}

/*
 * give_back - the jobs of a batch return to the head of the queue, in order; suspect: all may have
 * been delivered, else those that the delivery itself says it of
 */
static void give_back(struct batch *b, bool suspect)
{
	struct box_jobs rest = b->box->jobs;

	b->box->jobs = (struct box_jobs){ NULL, NULL, 0 };
	for (size_t i = 0; b->jobs != NULL && i < b->count; i++) {
		b->jobs[i]->suspect = b->jobs[i]->suspect || suspect || b->items[i].suspect;
		jobs_push(&b->box->jobs, b->jobs[i]);
	}
	while (rest.first != NULL) {
		jobs_push(&b->box->jobs, jobs_pop(&rest));
	}
}

/* finish - tell what became of each job */
static void finish(struct boxes *m, struct batch *b)
{
	for (size_t i = 0; b->jobs != NULL && i < b->count; i++) {
		const struct deliver_item *it = &b->items[i];
		bool good = it->status == DELIVER_OK || it->status == DELIVER_DUPLICATE;
		char text[300];

		if (good && b->box->place.file && !ends_in_slash(b->box->place.path)) {
			snprintf(text, sizeof(text), "delivered to file: %s", b->box->place.path);
		} else {
			snprintf(text, sizeof(text), "%s", it->text);
		}
		end_job(m, b->jobs[i],
			good                                 ? DELIVERY_SENT
				: it->status == DELIVER_FAIL ? DELIVERY_BOUNCED
							     : DELIVERY_DEFERRED,
			it->dsn, text);
	}
}

/* batch_done - a batch came back from a worker; locked: by somebody else, nothing is done */
static void batch_done(struct boxes *m, struct batch *b, bool locked)
{
	struct box *box = b->box;

	box->state = BOX_KNOWN;
	if (locked) {
		give_back(b, false);
		lock_wait(m, box, LOCKED);
	} else {
		box->locked = false;
		finish(m, b);
		if (b->repair != NULL) {
			box->repair[0] = '\0';
		}
	}
	batch_free(b);
	if (!waits_for_lock(box) && (box->jobs.count > 0 || box->repair[0] != '\0')) {
		make_dirty(m, box);
	}
}

/* batch_died - the worker did; its messages may be in the mailbox */
static void batch_died(struct boxes *m, struct batch *b)
{
	struct box *box = b->box;
	bool again = false;

	/*
	 * Once more, and whatever was written is looked for; a second time it is qmgr's to
	 * decide.
	 */
	for (size_t i = 0; b->jobs != NULL && i < b->count; i++) {
		struct deliver_item *it = &b->items[i];

		again = again || !b->jobs[i]->suspect;
		it->status = DELIVER_DEFER;
		snprintf(it->dsn, sizeof(it->dsn), "4.3.0");
		snprintf(it->text, sizeof(it->text), "the delivery process died");
	}
	box->state = BOX_UNSEEN;
	box->repair[0] = '\0';
	if (again) {
		give_back(b, true);
	} else {
		finish(m, b);
	}
	batch_free(b);
	if (box->jobs.count > 0) {
		make_dirty(m, box);
	}
}

/* box_probed - the answer to a probe: as deliver_probe(), or BOX_DIED */
static void box_probed(struct boxes *m, struct box *box, int rc, const char *id)
{
	box->state = BOX_KNOWN;
	if (rc > 0) {
		snprintf(box->repair, sizeof(box->repair), "%s", id);
	} else if (rc < 0) {
		box->state = BOX_UNSEEN;
		lock_wait(m, box, rc == BOX_DIED ? "the delivery process died" : LOCKED);
		return;
	}
	if (box->jobs.count > 0) {
		make_dirty(m, box);
	}
}

/* run_here - not root: the work is done in this process */
static void run_here(struct boxes *m, struct batch *b)
{
	batch_done(m, b, deliver_to_mailbox(b->box->place.path, &b->how, b->items, b->count) != 0);
}

/* begin_box - probe, repair or deliver; false: no child is free for it */
static bool begin_box(struct boxes *m, struct box *box)
{
	struct deliver_how how = how_for(m, box);
	char id[DELIVER_ID_SIZE] = "";
	struct batch *b = NULL;

	if (box->state == BOX_BUSY || waits_for_lock(box)) {
		return true;
	}
	if (box->jobs.count == 0) {
		return true;
	}
	if (box->state == BOX_UNSEEN) {
		if (!m->root) {
			int rc = deliver_probe(box->place.path, &how, id);

			/* What cannot be opened fails for the message, with the reason. */
			box_probed(m, box, rc < 0 && errno != EAGAIN ? 0 : rc, id);
			return true;
		}
		box->state = BOX_BUSY;
		if (!worker_probe(m, box)) {
			box->state = BOX_UNSEEN;
			return false;
		}
		return true;
	}
	if (box->repair[0] != '\0') {
		b = batch_repair(m, box);
		if (b == NULL) {
			box->repair[0] = '\0';
		}
	}
	b = b != NULL ? b : batch_make(m, box);
	if (b == NULL) {
		return true; /* nobody waits for it any more */
	}
	box->state = BOX_BUSY;
	if (!m->root) {
		run_here(m, b);
	} else if (!worker_deliver(m, b)) {
		box->state = BOX_KNOWN;
		give_back(b, false);
		batch_free(b);
		return false;
	}
	return true;
}

/* begin_boxes - the end of a turn: everything that came in it is delivered */
static void begin_boxes(struct loop_hook *h)
{
	struct boxes *m = h->owner;
	struct box *list = m->dirty, *waiting = NULL;

	m->dirty = NULL;
	while (list != NULL) {
		struct box *box = list;

		list = box->dirty_next;
		box->dirty = false;
		if (!begin_box(m, box)) {
			box->dirty = true;
			box->dirty_next = waiting;
			waiting = box;
		}
	}
	/* Those without a child come first the next time. */
	while (waiting != NULL) {
		struct box *box = waiting;

		waiting = box->dirty_next;
		box->dirty_next = m->dirty;
		m->dirty = box;
	}
	/* One that ends its work says so; when none could be made there may be none to do it. */
	if (m->dirty != NULL) {
		loop_timer(m->host->service.loop, &m->turn_timer, AGAIN_MS, on_again, m);
	}
	forget_some(m);
}

static void on_worker_free(struct boxes *m)
{
	if (m->dirty != NULL) {
		loop_at_end(m->host->service.loop, &m->turn, begin_boxes, m);
	}
}

static void on_again(struct timer *t)
{
	on_worker_free(t->owner);
}

void boxes_init(struct boxes *m, struct agent_host *host, int64_t size_limit)
{
	static const struct worker_events events = { .batch_done = batch_done,
		.batch_died = batch_died,
		.probed = box_probed,
		.free = on_worker_free };

	m->host = host;
	m->size_limit = size_limit;
	m->root = geteuid() == 0;
	m->events = &events;
}

bool boxes_child_ended(struct boxes *m, pid_t pid)
{
	return worker_ended(m, pid);
}
