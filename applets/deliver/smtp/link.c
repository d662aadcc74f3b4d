/*
 * link - a connection to a next host
 *
 *	stream -> in -> session -> what it wants -> the owner, who answers -> what it wants ...
 *
 * run() acts on what the session wants; it is the last thing that any function here does, because
 * an owner may do anything with the link when it is asked. What comes in is taken off the stream at
 * once, so that a server which speaks out of turn is seen at the end of the content and not before.
 */
#include "applets/deliver/smtp/link.h"

#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/stream_tls.h"
#include "applets/deliver/smtp/tls_policy.h"

enum {
	READ_SIZE = 16384,
	IN_MAX = 256 * 1024,  /* of a server that speaks while it should listen */
	OUT_HIGH = 64 * 1024, /* above it no more content is read */
	OUT_FULL = 16 * 1024, /* worth a write of its own: a small mail leaves with its last dot */
	OUT_KEEP = 8192,      /* room that stays for the next mail of a few KB */
	PIECES_ONCE = 4,      /* of content, then it is another's turn */
	GOODBYE_MS = 5000,    /* for the last bytes of a connection that nobody needs */
	SECOND = 1000
};

static void run(struct link *l, enum smtp_client_want want);

/* ---- Time ---- */

static int64_t stage_seconds(const struct smtp_settings *s, enum smtp_client_stage stage)
{
	switch (stage) {
	case SMTP_STAGE_HELO:
		return s->helo_timeout;
	case SMTP_STAGE_STARTTLS:
		return s->starttls_timeout;
	case SMTP_STAGE_XFORWARD:
		return s->xforward_timeout;
	case SMTP_STAGE_MAIL:
		return s->mail_timeout;
	case SMTP_STAGE_RCPT:
		return s->rcpt_timeout;
	case SMTP_STAGE_DATA_INIT:
		return s->data_init_timeout;
	case SMTP_STAGE_DATA_XFER:
		return s->data_xfer_timeout;
	case SMTP_STAGE_DATA_DONE:
		return s->data_done_timeout;
	case SMTP_STAGE_RSET:
		return s->rset_timeout;
	case SMTP_STAGE_QUIT:
		break;
	}
	return s->quit_timeout;
}

static void set_limit(struct link *l)
{
	enum smtp_client_stage stage = smtp_client_stage(l->client);

	stream_idle(&l->stream, stage_seconds(l->links->settings, stage) * SECOND);
}

/* ---- The end ---- */

void link_free(struct link *l)
{
	struct links *ls = l->links;

	if (l->prev != NULL) {
		l->prev->next = l->next;
	} else {
		ls->first = l->next;
	}
	if (l->next != NULL) {
		l->next->prev = l->prev;
	}
	loop_untimer(ls->loop, &l->idle);
	stream_close(&l->stream);
	smtp_client_free(l->client);
	tls_policy_free(l->policy);
	buf_free(&l->in);
	mem_free(l->host);
	mem_free(l->address);
	mem_free(l->peer);
	mem_free(l->relay);
	mem_free(l->discard);
	mem_free(l->key);
	if (l->on != NULL) {
		ls->count--;
	}
	mem_free(l);
	ls->freed(ls);
}

/* leave - the owner has no more to do with it */
static void leave(struct link *l)
{
	if (l->on != NULL) {
		l->on = NULL;
		l->links->count--;
		l->links->freed(l->links);
	}
}

/* over - the session has said its last word; the owner takes the results, the bytes go out */
static void over(struct link *l)
{
	const struct link_events *on = l->on;

	if (on != NULL) {
		on->closed(l);
		leave(l);
	}
	stream_idle(&l->stream, GOODBYE_MS);
	stream_finish(&l->stream);
}

/* ---- TLS ---- */

/* shake - all that was said in the clear has gone */
static void shake(struct link *l)
{
	struct tls *engine;

	l->tls_due = false;
	buf_reset(&l->in);
	engine = l->on->engine(l);
	if (engine == NULL) {
		return;
	}
	l->shaking = true;
	stream_tls(&l->stream, engine);
	(void)stream_flush(&l->stream);
}

static void begin_tls(struct link *l)
{
	stream_idle(&l->stream, l->links->settings->starttls_timeout * SECOND);
	l->tls_due = true;
	(void)stream_flush(&l->stream);
	if (stream_unsent(&l->stream) == 0) {
		shake(l);
	} /* else on_drained() */
}

static void on_secured(struct stream *s)
{
	struct link *l = s->owner;

	l->shaking = false;
	l->tls = true;
	if (l->on->secured(l)) {
		run(l, smtp_client_secured(l->client, &s->out));
	}
}

/* ---- Content ---- */

/* put_piece - what the session wants after the next piece */
static enum smtp_client_want put_piece(struct link *l)
{
	const char *data;
	int64_t n = l->on->content(l, &data);

	if (n > 0) {
		return smtp_client_content(l->client, data, (size_t)n, &l->stream.out);
	}
	return n == 0
		? smtp_client_content_end(l->client, &l->in, &l->stream.out)
		: smtp_client_content_failed(l->client, "4.3.0", "unreadable mail queue entry");
}

/* send_content - as much as goes out now; false: that was not all */
static bool send_content(struct link *l, enum smtp_client_want *want)
{
	for (int i = 0; *want == SMTP_WANT_CONTENT; i++) {
		if (stream_unsent(&l->stream) > OUT_HIGH) {
			return false; /* on_drained() */
		}
		if (i == PIECES_ONCE) {
			stream_more(&l->stream);
			return false;
		}
		*want = put_piece(l);
		if (*want == SMTP_WANT_CONTENT && stream_unsent(&l->stream) >= OUT_FULL &&
			stream_flush(&l->stream) != 0) {
			return false; /* on_closed(), when the server's last words are read */
		}
	}
	(void)stream_flush(&l->stream);
	return true;
}

/* ---- What the session wants ---- */

/* run - once; an owner that is asked may have done away with l afterwards */
static void run(struct link *l, enum smtp_client_want want)
{
	l->want = want;
	if (want == SMTP_WANT_CONTENT) {
		set_limit(l);
		if (!send_content(l, &want)) {
			return;
		}
		l->want = want;
	}
	switch (want) {
	case SMTP_WANT_READ:
		set_limit(l);
		(void)stream_flush(&l->stream);
		break;
	case SMTP_WANT_TLS:
		begin_tls(l);
		break;
	case SMTP_WANT_DECIDE:
		l->on->decide(l);
		break;
	case SMTP_WANT_READY:
		l->on->ready(l);
		break;
	case SMTP_WANT_CLOSE:
		over(l);
		break;
	case SMTP_WANT_CONTENT:
		break;
	}
}

/* on_data - all of it is taken; the session gets it when it listens */
static bool on_data(struct stream *s, struct buf *in)
{
	struct link *l = s->owner;

	buf_add(&l->in, buf_head(in), buf_unread(in));
	buf_consume(in, buf_unread(in));
	if (l->want == SMTP_WANT_READ) {
		run(l, smtp_client_feed(l->client, &l->in, &s->out));
		return true;
	}
	/* A server that speaks although nothing was asked: a connection at rest is over. */
	return l->want == SMTP_WANT_CONTENT && buf_unread(&l->in) < IN_MAX;
}

static void on_drained(struct stream *s)
{
	struct link *l = s->owner;

	if (l->on == NULL) {
		return;
	}
	if (l->tls_due && stream_unsent(s) == 0) {
		shake(l);
	} else if (l->want == SMTP_WANT_CONTENT) {
		run(l, SMTP_WANT_CONTENT);
	}
}

/* on_closed - the connection is gone; the session's owner gets what there is */
static void on_closed(struct stream *s, enum stream_end why)
{
	struct link *l = s->owner;
	const struct link_events *on = l->on;

	if (on != NULL) {
		if (l->shaking) {
			log_info("SSL_connect error to %s: %s", l->relay, stream_text(s, why));
			(void)smtp_client_tls_failed(l->client, NULL);
		} else if (why == STREAM_TIMEOUT) {
			(void)smtp_client_timed_out(l->client);
		} else {
			(void)smtp_client_lost(l->client, &l->in);
		}
		on->closed(l);
	}
	link_free(l);
}

static const struct stream_class link_class = { .data = on_data,
	.drained = on_drained,
	.secured = on_secured,
	.closed = on_closed,
	.read_size = READ_SIZE,
	.in_max = IN_MAX,
	.out_keep = OUT_KEEP };

/* ---- For the owner ---- */

struct link *link_new(struct links *ls, const char *host, const char *address, int port)
{
	struct link *l = mem_alloc(sizeof(*l));
	struct buf text = BUF_INIT;

	l->links = ls;
	l->next = ls->first;
	if (l->next != NULL) {
		l->next->prev = l;
	}
	ls->first = l;
	l->host = mem_strdup(host);
	l->address = mem_strdup(address);
	l->port = port;
	l->born = loop_now(ls->loop);
	buf_addf(&text, "%s[%s]", host, address);
	l->peer = mem_strdup(buf_str(&text));
	if (port > 0) {
		buf_addf(&text, ":%d", port);
	}
	l->relay = buf_steal(&text);
	l->config.peer = l->peer;
	stream_init(&l->stream, ls->loop, &link_class, l);
	return l;
}

void link_use(struct link *l, const struct link_events *on, void *owner)
{
	if (l->on == NULL) {
		l->links->count++;
	}
	l->on = on;
	l->owner = owner;
}

void link_start(struct link *l, bool tls_first)
{
	l->tls_first = l->config.wrapped = tls_first;
	l->client = smtp_client_new(&l->config);
	l->want = SMTP_WANT_READ;
	if (tls_first) {
		begin_tls(l);
	} else {
		run(l, smtp_client_feed(l->client, &l->in, &l->stream.out));
	}
}

void link_starttls(struct link *l, bool required)
{
	run(l, smtp_client_starttls(l->client, required, &l->stream.out));
}

void link_refuse(struct link *l, const char *text)
{
	run(l, smtp_client_tls_failed(l->client, text));
}

void link_auth(
	struct link *l, const struct sasl_account *account, const struct sasl_client_choice *choice)
{
	l->stream.secret = true;
	run(l, smtp_client_auth(l->client, account, choice, &l->stream.out));
}

void link_begin(struct link *l, struct smtp_client_mail *mail)
{
	l->uses++;
	l->stream.secret = false; /* AUTH is over, and all of it is sent */
	run(l, smtp_client_begin(l->client, mail, &l->stream.out));
}

void link_quit(struct link *l)
{
	leave(l);
	run(l, smtp_client_quit(l->client, &l->stream.out));
}
