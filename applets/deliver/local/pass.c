/*
 * pass - recipients whose mail another transport delivers: mailbox_transport, fallback_transport
 *
 *	qmgr --request--> local --request--> private/NAME
 *	     <--answer---       <--answer---
 *
 * As the queue manager asks it, over a connection for each transport; who delivers also writes the
 * log line. When the connection breaks the recipients are tried again later and are suspect then;
 * when we die the other agent goes on, and one that is asked again meanwhile waits for what is
 * under way there.
 */
#include "applets/deliver/local/pass.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/stream.h"
#include "ipc/delivery.h"
#include "applets/deliver/agent/result.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/local/local.h"

enum { READ_SIZE = 16 * 1024, PATH_SIZE = 256 };

/* A job that is under way there. */
struct pass {
	struct pass *next;
	struct job *job;
	uint64_t serial;
};

struct pass_peer {
	struct local *g;
	struct pass_peer *next;
	char *name;
	struct stream s;
	struct pass *first;
	uint64_t serial;
};

static void end_pass(struct local *g, struct pass *p, const struct delivery_answer *a, bool unsure)
{
	struct job *j = p->job;
	struct recipient *rc = j->recipient;

	mem_free(p);
	agent_load(&g->host, -1);
	target_passed(rc, j->target, a, unsure);
}

/* take - the pass of that serial, out of its list; NULL: none */
static struct pass *take(struct pass_peer *k, uint64_t serial)
{
	for (struct pass **p = &k->first; *p != NULL; p = &(*p)->next) {
		if ((*p)->serial == serial) {
			struct pass *found = *p;

			*p = found->next;
			return found;
		}
	}
	return NULL;
}

static bool on_answer(struct stream *s, struct wire *w)
{
	struct pass_peer *k = s->owner;
	struct arena a = ARENA_INIT;
	struct delivery_answer answer;
	struct pass *p = NULL;

	if (delivery_get_answer(w, &a, &answer)) {
		p = take(k, answer.serial);
	}
	if (p != NULL) {
		end_pass(k->g, p, &answer, false);
	}
	arena_free(&a);
	return p != NULL;
}

/* fail_all - what is under way there is not known to be delivered */
static void fail_all(struct pass_peer *k, bool unsure)
{
	const struct delivery_answer a = { .status = DELIVERY_DEFERRED,
		.dsn = "4.3.0",
		.text = "mail transport unavailable",
		.owner = "" };
	struct pass *p;

	while ((p = k->first) != NULL) {
		struct agent_result res = {
			.status = a.status, .dsn = a.dsn, .text = a.text, .relay = "local"
		};

		k->first = p->next;
		res.to = p->job->target->address;
		agent_log(&p->job->recipient->request->q, p->job->recipient->r, &res);
		end_pass(k->g, p, &a, unsure);
	}
}

static void on_closed(struct stream *s, enum stream_end why)
{
	struct pass_peer *k = s->owner;

	if (why == STREAM_MALFORMED || why == STREAM_TOO_LONG) {
		log_warn("private/%s socket: malformed response", k->name);
	}
	fail_all(k, true);
}

static const struct stream_class peer_class = { .frame = on_answer,
	.closed = on_closed,
	.read_size = READ_SIZE,
	.in_max = WIRE_MAX,
	.out_keep = 4096 };

/* peer_find - the transport of that name, made when it is new */
static struct pass_peer *peer_find(struct local *g, struct slice name)
{
	struct pass_peer *k = g->passes;

	while (k != NULL && !slice_eq(name, k->name)) {
		k = k->next;
	}
	if (k == NULL) {
		k = mem_alloc(sizeof(*k));
		k->g = g;
		k->name = mem_strndup(name.ptr, name.len);
		stream_init(&k->s, g->host.service.loop, &peer_class, k);
		k->next = g->passes;
		g->passes = k;
	}
	return k;
}

/* put_request - as the queue manager would have put it */
static void put_request(
	struct pass_peer *k, const struct job *j, const char *nexthop, uint64_t serial)
{
	const struct recipient *rc = j->recipient;
	struct delivery_recipient r = *rc->r;
	struct delivery_request q = rc->request->q.r;

	r.address = j->target->address;
	r.original = rc->original;
	if (j->box.suspect) {
		r.flags |= DELIVERY_SUSPECT;
	}
	q.serial = serial;
	q.sender = rc->sender;
	q.nexthop = nexthop[0] != '\0' ? nexthop : q.nexthop;
	q.recipient_count = 1;
	q.recipients = &r;
	delivery_put_request(&k->s.out, &q);
}

void pass_add(struct local *g, struct job *j)
{
	const char *value = j->target->value, *colon = strchr(value, ':');
	struct slice name = { value, colon != NULL ? (size_t)(colon - value) : strlen(value) };
	struct pass_peer *k = peer_find(g, slice_trim(name));
	struct pass *p = mem_alloc(sizeof(*p));
	char path[PATH_SIZE];

	agent_load(&g->host, 1);
	p->job = j;
	p->serial = ++k->serial;
	p->next = k->first;
	k->first = p;
	snprintf(path, sizeof(path), "private/%s", k->name);
	if (k->s.fd < 0 && stream_connect(&k->s, path) != 0) {
		log_warn("connect to transport private/%s: %m", k->name);
		fail_all(k, false);
		return;
	}
	put_request(k, j, colon != NULL ? colon + 1 : "", p->serial);
	(void)stream_flush(&k->s);
}

void passes_free(struct local *g)
{
	struct pass_peer *k;

	while ((k = g->passes) != NULL) {
		g->passes = k->next;
		stream_close(&k->s);
		while (k->first != NULL) {
			struct pass *p = k->first;

			k->first = p->next;
			mem_free(p);
		}
		mem_free(k->name);
		mem_free(k);
	}
}
