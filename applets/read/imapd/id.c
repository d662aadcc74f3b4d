/*
 * id - the ID command, before and after login
 *
 * Clients' fields are read and forgotten; ours is the name alone: versions help attackers more
 * than clients.
 *
 * RFC 2971
 */
#include "applets/read/imapd/imapd.h"

enum { ID_FIELDS_MAX = 30 };	/* RFC 2971 3.3 */

bool id_parse(struct imap_args *a)
{
	const char *field, *value;
	unsigned n = 0;

	if (imap_args_word(a, "NIL")) {
		return true;
	}
	if (!imap_args_char(a, '(')) {
		return imap_args_fail(a, "Invalid arguments");
	}
	if (imap_args_char(a, ')')) {
		return true;
	}
	do {
		if (n++ == ID_FIELDS_MAX || !imap_args_string(a, &field) || !imap_args_space(a) ||
		    !imap_args_nstring(a, &value)) {
			return imap_args_fail(a, "Invalid arguments");
		}
	} while (imap_args_char(a, ' '));
	return imap_args_char(a, ')') || imap_args_fail(a, "Missing ')'");
}

void id_put(struct buf *out)
{
	buf_adds(out, "* ID (\"name\" \"pillarbox\")\r\n");
}
