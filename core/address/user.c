/*
 * user - who has a mailbox on this host
 *
 * local_passwd_file lets a server have users the system does not know (a container, a
 * sandbox, a test). Its lines are passwd(5)'s and, as Dovecot writes them,
 * may end in further fields:
 *
 *	name:password:uid:gid:gecos:home:shell[:extra]
 *
 * An empty uid or gid means the one we run as.
 */
#include "address/user.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/passwd.h"
#include "base/str.h"
#include "conf/params.h"

enum { PASSWD_LINE = 4096 };

#define SYSTEM_PASSWD "/etc/passwd"

/* The files as they were last read: compiled configuration. */
static struct {
	struct passwd_table own, system;
} compiled;

/* number_field - a uid or gid; empty: our own. False: none */
static bool number_field(struct arena *a, struct slice field, bool is_uid, unsigned *out)
{
	int64_t n;

	if (field.len == 0) {
		*out = is_uid ? (unsigned)getuid() : (unsigned)getgid();
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
static int parse_line(
	struct arena *a, const char *path, const char *name, const char *line, struct local_user *u)
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
	if (!number_field(a, uid, true, &n)) {
		log_warn("%s: user %s has a bad uid", path, name);
		return 0;
	}
	u->uid = (uid_t)n;
	if (!number_field(a, gid, false, &n)) {
		log_warn("%s: user %s has a bad gid", path, name);
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
		int rc = passwd_table_find(&compiled.own, param.local_passwd_file, name, &line);

		if (rc < 0) {
			log_warn("local_passwd_file: open %s: %m", param.local_passwd_file);
			return -1;
		}
		if (rc > 0) {
			return parse_line(a, param.local_passwd_file, name, line, u);
		}
	}
	if (passwd_table_find(&compiled.system, SYSTEM_PASSWD, name, &line) > 0) {
		return parse_line(a, SYSTEM_PASSWD, name, line, u);
	}
	/* Not in the file: a name service daemon may know the user. */
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
