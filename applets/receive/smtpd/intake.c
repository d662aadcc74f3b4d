/*
 * intake - where the messages of sessions go
 *
 * Into queue.db with group commit: one transaction with one fsync makes all
 * messages durable that ended meanwhile, and then each session gets its reply.
 * A message that is alone waits for nobody. While other sessions are in the
 * middle of theirs, the next turn of the loop (which then does not wait for events) may
 * bring company: at most 1.5 ms, and not once a turn brought none.
 *
 *	session A --end--\
 *	session B --end---> [end of turn] queue_commit() --> "250 ... queued as" to A, B, C
 *	session C --end--/			|
 *						+--> qmgr is told
 *
 * A stand-alone session (sendmail -bs, any user) has no queue: its messages are
 * submitted as sendmail's are (message/submit.h).
 */
#include "applets/receive/smtpd/intake.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "queue/queue_write.h"
#include "message/submit.h"

enum {
	COMMIT_BATCH = 64,    /* messages in one commit, at most */
	COMMIT_WAIT_US = 1500 /* a message waits this long for others, at most */
};

struct intake {
	struct smtpd *d;
	struct smtpd_session *session; /* NULL: it went away while the commit was due */
	struct queue_message *message;
	struct submit *submit;   /* stand-alone */
	intake_done_fn *done;    /* from intake_end() on */
	const struct rcpt *next; /* from here on they are not in the message yet */
	struct hash seen;
	bool ended; /* the queue has it: it will tell committed() */
	time_t arrival;
	char id[QUEUE_ID_TEXT];
};

struct intake *intake_begin(struct smtpd_session *s)
{
	struct smtpd *d = s->d;
	struct intake *i;

	if (d->broken) {
		return NULL;
	}
	i = mem_alloc(sizeof(*i));
	i->d = d;
	i->session = s;
	i->arrival = time(NULL);
	if (d->queue != NULL) {
		const struct queue_envelope env = { .sender = "" };

		i->message = queue_begin(d->queue, &env);
		queue_id_text(queue_message_id(i->message), i->id);
	} else {
		i->submit = submit_new();
		(void)str_copy(i->id, sizeof(i->id), "submission");
	}
	return i;
}

const char *intake_id(const struct intake *i)
{
	return i->id;
}

time_t intake_arrival(const struct intake *i)
{
	return i->arrival;
}

int intake_write(void *intake, const void *data, size_t len)
{
	struct intake *i = intake;

	return i->message != NULL ? queue_write(i->message, data, len)
				  : submit_write(i->submit, data, len);
}

void intake_abort(struct intake *i)
{
	if (i->ended) {
		i->session = NULL;
		return;
	}
	if (i->message != NULL) {
		queue_abort(i->message);
	}
	submit_free(i->submit);
	hash_free(&i->seen, NULL);
	mem_free(i);
}

/* ---- The commit ---- */

static void run_commit(struct smtpd *d)
{
	if (!queue_pending(d->queue)) {
		return;
	}
	d->waiting = 0;
	if (queue_commit(d->queue) != 0) {
		log_error("queue: %s", queue_error(d->queue));
		if (queue_is_broken(d->queue) && !d->broken) {
			d->broken = true;
			if (d->on_broken != NULL) {
				d->on_broken(d);
			}
		}
		return;
	}
	if (d->notify != NULL) {
		queue_notify_committed(d->notify, d->queue);
	}
}

static void next_turn(struct timer *t);

/*
 * consider_commit - at the end of a turn: commit now, unless others are likely to
 * join in the next turn, which does not wait
 */
static void consider_commit(struct smtpd *d)
{
	if (d->waiting == 0) {
		return;
	}
	if (d->waiting >= d->transactions || d->waiting == d->waiting_before ||
		d->waiting >= COMMIT_BATCH || clock_us() - d->waiting_since > COMMIT_WAIT_US) {
		run_commit(d);
		d->waiting_before = 0;
		return;
	}
	d->waiting_before = d->waiting;
	loop_timer(d->loop, &d->commit_timer, 0, next_turn, d);
}

static void turn_ends(struct loop_hook *h)
{
	consider_commit(h->owner);
}

static void next_turn(struct timer *t)
{
	struct smtpd *d = t->owner;

	loop_at_end(d->loop, &d->commit_hook, turn_ends, d);
}

/* commit_soon - one more message has ended */
static void commit_soon(struct smtpd *d)
{
	if (d->waiting++ == 0) {
		d->waiting_since = clock_us();
	}
	if (d->loop == NULL) {
		run_commit(d);
	} else if (d->commit_timer.slot == 0) {
		loop_at_end(d->loop, &d->commit_hook, turn_ends, d);
	}
}

/* committed - from queue_commit(): this message is safe, or not */
static void committed(void *arg, bool ok)
{
	struct intake *i = arg;

	if (i->session != NULL) {
		i->done(i->session, ok, i->id);
	} else if (ok) {
		log_info("%s: accepted, but the client did not wait for the reply", i->id);
	}
	hash_free(&i->seen, NULL);
	mem_free(i);
}

/* ---- Envelope and recipients ---- */

/* no_answer - of an alias table: 0 it is still to come, -1 there is none */
static int no_answer(const struct intake *i)
{
	if (!map_is_waiting()) {
		return -1;
	}
	for (const struct rcpt *r = i->next; r != NULL; r = r->next) {
		cleanup_ask_recipient(r->r.address); /* beside it */
	}
	return 0;
}

/* put_recipients - those that are left, each once: 1; 0 an alias table is to answer first; -1 */
static int put_recipients(struct intake *i, const struct transaction *tx)
{
	struct hash *seen = tx->rcpt_count > 1 || *param.always_bcc != '\0' ? &i->seen : NULL;

	for (; i->next != NULL; i->next = i->next->next) {
		if (!cleanup_add_recipient(i->message, seen, &i->next->r)) {
			return no_answer(i);
		}
	}
	return cleanup_add_bcc(i->message, seen) ? 1 : no_answer(i);
}

/* put_redirected - one recipient instead of all */
static void put_redirected(struct intake *i, struct smtpd_session *s)
{
	const struct queue_recipient r = {
		.address = cleanup_address(&s->tx.arena, s->tx.redirect),
		.original = "",
		.orcpt = "",
		.dsn = "",
		.reason = "",
	};

	queue_add_recipient(i->message, &r);
}

/* put_envelope - all that is known of it now */
static void put_envelope(struct intake *i, const struct smtpd_session *s)
{
	const struct transaction *tx = &s->tx;
	const struct queue_envelope env = {
		.sender = tx->sender_full,
		.flags = tx->flags | (tx->hold ? QUEUE_F_HOLD : 0),
		.envid = tx->envid,
		.client_name = s->io->peer.host,
		.client_addr = s->io->peer.addr,
		.helo = s->helo,
		.proto = session_proto(s),
		.sasl_user = s->sasl_user,
	};

	queue_set_envelope(i->message, &env);
}

/* end_queued - into queue.db with the next commit, once all recipients are known */
static void end_queued(struct smtpd_session *s)
{
	struct intake *i = s->tx.intake;
	int rc = 1;

	if (s->tx.redirect != NULL) {
		put_redirected(i, s);
	} else {
		rc = put_recipients(i, &s->tx);
	}
	if (rc > 0) {
		rc = cleanup_sender(&s->tx.arena, &s->tx.sender_full);
	}
	if (rc == 0) {
		session_wait(s, end_queued);
		return;
	}
	if (rc < 0) {
		queue_abort(i->message);
		committed(i, false);
		return;
	}
	put_envelope(i, s);
	i->ended = true;
	queue_end(i->message, committed, i);
	commit_soon(i->d);
}

void intake_notice(struct smtpd *d, struct queue_message *m)
{
	queue_end(m, NULL, NULL);
	commit_soon(d);
}

void intake_submit(struct intake *i, const struct smtpd_session *s)
{
	const struct transaction *tx = &s->tx;

	submit_envelope(i->submit, tx->sender, "", tx->envid, tx->flags);
	for (const struct rcpt *r = tx->rcpts; r != NULL; r = r->next) {
		submit_recipient(i->submit, r->address, r->r.notify, r->r.orcpt);
	}
}

/* end_submitted - as sendmail would hand it in */
static void end_submitted(struct intake *i)
{
	bool ok = submit_end(i->submit) == SUBMIT_OK;

	if (!ok) {
		log_error("%s", submit_error(i->submit));
	} else {
		(void)str_copy(i->id, sizeof(i->id), submit_id(i->submit));
	}
	submit_free(i->submit);
	committed(i, ok);
}

void intake_end(struct intake *i, intake_done_fn *done)
{
	i->done = done;
	if (i->message != NULL) {
		i->next = i->session->tx.rcpts;
		end_queued(i->session);
	} else {
		end_submitted(i);
	}
}

void session_reset_mail(struct smtpd_session *s)
{
	struct transaction *tx = &s->tx;
	struct arena arena;

	if (tx->intake != NULL) {
		intake_abort(tx->intake);
	}
	if (tx->open) {
		s->d->transactions--;
	}
	pipeline_free(tx->pipeline);
	arena_reset(&tx->arena);
	arena = tx->arena;
	memset(tx, 0, sizeof(*tx));
	tx->arena = arena;
	tx->rcpts_tail = &tx->rcpts;
}
