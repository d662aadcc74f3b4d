/*
 * master_lock_find - a supervisor whose directory has another name in the configuration now
 *
 * Its lock is where the directory was when it started, so it is looked for among the processes: of
 * that name, with that configuration, root's or ours, and its master.pid is really locked by it.
 *
 * proc(5).
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "applets/daemon/master_lock.h"

enum { TEXT_MAX = 65536, PATH_SIZE = 4096 };

static char *read_proc(const char *pid, const char *what, size_t *len_r)
{
	char path[300];

	snprintf(path, sizeof(path), "/proc/%.20s/%s", pid, what);
	return file_read(path, TEXT_MAX, len_r);
}

/* is_named - is the process called name, and is it root's or ours? By proc(5), status */
static bool is_named(const char *pid, const char *name)
{
	char *text = read_proc(pid, "status", NULL), *end;
	struct slice rest = slice_of(text != NULL ? text : ""), line = slice_word(&rest, "\n");
	const char *uids = text != NULL ? strstr(text, "\nUid:") : NULL;
	unsigned long real, effective;
	bool is = false;

	(void)slice_word(&line, "\t");
	if (uids != NULL && slice_eq(slice_trim(line), name)) {
		real = strtoul(uids + strlen("\nUid:"), &end, 10);
		effective = strtoul(end, NULL, 10);
		is = real == effective && (real == 0 || real == getuid());
	}
	mem_free(text);
	return is;
}

/* has_config - was it started with -c config, or without -c where that is the usual one? */
static bool has_config(const char *pid, const char *config, bool usual)
{
	size_t len = 0;
	char *text = read_proc(pid, "cmdline", &len);
	const char *given = NULL;
	bool is;

	for (const char *arg = text; arg != NULL && arg < text + len; arg += strlen(arg) + 1) {
		if (strcmp(arg, "-c") == 0 && arg + 3 < text + len) {
			given = arg + 3;
		} else if (strncmp(arg, "-c", 2) == 0 && arg[2] != '\0') {
			given = arg + 2;
		}
	}
	is = text != NULL && (given != NULL ? strcmp(given, config) == 0 : usual);
	mem_free(text);
	return is;
}

/* holds - the directory whose master.pid the process has open and locked; false: none */
static bool holds(const char *pid, struct buf *dir_r)
{
	char path[300], target[PATH_SIZE];
	bool found = false;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	d = opendir(path);
	while (d != NULL && !found && (e = readdir(d)) != NULL) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
		char *end;
		int dir;

		target[n > 0 ? n : 0] = '\0';
		end = strrchr(target, '/');
		if (end == NULL || strcmp(end, "/master.pid") != 0) {
			continue;
		}
		*end = '\0';
		dir = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
		found = dir >= 0 && lock_owner(dir) == (pid_t)strtol(pid, NULL, 10);
		if (dir >= 0) {
			close(dir);
		}
		if (found) {
			buf_reset(dir_r);
			buf_adds(dir_r, target);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
	return found;
}

pid_t lock_find(const char *name, const char *config, bool usual, struct buf *dir_r)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t pid = 0;

	while (d != NULL && pid == 0 && (e = readdir(d)) != NULL) {
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && is_named(e->d_name, name) &&
			has_config(e->d_name, config, usual) && holds(e->d_name, dir_r)) {
			pid = (pid_t)strtol(e->d_name, NULL, 10);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
	return pid;
}
