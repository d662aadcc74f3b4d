/*
 * reader - the one small part of auth that may read what only root may
 *
 * /etc/shadow and passwd-files are read by a child that auth makes before it gives up root. It may
 * read any file (CAP_DAC_READ_SEARCH) and nothing else, and has no socket but the one to auth, over
 * which a look-up comes and the row that was found goes back, one at a time. What strangers say
 * is parsed by auth itself, which has no rights.
 *
 * A look-up is as short as reading a file, so auth waits for its answer; not without end. It ends
 * with auth.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "base/wire.h"
#include "applets/daemon/privileges.h"
#include "applets/admin/auth/user_db.h"

enum { MESSAGE_MAX = 65536, LINES_MAX = 16384, ANSWER_MS = 10000, DBS_MAX = 64 };

/* What of a row is there (NULL is not ""). */
enum { HAS_NAME = 1, HAS_PASSWORD = 2, HAS_DISABLED = 4, HAS_IDS = 8, NO_PASSWORD = 16 };

struct reader {
	int sock;
};

static const char *text_of(const char *text)
{
	return text != NULL ? text : "";
}

/* put_row - the answer to a look-up */
static void put_row(
	struct buf *b, enum db_result rc, const struct db_user *u, const struct buf *lines)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, (uint64_t)rc);
	wire_put_int(b,
		(u->name != NULL ? HAS_NAME : 0) | (u->password != NULL ? HAS_PASSWORD : 0) |
			(u->disabled != NULL ? HAS_DISABLED : 0) | (u->has_ids ? HAS_IDS : 0) |
			(u->no_password ? NO_PASSWORD : 0));
	wire_put_str(b, text_of(u->name));
	wire_put_str(b, text_of(u->password));
	wire_put_str(b, text_of(u->scheme));
	wire_put_str(b, text_of(u->disabled));
	wire_put_int(b, u->uid);
	wire_put_int(b, u->gid);
	wire_put_str(b, text_of(u->home));
	wire_put_str(b, text_of(u->mail));
	wire_put_bytes(b, lines->data, lines->len);
	wire_end(b, mark);
}

/* log_lines - what the reader said */
static void log_lines(const char *line, size_t len)
{
	const char *end;

	for (; len > 0 && (end = memchr(line, '\n', len)) != NULL; line = end + 1) {
		log_relayed(getpid(), "", line, (size_t)(end - line));
		len -= (size_t)(end - line) + 1;
	}
}

/* get_row - false: that is none */
static bool get_row(struct wire *w, enum db_result *rc, struct db_user *u, struct arena *a)
{
	uint64_t result = wire_get_int(w), has = wire_get_int(w);
	const char *name = arena_strdup(a, wire_get_str(w));
	const char *password = arena_strdup(a, wire_get_str(w)), *lines;
	size_t len = 0;

	u->scheme = arena_strdup(a, wire_get_str(w));
	u->name = has & HAS_NAME ? name : NULL;
	u->password = has & HAS_PASSWORD ? password : NULL;
	name = arena_strdup(a, wire_get_str(w));
	u->disabled = has & HAS_DISABLED ? name : NULL;
	u->has_ids = (has & HAS_IDS) != 0;
	u->no_password = (has & NO_PASSWORD) != 0;
	u->uid = (uid_t)wire_get_int(w);
	u->gid = (gid_t)wire_get_int(w);
	u->home = arena_strdup(a, wire_get_str(w));
	u->mail = arena_strdup(a, wire_get_str(w));
	lines = wire_get_bytes(w, &len);
	log_lines(lines, len);
	*rc = result <= DB_ERROR ? (enum db_result)result : DB_ERROR;
	return wire_ok(w);
}

/* ---- The child ---- */

/* What the child has to say goes back with its next answer: it has no log. */
static struct {
	struct buf lines;
} G;

static void keep_lines(void *arg, const char *lines, size_t len)
{
	struct buf *kept = arg;

	if (kept->len < LINES_MAX) {
		buf_add(kept, lines, len);
	}
}

/* answer - one look-up; false: it is none of auth's */
static bool answer(
	int sock, struct wire *w, struct auth_db *const *dbs, size_t count, struct arena *a)
{
	uint64_t number = wire_get_int(w);
	const char *user = wire_get_str(w);
	struct buf b = BUF_INIT;
	enum db_result rc;
	struct db_user u;
	bool sent;

	if (!wire_ok(w) || number >= count) {
		return false;
	}
	rc = db_lookup_here(dbs[number], user, a, &u);
	put_row(&b, rc, &u, &G.lines);
	buf_reset(&G.lines);
	sent = unix_send_fds(sock, b.data, b.len, NULL, 0) == (ssize_t)b.len;
	forget(b.data, b.cap);
	buf_free(&b);
	return sent;
}

static _Noreturn void serve(int sock, struct auth_db *const *dbs, size_t count)
{
	struct arena a = ARENA_INIT;
	struct buf b = BUF_INIT;

	mem_trim(); /* what auth's start left on the stack */
	for (;;) {
		ssize_t n = recv(sock, buf_reserve(&b, MESSAGE_MAX), MESSAGE_MAX, 0);
		struct wire w;
		size_t size;

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			_exit(0);
		}
		buf_added(&b, (size_t)n);
		if (wire_next(&b, &w, &size) != 1 || !answer(sock, &w, dbs, count, &a)) {
			_exit(1);
		}
		buf_reset(&b);
		arena_reset(&a);
	}
}

/* start_child - as root, before root is given up: the child that looks up in dbs; or we end */
static struct reader *start_child(struct auth_db *const *dbs, size_t count)
{
	static const struct identity root = { .name = "root", .lock_group = (gid_t)-1 };
	struct reader *r;
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		log_fatal("socketpair: %m");
	}
	log_flush();
	pid = fork();
	if (pid < 0) {
		log_fatal("fork: %m");
	}
	if (pid == 0) {
		(void)signal(SIGHUP, SIG_IGN);
		(void)prctl(PR_SET_NAME, "auth-reader", 0, 0, 0);
		log_set_buffered(0);
		log_set_sink(keep_lines, &G.lines);
		privileges_keep_only(&ends[1], 1);
		privileges_take(PROCESS_READER, &root);
		privileges_seal(PROCESS_READER);
		serve(ends[1], dbs, count);
	}
	close(ends[1]);
	r = mem_alloc(sizeof(*r));
	r->sock = ends[0];
	return r;
}

/* ---- For auth ---- */

/* ask - db_lookup_here() of the section with this number, there */
static enum db_result ask(
	struct reader *r, size_t number, const char *user, struct arena *a, struct db_user *out)
{
	struct pollfd p = { .fd = r->sock, .events = POLLIN };
	enum db_result rc = DB_ERROR;
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b), size;
	struct wire w;
	ssize_t n = -1;

	wire_put_int(&b, number);
	wire_put_str(&b, user);
	wire_end(&b, mark);
	if (unix_send_fds(r->sock, b.data, b.len, NULL, 0) == (ssize_t)b.len &&
		poll(&p, 1, ANSWER_MS) == 1) {
		buf_reset(&b);
		n = recv(r->sock, buf_reserve(&b, MESSAGE_MAX), MESSAGE_MAX, 0);
	}
	if (n > 0) {
		buf_added(&b, (size_t)n);
	}
	/* Without it nobody can log in, and only a new process can make a new one. */
	if (n <= 0 || wire_next(&b, &w, &size) != 1 || !get_row(&w, &rc, out, a)) {
		log_fatal("auth: the process that reads passwords does not answer");
	}
	/* Only what was received: the rest of its room was never touched. */
	forget(b.data, (size_t)n);
	buf_free(&b);
	return rc;
}

/* collect - the sections that the child is needed for */
static void collect(struct auth_db *db, struct auth_db **dbs, size_t *count)
{
	for (; db != NULL; db = db_next(db)) {
		if (db_needs_root(db) && *count < DBS_MAX) {
			db_place(db)->number = *count;
			dbs[(*count)++] = db;
		}
	}
}

void db_start_reader(struct auth_db *passdbs, struct auth_db *userdbs)
{
	struct auth_db *dbs[DBS_MAX];
	size_t count = 0;
	struct reader *reader;

	collect(passdbs, dbs, &count);
	collect(userdbs, dbs, &count);
	if (count == 0) {
		return;
	}
	reader = start_child(dbs, count);
	for (size_t i = 0; i < count; i++) {
		db_place(dbs[i])->reader = reader;
	}
}

enum db_result db_lookup(struct auth_db *db, const char *user, struct arena *a, struct db_user *out)
{
	const struct db_place *place = db_place(db);

	return place->reader != NULL ? ask(place->reader, place->number, user, a, out)
				     : db_lookup_here(db, user, a, out);
}
