/*
 * request_memory - a message that is asked for: its content, and the memory it takes
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "applets/deliver/local/client.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/local/local.h"

enum {
	SPARE_SECONDS = 3,
	CONTENT_TOTAL =
		16 << 20, /* kept contents, all of them together; above it content is read again */
	SPARE_CONTENT = 16 * 1024, /* a spare request keeps this much room for a content */
	SPARES_MAX = 200
};

/* ---- The content ---- */

int64_t request_read(void *arg, int64_t offset, void *data, size_t len)
{
	struct request *q = arg;
	struct local *g = q->g;
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
	queue = local_queue(g);
	if (queue == NULL) {
		return -1;
	}
	n = queue_read(queue, q->r.id, offset, data, len);
	if (n < 0) {
		log_warn("%s: %s", q->id, queue_error(queue));
		queue_close(queue);
		g->queue = NULL;
	}
	/* Rows that are gone would look like a short message. */
	return n == 0 && offset < q->r.size ? -1 : n;
}

int64_t request_load(struct local *g, struct request *q)
{
	int64_t n = request_read(q, 0, g->scratch, CONTENT_KEEP);

	if (n >= 0 && n >= q->r.size && g->content_bytes + (size_t)n <= CONTENT_TOTAL) {
		buf_add(&q->content, g->scratch, (size_t)n);
		q->content_whole = true;
		g->content_bytes += (size_t)n;
	}
	return n;
}

/* ---- Memory ---- */

void spares_free(struct local *g)
{
	struct request *q;

	while ((q = g->spares) != NULL) {
		g->spares = q->next;
		buf_free(&q->content);
		arena_free(&q->arena);
		mem_free(q);
	}
	g->spare_count = 0;
}

static void on_spare_timer(struct timer *t)
{
	struct local *g = t->owner;

	if (g->jobs == 0) {
		spares_free(g);
	} else {
		loop_timer(g->service.loop, t, SPARE_SECONDS * 1000, on_spare_timer, g);
	}
}

/* request_new - zeroed but for memory it may still have from an earlier one */
struct request *request_new(struct local *g)
{
	struct request *q = g->spares;

	if (q == NULL) {
		return mem_alloc(sizeof(*q));
	}
	g->spares = q->next;
	g->spare_count--;
	q->next = NULL;
	return q;
}

/* request_keep - as a spare: in a burst the same memory serves again and again */
void request_keep(struct local *g, struct request *q)
{
	struct buf content = q->content;
	struct arena arena = q->arena;

	map_wait_end(&q->wait);
	if (g->spare_count >= SPARES_MAX) {
		buf_free(&content);
		arena_free(&arena);
		mem_free(q);
		return;
	}
	buf_reset(&content);
	buf_shrink(&content, SPARE_CONTENT);
	arena_reset(&arena);
	memset(q, 0, sizeof(*q));
	q->content = content;
	q->arena = arena;
	q->next = g->spares;
	g->spares = q;
	g->spare_count++;
	if (g->spare_timer.slot == 0) {
		loop_timer(
			g->service.loop, &g->spare_timer, SPARE_SECONDS * 1000, on_spare_timer, g);
	}
}

/* request_free - its last recipient was answered */
void request_free(struct local *g, struct request *q)
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
	g->content_bytes -= q->content.len;
	request_keep(g, q);
}
