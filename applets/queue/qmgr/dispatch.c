/*
 * dispatch - between messages and transports: recipients are routed, results come back
 */
#include "applets/queue/qmgr/dispatch.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "address/lookup.h"
#include "route/resolve.h"
#include "route/srs.h"
#include "applets/queue/qmgr/job_answer.h"
#include "applets/queue/qmgr/qmgr.h"

static void on_answer(void *owner, struct job *j, struct rcpt *r, const struct delivery_answer *a)
{
	job_answer(owner, j, r, a);
}

static void on_fail(void *owner, struct job *j, struct rcpt *r, const char *dsn, const char *text)
{
	job_fail(owner, j, r, DELIVERY_DEFERRED, dsn, text);
}

/* may_send - nothing new is begun at the end, and while the queue cannot be written */
static bool may_send(void *owner)
{
	const struct qmgr *m = owner;

	return !m->stopping && !m->commit_failed;
}

void dispatch_init(struct qmgr *m)
{
	static const struct transport_events events = {
		.answer = on_answer, .fail = on_fail, .may_send = may_send
	};

	transports_init(&m->transports, m->loop, &events, m);
}

/* on_routes - tables have answered what a job waits for */
static void on_routes(void *arg)
{
	struct routing *w = arg;
	struct qmgr *m = w->m;

	dispatch_submit(m, w->job);
	transports_send(&m->transports);
}

/* take_routing - the look-ups that the job waits for, or the spare ones */
static struct routing *take_routing(struct qmgr *m, const struct job *j)
{
	if (j->routing != NULL) {
		return j->routing;
	}
	if (m->spare == NULL) {
		m->spare = mem_alloc(sizeof(*m->spare));
		m->spare->m = m;
		map_wait_init(&m->spare->wait, m->loop, on_routes, m->spare);
	}
	return m->spare;
}

/* keep_routing - it waits on, or is done */
static void keep_routing(struct qmgr *m, struct job *j, struct routing *w, bool waits)
{
	if (!waits) {
		map_wait_forget(&w->wait);
		job_end_routing(j);
		return;
	}
	if (w == m->spare) {
		m->spare = NULL;
	}
	w->job = j;
	j->routing = w;
}

/*
 * An alias may have added any number of recipients. While their look-ups are at the bound of what
 * is asked at a time, so many are looked at for those that need none; all of them each time, that
 * would be their number to the square.
 */
enum { LOOK_AHEAD = 500 };

/* expire - it is returned by order (postsuper -e): the reasons are those it has waited for */
static void expire(struct qmgr *m, struct job *j)
{
	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		const struct delivery_answer a = { .status = DELIVERY_DEFERRED,
			.dsn = r->dsn != NULL ? r->dsn : "4.0.0",
			.text = r->text != NULL ? r->text : "message is administratively expired",
			.owner = "" };

		if (r->state == RCPT_NEW) {
			job_answer(m, j, r, &a);
		}
	}
}

/* is_ours - a domain for which we take mail */
static bool is_ours(const char *address)
{
	enum route_class class = ROUTE_OTHER;

	return route_class_of(address_domain(address), &class) == 0 && class != ROUTE_OTHER;
}

/* is_forwarded - has a recipient here sent it on to elsewhere, from nobody of ours? */
static bool is_forwarded(const struct job *j, const struct rcpt *r, const struct route *route)
{
	return *j->sender != '\0' && *r->original != '\0' && route->class == ROUTE_OTHER &&
		is_ours(r->original) && !is_ours(j->sender);
}

void dispatch_submit(struct qmgr *m, struct job *j)
{
	struct arena *a = &m->routing;
	struct routing *w;
	struct request_open open = { .count = 0 };
	bool waits = false, full = false;
	int ahead = 0;

	if ((j->flags & QUEUE_F_EXPIRE) != 0) {
		expire(m, j);
		return;
	}
	w = take_routing(m, j);
	for (struct rcpt *r = j->rcpts; r != NULL && ahead < LOOK_AHEAD; r = r->next) {
		struct route route;
		int rc;

		if (r->state != RCPT_NEW) {
			continue;
		}
		map_wait_enter(&w->wait);
		rc = (j->flags & QUEUE_F_PROBE) != 0
			? route_resolve_probe(a, j->sender, r->address, &route)
			: route_resolve(a, j->sender, r->address, &route);
		r->forwarded = rc > 0 && srs_is_on() && is_forwarded(j, r, &route);
		full = full || map_is_full();
		ahead += full;
		if (map_wait_leave(&w->wait)) {
			waits = true; /* it stays NEW */
		} else if (rc > 0 && !j->flushed &&
			list_has(param.defer_transports, route.transport)) {
			job_fail(m, j, r, DELIVERY_DEFERRED, "4.3.2", "deferred transport");
		} else if (rc > 0) {
			transport_add(transport_get(&m->transports, route.transport), route.nexthop,
				route.recipient, j, r, &open);
		} else {
			job_fail(m, j, r, rc == 0 ? DELIVERY_BOUNCED : DELIVERY_DEFERRED, route.dsn,
				route.text);
		}
		arena_reset(a);
	}
	keep_routing(m, j, w, waits);
}
