#ifndef MAIL_LOCK_LOCK_H
#define MAIL_LOCK_LOCK_H

#include <stdbool.h>

/*
 * Mailbox locks as other mail programs take them: a dotlock (FILE.lock, O_EXCL;
 * for writing only) and fcntl, in that order. A dotlock that nobody alive holds
 * (lock_owner.c), or older than stale_lock_time with a mailbox nobody wrote
 * to, is taken over. Where the directory may not be written (an ordinary
 * user in /var/mail) the fcntl lock alone has to do, as Dovecot and
 * Postfix decide it. It does, too, where the dotlock was made by somebody who has no right to the
 * mailbox.
 *
 * The fcntl lock belongs to fd (an "open file description" lock), so one
 * process can hold several mailboxes open, and the same one twice.
 */
struct mailbox_lock;

enum { LOCK_STALE = 500 }; /* seconds, where no configuration is loaded */

/*
 * fd is the open mailbox. Tries for up to timeout_ms (0: once), sleeping between tries.
 * NULL with errno: EAGAIN held by somebody else. The caller looks afterwards whether
 * path still is the file of fd (mail programs replace mailboxes by rename).
 */
struct mailbox_lock *mailbox_lock(const char *path, int fd, bool exclusive, int timeout_ms);
/*
 * fd takes the mailbox's place: it is locked (nobody else has it yet), and is what mailbox_unlock()
 * unlocks; the lock on the old one goes with its descriptor. 0, or -1 with errno.
 */
int mailbox_lock_move(struct mailbox_lock *l, int fd);
/* Touch the dotlock while a long piece of work goes on. */
void mailbox_lock_touch(struct mailbox_lock *l);
/* Before fd is closed. NULL: nothing. */
void mailbox_unlock(struct mailbox_lock *l);

#endif
