#ifndef MIME_STRUCTURE_H
#define MIME_STRUCTURE_H

#include "base/buf.h"
#include "mime/part.h"

/*
 * ENVELOPE and BODY/BODYSTRUCTURE as IMAP writes them (RFC 3501 7.4.2), without
 * the item's name. Text stays as in the message (encoded words included).
 */
void mime_envelope_put(struct buf *out, const struct mime_part *message);
void mime_structure_put(struct buf *out, const struct mime_part *part, bool extended);

/* IMAP strings: quoted, or a literal when that cannot be; NULL: NIL. */
void imap_put_string(struct buf *out, const char *s, size_t len);

#endif
