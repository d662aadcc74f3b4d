#ifndef MIME_PART_H
#define MIME_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "mime/header.h"
#include "mime/param.h"
#include "mime/source.h"
#include "mime/transfer.h"

/*
 * The MIME tree of a message (RFC 2045, 2046).
 *
 *	head        body                      end
 *	 |  header  |  body                    |
 *	 Subject: x\r\n\r\ntext ...  \r\n--boundary
 *
 * The line end before a boundary belongs to the boundary. A multipart has its
 * parts as children; a message/rfc822 has one child, whose head is its body.
 */
enum {
	MIME_PARTS_MAX = 1000,  /* parts of a message; what comes after is not looked into */
	MIME_DEPTH_MAX = 100,   /* depth of nesting; a container at that depth is a leaf */
	MIME_BOUNDARY_MAX = 200 /* bytes of a boundary that are compared; RFC 2046 allows 70 */
};

enum mime_kind { MIME_LEAF, MIME_MULTIPART, MIME_MESSAGE };

/* Fields that structures are made of: values unfolded, NULL when absent. */
enum mime_known {
	MIME_F_CONTENT_TYPE,
	MIME_F_ENCODING,
	MIME_F_ID,
	MIME_F_DESCRIPTION,
	MIME_F_DISPOSITION,
	MIME_F_LANGUAGE,
	MIME_F_LOCATION,
	MIME_F_MD5,
	MIME_F_DATE,
	MIME_F_SUBJECT,
	MIME_F_FROM,
	MIME_F_SENDER,
	MIME_F_REPLY_TO,
	MIME_F_TO,
	MIME_F_CC,
	MIME_F_BCC,
	MIME_F_IN_REPLY_TO,
	MIME_F_MESSAGE_ID,
	MIME_F_COUNT
};

struct mime_part {
	struct mime_part *parent, *child, *next;
	enum mime_kind kind;
	unsigned number; /* 1.. among its siblings */
	unsigned depth;  /* 0 the message itself */
	struct mime_pos head, body, end;
	uint64_t lines;             /* line ends in the body */
	const char *type, *subtype; /* as written; "text", "plain" (or digest's "message", "rfc822")
				       by default */
	bool typed;                 /* there was a usable Content-Type */
	struct mime_param *params;
	enum mime_encoding encoding;
	const char *field[MIME_F_COUNT]; /* addresses and envelope only of messages */
};

/* Compared in any case; subtype NULL: any. */
bool mime_part_is(const struct mime_part *p, const char *type, const char *subtype);

/*
 * What a listener hears while the tree is read, in the order of the bytes: the
 * header of each part, then its body as it is stored (leaves only; without the
 * line end before a boundary). NULL members are left out.
 */
struct mime_listener {
	void (*header)(void *arg, const struct mime_part *p, struct slice header);
	void (*body)(void *arg, const struct mime_part *p, const char *data, size_t len);
	void (*body_end)(void *arg, const struct mime_part *p);
	void *arg;
};

struct mime_parser;

/* Parser for a whole message. The tree and the parser live in a. listener may be NULL; it and s
 * stay the caller's. */
struct mime_parser *mime_parser_new(
	struct arena *a, struct mime_source *s, const struct mime_listener *listener);
/* Go on for about budget bytes. True: done. */
bool mime_parser_run(struct mime_parser *p, size_t budget);
/* The message itself. Complete once mime_parser_run() said so. */
struct mime_part *mime_parser_tree(struct mime_parser *p);

/* All in one go. */
struct mime_part *mime_parse(struct arena *a, struct mime_source *s);

/*
 * The part an IMAP section path names (RFC 3501 6.4.5: "1" of a message that is
 * no multipart is its body; numbers below a message/rfc822 are of the message within). NULL: none.
 */
struct mime_part *mime_part_find(struct mime_part *root, const uint32_t *path, size_t count);

#endif
