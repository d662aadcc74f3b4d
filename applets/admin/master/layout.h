#ifndef APPLETS_ADMIN_MASTER_LAYOUT_H
#define APPLETS_ADMIN_MASTER_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The directories of the queue (main.cf is loaded).
 *
 *	queue_directory		root	0755
 *		pid		root	0755	who runs
 *		private		owner	0700	sockets of our processes among themselves
 *		public		owner	0755	sockets that users' programs speak to
 *		maildrop	owner	1733	mail handed in while nobody listens
 *		queue		owner	0700	queue.db and what belongs to it
 *		defer, deferred	owner	0700	empty: commands of users look into them
 *
 * The owner is mail_owner. queue_directory itself is root's, so that nobody can exchange what is
 * in it; below the others root works as their owner, or by descriptor. Started by an ordinary
 * user, all of it is that user's.
 */
struct layout_dir {
	const char *name; /* "": queue_directory itself */
	mode_t mode;
	bool owned;       /* by mail_owner, not by root */
	mode_t forbidden; /* that nobody else may do */
};

extern const struct layout_dir layout_dirs[];
extern const size_t layout_dir_count;

/*
 * The directory, made where it is missing: a descriptor (O_PATH where it cannot be read); -1 with
 * errno. It is reached by no link but root's.
 */
int layout_open(const struct layout_dir *dir, uid_t owner, gid_t group);
/* pid, for lock_take(). */
int layout_open_pid(void);

/*
 * Give each directory the owner and mode it needs, for a queue that was another user's, or a
 * Postfix's with setgid programs; and take over a queue of the layout before this one, with
 * queue.db in queue_directory itself. A stricter mode that somebody chose stays. To be called by
 * root or by the owner of all, where no server runs. Changes and failures are logged; false:
 * the queue cannot be used so.
 */
bool layout_settle(uid_t owner, gid_t group);

/*
 * Make mail_spool_directory if it is missing, as the manifest has /var/mail: open to all users,
 * sticky, and the group's mail. 1 it was made, 0 it is there, -1 with errno.
 */
int layout_make_spool(void);

/*
 * Make the directory of the part of the queue that is in memory, where queue_durability wants one.
 * 0, or -1 with a text (caller frees): what is wrong with the setting or the place.
 */
int layout_make_memory(uid_t owner, gid_t group, char **error_r);

/* mkdir -p; what is made gets owner and mode, what is on the way 0755. 0, or -1 with errno. */
int layout_make_dir(const char *dir, mode_t mode, uid_t uid, gid_t gid);

#endif
