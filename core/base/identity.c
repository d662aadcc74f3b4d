/*
 * identity - the rights of others for what is done in their places
 */
#include "base/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

enum { LINKS_MAX = 40, NO_GROUP = 65534 };

/* ---- Taking an identity ---- */

/* set_ids - for files only; setfsuid(2) tells of no failure, so it is asked */
static bool set_ids(uid_t uid, gid_t gid)
{
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	return setfsgid((gid_t)-1) == (int)gid && setfsuid((uid_t)-1) == (int)uid;
}

int identity_enter(struct identity_saved *id, uid_t uid, gid_t gid)
{
	id->changed = false;
	if (geteuid() != 0 || uid == 0) {
		return 0;
	}
	/* What they are now; (uid_t)-1 changes nothing. */
	id->uid = (uid_t)setfsuid((uid_t)-1);
	id->gid = (gid_t)setfsgid((gid_t)-1);
	id->dumpable = prctl(PR_GET_DUMPABLE) == 1;
	id->group_count = getgroups((int)(sizeof(id->groups) / sizeof(id->groups[0])), id->groups);
	if (id->group_count < 0 || setgroups(0, NULL) != 0) {
		return -1;
	}
	id->changed = true;
	if (set_ids(uid, gid)) {
		return 0;
	}
	identity_leave(id);
	errno = EPERM;
	return -1;
}

void identity_leave(struct identity_saved *id)
{
	int saved = errno;

	if (!id->changed) {
		return;
	}
	id->changed = false;
	if (!set_ids(id->uid, id->gid) || setgroups((size_t)id->group_count, id->groups) != 0) {
		log_fatal("cannot become root again: %m");
	}
	if (id->dumpable) {
		(void)prctl(PR_SET_DUMPABLE, 1);
	}
	errno = saved;
}

/* ---- Whose a path is ---- */

struct walk {
	int dir; /* where we are, O_PATH */
	int links;
	char rest[PATH_MAX]; /* what is still to be gone through */
	char at[PATH_MAX];   /* how we came to dir, without links */
};

/* step_to - dir becomes the place we are */
static int step_to(struct walk *w, int dir)
{
	if (dir < 0) {
		return -1;
	}
	if (w->dir >= 0) {
		close(w->dir);
	}
	w->dir = dir;
	return 0;
}

static int step_root(struct walk *w, const char *path)
{
	(void)str_copy(w->at, sizeof(w->at), path[0] == '/' ? "/" : "");
	return step_to(w, open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* follow - a link of root's: its text goes before the rest */
static int follow(struct walk *w, const char *name)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(w->dir, name, text, sizeof(text) - 1);
	size_t tail = strlen(w->rest);

	if (n < 0) {
		return -1;
	}
	text[n] = '\0';
	if (++w->links > LINKS_MAX || (size_t)n + tail >= sizeof(w->rest)) {
		errno = ELOOP;
		return -1;
	}
	/* What is left begins with a slash, or is empty. */
	memmove(w->rest + n, w->rest, tail + 1);
	memcpy(w->rest, text, (size_t)n);
	return text[0] == '/' ? step_root(w, text) : 0;
}

/* add_name - we are one component on */
static void add_name(struct walk *w, const char *name)
{
	size_t len = strlen(w->at);

	(void)snprintf(w->at + len, sizeof(w->at) - len, "%s%s",
		len > 0 && w->at[len - 1] != '/' ? "/" : "", name);
}

/* next_name - the next component; false: there is none */
static bool next_name(struct walk *w, char name[NAME_MAX + 1])
{
	size_t at = strspn(w->rest, "/"), len = strcspn(w->rest + at, "/");

	if (len == 0 || len > NAME_MAX) {
		return false;
	}
	memcpy(name, w->rest + at, len);
	name[len] = '\0';
	at += len;
	memmove(w->rest, w->rest + at, strlen(w->rest + at) + 1);
	return true;
}

/* step - one component on; *st is its state. 1 go on, 0 the end, -1 */
static int step(struct walk *w, struct stat *st)
{
	char name[NAME_MAX + 1];
	int fd;

	if (!next_name(w, name)) {
		return 0;
	}
	fd = openat(w->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		add_name(w, name);
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	}
	if (fstat(fd, st) != 0) {
		close(fd);
		return -1;
	}
	if (S_ISLNK(st->st_mode) && st->st_uid == 0) {
		close(fd);
		return follow(w, name) == 0 ? 1 : -1;
	}
	add_name(w, name);
	return step_to(w, fd) == 0 ? 1 : -1;
}

/*
 * group_of - that an owner works with: a file's own group may be one its owner is not in (a setgid
 * directory gives it), root's not at all
 */
static gid_t group_of(const struct stat *st)
{
	const struct passwd *pw = getpwuid(st->st_uid);

	return pw != NULL ? pw->pw_gid : st->st_gid != 0 ? st->st_gid : NO_GROUP;
}

int path_owner(const char *path, uid_t *uid_r, gid_t *gid_r)
{
	char at[PATH_MAX];

	return path_owner_at(path, uid_r, gid_r, at);
}

int path_owner_at(const char *path, uid_t *uid_r, gid_t *gid_r, char out[PATH_MAX])
{
	struct walk w = { .dir = -1 };
	struct stat st;
	int rc = 1;

	*uid_r = geteuid();
	*gid_r = getegid();
	if (!str_copy(w.rest, sizeof(w.rest), path) || !str_copy(out, PATH_MAX, path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	/* What is open already leads nowhere else. */
	if (geteuid() != 0 || str_starts(path, "/dev/fd/") || str_starts(path, "/dev/std")) {
		return 0;
	}
	if (step_root(&w, path) != 0 || fstat(w.dir, &st) != 0) {
		rc = -1;
	} else if (path[0] == '/') {
		/* Who made an image may own its "/": nothing would be root's. */
		st.st_uid = 0;
	}
	while (rc > 0 && st.st_uid == 0) {
		rc = step(&w, &st);
	}
	if (rc >= 0 && st.st_uid != 0) {
		*uid_r = st.st_uid;
		*gid_r = group_of(&st);
	}
	if (w.dir >= 0) {
		close(w.dir);
	}
	/* What is left begins with a slash, but for a relative path none of which was gone. */
	if (rc >= 0 && snprintf(out, PATH_MAX, "%s%s", w.at, w.rest) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		rc = -1;
	}
	return rc < 0 ? -1 : 0;
}

int identity_enter_path(struct identity_saved *id, const char *path)
{
	uid_t uid;
	gid_t gid;

	id->changed = false;
	return path_owner(path, &uid, &gid) == 0 ? identity_enter(id, uid, gid) : -1;
}

int identity_enter_parent(struct identity_saved *id, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	id->changed = false;
	if (slash == NULL) {
		return identity_enter_path(id, ".");
	}
	if ((size_t)(slash - path) >= sizeof(dir) - 1) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	return identity_enter_path(id, dir[0] != '\0' ? dir : "/");
}

int identity_open(const char *path, int flags, mode_t mode)
{
	struct identity_saved id;
	int fd;

	if ((flags & O_CREAT ? identity_enter_parent(&id, path) : identity_enter_path(&id, path)) !=
		0) {
		return -1;
	}
	if (id.changed) {
		/* A pipe that is put there must not hold root up. */
		flags |= O_NONBLOCK | (flags & O_CREAT ? O_NOFOLLOW : 0);
	}
	fd = open(path, flags, mode);
	identity_leave(&id);
	return fd;
}
