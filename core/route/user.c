/*
 * user - who has a mailbox on this host
 *
 * local_passwd_file lets a server have users the system does not know (a container, a
 * sandbox, a test). Its lines are passwd(5)'s and, as Dovecot writes them,
 * may end in further fields:
 *
 *	name:password:uid:gid:gecos:home:shell[:extra]
 *
 * An empty uid or gid means the one we run as. The file is read again when it changed.
 */
#include "route/user.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "conf/params.h"

enum { FILE_SIZE_MAX = 64 << 20, PASSWD_LINE = 4096 };

/* The file as it was last read: compiled configuration. */
static struct {
	char *path;
	struct timespec changed;
	ino_t ino;
	off_t size;
	time_t looked;
	char *data;		/* the text, split into strings */
	struct hash lines;	/* name -> its line in data behind the name */
} compiled;

static void table_clear(void)
{
	hash_free(&compiled.lines, NULL);
	mem_free(compiled.data);
	mem_free(compiled.path);
	memset(&compiled, 0, sizeof(compiled));
}

/* table_parse - names to lines; the first of a name counts */
static void table_parse(void)
{
	char *line, *next;

	for (line = compiled.data; line != NULL; line = next) {
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
		if (hash_get(&compiled.lines, line) == NULL) {
			hash_set(&compiled.lines, line, colon + 1);
		}
	}
}

/* table_load - look once a second whether the file changed: 0, or -1 unreadable */
static int table_load(const char *path)
{
	struct stat st;
	time_t now = time(NULL);

	if (compiled.path != NULL && strcmp(compiled.path, path) == 0) {
		if (compiled.looked == now) {
			return 0;
		}
		if (stat(path, &st) == 0 && st.st_ino == compiled.ino && st.st_size == compiled.size
			&& st.st_mtim.tv_sec == compiled.changed.tv_sec
			&& st.st_mtim.tv_nsec == compiled.changed.tv_nsec) {
			compiled.looked = now;
			return 0;
		}
	}
	table_clear();
	if (stat(path, &st) != 0
		|| (compiled.data = file_read(path, FILE_SIZE_MAX, NULL)) == NULL) {
		log_warn("local_passwd_file: open %s: %m", path);
		return -1;
	}
	compiled.path = mem_strdup(path);
	compiled.changed = st.st_mtim;
	compiled.ino = st.st_ino;
	compiled.size = st.st_size;
	compiled.looked = now;
	table_parse();
	return 0;
}

/* number_field - a uid or gid; empty: def. False: none */
static bool number_field(struct arena *a, struct slice field, unsigned def, unsigned *out)
{
	int64_t n;

	if (field.len == 0) {
		*out = def;
		return true;
	}
	if (!str_to_int(arena_strndup(a, field.ptr, field.len), 0, UINT32_MAX - 1, &n)) {
		return false;
	}
	*out = (unsigned)n;
	return true;
}

/* next_field - up to the next colon */
static struct slice next_field(const char **p)
{
	size_t n = strcspn(*p, ":\r");
	struct slice s = { *p, n };

	*p += n + ((*p)[n] == ':');
	return s;
}

/* parse_line - "password:uid:gid:gecos:home:shell": 1, or 0 with a warning */
static int parse_line(struct arena *a, const char *name, const char *line, struct local_user *u)
{
	struct slice uid, gid, home, shell;
	unsigned n;

	next_field(&line);
	uid = next_field(&line);
	gid = next_field(&line);
	next_field(&line);
	home = next_field(&line);
	shell = next_field(&line);
	u->name = arena_strdup(a, name);
	u->home = arena_strndup(a, home.ptr, home.len);
	u->shell = arena_strndup(a, shell.ptr, shell.len);
	if (!number_field(a, uid, getuid(), &n)) {
		log_warn("%s: user %s has a bad uid", compiled.path, name);
		return 0;
	}
	u->uid = (uid_t)n;
	if (!number_field(a, gid, getgid(), &n)) {
		log_warn("%s: user %s has a bad gid", compiled.path, name);
		return 0;
	}
	u->gid = (gid_t)n;
	return 1;
}

/* find_exact - the name as it is */
static int find_exact(struct arena *a, const char *name, struct local_user *u)
{
	struct passwd pw, *found = NULL;
	const char *line;
	char *room;
	int err;

	if (param.local_passwd_file[0] != '\0') {
		if (table_load(param.local_passwd_file) != 0) {
			return -1;
		}
		line = hash_get(&compiled.lines, name);
		if (line != NULL) {
			return parse_line(a, name, line, u);
		}
	}
	room = arena_alloc(a, PASSWD_LINE);
	err = getpwnam_r(name, &pw, room, PASSWD_LINE, &found);
	if (found == NULL) {
		return err == 0 || err == ENOENT || err == ENOTDIR ? 0 : -1;
	}
	*u = (struct local_user){ .name = pw.pw_name, .uid = pw.pw_uid, .gid = pw.pw_gid };
	u->home = pw.pw_dir != NULL ? pw.pw_dir : "";
	u->shell = pw.pw_shell != NULL ? pw.pw_shell : "";
	return 1;
}

int local_user_find(struct arena *a, const char *name, struct local_user *u)
{
	char *low;
	int rc;

	/* A name with a slash would lead out of the mail spool; a colon is no name. */
	if (name[0] == '\0' || name[0] == '.' || strpbrk(name, "/:\n") != NULL) {
		return 0;
	}
	rc = find_exact(a, name, u);
	if (rc != 0) {
		return rc;
	}
	low = arena_strdup(a, name);
	str_lower(low);
	return strcmp(low, name) != 0 ? find_exact(a, low, u) : 0;
}
