/*
 * stage_util - a stage that waits in the loop
 */
#include "stage_util.h"

#include "base/loop.h"
#include "base/mem.h"
#include "unit.h"

struct waiter {
	struct pipeline_stage stage; /* first */
	struct timer timer;
	struct buf text; /* what it has not passed on yet */
	enum stage_moment at;
	bool done;
};

static struct {
	enum stage_moment moment;
	enum pipeline_status result;
	int ms, waited, waiting;
} G;

static void pass(struct waiter *w, const char *text, size_t len)
{
	if (w->at == STAGE_HEADER) {
		pipeline_pass_header(&w->stage, text, len);
	} else if (w->at == STAGE_BODY) {
		pipeline_pass_body(&w->stage, text, len);
	}
}

static void on_timer(struct timer *t)
{
	struct waiter *w = t->owner;
	enum pipeline_status result = G.result;

	G.waiting--;
	if (result == PIPELINE_OK) {
		pass(w, w->text.data, w->text.len);
	} else {
		result = pipeline_refuse(&w->stage, result, "5.7.1", "not this one");
	}
	pipeline_resume(&w->stage, result);
}

static enum pipeline_status act(
	struct pipeline_stage *s, enum stage_moment at, const char *text, size_t len)
{
	struct waiter *w = (struct waiter *)s;

	w->at = at;
	if (G.moment != at || w->done) {
		pass(w, text, len);
		return PIPELINE_OK;
	}
	REQUIRE(pipeline_loop(s->pipeline) != NULL);
	w->done = true;
	buf_add(&w->text, text, len);
	G.waited++;
	G.waiting++;
	loop_timer(pipeline_loop(s->pipeline), &w->timer, G.ms, on_timer, w);
	return PIPELINE_WAIT;
}

static enum pipeline_status on_begin(struct pipeline_stage *s)
{
	return act(s, STAGE_BEGIN, "", 0);
}

static enum pipeline_status on_header(struct pipeline_stage *s, const char *text, size_t len)
{
	return act(s, STAGE_HEADER, text, len);
}

static enum pipeline_status on_body(struct pipeline_stage *s, const char *data, size_t len)
{
	return act(s, STAGE_BODY, data, len);
}

static enum pipeline_status on_end(struct pipeline_stage *s)
{
	return act(s, STAGE_END, "", 0);
}

static void on_free(struct pipeline_stage *s)
{
	struct waiter *w = (struct waiter *)s;

	if (w->timer.slot != 0) {
		G.waiting--;
		loop_untimer(pipeline_loop(s->pipeline), &w->timer);
	}
	buf_free(&w->text);
	mem_free(w);
}

static const struct pipeline_class waiter_class = { on_begin, on_header, on_body, on_end, on_free };

static void add(void *arg, struct pipeline *p)
{
	struct waiter *w = mem_alloc(sizeof(*w));

	(void)arg;
	pipeline_add(p, &w->stage, &waiter_class);
}

void stage_util_wait(enum stage_moment moment, int ms, enum pipeline_status result)
{
	G.moment = moment;
	G.ms = ms;
	G.result = result;
	G.waited = G.waiting = 0;
	pipeline_stages(add, NULL);
}

int stage_util_waited(void)
{
	return G.waited;
}

int stage_util_waiting(void)
{
	return G.waiting;
}
