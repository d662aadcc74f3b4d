#ifndef MESSAGE_CLEANUP_HEADER_H
#define MESSAGE_CLEANUP_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Addresses in headers, changed in place: text[0..len) is a whole header
 * field, its value begins at value. Addresses without a domain, or with a bare host, are
 * completed (address/rewrite.h; local: as for our own users, else as remote_header_rewrite_domain
 * says). True: *out has the new text; false: nothing has to change and out is empty.
 */
bool cleanup_complete_header(
	struct buf *out, const char *text, size_t len, size_t value, bool local);

/*
 * "Full Name <address>" as header_from_format has it, quoted where RFC 5322 wants quotes;
 * address "" is MAILER-DAEMON.
 */
void cleanup_put_mailbox(struct buf *out, const char *address, const char *full_name);

#endif
