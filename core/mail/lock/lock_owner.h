#ifndef MAIL_LOCK_LOCK_OWNER_H
#define MAIL_LOCK_LOCK_OWNER_H

#include <stdbool.h>
#include <sys/stat.h>

/* Mark a dotlock of ours, whose kernel lock is held. Before it has its name, if that can be. */
void lock_owner_write(int dot_fd);
/*
 * Does nobody alive hold this dotlock? dot_fd: open, or -1 where it may not be read; dot: its stat;
 * mailbox_fd: what it locks. When in doubt somebody does.
 */
bool lock_owner_gone(int dot_fd, const struct stat *dot, int mailbox_fd);
/* fcntl(2) lock of the whole file, the descriptor's own: 0, or -1 with errno (EAGAIN: taken). */
int lock_fcntl(int fd, short type);

#endif
