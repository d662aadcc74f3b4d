#ifndef QUEUE_QUEUE_PARTS_H
#define QUEUE_QUEUE_PARTS_H

#include <stdbool.h>

#include "base/buf.h"
#include "queue/queue.h"

/*
 * A queue of one part or two. The part on the disk is queue.db in queue_directory. With
 * queue_durability = spill or volatile new mail goes into a second queue.db on a file system in
 * memory. A message is in one of them; only a crash in the middle of a move leaves it in both,
 * equal, until the next queue_spill().
 */

/* What queue_durability says; -1 with *error_r (caller frees): none of the three. */
enum queue_durability { QUEUE_STRICT, QUEUE_SPILL, QUEUE_VOLATILE };
int queue_durability(char **error_r);
/* The directory of the part in memory, for this queue_directory. */
void queue_memory_directory(const char *queue_directory, struct buf *out);
/* Is dir on a file system that is kept in memory? */
bool queue_is_memory(const char *dir);

/* The parts: of two or of one; NULL: it has none. */
struct queue *queue_memory(struct queue *q);
struct queue *queue_disk(struct queue *q);
/* Where a new message goes: not into memory when there is as much as queue_volatile_limit. */
struct queue *queue_new_part(struct queue *q);
/* May more mail come in? Not above the limit where it cannot go to the disk instead. */
bool queue_has_room(struct queue *q);
/* The part that has a message; the first where neither has it. NULL: q's error is set. */
struct queue *queue_part_of(struct queue *q, queue_id id);

/*
 * Out of memory to the disk: what waits there (deferred, on hold), or all. Commits. 0, or -1: it
 * stays where it is. Nothing where all of it is to stay in memory.
 */
int queue_spill(struct queue *q, bool all);

#endif
