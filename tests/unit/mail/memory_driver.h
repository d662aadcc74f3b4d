/* memory_driver.h - a mailbox driver for tests: nothing but what every driver has to have */
#ifndef TESTS_UNIT_MAIL_MEMORY_DRIVER_H
#define TESTS_UNIT_MAIL_MEMORY_DRIVER_H

#include "mail/mail_driver.h"

/* "memory:ROOT" in mail_location, with mail_user.driver. Child processes see the same mail. */
extern const struct mail_driver memory_driver;

/* As another program would: a message into the folder that is at this path. */
void memory_deliver(const char *path, const char *text);

#endif
