#ifndef MIME_CHARSET_H
#define MIME_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/utf8.h"

/*
 * Character sets, to UTF-8 and (for sending and for terminals) from it. The tables
 * are iconv(3)'s: with musl UTF-*, ASCII, ISO-8859-*, KOI8, Windows and DOS
 * code pages, GB18030, GBK, GB2312, Big5, EUC-*, Shift_JIS, ISO-2022-JP; what it lacks of
 * these, and some more sets, are in charset_more.c.
 */
struct mime_charset;

/* Converter to UTF-8, in pieces; NULL: unknown name. "" and "us-ascii" are taken as UTF-8 (bad
 * bytes become U+FFFD). */
struct mime_charset *mime_charset_open(const char *name);
void mime_charset_add(struct mime_charset *c, const char *data, size_t len, struct buf *out);
/* A torn character gives U+FFFD; the converter starts anew. */
void mime_charset_end(struct mime_charset *c, struct buf *out);
void mime_charset_close(struct mime_charset *c);

/* In one go; unknown names: as UTF-8, repaired. Returns false then. */
bool mime_to_utf8(const char *charset, const char *data, size_t len, struct buf *out);
/* From UTF-8, for many texts: some sets need a table that takes a while. NULL: unknown. */
struct mime_encoder *mime_encoder_open(const char *charset);
void mime_encoder_close(struct mime_encoder *e); /* NULL: nothing */
/* Appended to out; a character the set lacks becomes '?', and false is returned. */
bool mime_encoder_put(struct mime_encoder *e, const char *data, size_t len, struct buf *out);
/* UTF-8 to charset; a character it lacks becomes '?'. False: the charset is unknown (nothing
 * added). *lost_r (may be NULL): some became '?'. */
bool mime_from_utf8(
	const char *charset, const char *data, size_t len, struct buf *out, bool *lost_r);

/* ASCII bytes in this charset always mean ASCII and nothing else does (so that a search for ASCII
 * can work on the bytes). */
bool mime_charset_ascii(const char *name);

/* Valid UTF-8 without surrogates and overlong forms? */
bool utf8_valid(const char *s, size_t len);
void utf8_put(struct buf *out, uint32_t code);
/* Append with invalid bytes replaced by U+FFFD. */
void utf8_repair(struct buf *out, const char *s, size_t len);
/* Append folded for comparing without case (full folding: one character may become several). */
void utf8_fold(struct buf *out, const char *s, size_t len);

#endif
