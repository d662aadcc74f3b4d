#ifndef APPLETS_READ_MAIL_ATTACH_H
#define APPLETS_READ_MAIL_ATTACH_H

#include <stdbool.h>

#include "base/str.h"

struct buf;
struct mail_state;
struct mime_part;

/*
 * Write the attachments of messages to files: asked for by name on a terminal, else those that have
 * a name, in the current directory; a file that is there is never written over. False: said.
 */
bool attachments_save(struct mail_state *mail, const unsigned *list);
/* The name of a part's file, as its header has it: decoded, empty when it has none. */
void attachment_name(struct buf *out, const struct mime_part *p, struct slice header);

#endif
