#ifndef MAIL_REMOVED_H
#define MAIL_REMOVED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/delivered.h"

/* What was taken out of a mailbox soon after it came: removed.c. */

enum { REMOVED_DAYS = 7, REMOVED_SECONDS = REMOVED_DAYS * 24 * 3600 };

struct removed_entry {
	uint64_t key;  /* removed_key() */
	uint64_t size; /* of the content, with CR LF line ends */
	int64_t time;  /* when it was taken out */
};

/*
 * Which message in which mailbox. mailbox: its real path (realpath(3)); original and recipient ""
 * (or ptr NULL) where there is none.
 */
uint64_t removed_key(
	const char *mailbox, const char *id, struct slice original, struct slice recipient);
/* The key of an entry that takes one with this key back: its message stayed. */
uint64_t removed_back(uint64_t key);
/* Is a message with this key and size taken out, by all that removed_read() gave? */
bool removed_has(const struct buf *all, uint64_t key, uint64_t size);
/*
 * Write down count entries for the user whose home this is ("": nowhere), on the disk before what
 * changes in the mailbox at that path after this.
 */
void removed_add(
	const char *home, const char *mailbox, const struct removed_entry *entries, size_t count);
/* All that is written down for that user: an array of struct removed_entry. */
void removed_read(const char *home, struct buf *out);

#endif
