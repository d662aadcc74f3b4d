/*
 * mbox_sweep - remove what changes of mailbox files left that were killed before they had begun
 *
 * A journal under construction is rewrite-INODE.tmp (mbox_journal.c).
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mail/mbox/mbox_journal.h"

enum { LEFT_SECONDS = 3600 };

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

void mbox_journal_sweep(const char *path)
{
	struct buf name = BUF_INIT;
	struct dirent *e;
	DIR *d;

	mbox_directory(&name, path);
	d = opendir(buf_str(&name));
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (is_leftover(dirfd(d), e->d_name)) {
			(void)unlinkat(dirfd(d), e->d_name, 0);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
	buf_free(&name);
}
