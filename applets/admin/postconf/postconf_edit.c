/*
 * postconf_edit - change main.cf in place: set, remove, comment out
 *
 * Comments and the order of lines stay. An entry that is set again keeps its
 * place and loses its continuation lines; one that is not there is added at
 * the end. All entries of a name are changed, with a warning when there are several.
 *
 * The file is written anew beside the old one, with its mode and owner, and
 * renamed into its place; through a symbolic link the file it names is
 * changed. Two postconfs at once wait for each other.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/identity.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/main_cf.h"
#include "applets/admin/postconf/postconf.h"

enum { FILE_MAX = 16 * 1024 * 1024 };

struct edit {
	char *name, *value;
	int seen; /* entries of that name */
};

struct edits {
	enum edit_mode mode;
	struct edit *list;
	size_t count;
};

static struct edit *find_edit(struct edits *e, struct slice name)
{
	for (size_t i = 0; i < e->count; i++) {
		if (slice_eq(name, e->list[i].name)) {
			return &e->list[i];
		}
	}
	return NULL;
}

/* add_edit - one argument */
static void add_edit(struct edits *e, const char *arg)
{
	struct assignment a = { .value = { "", 0 } };
	const char *wrong;
	struct edit *old;

	if (strchr(arg, '\n') != NULL) {
		log_fatal("-e, -X, or -# accepts no multi-line input");
	}
	if (e->mode == EDIT_SET) {
		wrong = assignment_split(arg, &a);
		if (wrong != NULL) {
			log_fatal("%s: \"%s\"", wrong, arg);
		}
	} else {
		a.name = slice_trim(slice_of(arg));
		if (memchr(a.name.ptr, '=', a.name.len) != NULL) {
			log_fatal("-X or -# requires names without value");
		}
		if (a.name.len == 0) {
			log_fatal("-X or -# requires non-blank names");
		}
		if (a.name.ptr[0] == '#') {
			log_fatal("-X or -# requires non-comment names");
		}
	}
	old = find_edit(e, a.name);
	if (old != NULL) {
		log_warn("ignoring earlier request: '%s%s%s'", old->name,
			e->mode == EDIT_SET ? " = " : "", old->value);
		mem_free(old->value);
		old->value = mem_strndup(a.value.ptr, a.value.len);
		return;
	}
	e->list = mem_realloc(e->list, (e->count + 1) * sizeof(*e->list));
	e->list[e->count++] = (struct edit){ mem_strndup(a.name.ptr, a.name.len),
		mem_strndup(a.value.ptr, a.value.len), 0 };
}

/* entry_name - of a line that begins an entry */
static struct slice entry_name(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && line[n] != '=' && !isspace((unsigned char)line[n])) {
		n++;
	}
	return (struct slice){ line, n };
}

/* apply - the edits to one line; now is the edit of the entry we are in, or NULL */
static struct edit *apply(
	struct edits *e, struct edit *now, const char *line, size_t len, struct buf *out)
{
	size_t i = 0;

	while (i < len && isspace((unsigned char)line[i])) {
		i++;
	}
	/* Empty lines and comments are nobody's. */
	if (i == len || line[i] == '#') {
		buf_add(out, line, len);
		return now;
	}
	if (i == 0) {
		now = find_edit(e, entry_name(line, len));
		if (now != NULL) {
			now->seen++;
			if (e->mode == EDIT_SET) {
				buf_addf(out, "%s = %s\n", now->name, now->value);
			}
		}
	}
	if (now == NULL) {
		buf_add(out, line, len);
	} else if (e->mode == EDIT_COMMENT) {
		buf_addc(out, '#');
		buf_add(out, line, len);
	}
	return now;
}

/* rewrite - all of the file */
static char *rewrite(void *arg, const char *path, struct slice text, struct buf *out)
{
	struct edits *e = arg;
	struct edit *now = NULL;

	for (size_t at = 0; at < text.len;) {
		const char *end = memchr(text.ptr + at, '\n', text.len - at);
		size_t n = end != NULL ? (size_t)(end - text.ptr) + 1 - at : text.len - at;

		now = apply(e, now, text.ptr + at, n, out);
		at += n;
	}
	if (out->len > 0 && out->data[out->len - 1] != '\n') {
		buf_addc(out, '\n');
	}
	for (size_t i = 0; i < e->count; i++) {
		const struct edit *ed = &e->list[i];

		if (ed->seen > 1) {
			log_warn("%s: multiple entries for \"%s\"", path, ed->name);
		}
		if (ed->seen == 0 && e->mode == EDIT_SET) {
			buf_addf(out, "%s = %s\n", ed->name, ed->value);
		}
	}
	return NULL;
}

/* open_temp - the new file, ours alone; ends on errors */
static int open_temp(const char *path)
{
	struct stat mine, there;
	int fd;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 || flock(fd, LOCK_EX) != 0 || fstat(fd, &mine) != 0) {
			log_fatal("open %s: %s", path, strerror(errno));
		}
		/* Whoever had the lock before may have renamed the file. */
		if (stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
			mine.st_dev == there.st_dev) {
			return fd;
		}
		close(fd);
	}
}

/* replace - path by text, whole or not at all */
static void replace(const char *path, const char *temp, int fd, const struct buf *text)
{
	struct stat st;
	int err;

	if (stat(path, &st) != 0) {
		log_fatal("open %s: %s", path, strerror(errno));
	}
	if (ftruncate(fd, 0) == 0 && fd_write_all(fd, buf_str(text), text->len) == 0 &&
		(fchown(fd, st.st_uid, st.st_gid) == 0 || geteuid() != 0 || st.st_uid != 0) &&
		fchmod(fd, st.st_mode & 07777) == 0 && fsync(fd) == 0 && rename(temp, path) == 0) {
		return;
	}
	err = errno;
	unlink(temp);
	log_fatal("write %s: %s", path, strerror(err));
}

void postconf_rewrite(const struct postconf *pc, const char *file, const char *purpose,
	char *(*fn)(void *arg, const char *path, struct slice text, struct buf *out), void *arg)
{
	struct buf path = BUF_INIT, temp = BUF_INIT, out = BUF_INIT;
	char *real, *text, *error;
	struct identity_saved id;
	size_t len;
	int fd;

	buf_addf(&path, "%s/%s", pc->dir, file);
	if (identity_enter_path(&id, path.data) != 0) {
		log_fatal("open %s%s: %s", path.data, purpose, strerror(errno));
	}
	real = realpath(path.data, NULL);
	if (real == NULL) {
		log_fatal("open %s%s: %s", path.data, purpose, strerror(errno));
	}
	buf_addf(&temp, "%s.tmp", real);
	fd = open_temp(temp.data);
	text = file_read(real, FILE_MAX, &len);
	if (text == NULL) {
		unlink(temp.data);
		log_fatal("read %s: %s", path.data, strerror(EIO));
	}
	error = fn(arg, path.data, (struct slice){ text, len }, &out);
	if (error != NULL) {
		unlink(temp.data);
		log_fatal("%s", error);
	}
	replace(real, temp.data, fd, &out);
	identity_leave(&id);
	close(fd);
	free(real);
	mem_free(text);
	buf_free(&path);
	buf_free(&temp);
	buf_free(&out);
}

int postconf_edit(const struct postconf *pc, enum edit_mode mode, char **args)
{
	static const char *const wants[] = { "-e requires name=value argument",
		"-X requires name argument", "-# requires name argument" };
	struct edits e = { .mode = mode };

	if (*args == NULL) {
		log_fatal("%s", wants[mode]);
	}
	for (; *args != NULL; args++) {
		add_edit(&e, *args);
	}
	postconf_rewrite(pc, "main.cf", "", rewrite, &e);
	for (size_t i = 0; i < e.count; i++) {
		mem_free(e.list[i].name);
		mem_free(e.list[i].value);
	}
	mem_free(e.list);
	return 0;
}
