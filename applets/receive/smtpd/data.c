/*
 * data - DATA and BDAT: message content from the client into the queue
 *
 *	wire bytes -> smtp_data (dots, line ends) -> pipeline (headers) -> intake -> queue.db
 *
 * Content is taken in as it comes; what is held in memory for a message does
 * not depend on its size. Once something is wrong with it (too big, too many
 * hops, no room) the rest is read and dropped, and the end gets the error.
 *
 * RFC 5321 4.1.1.4 and 4.2.5, RFC 3030 (BDAT), RFC 2033 4.2 (LMTP: a reply for each
 * recipient).
 */
#include "applets/receive/smtpd/data.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "conf/params.h"
#include "proto/smtp.h"
#include "message/canonical_stage.h"
#include "applets/receive/smtpd/commands.h"
#include "applets/receive/smtpd/intake.h"
#include "applets/receive/smtpd/restrictions.h"

enum { CONTENT_KEEP = 128 * 1024 };

/* ---- The start ---- */

/*
 * trust_bare_lf - does LF.LF end this client's message (smtpd_forbid_bare_newline = no, or
 * excluded)?
 */
static bool trust_bare_lf(const struct smtpd_session *s)
{
	const char *mode = param.smtpd_forbid_bare_newline;

	return strcmp(mode, "no") == 0 || strcmp(mode, "note") == 0 || s->d->stand_alone ||
		match_host(s->d->bare_lf_ok, s->io->peer.host, s->io->peer.addr) > 0;
}

void ahead_data(struct smtpd_session *s, struct slice rest)
{
	(void)rest;
	if (s->tx.bdat) {
		return; /* known since the first chunk */
	}
	s->trusts_lf = trust_bare_lf(s);
	s->is_local = check_local_client(s);
}

/* put_received - our Received header, after headers that PREPEND asks for */
static void put_received(struct smtpd_session *s, struct buf *b)
{
	const struct transaction *tx = &s->tx;
	struct cleanup_trace trace = {
		.helo = s->helo != NULL ? s->helo : "",
		.client_name = s->io->peer.host,
		.client_addr = s->io->peer.addr,
		.sasl_user = param.smtpd_sasl_authenticated_header ? s->sasl_user : NULL,
		.proto = session_proto(s),
		.queue_id = intake_id(tx->intake),
		.recipient = tx->rcpt_count == 1 ? tx->rcpts->r.address : NULL,
		.when = intake_arrival(tx->intake),
	};

	for (const struct restrict_header *h = tx->prepend; h != NULL; h = h->next) {
		buf_addf(b, "%s\n", h->text);
	}
	if (s->io->tls && param.smtpd_tls_received_header) {
		trace.tls = arena_printf(&s->scratch, "%s with cipher %s (%d/%d bits)",
			s->io->tls_version, s->io->tls_cipher, s->io->tls_bits, s->io->tls_bits);
	}
	cleanup_received(b, &trace);
}

/* on_stages - the pipeline goes on */
static void on_stages(void *arg)
{
	session_resume(arg);
}

/* begin_content - the filters for what comes now */
static void begin_content(struct smtpd_session *s, bool bdat)
{
	struct transaction *tx = &s->tx;
	struct buf received = BUF_INIT;
	const struct cleanup_config config = {
		.flags = s->is_local ? CLEANUP_LOCAL : 0,
		.queue_id = intake_id(tx->intake),
		.sender = tx->sender_full,
		.full_name = "",
		.arrival = intake_arrival(tx->intake),
		.put = intake_write,
		.arg = tx->intake,
	};

	smtp_data_init(&tx->data, bdat ? SMTP_DATA_BDAT : s->trusts_lf ? SMTP_DATA_LENIENT : 0);
	tx->received = tx->stored = 0;
	if (s->d->stand_alone) {
		intake_submit(tx->intake, s); /* pickup cleans it up */
		return;
	}
	put_received(s, &received);
	tx->pipeline = pipeline_new(&config, s->d->loop, on_stages, s);
	canonical_stage_add(tx->pipeline, config.flags);
	(void)pipeline_begin(tx->pipeline, buf_str(&received));
	buf_free(&received);
}

static void data_checked(struct smtpd_session *s, bool permitted, struct restrict_run *run)
{
	(void)run;
	if (!permitted) {
		session_count(s, VERB_DATA, false);
		return;
	}
	begin_content(s, false);
	session_reply(s, "354 End data with <CR><LF>.<CR><LF>");
	session_enter(s, ST_DATA);
}

/* no_recipients - the reply when there is nobody to send it to; NULL: there is somebody */
static const char *no_recipients(const struct smtpd_session *s)
{
	if (s->tx.rcpt_count > 0) {
		return NULL;
	}
	return s->tx.open ? "554 5.5.1 Error: no valid recipients"
			  : "503 5.5.1 Error: need RCPT command";
}

enum handled cmd_data(struct smtpd_session *s, struct slice rest)
{
	const char *reply = no_recipients(s);

	if (s->tx.bdat) {
		reply = "503 5.5.1 Error: DATA after BDAT";
	} else if (reply == NULL && rest.len > 0) {
		reply = "501 5.5.4 Syntax: DATA";
	}
	if (reply != NULL) {
		session_reply(s, "%s", reply);
		return HANDLED_BAD;
	}
	check_stage(s, CHECK_DATA, NULL, data_checked);
	return HANDLED_LATER;
}

/* ---- The end ---- */

/* reply_each - one reply, or in LMTP one for each recipient */
static void reply_each(struct smtpd_session *s, const char *reply)
{
	if (!s->d->lmtp || s->tx.rcpt_count == 0) {
		session_reply(s, "%s", reply);
		return;
	}
	for (const struct rcpt *r = s->tx.rcpts; r != NULL; r = r->next) {
		if (!r->silent) {
			session_reply(s, "%s", reply);
		}
	}
}

/* end_transaction - counted, forgotten */
static void end_transaction(struct smtpd_session *s, bool good)
{
	session_count(s, s->tx.bdat ? VERB_BDAT : VERB_DATA, good);
	if (good) {
		session_forgive(s);
	}
	session_enter(s, s->state == ST_CLOSING ? ST_CLOSING : ST_COMMAND);
	session_reset_mail(s);
}

static const char *error_reply(struct smtpd_session *s)
{
	switch (s->tx.error) {
	case DATA_OK:
	case DATA_WRITE:
		break;
	case DATA_TOO_BIG:
		return "552 5.3.4 Error: message file too big";
	case DATA_REFUSED:
		return s->tx.refusal;
	case DATA_BARE_LF:
		return arena_printf(&s->scratch, "%d 5.5.2 %s Error: bare <LF> received",
			(int)param.smtpd_forbid_bare_newline_reject_code, param.myhostname);
	case DATA_NO_MEMORY:
		return "451 4.3.0 Error: out of memory";
	}
	if (s->d->queue != NULL && queue_is_full(s->d->queue)) {
		return "452 4.3.1 Insufficient system storage";
	}
	return "451 4.3.0 Error: queue file write error";
}

/* fail - the end of content that cannot become a message */
static void fail(struct smtpd_session *s)
{
	const char *reply = error_reply(s);

	check_log(s, "reject", "END-OF-MESSAGE", NULL,
		s->tx.error == DATA_BARE_LF ? "bare <LF> received" : reply);
	reply_each(s, reply);
	end_transaction(s, false);
}

/* committed - from intake: the message is safe, or not */
static void committed(struct smtpd_session *s, bool ok, const char *id_text)
{
	struct transaction *tx = &s->tx;

	tx->intake = NULL;
	if (!ok) {
		fail(s);
	} else {
		char reply[128];

		snprintf(reply, sizeof(reply), "250 2.0.0 Ok: queued as %s", id_text);
		if (tx->bdat) {
			snprintf(reply, sizeof(reply), "250 2.0.0 Ok: %llu bytes queued as %s",
				(unsigned long long)tx->received, id_text);
		}
		reply_each(s, reply);
		end_transaction(s, true);
	}
	if (!s->d->stand_alone) {
		session_resume(s);
	}
}

static void end_checked(struct smtpd_session *s, bool permitted, struct restrict_run *run)
{
	struct transaction *tx = &s->tx;

	(void)run;
	if (!permitted) {
		end_transaction(s, false);
		return;
	}
	if (tx->discard) {
		char id[QUEUE_ID_TEXT];

		snprintf(id, sizeof(id), "%s", intake_id(tx->intake));
		intake_abort(tx->intake);
		session_enter(s, ST_COMMAND);
		committed(s, true, id);
		return;
	}
	session_enter(s, ST_COMMIT);
	intake_end(tx->intake, committed);
}

/* ---- Content ---- */

/* spoil - the message is lost: give back what it holds, go on reading */
static void spoil(struct smtpd_session *s, enum data_error error)
{
	struct transaction *tx = &s->tx;

	tx->error = error;
	pipeline_free(tx->pipeline);
	tx->pipeline = NULL;
}

/* note_stages - what the pipeline has come to */
static void note_stages(struct smtpd_session *s)
{
	struct transaction *tx = &s->tx;
	enum pipeline_status status =
		tx->pipeline != NULL ? pipeline_status(tx->pipeline) : PIPELINE_OK;

	if (status == PIPELINE_OK || status == PIPELINE_WAIT || tx->error != DATA_OK) {
		return;
	}
	if (*pipeline_text(tx->pipeline) == '\0') {
		spoil(s, DATA_WRITE);
		return;
	}
	tx->refusal =
		arena_printf(&tx->arena, "%d %s Error: %s", status == PIPELINE_REJECT ? 554 : 451,
			pipeline_dsn(tx->pipeline), pipeline_text(tx->pipeline));
	spoil(s, DATA_REFUSED);
}

/* stages_wait - content is held up: on with again() when it goes on */
static bool stages_wait(struct smtpd_session *s, void (*again)(struct smtpd_session *s))
{
	const struct pipeline *p = s->tx.pipeline;

	if (p == NULL || pipeline_status(p) != PIPELINE_WAIT) {
		return false;
	}
	session_wait(s, again);
	return true;
}

/* store - content with LF line ends goes on to the queue */
static void store(struct smtpd_session *s, const struct buf *content)
{
	struct transaction *tx = &s->tx;

	if (tx->error != DATA_OK || content->len == 0) {
		return;
	}
	tx->stored += content->len;
	if (param.message_size_limit > 0 && tx->stored > (uint64_t)param.message_size_limit) {
		log_warn("%s: queue file size limit exceeded", intake_id(tx->intake));
		spoil(s, DATA_TOO_BIG);
		return;
	}
	if (tx->pipeline != NULL) {
		(void)pipeline_write(tx->pipeline, content->data, content->len);
		note_stages(s);
	} else if (intake_write(tx->intake, content->data, content->len) != 0) {
		spoil(s, DATA_WRITE);
	}
}

/* ended - all content went through the pipeline */
static void ended(struct smtpd_session *s)
{
	struct transaction *tx = &s->tx;

	if (stages_wait(s, ended)) {
		return;
	}
	note_stages(s);
	if (tx->error == DATA_OK && tx->pipeline != NULL) {
		cleanup_log_message_id(pipeline_cleanup(tx->pipeline), intake_id(tx->intake));
	}
	s->where = "END-OF-MESSAGE";
	session_enter(s, ST_COMMAND);
	if (tx->error != DATA_OK) {
		fail(s);
		return;
	}
	check_stage(s, CHECK_END, NULL, end_checked);
}

/* finish - all content is here */
static void finish(struct smtpd_session *s)
{
	if (s->tx.error == DATA_OK && s->tx.pipeline != NULL) {
		(void)pipeline_end(s->tx.pipeline);
	}
	ended(s);
}

/* watch_bare_lf - smtpd_forbid_bare_newline = reject or note: the first one in a message */
static void watch_bare_lf(struct smtpd_session *s)
{
	const char *mode = param.smtpd_forbid_bare_newline;

	if (strcmp(mode, "note") == 0) {
		log_info("%s: bare <LF> received after %s", session_peer(s), s->where);
	}
	if (strcmp(mode, "reject") == 0 && !s->trusts_lf && s->tx.error == DATA_OK) {
		spoil(s, DATA_BARE_LF);
	}
}

/* filter - bytes through the line filter into the message; how many were taken */
static size_t filter(struct smtpd_session *s, const char *data, size_t len)
{
	struct buf *content = &s->d->content;
	uint64_t bare_lf = s->tx.data.bare_lf;
	size_t n;

	buf_reset(content);
	n = smtp_data_feed(&s->tx.data, data, len, content);
	s->tx.received += n;
	if (bare_lf == 0 && s->tx.data.bare_lf > 0) {
		watch_bare_lf(s);
	}
	store(s, content);
	buf_reset(content);
	buf_shrink(content, CONTENT_KEEP);
	return n;
}

/* ---- BDAT ---- */

/* end_chunk - a chunk is in */
static void end_chunk(struct smtpd_session *s)
{
	struct transaction *tx = &s->tx;

	if (tx->drop_chunk) {
		tx->drop_chunk = false;
		session_enter(s, ST_COMMAND);
		if (tx->chunk_last) {
			session_reset_mail(s);
		}
		return;
	}
	if (!tx->chunk_last) {
		session_enter(s, ST_COMMAND);
		session_reply(s, "250 2.0.0 Ok: %llu bytes", (unsigned long long)tx->chunk_size);
		session_count(s, VERB_BDAT, true);
		return;
	}
	buf_reset(&s->d->content);
	smtp_data_finish(&tx->data, &s->d->content);
	store(s, &s->d->content);
	buf_reset(&s->d->content);
	finish(s);
}

/* parse_bdat - "count [LAST]" */
static bool parse_bdat(struct slice rest, uint64_t *count_r, bool *last_r)
{
	struct slice count = slice_word(&rest, " \t"), last = slice_word(&rest, " \t");

	*last_r = last.ptr != NULL;
	return count.ptr != NULL && smtp_parse_size(count, count_r) &&
		(last.ptr == NULL || slice_ieq(last, "LAST")) &&
		slice_word(&rest, " \t").ptr == NULL;
}

/* begin_chunk - its bytes are next; a chunk without bytes is over already */
static void begin_chunk(struct smtpd_session *s)
{
	session_enter(s, ST_BDAT);
	if (s->tx.chunk_left == 0) {
		end_chunk(s);
	}
}

/*
 * drop_chunk - the bytes of a chunk that is refused are on their way already:
 * they are read and dropped. A last one ends the transaction.
 */
static void drop_chunk(struct smtpd_session *s)
{
	s->tx.drop_chunk = true;
	s->tx.chunk_failed = s->tx.bdat;
	begin_chunk(s);
}

static void bdat_checked(struct smtpd_session *s, bool permitted, struct restrict_run *run)
{
	(void)run;
	if (permitted) {
		begin_content(s, true);
		begin_chunk(s);
	} else {
		session_count(s, VERB_BDAT, false);
		drop_chunk(s);
	}
}

/* refuse_chunk - with a reply; the chunk is dropped */
static enum handled refuse_chunk(struct smtpd_session *s, const char *reply)
{
	session_reply(s, "%s", reply);
	session_count(s, VERB_BDAT, false);
	drop_chunk(s);
	return HANDLED_LATER;
}

/* bdat_refusal - why a chunk cannot be taken, or NULL */
static const char *bdat_refusal(struct smtpd_session *s)
{
	const struct transaction *tx = &s->tx;
	uint64_t limit = (uint64_t)param.message_size_limit;

	if (tx->chunk_failed) {
		return arena_printf(&s->scratch,
			"551 5.0.0 Discarded %llu bytes after earlier error",
			(unsigned long long)tx->chunk_left);
	}
	if (!tx->bdat && no_recipients(s) != NULL) {
		return no_recipients(s);
	}
	if (tx->chunk_left == 0 && !tx->chunk_last) {
		log_warn("%s: null BDAT request from %s", intake_id(tx->intake), session_peer(s));
		return "551 5.7.1 Null BDAT request";
	}
	if (limit > 0 && (tx->chunk_left > limit || tx->received > limit - tx->chunk_left)) {
		log_warn("%s: BDAT request from %s exceeds message size limit",
			intake_id(tx->intake), session_peer(s));
		return "552 5.3.4 Chunk exceeds message size limit";
	}
	return NULL;
}

enum handled cmd_bdat(struct smtpd_session *s, struct slice rest)
{
	struct transaction *tx = &s->tx;
	const char *reply;

	if (!parse_bdat(rest, &tx->chunk_left, &tx->chunk_last)) {
		/* Where the chunk would end is not known: nothing after this can be trusted. */
		log_warn("%s: malformed BDAT command syntax from %s: BDAT%s%.*s",
			tx->intake != NULL ? intake_id(tx->intake) : "NOQUEUE", session_peer(s),
			rest.len > 0 ? " " : "", (int)(rest.len > 100 ? 100 : rest.len), rest.ptr);
		session_reply(s, "521 5.5.4 Syntax: BDAT count [LAST]");
		return HANDLED_BAD;
	}
	tx->chunk_size = tx->chunk_left;
	reply = bdat_refusal(s);
	if (reply != NULL) {
		tx->bdat = tx->bdat || (tx->open && tx->rcpt_count > 0);
		return refuse_chunk(s, reply);
	}
	if (!tx->bdat) {
		tx->bdat = true;
		check_stage(s, CHECK_DATA, NULL, bdat_checked);
	} else {
		begin_chunk(s);
	}
	return HANDLED_LATER;
}

/* fed - what has come went through the pipeline */
static void fed(struct smtpd_session *s)
{
	if (stages_wait(s, fed)) {
		return;
	}
	note_stages(s);
	if (s->state == ST_BDAT && s->tx.chunk_left == 0) {
		end_chunk(s);
	} else if (s->state == ST_DATA && s->tx.data.state == SMTP_DATA_END) {
		finish(s);
	}
}

/* feed_bdat - chunk bytes */
static void feed_bdat(struct smtpd_session *s, struct buf *in)
{
	struct transaction *tx = &s->tx;
	size_t n = buf_unread(in);

	if (n > tx->chunk_left) {
		n = (size_t)tx->chunk_left;
	}
	if (!tx->drop_chunk) {
		(void)filter(s, buf_head(in), n);
	}
	buf_consume(in, n);
	tx->chunk_left -= n;
}

void data_feed(struct smtpd_session *s, struct buf *in)
{
	if (s->state == ST_BDAT) {
		feed_bdat(s, in);
	} else {
		buf_consume(in, filter(s, buf_head(in), buf_unread(in)));
	}
	fed(s);
}
