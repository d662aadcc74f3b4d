/*
 * local_state - what all parts of local need: the time, the queue
 */
#include <sys/time.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "applets/deliver/local/local.h"

int64_t local_now(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

struct queue *local_queue(struct local *g)
{
	char *error = NULL;

	if (g->queue == NULL) {
		g->queue = queue_open_below(param.queue_directory, QUEUE_READ, &error);
		if (g->queue == NULL) {
			log_warn("%s", error);
			mem_free(error);
		}
	}
	return g->queue;
}
