/*
 * tls_files - stamps of the files that certificates and anchors come from
 */
#include "net/tls_files.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static void add_stamp(const char *path, struct tls_stamp *out)
{
	struct stat st;

	if (stat(path, &st) == 0) {
		out->mtime.tv_sec += st.st_mtim.tv_sec;
		out->mtime.tv_nsec += st.st_mtim.tv_nsec;
		out->size += st.st_size;
		out->inode += st.st_ino;
	}
}

bool tls_stamp_take(const char *files, bool several, struct tls_stamp *out)
{
	struct slice rest = slice_of(files), word;
	bool readable = true;

	memset(out, 0, sizeof(*out));
	while ((word = several ? slice_word(&rest, ", \t\r\n") : rest).ptr != NULL) {
		char *path = mem_strndup(word.ptr, word.len);

		add_stamp(path, out);
		readable = readable && !(access(path, R_OK) != 0 && errno == EACCES);
		mem_free(path);
		if (!several) {
			break;
		}
	}
	return readable;
}

bool tls_stamp_same(const struct tls_stamp *a, const struct tls_stamp *b)
{
	return a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
		a->size == b->size && a->inode == b->inode;
}
