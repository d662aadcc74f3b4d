#ifndef MAIL_MAILBOX_APPEND_H
#define MAIL_MAILBOX_APPEND_H

#include "mail/mailbox_state.h"

/* Messages on their way into a folder. */

struct append_item {
	uint64_t offset, len; /* within the spool, LF line ends */
	unsigned flags;
	char *keywords; /* names, blank-separated; NULL none */
	time_t received;
	char *sender;
};

struct mail_append {
	struct mailstore *ms;
	struct mailbox *mb;
	struct append_item *items;
	size_t count, cap;
	bool last_cr;      /* a CR was seen, not known what follows */
	struct buf memory; /* the spool, or when it got large: */
	int fd;            /* a nameless file, -1 none */
	uint64_t spooled;
};

/* Bytes of the spool; fewer than len only at its end. -1 on error. */
int64_t append_read(struct mail_append *a, uint64_t offset, void *data, size_t len);

#endif
