#ifndef PROTO_IMAP_PARSE_H
#define PROTO_IMAP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/arena.h"
#include "base/str.h"

/*
 * The grammar of command arguments (RFC 3501 9) over a whole command as imap_read.h
 * collects it. Every function takes what it names off the front; on false nothing
 * useful was there, error says what was expected, and the command is BAD.
 */
struct imap_args {
	const char *p, *end;
	struct arena *arena; /* strings that are decoded live here */
	const char *error;   /* the first one */
};

void imap_args_init(struct imap_args *a, struct arena *arena, const char *text, size_t len);
/* Set error unless one is set; always false. */
bool imap_args_fail(struct imap_args *a, const char *error);

bool imap_args_end(struct imap_args *a);                /* nothing is left */
bool imap_args_space(struct imap_args *a);              /* the blank between arguments */
bool imap_args_peek(const struct imap_args *a, char c); /* the next byte is c; no error */
bool imap_args_char(struct imap_args *a, char c);       /* the same, taken; no error */
/* The word is next (any case, and not part of a longer atom): taken; no error. */
bool imap_args_word(struct imap_args *a, const char *word);

/* ATOM-CHARs, at least one. */
bool imap_args_atom(struct imap_args *a, struct slice *out);
/* tag: ASTRING-CHARs but '+'. */
bool imap_args_tag(struct imap_args *a, struct slice *out);
/* Strings without NUL; NUL-terminated in the arena. */
bool imap_args_string(struct imap_args *a, const char **out);  /* quoted or literal */
bool imap_args_astring(struct imap_args *a, const char **out); /* or an atom with ']' */
bool imap_args_nstring(struct imap_args *a, const char **out); /* or NIL: NULL */
bool imap_args_pattern(struct imap_args *a, const char **out); /* list-mailbox: or with % and * */
bool imap_args_nz_number(struct imap_args *a, uint32_t *out);
bool imap_args_number64(struct imap_args *a, uint64_t *out);
/* date: 1-Feb-1994, quoted or not; days since 1970. */
bool imap_args_date(struct imap_args *a, int64_t *days);
/* date-time in quotes. */
bool imap_args_date_time(struct imap_args *a, time_t *out);

/* Values as mail/mailbox.h has them. */
enum {
	IMAP_SEEN = 1,
	IMAP_ANSWERED = 2,
	IMAP_FLAGGED = 4,
	IMAP_DELETED = 8,
	IMAP_DRAFT = 16,
	IMAP_RECENT = 32
};
enum { IMAP_KEYWORDS_MAX = 64, IMAP_KEYWORD_LEN_MAX = 100 };

struct imap_flags {
	unsigned system;
	const char *keywords[IMAP_KEYWORDS_MAX];
	size_t keyword_count;
};

/* "(\Seen word ...)"; bare: without parentheses allowed (STORE). \Recent is refused, other "\X"
 * too. */
bool imap_args_flags(struct imap_args *a, bool bare, struct imap_flags *out);
/* "\Seen" and its like, of a bit. */
const char *imap_flag_name(unsigned bit);

#endif
