/*
 * mbox_sweep - remove what changes of mailbox files left that were killed before they had begun
 *
 * A journal under construction is rewrite-INODE.tmp (mbox_journal.c). A note of an append
 * (mbox_note.c) that has ended stays for the next one, but not where none comes.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mail/mbox/mbox_journal.h"

enum { LEFT_SECONDS = 3600, NOTE_SECONDS = 30 * 24 * 3600 };

/* is_leftover - a journal that never got its name, and nobody works on */
static bool is_leftover(int dir, const char *name)
{
	size_t len = strlen(name);
	struct stat st;

	return strncmp(name, "rewrite-", 8) == 0 && len > 12 &&
		strcmp(name + len - 4, ".tmp") == 0 &&
		fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		st.st_mtime < time(NULL) - LEFT_SECONDS;
}

/* is_old_note - one that has ended, and nobody wrote for a month */
static bool is_old_note(int dir, const char *name)
{
	struct stat st;
	char first = 'x';
	int fd;

	if (strstr(name, ".append-") == NULL || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		!S_ISREG(st.st_mode) || st.st_mtime >= time(NULL) - NOTE_SECONDS) {
		return false;
	}
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	if (pread(fd, &first, 1, 0) < 0) {
		first = 'x';
	}
	close(fd);
	return first == '\0';
}

void mbox_journal_sweep(const char *path)
{
	struct buf name = BUF_INIT;
	struct dirent *e;
	DIR *d;

	mbox_directory(&name, path);
	d = opendir(buf_str(&name));
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (is_leftover(dirfd(d), e->d_name) || is_old_note(dirfd(d), e->d_name)) {
			(void)unlinkat(dirfd(d), e->d_name, 0);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
	buf_free(&name);
}
