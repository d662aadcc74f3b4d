/*
 * queue_view - read-only views of queue.db, for postqueue --sql
 *
 *	queue		id, state (incoming, deferred, hold, corrupt), arrival, size, sender,
 *			attempts, next_try, expire (0, 1), recipients, client, user
 *	recipients	id, address, original, domain, dsn, reason
 *	destinations	domain, messages, recipients, oldest, next_try, reason (of one of them)
 *
 *	deliveries	id, time, sender, recipient, domain, status (delivered, relayed, bounced),
 *			dsn, reason: of the last day, where delivery_history_limit has them kept
 *
 * Times are seconds since 1970; id is what mailq shows. The views are temporary ones of this
 * connection: nothing of them is in the file.
 */
#include "queue/queue_view.h"

#include <string.h>
#include <unistd.h>

#include "config/features.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "db/db_open.h"
#include "queue/queue.h"
#include "queue/queue_history.h"
#include "queue/queue_parts.h"

static const char views[] =
	"CREATE TEMP VIEW queue AS SELECT printf('%010llX', id) AS id,"
	" CASE state WHEN 0 THEN 'incoming' WHEN 1 THEN 'deferred' WHEN 2 THEN 'hold'"
	" ELSE 'corrupt' END AS state,"
	" arrival / 1000000 AS arrival, size, sender, attempts, next_try,"
	" (flags & 128) / 128 AS expire,"
	" (SELECT count(*) FROM all_recipients WHERE message = m.id AND done = 0) AS recipients,"
	" coalesce(client_addr, '') AS client, coalesce(sasl_user, '') AS user"
	" FROM all_messages AS m;"
	"CREATE TEMP VIEW recipients AS SELECT printf('%010llX', message) AS id, address,"
	" coalesce(original, address) AS original,"
	" lower(substr(address, length(rtrim(address, replace(address, '@', ''))) + 1)) AS domain,"
	" coalesce(dsn, '') AS dsn, coalesce(reason, '') AS reason"
	" FROM all_recipients WHERE done = 0;"
	"CREATE TEMP VIEW destinations AS SELECT"
	" lower(substr(address, length(rtrim(address, replace(address, '@', ''))) + 1)) AS domain,"
	" count(DISTINCT message) AS messages, count(*) AS recipients,"
	" min(arrival) / 1000000 AS oldest, min(next_try) AS next_try,"
	" coalesce(max(r.reason), '') AS reason"
	" FROM all_recipients AS r JOIN all_messages AS m ON m.id = r.message"
	" WHERE done = 0 GROUP BY 1;";

/* is_question - one that changes nothing, by its first word; the rest is refused by SQLite */
static bool is_question(const char *sql)
{
	sql += strspn(sql, " \t\r\n");
	return str_istarts(sql, "select") || str_istarts(sql, "with") || str_istarts(sql, "values");
}

/* rows - each, with the names first; 0, or -1 */
static int rows(struct db_stmt *s, int (*row)(void *, int, const char *const *), void *arg)
{
	const char *columns[QUEUE_VIEW_COLUMNS];
	int count = db_columns(s), rc = 0;

	if (count > QUEUE_VIEW_COLUMNS) {
		count = QUEUE_VIEW_COLUMNS;
	}
	for (int i = 0; i < count; i++) {
		columns[i] = db_column_name(s, i);
	}
	rc = row(arg, count, columns);
	while (rc == 0 && (rc = db_step(s)) > 0) {
		for (int i = 0; i < count; i++) {
			columns[i] = db_text(s, i);
		}
		rc = row(arg, count, columns);
	}
	return rc;
}

/*
 * join_parts - the tables of the part on the disk, or of that in memory too; what a crash left in
 * both is the disk's. 0 or -1
 */
static int join_parts(struct db *db, const char *queue_directory)
{
	static const char one[] =
		"CREATE TEMP VIEW all_messages AS SELECT * FROM main.message;"
		"CREATE TEMP VIEW all_recipients AS SELECT * FROM main.recipient;";
	static const char two[] =
		"CREATE TEMP VIEW all_messages AS SELECT * FROM main.message UNION ALL"
		" SELECT * FROM memory.message WHERE id NOT IN (SELECT id FROM main.message);"
		"CREATE TEMP VIEW all_recipients AS SELECT * FROM main.recipient UNION ALL"
		" SELECT * FROM memory.recipient WHERE message NOT IN (SELECT id FROM "
		"main.message);";
	struct buf path = BUF_INIT;
	bool there;
	int rc;

	queue_memory_directory(queue_directory, &path);
	buf_adds(&path, "/queue.db");
	there = access(buf_str(&path), R_OK) == 0;
	rc = there ? db_attach(db, buf_str(&path), "memory") : 0;
	buf_free(&path);
	return rc == 0 ? db_exec(db, there ? two : one) : -1;
}

/* add_history - the view of what was delivered, empty where nothing is kept; 0 or -1 */
static int add_history(struct db *db, const char *queue_directory)
{
	static const char none[] =
		"CREATE TEMP VIEW deliveries AS SELECT '' AS id, 0 AS time, '' AS sender,"
		" '' AS recipient, '' AS domain, '' AS status, '' AS dsn, '' AS reason WHERE 0";
	static const char some[] =
		"CREATE TEMP VIEW deliveries AS SELECT printf('%010llX', id) AS id, time, sender,"
		" recipient, lower(substr(recipient,"
		" length(rtrim(recipient, replace(recipient, '@', ''))) + 1)) AS domain,"
		" status, dsn, reason FROM history.delivery"
		" WHERE time > CAST(strftime('%s', 'now') AS INTEGER) - 86400";
	struct buf path = BUF_INIT;
	bool there;
	int rc;

	queue_history_path(queue_directory, &path);
	there = access(buf_str(&path), R_OK) == 0;
	rc = there ? db_attach(db, buf_str(&path), "history") : 0;
	buf_free(&path);
	return rc == 0 ? db_exec(db, there ? some : none) : -1;
}

int queue_select(const char *queue_directory, const char *sql,
	int (*row)(void *arg, int count, const char *const *columns), void *arg, char **error_r)
{
	struct buf path = BUF_INIT;
	struct db_stmt *s = NULL;
	struct db *db;
	int rc = -1;

	*error_r = NULL;
	if (!FEATURE_SQL) {
		*error_r = mem_strdup("this build has no FEATURE_SQL, which views need");
		return -1;
	}
	if (!is_question(sql)) {
		*error_r = mem_strdup("only SELECT can be asked");
		return -1;
	}
	buf_addf(&path, "%s/" QUEUE_SUBDIR "/queue.db", queue_directory);
	db = db_open(buf_str(&path), DB_READ, "PRAGMA temp_store=MEMORY", NULL, 0, NULL, error_r);
	buf_free(&path);
	if (db == NULL) {
		return -1;
	}
	if (join_parts(db, queue_directory) == 0 && add_history(db, queue_directory) == 0 &&
		db_exec(db, views) == 0 && (s = db_prepare(db, sql)) != NULL) {
		rc = rows(s, row, arg);
	}
	if (rc != 0) {
		*error_r = mem_strdup(db_error(db));
	}
	if (s != NULL) {
		db_finish(s);
	}
	db_close(db);
	return rc;
}
