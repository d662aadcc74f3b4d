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

#include <sys/time.h>
#include <time.h>

#include "base/log.h"
#include "conf/params.h"
#include "map/map.h"
#include "route/resolve.h"
#include "applets/applets.h"

/* Below service.c's own bound. */
enum { STOP_MS = 4000, STOP_LOOK_MS = 10, CLAIM_MS = 20 };

static struct qmgr G;
struct qmgr *const qmgr = &G;

int64_t qmgr_now_us(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

int64_t qmgr_now(void)
{
	return (int64_t)time(NULL);
}

void qmgr_queue_trouble(const char *what)
{
	if (queue_is_broken(G.queue)) {
		log_fatal("%s: %s", what, queue_error(G.queue));
	}
	log_warn("%s: %s", what, queue_error(G.queue));
}

/* finish - the last commit, and the end */
static void finish(void)
{
	loop_untimer(G.loop, &G.stop_timer);
	do {
		settle_now();
	} while (G.touched != NULL && !G.commit_failed);
	if (!settle_idle()) {
		log_warn("stopping: the last changes of the queue could not be stored; "
			 "they are found out again at the next start");
	}
	service_done(&G.service);
}

/* on_stop_timer - still waiting for answers? */
static void on_stop_timer(struct timer *t)
{
	if (transport_sent_count() == 0 || loop_now(G.loop) >= G.stop_by) {
		finish();
	} else {
		loop_timer(G.loop, t, STOP_LOOK_MS, on_stop_timer, NULL);
	}
}

/* on_stop - nothing new; answers to what is under way are waited for (soon: some seconds) */
static void on_stop(struct service *s, bool soon)
{
	bool first = !G.stopping;

	(void)s;
	G.stopping = true;
	loop_untimer(G.loop, &G.claim_timer);
	if (first) {
		control_stop();
	}
	if (soon && !G.soon) {
		G.soon = true;
		succession_stop();
		showq_stop(first);
		G.stop_by = loop_now(G.loop) + STOP_MS;
		loop_timer(G.loop, &G.stop_timer, 0, on_stop_timer, NULL);
	} else if (first) {
		succession_hand_over();
	}
}

static void on_wakeup(struct service *s)
{
	(void)s;
	if (G.running) {
		load_scan();
	}
}

/* begin - this process is the queue manager from here on */
static void begin(void)
{
	G.running = true;
	queue_rescue(G.queue);
	G.started = qmgr_now();
	G.start_id = queue_id_new(G.queue);
	succession_begin();
	control_start();
	if (!G.service.by_master) {
		showq_start();
	}
	load_start();
}

/* on_claim - after a reload the one before us still waits for answers */
static void on_claim(struct timer *t)
{
	if (queue_claim(G.queue)) {
		begin();
	} else {
		loop_timer(G.loop, t, CLAIM_MS, on_claim, NULL);
	}
}

int qmgr_main(int argc, char **argv)
{
	static const struct service_info info = { .flags = 0 };
	char *error = NULL;
	int status;

	service_init(&G.service, &info, argc, argv);
	G.loop = G.service.loop;
	G.service.on_stop = on_stop;
	G.service.on_wakeup = on_wakeup;
	G.touched_tail = &G.touched;
	G.unsettled_tail = &G.unsettled;
	G.queue = queue_open_below(param.queue_directory, QUEUE_CREATE, &error);
	if (G.queue == NULL) {
		service_no_queue(error);
	}
	/* What agents did cannot be undone: a commit that fails is tried until it succeeds. */
	queue_keep_failed(G.queue, true);
	G.batch = queue_batch(G.queue);
	map_wait_at_most(MAP_LOOP_WAIT_MS);
	route_init();
	/* A successor lists the queue while it waits; one started by hand takes nothing from the
	 * one that runs. */
	if (G.service.by_master) {
		showq_start();
	}
	if (queue_claim(G.queue)) {
		begin();
	} else {
		log_info("waiting for another queue manager to end");
		loop_timer(G.loop, &G.claim_timer, CLAIM_MS, on_claim, NULL);
	}
	status = service_run(&G.service);
	/* The last to close leaves one file without a log. */
	queue_close(G.queue);
	return status;
}
