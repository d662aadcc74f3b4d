#ifndef PROTO_POP3_H
#define PROTO_POP3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* The wire of POP3 (RFC 1939): command lines, and messages as multi-line replies. */

/* The first word of a line in upper case (at most size - 1 bytes, longer ones give ""); the rest.
 */
struct slice pop3_verb(struct slice line, char *verb, size_t size);

/*
 * A number at the head of *args, and what may follow it: a blank that is skipped when more is set,
 * nothing otherwise.
 */
enum pop3_number { POP3_NUMBER_OK, POP3_NUMBER_NONE, POP3_NUMBER_LARGE, POP3_NUMBER_NOISE };
enum pop3_number pop3_number(struct slice *args, bool more, uint64_t *out);

/*
 * A message on its way out: line ends become CR LF, lines that begin with "." get
 * another (byte-stuffing). lines: how many of the body are wanted, POP3_ALL all of them.
 */
#define POP3_ALL UINT64_MAX

struct pop3_body {
	uint64_t lines;
	bool in_body;
	bool line_start;  /* nothing of the line yet */
	bool cr, only_cr; /* the last byte was a CR; and all there is of the line */
	bool done;        /* all lines that are wanted are there */
};
void pop3_body_begin(struct pop3_body *b, uint64_t lines);
/* How many bytes of data were taken: less than len only when done. */
size_t pop3_body_add(struct pop3_body *b, struct buf *out, const char *data, size_t len);
/* The end of the last line, and the final dot. */
void pop3_body_end(struct pop3_body *b, struct buf *out);

/*
 * A UIDL after pop3_uidl_format: %u UID, %v UIDVALIDITY, %f and %g name (both; "" when there is
 * none), each with a width and case as in %08Xu. At most 70 characters of 0x21 to 0x7e (RFC 1939).
 */
void pop3_uidl(
	struct buf *out, const char *format, uint32_t uid, uint32_t validity, const char *name);

#endif
