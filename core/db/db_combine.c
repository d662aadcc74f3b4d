/*
 * db_combine - the many small writes to a write-ahead log as few large ones
 *
 * SQLite writes each page of a log as two: 24 bytes of header, then the page.
 * A commit of 25 mails is 120 system calls. Here what follows on from what was
 * written before is gathered, and goes out in one write when 64 KB are
 * full, or before anything that could notice: a sync, a read, a truncation.
 *
 * Other processes read a log only up to where its index, in shared memory, says.
 * With synchronous=FULL that is moved after the sync of the commit, so they never
 * look for what is still here. With any other setting they might: DB_COMBINE is for FULL
 * alone.
 *
 * An error of a write that was gathered comes with the sync, which fails the commit all the same.
 *
 * A transaction that does not fit into the cache writes to the log before it commits. When it is
 * rolled back what it left here must go: another process commits in the same place of the log, and
 * that would be overwritten by the next flush.
 */
#include "db/db_combine.h"

#include <sqlite3.h>
#include <string.h>

#include "base/mem.h"

#include "db/db_vfs.h"

enum { GATHER = 64 * 1024 };

/*
 * The log as SQLite sees it; the real file's own struct comes behind. The database is one without
 * anything gathered: what is written to either is counted.
 */
struct log_file {
	sqlite3_file base;
	sqlite3_file *real;
	struct db_written written;
	char *data; /* gathered, GATHER bytes of room */
	int len;
	sqlite3_int64 at; /* where data belongs */
};

static int file_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
	struct log_file *f = (struct log_file *)file;

	f->written.bytes += len;
	return f->real->pMethods->xWrite(f->real, from, len, at);
}

static int flush(struct log_file *f)
{
	int rc = SQLITE_OK;

	if (f->len > 0) {
		rc = file_write(&f->base, f->data, f->len, f->at);
	}
	f->len = 0;
	return rc;
}

static int log_close(sqlite3_file *file)
{
	struct log_file *f = (struct log_file *)file;
	int rc = f->real->pMethods->xClose(f->real);

	/* What is still gathered belongs to a transaction that was never committed. */
	mem_free(f->data);
	f->data = NULL;
	f->len = 0;
	return rc;
}

static int log_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
	struct log_file *f = (struct log_file *)file;
	int rc = flush(f);

	return rc == SQLITE_OK ? f->real->pMethods->xRead(f->real, to, len, at) : rc;
}

static int log_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
	struct log_file *f = (struct log_file *)file;

	if (f->len > 0 && (at != f->at + f->len || f->len + len > GATHER)) {
		int rc = flush(f);

		if (rc != SQLITE_OK) {
			return rc;
		}
	}
	if (len > GATHER) {
		return file_write(file, from, len, at);
	}
	if (f->data == NULL) {
		f->data = mem_realloc(NULL, GATHER); /* not cleared: untouched it costs nothing */
	}
	if (f->len == 0) {
		f->at = at;
	}
	memcpy(f->data + f->len, from, (size_t)len);
	f->len += len;
	return SQLITE_OK;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct log_file *f = (struct log_file *)file;
	int rc = flush(f);

	return rc == SQLITE_OK ? f->real->pMethods->xTruncate(f->real, size) : rc;
}

static int log_sync(sqlite3_file *file, int flags)
{
	struct log_file *f = (struct log_file *)file;
	int rc = flush(f);

	f->written.syncs++;
	return rc == SQLITE_OK ? f->real->pMethods->xSync(f->real, flags) : rc;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size_r)
{
	struct log_file *f = (struct log_file *)file;
	int rc = flush(f);

	return rc == SQLITE_OK ? f->real->pMethods->xFileSize(f->real, size_r) : rc;
}

static int log_lock(sqlite3_file *file, int level)
{
	struct log_file *f = (struct log_file *)file;

	return f->real->pMethods->xLock(f->real, level);
}

static int log_unlock(sqlite3_file *file, int level)
{
	struct log_file *f = (struct log_file *)file;

	return f->real->pMethods->xUnlock(f->real, level);
}

static int log_reserved(sqlite3_file *file, int *out)
{
	struct log_file *f = (struct log_file *)file;

	return f->real->pMethods->xCheckReservedLock(f->real, out);
}

static int log_control(sqlite3_file *file, int op, void *arg)
{
	struct log_file *f = (struct log_file *)file;

	return f->real->pMethods->xFileControl(f->real, op, arg);
}

static int log_sector(sqlite3_file *file)
{
	struct log_file *f = (struct log_file *)file;

	return f->real->pMethods->xSectorSize(f->real);
}

static int log_device(sqlite3_file *file)
{
	struct log_file *f = (struct log_file *)file;

	return f->real->pMethods->xDeviceCharacteristics(f->real);
}

static const sqlite3_io_methods log_methods = {
	.iVersion = 1,
	.xClose = log_close,
	.xRead = log_read,
	.xWrite = log_write,
	.xTruncate = log_truncate,
	.xSync = log_sync,
	.xFileSize = log_size,
	.xLock = log_lock,
	.xUnlock = log_unlock,
	.xCheckReservedLock = log_reserved,
	.xFileControl = log_control,
	.xSectorSize = log_sector,
	.xDeviceCharacteristics = log_device,
};

/* ---- The database: what it has beyond a log ---- */

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
	struct log_file *f = (struct log_file *)file;

	return f->real->pMethods->xShmMap(f->real, page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	struct log_file *f = (struct log_file *)file;

	return f->real->pMethods->xShmLock(f->real, offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
	struct log_file *f = (struct log_file *)file;

	f->real->pMethods->xShmBarrier(f->real);
}

static int file_shm_unmap(sqlite3_file *file, int remove)
{
	struct log_file *f = (struct log_file *)file;

	return f->real->pMethods->xShmUnmap(f->real, remove);
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 2,
	.xClose = log_close,
	.xRead = log_read,
	.xWrite = file_write,
	.xTruncate = log_truncate,
	.xSync = log_sync,
	.xFileSize = log_size,
	.xLock = log_lock,
	.xUnlock = log_unlock,
	.xCheckReservedLock = log_reserved,
	.xFileControl = log_control,
	.xSectorSize = log_sector,
	.xDeviceCharacteristics = log_device,
	.xShmMap = file_shm_map,
	.xShmLock = file_shm_lock,
	.xShmBarrier = file_shm_barrier,
	.xShmUnmap = file_shm_unmap,
};

/* vfs_open - a log and a database get our methods; every other file is the real one */
static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_r)
{
	sqlite3_vfs *real = vfs->pAppData;
	struct log_file *f = (struct log_file *)file;
	int rc;

	if ((flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)) == 0) {
		return real->xOpen(real, name, file, flags, flags_r);
	}
	memset(f, 0, sizeof(*f));
	f->real = (sqlite3_file *)(f + 1);
	rc = real->xOpen(real, name, f->real, flags, flags_r);
	if (f->real->pMethods != NULL) {
		f->base.pMethods = flags & SQLITE_OPEN_WAL ? &log_methods : &file_methods;
	}
	return rc;
}

/* log_of - the log of a handle, if it is open and ours */
static struct log_file *log_of(sqlite3 *handle)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) !=
			SQLITE_OK ||
		file == NULL || file->pMethods != &log_methods) {
		return NULL;
	}
	return (struct log_file *)file;
}

static void add_written(sqlite3 *handle, int which, struct db_written *sum)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(handle, "main", which, &file) == SQLITE_OK && file != NULL &&
		(file->pMethods == &log_methods || file->pMethods == &file_methods)) {
		const struct log_file *f = (const struct log_file *)file;

		sum->bytes += f->written.bytes;
		sum->syncs += f->written.syncs;
	}
}

struct db_written db_combine_written(sqlite3 *handle)
{
	struct db_written sum = { 0, 0 };

	add_written(handle, SQLITE_FCNTL_FILE_POINTER, &sum);
	add_written(handle, SQLITE_FCNTL_JOURNAL_POINTER, &sum);
	return sum;
}

/* forget - the transaction was rolled back */
static void forget(void *handle)
{
	struct log_file *f = log_of(handle);

	if (f != NULL) {
		f->len = 0;
	}
}

void db_combine_trim(sqlite3 *handle)
{
	struct log_file *f = log_of(handle);

	if (f != NULL && f->len == 0) {
		mem_free(f->data);
		f->data = NULL;
	}
}

void db_combine_watch(sqlite3 *handle)
{
	sqlite3_rollback_hook(handle, forget, handle);
}

const char *db_combine_vfs(void)
{
	return db_vfs("combine", sizeof(struct log_file), vfs_open);
}
