/*
 * forward - read ~/.forward and :include: files as the user they belong to
 *
 * A .forward is believed when it is a regular file, belongs to the user (or root)
 * and nobody else may write to it; an :include: file when not everybody may. Everybody being able
 * to read it is worth a warning, once for each file.
 */
#include "address/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/identity.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/macro.h"
#include "conf/params.h"

enum { FORWARD_MAX = 256 * 1024, INCLUDE_MAX = 16 << 20, WARNED_MAX = 1000 };

static const char SAFE[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "!@%-_=+:,.";

static const char *name_value(void *arg, const char *name)
{
	const struct forward_names *n = arg;
	const struct local_user *u = n->user;

	const struct {
		const char *name, *value;
	} rows[] = {
		{ "user", u != NULL ? u->name : n->local },
		{ "home", u != NULL ? u->home : NULL },
		{ "shell", u != NULL ? u->shell : NULL },
		{ "recipient", n->recipient },
		{ "local", n->local },
		{ "domain", n->domain },
		{ "extension", n->extension[0] != '\0' ? n->extension : NULL },
		{ "recipient_delimiter", n->delimiter[0] != '\0' ? n->delimiter : NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].name, name) == 0) {
			return rows[i].value;
		}
	}
	return NULL;
}

const char *forward_expand(struct arena *a, const char *text, const struct forward_names *n)
{
	struct expand e = { .lookup = name_value, .arg = (void *)n, .filter = NULL };
	struct forward_names clean = *n;
	struct buf out = BUF_INIT;
	char *error = NULL;
	const char **texts[] = { &clean.recipient, &clean.local, &clean.domain, &clean.extension };
	const char *result;

	/* What the sender chose must not lead elsewhere; home and user are the system's. */
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		char *copy = arena_strdup(a, *texts[i]);

		for (char *p = copy; *p != '\0'; p++) {
			*p = strchr(SAFE, *p) != NULL ? *p : '_';
		}
		*texts[i] = copy;
	}
	e.arg = &clean;
	if (expand_text(&e, &out, text, &error) != 0) {
		log_warn("\"%s\": %s", text, error);
		mem_free(error);
		buf_reset(&out);
	}
	result = arena_strdup(a, buf_str(&out));
	buf_free(&out);
	return result;
}

static void rights_back(void)
{
	gid_t root = 0;

	if (getuid() != 0 || geteuid() == getuid()) {
		return;
	}
	if (seteuid(0) != 0 || setegid(0) != 0 || setgroups(1, &root) != 0) {
		log_fatal("cannot become root again: %m");
	}
}

static int rights_take(const struct local_user *u)
{
	if (geteuid() != 0 || u->uid == 0) {
		return 0;
	}
	if (setgroups(1, &u->gid) != 0 || setegid(u->gid) != 0 || seteuid(u->uid) != 0) {
		rights_back();
		return -1;
	}
	return 0;
}

int default_user(struct arena *a, struct local_user *u)
{
	struct passwd *pw;

	if (geteuid() != 0) {
		pw = getpwuid(geteuid());
		*u = (struct local_user){ .name = "", .uid = geteuid(), .gid = getegid() };
	} else {
		pw = getpwnam(param.default_privs);
		if (pw == NULL || pw->pw_uid == 0) {
			log_warn(
				"default_privs: there is no ordinary user %s", param.default_privs);
			return -1;
		}
		*u = (struct local_user){ .uid = pw->pw_uid, .gid = pw->pw_gid };
	}
	u->name = arena_strdup(a, pw != NULL ? pw->pw_name : "");
	u->home = arena_strdup(a, pw != NULL && pw->pw_dir != NULL ? pw->pw_dir : "");
	u->shell = arena_strdup(a, pw != NULL && pw->pw_shell != NULL ? pw->pw_shell : "");
	return 1;
}

/* read_all - the whole open file into text; 0 or -1 */
static int read_all(int fd, struct buf *text, size_t max)
{
	ssize_t n;

	while ((n = read(fd, buf_reserve(text, 4096), 4096)) != 0) {
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -1;
		}
		buf_added(text, (size_t)n);
		if (text->len > max) {
			errno = EFBIG;
			return -1;
		}
	}
	return 0;
}

/* warn_readable - once for each file; warned may be NULL */
static void warn_readable(struct hash *warned, const char *path)
{
	if (warned != NULL && warned->count < WARNED_MAX && hash_get(warned, path) == NULL) {
		hash_set(warned, path, (void *)1);
		log_warn("file %s is world readable", path);
	}
}

/* untrusted - why a file is not believed, or NULL */
static const char *untrusted(const struct stat *st, uid_t uid)
{
	if (!S_ISREG(st->st_mode)) {
		return "is not a regular file";
	}
	if (st->st_uid != uid && st->st_uid != 0) {
		return "has a bad owner";
	}
	if ((st->st_mode & S_IWOTH) != 0) {
		return "is world writable";
	}
	return (st->st_mode & S_IWGRP) != 0 ? "is group writable" : NULL;
}

enum { READ_IGNORED = 2 };

/* read_one - one path of forward_path: as forward_read(); READ_IGNORED: it is not trusted */
static int read_one(struct arena *a, const char *path, const struct forward_names *n,
	struct buf *text, const char **error_r)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	const char *why = "cannot be looked at";
	struct stat st;
	int rc = 1;

	if (fd < 0) {
		if (errno == ENOENT || errno == ENOTDIR) {
			return 0;
		}
		if (errno == EACCES || errno == ELOOP || errno == ENAMETOOLONG) {
			log_warn("cannot open %s: %m -- ignored", path);
			return READ_IGNORED;
		}
		*error_r = arena_printf(a, "cannot open file %s: %s", path, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) != 0 || (why = untrusted(&st, n->user->uid)) != NULL) {
		log_warn("file %s %s -- ignored", path, why);
		rc = READ_IGNORED;
	} else if (read_all(fd, text, FORWARD_MAX) != 0) {
		*error_r = arena_printf(a, "cannot read file %s: %s", path, strerror(errno));
		rc = -1;
	} else if ((st.st_mode & S_IROTH) != 0) {
		warn_readable(n->warned, path);
	}
	close(fd);
	return rc;
}

/*
 * Users without a forward file, found so in this second: asking costs root a change of rights
 * for every mail. Compiled configuration, of a second.
 */
static struct {
	time_t second;
	struct hash absent;
} compiled;

/* absent_key - what the paths of forward_path depend on */
static const char *absent_key(struct arena *a, const struct forward_names *n)
{
	return arena_printf(
		a, "%s\n%s\n%s\n%s", n->user->name, n->recipient, n->extension, param.forward_path);
}

static bool known_absent(const char *key)
{
	time_t now = time(NULL);

	if (compiled.second != now) {
		hash_free(&compiled.absent, NULL);
		compiled.second = now;
	}
	return hash_get(&compiled.absent, key) != NULL;
}

int forward_read(struct arena *a, const struct forward_names *n, struct buf *text,
	const char **path_r, const char **error_r)
{
	struct slice rest = slice_of(param.forward_path), word;
	const char *key;
	bool ignored = false;
	int rc = 0;

	if (rest.len == 0 || n->user->home[0] != '/') {
		return 0;
	}
	*path_r = "";
	key = absent_key(a, n);
	if (known_absent(key)) {
		return 0;
	}
	if (rights_take(n->user) != 0) {
		*error_r = arena_printf(a, "cannot take on the rights of %s", n->user->name);
		return -1;
	}
	while (rc == 0 && (word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		const char *path = forward_expand(a, arena_strndup(a, word.ptr, word.len), n);

		/* Without an extension the two default paths are the same. */
		if (path[0] == '/' && strcmp(path, *path_r) != 0) {
			buf_reset(text);
			*path_r = path;
			rc = read_one(a, path, n, text, error_r);
		}
		if (rc == READ_IGNORED) {
			ignored = true;
			rc = 0;
		}
	}
	rights_back();
	if (rc == 0 && !ignored) {
		hash_set(&compiled.absent, key, &compiled);
	}
	return rc;
}

/*
 * include_open - with rights taken; fd, or -1 with *error_r and *rc_r. With root's, of an alias of
 * root's: those of whoever can exchange the file for a link to one that only root may read.
 */
static int include_open(
	struct arena *a, const char *path, struct stat *st, const char **error_r, int *rc_r)
{
	int fd = identity_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);

	*rc_r = -1;
	if (fd < 0 || fstat(fd, st) != 0) {
		*error_r =
			arena_printf(a, "cannot open include file %s: %s", path, strerror(errno));
	} else if (!S_ISREG(st->st_mode)) {
		*error_r = arena_printf(a, "include file %s is not a regular file", path);
		*rc_r = 0;
	} else if ((st->st_mode & S_IWOTH) != 0) {
		/* A group that keeps a list together is common: it may. */
		*error_r = arena_printf(a, "include file %s is world writable", path);
		log_warn("%s", *error_r);
		*rc_r = 0;
	} else {
		return fd;
	}
	if (fd >= 0) {
		close(fd);
	}
	return -1;
}

/*
 * file_owner - whose rights the destinations of a file have: its owner's, root's mean
 * default_privs
 */
static int file_owner(struct arena *a, const struct stat *st, struct local_user *u)
{
	struct passwd *pw;

	if (st->st_uid == 0 || geteuid() != 0) {
		return default_user(a, u);
	}
	pw = getpwuid(st->st_uid);
	*u = (struct local_user){
		.name = "", .uid = st->st_uid, .gid = st->st_gid, .home = "", .shell = ""
	};
	if (pw != NULL) {
		u->name = arena_strdup(a, pw->pw_name);
		u->home = arena_strdup(a, pw->pw_dir);
		u->shell = arena_strdup(a, pw->pw_shell);
		u->gid = pw->pw_gid;
	}
	return 1;
}

int include_read(struct arena *a, const char *path, const struct local_user *as, struct buf *text,
	struct local_user *owner_r, const char **error_r)
{
	struct stat st;
	int fd, rc;

	if (path[0] != '/') {
		*error_r = arena_printf(a, ":include:%s uses a relative path", path);
		return 0;
	}
	if (as != NULL && rights_take(as) != 0) {
		*error_r =
			arena_printf(a, "cannot read include file %s: %s", path, strerror(errno));
		return -1;
	}
	fd = include_open(a, path, &st, error_r, &rc);
	if (fd >= 0) {
		rc = read_all(fd, text, INCLUDE_MAX);
		if (rc != 0) {
			*error_r = arena_printf(
				a, "cannot read include file %s: %s", path, strerror(errno));
		}
		rc = rc == 0 ? 1 : -1;
		close(fd);
	}
	rights_back();
	if (rc == 1 && file_owner(a, &st, owner_r) < 0) {
		*error_r = arena_printf(a, "include file %s: no default_privs user", path);
		rc = -1;
	}
	return rc;
}
