#ifndef PROTO_IMAP_MAILBOX_H
#define PROTO_IMAP_MAILBOX_H

#include <stdbool.h>

#include "base/buf.h"

/* A UTF-8 name as an astring: in modified UTF-7, an atom where it can be one, else quoted. */
void imap_put_mailbox(struct buf *out, const char *utf8);

/* How a name and a LIST pattern ('*' anything, '%' anything but the separator) meet. */
enum imap_match {
	IMAP_MATCH_NO,
	IMAP_MATCH_YES,
	IMAP_MATCH_PARENT /* the name itself not, but a name below it might */
};

/* "INBOX" as the first component is compared in any case. */
enum imap_match imap_match(const char *pattern, const char *name, char separator);

#endif
