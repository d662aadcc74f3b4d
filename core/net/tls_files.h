#ifndef NET_TLS_FILES_H
#define NET_TLS_FILES_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* Private to core/cert and core/net/tls*.c: have files changed? */

struct tls_stamp {
	struct timespec mtime;
	off_t size;
	ino_t inode;
};

/* Stamp of a file, or of all files of a list (several: white space, commas); false: one of them may
 * not be read by us. What is not there adds nothing. */
bool tls_stamp_take(const char *files, bool several, struct tls_stamp *out);
bool tls_stamp_same(const struct tls_stamp *a, const struct tls_stamp *b);

#endif
