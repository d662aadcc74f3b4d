/*
 * request_memory - a message that an agent is asked for: its content, and the memory it takes
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "queue/queue_read.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/agent/client.h"

enum {
	SPARE_SECONDS = 3,
	CONTENT_TOTAL =
		16 << 20, /* kept contents, all of them together; above it content is read again */
	SPARE_CONTENT = 16 * 1024, /* a spare request keeps this much room for a content */
	SPARES_MAX = 200
};

/* ---- The content ---- */

struct queue *agent_queue(struct agent_host *h)
{
	char *error = NULL;

	if (h->queue == NULL) {
		h->queue = queue_open_below(param.queue_directory, QUEUE_READ, &error);
		if (h->queue == NULL) {
			log_warn("%s", error);
			mem_free(error);
		}
	}
	return h->queue;
}

int64_t agent_read(void *arg, int64_t offset, void *data, size_t len)
{
	struct agent_request *q = arg;
	struct agent_host *h = q->host;
	struct queue *queue;
	int64_t n;

	if (offset < (int64_t)q->content.len) {
		size_t left = q->content.len - (size_t)offset;

		len = len < left ? len : left;
		memcpy(data, q->content.data + offset, len);
		return (int64_t)len;
	}
	if (q->content_whole) {
		return 0;
	}
	queue = agent_queue(h);
	if (queue == NULL) {
		return -1;
	}
	n = queue_read(queue, q->r.id, offset, data, len);
	if (n < 0) {
		log_warn("%s: %s", q->id, queue_error(queue));
		queue_close(queue);
		h->queue = NULL;
	}
	/* Rows that are gone would look like a short message. */
	return n == 0 && offset < q->r.size ? -1 : n;
}

int64_t agent_read_first(struct agent_request *q)
{
	struct agent_host *h = q->host;
	int64_t n = agent_read(q, 0, h->scratch, AGENT_CONTENT_KEEP);

	if (n >= 0 && n >= q->r.size && h->content_bytes + (size_t)n <= CONTENT_TOTAL) {
		buf_add(&q->content, h->scratch, (size_t)n);
		q->content_whole = true;
		h->content_bytes += (size_t)n;
	}
	return n;
}

/* ---- Memory ---- */

void agent_spares_free(struct agent_host *h)
{
	struct agent_request *q;

	while ((q = h->spares) != NULL) {
		h->spares = q->next;
		buf_free(&q->content);
		arena_free(&q->arena);
		mem_free(q);
	}
	h->spare_count = 0;
}

static void on_spare_timer(struct timer *t)
{
	struct agent_host *h = t->owner;

	if (h->load == 0) {
		agent_spares_free(h);
	} else {
		loop_timer(h->service.loop, t, SPARE_SECONDS * 1000, on_spare_timer, h);
	}
}

/* agent_request_new - zeroed but for memory it may still have from an earlier one */
struct agent_request *agent_request_new(struct agent_host *h)
{
	struct agent_request *q = h->spares;

	if (q == NULL) {
		return mem_alloc(h->class->size);
	}
	h->spares = q->next;
	h->spare_count--;
	q->next = NULL;
	return q;
}

/* agent_request_spare - as a spare: in a burst the same memory serves again and again */
void agent_request_spare(struct agent_host *h, struct agent_request *q)
{
	struct buf content = q->content;
	struct arena arena = q->arena;

	if (h->class->end != NULL && q->started) {
		h->class->end(q);
	}
	if (h->spare_count >= SPARES_MAX) {
		buf_free(&content);
		arena_free(&arena);
		mem_free(q);
		return;
	}
	buf_reset(&content);
	buf_shrink(&content, SPARE_CONTENT);
	arena_reset(&arena);
	memset(q, 0, h->class->size);
	q->content = content;
	q->arena = arena;
	q->next = h->spares;
	h->spares = q;
	h->spare_count++;
	if (h->spare_timer.slot == 0) {
		loop_timer(
			h->service.loop, &h->spare_timer, SPARE_SECONDS * 1000, on_spare_timer, h);
	}
}

/* agent_request_free - its last recipient was answered */
void agent_request_free(struct agent_host *h, struct agent_request *q)
{
	if (q->client != NULL) {
		if (q->prev != NULL) {
			q->prev->next = q->next;
		} else {
			q->client->requests = q->next;
		}
		if (q->next != NULL) {
			q->next->prev = q->prev;
		}
	}
	h->content_bytes -= q->content.len;
	agent_request_spare(h, q);
}
