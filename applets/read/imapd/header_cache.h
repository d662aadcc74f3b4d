#ifndef APPLETS_READ_IMAPD_HEADER_CACHE_H
#define APPLETS_READ_IMAPD_HEADER_CACHE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"
#include "proto/imap_fetch.h"
#include "mail/mailbox.h"

/*
 * The header fields that mail programs show in lists, kept in the index beside the
 * structures, so that listing and searching a mailbox need not open its messages.
 */

/* Is a field (any case) among those that are kept? */
bool header_cache_keeps(const char *field);
/* Can the section be made from kept fields alone? */
bool header_cache_serves(const struct imap_section *sec);
/* The kept fields of a message as a header in wire form; false: not in the cache. */
bool header_cache_get(struct mailbox_view *v, uint32_t uid, struct buf *out);
/* Keep those of a message whose whole header is given. */
void header_cache_put(struct mailbox_view *v, uint32_t uid, struct slice header);

#endif
