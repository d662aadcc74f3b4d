#ifndef APPLETS_READ_IMAPD_STATUS_H
#define APPLETS_READ_IMAPD_STATUS_H

#include <stdbool.h>

#include "applets/read/imapd/imapd.h"

/* STATUS items, also of LIST ... RETURN (STATUS ...): parse "(MESSAGES ...)", write "* STATUS". */
bool status_items(struct imap_args *a, unsigned *items_r);
int put_status(struct imapd *s, struct buf *out, const char *name, unsigned items);

/* Make what mailbox { auto = create } names, once a session. */
void imapd_auto_create(struct imapd *s);

#endif
