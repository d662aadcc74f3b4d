#ifndef APPLETS_VIRTUAL_VIRTUAL_H
#define APPLETS_VIRTUAL_VIRTUAL_H

#include "map/map.h"
#include "map/map_wait.h"
#include "ipc/delivery.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/mailbox/box.h"

/*
 * The virtual agent.
 *
 *	virtual.c		start; requests -> places -> answers
 *	virtual_place.c		where a recipient's mailbox is, and whose
 */
struct virtual_tables {
	struct maps *mailboxes, *uids, *gids;
};

/* Why there is no place. */
struct virtual_refusal {
	enum delivery_status status;
	const char *dsn, *text;
};

void virtual_tables_open(struct virtual_tables *t);
void virtual_tables_free(struct virtual_tables *t);
/* True: *place (texts in a); else *why. A look-up may have to wait (map/map_wait.h). */
bool virtual_place(const struct virtual_tables *t, struct arena *a, const char *address,
	struct box_place *place, struct virtual_refusal *why);

#endif
