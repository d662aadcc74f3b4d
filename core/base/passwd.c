/*
 * passwd - a passwd(5) file held in memory
 *
 * getpwnam(3) asks for a name service daemon and reads the file from the start at every call:
 * fifteen system calls for each recipient. The file is kept split into lines instead; the first
 * line of a name counts, as in getpwnam.
 */
#include "base/passwd.h"

#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"

enum { FILE_SIZE_MAX = 64 << 20 };

static void table_clear(struct passwd_table *t)
{
	hash_free(&t->lines, NULL);
	mem_free(t->data);
	mem_free(t->path);
	memset(t, 0, sizeof(*t));
}

/* table_parse - names to lines */
static void table_parse(struct passwd_table *t)
{
	char *line, *next;

	for (line = t->data; line != NULL; line = next) {
		char *colon;

		next = strchr(line, '\n');
		if (next != NULL) {
			*next++ = '\0';
		}
		colon = strchr(line, ':');
		if (line[0] == '#' || colon == NULL || colon == line) {
			continue;
		}
		*colon = '\0';
		if (hash_get(&t->lines, line) == NULL) {
			hash_set(&t->lines, line, colon + 1);
		}
	}
}

/* table_load - look once a second whether the file changed: 0, or -1 unreadable */
static int table_load(struct passwd_table *t, const char *path)
{
	time_t now = time(NULL);
	struct stat st;

	if (t->path != NULL && strcmp(t->path, path) == 0) {
		if (t->looked == now) {
			return 0;
		}
		if (stat(path, &st) == 0 && st.st_ino == t->ino && st.st_size == t->size &&
			st.st_mtim.tv_sec == t->changed.tv_sec &&
			st.st_mtim.tv_nsec == t->changed.tv_nsec) {
			t->looked = now;
			return 0;
		}
	}
	table_clear(t);
	if (stat(path, &st) != 0 || (t->data = file_read(path, FILE_SIZE_MAX, NULL)) == NULL) {
		return -1;
	}
	t->path = mem_strdup(path);
	t->changed = st.st_mtim;
	t->ino = st.st_ino;
	t->size = st.st_size;
	t->looked = now;
	table_parse(t);
	return 0;
}

int passwd_table_find(
	struct passwd_table *t, const char *path, const char *name, const char **line_r)
{
	if (table_load(t, path) != 0) {
		return -1;
	}
	*line_r = hash_get(&t->lines, name);
	return *line_r != NULL ? 1 : 0;
}
