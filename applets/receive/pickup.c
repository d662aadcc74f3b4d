/*
 * pickup - mail from this host's own programs into the queue
 *
 *	sendmail --socket public/pickup--> session --\
 *						      +--> queue.db (group commit) --> qmgr is told
 *	sendmail --file--> maildrop/ --scan----------/		|
 *				^----- removed after the commit-+
 *
 * The socket answers after the commit. Who submits is what the kernel says: the
 * peer's credentials, or the owner of the file.
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
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "conf/params.h"
#include "net/serve.h"
#include "map/map_wait.h"
#include "queue/queue.h"
#include "queue/queue_write.h"
#include "address/match.h"
#include "ipc/notify.h"
#include "ipc/pickup_request.h"
#include "route/resolve.h"
#include "message/enqueue.h"
#include "applets/daemon/service.h"
#include "applets/applets.h"

enum {
	SCAN_SECONDS = 60,
	SCAN_RETRY_MS = 100, /* another process looks through the maildrop */
	SCAN_BATCH = 100,    /* files in one commit */
	READ_SIZE = 65536,
	COMPLAINTS_MAX = 10,     /* lines about files that are none of ours, a scan */
	TMP_SECONDS = 24 * 3600, /* age of an unfinished file that nobody writes any more */
	SESSION_SECONDS = 300,
	ACCEPT_BATCH = 64,
	IN_HIGH = 256 * 1024
};

static struct G {
	struct service service;
	struct server *server;
	struct queue *queue;
	struct queue_notify *notify;
	struct match_list *authorized;
	struct loop_hook commit_hook;
	struct timer scan_timer;
	struct map_wait drop_wait; /* the tables of files in the maildrop */
	bool drop_asks;            /* one has yet to answer: a file stays for the next look */
	struct watch accept[SERVICE_LISTEN_MAX];
	int drop_fd; /* the maildrop directory, -1 none */

	struct taken *taken; /* files that were committed and removed */
	int complaints;      /* of this scan */
} G;

/* ---- The commit ---- */

static void commit(void)
{
	if (!queue_pending(G.queue)) {
		return;
	}
	if (queue_commit(G.queue) != 0) {
		log_error("queue: %s", queue_error(G.queue));
		if (queue_is_broken(G.queue)) {
			log_fatal("queue.db cannot be used any more");
		}
		return;
	}
	queue_notify_committed(G.notify, G.queue);
}

static void run_commit(struct loop_hook *h)
{
	(void)h;
	commit();
}

/* ---- Sessions on the socket ---- */

struct client { /* given to open() */
	uid_t uid;
};

struct session {
	struct session_io *io;
	uid_t uid;
	struct enqueue *enqueue;
	struct waiting *waiting; /* the commit is due */
	struct map_wait wait;    /* the tables of the message that is being taken */
	bool asking;             /* one has yet to answer */
	bool authorized;         /* said before END is taken */
	struct buf held;
};

/* A file that is gone from the maildrop: its name may leave queue.db once that is on the disk. */
struct taken {
	struct taken *next;
	char name[64];
};

/* What a commit tells about; the session may be gone by then. */
struct waiting {
	struct session *session;
};

static void answer(struct buf *out, enum pickup_status status, const char *text)
{
	const struct pickup_message m = { .kind = PICKUP_ANSWER, .status = status, .text = text };

	pickup_put(out, &m);
}

/* is_authorized - authorized_submit_users */
static bool is_authorized(uid_t uid)
{
	const struct passwd *pw;

	if (uid == 0 || uid == geteuid()) {
		return true;
	}
	pw = getpwuid(uid);
	return match_domain(G.authorized, pw != NULL ? pw->pw_name : "unknown") > 0;
}

/* session_asked - tables have answered */
static void session_asked(void *arg)
{
	struct session *s = arg;

	s->io->resume(s->io);
}

static void *session_open(struct session_io *io, void *service, struct buf *out)
{
	struct client *client = service;
	struct session *s = mem_alloc(sizeof(*s));

	(void)out;
	s->io = io;
	s->uid = client->uid;
	map_wait_init(&s->wait, G.service.loop, session_asked, s);
	io->timeout = SESSION_SECONDS;
	mem_free(client);
	return s;
}

static void session_close(void *session)
{
	struct session *s = session;

	if (s->waiting != NULL) {
		s->waiting->session = NULL;
	}
	map_wait_end(&s->wait);
	enqueue_free(s->enqueue);
	buf_free(&s->held);
	mem_free(s);
}

/* session_committed - from queue_commit() */
static void session_committed(void *arg, bool ok, const char *id)
{
	struct waiting *w = arg;
	struct session *s = w->session;

	if (s != NULL) {
		s->waiting = NULL;
		answer(&s->held, ok ? PICKUP_OK : PICKUP_RETRY,
			ok                               ? id
				: queue_is_full(G.queue) ? "insufficient system storage"
							 : "queue file write error");
		s->io->resume(s->io);
	}
	mem_free(w);
}

/* session_end - END came: refuse, or wait for the commit */
static enum session_want session_end(struct session *s, struct buf *out)
{
	const char *text;
	enum pickup_status status = enqueue_result(s->enqueue, &text);

	if (status == PICKUP_OK && !s->authorized) {
		status = PICKUP_REFUSED;
		text = "not authorized to submit mail (authorized_submit_users)";
	}
	if (status != PICKUP_OK) {
		log_info("%s: uid=%ld: %s", enqueue_id(s->enqueue), (long)s->uid, text);
		answer(out, status, text);
		enqueue_free(s->enqueue);
		s->enqueue = NULL;
		return SESSION_READ;
	}
	s->waiting = mem_alloc(sizeof(*s->waiting));
	s->waiting->session = s;
	enqueue_commit(s->enqueue, session_committed, s->waiting);
	s->enqueue = NULL;
	loop_at_end(G.service.loop, &G.commit_hook, run_commit, NULL);
	return SESSION_WAIT;
}

/* session_take - a message of the submission; as enqueue_take() */
static int session_take(struct session *s, const struct pickup_message *m)
{
	int rc;

	map_wait_enter(&s->wait);
	s->authorized = m->kind == PICKUP_END && is_authorized(s->uid);
	rc = map_is_waiting() ? 1 : enqueue_take(s->enqueue, m);
	(void)map_wait_leave(&s->wait);
	s->asking = rc == 1;
	if (rc != 1) {
		map_wait_forget(&s->wait);
	}
	return rc;
}

static enum session_want session_feed(void *session, struct buf *in, struct buf *out)
{
	struct session *s = session;
	struct pickup_message m;
	size_t size;
	int rc;

	if (s->waiting != NULL) {
		return SESSION_WAIT;
	}
	if (buf_unread(&s->held) > 0) {
		buf_add(out, buf_head(&s->held), buf_unread(&s->held));
		buf_free(&s->held);
	}
	while ((rc = pickup_get(in, &m, &size)) == 1) {
		enum session_want want = SESSION_READ;

		if (s->enqueue == NULL) {
			s->enqueue = enqueue_new(G.queue, s->uid, NULL);
		}
		rc = session_take(s, &m);
		if (rc > 0) {
			return SESSION_WAIT;
		}
		if (rc != 0) {
			break;
		}
		if (m.kind == PICKUP_END) {
			want = session_end(s, out);
		}
		buf_consume(in, size);
		if (want != SESSION_READ) {
			return want;
		}
	}
	if (rc < 0) {
		log_warn("malformed submission from uid %ld", (long)s->uid);
		answer(out, PICKUP_REFUSED, "malformed submission");
		return SESSION_CLOSE;
	}
	return SESSION_READ;
}

static enum session_want session_event(void *session, enum session_event event, struct buf *out)
{
	const struct session *s = session;

	switch (event) {
	case SESSION_EV_NO_MEMORY:
		answer(out, PICKUP_RETRY, "out of memory");
		return SESSION_CLOSE;
	case SESSION_EV_TIMEOUT:
	case SESSION_EV_EOF:
	case SESSION_EV_ERROR:
		if (s->enqueue != NULL) {
			log_info("%s: submission by uid %ld broke off", enqueue_id(s->enqueue),
				(long)s->uid);
		}
		return SESSION_CLOSE;
	case SESSION_EV_SHUTDOWN:
		return s->waiting != NULL || s->asking ? SESSION_WAIT
			: s->enqueue != NULL           ? SESSION_READ
						       : SESSION_CLOSE;
	case SESSION_EV_TLS_UP:
	case SESSION_EV_TLS_FAILED:
	case SESSION_EV_DRAINED:
		break;
	}
	return s->waiting != NULL || s->asking ? SESSION_WAIT : SESSION_READ;
}

static const struct session_class pickup_class = {
	.name = "pickup",
	.open = session_open,
	.feed = session_feed,
	.event = session_event,
	.close = session_close,
};

static void on_accept(struct watch *w, unsigned events)
{
	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct client *client;
		gid_t gid;
		pid_t pid;

		if (fd < 0) {
			return;
		}
		client = mem_alloc(sizeof(*client));
		if (unix_peer(fd, &client->uid, &gid, &pid) != 0) {
			log_warn("submission without credentials: %m");
			close(fd);
			mem_free(client);
			continue;
		}
		server_adopt_with(G.server, fd, NULL, 0, client);
	}
}

/* ---- The maildrop ---- */

struct drop { /* a file that waits for its commit */
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
static void complain(const char *name, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	if (++G.complaints > COMPLAINTS_MAX) {
		return;
	}
	va_start(ap, fmt);
	buf_addvf(&text, fmt, ap);
	va_end(ap);
	log_warn("maildrop/%s: %s", name, buf_str(&text));
	buf_free(&text);
}

/* end_complaints - the scan is over */
static void end_complaints(void)
{
	if (G.complaints > COMPLAINTS_MAX) {
		log_warn("maildrop: %d more files that cannot be taken",
			G.complaints - COMPLAINTS_MAX);
	}
	G.complaints = 0;
}

/* set_aside - keep what cannot be taken, and say so */
static void set_aside(const char *name, const char *why)
{
	char bad[64] = "bad.";

	(void)str_copy(bad + 4, sizeof(bad) - 4, name);
	if (renameat(G.drop_fd, name, G.drop_fd, bad) != 0) {
		complain(name, "%s; cannot rename it: %s", why, strerror(errno));
	} else {
		complain(name, "%s; set aside as maildrop/%s", why, bad);
	}
}

/* reject - what is no plain file holds no mail: it goes; a directory may have to stay */
static void reject(const char *name)
{
	struct stat st;
	uid_t uid = fstatat(G.drop_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_uid : 0;

	if (unlinkat(G.drop_fd, name, 0) == 0 || unlinkat(G.drop_fd, name, AT_REMOVEDIR) == 0) {
		complain(name, "of uid %lu is no plain file: removed", (unsigned long)uid);
	} else {
		set_aside(name, "no plain file");
	}
}

/* remove_taken - the message is in the queue: the file goes; settle_batch() does the rest */
static void remove_taken(const char *name)
{
	struct taken *t;

	if (unlinkat(G.drop_fd, name, 0) != 0 && errno != ENOENT) {
		log_error("maildrop/%s: taken, but cannot be removed: %m", name);
		return;
	}
	t = mem_alloc(sizeof(*t));
	(void)str_copy(t->name, sizeof(t->name), name);
	t->next = G.taken;
	G.taken = t;
}

static void drop_committed(void *arg, bool ok, const char *id)
{
	struct drop *d = arg;

	(void)id;
	if (ok) {
		remove_taken(d->name);
	}
	mem_free(d);
}

/*
 * read_drop - the file through the submission; 0, -1 malformed, -2 cannot be read now, 1 a table
 * has yet to answer
 */
static int read_drop(int fd, struct enqueue *e)
{
	struct buf in = BUF_INIT;
	struct pickup_message m = { .kind = PICKUP_BEGIN };
	const char *text;
	int rc = 0;

	while (rc == 0 && m.kind != PICKUP_END) {
		ssize_t n = read(fd, buf_reserve(&in, READ_SIZE), READ_SIZE);
		size_t size;

		if (n <= 0) {
			rc = n < 0 ? -2 : -1; /* it ends before END */
			break;
		}
		buf_added(&in, (size_t)n);
		while (rc == 0 && m.kind != PICKUP_END) {
			int got = pickup_get(&in, &m, &size);

			if (got <= 0) {
				rc = got;
				break;
			}
			rc = enqueue_take(e, &m);
			buf_consume(&in, size);
			/* The rest of what is refused is not read: it may be endless. */
			if (rc == 0 && enqueue_result(e, &text) != PICKUP_OK) {
				m.kind = PICKUP_END;
			}
		}
	}
	buf_free(&in);
	return rc;
}

/* take_file - one file into the queue; true: a commit is due */
static bool take_file(const char *name, int fd, const struct stat *st)
{
	struct enqueue *e = enqueue_new(G.queue, st->st_uid, name);
	struct drop *d;
	const char *text = "malformed";
	enum pickup_status status;
	bool authorized;
	int rc;

	map_wait_enter(&G.drop_wait);
	authorized = is_authorized(st->st_uid);
	rc = read_drop(fd, e);
	if (map_wait_leave(&G.drop_wait)) {
		G.drop_asks = true;
		enqueue_free(e);
		return false;
	}
	status = rc == 0 ? enqueue_result(e, &text) : rc == -1 ? PICKUP_REFUSED : PICKUP_RETRY;
	if (status == PICKUP_OK && !authorized) {
		status = PICKUP_REFUSED;
		text = "its owner may not submit mail (authorized_submit_users)";
	}
	if (status != PICKUP_OK) {
		if (status == PICKUP_REFUSED) {
			set_aside(name, text);
		} else {
			complain(name, "%s", rc == -2 ? strerror(errno) : text);
		}
		enqueue_free(e);
		return false;
	}
	d = mem_alloc(sizeof(*d));
	(void)str_copy(d->name, sizeof(d->name), name);
	enqueue_commit(e, drop_committed, d);
	return true;
}

/* look_at - a name in the maildrop; true: a commit is due */
static bool look_at(const char *name)
{
	struct stat st;
	bool due = false;
	int fd, marked;

	if (!is_name(name)) {
		if (str_starts(name, "tmp.") &&
			fstatat(G.drop_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			time(NULL) - st.st_mtime > TMP_SECONDS) {
			log_info("maildrop/%s: never finished, removed", name);
			(void)unlinkat(G.drop_fd, name, 0);
		}
		return false;
	}
	marked = queue_has_source(G.queue, name);
	if (marked != 0) {
		if (marked > 0) {
			remove_taken(name);
		}
		return marked > 0;
	}
	fd = openat(G.drop_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		if (errno == ELOOP || errno == ENXIO) { /* a link, a socket */
			reject(name);
		} else if (errno != ENOENT) {
			complain(name, "%s", strerror(errno));
		}
		return false;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		reject(name);
	} else if (st.st_nlink != 1) {
		set_aside(name, "has several names");
	} else {
		due = take_file(name, fd, &st);
	}
	close(fd);
	return due;
}

static void scan(struct timer *t);

/* settle_batch - messages and names; then the files, durably; then the names again */
static void settle_batch(void)
{
	struct taken *t;

	commit();
	if (G.taken == NULL || fsync(G.drop_fd) != 0) {
		return;
	}
	while ((t = G.taken) != NULL) {
		queue_drop_source(G.queue, t->name);
		G.taken = t->next;
		mem_free(t);
	}
	commit();
}

/* scan_some - a batch of names; how many became messages */
static size_t scan_some(void)
{
	int fd = openat(G.drop_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	size_t batch = 0;

	if (dir == NULL) {
		log_warn("%s/maildrop: %m", param.queue_directory);
	} else {
		G.drop_asks = false;
		while (batch < SCAN_BATCH && (entry = readdir(dir)) != NULL) {
			batch += look_at(entry->d_name);
		}
		closedir(dir);
		if (!G.drop_asks) {
			map_wait_forget(&G.drop_wait);
		}
	}
	end_complaints();
	settle_batch();
	return batch;
}

/* scan - one process at a time: after a reload two are there until the old one's sessions end */
static void scan(struct timer *t)
{
	size_t batch;

	(void)t;
	if (flock(G.drop_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
		loop_timer(G.service.loop, &G.scan_timer, SCAN_RETRY_MS, scan, NULL);
		return;
	}
	batch = scan_some();
	(void)flock(G.drop_fd, LOCK_UN);
	/* A full batch: there may be more, after the sessions had their turn. */
	loop_timer(G.service.loop, &G.scan_timer, batch == SCAN_BATCH ? 0 : SCAN_SECONDS * 1000,
		scan, NULL);
}

/* on_drop_answers - what a file in the maildrop has waited for */
static void on_drop_answers(void *arg)
{
	(void)arg;
	loop_timer(G.service.loop, &G.scan_timer, 0, scan, NULL);
}

static void on_wakeup(struct service *s)
{
	(void)s;
	if (G.drop_fd >= 0) {
		scan(&G.scan_timer);
	}
}

/* ---- The process ---- */

static void on_stop(struct service *s, bool soon)
{
	(void)soon;
	for (size_t i = 0; i < s->listen_count; i++) {
		if (G.accept[i].fd >= 0) {
			int fd = G.accept[i].fd;

			/* Who waits there is ours still, if nobody follows us. */
			on_accept(&G.accept[i], LOOP_READ);
			loop_unwatch(s->loop, &G.accept[i]);
			close(fd);
		}
	}
	map_wait_end(&G.drop_wait);
	loop_untimer(s->loop, &G.scan_timer);
	service_done(s);
}

static void set_up(void)
{
	char *error = NULL;

	route_init();
	map_wait_init(&G.drop_wait, G.service.loop, on_drop_answers, NULL);
	G.queue = queue_open_below(param.queue_directory, QUEUE_CREATE, &error);
	if (G.queue == NULL) {
		service_no_queue(error);
	}
	G.notify = queue_notify_new(G.service.loop, param.queue_directory);
	G.authorized = match_list_new("authorized_submit_users", param.authorized_submit_users, 0);
	G.drop_fd = open("maildrop", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (G.drop_fd < 0) {
		log_warn("%s/maildrop: %m: mail handed in while the server is down cannot be taken",
			param.queue_directory);
	} else {
		loop_timer(G.service.loop, &G.scan_timer, 0, scan, NULL);
	}
}

int pickup_main(int argc, char **argv)
{
	static const struct service_info info = { .options = NULL };
	const struct server_config config = {
		.class = &pickup_class,
		.max_sessions = (int)param.client_session_limit,
		.in_high = IN_HIGH,
	};

	service_init(&G.service, &info, argc, argv);
	set_up();
	G.service.on_wakeup = on_wakeup;
	G.service.on_stop = on_stop;
	G.server = server_new(G.service.loop, &config);
	service_attach(&G.service, G.server);
	for (size_t i = 0; i < G.service.listen_count; i++) {
		loop_watch(G.service.loop, &G.accept[i], G.service.listen[i].fd, LOOP_READ,
			on_accept, NULL);
	}
	return service_run(&G.service);
}
