#ifndef MAP_MAP_QUESTION_H
#define MAP_MAP_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "map/map_wait.h"

/*
 * The inner side of map_wait.h, for kinds of tables with a server behind them; not for others.
 *
 * A kind finds its question among those that the computation has asked (map_question_find), or
 * makes it (map_question_new) and sends it off. The question is the computation's: when it is
 * forgotten, cancel() is called if it has no answer yet, and then it is gone. It is answered once,
 * by map_question_end(), from the loop; or within the look-up itself by map_question_settle().
 */
/* 1: a whole answer is at the head of in, *size_r bytes with its frame; 0: more has to come; -1. */
typedef int map_complete_fn(const struct buf *in, struct slice *answer_r, size_t *size_r);

enum map_question_state { MAP_ASKED, MAP_ANSWERED, MAP_FAILED };

struct map_question {
	enum map_question_state state;
	struct buf answer; /* or, MAP_FAILED, why there is none */
	void (*cancel)(struct map_question *q);
	/* The kind's own, from here on. */
	void *server;
	map_complete_fn *complete;
	struct map_question *behind; /* in the server's queue */
	struct buf request;
	int64_t since; /* clock_ms() */
	uint64_t serial;
	bool again; /* its connection broke: sent once more */
	/* Private to map_wait.c. */
	struct map_wait *wait;
	struct map_question *next;
};

/* The computation that is under way; NULL: none, look-ups block. */
struct map_wait *map_wait_current(void);
/* NULL: not asked yet. Key: what tells it from all others, the server included. */
struct map_question *map_question_find(struct map_wait *w, const char *key);
/* NULL: so many are asked already that this one waits for the next time. */
struct map_question *map_question_new(
	struct map_wait *w, const char *key, void (*cancel)(struct map_question *q));
/* It has no answer yet: the computation will be done again. */
void map_question_miss(struct map_wait *w);
/* The state is what it will stay. Nobody is called: inside a look-up. */
void map_question_settle(struct map_question *q, enum map_question_state state);
/* The same, and whoever waits is told when it was the last one. Afterwards q may be gone. */
void map_question_end(struct map_question *q, enum map_question_state state);

#endif
