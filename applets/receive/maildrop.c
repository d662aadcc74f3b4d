/*
 * maildrop - files of mail from programs on this host, into the queue
 *
 * A file must become one message and no more, also when we are killed between the
 * commit and its removal, and when the message has long been delivered by
 * then. So its name is written into queue.db in the same commit as the message
 * (queue_set_source()). A file whose name is there has been taken: it is only
 * removed. The name goes from queue.db after the removal is on the disk:
 *
 *	commit {message, name} -> unlink, fsync of the directory -> commit {- name}
 *
 * Renaming the file before the commit would not do: after a crash such a file says
 * nothing about whether its commit was made.
 *
 * A malformed file is kept as maildrop/bad.NAME, with a warning.
 */
#include "applets/receive/maildrop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "queue/queue_write.h"
#include "ipc/pickup_request.h"
#include "message/enqueue.h"

enum {
	SCAN_SECONDS = 60,
	SCAN_RETRY_MS = 100, /* another process looks through the maildrop */
	SCAN_BATCH = 100,    /* files in one commit */
	READ_SIZE = 65536,
	COMPLAINTS_MAX = 10,    /* lines about files that are none of ours, a scan */
	TMP_SECONDS = 24 * 3600 /* age of an unfinished file that nobody writes any more */
};

struct maildrop {
	struct maildrop_config config;
	int fd;       /* the directory */
	DIR *dir;     /* of the scan that is under way, or NULL */
	size_t batch; /* messages that it has made */
	struct timer scan_timer;
	struct map_wait wait;    /* the tables of its files */
	bool asks;               /* one has yet to answer: a file stays for the next look */
	bool again;              /* asked for during a scan, which may not see what is new */
	struct reading *reading; /* the file that waits in a stage; NULL none */
	struct taken *taken;     /* files that were committed and removed */
	int complaints;          /* of this scan */
};

/* A file on its way through the stages: the scan goes on behind it. */
struct reading {
	struct maildrop *d;
	struct enqueue *e;
	struct buf in;
	int fd;
	bool authorized;
	bool whole; /* END was taken, or it is refused */
	char name[64];
};

/* A file that is gone from the maildrop: its name may leave queue.db once that is on the disk. */
struct taken {
	struct taken *next;
	char name[64];
};

struct drop { /* a file that waits for its commit */
	struct maildrop *d;
	char name[64];
};

/* is_name - 32 hex digits, as message/submit_ways.c makes them */
static bool is_name(const char *name)
{
	return strlen(name) == 32 && strspn(name, "0123456789ABCDEF") == 32;
}

/*
 * complain - about a file in the maildrop. Anybody can put thousands there that are none: each scan
 * has room for so many lines about them, and says how many it has left out.
 */
static void complain(struct maildrop *d, const char *name, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	if (++d->complaints > COMPLAINTS_MAX) {
		return;
	}
	va_start(ap, fmt);
	buf_addvf(&text, fmt, ap);
	va_end(ap);
	log_warn("maildrop/%s: %s", name, buf_str(&text));
	buf_free(&text);
}

/* end_complaints - the scan is over */
static void end_complaints(struct maildrop *d)
{
	if (d->complaints > COMPLAINTS_MAX) {
		log_warn("maildrop: %d more files that cannot be taken",
			d->complaints - COMPLAINTS_MAX);
	}
	d->complaints = 0;
}

/* set_aside - keep what cannot be taken, and say so */
static void set_aside(struct maildrop *d, const char *name, const char *why)
{
	char bad[64] = "bad.";

	(void)str_copy(bad + 4, sizeof(bad) - 4, name);
	if (renameat(d->fd, name, d->fd, bad) != 0) {
		complain(d, name, "%s; cannot rename it: %s", why, strerror(errno));
	} else {
		complain(d, name, "%s; set aside as maildrop/%s", why, bad);
	}
}

/* reject - what is no plain file holds no mail: it goes; a directory may have to stay */
static void reject(struct maildrop *d, const char *name)
{
	struct stat st;
	uid_t uid = fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_uid : 0;

	if (unlinkat(d->fd, name, 0) == 0 || unlinkat(d->fd, name, AT_REMOVEDIR) == 0) {
		complain(d, name, "of uid %lu is no plain file: removed", (unsigned long)uid);
	} else {
		set_aside(d, name, "no plain file");
	}
}

/* remove_taken - the message is in the queue: the file goes; settle_batch() does the rest */
static void remove_taken(struct maildrop *d, const char *name)
{
	struct taken *t;

	if (unlinkat(d->fd, name, 0) != 0 && errno != ENOENT) {
		log_error("maildrop/%s: taken, but cannot be removed: %m", name);
		return;
	}
	t = mem_alloc(sizeof(*t));
	(void)str_copy(t->name, sizeof(t->name), name);
	t->next = d->taken;
	d->taken = t;
}

static void drop_committed(void *arg, bool ok, const char *id)
{
	struct drop *f = arg;

	(void)id;
	if (ok) {
		remove_taken(f->d, f->name);
	}
	mem_free(f);
}

/* read_more - of the file; 0, -1 it ends before END, -2 cannot be read now */
static int read_more(struct reading *r)
{
	ssize_t n = read(r->fd, buf_reserve(&r->in, READ_SIZE), READ_SIZE);

	if (n <= 0) {
		return n < 0 ? -2 : -1;
	}
	buf_added(&r->in, (size_t)n);
	return 0;
}

/*
 * read_on - the file through the submission; 0, -1 malformed, -2 cannot be read now, 1 a table
 * has yet to answer, 2 a stage waits: once more then
 */
static int read_on(struct reading *r)
{
	struct pickup_message m;
	const char *text;
	size_t size;

	while (!r->whole) {
		int rc = pickup_get(&r->in, &m, &size);

		if (rc == 1) {
			rc = enqueue_take(r->e, &m);
			buf_consume(&r->in, size);
			/* The rest of what is refused is not read: it may be endless. */
			r->whole = m.kind == PICKUP_END ||
				(rc == 0 && !enqueue_waits(r->e) &&
					enqueue_result(r->e, &text) != PICKUP_OK);
		} else if (rc == 0) {
			rc = read_more(r);
		}
		if (rc != 0) {
			return rc;
		}
		if (enqueue_waits(r->e)) {
			return 2;
		}
	}
	return 0;
}

/* end_reading - it is decided, or given up; e is somebody else's now, or freed here */
static void end_reading(struct reading *r, bool taken)
{
	if (!taken) {
		enqueue_free(r->e);
	}
	buf_free(&r->in);
	close(r->fd);
	mem_free(r);
}

/* judge_file - all of it was read, or as much as can be: true: a commit is due */
static bool judge_file(struct reading *r, int rc)
{
	const char *text = "malformed";
	enum pickup_status status = rc == 0 ? enqueue_result(r->e, &text)
		: rc == -1                  ? PICKUP_REFUSED
					    : PICKUP_RETRY;
	struct drop *f;

	if (status == PICKUP_OK && !r->authorized) {
		status = PICKUP_REFUSED;
		text = "its owner may not submit mail (authorized_submit_users)";
	}
	if (status != PICKUP_OK) {
		if (status == PICKUP_REFUSED) {
			set_aside(r->d, r->name, text);
		} else {
			complain(r->d, r->name, "%s", rc == -2 ? strerror(errno) : text);
		}
		end_reading(r, false);
		return false;
	}
	f = mem_alloc(sizeof(*f));
	f->d = r->d;
	(void)str_copy(f->name, sizeof(f->name), r->name);
	enqueue_commit(r->e, drop_committed, f);
	end_reading(r, true);
	return true;
}

/* go_on - with a file, as far as it goes; true: a commit is due */
static bool go_on(struct reading *r)
{
	struct maildrop *d = r->d;
	int rc;

	d->reading = NULL;
	map_wait_enter(&d->wait);
	rc = read_on(r);
	if (map_wait_leave(&d->wait)) {
		d->asks = true;
		end_reading(r, false);
		return false;
	}
	d->reading = rc == 2 ? r : NULL;
	return rc != 2 && judge_file(r, rc);
}

static void on_stages(void *arg);

/* take_file - one file into the queue; true: a commit is due */
static bool take_file(struct maildrop *d, const char *name, int fd, const struct stat *st)
{
	struct reading *r = mem_alloc(sizeof(*r));

	r->d = d;
	r->fd = fd;
	(void)str_copy(r->name, sizeof(r->name), name);
	r->e = enqueue_new(d->config.queue, st->st_uid, name, d->config.loop, on_stages, r);
	map_wait_enter(&d->wait);
	r->authorized = d->config.is_authorized(st->st_uid);
	if (map_wait_leave(&d->wait)) {
		d->asks = true;
		end_reading(r, false);
		return false;
	}
	return go_on(r);
}

/* look_at - a name in the maildrop; true: a commit is due */
static bool look_at(struct maildrop *d, const char *name)
{
	struct stat st;
	int fd, marked;

	if (!is_name(name)) {
		if (str_starts(name, "tmp.") &&
			fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			time(NULL) - st.st_mtime > TMP_SECONDS) {
			log_info("maildrop/%s: never finished, removed", name);
			(void)unlinkat(d->fd, name, 0);
		}
		return false;
	}
	marked = queue_has_source(d->config.queue, name);
	if (marked != 0) {
		if (marked > 0) {
			remove_taken(d, name);
		}
		return marked > 0;
	}
	fd = openat(d->fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		if (errno == ELOOP || errno == ENXIO) { /* a link, a socket */
			reject(d, name);
		} else if (errno != ENOENT) {
			complain(d, name, "%s", strerror(errno));
		}
		return false;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		reject(d, name);
	} else if (st.st_nlink != 1) {
		set_aside(d, name, "has several names");
	} else {
		return take_file(d, name, fd, &st);
	}
	close(fd);
	return false;
}

/* settle_batch - messages and names; then the files, durably; then the names again */
static void settle_batch(struct maildrop *d)
{
	struct taken *t;

	d->config.commit();
	if (d->taken == NULL || fsync(d->fd) != 0) {
		return;
	}
	while ((t = d->taken) != NULL) {
		queue_drop_source(d->config.queue, t->name);
		d->taken = t->next;
		mem_free(t);
	}
	d->config.commit();
}

static void on_timer(struct timer *t)
{
	maildrop_scan(t->owner);
}

static void scan_later(struct maildrop *d, int64_t ms)
{
	loop_timer(d->config.loop, &d->scan_timer, ms, on_timer, d);
}

/* end_scan - all names, or a full batch */
static void end_scan(struct maildrop *d)
{
	closedir(d->dir);
	d->dir = NULL;
	if (!d->asks) {
		map_wait_forget(&d->wait);
	}
	end_complaints(d);
	settle_batch(d);
	(void)flock(d->fd, LOCK_UN);
	/* A full batch: there may be more, after the sessions had their turn. */
	scan_later(d, d->batch == SCAN_BATCH || d->again ? 0 : SCAN_SECONDS * 1000);
}

/* scan_on - name by name, up to a file that waits in a stage */
static void scan_on(struct maildrop *d)
{
	const struct dirent *entry;

	while (d->batch < SCAN_BATCH && d->reading == NULL && (entry = readdir(d->dir)) != NULL) {
		d->batch += look_at(d, entry->d_name);
	}
	if (d->reading == NULL) {
		end_scan(d);
	} else {
		settle_batch(d);
	}
}

/* on_stages - what a file has waited for is there; the others after it */
static void on_stages(void *arg)
{
	struct reading *r = arg;
	struct maildrop *d = r->d;

	d->batch += go_on(r);
	if (d->reading == NULL) {
		scan_on(d);
	}
}

/* on_answers - what a file in the maildrop has waited for */
static void on_answers(void *arg)
{
	scan_later(arg, 0);
}

/*
 * maildrop_scan - one process at a time: after a reload two are there until the old one's sessions
 * end. A file that waits in a stage keeps the others, and the other process, waiting.
 */
void maildrop_scan(struct maildrop *d)
{
	int fd;

	if (d == NULL) {
		return;
	}
	d->again = d->dir != NULL;
	if (d->again) {
		return;
	}
	if (flock(d->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
		scan_later(d, SCAN_RETRY_MS);
		return;
	}
	fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d->dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (d->dir == NULL) {
		log_warn("%s/maildrop: %m", param.queue_directory);
		(void)flock(d->fd, LOCK_UN);
		scan_later(d, SCAN_SECONDS * 1000);
		return;
	}
	d->asks = false;
	d->batch = 0;
	scan_on(d);
}

struct maildrop *maildrop_new(const struct maildrop_config *config)
{
	int fd = open("maildrop", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct maildrop *d;

	if (fd < 0) {
		return NULL;
	}
	d = mem_alloc(sizeof(*d));
	d->config = *config;
	d->fd = fd;
	map_wait_init(&d->wait, config->loop, on_answers, d);
	scan_later(d, 0);
	return d;
}

void maildrop_close(struct maildrop *d)
{
	struct taken *t;

	if (d == NULL) {
		return;
	}
	if (d->reading != NULL) { /* the next process finds it */
		end_reading(d->reading, false);
		d->reading = NULL;
		end_scan(d);
	}
	while ((t = d->taken) != NULL) { /* the names are in queue.db: the next process goes on */
		d->taken = t->next;
		mem_free(t);
	}
	map_wait_end(&d->wait);
	loop_untimer(d->config.loop, &d->scan_timer);
	close(d->fd);
	mem_free(d);
}
