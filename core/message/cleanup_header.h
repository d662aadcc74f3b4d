#ifndef MESSAGE_CLEANUP_HEADER_H
#define MESSAGE_CLEANUP_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

/*
 * Addresses in headers, changed in place: text[0..len) is a whole header
 * field, its value begins at value. Addresses without a domain, or with a bare host, are
 * completed (address/rewrite.h; local: as for our own users, else as remote_header_rewrite_domain
 * says). True: *out has the new text; false: nothing has to change and out is empty.
 */
bool cleanup_complete_header(
	struct buf *out, const char *text, size_t len, size_t value, bool local);

/* Whose addresses are in a header field, by its name? */
enum cleanup_role { CLEANUP_NOBODY, CLEANUP_SENDER, CLEANUP_RECIPIENT };
enum cleanup_role cleanup_header_role(const char *text, size_t len);

/*
 * The same walk: change() says what stands instead of an address, which is plain and complete; it
 * may be the address itself.
 */
bool cleanup_change_header(struct buf *out, const char *text, size_t len, size_t value,
	const char *(*change)(void *arg, struct arena *a, const char *address), void *arg);

/*
 * "Full Name <address>" as header_from_format has it, quoted where RFC 5322 wants quotes;
 * address "" is MAILER-DAEMON.
 */
void cleanup_put_mailbox(struct buf *out, const char *address, const char *full_name);

#endif
