#ifndef PROTO_IMAP_SEARCH_H
#define PROTO_IMAP_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/imap_set.h"

/* Search programs (RFC 3501 6.4.4) as a tree. */
enum imap_key_kind {
	IMAP_KEY_ALL,
	IMAP_KEY_SET,     /* sequence numbers: set */
	IMAP_KEY_UID,     /* set */
	IMAP_KEY_FLAG,    /* all of flags set */
	IMAP_KEY_KEYWORD, /* text */
	IMAP_KEY_BEFORE,
	IMAP_KEY_ON,
	IMAP_KEY_SINCE, /* number: days */
	IMAP_KEY_SENT_BEFORE,
	IMAP_KEY_SENT_ON,
	IMAP_KEY_SENT_SINCE, /* number: days */
	IMAP_KEY_OLDER,
	IMAP_KEY_YOUNGER, /* number: seconds (RFC 5032) */
	IMAP_KEY_LARGER,
	IMAP_KEY_SMALLER, /* number: bytes */
	IMAP_KEY_MODSEQ,  /* number: at least (RFC 7162) */
	IMAP_KEY_HEADER,  /* name, text; text "" matches when the field is there */
	IMAP_KEY_BODY,
	IMAP_KEY_TEXT, /* text */
	IMAP_KEY_NOT,  /* child */
	IMAP_KEY_AND,
	IMAP_KEY_OR /* children */
};

enum { IMAP_KEY_DEPTH_MAX = 100 };

struct imap_key {
	struct imap_key *next; /* sibling */
	struct imap_key *child;
	enum imap_key_kind kind;
	struct imap_set set;
	unsigned flags;   /* IMAP_SEEN ... */
	const char *name; /* header field, lower case */
	const char *text; /* UTF-8; for BODY, TEXT, HEADER folded by utf8_fold() */
	size_t len;
	uint64_t number;
	unsigned id; /* of text keys: 0.. in the order of the program */
};

enum { IMAP_RETURN_MIN = 1, IMAP_RETURN_MAX = 2, IMAP_RETURN_ALL = 4, IMAP_RETURN_COUNT = 8 };

struct imap_search {
	struct imap_key *key;
	unsigned text_keys;            /* HEADER, BODY and TEXT keys and SENT* in it */
	bool needs_header, needs_body; /* of the message's bytes */
	bool modseq;                   /* MODSEQ key: the response tells the highest one */
	bool extended;                 /* RETURN was said (RFC 4731) */
	unsigned returns;
	bool bad_charset; /* parse failed because of CHARSET: NO [BADCHARSET] */
};

/* [RETURN (...)] [CHARSET x] key key ... up to the end. */
bool imap_args_search(struct imap_args *a, struct imap_search *out);

#endif
