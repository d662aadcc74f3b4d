/*
 * map_server - servers that tables ask: connections, questions in their order, deadlines
 *
 *	question -> queue -> a free connection -> answer
 *	               \--> none is free: one more is dialled, up to CONNECTIONS_MAX
 *
 * The protocols have no numbers by which an answer would be known: a connection carries one
 * question at a time, as the servers expect it, and one that has said anything unasked is closed,
 * for it must never be taken for the answer to the next. A server that is slow to answer is asked
 * over several connections at a time, as by the many processes of Postfix; one that is quick hardly
 * needs a second.
 *
 * A kept connection may have been closed by the other side: its question is asked once more. A
 * server that lets a question run into its deadline, and has answered none meanwhile, is not asked
 * again for REST_MS: who asks gets an error at once. The same if it cannot be reached, and it took
 * long to find that out (its host is down, or the name service).
 *
 * Questions are only queued while sessions compute; all that is done to connections happens in
 * callbacks of the loop: lack of memory may end the session by a jump (base/mem.h), and not in the
 * middle of what all share.
 */
#include "map/map_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stream.h"
#include "net/dial.h"
#include "net/dns.h"
#include "map/map.h"

enum {
	CONNECTIONS_MAX = 50,
	QUEUE_MAX = 5000,
	MAX_REPLY = 100000,
	DIAL_MS = 10000,
	DIAL_LONG_MS = 2000, /* a failure that takes longer is not waited for by everybody anew */
	BLOCKED_MS = 10000,  /* for an answer, where somebody stands and waits */
	ANSWER_MS = 30000,   /* for an answer, where a client waits and nobody else */
	QUEUED_MS = 100000,  /* for a connection */
	REST_MS = 10000,
	GROW_MS = 20,     /* so long a question waits for the connections that there are */
	REDIAL_MS = 1000, /* after one that failed, while there are others */
	IDLE_MS = 30000   /* an unused connection is kept so long */
};

struct connection {
	struct connection *next; /* of the server; the one used last comes first */
	struct map_server *server;
	struct stream s;
	struct map_question *question; /* NULL, and complete is set: nobody wants the answer */
	map_complete_fn *complete;     /* NULL: it is free */
	int64_t asked;
	bool kept; /* it has brought an answer before */
};

struct map_server {
	struct map_server *next;
	unsigned refs;
	char *host, *port;
	struct loop *loop;
	bool blocks;       /* the loop is its own */
	struct dns *dns;   /* NULL: not needed yet */
	struct dial *dial; /* NULL: none */
	struct connection *dialled;
	struct connection *connections;
	size_t count;
	struct map_question *first, *last; /* who waits for a connection */
	size_t waiting;
	struct timer kick, late;
	int64_t dial_from;
	int64_t rest_until;  /* it did not answer in time */
	int64_t redial_from; /* a further connection could not be had */
	int64_t answered;    /* last */
};

/* The servers of this process, for sharing; the question of who blocks. */
static struct {
	struct map_server *list;
	struct map_wait blocked;
	int blocked_ms;
} G = { .blocked_ms = BLOCKED_MS };

void map_wait_at_most(int milliseconds)
{
	G.blocked_ms = milliseconds;
}

static void on_kick(struct timer *t);
static void on_late(struct timer *t);

/* kick - in a turn of the loop, see what can be sent */
static void kick(struct map_server *s, int64_t ms)
{
	if (s->kick.slot == 0 || ms == 0) {
		loop_timer(s->loop, &s->kick, ms, on_kick, s);
	}
}

/* ---- The queue ---- */

static void queue_put(struct map_server *s, struct map_question *q, bool front)
{
	q->behind = front ? s->first : NULL;
	if (front) {
		s->first = q;
	} else if (s->last != NULL) {
		s->last->behind = q;
	} else {
		s->first = q;
	}
	if (q->behind == NULL) {
		s->last = q;
	}
	s->waiting++;
}

/* queue_take - out of the queue, if it is in it */
static bool queue_take(struct map_server *s, struct map_question *q)
{
	struct map_question **link = &s->first, *before = NULL;

	while (*link != NULL && *link != q) {
		before = *link;
		link = &(*link)->behind;
	}
	if (*link == NULL) {
		return false;
	}
	*link = q->behind;
	if (s->last == q) {
		s->last = before;
	}
	s->waiting--;
	return true;
}

/* deadline - so long it may wait in the queue */
static int64_t deadline(const struct map_server *s, const struct map_question *q)
{
	return q->since + (s->blocks ? G.blocked_ms : QUEUED_MS);
}

/* fail - no answer, and why. Whoever waits is told: q may be gone */
static void fail(struct map_question *q, const char *what, const char *why)
{
	buf_reset(&q->answer);
	buf_addf(&q->answer, "%s%s", what, why);
	map_question_end(q, MAP_FAILED);
}

/* fail_all - who waits for a connection */
static void fail_all(struct map_server *s, const char *what, const char *why)
{
	struct map_question *q;

	s->refs++; /* who is told may close tables */
	while ((q = s->first) != NULL) {
		(void)queue_take(s, q);
		fail(q, what, why);
	}
	map_server_release(s);
}

/* rest - who asks in the next seconds gets an error at once */
static void rest(struct map_server *s)
{
	s->rest_until = clock_ms() + REST_MS;
}

/* watch_queue - the eldest fails when it has waited too long */
static void watch_queue(struct map_server *s)
{
	if (s->first == NULL) {
		loop_untimer(s->loop, &s->late);
	} else if (s->late.slot == 0) {
		int64_t left = deadline(s, s->first) - clock_ms();

		loop_timer(s->loop, &s->late, left > 0 ? left : 0, on_late, s);
	}
}

static void on_late(struct timer *t)
{
	struct map_server *s = t->owner;
	struct map_question *q;

	s->refs++;
	if (s->count == 0) {
		rest(s); /* it was dialled for all this time */
	}
	while ((q = s->first) != NULL && deadline(s, q) <= clock_ms()) {
		(void)queue_take(s, q);
		fail(q, "no answer: ", strerror(ETIMEDOUT));
	}
	watch_queue(s);
	map_server_release(s);
}

/* ---- Connections ---- */

static void free_connection(struct connection *c)
{
	stream_close(&c->s);
	mem_free(c);
}

/* unlink_connection - it is on the server's list */
static void unlink_connection(struct connection *c)
{
	struct connection **link = &c->server->connections;

	while (*link != c) {
		link = &(*link)->next;
	}
	*link = c->next;
	c->server->count--;
}

static void link_connection(struct connection *c)
{
	c->next = c->server->connections;
	c->server->connections = c;
	c->server->count++;
}

/* take_answer - it is whole; behind: more has come. False: close the connection */
static bool take_answer(struct connection *c, struct slice answer, bool behind)
{
	struct map_server *s = c->server;
	struct map_question *q = c->question;

	if (q != NULL) {
		buf_reset(&q->answer);
		buf_add(&q->answer, answer.ptr, answer.len);
	}
	s->answered = clock_ms();
	c->question = NULL;
	c->complete = NULL;
	c->kept = true;
	unlink_connection(c);
	link_connection(c);
	stream_deadline(&c->s, 0);
	stream_idle(&c->s, IDLE_MS);
	kick(s, 0);
	if (q != NULL) {
		map_question_end(q, MAP_ANSWERED);
	}
	return !behind;
}

static bool on_data(struct stream *stream, struct buf *in)
{
	struct connection *c = stream->owner;
	struct slice answer = { "", 0 };
	size_t size = 0, had = in->len;
	struct map_question *q;
	int rc = c->complete != NULL ? c->complete(in, &answer, &size) : -1;
	bool whole;

	if (rc == 0 && had <= MAX_REPLY) {
		return true;
	}
	if (rc <= 0) {
		q = c->question;
		c->question = NULL;
		if (q != NULL) {
			fail(q, "malformed answer", "");
		}
		return false;
	}
	whole = take_answer(c, answer, size < had);
	buf_consume(in, size);
	return whole;
}

/* silent - a question ran into its deadline on c */
static void silent(struct map_server *s, const struct connection *c)
{
	if (s->answered < c->asked) {
		rest(s);
	}
}

static void on_closed(struct stream *stream, enum stream_end why)
{
	struct connection *c = stream->owner;
	struct map_server *s = c->server;
	struct map_question *q = c->question;
	bool asked = c->complete != NULL, again = q != NULL && c->kept && !q->again;
	int error = why == STREAM_EOF   ? ECONNRESET
		: why == STREAM_TIMEOUT ? ETIMEDOUT
					: stream->error;

	unlink_connection(c);
	s->refs++;
	if (asked && why == STREAM_TIMEOUT) {
		silent(s, c);
	} else if (again) {
		q->again = true;
		queue_put(s, q, true);
		q = NULL;
	}
	free_connection(c);
	if (q != NULL) {
		fail(q, "no answer: ", strerror(error));
	}
	if (clock_ms() < s->rest_until) {
		fail_all(s, "no answer: ", strerror(ETIMEDOUT));
	}
	kick(s, 0);
	map_server_release(s);
}

static const struct stream_class connection_class = {
	.data = on_data, .closed = on_closed, .read_size = 4096, .in_max = MAX_REPLY * 2
};

static void on_dialled(void *arg, const struct dial_result *result)
{
	struct map_server *s = arg;
	struct connection *c = s->dialled;

	s->dial = NULL;
	s->dialled = NULL;
	if (result->status == DIAL_OK) {
		link_connection(c);
		stream_idle(&c->s, IDLE_MS);
		kick(s, 0);
		return;
	}
	free_connection(c);
	if (s->count > 0) {
		s->redial_from = clock_ms() + REDIAL_MS;
		kick(s, REDIAL_MS);
		return;
	}
	if (clock_ms() - s->dial_from >= DIAL_LONG_MS) {
		rest(s);
	}
	fail_all(s, result->error, "");
}

/* port_number - as a number or a service's name; 0: neither */
static int port_number(const char *port)
{
	const struct servent *service;
	int64_t n;

	if (str_to_int(port, 1, 65535, &n)) {
		return (int)n;
	}
	service = getservbyname(port, "tcp");
	return service != NULL ? ntohs((uint16_t)service->s_port) : 0;
}

static void dial(struct map_server *s)
{
	struct dial_config config = { .total_ms = DIAL_MS };

	if (*s->host == '\0') {
		config.path = s->port;
	} else {
		config.host = s->host;
		config.port = port_number(s->port);
		if (config.port == 0) {
			fail_all(s, "no such service: ", s->port);
			return;
		}
		if (s->dns == NULL) {
			s->dns = dns_new(s->loop);
		}
	}
	s->dialled = mem_alloc(sizeof(*s->dialled));
	s->dialled->server = s;
	stream_init(&s->dialled->s, s->loop, &connection_class, s->dialled);
	s->dial_from = clock_ms();
	s->dial = dial_start(s->loop, s->dns, &config, &s->dialled->s, on_dialled, s);
}

/* ---- Asking ---- */

static struct connection *free_one(struct map_server *s)
{
	struct connection *c = s->connections;

	while (c != NULL && c->complete != NULL) {
		c = c->next;
	}
	return c;
}

static void send_question(struct map_server *s, struct connection *c, struct map_question *q)
{
	int64_t ms = ANSWER_MS;

	(void)queue_take(s, q);
	if (s->blocks) {
		ms = deadline(s, q) - clock_ms();
		ms = ms > 0 ? ms : 1;
	}
	c->question = q;
	c->complete = q->complete;
	c->asked = clock_ms();
	stream_idle(&c->s, 0);
	stream_deadline(&c->s, ms);
	buf_add(&c->s.out, q->request.data, q->request.len);
	(void)stream_flush(&c->s);
}

/* consider_dial - somebody waits for a connection: is it time for one more? */
static void consider_dial(struct map_server *s)
{
	int64_t from = s->first->since + GROW_MS, now = clock_ms();

	from = s->redial_from > from ? s->redial_from : from;
	if (s->count == 0 || (s->count < CONNECTIONS_MAX && now >= from)) {
		dial(s);
	} else if (s->count < CONNECTIONS_MAX) {
		kick(s, from - now);
	}
}

/* pump - questions to free connections, and one more of these where there are not enough */
static void pump(struct map_server *s)
{
	struct connection *c;
	struct map_question *q;

	while ((q = s->first) != NULL && (c = free_one(s)) != NULL) {
		/* Whatever it has said unasked ends it, and then it is not ours any more. */
		if (stream_wait(&c->s, 0) >= 0 && c->complete == NULL) {
			send_question(s, c, q);
		}
	}
	if (s->first != NULL && s->dial == NULL) {
		consider_dial(s);
	}
	watch_queue(s);
}

static void on_kick(struct timer *t)
{
	struct map_server *s = t->owner;

	s->refs++;
	pump(s);
	map_server_release(s);
}

/* cancel - from map_wait.c: nobody wants the answer any more; the connection will throw it away */
static void cancel(struct map_question *q)
{
	struct map_server *s = q->server;

	if (queue_take(s, q)) {
		return;
	}
	for (struct connection *c = s->connections; c != NULL; c = c->next) {
		if (c->question == q) {
			c->question = NULL;
			return;
		}
	}
}

/* refuse - at once, inside the look-up */
static void refuse(struct map_question *q, const char *why)
{
	buf_adds(&q->answer, why);
	map_question_settle(q, MAP_FAILED);
}

/* submit - into the queue, when all the memory for it is there */
static void submit(struct map_server *s, struct map_question *q, const struct buf *request,
	map_complete_fn *complete)
{
	q->server = s;
	q->complete = complete;
	q->since = clock_ms();
	buf_add(&q->request, request->data, request->len);
	if (clock_ms() < s->rest_until) {
		refuse(q, "no answer in time: it rests for some seconds");
	} else if (s->waiting >= QUEUE_MAX) {
		refuse(q, "too many questions wait for an answer");
	} else {
		kick(s, 0);
		q->state = MAP_ASKED;
		queue_put(s, q, false);
	}
}

struct map_question *map_server_ask(struct map_server *s, struct map_wait *w,
	const struct buf *request, map_complete_fn *complete)
{
	struct buf key = BUF_INIT;
	struct map_question *q;

	buf_addf(&key, "%s %s %s", s->host, s->port, buf_str(request));
	q = map_question_find(w, buf_str(&key));
	if (q == NULL) {
		q = map_question_new(w, buf_str(&key), cancel);
		if (q != NULL) {
			submit(s, q, request, complete);
		}
	}
	buf_free(&key);
	if (q == NULL || q->state == MAP_ASKED) {
		map_question_miss(w);
	}
	return q;
}

struct map_question *map_server_ask_now(
	struct map_server *s, const struct buf *request, map_complete_fn *complete)
{
	struct map_question *q;

	map_wait_forget(&G.blocked);
	q = map_question_new(&G.blocked, buf_str(request), cancel);
	submit(s, q, request, complete);
	while (q->state == MAP_ASKED) {
		loop_turn(s->loop, -1);
	}
	return q;
}

/* ---- Sharing ---- */

struct loop *map_server_loop(const struct map_server *s)
{
	return s->blocks ? NULL : s->loop;
}

struct map_server *map_server_use(struct slice host, struct slice port, struct loop *loop)
{
	struct map_server *s = G.list;

	while (s != NULL &&
		!(slice_eq(host, s->host) && slice_eq(port, s->port) &&
			map_server_loop(s) == loop)) {
		s = s->next;
	}
	if (s == NULL) {
		s = mem_alloc(sizeof(*s));
		s->host = mem_strndup(host.ptr, host.len);
		s->port = mem_strndup(port.ptr, port.len);
		s->blocks = loop == NULL;
		s->loop = s->blocks ? loop_new() : loop;
		s->next = G.list;
		G.list = s;
	}
	s->refs++;
	return s;
}

/* unlist - nobody finds it any more */
static void unlist(struct map_server *s)
{
	struct map_server **at = &G.list;

	while (*at != s) {
		at = &(*at)->next;
	}
	*at = s->next;
}

static void free_server(struct map_server *s)
{
	struct connection *c;

	dial_cancel(s->dial);
	if (s->dialled != NULL) {
		free_connection(s->dialled);
	}
	while ((c = s->connections) != NULL) {
		unlink_connection(c);
		free_connection(c);
	}
	loop_untimer(s->loop, &s->kick);
	loop_untimer(s->loop, &s->late);
	dns_free(s->dns);
	if (s->blocks) {
		loop_free(s->loop);
	}
	mem_free(s->host);
	mem_free(s->port);
	mem_free(s);
}

void map_server_release(struct map_server *s)
{
	struct connection *c;

	if (s == NULL || --s->refs > 0) {
		return;
	}
	s->refs = 1;
	unlist(s); /* who is told may ask another table of the same one: that begins anew */
	map_wait_forget(&G.blocked);
	for (c = s->connections; c != NULL; c = c->next) {
		if (c->question != NULL) {
			queue_put(s, c->question, false);
			c->question = NULL;
		}
	}
	fail_all(s, "the table was closed", "");
	free_server(s);
}
