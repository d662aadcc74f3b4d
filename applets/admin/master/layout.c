/*
 * layout - the directories of the queue, their owners, and queues of earlier days
 *
 * Everything below queue_directory is done by descriptor and with names that are known here: what
 * was mail_owner's may hold links, and may be exchanged while we look.
 */
#include "applets/admin/master/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/identity.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue.h"
#include "queue/queue_parts.h"

const struct layout_dir layout_dirs[] = {
	{ "", 0755, false, S_IWGRP | S_IWOTH },
	{ "pid", 0755, false, S_IWGRP | S_IWOTH },
	{ "private", 0700, true, S_IRWXG | S_IRWXO },
	{ "public", 0755, true, S_IWGRP | S_IWOTH },
	{ "maildrop", 01733, true, S_IRGRP | S_IROTH },
	{ QUEUE_SUBDIR, 0700, true, S_IRWXG | S_IRWXO },
	{ "defer", 0700, true, S_IRWXG | S_IRWXO },
	{ "deferred", 0700, true, S_IRWXG | S_IRWXO },
};

const size_t layout_dir_count = ARRAY_LEN(layout_dirs);

/* open_dir - below at; a link only where root made it in a directory of root's */
static int open_dir(int at, const char *name)
{
	struct stat dir, entry;
	int how = O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, fd;

	if (fstat(at, &dir) == 0 && fstatat(at, name, &entry, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISLNK(entry.st_mode) && dir.st_uid == 0 && entry.st_uid == 0) {
		how &= ~O_NOFOLLOW;
	}
	fd = openat(at, name, how | O_RDONLY);
	return fd >= 0 || errno != EACCES ? fd : openat(at, name, how | O_PATH);
}

/* open_made - a directory that we made, with its owner and mode; its descriptor, or -1 */
static int open_made(int at, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), saved;
	struct stat st;

	/* Only what is as we made it: another may stand there by now. */
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_uid != geteuid() ||
		(fchmod(fd, mode) == 0 &&
			(geteuid() != 0 || uid == (uid_t)-1 || fchown(fd, uid, gid) == 0))) {
		return fd;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* make_private - mkdir -p; the directories on the way are for everybody, the last one is not yet */
static int make_private(const char *dir)
{
	char *parent = mem_strdup(dir), *slash = strrchr(parent, '/');
	int rc = 0;

	while (slash != NULL && slash > parent && slash[1] == '\0') {
		*slash = '\0';
		slash = strrchr(parent, '/');
	}
	if (slash != NULL && slash > parent) {
		*slash = '\0';
		rc = dir_make(parent, 0755);
	}
	mem_free(parent);
	return rc == 0 ? dir_make(dir, 0700) : -1;
}

int layout_make_dir(const char *dir, mode_t mode, uid_t uid, gid_t gid)
{
	struct identity_saved id;
	struct stat st;
	int rc, fd;

	if (stat(dir, &st) == 0) {
		return S_ISDIR(st.st_mode) ? 0 : (errno = ENOTDIR, -1);
	}
	if (identity_enter_path(&id, dir) != 0) {
		return -1;
	}
	if (id.changed) { /* in another's place it is made by, and for, that one */
		rc = dir_make(dir, mode);
		identity_leave(&id);
		return rc;
	}
	if (make_private(dir) != 0) {
		return -1;
	}
	fd = open_made(AT_FDCWD, dir, mode, uid, gid);
	if (fd >= 0) {
		close(fd);
	}
	return fd >= 0 ? 0 : -1;
}

int layout_make_spool(void)
{
	const struct group *mail = getgrnam("mail");
	bool root = geteuid() == 0;

	if (param.mail_spool_directory[0] != '/' || access(param.mail_spool_directory, F_OK) == 0) {
		return 0;
	}
	if (layout_make_dir(param.mail_spool_directory, root ? 01777 : 0700, geteuid(),
		    root && mail != NULL ? mail->gr_gid : getegid()) != 0) {
		return -1;
	}
	return 1;
}

int layout_make_memory(uid_t owner, gid_t group, char **error_r)
{
	struct buf dir = BUF_INIT, text = BUF_INIT;
	int durability = queue_durability(error_r);

	if (durability < 0 || durability == QUEUE_STRICT) {
		return durability < 0 ? -1 : 0;
	}
	queue_memory_directory(param.queue_directory, &dir);
	if (layout_make_dir(param.queue_volatile_directory, 0755, geteuid(), getegid()) != 0 ||
		layout_make_dir(buf_str(&dir), 0700, owner, group) != 0) {
		buf_addf(&text, "queue_volatile_directory = %s: %s", param.queue_volatile_directory,
			strerror(errno));
	} else if (!queue_is_memory(buf_str(&dir))) {
		buf_addf(&text, "queue_volatile_directory = %s: not on a file system in memory",
			param.queue_volatile_directory);
	}
	buf_free(&dir);
	*error_r = text.len > 0 ? buf_steal(&text) : NULL;
	return *error_r != NULL ? -1 : 0;
}

static int open_queue_directory(void)
{
	return open(param.queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int layout_open(const struct layout_dir *dir, uid_t owner, gid_t group)
{
	uid_t uid = dir->owned ? owner : geteuid();
	gid_t gid = dir->owned ? group : getegid();
	int at, fd, saved;

	if (dir->name[0] == '\0') {
		return layout_make_dir(param.queue_directory, dir->mode, uid, gid) == 0
			? open_queue_directory()
			: -1;
	}
	at = open_queue_directory();
	if (at < 0) {
		return -1;
	}
	fd = open_dir(at, dir->name);
	if (fd < 0 && errno == ENOENT) {
		fd = mkdirat(at, dir->name, 0700) == 0 || errno == EEXIST
			? open_made(at, dir->name, dir->mode, uid, gid)
			: -1;
	}
	saved = errno;
	close(at);
	errno = saved;
	return fd;
}

int layout_open_pid(void)
{
	int at = open_queue_directory(), fd, saved;

	if (at < 0) {
		return -1;
	}
	fd = open_dir(at, param.process_id_directory);
	saved = errno;
	close(at);
	errno = saved;
	return fd;
}

/* ---- Settling ---- */

/* The names that files of a queue have or begin with. */
static bool is_queue_file(const char *name)
{
	return str_starts(name, "queue.") && strcmp(name, "queue.") != 0;
}

/*
 * give_file - a file of the queue goes from its owner before to the one of now. Somebody else's
 * that was linked there by the name is not given away.
 */
static void give_file(int at, const char *name, uid_t before, uid_t uid, gid_t gid)
{
	int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0) {
		return;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == before &&
		fchown(fd, uid, gid) != 0) {
		log_warn("%s/%s: cannot set owner %u: %m", param.queue_directory, name,
			(unsigned)uid);
	}
	close(fd);
}

/* each_file - fn for the queue's files in at, the database itself last */
static void each_file(int at, void (*fn)(void *arg, const char *name), void *arg)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	if (dir == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		if (is_queue_file(e->d_name) && strcmp(e->d_name, "queue.db") != 0) {
			fn(arg, e->d_name);
		}
	}
	closedir(dir);
	fn(arg, "queue.db");
}

struct giving {
	int at;
	uid_t before, uid;
	gid_t gid;
};

static void give_one(void *arg, const char *name)
{
	const struct giving *g = arg;

	give_file(g->at, name, g->before, g->uid, g->gid);
}

/*
 * settle_dir - a directory that was made for another user, or by a Postfix with its setgid
 * programs. A stricter mode that somebody chose stays.
 */
static void settle_dir(int fd, const struct layout_dir *dir, uid_t uid, gid_t gid)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || (st.st_uid == uid && (st.st_gid == gid || st.st_gid == 0))) {
		return;
	}
	/* First the files: a start that ends in between finds the directory as it was. */
	if (strcmp(dir->name, QUEUE_SUBDIR) == 0) {
		struct giving g = { fd, st.st_uid, uid, gid };

		each_file(fd, give_one, &g);
	}
	if (fchown(fd, uid, gid) != 0 || fchmod(fd, dir->mode) != 0) {
		log_warn("%s/%s: cannot set owner %u and mode %04o: %m", param.queue_directory,
			dir->name, (unsigned)uid, (unsigned)dir->mode);
		return;
	}
	log_info("%s%s%s: owner set to %u:%u and mode to %04o, they were %u:%u and %04o",
		param.queue_directory, dir->name[0] != '\0' ? "/" : "", dir->name, (unsigned)uid,
		(unsigned)gid, (unsigned)dir->mode, (unsigned)st.st_uid, (unsigned)st.st_gid,
		(unsigned)st.st_mode & 07777);
}

struct moving {
	int from, to;
	struct giving give;
	const char *as; /* what queue.db becomes, and what hangs on it */
	bool beside;    /* there is a queue already: only what holds mail moves */
	int moved, failed;
};

static bool is_there(int at, const char *name)
{
	struct stat st;

	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* move_one - into the subdirectory, where nothing is replaced; a link is moved, not followed */
static void move_one(void *arg, const char *name)
{
	static const char db[] = "queue.db";
	struct moving *m = arg;
	char to[NAME_MAX + 1];
	bool part = strcmp(name, db) == 0 || str_starts(name, "queue.db-");

	if (!is_there(m->from, name)) {
		return;
	}
	if (m->beside && !part && !str_starts(name, "queue.db.corrupt-")) {
		(void)unlinkat(m->from, name, 0); /* lock, reserve: the queue has its own */
		return;
	}
	if (geteuid() == 0) {
		give_one(&m->give, name);
	}
	snprintf(to, sizeof(to), "%s%s", part ? m->as : "", part ? name + strlen(db) : name);
	errno = EEXIST;
	if (!is_there(m->to, to) && renameat(m->from, name, m->to, to) == 0) {
		m->moved++;
		return;
	}
	log_error("%s/%s: cannot be moved to %s/%s: %m", param.queue_directory, name, QUEUE_SUBDIR,
		to);
	m->failed++;
}

/* name_beside - for a second queue, from which the mail is taken into the first; false: none */
static bool name_beside(int sub, uid_t uid, gid_t gid, char as[NAME_MAX])
{
	struct buf line = BUF_INIT;
	bool ok;
	int fd;

	for (int i = 1; i == 1 || is_there(sub, as); i++) {
		snprintf(as, NAME_MAX, "queue.db.earlier-%d", i);
	}
	buf_addf(&line, "\n%s\n", as);
	fd = openat(sub, QUEUE_RESCUE,
		O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	ok = fd >= 0 && (geteuid() != 0 || fchown(fd, uid, gid) == 0) &&
		fd_write_all(fd, line.data, line.len) == 0 && fsync(fd) == 0;
	if (!ok) {
		log_error("%s/%s/%s: %m", param.queue_directory, QUEUE_SUBDIR, QUEUE_RESCUE);
	}
	if (fd >= 0) {
		close(fd);
	}
	buf_free(&line);
	return ok;
}

/*
 * take_over - queue.db and all that belongs to it, from queue_directory into its subdirectory. A
 * crash in between is completed by the next start: until then nobody opens the queue, and the
 * database, without which the rest is none, goes last. Where an earlier version has run again since
 * there are two: the second is put beside the first, which takes the mail out of it (queue_rescue).
 * False: some of it could not be moved.
 */
static bool take_over(int at, int sub, uid_t before, uid_t uid, gid_t gid)
{
	struct moving m = { .from = at,
		.to = sub,
		.give = { at, before, uid, gid },
		.as = "queue.db",
		.beside = is_there(sub, "queue.db") };
	char as[NAME_MAX];

	if (m.beside && is_there(at, "queue.db")) {
		if (!name_beside(sub, uid, gid, as)) {
			return false;
		}
		m.as = as;
	} else if (m.beside) {
		return true; /* nothing without a database is a queue */
	}
	each_file(at, move_one, &m);
	if (m.moved > 0) {
		if (fsync(sub) != 0 || fsync(at) != 0) {
			log_warn("%s: cannot sync it: %m", param.queue_directory);
		}
		log_info("%s: the queue of an earlier version: %d file%s moved into %s",
			param.queue_directory, m.moved, m.moved == 1 ? "" : "s", QUEUE_SUBDIR);
	}
	return m.failed == 0;
}

bool layout_settle(uid_t owner, gid_t group)
{
	bool root = geteuid() == 0, ok = true;
	struct stat before = { .st_uid = geteuid() };

	for (size_t i = 0; i < layout_dir_count; i++) {
		const struct layout_dir *dir = &layout_dirs[i];
		int fd = layout_open(dir, owner, group);

		if (fd < 0) {
			log_error("%s/%s: %m", param.queue_directory, dir->name);
			return false;
		}
		if (i == 0) {
			(void)fstat(fd, &before);
		}
		/* A directory like /var that is named by mistake is root's, and stays as it is. */
		if (root) {
			settle_dir(fd, dir, dir->owned ? owner : 0, dir->owned ? group : 0);
		}
		if (strcmp(dir->name, QUEUE_SUBDIR) == 0) {
			int at = open_queue_directory();

			ok = at >= 0 && take_over(at, fd, before.st_uid, owner, group);
			if (at >= 0) {
				close(at);
			}
		}
		close(fd);
	}
	return ok;
}
