/*
 * qmgr_util - jobs made up for tests
 */
#include "qmgr_util.h"

#include <stdio.h>

#include "base/mem.h"
#include "unit.h"

struct job *qmgr_job(queue_id id, const char *name, size_t count)
{
	const struct queue_envelope env = { .id = id, .sender = "s@test.example", .envid = "" };
	struct job *j = job_new(&env);

	for (size_t i = 0; i < count; i++) {
		char address[80];
		const struct queue_recipient q = {
			.n = (int64_t)i, .address = address, .original = "", .orcpt = ""
		};

		snprintf(address, sizeof(address), "u%zu@%s.example", i, name);
		*j->rcpts_tail = rcpt_new(&q);
		j->rcpts_tail = &(*j->rcpts_tail)->next;
		j->count++;
	}
	return j;
}

void qmgr_job_free(struct job *j)
{
	while (j->rcpts != NULL) {
		struct rcpt *r = j->rcpts;

		j->rcpts = r->next;
		mem_free(r->as);
		mem_free(r);
	}
	mem_free(j);
}

struct request *qmgr_request(struct job *j, struct dest *d)
{
	struct request *q = request_make(j, d, j->count);

	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		r->state = RCPT_WAITING;
		q->rcpts[q->count++] = r;
	}
	return q;
}
