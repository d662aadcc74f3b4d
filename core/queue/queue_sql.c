/*
 * queue_sql - the schema of queue.db and every statement on it
 *
 * message	one row a mail. id is the primary key and rises with time, so new
 *		rows go to the right edge of the tree, where the pages are warm.
 * message_due	deferred mail only: what is delivered at once never touches it.
 * recipient	keyed (message, n), so that a message's recipients lie together.
 * recipient_site	by domain, those that wait and have a reason: flushes of one site.
 * chunk	content in pieces of 64 KB, keyed id << 13 | piece.
 * partial	messages some of whose chunks were stored before their end; a crash
 *		leaves their rows behind, and this says which they are.
 * source	names of maildrop files whose message is in (or was in) the queue while
 *		the file is still there.
 * meta		"last_id": the highest id given while the clock was behind.
 *
 * Numbers of states are those of enum queue_state.
 */
#include "base/str.h"
#include "queue/queue_internal.h"

/* The domain: what stands behind the last '@'. Of the index and of who uses it, word for word. */
#define SITE_OF_ADDRESS \
	"lower(substr(address, length(rtrim(address, replace(address, '@', ''))) + 1))"

const struct db_migration queue_migrations[] = {
	{ 1,
		"CREATE TABLE message ("
		" id INTEGER PRIMARY KEY, state INTEGER NOT NULL, next_try INTEGER NOT NULL,"
		" attempts INTEGER NOT NULL, flags INTEGER NOT NULL, arrival INTEGER NOT NULL,"
		" size INTEGER NOT NULL, sender TEXT NOT NULL, envid TEXT, full_name TEXT,"
		" client_name TEXT, client_addr TEXT, helo TEXT, proto TEXT, sasl_user TEXT, "
		"reason "
		"TEXT);"
		"CREATE INDEX message_due ON message (next_try, id) WHERE state = 1;"
		"CREATE TABLE recipient ("
		" message INTEGER NOT NULL, n INTEGER NOT NULL, done INTEGER NOT NULL,"
		" notify INTEGER NOT NULL, address TEXT NOT NULL, original TEXT, orcpt TEXT,"
		" dsn TEXT, reason TEXT, PRIMARY KEY (message, n)) WITHOUT ROWID;"
		"CREATE TABLE chunk (k INTEGER PRIMARY KEY, data BLOB NOT NULL);"
		"CREATE TABLE partial (id INTEGER PRIMARY KEY);"
		"CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;" },
	{ 2,
		"CREATE TABLE source (name TEXT PRIMARY KEY, message INTEGER NOT NULL) WITHOUT "
		"ROWID;" },
	{ 3,
		/* What has no reason yet costs nothing here: mail that goes at once never does. */
		"CREATE INDEX recipient_site ON recipient (" SITE_OF_ADDRESS ")"
		" WHERE done = 0 AND dsn IS NOT NULL;" },
};

const size_t queue_migration_count = ARRAY_LEN(queue_migrations);

#define MESSAGE_COLUMNS                                                                  \
	"id, state, next_try, attempts, flags, arrival, size, sender, envid, full_name," \
	" client_name, client_addr, helo, proto, sasl_user, reason"

#define RECIPIENT_COLUMNS "message, n, done, notify, address, original, orcpt, dsn, reason"

const char *const queue_sql[Q_COUNT] = {
	[Q_BEGIN] = "BEGIN IMMEDIATE",
	[Q_BEGIN_READ] = "BEGIN",
	[Q_COMMIT] = "COMMIT",

	[Q_MESSAGE_ADD] = "INSERT INTO message (" MESSAGE_COLUMNS ")"
			  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
			  "?15, ?16)",
	[Q_RECIPIENT_ADD] = "INSERT INTO recipient (" RECIPIENT_COLUMNS ")"
			    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[Q_CHUNK_ADD] = "INSERT OR REPLACE INTO chunk (k, data) VALUES (?1, ?2)",
	/* What moves from one part of the queue into the other. */
	[Q_PUT_MESSAGE] = "INSERT OR REPLACE INTO message (" MESSAGE_COLUMNS ")"
			  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
			  "?15, ?16)",
	[Q_PUT_RECIPIENT] = "INSERT OR REPLACE INTO recipient (" RECIPIENT_COLUMNS ")"
			    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[Q_PUT_CHUNK] = "INSERT OR REPLACE INTO chunk (k, data) VALUES (?1, ?2)",
	[Q_TAKE_RECIPIENTS] = "SELECT " RECIPIENT_COLUMNS " FROM recipient WHERE message = ?1",
	[Q_TAKE_CHUNKS] = "SELECT k, data FROM chunk WHERE k >= ?1 AND k < ?2 ORDER BY k",
	[Q_LEAVING] = "SELECT id FROM message WHERE state <> 0 ORDER BY id LIMIT ?1",
	[Q_LEAVING_ALL] = "SELECT id FROM message ORDER BY id LIMIT ?1",
	[Q_CHUNK_COUNT] = "SELECT count(*) FROM chunk WHERE k >= ?1 AND k < ?2",
	[Q_PARTIAL_ADD] = "INSERT OR IGNORE INTO partial (id) VALUES (?1)",
	[Q_PARTIAL_DEL] = "DELETE FROM partial WHERE id = ?1",
	[Q_PARTIAL_OLD] = "SELECT id FROM partial WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT 1",
	[Q_MESSAGE_EXISTS] = "SELECT 1 FROM message WHERE id = ?1",

	[Q_SOURCE_ADD] = "INSERT INTO source (name, message) VALUES (?1, ?2)",
	[Q_SOURCE_GET] = "SELECT 1 FROM source WHERE name = ?1",
	[Q_SOURCE_DEL] = "DELETE FROM source WHERE name = ?1",

	[Q_MESSAGE_DEL] = "DELETE FROM message WHERE id = ?1",
	/* By its whole key: SQLite keeps no copies of pages against a failure half-way. */
	[Q_RECIPIENT_DEL_FIRST] = "DELETE FROM recipient WHERE message = ?1 AND n = 0",
	[Q_RECIPIENT_DEL] = "DELETE FROM recipient WHERE message = ?1",
	[Q_CHUNK_DEL] = "DELETE FROM chunk WHERE k >= ?1 AND k < ?2",

	[Q_RECIPIENT_DONE] = "UPDATE recipient SET done = 1, dsn = NULL, reason = NULL"
			     " WHERE message = ?1 AND n = ?2",
	[Q_RECIPIENT_DEFER] = "UPDATE recipient SET dsn = ?3, reason = ?4 WHERE message = ?1 AND n "
			      "= ?2",
	/* One that was put on hold meanwhile stays there. */
	[Q_DEFER] = "UPDATE message SET state = CASE state WHEN 2 THEN 2 ELSE 1 END, next_try = "
		    "CASE state WHEN 2 THEN next_try ELSE ?2 END, attempts = attempts + 1, reason "
		    "= ?3"
		    " WHERE id = ?1",
	[Q_STATE] = "UPDATE message SET state = ?2, next_try = ?3 WHERE id = ?1",
	[Q_FLAGS] = "UPDATE message SET flags = flags | ?2 WHERE id = ?1",

	[Q_GET] = "SELECT " MESSAGE_COLUMNS " FROM message WHERE id = ?1",
	[Q_NEXT] = "SELECT " MESSAGE_COLUMNS " FROM message WHERE id > ?1 ORDER BY id LIMIT 1",
	[Q_BEFORE] = "SELECT " MESSAGE_COLUMNS " FROM message WHERE id < ?1 ORDER BY id DESC LIMIT "
		     "1",
	[Q_SCAN] =
		"SELECT id, next_try, state, flags FROM message WHERE id > ?1 ORDER BY id LIMIT ?2",
	[Q_SITE] = "SELECT DISTINCT message FROM recipient WHERE " SITE_OF_ADDRESS " = lower(?1)"
		   " AND done = 0 AND dsn IS NOT NULL AND message > ?2 ORDER BY message LIMIT ?3",
	[Q_LIST] = "SELECT m.id, m.state, m.next_try, m.flags, m.arrival, m.size, m.sender, "
		   "m.reason,"
		   " r.n, r.address, r.original, r.dsn, r.reason FROM recipient r CROSS JOIN "
		   "message m"
		   " ON m.id = r.message WHERE (r.message, r.n) > (?1, ?2) AND r.done = 0"
		   " ORDER BY r.message, r.n LIMIT ?3",
	[Q_DUE] = "SELECT id, next_try, state, 0 FROM message WHERE state = 1 AND (next_try, id) > "
		  "(?1, ?2)"
		  " AND next_try <= ?3 ORDER BY next_try, id LIMIT ?4",
	[Q_DUE_FIRST] = "SELECT next_try FROM message WHERE state = 1 AND (next_try, id) > (?1, ?2)"
			" ORDER BY next_try, id LIMIT 1",
	[Q_RECIPIENTS] = "SELECT n, done, notify, address, original, orcpt, dsn, reason FROM "
			 "recipient"
			 " WHERE message = ?1 AND n >= ?2 AND done <= ?3 ORDER BY n LIMIT ?4",
	[Q_RECIPIENT_COUNT] = "SELECT count(*) FROM recipient WHERE message = ?1 AND done = 0",
	[Q_RECIPIENT_LAST] = "SELECT n FROM recipient WHERE message = ?1 ORDER BY n DESC LIMIT 1",
	[Q_CHUNK] = "SELECT data FROM chunk WHERE k = ?1",
	[Q_TOTALS] = "SELECT count(*), total(size) FROM message",

	[Q_LAST_ID] = "SELECT max(coalesce((SELECT max(id) FROM message), 0),"
		      " coalesce((SELECT max(k) >> 13 FROM chunk), 0),"
		      " coalesce((SELECT value FROM meta WHERE name = 'last_id'), 0))",
	[Q_SET_LAST_ID] = "INSERT OR REPLACE INTO meta (name, value) VALUES ('last_id', ?1)",
};
