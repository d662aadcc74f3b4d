#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* write(2) all of it on a blocking descriptor, retrying EINTR: 0 or -1. */
int fd_write_all(int fd, const void *data, size_t len);
/* Whole small file into a caller-freed, NUL-terminated string; NULL with errno (EFBIG above max).
 */
char *file_read(const char *path, size_t max, size_t *len_r);
/* Is a file mounted there, as containers do with single files? No other can take its name. */
bool file_is_mount(const char *path);
/* mkdir -p with the mode given; 0 or -1. */
int dir_make(const char *path, mode_t mode);

/*
 * fsync(2) a directory, so that a name made or changed in it outlives a power cut. One that cannot
 * be opened (it may be written and not read) or synced (the file system has no such thing) takes
 * fd's whole file system with it, where fd >= 0. 0, or -1 with errno.
 */
int dir_sync(const char *dir, int fd);
/* By the directory's descriptor, which may be O_PATH. */
int dir_sync_at(int dir, int fd);
/* The same for the directory that holds path. */
int file_sync_name(const char *path, int fd);

/*
 * What was written to fd is on the disk before any change of the file at path `other' is that makes
 * it longer, or changes its name, and is synced after this. 0, or -1 with errno. Where both are on
 * one file system that has a journal (ext4, XFS) the disk has taken the bytes, and the journal,
 * which such a change has to pass, makes it put them down before: no flush of its own. Elsewhere,
 * and where there is no other, it is fdatasync(2).
 */
int file_order(int fd, const char *other);

#endif
