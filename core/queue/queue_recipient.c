/*
 * queue_recipient - recipients copied and stored, for new messages and for changed ones
 */
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_message.h"

const char *queue_copy_text(struct arena *a, const char *s)
{
	return s != NULL && *s != '\0' ? arena_strdup(a, s) : "";
}

void queue_copy_recipient(
	struct arena *a, struct queue_recipient *to, const struct queue_recipient *from)
{
	*to = *from;
	to->address = queue_copy_text(a, from->address);
	to->original = queue_copy_text(a, from->original);
	to->orcpt = queue_copy_text(a, from->orcpt);
	to->dsn = queue_copy_text(a, from->dsn);
	to->reason = queue_copy_text(a, from->reason);
}

int queue_insert_recipient(struct queue *q, queue_id id, const struct queue_recipient *r)
{
	/* NULL keeps it out of the index of those that have a reason. */
	const char *dsn = *r->dsn != '\0' ? r->dsn : NULL;

	if (db_run(q->db, Q_RECIPIENT_ADD, "uidisssss", id, r->n, (int)r->done, (int64_t)r->notify,
		    r->address, r->original, r->orcpt, dsn, r->reason) != 0) {
		return queue_set_error(q);
	}
	return 0;
}
