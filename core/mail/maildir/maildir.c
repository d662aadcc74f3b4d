/*
 * maildir - the maildir driver: follow what other programs do to the directories
 *
 * A folder whose directories have the times they had is the folder it was.
 * Otherwise both are listed: a known base name is the message it was, with
 * the flags its name has now; one that is not known is new; one that is not
 * there, twice, is gone (a listing can miss a file that is being renamed).
 *
 * Times have the grain of a clock tick, so a directory that was changed just now
 * gets one nanosecond added to its time before it is listed: whatever changes it
 * later sets another. What we change ourselves need not be listed again, except
 * when the folder is opened the next time.
 *
 * At the first look UIDs are taken from a dovecot-uidlist if there is one, so
 * that nobody downloads a mailbox again for having moved.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "mime/source.h"
#include "mail/maildir/maildir_driver.h"

enum { LIST_TRIES = 5, TICK_NS = 50 * 1000 * 1000, READ_CHUNK = 64 * 1024 };

static const char *const subdirs[2] = { "new", "cur" };

/* A file as listed. */
struct entry {
	char *name;
	bool in_new;
};

struct listing {
	struct arena arena;
	struct entry *entries;
	uint32_t count, cap;
	int64_t sig[4];
};

char *maildir_file(const struct mailbox *mb, const struct maildir_msg *m)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s/%s/%s", mb->path, m->msg.bits & MSG_NEW ? "new" : "cur", m->name);
	return buf_steal(&b);
}

/* ---- Times ---- */

/*
 * dir_time - of PATH/name in ns, moved on when it is so young that it might hide a change. 0: not
 * there
 */
static int64_t dir_time(const struct mailbox *mb, const char *name, bool settle)
{
	struct buf path = BUF_INIT;
	struct timespec now, times[2] = { { 0, UTIME_OMIT }, { 0, 0 } };
	struct stat st;
	int64_t t = 0, age;

	buf_addf(&path, "%s/%s", mb->path, name);
	if (stat(buf_str(&path), &st) == 0) {
		t = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
		clock_gettime(CLOCK_REALTIME, &now);
		age = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - t;
		if (settle && age < TICK_NS && age > -(int64_t)TICK_NS &&
			st.st_mtim.tv_nsec < 999999999) {
			times[1] = st.st_mtim;
			times[1].tv_nsec++;
			if (utimensat(AT_FDCWD, buf_str(&path), times, 0) == 0) {
				t++;
			}
		}
	}
	buf_free(&path);
	return t;
}

/* take_sig - what the directories look like; 0 or -1 */
static int take_sig(struct mailbox *mb, int64_t sig[4], bool settle)
{
	struct stat st;

	memset(sig, 0, 4 * sizeof(*sig));
	if (stat(mb->path, &st) != 0) {
		if (errno == ENOENT && strcmp(mb->name, "INBOX") == 0) {
			return 0;
		}
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	sig[0] = (int64_t)st.st_dev;
	sig[1] = (int64_t)st.st_ino;
	sig[2] = dir_time(mb, "new", settle);
	sig[3] = dir_time(mb, "cur", settle);
	return 0;
}

void maildir_before(struct mailbox *mb)
{
	int64_t sig[4];

	maildir_box(mb)->clean =
		take_sig(mb, sig, false) == 0 && memcmp(sig, mb->f.sig, sizeof(sig)) == 0;
}

void maildir_after(struct mailbox *mb)
{
	int64_t sig[4];

	if (maildir_box(mb)->clean && take_sig(mb, sig, true) == 0) {
		memcpy(mb->f.sig, sig, sizeof(sig));
		mb->f.state |= MAILDIR_UNVERIFIED;
		mb->changed = true;
	}
}

/* ---- Listing ---- */

/* list_one - new or cur; 0 or -1 */
static int list_one(struct mailbox *mb, bool in_new, struct listing *l)
{
	struct buf path = BUF_INIT;
	struct dirent *e;
	DIR *d;

	buf_addf(&path, "%s/%s", mb->path, subdirs[!in_new]);
	d = opendir(buf_str(&path));
	if (d == NULL) {
		int rc = errno == ENOENT ? 0
					 : store_fail_sys(mb->ms, buf_str(&path), "read", "read");

		buf_free(&path);
		return rc;
	}
	buf_free(&path);
	while (l->count < UINT32_MAX / 2 && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' ||
			(e->d_type != DT_REG && e->d_type != DT_UNKNOWN && e->d_type != DT_LNK)) {
			continue;
		}
		if (l->count == l->cap) {
			l->cap = l->cap * 2 + 64;
			l->entries = mem_realloc(l->entries, (size_t)l->cap * sizeof(*l->entries));
		}
		l->entries[l->count++] =
			(struct entry){ arena_strdup(&l->arena, e->d_name), in_new };
	}
	closedir(d);
	return 0;
}

/*
 * compare_entries - by time of arrival, which names begin with; a message of both directories: cur
 * first
 */
static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	unsigned long long tx = strtoull(x->name, NULL, 10), ty = strtoull(y->name, NULL, 10);
	size_t nx, ny;
	int rc;

	if (tx != ty) {
		return tx < ty ? -1 : 1;
	}
	nx = maildir_base_len(x->name);
	ny = maildir_base_len(y->name);
	rc = memcmp(x->name, y->name, nx < ny ? nx : ny);
	if (rc == 0) {
		rc = (nx > ny) - (nx < ny);
	}
	return rc != 0 ? rc : x->in_new - y->in_new;
}

static bool same_base(const char *a, const char *b)
{
	size_t n = maildir_base_len(a);

	return n == maildir_base_len(b) && memcmp(a, b, n) == 0;
}

static void free_listing(struct listing *l)
{
	mem_free(l->entries);
	arena_free(&l->arena);
}

/* list_all - both directories, sorted, each base name once; 0 or -1 */
static int list_all(struct mailbox *mb, struct listing *l)
{
	uint32_t kept = 0;

	memset(l, 0, sizeof(*l));
	if (take_sig(mb, l->sig, true) != 0) {
		return -1;
	}
	/* new first: a file that moves to cur meanwhile is met twice rather than never. */
	if (l->sig[0] != 0 && (list_one(mb, true, l) != 0 || list_one(mb, false, l) != 0)) {
		free_listing(l);
		return -1;
	}
	if (l->count > 1) {
		qsort(l->entries, l->count, sizeof(*l->entries), compare_entries);
	}
	for (uint32_t i = 0; i < l->count; i++) {
		if (kept == 0 || !same_base(l->entries[kept - 1].name, l->entries[i].name)) {
			l->entries[kept++] = l->entries[i];
		}
	}
	l->count = kept;
	return 0;
}

/* ---- Known and new ---- */

struct name_table {
	uint32_t *slots; /* index + 1 */
	uint32_t mask;
};

static uint32_t base_hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (size_t n = maildir_base_len(name); n > 0; n--) {
		h = (h ^ (unsigned char)*name++) * 16777619u;
	}
	return h;
}

static void build_table(struct name_table *t, const struct mailbox *mb)
{
	uint32_t size = 16;

	while (size < mb->count * 2) {
		size *= 2;
	}
	t->mask = size - 1;
	t->slots = mem_calloc(size, sizeof(*t->slots));
	for (uint32_t i = 0; i < mb->count; i++) {
		uint32_t at = base_hash(maildir_msg(mb, i)->name) & t->mask;

		while (t->slots[at] != 0) {
			at = (at + 1) & t->mask;
		}
		t->slots[at] = i + 1;
	}
}

static int64_t look_up(const struct name_table *t, const struct mailbox *mb, const char *name)
{
	for (uint32_t at = base_hash(name) & t->mask; t->slots[at] != 0; at = (at + 1) & t->mask) {
		if (same_base(maildir_msg(mb, t->slots[at] - 1)->name, name)) {
			return t->slots[at] - 1;
		}
	}
	return -1;
}

/* count_gone - messages that the listing does not have, marked */
static uint32_t count_gone(const struct mailbox *mb, const struct listing *l, uint8_t *marks)
{
	struct name_table t;
	uint32_t gone = mb->count;

	memset(marks, 1, mb->count);
	build_table(&t, mb);
	for (uint32_t k = 0; k < l->count; k++) {
		int64_t i = look_up(&t, mb, l->entries[k].name);

		if (i >= 0 && marks[i]) {
			marks[i] = 0;
			gone--;
		}
	}
	mem_free(t.slots);
	return gone;
}

/* name_number - after ",S=" or ",W="; -1 none */
static int64_t name_number(const char *name, const char *key)
{
	const char *p = strstr(name, key);
	char *end;
	int64_t v;

	if (p == NULL || p[3] < '0' || p[3] > '9') {
		return -1;
	}
	v = strtoll(p + 3, &end, 10);
	return *end == '\0' || *end == ',' || *end == ':' ? v : -1;
}

/*
 * told_size - with CR LF line ends, as the name says; -1: it does not, or cannot be right (the file
 * was changed since, or packed)
 */
static int64_t told_size(const char *name, int64_t size)
{
	int64_t stored = name_number(name, ",S="), shown = name_number(name, ",W=");

	return stored == size && shown >= size && shown <= 2 * size ? shown : -1;
}

/* measure - sizes and date of a file; 0, or -1: it cannot be read */
static int measure(const struct mailbox *mb, struct maildir_msg *m)
{
	int64_t shown;
	char *path = maildir_file(mb, m), *chunk;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	bool cr = false;
	ssize_t n;

	mem_free(path);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0) {
			close(fd);
		}
		return -1;
	}
	m->len = (uint64_t)st.st_size;
	m->msg.info.received = st.st_mtim.tv_sec;
	shown = told_size(m->name, (int64_t)st.st_size);
	m->msg.info.size = shown >= 0 ? (uint64_t)shown : (uint64_t)st.st_size;
	if (shown < 0) {
		chunk = mem_alloc(READ_CHUNK);
		while ((n = read(fd, chunk, READ_CHUNK)) > 0) {
			m->msg.info.size += mime_bare_lfs(chunk, (size_t)n, &cr);
		}
		mem_free(chunk);
	}
	close(fd);
	return 0;
}

/* update_entry - a message that is known; its name and flags are now e's */
static void update_entry(struct mailbox *mb, uint32_t i, const struct entry *e)
{
	struct maildir_msg *m = maildir_msg(mb, i);
	bool was_new = (m->msg.bits & MSG_NEW) != 0, told;
	uint64_t keywords, lettered;
	unsigned flags;

	if (was_new == e->in_new && strcmp(m->name, e->name) == 0) {
		return;
	}
	maildir_name_flags(mb, e->name, e->in_new, &flags, &keywords);
	lettered = maildir_letters_bits(mb);
	keywords |= m->msg.info.keywords & ~lettered;
	told = m->msg.info.flags != flags || m->msg.info.keywords != keywords;
	m->name = arena_strdup(&maildir_box(mb)->names, e->name);
	m->msg.bits = (m->msg.bits & ~(uint32_t)MSG_NEW) | (e->in_new ? MSG_NEW : 0);
	m->msg.info.flags = flags;
	m->msg.info.keywords = keywords;
	mailbox_touch(mb, i, told);
}

/* add_entry - a message that is not known; uid 0: the next */
static void add_entry(struct mailbox *mb, const struct entry *e, uint32_t uid)
{
	struct maildir_msg *m = mailbox_room(mb, 1);

	memset(m, 0, sizeof(*m));
	m->name = arena_strdup(&maildir_box(mb)->names, e->name);
	m->msg.bits = e->in_new ? MSG_NEW : 0;
	m->msg.info.uid = uid;
	/* Gone again already: the next sync will see. */
	if (measure(mb, m) != 0) {
		return;
	}
	maildir_name_flags(mb, e->name, e->in_new, &m->msg.info.flags, &m->msg.info.keywords);
	mailbox_added(mb, 1);
	/* Others leave in new/ what nobody has looked at. */
	if (!e->in_new) {
		mailbox_not_recent(mb);
	}
}

struct import {
	uint32_t uid, entry;
};

static int compare_imports(const void *a, const void *b)
{
	uint32_t x = ((const struct import *)a)->uid, y = ((const struct import *)b)->uid;

	return (x > y) - (x < y);
}

/*
 * import_uids - the first look: messages that a dovecot-uidlist knows, in its order; done is marked
 */
static void import_uids(struct mailbox *mb, const struct listing *l, uint8_t *done)
{
	struct import *imports = mem_calloc((size_t)l->count + 1, sizeof(*imports));
	struct uidlist list;
	uint32_t n = 0, last = 0;

	uidlist_read(&list, mb->path);
	for (uint32_t k = 0; k < l->count && list.count > 0; k++) {
		uint32_t uid = uidlist_get(&list, l->entries[k].name);

		if (uid != 0) {
			imports[n++] = (struct import){ uid, k };
		}
	}
	if (list.uid_validity != 0) {
		mb->f.uid_validity = list.uid_validity;
		mb->f.uid_next = list.uid_next;
	}
	if (n > 1) {
		qsort(imports, n, sizeof(*imports), compare_imports);
	}
	for (uint32_t i = 0; i < n; i++) {
		if (imports[i].uid == last) {
			continue;
		}
		last = imports[i].uid;
		add_entry(mb, &l->entries[imports[i].entry], last);
		done[imports[i].entry] = 1;
	}
	uidlist_free(&list);
	mem_free(imports);
}

/* apply_listing - within a change */
static int apply_listing(struct mailbox *mb, const struct listing *l)
{
	uint8_t *marks = mem_alloc((size_t)mb->count + 1), *done = mem_alloc((size_t)l->count + 1);
	struct name_table t;
	int rc;

	maildir_letters_read(mb);
	count_gone(mb, l, marks);
	build_table(&t, mb);
	for (uint32_t k = 0; k < l->count; k++) {
		int64_t i = look_up(&t, mb, l->entries[k].name);

		if (i >= 0) {
			update_entry(mb, (uint32_t)i, &l->entries[k]);
			done[k] = 1;
		}
	}
	mem_free(t.slots);
	rc = mailbox_drop(mb, marks);
	if (!(mb->f.state & MAILDIR_INDEXED)) {
		import_uids(mb, l, done);
	}
	for (uint32_t k = 0; k < l->count && rc == 0; k++) {
		if (!done[k]) {
			add_entry(mb, &l->entries[k], 0);
		}
	}
	memcpy(mb->f.sig, l->sig, sizeof(l->sig));
	mb->f.sig[4] = 0;
	mb->f.state = MAILDIR_INDEXED;
	mem_free(marks);
	mem_free(done);
	return rc;
}

/* tidy_names - names that are no longer used do not pile up */
static void tidy_names(struct mailbox *mb)
{
	struct maildir_box *box = maildir_box(mb);
	struct arena names = ARENA_INIT;

	if (box->names.total < (size_t)mb->count * 160 + 65536) {
		return;
	}
	for (uint32_t i = 0; i < mb->count; i++) {
		maildir_msg(mb, i)->name = arena_strdup(&names, maildir_msg(mb, i)->name);
	}
	arena_free(&box->names);
	box->names = names;
}

/*
 * list_surely - a listing; where messages are missing that may just have been renamed, another. 0
 * or -1
 */
static int list_surely(struct mailbox *mb, struct listing *l)
{
	for (int tries = 0;; tries++) {
		uint8_t *marks;
		uint32_t gone;
		int64_t sig[4];

		if (list_all(mb, l) != 0) {
			return -1;
		}
		marks = mem_alloc((size_t)mb->count + 1);
		gone = count_gone(mb, l, marks);
		mem_free(marks);
		if (gone == 0 || tries == LIST_TRIES) {
			return 0;
		}
		if (take_sig(mb, sig, false) != 0) {
			free_listing(l);
			return -1;
		}
		if (memcmp(sig, l->sig, sizeof(sig)) == 0) {
			return 0;
		}
		free_listing(l);
	}
}

int maildir_sync(struct mailbox *mb, bool full)
{
	struct listing l;
	int64_t sig[4];
	int rc = -1;

	mailbox_unstick(mb);
	if (full) {
		maildir_sweep(mb, time(NULL));
	}
	if (take_sig(mb, sig, false) != 0 || mailbox_refresh(mb) != 0) {
		return -1;
	}
	if (memcmp(sig, mb->f.sig, sizeof(sig)) == 0 &&
		!(full && (mb->f.state & MAILDIR_UNVERIFIED))) {
		return 0;
	}
	for (int tries = 0; tries < LIST_TRIES; tries++) {
		int64_t gen = mb->f.gen;

		if (list_surely(mb, &l) != 0) {
			return -1;
		}
		rc = mailbox_begin(mb, false);
		if (rc == 0 && mb->f.gen != gen) {
			/* Another process was faster: what it found has to be compared. */
			mailbox_rollback(mb);
			free_listing(&l);
			continue;
		}
		if (rc == 0) {
			rc = apply_listing(mb, &l);
			if (rc == 0) {
				rc = mailbox_commit(mb);
			} else {
				mb->changed = true;
				mailbox_rollback(mb);
			}
		}
		free_listing(&l);
		tidy_names(mb);
		return rc;
	}
	return store_fail(mb->ms, MAIL_E_BUSY, "%s: the index changes all the time", mb->name);
}
