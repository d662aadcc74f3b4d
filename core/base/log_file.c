/*
 * log_file - the file that the log goes to is opened, by the rights of whose place it is in
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/identity.h"
#include "base/log.h"

/*
 * open_plain - root's log in a directory of somebody else's, who may have put something else in its
 * place; -1 with errno
 */
static int open_plain(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd >= 0 &&
		(fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
			st.st_uid != geteuid())) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

int log_open_file(const char *path)
{
	int fd;

	if (strcmp(path, "/dev/stdout") == 0) {
		fd = 1;
	} else if (strcmp(path, "/dev/stderr") == 0) {
		fd = 2;
	} else {
		fd = identity_open(
			path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
		if (fd < 0 && errno == EACCES && geteuid() == 0) {
			fd = open_plain(path);
		}
	}
	if (fd < 0) {
		return -1;
	}
	log_set_fd(fd);
	return 0;
}
