/*
 * imapd - IMAP server
 *
 * imapd [-S [-u USER]] [-o name=value] [-c DIR]
 *
 * What applets/read/login.h calls an imap service: imap_login.c is the part that strangers talk to,
 * imap_session.c the part that reads mail. Each command is a row of a table; its handler is in
 * the cmd_ file of its group.
 *
 * RFC 3501 and, of its extensions, what put_capabilities() lists
 */
#include "applets/read/imapd/reply.h"

#include "applets/applets.h"

int imapd_main(int argc, char **argv)
{
	static const struct login_protocol imap = {
		.name = "imap",
		.tls_name = "imaps",
		.login = &imapd_login_class,
		.mail = &imapd_mail_class,
	};

	return login_main(&imap, argc, argv);
}
