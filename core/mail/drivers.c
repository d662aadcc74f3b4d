/*
 * drivers - the list of mailbox drivers
 *
 * Where there is no mail_location, the last one decides whose default_root is there; the first is
 * for a user who has nothing.
 */
#include "mail/drivers.h"

#include <stddef.h>

const struct mail_driver *const mail_drivers[] = { &mbox_driver, &maildir_driver, NULL };
