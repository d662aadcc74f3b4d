#ifndef ROUTE_ROUTE_TABLES_H
#define ROUTE_ROUTE_TABLES_H

/* Private to the room: the tables that route_init() opens. */

#include "map/map.h"

enum route_table {
	TABLE_TRANSPORT,
	TABLE_RELOCATED,
	TABLE_LOCAL,
	TABLE_VIRTUAL_ALIAS,
	TABLE_VIRTUAL_MAILBOX,
	TABLE_RELAY,
	TABLE_CANONICAL,
	TABLE_RECIPIENT_CANONICAL,
	TABLE_SENDER_RELAYHOST,
	TABLE_SENDER_TRANSPORT,
	TABLE_COUNT
};

/* NULL when the parameter is empty. */
struct maps *route_table(enum route_table t);

#endif
