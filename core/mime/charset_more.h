#ifndef MIME_CHARSET_MORE_H
#define MIME_CHARSET_MORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * What mail uses and musl's iconv(3) lacks: some character sets, parts of others, and the way from
 * UTF-8 into the double-byte sets of China, Taiwan and Korea. With FEATURE_CHARSETS only.
 */
enum charset_more { MORE_NONE, MORE_CP932, MORE_CP874, MORE_MAC, MORE_KR, MORE_GB18030 };

/* The name as iconv knows it; *kind_r: what it lacks. */
const char *charset_more_name(const char *name, enum charset_more *kind_r);

enum { MORE_ICONV = -1 }; /* not a character: *piece is iconv's */
struct charset_piece {
	int32_t code;  /* the character; 0 none (a shift); MORE_ICONV */
	size_t len;    /* bytes of the input it takes; 0: torn */
	char bytes[4]; /* for iconv, iconv_len of them */
	size_t iconv_len;
};
/* The next character of s (len is not 0); *shifted is the state, false at first. */
void charset_more_next(
	enum charset_more kind, bool *shifted, const char *s, size_t len, struct charset_piece *p);

/* From Unicode into GBK, GB18030, GB2312, Big5 or EUC-KR; NULL: another name. 130 KB while open. */
struct charset_table;
struct charset_table *charset_table_open(const char *name);
void charset_table_close(struct charset_table *t);
/* False: the set lacks the character (nothing is added). */
bool charset_table_put(const struct charset_table *t, uint32_t code, struct buf *out);

#endif
