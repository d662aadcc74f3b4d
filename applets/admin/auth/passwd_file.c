/*
 * passwd_file - files in the manner of /etc/passwd, with a password and more
 *
 *	user:{SCHEME}password:uid:gid:gecos:home:shell:extra fields
 *
 * Fields at the end may be missing. Extra fields are blank-separated
 * name=value; userdb_home, userdb_mail, userdb_uid, userdb_gid and nopassword
 * are acted on. The file is held in memory by user name and read again
 * when it changes.
 */
#include "applets/admin/auth/passwd_file.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum { FILE_MAX = 64 << 20, FIELDS = 8 };

struct passwd_file {
	char *path;
	char *text;        /* lines, cut up by NULs when looked at */
	struct hash lines; /* name: start of the rest of its line, in text */
	struct timespec mtime;
	off_t size;
	ino_t inode;
	bool loaded, said; /* an error was logged */
};

struct passwd_file *passwd_file_open(const char *path)
{
	struct passwd_file *f = mem_alloc(sizeof(*f));

	f->path = mem_strdup(path);
	return f;
}

static void unload(struct passwd_file *f)
{
	hash_free(&f->lines, NULL);
	memset(&f->lines, 0, sizeof(f->lines));
	mem_free(f->text);
	f->text = NULL;
	f->loaded = false;
}

void passwd_file_close(struct passwd_file *f)
{
	if (f != NULL) {
		unload(f);
		mem_free(f->path);
		mem_free(f);
	}
}

static void index_lines(struct passwd_file *f)
{
	char *line = f->text, *next;
	int number = 0;

	for (; line != NULL && *line != '\0'; line = next) {
		char *end = line + strcspn(line, "\n"), *colon;

		number++;
		next = *end != '\0' ? end + 1 : end;
		*end = '\0';
		if (end > line && end[-1] == '\r') {
			end[-1] = '\0';
		}
		if (*line == '#' || *line == '\0') {
			continue;
		}
		colon = strchr(line, ':');
		if (colon == NULL || colon == line) {
			log_warn("%s, line %d: user:password was expected, the line is left out",
				f->path, number);
			continue;
		}
		*colon = '\0';
		if (hash_get(&f->lines, line) == NULL) { /* the first one wins, as in passwd(5) */
			(void)hash_set(&f->lines, line, colon + 1);
		}
	}
}

/* refresh - the file as it is now; false: it cannot be read */
static bool refresh(struct passwd_file *f)
{
	struct stat st;
	size_t len;
	char *text;

	if (stat(f->path, &st) == 0 && f->loaded && st.st_mtim.tv_sec == f->mtime.tv_sec &&
		st.st_mtim.tv_nsec == f->mtime.tv_nsec && st.st_size == f->size &&
		st.st_ino == f->inode) {
		return true;
	}
	text = file_read(f->path, FILE_MAX, &len);
	if (text == NULL) {
		if (!f->said) {
			log_error("passwd-file %s: %m", f->path);
			f->said = true;
		}
		return false;
	}
	unload(f);
	f->text = text;
	f->mtime = st.st_mtim;
	f->size = st.st_size;
	f->inode = st.st_ino;
	f->loaded = true;
	f->said = false;
	index_lines(f);
	return true;
}

static bool parse_id(const char *text, bool group, uint32_t *out)
{
	const struct passwd *pw;
	const struct group *gr;
	int64_t n;

	if (str_to_int(text, 0, UINT32_MAX - 1, &n)) {
		*out = (uint32_t)n;
		return true;
	}
	if (group) {
		gr = getgrnam(text);
		*out = gr != NULL ? gr->gr_gid : 0;
		return gr != NULL;
	}
	pw = getpwnam(text);
	*out = pw != NULL ? pw->pw_uid : 0;
	return pw != NULL;
}

static void set_id(struct db_user *out, const char *text, bool group)
{
	uint32_t id;

	if (text[0] != '\0' && parse_id(text, group, &id)) {
		if (group) {
			out->gid = id;
		} else {
			out->uid = id;
			out->has_ids = true;
		}
	}
}

static void extra_field(struct db_user *out, const char *field)
{
	if (str_starts(field, "userdb_home=")) {
		out->home = field + strlen("userdb_home=");
	} else if (str_starts(field, "userdb_mail=")) {
		out->mail = field + strlen("userdb_mail=");
	} else if (str_starts(field, "userdb_uid=")) {
		set_id(out, field + strlen("userdb_uid="), false);
	} else if (str_starts(field, "userdb_gid=")) {
		set_id(out, field + strlen("userdb_gid="), true);
	} else if (strcmp(field, "nopassword") == 0 || str_starts(field, "nopassword=y")) {
		out->no_password = true;
	} else if (strcmp(field, "nologin") == 0 || str_starts(field, "nologin=y")) {
		out->disabled = "nologin is set";
	}
}

/* cut - the field at *rest, which moves on to the next */
static char *cut(char **rest)
{
	char *field = *rest, *end = field + strcspn(field, ":");

	*rest = *end != '\0' ? end + 1 : end;
	*end = '\0';
	return field;
}

enum db_result passwd_file_lookup(
	struct passwd_file *f, const char *user, struct arena *a, struct db_user *out)
{
	const char *line;
	char *field[FIELDS], *rest, *word;

	if (!refresh(f)) {
		return DB_ERROR;
	}
	line = hash_get(&f->lines, user);
	if (line == NULL) {
		return DB_NOT_FOUND;
	}
	rest = arena_strdup(a, line);
	field[0] = NULL;
	for (int i = 1; i < FIELDS - 1; i++) {
		field[i] = cut(&rest);
	}
	field[FIELDS - 1] = rest; /* extra fields may hold colons */
	out->name = arena_strdup(a, user);
	out->password = field[1][0] != '\0' ? field[1] : NULL;
	set_id(out, field[2], false);
	set_id(out, field[3], true);
	out->home = field[5];
	while ((word = strsep(&rest, " ")) != NULL) {
		extra_field(out, word);
	}
	return DB_FOUND;
}
