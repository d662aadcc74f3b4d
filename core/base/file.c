/*
 * file - whole reads and writes of small files, directories, and names that outlive a power cut
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

/* File systems whose journal orders what is written, f_type of statfs(2). */
enum { MAGIC_EXT = 0xef53, MAGIC_XFS = 0x58465342 };

int fd_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return -1;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* read_whole - fill data from fd, growing up to max bytes */
static char *read_whole(int fd, size_t max, size_t *len_r)
{
	size_t cap = 4096, len = 0;
	char *data = mem_realloc(NULL, cap);

	for (;;) {
		ssize_t n = read(fd, data + len, cap - len - 1);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 || len + (size_t)n > max) {
			if (n >= 0) {
				errno = EFBIG;
			}
			mem_free(data);
			return NULL;
		}
		if (n == 0) {
			break;
		}
		len += (size_t)n;
		if (cap - len < 2) {
			cap *= 2;
			data = mem_realloc(data, cap);
		}
	}
	data[len] = '\0';
	*len_r = len;
	return data;
}

char *file_read(const char *path, size_t max, size_t *len_r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *data;
	size_t len = 0;
	int saved;

	if (fd < 0) {
		return NULL;
	}
	data = read_whole(fd, max, &len);
	saved = errno;
	close(fd);
	errno = saved;
	if (data != NULL && len_r != NULL) {
		*len_r = len;
	}
	return data;
}

bool file_is_mount(const char *path)
{
	struct statx st = { 0 };

	/* The call itself: older musl has no wrapper. */
	return syscall(SYS_statx, AT_FDCWD, path, 0, 0, &st) == 0 &&
		(st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

int dir_make(const char *path, mode_t mode)
{
	char part[4096];

	if (!str_copy(part, sizeof(part), path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *at = part + 1; *at != '\0'; at++) {
		if (*at == '/') {
			*at = '\0';
			if (mkdir(part, 0755) != 0 && errno != EEXIST) {
				return -1;
			}
			*at = '/';
		}
	}
	return mkdir(part, mode) == 0 || errno == EEXIST ? 0 : -1;
}

int dir_sync_at(int dir, int fd)
{
	int at = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc, saved;

	if (at < 0) {
		return fd >= 0 ? syncfs(fd) : -1;
	}
	rc = fsync(at);
	saved = errno;
	close(at);
	errno = saved;
	if (rc != 0 && errno == EINVAL) { /* this file system has no such thing */
		return fd >= 0 ? syncfs(fd) : 0;
	}
	return rc;
}

int dir_sync(const char *dir, int fd)
{
	int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), rc, saved;

	if (at < 0) {
		return fd >= 0 ? syncfs(fd) : -1;
	}
	rc = dir_sync_at(at, fd);
	saved = errno;
	close(at);
	errno = saved;
	return rc;
}

int file_sync_name(const char *path, int fd)
{
	const char *slash = strrchr(path, '/');
	struct buf dir = BUF_INIT;
	int rc, saved;

	buf_add(&dir, path, slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path));
	rc = dir_sync(dir.len > 0 ? buf_str(&dir) : ".", fd);
	saved = errno;
	buf_free(&dir);
	errno = saved;
	return rc;
}

/* has_order - do changes of both files go through one journal? */
static bool has_order(int fd, const char *other)
{
	struct stat a, b;
	struct statfs fs;

	return fstat(fd, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
		fstatfs(fd, &fs) == 0 &&
		((uint32_t)fs.f_type == MAGIC_EXT || (uint32_t)fs.f_type == MAGIC_XFS);
}

int file_order(int fd, const char *other)
{
	if (has_order(fd, other) &&
		sync_file_range(fd, 0, 0,
			SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER) == 0) {
		return 0;
	}
	return fdatasync(fd);
}
