/*
 * map_wait - look-ups that wait: what a computation has asked, and been told
 */
#include "map/map_wait.h"

#include <string.h>

#include "base/mem.h"
#include "map/map_question.h"

enum { OPEN_MAX = 32 }; /* questions of one computation that are under way at a time */

static struct {
	struct map_wait *current;
} G;

void map_wait_init(struct map_wait *w, struct loop *loop, void (*fn)(void *arg), void *arg)
{
	memset(w, 0, sizeof(*w));
	w->loop = loop;
	w->fn = fn;
	w->arg = arg;
}

void map_wait_enter(struct map_wait *w)
{
	w->missed = false;
	if (G.current != w) {
		w->outer = G.current;
		G.current = w;
	}
}

bool map_wait_leave(struct map_wait *w)
{
	if (G.current == w) {
		G.current = w->outer;
		w->outer = NULL;
	}
	return w->missed;
}

void map_wait_forget(struct map_wait *w)
{
	struct map_question *q;

	if (w->questions == NULL) {
		w->missed = false;
		return; /* nearly always */
	}
	while ((q = w->questions) != NULL) {
		w->questions = q->next;
		if (q->state == MAP_ASKED) {
			q->cancel(q);
		}
		buf_free(&q->answer);
		buf_free(&q->request);
		mem_free(q);
	}
	hash_free(&w->known, NULL);
	w->open = 0;
	w->missed = false;
}

void map_wait_end(struct map_wait *w)
{
	(void)map_wait_leave(w);
	map_wait_forget(w);
}

bool map_is_waiting(void)
{
	return G.current != NULL && G.current->missed;
}

bool map_is_full(void)
{
	return map_is_waiting() && G.current->open >= OPEN_MAX;
}

struct map_wait *map_wait_current(void)
{
	return G.current != NULL && G.current->loop != NULL ? G.current : NULL;
}

struct map_question *map_question_find(struct map_wait *w, const char *key)
{
	return hash_get(&w->known, key);
}

struct map_question *map_question_new(
	struct map_wait *w, const char *key, void (*cancel)(struct map_question *q))
{
	struct map_question *q;

	if (w->open >= OPEN_MAX) {
		return NULL;
	}
	q = mem_alloc(sizeof(*q));
	q->wait = w;
	q->cancel = cancel;
	q->state = MAP_FAILED; /* until it is whole: memory may run out on the way */
	q->next = w->questions;
	w->questions = q;
	(void)hash_set(&w->known, key, q);
	w->open++;
	return q;
}

void map_question_miss(struct map_wait *w)
{
	w->missed = true;
}

void map_question_settle(struct map_question *q, enum map_question_state state)
{
	q->state = state;
	q->wait->open--;
}

void map_question_end(struct map_question *q, enum map_question_state state)
{
	struct map_wait *w = q->wait;

	map_question_settle(q, state);
	if (w->open == 0 && w->fn != NULL) {
		w->fn(w->arg);
	}
}
