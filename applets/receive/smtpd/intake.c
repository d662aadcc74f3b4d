/*
 * intake - where the messages of sessions go
 *
 * Into queue.db with group commit: messages that end in the same turn of the
 * loop are made durable by one transaction with one fsync at the turn's end,
 * and then each session gets its reply. Alone, a message waits for nobody;
 * under load the turns grow long by themselves and one fsync serves many.
 *
 *	session A --end--\
 *	session B --end---> [end of turn] queue_commit() --> "250 ... queued as" to A, B, C
 *	session C --end--/			|
 *						+--> qmgr is told
 *
 * A stand-alone session (sendmail -bs, any user) has no queue: its messages are
 * submitted as sendmail's are (route/submit.h).
 */
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "route/submit.h"
#include "applets/receive/smtpd/smtpd.h"

struct intake {
	struct smtpd *d;
	struct smtpd_session *session;	/* NULL: it went away while the commit was due */
	struct queue_message *message;
	struct submit *submit;		/* stand-alone */
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

	return i->message != NULL ? queue_write(i->message, data, len) :
		submit_write(i->submit, data, len);
}

void intake_abort(struct intake *i)
{
	if (i->message != NULL) {
		queue_abort(i->message);
	}
	submit_free(i->submit);
	mem_free(i);
}

void intake_detach(struct intake *i)
{
	i->session = NULL;
}

/* ---- The commit ---- */

static void run_commit(struct loop_hook *h)
{
	struct smtpd *d = h->owner;

	if (!queue_pending(d->queue)) {
		return;
	}
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

/* committed - from queue_commit(): this message is safe, or not */
static void committed(void *arg, bool ok)
{
	struct intake *i = arg;

	if (i->session != NULL) {
		data_committed(i->session, ok, i->id);
	} else if (ok) {
		log_info("%s: accepted, but the client did not wait for the reply", i->id);
	}
	mem_free(i);
}

/* ---- Envelope and recipients ---- */

/* put_recipients - into the message, each once */
static void put_recipients(struct intake *i, const struct transaction *tx)
{
	struct hash seen = { NULL, 0, 0 };

	for (const struct rcpt *r = tx->rcpts; r != NULL; r = r->next) {
		if (tx->rcpt_count > 1 && (int64_t)seen.count < param.duplicate_filter_limit) {
			if (hash_get(&seen, r->r.address) != NULL) {
				continue;
			}
			(void)hash_set(&seen, r->r.address, (void *)r);
		}
		queue_add_recipient(i->message, &r->r);
	}
	hash_free(&seen, NULL);
	cleanup_add_bcc(i->message);
}

/* put_redirected - one recipient instead of all */
static void put_redirected(struct intake *i, struct smtpd_session *s)
{
	const struct queue_recipient r = {
		.address = cleanup_address(&s->tx.arena, s->tx.redirect),
		.original = "", .orcpt = "", .dsn = "", .reason = "",
	};

	queue_add_recipient(i->message, &r);
}

/* end_queued - into queue.db with the next commit */
static void end_queued(struct intake *i, struct smtpd_session *s)
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
	if (tx->redirect != NULL) {
		put_redirected(i, s);
	} else {
		put_recipients(i, tx);
	}
	queue_end(i->message, committed, i);
	if (i->d->loop != NULL) {
		loop_at_end(i->d->loop, &i->d->commit_hook, run_commit, i->d);
	} else {
		i->d->commit_hook.owner = i->d;
		run_commit(&i->d->commit_hook);
	}
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

void intake_end(struct intake *i)
{
	if (i->message != NULL) {
		end_queued(i, i->session);
	} else {
		end_submitted(i);
	}
}
