#ifndef APPLETS_READ_IMAPD_SYNC_H
#define APPLETS_READ_IMAPD_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "applets/read/imapd/imapd.h"

/* Tell what changed since the last time; expunges only when they may be told. */
void imapd_sync(struct imapd *s, struct buf *out, bool expunges);
/* "* FLAGS" and PERMANENTFLAGS when there are keywords the client does not know; force: always. */
void tell_keywords(struct imapd *s, struct buf *out, bool force);
/*
 * A command that enables CONDSTORE: from here on to the end of the connection; the first time the
 * client hears of the mailbox's HIGHESTMODSEQ (RFC 7162 3.1).
 */
void imapd_condstore(struct imapd *s, struct buf *out);
/* "* n FETCH (FLAGS ...)". */
void tell_flags_of(struct imapd *s, struct buf *out, uint32_t seq);

#endif
