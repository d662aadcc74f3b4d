/*
 * master_side - the auth protocol's master side, and look-ups in userdb
 *
 *	S: VERSION 1 2, SPID pid
 *	C: VERSION 1 0
 *	C: REQUEST id client-pid client-id cookie	who is it that logged in?
 *	C: USER id name [service=..]			what is known about name?
 *	S: USER id name uid=.. gid=.. home=.. mail=..	or NOTFOUND id, FAIL id [reason=..]
 *
 * REQUEST is answered once for each success that a client got without nologin
 * (a grant), within a minute. The userdb socket has USER alone, and while it is everybody's (mode
 * 0666) a process that is not root's learns about its own uid only, and many connections of one uid
 * keep nobody else waiting. With another mode whoever may open it may ask for all.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "ipc/auth_protocol.h"
#include "applets/admin/auth/auth.h"

enum {
	GRANT_MS = 60000,
	GRANTS_MAX = 10000,
	USERDB_PER_UID = 16,
	USERDB_ALL = 256,
	USERDB_IDLE = 60 /* connections, seconds */
};

struct master {
	struct session_io *io;
	struct auth_state *state;
	bool may_request; /* the master socket, not the userdb socket */
	bool may_know_all;
	struct master *next; /* on the userdb socket that is everybody's */
	bool listed;
	bool stays; /* the supervisor's, which asks for what was granted */
	struct arena arena;
};

/* ---- Grants ---- */

void auth_grant_free(struct auth_grant *g)
{
	mem_free(g->user);
	mem_free(g->service);
	mem_free(g);
}

void auth_grant_expire(struct auth_state *st)
{
	struct auth_grant **link = &st->grants;
	size_t seen = 0;

	/* Newest first: the oldest go when there are too many. */
	while (*link != NULL) {
		struct auth_grant *g = *link;

		if (g->until <= loop_now(st->loop) || ++seen > GRANTS_MAX) {
			*link = g->next;
			st->grant_count--;
			auth_grant_free(g);
		} else {
			link = &g->next;
		}
	}
}

void auth_grant_add(struct auth_state *st, unsigned long client_pid, unsigned long request,
	const char *cookie, const char *user, const char *service)
{
	struct auth_grant *g = mem_alloc(sizeof(*g));

	auth_grant_expire(st);
	g->client_pid = client_pid;
	g->request = request;
	(void)str_copy(g->cookie, sizeof(g->cookie), cookie);
	g->user = mem_strdup(user);
	g->service = mem_strdup(service);
	g->until = loop_now(st->loop) + GRANT_MS;
	g->next = st->grants;
	st->grants = g;
	st->grant_count++;
}

/* take_grant - out of the list; the caller frees with auth_grant_free(). NULL: no such grant */
static struct auth_grant *take_grant(
	struct auth_state *st, unsigned long client_pid, unsigned long request, const char *cookie)
{
	auth_grant_expire(st);
	for (struct auth_grant **link = &st->grants; *link != NULL; link = &(*link)->next) {
		struct auth_grant *g = *link;

		if (g->client_pid == client_pid && g->request == request &&
			strcmp(g->cookie, cookie) == 0) {
			*link = g->next;
			st->grant_count--;
			return g;
		}
	}
	return NULL;
}

/* ---- Answers ---- */

static void say_fail(struct buf *out, unsigned long id, const char *reason)
{
	auth_put(out, "FAIL");
	auth_put_number(out, id);
	if (reason != NULL) {
		auth_put_pair(out, "reason", reason);
	}
	auth_end(out);
}

/* check_ids - may this uid have mail (first_valid_uid and the others)? NULL: yes */
static const char *check_ids(struct master *m, const struct db_user *u)
{
	if (!u->has_ids) {
		return "userdb returned no uid: set uid in it, or mail_uid";
	}
	if (m->state->root && u->uid == 0) {
		return "mail access for root is not permitted: use an ordinary user, and an alias "
		       "for root's mail";
	}
	if ((int64_t)u->uid < setting.first_valid_uid ||
		(setting.last_valid_uid != 0 && (int64_t)u->uid > setting.last_valid_uid)) {
		return arena_printf(&m->arena,
			"uid %lu is outside of first_valid_uid and last_valid_uid",
			(unsigned long)u->uid);
	}
	if ((int64_t)u->gid < setting.first_valid_gid ||
		(setting.last_valid_gid != 0 && (int64_t)u->gid > setting.last_valid_gid)) {
		return arena_printf(&m->arena,
			"gid %lu is outside of first_valid_gid and last_valid_gid",
			(unsigned long)u->gid);
	}
	return NULL;
}

static void default_ids(const struct master *m, struct db_user *u)
{
	int64_t n;

	if (!u->has_ids && str_to_int(setting.mail_uid, 0, UINT32_MAX - 1, &n)) {
		u->uid = (uid_t)n;
		u->gid = str_to_int(setting.mail_gid, 0, UINT32_MAX - 1, &n) ? (gid_t)n
									     : (gid_t)u->uid;
		u->has_ids = true;
	}
	if (!u->has_ids && !m->state->root) {
		/* Nothing can be changed anyway. */
		u->uid = geteuid();
		u->gid = getegid();
		u->has_ids = true;
	}
}

static void say_not_found(struct buf *out, unsigned long id)
{
	auth_put(out, "NOTFOUND");
	auth_put_number(out, id);
	auth_end(out);
}

/* may_know - on the userdb socket: root all, everybody himself. Others are as if not there. */
static bool may_know(const struct master *m, const struct db_user *u)
{
	uid_t uid = m->io->peer_uid;

	return m->may_know_all || uid == 0 || uid == geteuid() || (u->has_ids && u->uid == uid);
}

static void put_user(
	struct master *m, struct buf *out, unsigned long id, const char *name, struct db_user *u)
{
	const char *why;
	char *home = NULL;

	default_ids(m, u);
	if (!may_know(m, u)) {
		say_not_found(out, id);
		return;
	}
	why = check_ids(m, u);
	if (why != NULL) {
		log_error("auth: userdb(%s): %s", name, why);
		say_fail(out, id, why);
		return;
	}
	if (u->home[0] == '\0' && setting.mail_home[0] != '\0') {
		home = dovecot_expand(setting.mail_home, name, "", "");
	}
	auth_put(out, "USER");
	auth_put_number(out, id);
	auth_put_field(out, name);
	buf_addf(out, "\tuid=%lu\tgid=%lu", (unsigned long)u->uid, (unsigned long)u->gid);
	auth_put_pair(out, "home", home != NULL ? home : u->home);
	if (u->mail[0] != '\0') {
		auth_put_pair(out, "mail", u->mail);
	}
	auth_end(out);
	mem_free(home);
}

/* answer_user - userdbs in their order; a passdb that knows ids serves "prefetch" and users nobody
 * else knows */
static void answer_user(struct master *m, struct buf *out, unsigned long id, const char *name)
{
	bool trouble = false;
	struct db_user u;

	for (int pass = 0; pass < 2; pass++) {
		for (struct auth_db *db = pass == 0 ? m->state->userdbs : m->state->passdbs;
			db != NULL; db = db_next(db)) {
			enum db_result rc = db_lookup(db, name, &m->arena, &u);

			if (rc == DB_FOUND && (pass == 0 || u.has_ids)) {
				put_user(m, out, id, name, &u);
				return;
			}
			trouble = trouble || rc == DB_ERROR;
		}
	}
	if (trouble) {
		say_fail(out, id, NULL);
		return;
	}
	say_not_found(out, id);
}

static void cmd_request(
	struct master *m, const struct auth_line *line, struct buf *out, unsigned long id)
{
	struct auth_grant *g;
	int64_t pid, request;

	if (!str_to_int(auth_line_at(line, 2), 0, INT32_MAX, &pid) ||
		!str_to_int(auth_line_at(line, 3), 0, UINT32_MAX, &request)) {
		say_fail(out, id, "malformed REQUEST");
		return;
	}
	g = take_grant(m->state, (unsigned long)pid, (unsigned long)request, auth_line_at(line, 4));
	if (g == NULL) {
		log_error("auth: nobody logged in with what process %ld hands over", (long)pid);
		say_fail(out, id, NULL);
		return;
	}
	answer_user(m, out, id, g->user);
	auth_grant_free(g);
}

static void cmd_user(
	struct master *m, const struct auth_line *line, struct buf *out, unsigned long id)
{
	const char *why;
	const char *name = auth_normalise(&m->arena, auth_line_at(line, 2), &why);

	if (name == NULL) {
		say_fail(out, id, why);
		return;
	}
	answer_user(m, out, id, name);
}

/* run_line - false: the other side does not speak the protocol */
static bool run_line(struct master *m, char *text, size_t len, struct buf *out)
{
	struct auth_line line;
	int64_t id;

	if (!auth_line_parse(&line, text, len)) {
		return false;
	}
	if (strcmp(line.field[0], "VERSION") == 0) {
		return strcmp(auth_line_at(&line, 1), "1") == 0;
	}
	if (!str_to_int(auth_line_at(&line, 1), 0, UINT32_MAX, &id)) {
		return strcmp(line.field[0], "CPID") == 0;
	}
	if (strcmp(line.field[0], "REQUEST") == 0 && m->may_request) {
		cmd_request(m, &line, out, (unsigned long)id);
	} else if (strcmp(line.field[0], "USER") == 0) {
		cmd_user(m, &line, out, (unsigned long)id);
	} else {
		say_fail(out, (unsigned long)id, "unknown command");
	}
	return true;
}

/* ---- The session ---- */

static struct master *open_master(struct session_io *io, void *service, struct buf *out)
{
	struct master *m = mem_alloc(sizeof(*m));

	m->io = io;
	m->state = service;
	io->timeout = 0;
	buf_addf(out, "VERSION\t%d\t%d\nSPID\t%ld\n", AUTH_PROTO_MAJOR, AUTH_PROTO_MINOR,
		(long)getpid());
	return m;
}

static void *master_open(struct session_io *io, void *service, struct buf *out)
{
	struct master *m = open_master(io, service, out);

	m->may_request = m->may_know_all = true;
	return m;
}

static void *lookup_open(struct session_io *io, void *service, struct buf *out)
{
	struct master *m = open_master(io, service, out);

	m->may_know_all = true;
	return m;
}

/* too_many - of that uid, or of all; root's are few, and not counted */
static bool too_many(const struct auth_state *st, uid_t uid)
{
	size_t all = 0, his = 0;

	for (const struct master *m = st->userdb_sessions; m != NULL; m = m->next) {
		all++;
		his += m->io->peer_uid == uid;
	}
	return uid != 0 && (his >= USERDB_PER_UID || all >= USERDB_ALL);
}

static void *supervisor_open(struct session_io *io, void *service, struct buf *out)
{
	struct master *m = master_open(io, service, out);

	m->stays = true;
	return m;
}

static void *userdb_open(struct session_io *io, void *service, struct buf *out)
{
	struct auth_state *st = service;
	struct master *m;

	if (too_many(st, io->peer_uid)) {
		return NULL;
	}
	m = open_master(io, service, out);
	io->timeout = USERDB_IDLE;
	m->listed = true;
	m->next = st->userdb_sessions;
	st->userdb_sessions = m;
	return m;
}

static enum session_want master_feed(void *session, struct buf *in, struct buf *out)
{
	struct master *m = session;
	char *start = in->data + in->pos;
	char *end = buf_unread(in) > 0 ? memchr(start, '\n', buf_unread(in)) : NULL;
	bool good;

	if (end == NULL) {
		return m->state->retiring && !m->stays ? SESSION_CLOSE : SESSION_READ;
	}
	good = run_line(m, start, (size_t)(end - start), out);
	arena_reset(&m->arena);
	buf_consume(in, (size_t)(end - start) + 1);
	return good ? SESSION_READ : SESSION_CLOSE;
}

void auth_master_retire(void *session, void *arg)
{
	struct master *m = session;

	(void)arg;
	m->io->resume(m->io);
}

static enum session_want master_event(void *session, enum session_event event, struct buf *out)
{
	(void)session;
	(void)out;
	return event == SESSION_EV_DRAINED ? SESSION_READ : SESSION_CLOSE;
}

static void master_close(void *session)
{
	struct master *m = session, **link = &m->state->userdb_sessions;

	while (m->listed && *link != m) {
		link = &(*link)->next;
	}
	if (m->listed) {
		*link = m->next;
	}
	arena_free(&m->arena);
	mem_free(m);
}

const struct session_class auth_master_class = { "auth-master", master_open, master_feed,
	master_event, master_close };
const struct session_class auth_lookup_class = { "auth-lookup", lookup_open, master_feed,
	master_event, master_close };
const struct session_class auth_supervisor_class = { "auth-master", supervisor_open, master_feed,
	master_event, master_close };
const struct session_class auth_userdb_class = { "auth-userdb", userdb_open, master_feed,
	master_event, master_close };
