/*
 * maildir_sweep - remove what deliveries left in tmp/ that did not come to their end
 *
 * Whoever writes a message there makes it known by a name in new/ or cur/ within minutes; who reads
 * the maildir may remove what nobody has touched for 36 hours (maildir(5)).
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mail/maildir/maildir_driver.h"

enum { LEFT_SECONDS = 36 * 3600 };

/*
 * is_left - a file that nobody has read, written or changed for so long; who copies mail gives it
 * the old one's times
 */
static bool is_left(int dir, const char *name, time_t now)
{
	struct stat st;

	return name[0] != '.' && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode) && st.st_mtime < now - LEFT_SECONDS &&
		st.st_ctime < now - LEFT_SECONDS && st.st_atime < now - LEFT_SECONDS;
}

void maildir_sweep(struct mailbox *mb, time_t now)
{
	struct buf path = BUF_INIT;
	struct dirent *e;
	DIR *d = NULL;

	if (!maildir_box(mb)->swept) {
		maildir_box(mb)->swept = true;
		buf_addf(&path, "%s/tmp", mb->path);
		d = opendir(buf_str(&path));
	}
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (is_left(dirfd(d), e->d_name, now)) {
			(void)unlinkat(dirfd(d), e->d_name, 0);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
	buf_free(&path);
}
