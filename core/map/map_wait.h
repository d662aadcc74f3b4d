#ifndef MAP_MAP_WAIT_H
#define MAP_MAP_WAIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"
#include "base/loop.h"

/*
 * Look-ups that wait, in a process whose loop must not be held: tables that a server answers for
 * (tcp, socketmap) are asked, and the computation that asked them is done anew when the answers are
 * there. So whatever looks something up, however deep, stays a plain function:
 *
 *	map_wait_enter(w);
 *	result = compute();		look-ups here are w's
 *	if (map_wait_leave(w))		one has no answer yet: result means nothing, forget it;
 *		return;			fn will be called, from the loop: then begin at the top
 *	use(result);			w still knows the answers: the next computation has them
 *
 * Meaning: a look-up without an answer says -1, as if the table did not answer, and notes in w
 * that it is to be waited for. The computation goes on as with any table that does not answer; what
 * else it asks meanwhile is asked beside it. When all answers are there (or there will be none: -1
 * as ever, with map_error()), fn is called once. The computation must be one that may be done
 * again: what it does besides computing (log, write, count) waits until it is known to be the last
 * time; map_is_waiting() tells those who would log.
 *
 * Ownership: w is embedded in its owner, who calls map_wait_end() before it goes, at any moment:
 * what was asked is forgotten, fn is not called. One computation of a process is under way at a
 * time; what is entered inside another is its own and goes back to the outer one.
 *
 * Outside of all this, or with a loop of NULL, a look-up blocks until it is answered (tools).
 */
struct map_wait {
	/* The rest is private. */
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
	struct hash known;
	struct map_question *questions;
	struct map_wait *outer;
	size_t open; /* questions that have no answer yet */
	bool missed; /* since it was entered */
};

void map_wait_init(struct map_wait *w, struct loop *loop, void (*fn)(void *arg), void *arg);
void map_wait_enter(struct map_wait *w);
/* True: a look-up since map_wait_enter() has no answer yet; fn will be called. */
bool map_wait_leave(struct map_wait *w);
/* What it knows and has asked: the next computation is about something else. */
void map_wait_forget(struct map_wait *w);
/* Forget, and leave if it is entered (memory ran out inside). One zeroed, too. */
void map_wait_end(struct map_wait *w);

/* Is the computation under way one that will be done again? */
bool map_is_waiting(void);
/* ... and has it asked as much as it may at a time? Then what is left of it is for nothing. */
bool map_is_full(void);

#endif
