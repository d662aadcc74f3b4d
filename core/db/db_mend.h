#ifndef DB_DB_MEND_H
#define DB_DB_MEND_H

/*
 * The name of a VFS that shows a damaged database as whole as can be, read-only, made at the first
 * call; NULL: there is none. A file of it is opened by a URI with wal=PATH.
 */
const char *db_mend_vfs(void);

/* sqlite3_file_control(): a first page (const unsigned char *, 4096 bytes) instead of its own. */
enum { DB_MEND_FIRST_PAGE = 0x6d656e64 };

#endif
