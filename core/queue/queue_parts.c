/*
 * queue_parts - a queue in memory with one on the disk behind it (queue_durability)
 *
 *	strict		queue.db on the disk, which is all there is
 *	spill		new mail into memory; what has to wait goes on to the disk, as does all
 *			when the system stops, and new mail at queue_volatile_limit
 *	volatile	mail stays in memory
 *
 * Both parts are whole queues, with locks, care and rescue of their own. Who takes both turns takes
 * that of the memory first. A message only ever moves from memory to the disk (queue_spill.c),
 * where it is committed before it leaves memory: who looks there second sees it.
 *
 * With strict a part in memory that is still there, from before the setting was changed, is the
 * second part, and the queue manager moves what it has to the disk.
 *
 * Ids from memory are even, those from the disk odd: each part has a counter of its own, and
 * after a change of the setting processes of both kinds are there for a while.
 */
#include "queue/queue_parts.h"

#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"

/* f_type of statfs(2) */
enum { MAGIC_TMPFS = 0x01021994, MAGIC_RAMFS = (int)0x858458f6 };
/* Looked at again after so many messages; free memory that is left to others. */
enum { LOOK_EVERY = 16, PAGE = 4096, LEFT_TO_OTHERS = 1024 * 1024 };

int queue_durability(char **error_r)
{
	static const char *const words[] = { "strict", "spill", "volatile" };
	struct buf text = BUF_INIT;

	for (int i = 0; i < (int)ARRAY_LEN(words); i++) {
		if (strcmp(param.queue_durability, words[i]) == 0) {
			return i;
		}
	}
	buf_addf(&text, "queue_durability = %s: not strict, spill or volatile",
		param.queue_durability);
	*error_r = buf_steal(&text);
	return -1;
}

void queue_memory_directory(const char *queue_directory, struct buf *out)
{
	uint64_t sum = UINT64_C(14695981039346656037); /* FNV-1a: its own for each queue */

	for (const char *p = queue_directory; *p != '\0'; p++) {
		sum = (sum ^ (unsigned char)*p) * UINT64_C(1099511628211);
	}
	buf_addf(out, "%s/queue-%016llx", param.queue_volatile_directory, (unsigned long long)sum);
}

bool queue_is_memory(const char *dir)
{
	struct statfs fs;

	return statfs(dir, &fs) == 0 &&
		((uint32_t)fs.f_type == (uint32_t)MAGIC_TMPFS ||
			(uint32_t)fs.f_type == (uint32_t)MAGIC_RAMFS);
}

struct queue *queue_memory(struct queue *q)
{
	return q->in_memory ? q : q->other;
}

struct queue *queue_disk(struct queue *q)
{
	return q->in_memory ? q->other : q;
}

/* look - has the part in memory as much as it may have? */
static void look(struct queue *memory)
{
	int64_t pages = 0, unused = 0;
	struct statvfs fs;

	if (memory->begun++ % LOOK_EVERY != 0 ||
		db_exec_int(memory->db, "PRAGMA page_count", &pages) != 0 ||
		db_exec_int(memory->db, "PRAGMA freelist_count", &unused) != 0) {
		return;
	}
	memory->above_limit = (pages - unused) * PAGE >= param.queue_volatile_limit ||
		(statvfs(memory->dir, &fs) == 0 &&
			(int64_t)fs.f_bavail * (int64_t)fs.f_frsize < LEFT_TO_OTHERS);
}

struct queue *queue_new_part(struct queue *q)
{
	if (!q->in_memory || q->other == NULL || !q->spills) {
		return q;
	}
	look(q);
	return q->above_limit ? q->other : q;
}

bool queue_has_room(struct queue *q)
{
	if (!q->in_memory || q->spills) {
		return true;
	}
	look(q);
	return !q->above_limit;
}

/* has - does this part have the message? 1, 0, -1 */
static int has(struct queue *part, queue_id id)
{
	struct db_stmt *s = db_start(part->db, Q_MESSAGE_EXISTS, "u", id);
	int rc = db_step(s);

	db_reset(s);
	return rc < 0 ? queue_set_error(part) : rc;
}

struct queue *queue_part_of(struct queue *q, queue_id id)
{
	struct queue *disk = queue_disk(q);
	int rc;

	if (q->other == NULL) {
		return q;
	}
	/* What a crash left in both is on the disk: that in memory goes (queue_spill). */
	rc = has(disk, id);
	return rc < 0 ? NULL : rc > 0 ? disk : queue_memory(q);
}
