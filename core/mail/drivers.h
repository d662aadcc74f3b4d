#ifndef MAIL_DRIVERS_H
#define MAIL_DRIVERS_H

#include "mail/mail_driver.h"

/* Each in a folder of its own, and in no other file of core/mail by name. */
extern const struct mail_driver mbox_driver, maildir_driver;

/* All there are; NULL ends the list. */
extern const struct mail_driver *const mail_drivers[];

#endif
