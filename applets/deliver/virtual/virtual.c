/*
 * virtual - the agent that delivers to mailboxes of people who are no users of this host
 *
 *	qmgr --> request --> place (virtual_place.c) --> mailbox batch --> answer
 *
 * As local does it: a child that has become the owner writes, many messages under one lock, and
 * what may have been delivered before is looked for.
 *
 * Manual: Postfix's virtual(8).
 */
#include "applets/deliver/virtual/virtual.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "queue/queue_message.h"
#include "applets/applets.h"
#include "applets/deliver/agent/result.h"

struct virtual
{
	struct agent_host host;
	struct boxes boxes;
	struct virtual_tables tables;
};

/* A recipient on its way; box.request is whose. */
struct delivery {
	struct box_job box;
	const struct delivery_recipient *r;
	bool begun; /* where it goes is known */
};

struct virtual_request {
	struct agent_request q; /* first */
	struct map_wait wait;   /* the tables of those not begun */
	struct delivery *deliveries;
};

static void on_done(
	struct box_job *j, enum delivery_status status, const char *dsn, const char *text)
{
	const struct delivery *d = (struct delivery *)j;
	const struct agent_result res = {
		.status = status, .dsn = dsn, .text = text, .relay = "virtual"
	};

	agent_answer(j->request, d->r, &res);
}

/* verify - nothing is delivered, only said */
static void verify(struct delivery *d, const struct box_place *place)
{
	size_t len = strlen(place->path);

	on_done(&d->box, DELIVERY_SENT, "2.0.0",
		place->path[len - 1] == '/' ? "delivers to maildir" : "delivers to mailbox");
}

/* begin_delivery - it is under way, answered, or its tables have yet to answer */
static void begin_delivery(struct virtual *g, struct virtual_request *q, struct delivery *d)
{
	struct arena a = ARENA_INIT;
	struct virtual_refusal why;
	struct box_place place;
	bool found;

	map_wait_enter(&q->wait);
	found = virtual_place(&g->tables, &a, d->r->address, &place, &why);
	if (!map_wait_leave(&q->wait)) {
		d->begun = true;
		if (!found) {
			on_done(&d->box, why.status, why.dsn, why.text);
		} else if ((q->q.r.env_flags & QUEUE_F_VERIFY) != 0) {
			verify(d, &place);
		} else {
			box_add(&g->boxes, &d->box, &place);
		}
	}
	arena_free(&a);
}

static void begin_all(struct virtual_request *q)
{
	struct virtual *g = q->q.host->owner;
	size_t count = q->q.r.recipient_count;

	agent_keep(&q->q);
	for (size_t i = 0; i < count; i++) {
		if (!q->deliveries[i].begun) {
			begin_delivery(g, q, &q->deliveries[i]);
		}
	}
	agent_release(&q->q);
}

/* on_tables - they have answered what recipients wait for */
static void on_tables(void *arg)
{
	begin_all(arg);
}

static void begin(struct agent_request *aq)
{
	struct virtual_request *q = (struct virtual_request *)aq;
	struct virtual *g = aq->host->owner;
	size_t count = aq->r.recipient_count;

	q->deliveries = arena_alloc(&aq->arena, (count + 1) * sizeof(*q->deliveries));
	map_wait_init(&q->wait, g->host.service.loop, on_tables, q);
	if (agent_read_first(aq) < 0) {
		log_warn("%s: the message cannot be read now", aq->id);
	}
	for (size_t i = 0; i < count; i++) {
		struct delivery *d = &q->deliveries[i];
		const struct delivery_recipient *r = &aq->r.recipients[i];

		d->r = r;
		d->box = (struct box_job){ .request = aq,
			.sender = aq->r.sender,
			.recipient = r->address,
			.original = r->original[0] != '\0' ? r->original : r->address,
			.suspect = (r->flags & DELIVERY_SUSPECT) != 0,
			.done = on_done };
	}
	begin_all(q);
}

static void end(struct agent_request *aq)
{
	struct virtual_request *q = (struct virtual_request *)aq;

	map_wait_end(&q->wait);
}

static void on_child(int signo, void *owner)
{
	struct virtual *g = owner;
	pid_t pid;
	int status;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		(void)boxes_child_ended(&g->boxes, pid);
	}
}

/* configure - what cannot be meant ends the process */
static void configure(struct virtual *g)
{
	if (param.virtual_mailbox_limit > 0 && param.message_size_limit > 0 &&
		param.virtual_mailbox_limit < param.message_size_limit) {
		log_fatal("main.cf configuration error: virtual_mailbox_limit is smaller than "
			  "message_size_limit");
	}
	/* What core/mail/lock takes: here it means our mailboxes. */
	param.mailbox_delivery_lock = param.virtual_mailbox_lock;
	virtual_tables_open(&g->tables);
}

int virtual_main(int argc, char **argv)
{
	static const struct service_info info = { .flags = SERVICE_ROOT };
	static const struct agent_class class = {
		.size = sizeof(struct virtual_request), .begin = begin, .end = end
	};
	struct virtual *g = mem_alloc(sizeof(*g));
	int status;

	service_init(&g->host.service, &info, argc, argv);
	configure(g);
	agent_host_init(&g->host, &class, g, param.virtual_delivery_status_filter);
	loop_signal(g->host.service.loop, SIGCHLD, on_child, g);
	boxes_init(&g->boxes, &g->host, param.virtual_mailbox_limit);
	status = agent_host_run(&g->host);
	boxes_free(&g->boxes);
	agent_host_free(&g->host);
	virtual_tables_free(&g->tables);
	service_free(&g->host.service);
	mem_free(g);
	return status;
}
