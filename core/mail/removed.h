#ifndef MAIL_REMOVED_H
#define MAIL_REMOVED_H

#include "base/buf.h"
#include "mail/delivered.h"

/* What was taken out of a mailbox soon after it came: removed.c. */

enum { REMOVED_DAYS = 7, REMOVED_SECONDS = REMOVED_DAYS * 24 * 3600 };

struct removed_entry {
	uint64_t key; /* removed_key() */
	uint64_t sum; /* of the content: delivered_sum_end() */
	int64_t time; /* when it was taken out */
};

/*
 * Which message in which mailbox. mailbox: its real path (realpath(3)); original and recipient ""
 * (or ptr NULL) where there is none.
 */
uint64_t removed_key(
	const char *mailbox, const char *id, struct slice original, struct slice recipient);
/* Write down count entries for the user whose home this is; "": nowhere. */
void removed_add(const char *home, const struct removed_entry *entries, size_t count);
/* All that is written down for that user: an array of struct removed_entry. */
void removed_read(const char *home, struct buf *out);

#endif
