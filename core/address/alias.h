#ifndef ADDRESS_ALIAS_H
#define ADDRESS_ALIAS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/*
 * Lists of destinations as they stand in aliases(5), .forward files, :include:
 * files and the right-hand sides of address tables.
 */
enum alias_kind {
	ALIAS_ADDRESS, /* user, user@domain, "quoted user"@domain, Name <user@domain> */
	ALIAS_USER,    /* \user: that user's mailbox, no aliases, no .forward */
	ALIAS_COMMAND, /* |command, "|command with, commas" */
	ALIAS_FILE,    /* /file, /maildir/ */
	ALIAS_INCLUDE  /* :include:/file */
};

struct alias_item {
	enum alias_kind kind;
	const char *text; /* without '\', '|', ":include:" and quotes */
};

/*
 * Split at commas, newlines and blanks; (comments) and the rest of lines that begin with # are
 * skipped. Number of items; the array and its texts are owned by a.
 */
size_t alias_parse(struct arena *a, const char *text, size_t len, struct alias_item **items_r);

/* Do the tables of this list belong to root, and nobody else may write to them? */
bool alias_tables_trusted(const char *list);

#endif
