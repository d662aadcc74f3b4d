#ifndef MIME_ADDRESS_H
#define MIME_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

enum { MIME_ADDRESS_MAX = 10000 }; /* addresses of one field; the rest is left out */

/*
 * One element of an address list (RFC 5322 3.4 and 4.4). A group
 * is its start {mailbox = name of the group, domain = NULL}, its members, and
 * its end {everything NULL}, as ENVELOPE has it (RFC 3501 7.4.2).
 */
struct mime_address {
	struct mime_address *next;
	const char *name;    /* display name or, without one, comment; quotes and escapes undone,
				   encoded words left alone (see word.h); NULL none */
	const char *route;   /* obsolete "@a,@b", NULL none */
	const char *mailbox; /* local part, quotes undone */
	const char *domain;
	bool broken; /* something had to be guessed */
};

/*
 * Parse an address list (header field value, folds allowed). Tolerant: what
 * is no address becomes one with an empty mailbox or domain and broken set; no
 * input fails. NULL: an empty list.
 */
struct mime_address *mime_addresses(struct arena *a, struct slice value);

static inline bool mime_address_is_group(const struct mime_address *m)
{
	return m->domain == NULL && m->mailbox != NULL;
}

static inline bool mime_address_is_group_end(const struct mime_address *m)
{
	return m->domain == NULL && m->mailbox == NULL;
}

/*
 * Next element of a list, blanks around it cut, as it is written: for programs that pass
 * on what is no address instead of guessing. ',' separates, but not within quotes, comments, <>
 * or a group. Empty elements are left out; false: none left.
 */
bool mime_list_next(struct slice *rest, struct slice *item);

/* "local@domain", the local part quoted where it must be. */
void mime_address_put(struct buf *out, const struct mime_address *m);

#endif
