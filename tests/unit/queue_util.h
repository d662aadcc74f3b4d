#ifndef QUEUE_UTIL_H
#define QUEUE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "queue/queue.h"

/* What the tests of damaged queues share. */

struct queue *queue_util_open(const char *dir, enum queue_open_mode mode);
/* A message of so many bytes to r@x, ended, not committed; the commit makes *told 1 or -1. */
queue_id queue_util_add(struct queue *q, size_t size, int *told);
/* The message, its recipient and all of its content are there. */
bool queue_util_whole(struct queue *q, queue_id id, size_t size);
/* len bytes of nonsense at offset of the database in dir */
void queue_util_overwrite(const char *dir, off_t offset, size_t len);
/* Databases that were set aside in dir. */
int queue_util_aside(const char *dir);

#endif
