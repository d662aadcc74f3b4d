/*
 * id - the ID command, before and after login
 *
 * What clients say of themselves is not looked at, in whatever form it comes (Dovecot answers every
 * one, and some clients take a BAD for the end); ours is the name alone: versions help attackers
 * more than clients.
 *
 * RFC 2971
 */
#include "applets/read/imapd/imapd.h"

void id_put(struct buf *out)
{
	buf_adds(out, "* ID (\"name\" \"pillarbox\")\r\n");
}
