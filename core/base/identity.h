#ifndef BASE_IDENTITY_H
#define BASE_IDENTITY_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * Work of root's in places that are not root's.
 *
 * Below a directory that somebody else owns every name is that owner's to exchange, at any moment:
 * for a link to /etc/shadow, for another directory. Root does nothing there as root. It finds out
 * whose the way is (path_owner) and takes that identity for files and names alone (identity_enter),
 * so that nobody is served with more than their own rights; or it works by descriptors, with names
 * that it knows and O_NOFOLLOW.
 *
 * Started by an ordinary user all is that user's: nothing of this does anything then.
 */
struct identity_saved {
	bool changed, dumpable;
	uid_t uid;
	gid_t gid;
	int group_count;
	gid_t groups[64];
};

/*
 * From here on files and names are looked up, made and changed with the rights of uid and gid; the
 * process stays root otherwise (its peers still see root). Until identity_leave() with the same
 * object; an inner pair gives back what the outer one took. 0, or -1 with errno and nothing
 * changed. Nothing happens, with 0, where we are not root or uid is root's: within the identity of
 * somebody else it never leads back to root.
 */
int identity_enter(struct identity_saved *id, uid_t uid, gid_t gid);
/* As before; errno is kept. */
void identity_leave(struct identity_saved *id);

/*
 * Who can say where path leads: the owner of the first directory or link on its way that is not
 * root's; the last component counts too. Root's (0) where all of it is, also as far as it exists.
 * 0, or -1 with errno (ELOOP, EACCES, ENAMETOOLONG). Where we are not root: our own ids.
 */
int path_owner(const char *path, uid_t *uid_r, gid_t *gid_r);
/*
 * The same, and the path itself as far as root alone has a say in it, with its links replaced; the
 * rest is as it was given.
 */
int path_owner_at(const char *path, uid_t *uid_r, gid_t *gid_r, char out[PATH_MAX]);
/* identity_enter() as the owner of the way to path. */
int identity_enter_path(struct identity_saved *id, const char *path);
/* The same for the directory that path lies in. */
int identity_enter_parent(struct identity_saved *id, const char *path);
/*
 * open(2) with the rights of the owner of the way to path, of the way to its directory where it is
 * to be made (O_CREAT); in a place of somebody else's it follows no link at its end then, and is
 * not held up by a pipe (O_NONBLOCK).
 */
int identity_open(const char *path, int flags, mode_t mode);

#endif
