/*
 * test_checkpoint - a log is copied back into its database only while the writers are kept away
 *
 * A VFS under SQLite looks at every write into a database file: the lock of those who write, a
 * flock of another file, must be taken then, by whom it may be.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "queue/queue_change.h"
#include "queue/queue_write.h"
#include "mail/index/index.h"
#include "queue_util.h"
#include "store_util.h"
#include "unit.h"

/* What a process wrote into the database file. */
struct seen {
	long writes, unlocked;
};

/* What the VFS knows; it has no other way to find it. */
static struct {
	const char *lock;  /* the file or directory whose flock must be taken */
	struct seen *seen; /* of this process */
} G;

struct seen_file {
	sqlite3_file base;
	sqlite3_file *real;
};

static sqlite3_io_methods methods;

/* is_locked - would we have to wait? Another open of the same file has nothing of our own locks. */
static bool is_locked(void)
{
	int fd = open(G.lock, O_RDONLY | O_CLOEXEC);
	bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;

	if (fd >= 0) {
		close(fd);
	}
	return locked;
}

#define REAL(file) (((struct seen_file *)(file))->real)

static int seen_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
	G.seen->writes++;
	G.seen->unlocked += !is_locked();
	return REAL(file)->pMethods->xWrite(REAL(file), from, len, at);
}

static int seen_close(sqlite3_file *file)
{
	return REAL(file)->pMethods->xClose(REAL(file));
}

static int seen_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
	return REAL(file)->pMethods->xRead(REAL(file), to, len, at);
}

static int seen_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	return REAL(file)->pMethods->xTruncate(REAL(file), size);
}

static int seen_sync(sqlite3_file *file, int flags)
{
	return REAL(file)->pMethods->xSync(REAL(file), flags);
}

static int seen_size(sqlite3_file *file, sqlite3_int64 *size_r)
{
	return REAL(file)->pMethods->xFileSize(REAL(file), size_r);
}

static int seen_lock(sqlite3_file *file, int level)
{
	return REAL(file)->pMethods->xLock(REAL(file), level);
}

static int seen_unlock(sqlite3_file *file, int level)
{
	return REAL(file)->pMethods->xUnlock(REAL(file), level);
}

static int seen_reserved(sqlite3_file *file, int *out)
{
	return REAL(file)->pMethods->xCheckReservedLock(REAL(file), out);
}

static int seen_control(sqlite3_file *file, int op, void *arg)
{
	return REAL(file)->pMethods->xFileControl(REAL(file), op, arg);
}

static int seen_sector(sqlite3_file *file)
{
	return REAL(file)->pMethods->xSectorSize(REAL(file));
}

static int seen_device(sqlite3_file *file)
{
	return REAL(file)->pMethods->xDeviceCharacteristics(REAL(file));
}

static int seen_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
	return REAL(file)->pMethods->xShmMap(REAL(file), region, size, extend, out);
}

static int seen_shm_lock(sqlite3_file *file, int at, int n, int flags)
{
	return REAL(file)->pMethods->xShmLock(REAL(file), at, n, flags);
}

static void seen_barrier(sqlite3_file *file)
{
	REAL(file)->pMethods->xShmBarrier(REAL(file));
}

static int seen_unmap(sqlite3_file *file, int remove)
{
	return REAL(file)->pMethods->xShmUnmap(REAL(file), remove);
}

/* Without xFetch: pages are written by xWrite alone all the same. */
static sqlite3_io_methods methods = { 2, seen_close, seen_read, seen_write, seen_truncate,
	seen_sync, seen_size, seen_lock, seen_unlock, seen_reserved, seen_control, seen_sector,
	seen_device, seen_map, seen_shm_lock, seen_barrier, seen_unmap, NULL, NULL };

static int seen_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	sqlite3_vfs *real = vfs->pAppData;
	struct seen_file *f = (struct seen_file *)file;
	int rc;

	if ((flags & SQLITE_OPEN_MAIN_DB) == 0) {
		return real->xOpen(real, name, file, flags, out);
	}
	f->real = (sqlite3_file *)(f + 1);
	f->base.pMethods = NULL;
	rc = real->xOpen(real, name, f->real, flags, out);
	if (f->real->pMethods != NULL) {
		f->base.pMethods = &methods;
	}
	return rc;
}

/* watch_writes - from both() on, in this process and its child; lock: see G */
static void watch_writes(const char *lock)
{
	sqlite3_vfs *real, *vfs = mem_alloc(sizeof(*vfs));

	sqlite3_initialize();
	real = sqlite3_vfs_find(NULL);
	REQUIRE(real != NULL);
	*vfs = *real;
	vfs->zName = "seen";
	vfs->szOsFile = (int)sizeof(struct seen_file) + real->szOsFile;
	vfs->pAppData = real;
	vfs->xOpen = seen_open;
	REQUIRE(sqlite3_vfs_register(vfs, 1) == SQLITE_OK);
	G.lock = lock;
}

/* use_queue - fill it beyond the length at which the log is copied back, and empty it */
static void use_queue(const char *dir)
{
	struct queue *q = queue_util_open(dir, QUEUE_CREATE), *reader;
	queue_id ids[300];
	int told;

	for (int i = 0; i < 300; i++) {
		ids[i] = queue_util_add(q, 30000, &told);
		REQUIRE(i % 10 != 9 || queue_commit(q) == 0);
	}
	reader = queue_util_open(dir, QUEUE_READ);
	for (int i = 0; i < 300; i++) {
		queue_remove(q, ids[i]);
	}
	CHECK_INT(queue_commit(q), 0);
	queue_keep_reserve(q);
	(void)queue_use_reserve(q);
	queue_close(q);
	queue_close(reader);
	/* The last to close copies back what little there is. */
	q = queue_util_open(dir, QUEUE_WRITE);
	(void)queue_util_add(q, 30000, &told);
	CHECK_INT(queue_commit(q), 0);
	queue_close(q);
}

/*
 * both - two processes at once, and what they wrote together: it may be that one copies back all
 * that both put into the log
 */
static void both(void (*use)(const char *dir), const char *dir)
{
	struct seen *seen = mmap(
		NULL, 2 * sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();
	int status;

	REQUIRE(seen != MAP_FAILED && pid >= 0);
	G.seen = &seen[pid == 0];
	use(dir);
	if (pid == 0) {
		_exit(unit_failures() == 0 ? 0 : 1);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	CHECK(seen[0].writes + seen[1].writes > 100);
	CHECK_INT(seen[0].unlocked + seen[1].unlocked, 0);
}

TEST(checkpoint, queue)
{
	const char *dir = unit_tmpdir();
	char lock[600];

	snprintf(lock, sizeof(lock), "%s/queue.lock", dir);
	log_open("unit", LOG_TO_STDERR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	watch_writes(lock);
	both(use_queue, dir);
}

static void use_index(const char *dir)
{
	static char page[3000];
	char path[600], *error = NULL;

	snprintf(path, sizeof(path), "%s/index.db", dir);
	for (int round = 0; round < 3; round++) {
		struct index *ix = index_open(path, &error);

		REQUIRE(ix != NULL);
		for (uint32_t i = 0; i < 1500; i++) {
			REQUIRE(index_begin(ix, i % 100 == 0) == 0);
			CHECK_INT(index_page_put(ix, 1, i % 300, i, page, sizeof(page)), 0);
			if (i % 50 == 7) {
				index_rollback(ix);
			} else {
				CHECK_INT(index_commit(ix), 0);
			}
		}
		index_close(ix);
	}
}

TEST(checkpoint, index)
{
	const char *dir = unit_tmpdir();

	watch_writes(dir);
	both(use_index, dir);
}
