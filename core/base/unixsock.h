#ifndef BASE_UNIXSOCK_H
#define BASE_UNIXSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Unix stream sockets. All are non-blocking and close-on-exec. Paths longer
 * than sun_path are reached from their directory. Where somebody else than root can exchange names
 * on the way, root has that one's rights there (base/identity.h); the peer still sees root.
 */

/* Listener at path (a stale socket file is replaced), mode as given. fd or -1 with errno. */
int unix_listen(const char *path, mode_t mode);
/* Another owner for the socket file that unix_listen() made (root). 0, or -1 with errno. */
int unix_own(const char *path, uid_t uid, gid_t gid);
/* fd or -1 with errno. */
int unix_connect(const char *path);
/* Who is on the other side (SO_PEERCRED): 0, or -1. */
int unix_peer(int fd, uid_t *uid_r, gid_t *gid_r, pid_t *pid_r);
/* Send len > 0 bytes with count descriptors (at most 4). As sendmsg(2). */
ssize_t unix_send_fds(int sock, const void *data, size_t len, const int *fds, size_t count);
/* Receive; *count_r is how many descriptors came (close-on-exec). As recvmsg(2). */
ssize_t unix_recv_fds(int sock, void *data, size_t len, int *fds, size_t max, size_t *count_r);

int fd_set_nonblock(int fd, bool on);

#endif
