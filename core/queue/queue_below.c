/*
 * queue_below - the queue of a queue_directory, opened with its part in memory
 *
 * That part is made by master, or by whoever may make it. Where it is not there and nothing has to
 * be written to it, there is nothing in it.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/params.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_parts.h"

/*
 * is_ours - a directory in memory that belongs to the owner of the queue alone, whom root's agents
 * read for. 1; 0 there is none; -1 with *why
 */
static int is_ours(const char *dir, const struct queue *disk, struct buf *why)
{
	struct stat st, owner;

	if (lstat(dir, &st) != 0) {
		buf_addf(why, "%s: %s", dir, strerror(errno));
		return errno == ENOENT ? 0 : -1;
	}
	if (stat(disk->dir, &owner) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != owner.st_uid ||
		(st.st_mode & 077) != 0) {
		buf_addf(why, "%s: not a directory of %s's owner that is closed to all others", dir,
			disk->dir);
		return -1;
	}
	if (!queue_is_memory(dir)) {
		buf_addf(why, "queue_volatile_directory = %s: not on a file system in memory",
			param.queue_volatile_directory);
		return -1;
	}
	return 1;
}

/* open_memory - the part in memory; NULL without *error_r: there is none, and need not be */
static struct queue *open_memory(const char *queue_directory, const struct queue *disk,
	enum queue_open_mode mode, bool wanted, char **error_r)
{
	struct buf dir = BUF_INIT, path = BUF_INIT, why = BUF_INIT;
	struct queue *q = NULL;
	int have;

	queue_memory_directory(queue_directory, &dir);
	if (mode == QUEUE_CREATE && wanted) {
		(void)mkdir(param.queue_volatile_directory, 0755);
		(void)mkdir(buf_str(&dir), 0700);
	}
	buf_addf(&path, "%s/queue.db", buf_str(&dir));
	have = is_ours(buf_str(&dir), disk, &why);
	if (have > 0 && (mode != QUEUE_CREATE || !wanted) && access(buf_str(&path), F_OK) != 0) {
		have = 0;
	} else if (have > 0) {
		q = queue_open_part(buf_str(&dir),
			wanted || mode == QUEUE_READ ? mode : QUEUE_WRITE, true, error_r);
	}
	if (have < 0 || (have == 0 && wanted && mode == QUEUE_CREATE)) {
		*error_r = buf_steal(&why);
	}
	buf_free(&why);
	buf_free(&path);
	buf_free(&dir);
	return q;
}

/* join - the two parts as one queue */
static struct queue *join(struct queue *first, struct queue *second, enum queue_durability d)
{
	struct queue *memory = first->in_memory ? first : second;

	first->other = second;
	second->front = first;
	memory->spills = d != QUEUE_VOLATILE;
	return first;
}

struct queue *queue_open_below(
	const char *queue_directory, enum queue_open_mode mode, char **error_r)
{
	struct buf dir = BUF_INIT;
	struct queue *disk, *memory = NULL;
	int durability = queue_durability(error_r);

	if (durability < 0) {
		return NULL;
	}
	buf_addf(&dir, "%s/" QUEUE_SUBDIR, queue_directory);
	/* For one user's server, begun without `postfix start`. What is wrong shows below. */
	if (mode == QUEUE_CREATE) {
		(void)mkdir(buf_str(&dir), 0700);
	}
	disk = queue_open(buf_str(&dir), mode, error_r);
	buf_free(&dir);
	if (disk == NULL) {
		return NULL;
	}
	*error_r = NULL;
	memory = open_memory(queue_directory, disk, mode, durability != QUEUE_STRICT, error_r);
	if (*error_r != NULL) {
		queue_close(disk);
		return NULL;
	}
	if (memory == NULL) {
		return disk;
	}
	queue_id_above(memory, disk);
	return durability == QUEUE_STRICT ? join(disk, memory, durability)
					  : join(memory, disk, durability);
}
