#ifndef MAP_MAP_BLOCK_H
#define MAP_MAP_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * The rows of a block of name.db, in key order, each:
 *
 *	shared	rest	value_len	rest bytes	value bytes
 *
 * shared: how many bytes of the key before it this key begins with; numbers
 * are 7 bits a byte, low ones first, the high bit saying that more follow. See map_build.c.
 */
enum {
	MAP_APPLICATION_ID = 0x50424d31, /* "PBM1" */
	/*
	 * A row of up to 1,002 bytes stays in the page of a WITHOUT ROWID table of 4 KB
	 * pages (SQLite file format, 1.5 and 1.6); four such fill it. The block's first key is
	 * stored beside it.
	 */
	MAP_BLOCK_ROOM = 985
};

struct block_row {
	size_t shared;
	const char *rest, *value;
	size_t rest_len, value_len;
};

#endif
