/*
 * local_state - what all parts of local need: the queue
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "applets/deliver/local/local.h"

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
