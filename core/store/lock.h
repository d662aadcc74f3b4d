#ifndef STORE_LOCK_H
#define STORE_LOCK_H

#include <stdbool.h>

/*
 * Mailbox locks as other mail programs take them: a dotlock (FILE.lock, O_EXCL)
 * and fcntl, in that order. A dotlock older than stale seconds whose owner
 * wrote nothing is taken over. Where the directory may not be written (an
 * ordinary user in /var/mail) the fcntl lock alone has to do, as Dovecot and
 * Postfix decide it.
 */
struct mailbox_lock;

/*
 * fd is the open mailbox. Tries for up to timeout_ms, sleeping between tries.
 * NULL with errno: EAGAIN held by somebody else.
 */
struct mailbox_lock *mailbox_lock(const char *path, int fd, bool exclusive, int timeout_ms);
/* Touch the dotlock while a long piece of work goes on. */
void mailbox_lock_touch(struct mailbox_lock *l);
void mailbox_unlock(struct mailbox_lock *l);

#endif
