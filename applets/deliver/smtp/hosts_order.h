#ifndef APPLETS_SMTP_HOSTS_ORDER_H
#define APPLETS_SMTP_HOSTS_ORDER_H

#include <stddef.h>

#include "applets/deliver/smtp/hosts.h"
#include "applets/deliver/smtp/settings.h"

/*
 * The order in which they are tried: by preference; among equals by chance (randomize_addresses)
 * and the family that address_preference names; and both families among the first mx_address_limit
 * (balance_inet_protocols): some are left out then. How many there are now.
 */
size_t hosts_order(struct smtp_host *list, size_t count, const struct smtp_settings *s);

#endif
