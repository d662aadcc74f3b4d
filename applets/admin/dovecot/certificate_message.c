/*
 * certificate_message - a login part, which sees no files, asks whether its certificate is the one
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "ipc/control.h"
#include "applets/daemon/certificate.h"
#include "applets/admin/dovecot/dovecot.h"

static struct {
	char bad[TLS_STAMP_SIZE]; /* stamp of files that hold no good certificate */
} G;

/* look_at - is it another one than that with this stamp? A good one gets a successor */
static bool look_at(struct sv_child *child, const char *stamp)
{
	struct tls_server_config files = { 0 };
	char now[TLS_STAMP_SIZE], *error = NULL;

	if (!certificate_of_dovecot(&files)) {
		return false;
	}
	tls_files_stamp(&files, now);
	if (strcmp(now, stamp) == 0) {
		return false;
	}
	if (strcmp(now, G.bad) == 0) {
		return true;
	}
	if (certificate_check(&files, &error) == 0) {
		sv_replace(child);
	} else {
		/* Said once, not at every connection. */
		memcpy(G.bad, now, sizeof(now));
		log_error("ssl_cert, ssl_key: %s: the certificate loaded before stays", error);
		mem_free(error);
	}
	return true;
}

void certificate_message(struct sv_child *child, const char *stamp)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b);

	wire_put_int(&b, SERVICE_MSG_CERTIFICATE);
	wire_put_int(&b, look_at(child, stamp));
	wire_end(&b, mark);
	(void)sv_tell(child, &b, -1);
	buf_free(&b);
}
