/*
 * db_mend - a damaged database, shown as whole as can be
 *
 * What a page is made of, in this order:
 *
 *	the newest whole frame of its log, also one behind damage (wal.h)
 *	the file; behind its end there are zeros, which SQLite takes for a damaged page
 *	the first page: what must stand in its header is put there; where even its table of tables
 *	  cannot be read, another database's first page takes its place
 *
 * Nothing is written, and neither file changes: that is what is kept for somebody else to look at.
 * The header says "no write-ahead log", because its pages are shown as those of the file.
 *
 * The page size is that of our databases (WAL_PAGE).
 */
#include "db/db_mend.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "db/db_vfs.h"
#include "db/wal.h"

struct mend_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct; no methods: there is no file */
	int wal_fd;         /* -1 none */
	struct wal wal;
	sqlite3_int64 pages;
	unsigned char *first; /* DB_MEND_FIRST_PAGE, or NULL */
};

static void put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++) {
		p[i] = (unsigned char)(v >> (24 - 8 * i));
	}
}

/* mend_header - what stands in the header of every database of ours (fileformat2.html, 1.3) */
static void mend_header(unsigned char *page, uint32_t pages)
{
	static const unsigned char start[24] = "SQLite format 3\0\x10\0\1\1\0\x40\x20\x20";

	memcpy(page, start, sizeof(start));
	put32(page + 24, 1); /* change counter, and the same below: the size counts */
	put32(page + 28, pages);
	put32(page + 44, 4); /* schema format */
	put32(page + 52, 0); /* no auto-vacuum */
	put32(page + 56, 1); /* UTF-8 */
	put32(page + 64, 0);
	put32(page + 92, 1);
}

/* read_page - all of page (from 1) */
static void read_page(struct mend_file *f, sqlite3_int64 page, unsigned char out[WAL_PAGE])
{
	int64_t at = wal_offset(&f->wal, (uint32_t)page);

	memset(out, 0, WAL_PAGE);
	if (page == 1 && f->first != NULL) {
		memcpy(out, f->first, WAL_PAGE);
	} else if (at >= 0 && pread(f->wal_fd, out, WAL_PAGE, at) != WAL_PAGE) {
		memset(out, 0, WAL_PAGE);
	} else if (at < 0 && f->real->pMethods != NULL) {
		(void)f->real->pMethods->xRead(f->real, out, WAL_PAGE, (page - 1) * WAL_PAGE);
	}
	if (page == 1) {
		mend_header(out, (uint32_t)f->pages);
	}
}

static int mend_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
	struct mend_file *f = (struct mend_file *)file;
	unsigned char page[WAL_PAGE];
	char *out = to;

	while (len > 0) {
		int within = (int)(at % WAL_PAGE);
		int part = WAL_PAGE - within < len ? WAL_PAGE - within : len;

		read_page(f, at / WAL_PAGE + 1, page);
		memcpy(out, page + within, (size_t)part);
		out += part;
		at += part;
		len -= part;
	}
	return SQLITE_OK;
}

static int mend_close(sqlite3_file *file)
{
	struct mend_file *f = (struct mend_file *)file;

	if (f->real->pMethods != NULL) {
		f->real->pMethods->xClose(f->real);
	}
	if (f->wal_fd >= 0) {
		close(f->wal_fd);
	}
	wal_free(&f->wal);
	mem_free(f->first);
	return SQLITE_OK;
}

static int mend_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
	(void)file, (void)from, (void)len, (void)at;
	return SQLITE_READONLY;
}

static int mend_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	(void)file, (void)size;
	return SQLITE_READONLY;
}

static int mend_size(sqlite3_file *file, sqlite3_int64 *size_r)
{
	*size_r = ((struct mend_file *)file)->pages * WAL_PAGE;
	return SQLITE_OK;
}

/* nothing - of xSync, xLock, xUnlock: nobody else uses it */
static int nothing(sqlite3_file *file, int how)
{
	(void)file, (void)how;
	return SQLITE_OK;
}

static int mend_reserved(sqlite3_file *file, int *out)
{
	(void)file;
	*out = 0;
	return SQLITE_OK;
}

static int mend_control(sqlite3_file *file, int op, void *arg)
{
	struct mend_file *f = (struct mend_file *)file;

	if (op != DB_MEND_FIRST_PAGE) {
		return SQLITE_NOTFOUND;
	}
	mem_free(f->first);
	f->first = mem_alloc(WAL_PAGE);
	memcpy(f->first, arg, WAL_PAGE);
	return SQLITE_OK;
}

static int mend_sector(sqlite3_file *file)
{
	(void)file;
	return WAL_PAGE;
}

static int mend_device(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_IMMUTABLE;
}

static const sqlite3_io_methods mend_methods = {
	.iVersion = 1,
	.xClose = mend_close,
	.xRead = mend_read,
	.xWrite = mend_write,
	.xTruncate = mend_truncate,
	.xSync = nothing,
	.xFileSize = mend_size,
	.xLock = nothing,
	.xUnlock = nothing,
	.xCheckReservedLock = mend_reserved,
	.xFileControl = mend_control,
	.xSectorSize = mend_sector,
	.xDeviceCharacteristics = mend_device,
};

/* count_pages - of the file or what its log says, whichever is more; at least one */
static void count_pages(struct mend_file *f)
{
	sqlite3_int64 size = 0;

	if (f->real->pMethods != NULL &&
		f->real->pMethods->xFileSize(f->real, &size) != SQLITE_OK) {
		size = 0;
	}
	f->pages = (size + WAL_PAGE - 1) / WAL_PAGE;
	if (f->pages < f->wal.pages) {
		f->pages = f->wal.pages;
	}
	if (f->pages < 1) {
		f->pages = 1;
	}
}

/* vfs_open - the database; every other file is the real one in its place */
static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_r)
{
	sqlite3_vfs *real = vfs->pAppData;
	struct mend_file *f = (struct mend_file *)file;
	const char *wal;
	int rc;

	if ((flags & SQLITE_OPEN_MAIN_DB) == 0) {
		return real->xOpen(real, name, file, flags, flags_r);
	}
	memset(f, 0, sizeof(*f));
	f->real = (sqlite3_file *)(f + 1);
	rc = real->xOpen(real, name, f->real, flags, flags_r);
	if (rc != SQLITE_OK) {
		return rc;
	}
	wal = sqlite3_uri_parameter(name, "wal");
	f->wal_fd = wal != NULL ? open(wal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (f->wal_fd >= 0) {
		(void)wal_read(f->wal_fd, &f->wal);
	}
	count_pages(f);
	f->base.pMethods = &mend_methods;
	return SQLITE_OK;
}

const char *db_mend_vfs(void)
{
	return db_vfs("mend", sizeof(struct mend_file), vfs_open);
}
