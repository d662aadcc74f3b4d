/*
 * maildir_change - the maildir driver: rename, unlink and write files; folders
 *
 * A message is written to tmp/, synced (64 at a time), and renamed to new/ (without flags) or
 * cur/ (with flags), whose directories are synced once for all messages of an append. Flags
 * are a rename. A folder is removed by renaming it out of sight first.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "mime/source.h"
#include "mail/maildir/maildir_driver.h"

enum { WRITE_CHUNK = 64 * 1024, FOLDERS_MAX = 100000, BATCH = 64 };

/* sync_dir - the directory PATH/name (or PATH); 0 or -1 */
static int sync_dir(const char *path, const char *name)
{
	struct buf b = BUF_INIT;
	int rc;

	buf_addf(&b, "%s/%s", path, name);
	rc = dir_sync(buf_str(&b), -1);
	buf_free(&b);
	return rc;
}

/* ---- Flags ---- */

/* rename_message - to the name its flags ask for; 0, or -1: it is not where it was */
static int rename_message(struct mailbox *mb, struct maildir_msg *m)
{
	char *from = maildir_file(mb, m);
	struct buf name = BUF_INIT, to = BUF_INIT;
	int rc;

	maildir_name_make(&name, mb, m);
	buf_addf(&to, "%s/cur/%s", mb->path, buf_str(&name));
	rc = rename(from, buf_str(&to));
	if (rc == 0) {
		m->name = arena_strdup(&maildir_box(mb)->names, buf_str(&name));
		m->msg.bits &= ~(uint32_t)MSG_NEW;
	} else if (errno != ENOENT) {
		rc = store_fail_sys(mb->ms, from, "rename", "write");
	} else {
		/*
		 * Renamed by another program this moment: the next sync finds it, the flags stay
		 * ours.
		 */
		mb->f.sig[2] = -1;
		maildir_box(mb)->clean = false;
		rc = 0;
	}
	mem_free(from);
	buf_free(&name);
	buf_free(&to);
	return rc;
}

int maildir_write_flags(struct mailbox *mb, const uint8_t *marks)
{
	uint64_t keywords = 0;
	int rc = 0;

	maildir_letters_read(mb);
	for (uint32_t i = 0; i < mb->count; i++) {
		keywords |= marks[i] ? maildir_msg(mb, i)->msg.info.keywords : 0;
	}
	maildir_letters_want(mb, keywords);
	maildir_before(mb);
	for (uint32_t i = 0; i < mb->count && rc == 0; i++) {
		if (marks[i]) {
			rc = rename_message(mb, maildir_msg(mb, i));
		}
	}
	maildir_after(mb);
	return rc;
}

/* ---- Out ---- */

int maildir_expunge(struct mailbox *mb, uint8_t *marks)
{
	int rc = 0;

	for (uint32_t i = 0; i < mb->count && rc == 0; i++) {
		char *path;

		if (!marks[i]) {
			continue;
		}
		path = maildir_file(mb, maildir_msg(mb, i));
		if (unlink(path) != 0) {
			if (errno != ENOENT) {
				rc = store_fail_sys(mb->ms, path, "delete", "write");
			} else {
				/* Removed, or renamed this moment: only a listing tells. */
				marks[i] = 0;
				mb->f.sig[2] = -1;
				maildir_box(mb)->clean = false;
			}
		}
		mem_free(path);
	}
	sync_dir(mb->path, "cur");
	return rc;
}

/* ---- In ---- */

/* make_name - unique by time, process and count */
static void make_name(struct buf *out, uint64_t size, uint64_t shown, unsigned serial)
{
	struct utsname u;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (uname(&u) != 0) {
		snprintf(u.nodename, sizeof(u.nodename), "localhost");
	}
	buf_addf(out, "%lld.M%06ldP%ldQ%u.", (long long)now.tv_sec, now.tv_nsec / 1000,
		(long)getpid(), serial);
	for (const char *p = u.nodename; *p != '\0' && p - u.nodename < 60; p++) {
		buf_addc(out, *p == '/' || *p == ':' || *p == ',' ? '-' : *p);
	}
	buf_addf(out, ",S=%llu,W=%llu", (unsigned long long)size, (unsigned long long)shown);
}

/* write_body - an item's bytes; *bare_r: its line ends. 0 or -1 */
static int write_body(struct mailbox *mb, struct mail_append *a, const struct append_item *it,
	int fd, const char *path, uint64_t *bare_r)
{
	char *chunk = mem_alloc(WRITE_CHUNK);
	bool cr = false;
	int rc = 0;

	*bare_r = 0;
	for (uint64_t at = 0; at < it->len && rc == 0;) {
		size_t want = it->len - at < WRITE_CHUNK ? (size_t)(it->len - at) : WRITE_CHUNK;
		int64_t n = append_read(a, it->offset + at, chunk, want);

		if (n <= 0) {
			rc = -1;
			break;
		}
		*bare_r += mime_bare_lfs(chunk, (size_t)n, &cr);
		if (fd_write_all(fd, chunk, (size_t)n) != 0) {
			rc = store_fail_sys(mb->ms, path, "write", "write");
		}
		at += (uint64_t)n;
	}
	mem_free(chunk);
	return rc;
}

/* A message between tmp/ and its place. */
struct coming {
	const struct append_item *item;
	char *temp;    /* its path */
	uint64_t bare; /* line ends to be made CRLF */
	int fd;        /* -1: not there */
};

/* write_item - into tmp/, and on its way to the disk; 0 or -1 */
static int write_item(struct mailbox *mb, struct mail_append *a, struct coming *c, unsigned serial)
{
	const struct append_item *it = c->item;
	struct timespec times[2] = { { it->received, 0 }, { it->received, 0 } };
	struct buf temp = BUF_INIT;
	int rc;

	buf_addf(&temp, "%s/tmp/", mb->path);
	make_name(&temp, 0, 0, serial);
	c->temp = buf_steal(&temp);
	c->fd = open(c->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (c->fd < 0) {
		return store_fail_sys(mb->ms, c->temp, "create", "write");
	}
	rc = write_body(mb, a, it, c->fd, c->temp, &c->bare);
	if (rc == 0 && futimens(c->fd, times) != 0) {
		rc = store_fail_sys(mb->ms, c->temp, "write", "write");
	}
	/* A hint: the files of a batch are written together, and what fsync() waits for is less. */
	if (rc == 0) {
		(void)sync_file_range(c->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	return rc;
}

/* place_item - from tmp/ to new/ or cur/, and into mb; 0 or -1 */
static int place_item(struct mailbox *mb, struct coming *c)
{
	const struct append_item *it = c->item;
	struct buf name = BUF_INIT, to = BUF_INIT;
	struct maildir_msg *m;
	int rc;

	m = mailbox_room(mb, 1);
	memset(m, 0, sizeof(*m));
	make_name(&name, it->len, it->len + c->bare, (unsigned)mb->f.uid_next);
	m->name = arena_strdup(&maildir_box(mb)->names, buf_str(&name));
	m->msg.info.flags = it->flags;
	m->msg.info.keywords = keyword_bits(mb, it->keywords);
	m->msg.info.received = it->received;
	m->msg.info.size = it->len + c->bare;
	m->len = it->len;
	if (it->flags == 0 && m->msg.info.keywords == 0) {
		m->msg.bits = MSG_NEW;
	} else {
		maildir_letters_want(mb, m->msg.info.keywords);
		buf_reset(&name);
		maildir_name_make(&name, mb, m);
		m->name = arena_strdup(&maildir_box(mb)->names, buf_str(&name));
	}
	buf_addf(&to, "%s/%s/%s", mb->path, m->msg.bits & MSG_NEW ? "new" : "cur", m->name);
	rc = rename(c->temp, buf_str(&to)) == 0
		? 0
		: store_fail_sys(mb->ms, c->temp, "rename", "write");
	if (rc == 0) {
		mem_free(c->temp);
		c->temp = NULL;
		mailbox_added(mb, 1);
	}
	buf_free(&name);
	buf_free(&to);
	return rc;
}

/* put_batch - count messages, at most BATCH: all written, then each synced and placed; 0 or -1 */
static int put_batch(
	struct mailbox *mb, struct mail_append *a, const struct append_item *items, size_t count)
{
	struct coming batch[BATCH];
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		batch[i] = (struct coming){ .item = &items[i], .fd = -1 };
	}
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = write_item(mb, a, &batch[i], (unsigned)(mb->f.uid_next + i));
	}
	/* After the first of them most find their work done: no renames in between. */
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = fsync(batch[i].fd) == 0
			? 0
			: store_fail_sys(mb->ms, batch[i].temp, "write", "write");
	}
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = place_item(mb, &batch[i]);
	}
	for (size_t i = 0; i < count; i++) {
		if (batch[i].fd >= 0) {
			if (batch[i].temp != NULL) {
				unlink(batch[i].temp);
			}
			close(batch[i].fd);
		}
		mem_free(batch[i].temp);
	}
	return rc;
}

int maildir_append(struct mailbox *mb, struct mail_append *a)
{
	uint32_t before = mb->count;
	bool in_new = false, in_cur = false;
	int rc = 0;

	maildir_letters_read(mb);
	for (size_t i = 0; i < a->count && rc == 0; i += BATCH) {
		rc = put_batch(mb, a, &a->items[i], a->count - i < BATCH ? a->count - i : BATCH);
	}
	for (uint32_t i = before; i < mb->count; i++) {
		in_new = in_new || (maildir_msg(mb, i)->msg.bits & MSG_NEW);
		in_cur = in_cur || !(maildir_msg(mb, i)->msg.bits & MSG_NEW);
	}
	if (rc == 0 &&
		((in_new && sync_dir(mb->path, "new") != 0) ||
			(in_cur && sync_dir(mb->path, "cur") != 0))) {
		rc = store_fail_sys(mb->ms, mb->path, "sync", "write");
	}
	/* All or nothing. */
	for (uint32_t i = before; rc != 0 && i < mb->count; i++) {
		char *path = maildir_file(mb, maildir_msg(mb, i));

		unlink(path);
		mem_free(path);
	}
	return rc;
}

/* ---- Folders ---- */

int maildir_make(struct mailstore *ms, const char *path)
{
	static const char *const names[] = { "tmp", "new", "cur" };
	struct buf b = BUF_INIT;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && rc == 0; i++) {
		buf_reset(&b);
		buf_addf(&b, "%s/%s", path, names[i]);
		if (dir_make(buf_str(&b), 0700) != 0 && errno != EEXIST) {
			rc = store_fail_sys(ms, buf_str(&b), "create", "write");
		}
	}
	buf_free(&b);
	/* Mail that is moved here leaves where it was: the folder must be on the disk by then. */
	if (rc == 0) {
		sync_dir(path, "");
		sync_dir(path, "..");
	}
	return rc;
}

static bool has_cur(const char *path)
{
	struct buf b = BUF_INIT;
	struct stat st;
	bool there;

	buf_addf(&b, "%s/cur", path);
	there = stat(buf_str(&b), &st) == 0 && S_ISDIR(st.st_mode);
	buf_free(&b);
	return there;
}

bool maildir_exists(const char *path, bool *selectable_r)
{
	*selectable_r = true;
	return has_cur(path);
}

int maildir_create(struct mailstore *ms, const char *path, bool directory)
{
	struct buf mark = BUF_INIT;
	int fd;

	/* Any folder can have children, so it is made like any other (RFC 3501 6.3.3). */
	(void)directory;
	if (has_cur(path)) {
		errno = EEXIST;
		return store_fail_sys(ms, path, "create", "write");
	}
	if (maildir_make(ms, path) != 0) {
		return -1;
	}
	buf_addf(&mark, "%s/maildirfolder", path);
	fd = open(buf_str(&mark), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0) {
		close(fd);
	}
	buf_free(&mark);
	return 0;
}

/* empty_dir - remove the files of a directory and it; directories in it only to the depth given */
static void empty_dir(const char *path, int depth)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		struct buf b = BUF_INIT;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
			continue;
		}
		buf_addf(&b, "%s/%s", path, e->d_name);
		if (unlink(buf_str(&b)) != 0 && depth > 0) {
			empty_dir(buf_str(&b), depth - 1);
		}
		buf_free(&b);
	}
	if (d != NULL) {
		closedir(d);
	}
	rmdir(path);
}

int maildir_remove(struct mailstore *ms, const char *path)
{
	struct buf gone = BUF_INIT;
	int rc;

	/* Two dots: no folder's name. */
	buf_addf(&gone, "%s/..deleted-%ld-%lld", ms->store->root, (long)getpid(),
		(long long)time(NULL));
	empty_dir(buf_str(&gone), 1);
	rc = rename(path, buf_str(&gone)) == 0 ? 0 : store_fail_sys(ms, path, "delete", "write");
	if (rc == 0) {
		empty_dir(buf_str(&gone), 1);
	}
	buf_free(&gone);
	return rc;
}

int maildir_move(struct mailstore *ms, const char *from, const char *to)
{
	return rename(from, to) == 0 ? 0 : store_fail_sys(ms, from, "rename", "write");
}

int maildir_list(struct mailstore *ms, struct folder_list *out)
{
	DIR *d = opendir(ms->store->root);
	struct dirent *e;

	if (d == NULL) {
		return errno == ENOENT ? 0 : store_fail_sys(ms, ms->store->root, "read", "read");
	}
	while (out->count < FOLDERS_MAX && (e = readdir(d)) != NULL) {
		struct buf path = BUF_INIT;

		if (e->d_name[0] != '.' || e->d_name[1] == '\0' || e->d_name[1] == '.') {
			continue;
		}
		buf_addf(&path, "%s/%s", ms->store->root, e->d_name);
		if (has_cur(buf_str(&path)) && place_is_own(ms->store, buf_str(&path))) {
			folder_list_add(out, e->d_name + 1, true, false);
		}
		buf_free(&path);
	}
	closedir(d);
	return 0;
}
