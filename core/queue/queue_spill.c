/*
 * queue_spill - mail out of memory to the disk
 *
 * In the turn of the part in memory, batch by batch: copied in one commit of the part on the disk,
 * then taken out of memory. A crash in between leaves it in both: then it is not copied again,
 * in memory it only goes: what the disk has counts.
 */
#include "base/log.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_parts.h"
#include "queue/queue_read.h"

enum { BATCH = 100 };

/* leaving - the first messages that are to go; count or -1 */
static int leaving(struct queue *memory, bool all, queue_id ids[BATCH])
{
	struct db_stmt *s = db_start(memory->db, all ? Q_LEAVING_ALL : Q_LEAVING, "d", (int)BATCH);
	int count = 0, rc;

	while ((rc = db_step(s)) > 0 && count < BATCH) {
		ids[count++] = (queue_id)db_int(s, 0);
	}
	return rc < 0 ? queue_set_error(memory) : count;
}

/* copy_rows - what a statement finds in memory, each by another on the disk; 0 or -1 */
static int copy_rows(struct queue *disk, int put, struct queue *memory, struct db_stmt *rows)
{
	int rc;

	while ((rc = db_step(rows)) > 0) {
		if (db_run_row(disk->db, put, rows) != 0) {
			db_reset(rows);
			return queue_set_error(disk);
		}
	}
	return rc < 0 ? queue_set_error(memory) : 0;
}

/* copy - a message, unless the disk has it already: then that is the one that counts. 0 or -1 */
static int copy(struct queue *disk, struct queue *memory, queue_id id)
{
	struct db_stmt *s = db_start(disk->db, Q_MESSAGE_EXISTS, "u", id);
	int there = db_step(s);
	int64_t from = queue_chunk_key(id, 0), end = queue_chunk_key(id + 1, 0);

	db_reset(s);
	if (there != 0) {
		return there < 0 ? queue_set_error(disk) : 0;
	}
	disk->mails++;
	if (copy_rows(disk, Q_PUT_CHUNK, memory,
		    db_start(memory->db, Q_TAKE_CHUNKS, "ii", from, end)) != 0 ||
		copy_rows(disk, Q_PUT_RECIPIENT, memory,
			db_start(memory->db, Q_TAKE_RECIPIENTS, "u", id)) != 0) {
		return -1;
	}
	return copy_rows(disk, Q_PUT_MESSAGE, memory, db_start(memory->db, Q_GET, "u", id));
}

/* put_all - all of them in one commit of the disk; 0 or -1 */
static int put_all(struct queue *disk, struct queue *memory, const queue_id *ids, int count)
{
	if (queue_begin_write(disk) != 0) {
		return -1;
	}
	for (int i = 0; i < count; i++) {
		if (copy(disk, memory, ids[i]) != 0) {
			queue_rollback_write(disk);
			return -1;
		}
	}
	return queue_commit_write(disk);
}

/* take_out - they are on the disk; 0 or -1 */
static int take_out(struct queue *memory, const queue_id *ids, int count)
{
	if (queue_begin_write(memory) != 0) {
		return -1;
	}
	for (int i = 0; i < count; i++) {
		if (queue_delete_rows(memory, ids[i]) != 0) {
			queue_rollback_write(memory);
			return -1;
		}
	}
	return queue_commit_write(memory);
}

/* spill - in the turn of the part in memory; 0 or -1 */
static int spill(struct queue *disk, struct queue *memory, bool all)
{
	queue_id ids[BATCH];
	int count;

	do {
		count = leaving(memory, all, ids);
		if (count < 0 ||
			(count > 0 &&
				(put_all(disk, memory, ids, count) != 0 ||
					take_out(memory, ids, count) != 0))) {
			return -1;
		}
	} while (count == BATCH);
	return 0;
}

int queue_spill(struct queue *q, bool all)
{
	struct queue *memory = queue_memory(q), *disk = queue_disk(q);
	int rc;

	if (memory == NULL || disk == NULL || !memory->spills) {
		return 0;
	}
	queue_read_end(q);
	if (queue_lock(memory) != 0) {
		return -1;
	}
	memory->keep_turn = true;
	rc = spill(disk, memory, all);
	memory->keep_turn = false;
	queue_unlock(memory);
	q->spill_due = rc != 0;
	if (rc != 0 && !memory->spill_failed) {
		log_warn("%s: mail that waits stays in memory: %s", disk->path, queue_error(q));
	}
	memory->spill_failed = rc != 0;
	return rc;
}
