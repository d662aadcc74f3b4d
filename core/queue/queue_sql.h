#ifndef QUEUE_QUEUE_SQL_H
#define QUEUE_QUEUE_SQL_H

#include <stddef.h>

#include "db/db_open.h"

/* What queue.db consists of, and what is asked of it. */

/* Statements of queue_sql.c, run by number. */
enum {
	Q_BEGIN,
	Q_BEGIN_READ,
	Q_COMMIT,
	Q_MESSAGE_ADD,
	Q_RECIPIENT_ADD,
	Q_CHUNK_ADD,
	Q_CHUNK_COUNT,
	Q_PUT_MESSAGE,
	Q_PUT_RECIPIENT,
	Q_PUT_CHUNK,
	Q_TAKE_RECIPIENTS,
	Q_TAKE_CHUNKS,
	Q_LEAVING,
	Q_LEAVING_ALL,
	Q_PARTIAL_ADD,
	Q_PARTIAL_DEL,
	Q_PARTIAL_OLD,
	Q_MESSAGE_EXISTS,
	Q_MESSAGE_DEL,
	Q_RECIPIENT_DEL_FIRST,
	Q_RECIPIENT_DEL,
	Q_CHUNK_DEL,
	Q_RECIPIENT_DONE,
	Q_RECIPIENT_DEFER,
	Q_DEFER,
	Q_STATE,
	Q_FLAGS,
	Q_GET,
	Q_NEXT,
	Q_BEFORE,
	Q_SCAN,
	Q_SITE,
	Q_LIST,
	Q_DUE,
	Q_DUE_FIRST,
	Q_RECIPIENTS,
	Q_RECIPIENT_COUNT,
	Q_RECIPIENT_LAST,
	Q_CHUNK,
	Q_TOTALS,
	Q_LAST_ID,
	Q_SET_LAST_ID,
	Q_SOURCE_ADD,
	Q_SOURCE_GET,
	Q_SOURCE_DEL,
	Q_COUNT
};

extern const char *const queue_sql[Q_COUNT];
extern const struct db_migration queue_migrations[];
extern const size_t queue_migration_count;

#endif
