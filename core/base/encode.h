#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* RFC 4648 base64, no line breaks. */
void base64_encode(struct buf *out, const void *data, size_t len);
/*
 * Strict: the alphabet, right padding, no other byte. False: not base64 (out
 * may hold a part).
 */
bool base64_decode(struct buf *out, const char *text, size_t len);
void hex_encode(struct buf *out, const void *data, size_t len); /* lower case */
bool hex_decode(struct buf *out, const char *text, size_t len);
/* RFC 3461 section 4 xtext. */
void xtext_encode(struct buf *out, const char *text);
bool xtext_decode(struct buf *out, const char *text, size_t len);
/* text as a JSON string, quotes included (RFC 8259 section 7); what is not UTF-8 as U+FFFD. */
void json_encode(struct buf *out, const char *text);

#endif
