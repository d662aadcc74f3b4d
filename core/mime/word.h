#ifndef MIME_WORD_H
#define MIME_WORD_H

#include "base/buf.h"
#include "base/str.h"

/*
 * Append header text as UTF-8: folds undone, encoded words (RFC 2047) decoded,
 * blanks between two of them dropped, other 8-bit bytes repaired (fallback: their
 * charset, NULL for UTF-8). Serves unstructured fields, phrases and comments.
 */
void mime_words_decode(struct buf *out, struct slice text, const char *fallback);

/*
 * Append UTF-8 text as header text: ASCII as it is, words with other bytes as encoded
 * words (UTF-8, Q or B whichever is shorter), folded with "\n " so that lines stay below 76; column
 * is where the first line stands. phrase: for display names (RFC 2047 5 (3)): quotes
 * ASCII text where it must be.
 */
void mime_words_encode(struct buf *out, struct slice text, size_t column, bool phrase);

#endif
