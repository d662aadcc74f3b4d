/*
 * pop3d - the POP3 server
 *
 *	AUTHORIZATION (pop3_login.c) --PASS, AUTH--> TRANSACTION (transaction.c) --QUIT--> UPDATE
 *
 * The first state lives in the login part, which may touch no mail; the others
 * in the mail part, which runs as the user (applets/read/login.h). Each has its table of
 * commands; pop3_dispatch.c reads lines and finds their rows.
 *
 * RFC 1939, 2449 (CAPA, response codes), 2595 (STLS), 3206 (SYS/TEMP, AUTH),
 * 5034 (AUTH), 1460 (LAST).
 */
#include "applets/read/pop3d/pop3d.h"

#include "applets/applets.h"

int pop3d_main(int argc, char **argv)
{
	static const struct login_protocol pop3 = {
		.name = "pop3",
		.tls_name = "pop3s",
		.login = &pop3_login_class,
		.mail = &pop3_mail_class,
	};

	return login_main(&pop3, argc, argv);
}
