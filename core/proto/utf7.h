#ifndef PROTO_UTF7_H
#define PROTO_UTF7_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Modified UTF-7 of mailbox names, on the wire and on disk: RFC 3501 5.1.3. */

/* Appends to out. False: not UTF-8, or a NUL in it (out may hold a part). */
bool utf7_encode(struct buf *out, const char *utf8, size_t len);
/* False: not modified UTF-7, or not in its only form (out may hold a part). */
bool utf7_decode(struct buf *out, const char *text, size_t len);

#endif
