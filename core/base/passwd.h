#ifndef BASE_PASSWD_H
#define BASE_PASSWD_H

#include <sys/types.h>
#include <time.h>

#include "base/hash.h"

/*
 * A passwd(5) file held in memory and read again when it changed (looked at once a
 * second), so that a look-up costs no system call. A zeroed struct is an empty table.
 */
struct passwd_table {
	char *path;
	struct timespec changed;
	ino_t ino;
	off_t size;
	time_t looked;
	char *data;        /* the text, split into strings */
	struct hash lines; /* name -> its line in data behind the name */
};

/*
 * 1 and *line_r: what follows "name:", good until the next call; 0 no such name; -1 with errno, the
 * file cannot be read.
 */
int passwd_table_find(
	struct passwd_table *t, const char *path, const char *name, const char **line_r);

#endif
