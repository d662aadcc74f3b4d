/*
 * mailbox_transport - which transport delivers instead of local, or which command
 *
 *	mailbox_transport_maps, mailbox_transport	before all kinds of mailboxes
 *	mailbox_command_maps, mailbox_command		instead of the mailbox
 *	fallback_transport_maps, fallback_transport	for those whom no password file knows
 *
 * The tables are asked for the name without extension.
 *
 * Manual: Postfix's local(8).
 */
#include "route/mailbox_transport.h"

#include "base/buf.h"
#include "conf/params.h"
#include "map/map.h"
#include "address/lookup.h"

static struct {
	struct maps *maps[2], *commands;
} compiled;

void mailbox_transports_open(void)
{
	compiled.maps[MAILBOX_TRANSPORT] = maps_open(param.mailbox_transport_maps, 0);
	compiled.maps[FALLBACK_TRANSPORT] = maps_open(param.fallback_transport_maps, 0);
	compiled.commands = maps_open(param.mailbox_command_maps, 0);
}

void mailbox_transports_close(void)
{
	for (int i = 0; i < 2; i++) {
		if (compiled.maps[i] != NULL) {
			maps_close(compiled.maps[i]);
		}
		compiled.maps[i] = NULL;
	}
	maps_close(compiled.commands);
	compiled.commands = NULL;
}

int mailbox_transport_find(
	struct arena *a, enum mailbox_transport which, const char *user, const char **value)
{
	struct buf found = BUF_INIT;
	int rc = maps_get(compiled.maps[which], user, &found);

	if (rc > 0) {
		*value = arena_strdup(a, buf_str(&found));
	} else if (rc == 0) {
		*value = which == MAILBOX_TRANSPORT ? param.mailbox_transport
						    : param.fallback_transport;
		rc = (*value)[0] != '\0';
	}
	buf_free(&found);
	return rc;
}

const char *mailbox_command_find(struct arena *a, const char *user, const char *domain)
{
	struct buf value = BUF_INIT;
	const char *result = param.mailbox_command;
	int rc;

	if (maps_empty(compiled.commands)) {
		return result;
	}
	rc = lookup_address(a, compiled.commands, address_make(a, user, domain), LOOKUP_FULL,
		&value, NULL, NULL);
	if (rc == 0) {
		/* The user's name is no part: it is what Postfix asks for. */
		rc = maps_get(compiled.commands, user, &value);
	}
	if (rc != 0) {
		result = rc > 0 ? arena_strdup(a, buf_str(&value)) : NULL;
	}
	buf_free(&value);
	return result;
}
