#ifndef DB_WAL_H
#define DB_WAL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A write-ahead log of SQLite, read by ourselves: where it is damaged SQLite goes on with what is
 * before the damage and overwrites the rest. A frame's checksum goes on from that of the frame
 * before, whose value stands in the log: so frames behind a damaged one can still be told to be
 * whole.
 *
 * File format: sqlite.org/fileformat2.html#the_write_ahead_log.
 */
enum { WAL_PAGE = 4096, WAL_HEADER = 32, WAL_FRAME_HEADER = 24 };

struct wal {
	uint32_t *frame_of; /* by page: number of its newest whole frame + 1, 0 none */
	uint32_t pages;     /* of the database after the last whole commit */
	uint32_t commits;   /* that SQLite finds */
	uint32_t lost;      /* whole ones behind the damage, which it does not */
	uint32_t bad;       /* frames that are not whole, before the last commit that is */
	bool unfinished;    /* behind all these the end of a commit that is not whole */
	bool header_bad;
};

/* Read the log fd (its pages are WAL_PAGE bytes). False: it holds no commit; w is empty then. */
bool wal_read(int fd, struct wal *w);
void wal_free(struct wal *w);
/* Where in the log page (from 1) is; -1: it is not there. */
int64_t wal_offset(const struct wal *w, uint32_t page);

#endif
