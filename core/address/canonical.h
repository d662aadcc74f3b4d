#ifndef ADDRESS_CANONICAL_H
#define ADDRESS_CANONICAL_H

#include <stdbool.h>

#include "base/arena.h"

/*
 * canonical_maps, sender_canonical_maps, recipient_canonical_maps and masquerade_domains, each for
 * the places that its classes name. canonical_init() compiles them; route_init() calls it.
 */
enum canonical_place {
	CANONICAL_ENVELOPE_SENDER,
	CANONICAL_ENVELOPE_RECIPIENT,
	CANONICAL_HEADER_SENDER,
	CANONICAL_HEADER_RECIPIENT,
	CANONICAL_PLACES
};

void canonical_init(void);
void canonical_free(void);
/* Is there anything that could change an address there? */
bool canonical_changes(enum canonical_place place);
/*
 * What stands there instead of a complete address; the address itself when nothing does. NULL: a
 * table does not answer, or has yet to (map_is_waiting()).
 */
const char *canonical_address(struct arena *a, const char *address, enum canonical_place place);

#endif
