#ifndef ADDRESS_VERIFY_SENDER_H
#define ADDRESS_VERIFY_SENDER_H

#include <stdbool.h>

#include "base/arena.h"

/*
 * The envelope sender of address probes: address_verify_sender, with an ending that changes every
 * address_verify_sender_ttl seconds, so that nobody can send mail to it for long. Complete; "" is
 * the null sender. Owned by a.
 */
const char *verify_sender(struct arena *a);
/* Is it such a sender, or one of the time before or after? Whoever is probed may look back. */
bool verify_sender_is(struct arena *a, const char *address);

#endif
