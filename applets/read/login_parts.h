#ifndef APPLETS_READ_LOGIN_PARTS_H
#define APPLETS_READ_LOGIN_PARTS_H

#include "base/buf.h"
#include "applets/daemon/service.h"
#include "applets/read/login.h"

/* Private to login.c and mail_part.c: the two halves of pop3d and imapd. */

int mail_part_main(const struct login_protocol *proto, int argc, char **argv);

/* refusal.c: a refusal in the words of the protocol. code: IMAP's response code. */
void login_refusal(struct buf *out, const struct login_protocol *proto, const char *tag,
	const char *code, const char *text);

#endif
