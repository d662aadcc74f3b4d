/*
 * qmgr - the queue manager: decides when and where every recipient goes
 *
 * Parts and their work are listed in qmgr.h. One event loop; everything that
 * can fail half-way is in queue.db, and this process may be killed at any moment:
 * what was under way is picked up again at the next start, marked as suspect, and
 * the agent for local mail recognises what it delivered already.
 *
 * Memory is bounded by qmgr_message_active_limit and
 * qmgr_message_recipient_limit, whatever the size of the queue.
 *
 * Stopping: nothing new is begun; answers to what is under way are waited
 * for up to STOP_MS, committed, and the process ends. What is then still without answer is suspect
 * at the next start. On a reload the successor begins at once, and this process stays until the
 * last answer is there (succession.c). There is one queue manager at a time (queue_claim).
 */
#include "applets/queue/qmgr/qmgr.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "map/map.h"
#include "route/resolve.h"
#include "applets/applets.h"
#include "applets/queue/qmgr/dispatch.h"
#include "applets/queue/qmgr/history.h"
#include "applets/queue/qmgr/load.h"
#include "applets/queue/qmgr/settle.h"
#include "applets/queue/qmgr/qmgr_sockets.h"
#include "applets/queue/qmgr/succession.h"
#include "applets/queue/qmgr/verify/verify.h"

/* Below the bound of applets/daemon/service.c. */
enum { STOP_MS = 4000, STOP_LOOK_MS = 10, CLAIM_MS = 20 };

/* finish - the last commit, and the end */
static void finish(struct qmgr *m)
{
	loop_untimer(m->loop, &m->stop_timer);
	do {
		settle_now(m);
	} while (m->touched != NULL && !m->commit_failed);
	if (!settle_idle(m)) {
		log_warn("stopping: the last changes of the queue could not be stored; "
			 "they are found out again at the next start");
	}
	service_done(&m->service);
}

/* on_stop_timer - still waiting for answers? */
static void on_stop_timer(struct timer *t)
{
	struct qmgr *m = t->owner;

	if ((transports_sent(&m->transports) == 0 && m->post_count == 0) ||
		loop_now(m->loop) >= m->stop_by) {
		finish(m);
	} else {
		loop_timer(m->loop, t, STOP_LOOK_MS, on_stop_timer, m);
	}
}

/* on_stop - nothing new; answers to what is under way are waited for (soon: some seconds) */
static void on_stop(struct service *s, bool soon)
{
	struct qmgr *m = s->owner;
	bool first = !m->stopping;

	m->stopping = true;
	loop_untimer(m->loop, &m->claim_timer);
	if (first) {
		control_stop(m);
	}
	if (soon && !m->soon) {
		m->soon = true;
		succession_stop(m);
		showq_stop(m, first);
		m->stop_by = loop_now(m->loop) + STOP_MS;
		loop_timer(m->loop, &m->stop_timer, 0, on_stop_timer, m);
	} else if (first) {
		succession_hand_over(m);
	}
}

static void on_wakeup(struct service *s)
{
	struct qmgr *m = s->owner;

	if (m->running) {
		load_scan(m);
	}
}

/* begin - this process is the queue manager from here on */
static void begin(struct qmgr *m)
{
	m->running = true;
	queue_rescue(m->queue);
	load_spill(m);
	m->started = qmgr_now();
	clock_steps_look(&m->clock, m->started, clock_steady());
	m->start_id = queue_id_new(m->queue);
	succession_begin(m, load_released);
	control_start(m);
	if (!m->service.by_master) {
		showq_start(m);
	}
	load_start(m);
	mirror_start(m);
}

/* on_claim - after a reload the one before us still waits for answers */
static void on_claim(struct timer *t)
{
	struct qmgr *m = t->owner;

	if (queue_claim(m->queue)) {
		begin(m);
	} else {
		loop_timer(m->loop, t, CLAIM_MS, on_claim, m);
	}
}

/* free_all - also what was still under way: it is in queue.db */
static void free_all(struct qmgr *m)
{
	control_stop(m);
	mirror_stop(m);
	peers_close(&m->showq);
	verify_free(m);
	transports_free(&m->transports);
	jobs_free(m);
	load_free(m);
	arena_free(&m->scratch);
	arena_free(&m->routing);
	history_free(m);
	queue_close(m->queue); /* the last to close leaves one file without a log */
	succession_free(m);
	service_free(&m->service);
	mem_free(m);
}

int qmgr_main(int argc, char **argv)
{
	static const struct service_info info = { .flags = 0 };
	struct qmgr *m = mem_alloc(sizeof(*m));
	char *error = NULL;
	int status;

	service_init(&m->service, &info, argc, argv);
	m->loop = m->service.loop;
	m->service.owner = m;
	m->service.on_stop = on_stop;
	m->service.on_wakeup = on_wakeup;
	m->queue = queue_open_below(param.queue_directory, QUEUE_CREATE, &error);
	if (m->queue == NULL) {
		service_no_queue(error);
	}
	/* What agents did cannot be undone: a commit that fails is tried until it succeeds. */
	queue_keep_failed(m->queue, true);
	m->mirror.dir = -1;
	settle_init(m);
	dispatch_init(m);
	map_wait_at_most(MAP_LOOP_WAIT_MS);
	route_init();
	/* A successor lists the queue while it waits; one started by hand takes nothing from the
	 * one that runs. */
	if (m->service.by_master) {
		showq_start(m);
	}
	if (queue_claim(m->queue)) {
		begin(m);
	} else {
		log_info("waiting for another queue manager to end");
		loop_timer(m->loop, &m->claim_timer, CLAIM_MS, on_claim, m);
	}
	status = service_run(&m->service);
	free_all(m);
	return status;
}
