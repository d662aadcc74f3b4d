/*
 * mbox_folders - mbox folders: files, and directories that hold files
 *
 * A file cannot have children and a directory no mail. Files and directories
 * whose names begin with a dot, and those of locks and of Dovecot's index, are no folders.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "mail/mbox/mbox_driver.h"

enum { DEPTH_MAX = 16, FOLDERS_MAX = 100000 };

bool mbox_exists(const char *path, bool *selectable_r)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		return false;
	}
	*selectable_r = S_ISREG(st.st_mode);
	return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

/* make_parents - the directories above path; 0 or -1 */
static int make_parents(struct mailstore *ms, const char *path)
{
	char *dir = mem_strdup(path), *slash = strrchr(dir, '/');
	int rc = 0;

	if (slash != NULL && slash > dir) {
		*slash = '\0';
		if (dir_make(dir, 0700) != 0 && errno != EEXIST) {
			rc = errno == ENOTDIR ? store_fail(ms, MAIL_E_INVALID,
							"A parent is a mailbox, which cannot have "
							"children here")
					      : store_fail_sys(ms, dir, "create", "write");
		}
	}
	mem_free(dir);
	return rc;
}

int mbox_create(struct mailstore *ms, const char *path, bool directory)
{
	int fd;

	if (make_parents(ms, path) != 0) {
		return -1;
	}
	if (directory) {
		return mkdir(path, 0700) == 0 ? 0 : store_fail_sys(ms, path, "create", "write");
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		if (errno == ENOTDIR) {
			return store_fail(ms, MAIL_E_INVALID,
				"A parent is a mailbox, which cannot have children here");
		}
		return store_fail_sys(ms, path, "create", "write");
	}
	close(fd);
	return 0;
}

int mbox_remove(struct mailstore *ms, const char *path)
{
	struct mailbox_lock *lock = NULL;
	struct stat st;
	int fd, rc;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		return rmdir(path) == 0 ? 0 : store_fail_sys(ms, path, "delete", "write");
	}
	/* Whoever is delivering into it is let finish. */
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0) {
		lock = mailbox_lock(path, fd, true, MBOX_LOCK_MS);
	}
	if (fd >= 0 && lock == NULL) {
		store_fail_sys(ms, path, "lock", "read and write");
		close(fd);
		return -1;
	}
	rc = unlink(path) == 0 ? 0 : store_fail_sys(ms, path, "delete", "write");
	if (lock != NULL) {
		mailbox_unlock(lock);
	}
	if (fd >= 0) {
		close(fd);
	}
	return rc;
}

int mbox_move(struct mailstore *ms, const char *from, const char *to)
{
	if (make_parents(ms, to) != 0) {
		return -1;
	}
	return rename(from, to) == 0 ? 0 : store_fail_sys(ms, from, "rename", "write");
}

/* look_at - what path is, behind a link too unless that leads where the user has nothing */
static bool look_at(const struct store *store, const char *path, struct stat *st)
{
	return lstat(path, st) == 0 &&
		(!S_ISLNK(st->st_mode) || (place_is_own(store, path) && stat(path, st) == 0));
}

/* list_directory - what is in dir; prefix: its name as a folder with a separator, or "" */
static int list_directory(struct mailstore *ms, const char *dir, const char *prefix, int depth,
	struct folder_list *out)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	int rc = 0;

	if (d == NULL) {
		return depth > 0 || errno == ENOENT || errno == ENOTDIR
			? 0
			: store_fail_sys(ms, dir, "read", "read");
	}
	while (rc == 0 && out->count < FOLDERS_MAX && (e = readdir(d)) != NULL) {
		struct buf path = BUF_INIT, name = BUF_INIT;

		if (folder_is_hidden(e->d_name)) {
			continue;
		}
		buf_addf(&path, "%s/%s", dir, e->d_name);
		buf_addf(&name, "%s%s", prefix, e->d_name);
		if (strcmp(buf_str(&path), ms->store->inbox) != 0 &&
			look_at(ms->store, buf_str(&path), &st)) {
			if (S_ISREG(st.st_mode)) {
				folder_list_add(out, buf_str(&name), true, true);
			} else if (S_ISDIR(st.st_mode)) {
				folder_list_add(out, buf_str(&name), false, false);
				buf_addc(&name, '/');
				if (depth < DEPTH_MAX) {
					rc = list_directory(
						ms, buf_str(&path), buf_str(&name), depth + 1, out);
				}
			}
		}
		buf_free(&path);
		buf_free(&name);
	}
	closedir(d);
	return rc;
}

int mbox_list(struct mailstore *ms, struct folder_list *out)
{
	return list_directory(ms, ms->store->root, "", 0, out);
}
