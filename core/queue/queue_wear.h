#ifndef QUEUE_QUEUE_WEAR_H
#define QUEUE_QUEUE_WEAR_H

#include <stdint.h>

/*
 * What queue.db costs the flash: all processes together, since its queue.lock was made. Not counted
 * is what the last one to close it copies back out of the log, and what a crash leaves.
 */
struct queue_wear {
	int64_t since; /* seconds since 1970 */
	int64_t mails; /* that came in, or out of memory to the disk */
	int64_t bytes, syncs;
};

/* Of the queue.db in dir. 0; -1 with errno: it has no such counter. */
int queue_wear(const char *dir, struct queue_wear *out);

#endif
