/*
 * test_db - the SQLite wrapper: statements, kinds of errors, migration
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "db/db_open.h"
#include "store_util.h"
#include "unit.h"

enum { Q_ADD, Q_GET, Q_BAD };

static const char *const sql[] = {
	[Q_ADD] = "INSERT INTO t VALUES (?1, ?2)",
	[Q_GET] = "SELECT v FROM t WHERE k >= ?1 ORDER BY k",
	[Q_BAD] = "SELECT a FROM nowhere",
};

static const struct db_migration migrations[] = {
	{ 1, "CREATE TABLE t (k INTEGER PRIMARY KEY, v)" },
	{ 2, "CREATE TABLE u (a); INSERT INTO u VALUES (7)" },
};

static const char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", unit_tmpdir(), name);
	return path;
}

static struct db *open_new(unsigned flags)
{
	char *error = NULL;
	struct db *db = db_open(path_of("t.db"), flags, NULL, sql, ARRAY_LEN(sql), NULL, &error);

	if (db == NULL) {
		CHECK_STR(error, NULL);
	}
	REQUIRE(db != NULL);
	return db;
}

TEST(db, statements)
{
	struct db *db = open_new(DB_CREATE | DB_WAL);
	struct db_stmt *s;
	struct stat st;
	size_t len;

	CHECK_STR(db_journal_mode(db), "wal");
	REQUIRE(db_migrate(db, migrations, 2) == 0);
	CHECK_INT(db_run(db, Q_ADD, "is", (int64_t)1, "text"), 0);
	CHECK_INT(db_run(db, Q_ADD, "db", 2, (const void *)"a\0b", (size_t)3), 0);
	CHECK_INT(db_run(db, Q_ADD, "ub", (uint64_t)3, (const void *)NULL, (size_t)0), 0);
	CHECK_INT(db_run(db, Q_ADD, "is", (int64_t)4, (const char *)NULL), 0);
	CHECK_INT(db_last_rowid(db), 4);
	CHECK_INT(db_changes(db), 1);
	s = db_start(db, Q_GET, "i", (int64_t)1);
	CHECK_INT(db_step(s), 1);
	CHECK_STR(db_text(s, 0), "text");
	CHECK_INT(db_step(s), 1);
	CHECK(memcmp(db_blob(s, 0, &len), "a\0b", 3) == 0 && len == 3);
	CHECK_INT(db_step(s), 1);
	CHECK_STR(db_blob(s, 0, &len), "");
	CHECK(len == 0 && !db_is_null(s, 0));
	CHECK_INT(db_step(s), 1);
	CHECK(db_is_null(s, 0));
	CHECK_STR(db_text(s, 0), "");
	CHECK_INT(db_step(s), 0);
	/* The same statement again, and left in the middle. */
	s = db_start(db, Q_GET, "i", (int64_t)4);
	CHECK_INT(db_step(s), 1);
	db_reset(s);
	db_close(db);
	REQUIRE(stat(path_of("t.db"), &st) == 0);
	CHECK_INT(st.st_mode & 0777, 0600);
}

TEST(db, errors)
{
	struct db *db = open_new(DB_CREATE);

	REQUIRE(db_migrate(db, migrations, 2) == 0);
	CHECK_INT(db_run(db, Q_ADD, "is", (int64_t)1, "a"), 0);
	CHECK_INT(db_run(db, Q_ADD, "is", (int64_t)1, "b"), -1);
	CHECK_INT(db_fault(db), DB_FAULT_CONSTRAINT);
	CHECK(strstr(db_error(db), "t.db: UNIQUE constraint failed") != NULL);
	CHECK_INT(db_run(db, Q_BAD, ""), -1);
	CHECK(strstr(db_error(db), "no such table: nowhere") != NULL);
	CHECK_INT(db_exec(db, "nonsense"), -1);
	CHECK(db_prepare(db, "") == NULL);
	CHECK(db_prepare(db, "SELECT 'open") == NULL);
	db_close(db);
}

TEST(db, transactions)
{
	struct db *db = open_new(DB_CREATE);
	int64_t count = -1;

	REQUIRE(db_migrate(db, migrations, 2) == 0);
	REQUIRE(db_begin(db) == 0);
	CHECK(db_in_transaction(db));
	CHECK_INT(db_run(db, Q_ADD, "is", (int64_t)1, "a"), 0);
	db_rollback(db);
	CHECK(!db_in_transaction(db));
	if (db_exec_int(db, "SELECT count(*) FROM t", &count) != 0) {
		CHECK_STR(db_error(db), "");
	}
	CHECK_INT(count, 0);
	REQUIRE(db_begin(db) == 0);
	CHECK_INT(db_run(db, Q_ADD, "is", (int64_t)1, "a"), 0);
	CHECK_INT(db_commit(db), 0);
	if (db_exec_int(db, "SELECT count(*) FROM t", &count) != 0) {
		CHECK_STR(db_error(db), "");
	}
	CHECK_INT(count, 1);
	CHECK_INT(db_exec_int(db, "SELECT k FROM t WHERE k > 1", &count), -1);
	db_close(db);
}

TEST(db, migration)
{
	struct db *db = open_new(DB_CREATE);
	int64_t value = 0;

	CHECK_INT(db_migrate(db, migrations, 1), 0);
	CHECK_INT(db_exec_int(db, "SELECT a FROM u", &value), -1);
	CHECK_INT(db_migrate(db, migrations, 2), 0);
	CHECK_INT(db_migrate(db, migrations, 2), 0);
	CHECK_INT(db_exec_int(db, "SELECT sum(a) FROM u", &value), 0);
	CHECK_INT(value, 7);
	CHECK_INT(db_exec_int(db, "PRAGMA user_version", &value), 0);
	CHECK_INT(value, 2);
	CHECK_INT(db_migrate(db, migrations, 1), -1);
	CHECK_INT(db_fault(db), DB_FAULT_NEWER);
	CHECK(strstr(db_error(db), "schema version 2 is newer") != NULL);
	db_close(db);
}

/* try_open - the kind of error */
static enum db_fault try_open(const char *path, unsigned flags)
{
	enum db_fault fault = DB_FAULT_NONE;
	char *error = NULL;
	struct db *db = db_open(path, flags, NULL, NULL, 0, &fault, &error);

	CHECK((db == NULL) == (error != NULL));
	CHECK(db != NULL || str_starts(error, path));
	mem_free(error);
	db_close(db);
	return fault;
}

TEST(db, opening)
{
	char junk[4096];
	FILE *fp;

	CHECK_INT(try_open(path_of("none.db"), DB_READ), DB_FAULT_MISSING);
	CHECK_INT(try_open(path_of("none.db"), DB_WRITE), DB_FAULT_MISSING);
	CHECK_INT(try_open(path_of("none/none.db"), DB_CREATE), DB_FAULT_MISSING);
	memset(junk, 'x', sizeof(junk));
	fp = fopen(path_of("junk.db"), "w");
	REQUIRE(fp != NULL && fwrite(junk, 1, sizeof(junk), fp) == sizeof(junk));
	fclose(fp);
	CHECK_INT(try_open(path_of("junk.db"), DB_READ), DB_FAULT_CORRUPT);
	CHECK_INT(try_open(path_of("junk.db"), DB_WRITE | DB_WAL), DB_FAULT_CORRUPT);
	CHECK_INT(try_open(path_of("odd ?name%41#.db"), DB_CREATE), DB_FAULT_NONE);
	CHECK_INT(try_open(path_of("odd ?name%41#.db"), DB_READ | DB_IMMUTABLE), DB_FAULT_NONE);
}

/* A lock held by another process is told as such, within the time given. */
TEST(db, busy)
{
	struct db *db = open_new(DB_CREATE | DB_WAL), *other;
	int ready[2], done[2], status;
	char byte;
	pid_t pid;

	REQUIRE(db_migrate(db, migrations, 2) == 0 && pipe(ready) == 0 && pipe(done) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		other = open_new(DB_WRITE);
		status = db_begin(other);
		if (write(ready[1], "r", 1) != 1 || read(done[0], &byte, 1) != 1) {
			status = 1;
		}
		db_close(other);
		_exit(status != 0);
	}
	CHECK_INT(read(ready[0], &byte, 1), 1);
	db_set_busy_timeout(db, 20);
	CHECK_INT(db_begin(db), -1);
	CHECK_INT(db_fault(db), DB_FAULT_BUSY);
	CHECK_INT(write(done[1], "d", 1), 1);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK_INT(db_begin(db), 0);
	db_rollback(db);
	db_close(db);
}

TEST(db, full)
{
	struct db *db = open_new(DB_CREATE);
	char page[4096] = "";
	int rc = 0;

	REQUIRE(db_migrate(db, migrations, 2) == 0);
	REQUIRE(db_exec(db, "PRAGMA max_page_count=10") == 0);
	for (int64_t i = 0; i < 20 && rc == 0; i++) {
		rc = db_run(db, Q_ADD, "ib", i, (const void *)page, sizeof(page));
	}
	CHECK_INT(rc, -1);
	CHECK(db_is_full(db));
	db_close(db);
}

/* A pause takes the pages of the cache away, in the middle of a statement and of a transaction. */
TEST(db, trim)
{
	struct db *db = open_new(DB_CREATE | DB_WAL | DB_COMBINE);
	char page[4096] = "x";
	struct db_stmt *s;
	int64_t count = 0;

	REQUIRE(db_migrate(db, migrations, 2) == 0);
	REQUIRE(db_begin(db) == 0);
	for (int64_t i = 0; i < 20; i++) {
		CHECK_INT(db_run(db, Q_ADD, "ib", i, (const void *)page, sizeof(page)), 0);
		mem_trim();
	}
	CHECK_INT(db_commit(db), 0);
	s = db_start(db, Q_GET, "i", (int64_t)0);
	while (db_step(s) == 1) {
		mem_trim();
		count++;
	}
	CHECK_INT(count, 20);
	db_close(db);
	mem_trim();
}

/* put_rows - count rows of a page each, from number from on, in an open transaction */
static void put_rows(struct db *db, int64_t from, int64_t count)
{
	char page[4000];

	memset(page, 'p', sizeof(page));
	for (int64_t i = from; i < from + count; i++) {
		CHECK_INT(db_run(db, Q_ADD, "ib", i, (const void *)page, sizeof(page)), 0);
	}
}

/*
 * What a transaction had spilled into the log and gathered is gone when it is rolled back: written
 * later, it would be over what others committed in its place meanwhile.
 */
TEST(db, rolled_back_writes)
{
	enum { FLAGS = DB_CREATE | DB_WAL | DB_COMBINE };
	struct db *one = open_new(FLAGS), *two, *three;
	int64_t count = 0, sum = 0;

	REQUIRE(db_migrate(one, migrations, 2) == 0);
	two = open_new(FLAGS);
	/* With all in the database nothing is read from the log, which would write what waits. */
	REQUIRE(db_exec(one, "PRAGMA cache_size=5; PRAGMA wal_checkpoint(TRUNCATE)") == 0);
	REQUIRE(db_exec(two, "PRAGMA wal_autocheckpoint=0") == 0);
	REQUIRE(db_begin(one) == 0);
	put_rows(one, 1000, 40);
	db_rollback(one);
	REQUIRE(db_begin(two) == 0);
	put_rows(two, 1, 100);
	REQUIRE(db_commit(two) == 0);
	CHECK_INT(db_exec_int(one, "SELECT count(*) FROM t", &count), 0);
	three = open_new(FLAGS);
	CHECK_INT(db_exec_int(three, "SELECT sum(k) FROM t", &sum), 0);
	CHECK_INT(sum, 5050);
	db_close(one);
	db_close(two);
	db_close(three);
}

static int64_t rows(struct db *db)
{
	int64_t count = -1;

	if (db_exec_int(db, "SELECT count(*) FROM t", &count) != 0) {
		CHECK_STR(db_error(db), "");
	}
	return count;
}

/* said - how often the log speaks of the fallback */
static int said(const char *path)
{
	char *text = file_read(path, 100000, NULL);
	int count = 0;

	for (const char *at = text; at != NULL; count += at != NULL) {
		at = strstr(at + (at != text), "no shared memory");
	}
	mem_free(text);
	return count;
}

/* A new database where nothing can be mapped shared: several handles write, it is said once. */
TEST(db, without_shared_mmap)
{
	char path[512];
	struct db *one, *two;

	snprintf(path, sizeof(path), "%s", path_of("log"));
	REQUIRE(log_open_file(path) == 0);
	refuse_shared_mmap();
	one = open_new(DB_CREATE | DB_WAL);
	CHECK_STR(db_journal_mode(one), "truncate");
	REQUIRE(db_migrate(one, migrations, 2) == 0);
	two = open_new(DB_CREATE | DB_WAL);
	CHECK_STR(db_journal_mode(two), "truncate");
	for (int i = 0; i < 10; i++) {
		CHECK_INT(db_run(i % 2 ? one : two, Q_ADD, "ds", i, "x"), 0);
	}
	CHECK_INT(rows(one), 10);
	CHECK_INT(rows(two), 10);
	CHECK_INT(said(path), 1);
	db_close(one);
	db_close(two);
}

/* One with a log that was moved there: what the log holds is not lost. */
TEST(db, log_without_shared_mmap)
{
	char path[512];
	struct db *db;
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s", path_of("log"));
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) { /* ends without closing: the rows are in the log alone */
		db = open_new(DB_CREATE | DB_WAL);
		if (db_migrate(db, migrations, 2) != 0 || db_run(db, Q_ADD, "ds", 1, "x") != 0) {
			_exit(1);
		}
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
	REQUIRE(log_open_file(path) == 0);
	refuse_shared_mmap();
	db = open_new(DB_CREATE | DB_WAL);
	CHECK_INT(rows(db), 1);
	CHECK_STR(db_journal_mode(db), "truncate");
	CHECK_INT(db_run(db, Q_ADD, "ds", 2, "x"), 0);
	CHECK_INT(said(path), 1);
	db_close(db);
	db = open_new(DB_READ);
	CHECK_INT(rows(db), 2);
	db_close(db);
}
