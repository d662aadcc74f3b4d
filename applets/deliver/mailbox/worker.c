/*
 * worker - as root: children that have become a user and deliver into their mailboxes
 *
 *	us                             the child (worker_child.c)
 *	PROBE path                 ->
 *	                           <-  PROBED rc, queue id
 *	BATCH path, items, small
 *	      contents             ->
 *	                           <-  WANT item, offset, length	(large contents)
 *	DATA bytes                 ->
 *	                           <-  RESULT status of each item
 *	                           <-  LOG lines	(at any time)
 *
 * One piece of work at a time; messages of base/wire.h. A child ends when its
 * socket is closed: after IDLE_SECONDS without work, or with us. It finishes the
 * batch it has and keeps its lock until then.
 *
 * The children for mail_spool_directory also have that directory's group (for
 * dotlocks), those for files in a user's home have not: otherwise a .forward could name
 * somebody else's mailbox.
 */
#include "applets/deliver/mailbox/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/identity.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/stream.h"
#include "base/unixsock.h"
#include "conf/params.h"
#include "applets/daemon/privileges.h"
#include "applets/deliver/mailbox/box_impl.h"

enum { WORKERS_MAX = 50, IDLE_SECONDS = 5, INLINE_TOTAL = 8 << 20 };

struct worker {
	struct boxes *all;
	struct worker *next;
	pid_t pid;
	uid_t uid;
	gid_t gid;
	bool spool;
	struct stream s;
	struct timer idle;
	struct box *probing;
	struct batch *batch;
};

/* ---- Start and end ---- */

/* become - the user, for good */
static void become(const struct box_place *t)
{
	gid_t groups[2] = { t->user.gid, 0 };
	struct identity who = { .uid = t->user.uid,
		.gid = t->user.gid,
		.groups = groups,
		.lock_group = (gid_t)-1,
		.name = t->user.name };
	size_t count = 1;
	struct stat st;

	if (t->spool && stat(param.mail_spool_directory, &st) == 0 && (st.st_mode & S_IWGRP) != 0) {
		groups[count++] = st.st_gid;
	}
	who.group_count = count;
	privileges_take(PROCESS_DELIVERY, &who);
}

static bool take_message(struct stream *s, struct wire *w);
static void worker_closed(struct stream *s, enum stream_end why);
static void worker_idle(struct timer *t);

static const struct stream_class worker_class = { .frame = take_message,
	.closed = worker_closed,
	.read_size = 65536,
	.in_max = WIRE_MAX,
	.out_keep = 4096 };

/* worker_start - a new child for this target's user; NULL: cannot fork */
static struct worker *worker_start(struct boxes *m, const struct box_place *t)
{
	struct worker *k;
	int socks[2];
	pid_t parent = getpid(), pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) != 0) {
		log_warn("socketpair: %m");
		return NULL;
	}
	log_flush();
	pid = fork();
	if (pid < 0) {
		log_warn("fork: %m");
		close(socks[0]);
		close(socks[1]);
		return NULL;
	}
	if (pid == 0) {
		log_set_buffered(0);
		worker_log(&socks[1]);
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		privileges_keep_only(&socks[1], 1);
		become(t);
		worker_child(socks[1], parent);
	}
	close(socks[1]);
	(void)fd_set_nonblock(socks[0], true);
	k = mem_alloc(sizeof(*k));
	k->all = m;
	k->pid = pid;
	k->uid = t->user.uid;
	k->gid = t->user.gid;
	k->spool = t->spool;
	stream_init(&k->s, m->host->service.loop, &worker_class, k);
	stream_open(&k->s, socks[0]);
	k->next = m->workers;
	m->workers = k;
	m->worker_count++;
	return k;
}

/* worker_free - the child sees the end of file; it is reaped when it ends */
static void worker_free(struct boxes *m, struct worker *k)
{
	struct worker **p = &m->workers;

	while (*p != k) {
		p = &(*p)->next;
	}
	*p = k->next;
	m->worker_count--;
	loop_untimer(m->host->service.loop, &k->idle);
	stream_close(&k->s);
	mem_free(k);
}

void workers_free(struct boxes *m)
{
	while (m->workers != NULL) {
		worker_free(m, m->workers);
	}
}

/* worker_broken - the child died or talks nonsense: what it had may or may not be done */
static void worker_broken(struct boxes *m, struct worker *k)
{
	struct box *probing = k->probing;
	struct batch *batch = k->batch;

	log_warn("delivery process %ld for uid %ld died", (long)k->pid, (long)k->uid);
	worker_free(m, k);
	if (probing != NULL) {
		m->events->probed(m, probing, BOX_DIED, "");
	}
	if (batch != NULL) {
		m->events->batch_died(m, batch);
	}
	m->events->free(m);
}

bool worker_ended(struct boxes *m, pid_t pid)
{
	for (struct worker *k = m->workers; k != NULL; k = k->next) {
		if (k->pid == pid) {
			worker_broken(m, k);
			return true;
		}
	}
	return false;
}

static void worker_idle(struct timer *t)
{
	struct worker *k = t->owner;

	worker_free(k->all, k);
}

/* worker_done - ready for the next piece of work */
static void worker_done(struct boxes *m, struct worker *k)
{
	k->probing = NULL;
	k->batch = NULL;
	loop_timer(m->host->service.loop, &k->idle, IDLE_SECONDS * 1000, worker_idle, k);
}

static bool is_idle(const struct worker *k)
{
	return k->probing == NULL && k->batch == NULL;
}

/* worker_for - an idle child for this target; NULL: it must wait */
static struct worker *worker_for(struct boxes *m, const struct box_place *t)
{
	struct worker *other = NULL;

	for (struct worker *k = m->workers; k != NULL; k = k->next) {
		if (k->uid == t->user.uid && k->gid == t->user.gid && k->spool == t->spool) {
			return is_idle(k) ? k : NULL;
		}
		if (is_idle(k)) {
			other = k;
		}
	}
	if (m->worker_count >= WORKERS_MAX) {
		if (other == NULL) {
			return NULL;
		}
		worker_free(m, other);
	}
	return worker_start(m, t);
}

/* ---- Sending ---- */

/* worker_send - what can be sent now; a dead child shows itself when its last words are read */
static void worker_send(struct worker *k)
{
	(void)stream_flush(&k->s);
}

/*
 * make_file - an empty mailbox that is its owner's from the moment it has its name: a reader that
 * waits for it may open it at once
 */
static void make_file(const char *path, uid_t uid, gid_t gid)
{
	struct buf temp = BUF_INIT;
	const char *name;
	int fd;

	buf_addf(&temp, "%s.%ld.new", path, (long)getpid());
	name = buf_str(&temp);
	(void)unlink(name);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		log_warn("cannot create mailbox %s: %m", path);
	} else {
		if (fchown(fd, uid, gid) != 0) {
			log_warn("chown %s: %m", path);
		}
		close(fd);
		/* Not rename(): nobody's mailbox is replaced. Without hard links it has to do. */
		if (link(name, path) != 0 && errno != EEXIST &&
			(access(path, F_OK) == 0 || rename(name, path) != 0)) {
			log_warn("cannot create mailbox %s: %m", path);
		}
		(void)unlink(name);
	}
	buf_free(&temp);
}

/* make_directory - the same for a maildir; path ends in a slash */
static void make_directory(const char *path, uid_t uid, gid_t gid)
{
	struct buf name = BUF_INIT;
	int fd;

	buf_add(&name, path, strlen(path) - 1);
	if (mkdir(buf_str(&name), 0700) == 0) {
		fd = open(buf_str(&name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fchown(fd, uid, gid) != 0) {
			log_warn("chown %s: %m", path);
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	buf_free(&name);
}

/* is_public - a directory of root's where everybody may make files and remove their own */
static bool is_public(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 && st.st_uid == 0 && (st.st_mode & S_ISVTX) != 0 &&
		(st.st_mode & S_IWOTH) != 0;
}

/*
 * clear_name - in a mail_spool_directory that everybody may write to, another user can have made
 * something of a user's name first, and all of that one's mail would wait for ever. It is renamed,
 * not removed: its owner may have meant it.
 */
static void clear_name(const struct box *box)
{
	const struct box_place *t = &box->place;
	struct buf path = BUF_INIT, other = BUF_INIT;
	struct stat st;

	buf_adds(&path, box->place.path);
	while (path.len > 1 && path.data[path.len - 1] == '/') {
		path.data[--path.len] = '\0';
	}
	if (t->spool && param.strict_mailbox_ownership && lstat(buf_str(&path), &st) == 0 &&
		st.st_uid != t->user.uid && st.st_uid != 0 &&
		is_public(param.mail_spool_directory)) {
		const char *slash = strrchr(buf_str(&path), '/');

		buf_add(&other, path.data, slash != NULL ? (size_t)(slash + 1 - path.data) : 0);
		buf_addf(&other, "BOGUS.%s.%llu", slash != NULL ? slash + 1 : path.data,
			(unsigned long long)st.st_ino);
		if (rename(buf_str(&path), buf_str(&other)) == 0) {
			log_warn("%s was made by uid %lu: renamed to %s", buf_str(&path),
				(unsigned long)st.st_uid, buf_str(&other));
		} else {
			log_warn("%s was made by uid %lu: cannot be renamed to %s: %m",
				buf_str(&path), (unsigned long)st.st_uid, buf_str(&other));
		}
	}
	buf_free(&path);
	buf_free(&other);
}

/*
 * make_mailbox - what a user may not make in mail_spool_directory, made for them:
 * an empty mailbox (or maildir) that belongs to them
 */
static void make_mailbox(const struct box *box)
{
	const char *path = box->place.path;
	const struct box_place *t = &box->place;
	size_t len = strlen(path);
	struct stat st;
	gid_t gid = t->user.gid, group;
	uid_t owner;

	/* In a spool of somebody else's root makes nothing. */
	if (!t->spool || lstat(path, &st) == 0 ||
		path_owner(param.mail_spool_directory, &owner, &group) != 0 || owner != 0) {
		return;
	}
	if (len > 0 && path[len - 1] == '/') {
		make_directory(path, t->user.uid, gid);
		return;
	}
	if (stat(param.mail_spool_directory, &st) == 0 && (st.st_mode & S_IWGRP) != 0) {
		gid = st.st_gid;
	}
	make_file(path, t->user.uid, gid);
}

bool worker_probe(struct boxes *m, struct box *box)
{
	struct worker *k = worker_for(m, &box->place);
	size_t mark;

	if (k == NULL) {
		return false;
	}
	clear_name(box);
	loop_untimer(m->host->service.loop, &k->idle);
	k->probing = box;
	mark = wire_begin(&k->s.out);
	wire_put_int(&k->s.out, WORKER_PROBE);
	wire_put_str(&k->s.out, box->place.path);
	wire_put_int(&k->s.out, box->place.any_owner);
	wire_end(&k->s.out, mark);
	worker_send(k);
	return true;
}

/* put_content - the content of an item: small ones at once, others when the child asks */
static void put_content(struct buf *out, struct batch *b, size_t i, size_t *total)
{
	struct agent_request *q = b->items[i].read_arg;
	struct buf content = BUF_INIT;
	int64_t n = 0;

	if (q->r.size <= WORKER_INLINE && *total < INLINE_TOTAL) {
		while ((int64_t)content.len < q->r.size &&
			(n = agent_read(q, (int64_t)content.len,
				 buf_reserve(&content, WORKER_INLINE), WORKER_INLINE)) > 0) {
			buf_added(&content, (size_t)n);
		}
	}
	if (n >= 0 && q->r.size > 0 && (int64_t)content.len == q->r.size) {
		wire_put_int(out, 1);
		wire_put_bytes(out, content.data, content.len);
		*total += content.len;
	} else {
		wire_put_int(out, 0);
	}
	buf_free(&content);
}

bool worker_deliver(struct boxes *m, struct batch *b)
{
	struct worker *k = worker_for(m, &b->box->place);
	size_t mark, total = 0;

	if (k == NULL) {
		return false;
	}
	clear_name(b->box);
	make_mailbox(b->box);
	loop_untimer(m->host->service.loop, &k->idle);
	k->batch = b;
	mark = wire_begin(&k->s.out);
	wire_put_int(&k->s.out, WORKER_BATCH);
	wire_put_str(&k->s.out, b->box->place.path);
	wire_put_int(&k->s.out, (uint64_t)b->how.size_limit);
	wire_put_int(&k->s.out, (uint64_t)b->how.lock_ms);
	wire_put_int(&k->s.out, b->how.any_owner);
	wire_put_str(&k->s.out, b->how.home != NULL ? b->how.home : "");
	wire_put_int(&k->s.out, b->how.parents);
	wire_put_int(&k->s.out, b->count);
	for (size_t i = 0; i < b->count; i++) {
		const struct deliver_item *it = &b->items[i];

		wire_put_str(&k->s.out, it->queue_id);
		wire_put_str(&k->s.out, it->sender);
		wire_put_str(&k->s.out, it->recipient);
		wire_put_str(&k->s.out, it->original);
		wire_put_int(&k->s.out, (uint64_t)it->suspect | (uint64_t)it->repair << 1);
		put_content(&k->s.out, b, i, &total);
	}
	wire_end(&k->s.out, mark);
	worker_send(k);
	return true;
}

/* ---- Receiving ---- */

/* on_want - the child asks for a piece of a large content */
static bool on_want(struct worker *k, struct wire *w)
{
	size_t i = (size_t)wire_get_int(w), mark;
	int64_t offset = (int64_t)wire_get_int(w), n = -1;
	char *piece;

	if (!wire_ok(w) || k->batch == NULL || i >= k->batch->count || offset < 0) {
		return false;
	}
	piece = mem_alloc(WORKER_PIECE);
	n = agent_read(k->batch->items[i].read_arg, offset, piece, WORKER_PIECE);
	mark = wire_begin(&k->s.out);
	wire_put_int(&k->s.out, WORKER_DATA);
	wire_put_int(&k->s.out, n < 0);
	wire_put_bytes(&k->s.out, piece, n > 0 ? (size_t)n : 0);
	wire_end(&k->s.out, mark);
	mem_free(piece);
	worker_send(k);
	return true;
}

/* on_result - the batch is done */
static bool on_result(struct boxes *m, struct worker *k, struct wire *w)
{
	struct batch *b = k->batch;
	bool locked = wire_get_int(w) != 0;

	if (b == NULL || wire_get_int(w) != b->count) {
		return false;
	}
	for (size_t i = 0; i < b->count; i++) {
		uint64_t status = wire_get_int(w);

		b->items[i].status =
			status <= DELIVER_FAIL ? (enum deliver_status)status : DELIVER_DEFER;
		b->items[i].suspect = wire_get_int(w) != 0;
		snprintf(b->items[i].dsn, sizeof(b->items[i].dsn), "%s", wire_get_str(w));
		snprintf(b->items[i].text, sizeof(b->items[i].text), "%s", wire_get_str(w));
	}
	if (!wire_ok(w)) {
		return false;
	}
	worker_done(m, k);
	m->events->batch_done(m, b, locked);
	m->events->free(m);
	return true;
}

static bool on_probed(struct boxes *m, struct worker *k, struct wire *w)
{
	struct box *box = k->probing;
	int rc = (int)wire_get_int(w) - 1;
	const char *id = wire_get_str(w);

	if (box == NULL || !wire_ok(w)) {
		return false;
	}
	worker_done(m, k);
	m->events->probed(m, box, rc, id);
	m->events->free(m);
	return true;
}

/* on_log - it has no log of its own */
static void on_log(const struct worker *k, struct wire *w)
{
	size_t left = 0;
	const char *line = wire_get_bytes(w, &left), *end;

	for (; wire_ok(w) && left > 0 && (end = memchr(line, '\n', left)) != NULL; line = end + 1) {
		log_relayed(k->pid, "", line, (size_t)(end - line));
		left -= (size_t)(end - line) + 1;
	}
}

/* take_message - one message of the child; false: it is not what we speak */
static bool take_message(struct stream *s, struct wire *w)
{
	struct worker *k = s->owner;
	struct boxes *m = k->all;
	uint64_t kind = wire_get_int(w);

	if (kind == WORKER_LOG) {
		on_log(k, w);
		return true;
	}
	/* A worker has one piece of work: after its answer it has nothing more to say. */
	if (stream_has_more(s)) {
		return false;
	}
	switch (kind) {
	case WORKER_WANT:
		return on_want(k, w);
	case WORKER_RESULT:
		return on_result(m, k, w);
	case WORKER_PROBED:
		return on_probed(m, k, w);
	default:
		return false;
	}
}

static void worker_closed(struct stream *s, enum stream_end why)
{
	struct worker *k = s->owner;

	if (why == STREAM_MALFORMED || why == STREAM_TOO_LONG) {
		kill(k->pid, SIGKILL);
	}
	worker_broken(k->all, k);
}
