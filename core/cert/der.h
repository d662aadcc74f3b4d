#ifndef CERT_DER_H
#define CERT_DER_H

#include <stdbool.h>

#include "base/str.h"

/* X.690 (DER), as much as certificates need: elements are taken off the front of a slice. */
enum {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BITS = 0x03,
	DER_OCTETS = 0x04,
	DER_OID = 0x06,
	DER_UTF8 = 0x0c,
	DER_BMP = 0x1e,
	DER_UTC_TIME = 0x17,
	DER_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31
};

/* Take one element off in; body is its content. False: none, or damaged. */
bool der_next(struct slice *in, unsigned *tag, struct slice *body);
/* The next element, which must have this tag; false: in is as it was or used up. */
bool der_take(struct slice *in, unsigned tag, struct slice *body);
/* The same, with its head. */
bool der_take_whole(struct slice *in, unsigned tag, struct slice *whole);
/* The tag of the next element; 0: none. */
unsigned der_peek(struct slice in);

#endif
