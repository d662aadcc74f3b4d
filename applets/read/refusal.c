/*
 * refusal - a login that is right and cannot be served, in the words of the protocol
 */
#include <string.h>

#include "applets/read/login_parts.h"

void login_refusal(struct buf *out, const struct login_protocol *proto, const char *tag,
	const char *code, const char *text)
{
	if (strcmp(proto->name, "imap") == 0) {
		buf_addf(out, "%s NO [%s] %s\r\n", tag, code, text);
	} else {
		buf_addf(out, "-ERR [SYS/TEMP] %s\r\n", text);
	}
}
