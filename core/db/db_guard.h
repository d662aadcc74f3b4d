#ifndef DB_DB_GUARD_H
#define DB_DB_GUARD_H

/*
 * Root opens databases in places of others' (queue.db, tables of users): SQLite opens and removes
 * files by path whenever it needs them, also long after the database was opened (the log, its
 * index, a journal). For root each of these is done with the rights of whoever can say where the
 * path leads (base/identity.h). To be called before each sqlite3_open_v2(); only the first does
 * something.
 */
void db_guard(void);

#endif
