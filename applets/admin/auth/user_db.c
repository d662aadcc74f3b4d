/*
 * user_db - the passdb and userdb sections of dovecot.conf
 *
 *	passwd       /etc/passwd		shadow, pam  /etc/shadow
 *	passwd-file  args = [scheme=S] [username_format=F] PATH
 *	static       args = uid=U gid=G home=H mail=M | password=P | nopassword=y
 *	prefetch     (userdb) nothing: what passdb said is enough
 *
 * Without any section: shadow, then passwd, for both. Drivers that need other software
 * (sql, ldap, dict, lua, ...) are named in the log and left out. The 2.4 dialect
 * arrives here as args, too (core/conf/dovecot/dovecot_names.c).
 */
#include "applets/admin/auth/user_db.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <shadow.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "applets/admin/auth/passwd_file.h"

enum driver { DRIVER_PASSWD, DRIVER_SHADOW, DRIVER_PASSWD_FILE, DRIVER_STATIC, DRIVER_PREFETCH };

struct auth_db {
	struct auth_db *next;
	enum driver driver;
	const char *name;
	bool deny;
	char *scheme;          /* of passwords without {SCHEME} */
	char *username_format; /* NULL: as it is */
	struct passwd_file *file;
	char *fields; /* static: "uid=vmail gid=vmail ..." */
	struct db_place place;
};

static const struct {
	const char *name;
	enum driver driver;
} drivers[] = {
	{ "passwd", DRIVER_PASSWD },
	{ "shadow", DRIVER_SHADOW },
	{ "pam", DRIVER_SHADOW },
	{ "passwd-file", DRIVER_PASSWD_FILE },
	{ "static", DRIVER_STATIC },
	{ "prefetch", DRIVER_PREFETCH },
};

/* ---- Configuration ---- */

static struct auth_db *new_db(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		if (strcmp(drivers[i].name, name) == 0) {
			struct auth_db *db = mem_alloc(sizeof(*db));

			db->name = drivers[i].name;
			db->driver = drivers[i].driver;
			db->scheme = mem_strdup(setting.default_pass_scheme);
			return db;
		}
	}
	return NULL;
}

static void set_text(char **at, const char *text)
{
	mem_free(*at);
	*at = mem_strdup(text);
}

/* passwd_file_args - options, then the path */
static void passwd_file_args(struct auth_db *db, const char *args)
{
	char *copy = mem_strdup(args), *rest = copy, *word;

	while ((word = strsep(&rest, " \t")) != NULL) {
		if (str_starts(word, "scheme=")) {
			set_text(&db->scheme, word + 7);
		} else if (str_starts(word, "username_format=")) {
			set_text(&db->username_format, word + 16);
		} else if (word[0] == '/' && db->file == NULL) {
			db->file = passwd_file_open(word);
		}
	}
	mem_free(copy);
}

static struct auth_db *load_section(const struct conf_node *node)
{
	const char *name = conf_setting(node, "driver", node->name != NULL ? node->name : "");
	const char *args = conf_setting(node, "args", "");
	struct auth_db *db = new_db(name);

	if (db == NULL) {
		log_warn("%s:%d: %s driver \"%s\" is not available here: use passwd, shadow, "
			 "passwd-file or static",
			node->file, node->line, node->key, name);
		return NULL;
	}
	db->deny = strcmp(conf_setting(node, "deny", "no"), "yes") == 0;
	if (db->driver == DRIVER_PASSWD_FILE) {
		passwd_file_args(db, args);
		if (db->file == NULL) {
			log_warn("%s:%d: passwd-file: args names no file", node->file, node->line);
			db_free(db);
			return NULL;
		}
	} else if (db->driver == DRIVER_STATIC) {
		db->fields = mem_strdup(args);
	}
	return db;
}

struct auth_db *db_load(bool userdb)
{
	const char *key = userdb ? "userdb" : "passdb";
	struct auth_db *list = NULL, **last = &list;
	bool any = false;

	for (const struct conf_node *n = conf_next_section(dovecot_conf_root(), key, NULL);
		n != NULL; n = conf_next_section(dovecot_conf_root(), key, n)) {
		any = true;
		*last = load_section(n);
		if (*last != NULL) {
			last = &(*last)->next;
		}
	}
	if (!any) {
		*last = new_db(userdb ? "passwd" : "shadow");
		if (!userdb) {
			(*last)->next = new_db("passwd");
		}
	}
	return list;
}

void db_free(struct auth_db *list)
{
	while (list != NULL) {
		struct auth_db *db = list;

		list = db->next;
		passwd_file_close(db->file);
		mem_free(db->scheme);
		mem_free(db->username_format);
		mem_free(db->fields);
		mem_free(db);
	}
}

struct auth_db *db_next(const struct auth_db *db)
{
	return db->next;
}

const char *db_name(const struct auth_db *db)
{
	return db->name;
}

bool db_denies(const struct auth_db *db)
{
	return db->deny;
}

bool db_needs_root(const struct auth_db *db)
{
	return db->driver == DRIVER_SHADOW || db->driver == DRIVER_PASSWD_FILE;
}

struct db_place *db_place(struct auth_db *db)
{
	return &db->place;
}

/* ---- Look-ups ---- */

const char *auth_normalise(struct arena *a, const char *user, const char **why_r)
{
	const char *format = setting.auth_username_format;
	char *text;

	if (user[0] == '\0') {
		*why_r = "empty user name";
		return NULL;
	}
	if (strchr(user, '@') == NULL && setting.auth_default_realm[0] != '\0') {
		user = arena_printf(a, "%s@%s", user, setting.auth_default_realm);
	}
	if (setting.auth_username_chars[0] != '\0' &&
		user[strspn(user, setting.auth_username_chars)] != '\0') {
		*why_r = "the user name has a character that auth_username_chars does not allow";
		return NULL;
	}
	if (format[0] == '\0') {
		return arena_strdup(a, user);
	}
	text = dovecot_expand(format, user, "", "");
	user = arena_strdup(a, text);
	mem_free(text);
	if (user[0] == '\0') {
		*why_r = "empty user name";
		return NULL;
	}
	return user;
}

static enum db_result look_up_passwd(const char *user, struct arena *a, struct db_user *out)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL) {
		return errno == 0 || errno == ENOENT ? DB_NOT_FOUND : DB_ERROR;
	}
	out->name = arena_strdup(a, pw->pw_name);
	out->uid = pw->pw_uid;
	out->gid = pw->pw_gid;
	out->has_ids = true;
	out->home = arena_strdup(a, pw->pw_dir);
	out->password = strlen(pw->pw_passwd) > 1 ? arena_strdup(a, pw->pw_passwd) : NULL;
	out->scheme = "CRYPT";
	return DB_FOUND;
}

/* shadow_disabled - shadow(5): dates are days; -1 is not set */
static const char *shadow_disabled(const struct spwd *sp)
{
	long today = (long)(time(NULL) / 86400);

	if (sp->sp_expire > 0 && today >= sp->sp_expire) {
		return "account expired";
	}
	if (sp->sp_lstchg >= 0 && sp->sp_max >= 0 && sp->sp_inact >= 0 &&
		today > sp->sp_lstchg + sp->sp_max + sp->sp_inact) {
		return "password expired";
	}
	return NULL;
}

static enum db_result look_up_shadow(const char *user, struct arena *a, struct db_user *out)
{
	const struct spwd *sp;

	errno = 0;
	sp = getspnam(user);
	if (sp == NULL) {
		if (errno == EACCES || errno == EPERM) {
			log_error("/etc/shadow: %m: auth runs as root only when master was started "
				  "by root");
			return DB_ERROR;
		}
		/* To libc a file that is missing only does not know the name. */
		if (access("/etc/shadow", F_OK) != 0) {
			log_warn("/etc/shadow: %m: nobody can log in with a password of the system "
				 "(other users: passdb { driver = passwd-file })");
		}
		return DB_NOT_FOUND;
	}
	out->name = arena_strdup(a, sp->sp_namp);
	out->password = sp->sp_pwdp[0] != '\0' ? arena_strdup(a, sp->sp_pwdp) : NULL;
	out->scheme = "CRYPT";
	out->disabled = shadow_disabled(sp);
	return DB_FOUND;
}

static void static_field(struct db_user *out, const char *name, const char *value, struct arena *a)
{
	const struct passwd *pw;
	const struct group *gr;
	int64_t n;

	if (strcmp(name, "uid") == 0) {
		if (str_to_int(value, 0, UINT32_MAX - 1, &n)) {
			out->uid = (uid_t)n;
			out->has_ids = true;
		} else if ((pw = getpwnam(value)) != NULL) {
			out->uid = pw->pw_uid;
			out->has_ids = true;
		}
	} else if (strcmp(name, "gid") == 0) {
		if (str_to_int(value, 0, UINT32_MAX - 1, &n)) {
			out->gid = (gid_t)n;
		} else if ((gr = getgrnam(value)) != NULL) {
			out->gid = gr->gr_gid;
		}
	} else if (strcmp(name, "home") == 0) {
		out->home = arena_strdup(a, value);
	} else if (strcmp(name, "mail") == 0) {
		out->mail = arena_strdup(a, value);
	} else if (strcmp(name, "password") == 0) {
		out->password = arena_strdup(a, value);
		out->scheme = "PLAIN";
	} else if (strcmp(name, "nopassword") == 0) {
		out->no_password = value[0] == '\0' || value[0] == 'y';
	}
}

/* look_up_static - each value is expanded for this user (home=/var/mail/%d/%n) */
static enum db_result look_up_static(
	const struct auth_db *db, const char *user, struct arena *a, struct db_user *out)
{
	char *rest = arena_strdup(a, db->fields), *word;

	out->name = arena_strdup(a, user);
	while ((word = strsep(&rest, " \t")) != NULL) {
		char *value = strchr(word, '=');
		char *expanded;

		if (word[0] == '\0') {
			continue;
		}
		if (value != NULL) {
			*value++ = '\0';
		}
		expanded = dovecot_expand(value != NULL ? value : "", user, "", "");
		static_field(out, word, expanded, a);
		mem_free(expanded);
	}
	return DB_FOUND;
}

enum db_result db_lookup_here(
	struct auth_db *db, const char *user, struct arena *a, struct db_user *out)
{
	enum db_result rc = DB_NOT_FOUND;

	memset(out, 0, sizeof(*out));
	out->home = out->mail = "";
	out->scheme = db->scheme;
	out->gid = (gid_t)-1;
	if (db->username_format != NULL) {
		char *formatted = dovecot_expand(db->username_format, user, "", "");

		user = arena_strdup(a, formatted);
		mem_free(formatted);
	}
	switch (db->driver) {
	case DRIVER_PASSWD:
		rc = look_up_passwd(user, a, out);
		break;
	case DRIVER_SHADOW:
		rc = look_up_shadow(user, a, out);
		break;
	case DRIVER_PASSWD_FILE:
		rc = passwd_file_lookup(db->file, user, a, out);
		break;
	case DRIVER_STATIC:
		rc = look_up_static(db, user, a, out);
		break;
	case DRIVER_PREFETCH:
		break;
	}
	if (rc == DB_FOUND && out->has_ids && out->gid == (gid_t)-1) {
		const struct passwd *pw = getpwuid(out->uid);

		out->gid = pw != NULL ? pw->pw_gid : (gid_t)out->uid;
	}
	return rc;
}
