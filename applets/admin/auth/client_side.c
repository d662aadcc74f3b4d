/*
 * client_side - the auth protocol as smtpd and the login processes speak it
 *
 *	S: VERSION 1 2, MECH ..., SPID, CUID, COOKIE, DONE
 *	C: VERSION 1 1, CPID pid
 *	C: AUTH id mech service=smtp [secured] [nologin] rip=.. lip=.. [resp=base64]
 *	S: CONT id base64	C: CONT id base64
 *	S: OK id user=name	or FAIL id user=name [reason=..] [temp]
 *
 * A request walks through the passdbs: the first that knows the user and whose
 * password matches decides. A failure is answered after auth_failure_delay, by a
 * timer of its own; guesses on and on from one address wait before they are looked at (penalty.c).
 * Unknown users cost what known ones cost: their password is checked against the last hash seen.
 *
 * Dovecot: doc/auth-protocol.txt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "proto/sasl.h"
#include "ipc/auth_protocol.h"
#include "applets/admin/auth/auth.h"
#include "applets/admin/auth/penalty.h"
#include "applets/admin/auth/scheme.h"

enum { REQUESTS_MAX = 1000 };

struct client {
	struct session_io *io;
	struct auth_state *state;
	struct buf replies;
	struct request *requests;
	size_t request_count;
	unsigned long pid;
	char cookie[33];
};

struct request {
	struct request *next;
	struct client *client;
	unsigned long id;
	struct arena arena;
	struct sasl_server sasl;
	const char *service, *rip;
	bool no_login;
	const char *user;     /* normalised */
	struct auth_db *db;   /* being asked */
	struct auth_db *said; /* the one that `why` is about */
	bool known, trouble;  /* some database knows the user; some could not be asked */
	bool held;            /* penalty_enter() counts it */
	bool no_penalty;      /* from a network that is trusted */
	struct hash_job *job;
	struct timer delay;
	const char *why; /* for the log */
	bool temp;
};

/* ---- Requests ---- */

/* decide - the guess is over, however it went; the first word counts */
static void decide(struct request *r, enum penalty_outcome outcome)
{
	struct auth_state *st = r->client->state;

	if (r->held) {
		r->held = false;
		penalty_leave(st->penalties, r->rip, r->user, loop_now(st->loop), outcome);
	}
}

static void free_request(struct request *r)
{
	struct request **link = &r->client->requests;

	while (*link != NULL && *link != r) {
		link = &(*link)->next;
	}
	if (*link == r) {
		*link = r->next;
		r->client->request_count--;
	}
	decide(r, PENALTY_UNDECIDED);
	hasher_cancel(r->job);
	loop_untimer(r->client->state->loop, &r->delay);
	sasl_server_free(&r->sasl);
	arena_free(&r->arena);
	mem_free(r);
}

static struct request *find_request(struct client *c, unsigned long id)
{
	for (struct request *r = c->requests; r != NULL; r = r->next) {
		if (r->id == id) {
			return r;
		}
	}
	return NULL;
}

static void push(struct client *c)
{
	c->io->resume(c->io);
}

static void send_fail(struct timer *t)
{
	struct request *r = t->owner;
	struct client *c = r->client;

	auth_put(&c->replies, "FAIL");
	auth_put_number(&c->replies, r->id);
	if (r->user != NULL && r->user[0] != '\0') {
		auth_put_pair(&c->replies, "user", r->user);
	}
	if (r->temp) {
		auth_put_field(&c->replies, "temp");
	}
	auth_end(&c->replies);
	free_request(r);
	push(c);
}

/* refuse - no, after a while; trouble of our own is said at once */
static void refuse(struct request *r, const char *why, bool temp)
{
	int64_t delay = temp ? 0 : setting.auth_failure_delay * 1000;

	decide(r, temp ? PENALTY_UNDECIDED : PENALTY_FAILED);
	r->temp = temp;
	if (setting.auth_verbose || temp) {
		log_info("auth: %s: %s(%s,%s): %s", temp ? "Error" : "Info",
			r->said != NULL         ? db_name(r->said)
				: r->db != NULL ? db_name(r->db)
						: "passdb",
			r->user != NULL && r->user[0] != '\0' ? r->user
				: r->sasl.user != NULL        ? r->sasl.user
							      : "",
			r->rip, why);
	}
	loop_timer(r->client->state->loop, &r->delay, delay < 60000 ? delay : 60000, send_fail, r);
}

static void accept_user(struct request *r, const char *name)
{
	struct client *c = r->client;

	decide(r, PENALTY_SUCCEEDED);
	auth_put(&c->replies, "OK");
	auth_put_number(&c->replies, r->id);
	auth_put_pair(&c->replies, "user", name);
	auth_end(&c->replies);
	if (!r->no_login) {
		auth_grant_add(c->state, c->pid, r->id, c->cookie, name, r->service);
	}
	free_request(r);
	push(c);
}

/* ---- Passwords ---- */

static void try_next(struct request *r, struct auth_db *db);

/* because - what the log will say, if no other database decides */
static void because(struct request *r, const char *why)
{
	r->why = why;
	r->said = r->db;
}

static void remember_hash(struct auth_state *st, const struct db_user *u)
{
	if (scheme_is_costly(u->password, u->scheme) && strlen(u->password) < sizeof(st->sample) &&
		(u->password[0] == '$' || u->password[0] == '{')) {
		(void)str_copy(st->sample, sizeof(st->sample), u->password);
		(void)str_copy(st->sample_scheme, sizeof(st->sample_scheme), u->scheme);
	}
}

static void on_dummy(void *arg, enum scheme_result result, const char *error)
{
	struct request *r = arg;

	(void)result;
	(void)error;
	r->job = NULL;
	refuse(r, "unknown user", false);
}

/* no_match - every database was asked */
static void no_match(struct request *r)
{
	struct auth_state *st = r->client->state;

	if (r->trouble) {
		refuse(r, r->why, true);
	} else if (r->known || st->sample[0] == '\0') {
		refuse(r, r->known ? r->why : "unknown user", false);
	} else {
		struct hash_job *job = hasher_check(
			st->hasher, st->sample, st->sample_scheme, r->sasl.password, on_dummy, r);

		if (job != NULL) {
			r->job = job;
		}
	}
}

static void on_checked(void *arg, enum scheme_result result, const char *error)
{
	struct request *r = arg;

	r->job = NULL;
	switch (result) {
	case SCHEME_MATCH:
		accept_user(r, r->user);
		return;
	case SCHEME_MISMATCH:
		because(r, "Password mismatch");
		break;
	case SCHEME_ERROR:
		r->trouble = true;
		because(r, error);
		break;
	}
	try_next(r, db_next(r->db));
}

static void check_found(struct request *r, const struct db_user *u)
{
	struct hash_job *job;

	r->known = true;
	if (db_denies(r->db) || u->disabled != NULL) {
		refuse(r, u->disabled != NULL ? u->disabled : "denied by a passdb with deny = yes",
			false);
		return;
	}
	if (u->no_password) {
		accept_user(r, r->user);
		return;
	}
	if (u->password == NULL) {
		if (r->said == NULL) {
			because(r, "no password is stored");
		}
		try_next(r, db_next(r->db));
		return;
	}
	remember_hash(r->client->state, u);
	job = hasher_check(
		r->client->state->hasher, u->password, u->scheme, r->sasl.password, on_checked, r);
	if (job != NULL) {
		r->job = job; /* otherwise on_checked() has run, and r may be gone */
	}
}

static void try_next(struct request *r, struct auth_db *db)
{
	struct db_user u;

	for (; db != NULL; db = db_next(db)) {
		r->db = db;
		switch (db_lookup(db, r->user, &r->arena, &u)) {
		case DB_FOUND:
			check_found(r, &u);
			return;
		case DB_NOT_FOUND:
			break;
		case DB_ERROR:
			r->trouble = true;
			because(r, "the database cannot be read");
			break;
		}
	}
	no_match(r);
}

/* find_secret - what the databases know for CRAM-MD5 and SCRAM; false: no such user */
static bool find_secret(struct request *r, struct sasl_secret *out)
{
	struct db_user u;

	memset(out, 0, sizeof(*out));
	for (struct auth_db *db = r->client->state->passdbs; db != NULL; db = db_next(db)) {
		r->db = db;
		if (db_lookup(db, r->user, &r->arena, &u) != DB_FOUND) {
			continue;
		}
		if (db_denies(db) || u.disabled != NULL) {
			return false;
		}
		if (u.password != NULL) {
			out->plain = scheme_plain(u.password, u.scheme);
			out->scram = scheme_scram(
				u.password, u.scheme, sasl_mech_info(r->sasl.mech)->name);
			return true;
		}
	}
	return false;
}

/* ---- Steps of an exchange ---- */

static void go_on(struct request *r, enum sasl_result result);

static bool set_user(struct request *r)
{
	const char *why;

	r->user = auth_normalise(&r->arena, r->sasl.user, &why);
	if (r->user != NULL && r->sasl.authzid != NULL && r->sasl.authzid[0] != '\0') {
		const char *as = auth_normalise(&r->arena, r->sasl.authzid, &why);

		if (as == NULL || strcmp(as, r->user) != 0) {
			refuse(r, "acting as another user is not allowed", false);
			return false;
		}
	}
	if (r->user == NULL) {
		refuse(r, why, false);
		return false;
	}
	return true;
}

static void look_up_password(struct timer *t)
{
	struct request *r = t->owner;

	try_next(r, r->client->state->passdbs);
}

static void look_up_secret(struct timer *t)
{
	struct request *r = t->owner;
	struct sasl_secret secret;
	bool known = find_secret(r, &secret);

	go_on(r, sasl_server_secret(&r->sasl, known ? &secret : NULL));
}

/* turn_away - unseen, and no faster than others are refused; lines would only fill the log */
static void turn_away(struct request *r)
{
	int64_t delay = setting.auth_failure_delay * 1000;

	r->temp = true;
	log_debug(1, "auth: %s: too many guesses from this address wait already", r->rip);
	loop_timer(r->client->state->loop, &r->delay, delay < 60000 ? delay : 60000, send_fail, r);
}

/* hold - look_up runs when the address that the guess comes from may make another one */
static void hold(struct request *r, void (*look_up)(struct timer *t))
{
	struct auth_state *st = r->client->state;
	int wait = r->no_penalty
		? 0
		: penalty_enter(st->penalties, r->rip, r->user, loop_now(st->loop));

	r->held = !r->no_penalty && wait != PENALTY_REFUSED;
	if (wait == PENALTY_REFUSED) {
		turn_away(r);
	} else if (wait > 0) {
		loop_timer(st->loop, &r->delay, wait, look_up, r);
	} else {
		r->delay.owner = r;
		look_up(&r->delay);
	}
}

static void send_challenge(struct request *r)
{
	struct client *c = r->client;

	auth_put(&c->replies, "CONT");
	auth_put_number(&c->replies, r->id);
	buf_addc(&c->replies, '\t');
	base64_encode(&c->replies, buf_head(&r->sasl.challenge), buf_unread(&r->sasl.challenge));
	auth_end(&c->replies);
	push(c);
}

static void go_on(struct request *r, enum sasl_result result)
{
	switch (result) {
	case SASL_CHALLENGE:
		send_challenge(r);
		break;
	case SASL_PASSWORD:
		if (set_user(r)) {
			hold(r, look_up_password);
		}
		break;
	case SASL_SECRET:
		if (set_user(r)) {
			hold(r, look_up_secret);
		}
		break;
	case SASL_OK:
		accept_user(r, r->user);
		break;
	case SASL_FAIL:
		refuse(r, r->sasl.error != NULL ? r->sasl.error : "authentication failed", false);
		break;
	}
}

static bool mech_offered(const char *name)
{
	return list_has(setting.auth_mechanisms, name);
}

/* cmd_auth - AUTH id mech parameters; false: the client does not speak the protocol */
static bool cmd_auth(struct client *c, const struct auth_line *line)
{
	const char *resp = auth_line_get(line, 3, "resp"), *text;
	struct buf raw = BUF_INIT;
	struct slice initial;
	struct request *r;
	enum sasl_mech mech;
	int64_t id;
	bool known;

	if (!str_to_int(auth_line_at(line, 1), 0, UINT32_MAX, &id) ||
		find_request(c, (unsigned long)id) != NULL || c->request_count >= REQUESTS_MAX) {
		return false;
	}
	r = mem_alloc(sizeof(*r));
	r->client = c;
	r->id = (unsigned long)id;
	r->next = c->requests;
	c->requests = r;
	c->request_count++;
	text = auth_line_get(line, 3, "service");
	r->service = arena_strdup(&r->arena, text != NULL ? text : "");
	text = auth_line_get(line, 3, "rip");
	r->rip = arena_strdup(&r->arena, text != NULL ? text : "");
	r->no_penalty = auth_line_get(line, 3, "no-penalty") != NULL;
	r->no_login = auth_line_get(line, 3, "nologin") != NULL;
	r->why = "authentication failed";
	known = sasl_mech_find(auth_line_at(line, 2), &mech) && mech_offered(auth_line_at(line, 2));
	if (!known) {
		refuse(r, "unsupported mechanism", false);
		return true;
	}
	if (resp != NULL && !base64_decode(&raw, resp, strlen(resp))) {
		refuse(r, "invalid base64 data in the initial response", false);
	} else {
		initial = (struct slice){ buf_head(&raw), raw.len };
		go_on(r,
			sasl_server_start(
				&r->sasl, mech, "localhost", resp != NULL ? &initial : NULL));
	}
	forget(raw.data, raw.cap);
	buf_free(&raw);
	return true;
}

static bool cmd_cont(struct client *c, const struct auth_line *line)
{
	struct buf raw = BUF_INIT;
	struct request *r;
	int64_t id;

	if (!str_to_int(auth_line_at(line, 1), 0, UINT32_MAX, &id)) {
		return false;
	}
	r = find_request(c, (unsigned long)id);
	if (r == NULL || r->job != NULL || r->delay.slot != 0) {
		return true; /* answered in the meantime */
	}
	if (!base64_decode(&raw, auth_line_at(line, 2), strlen(auth_line_at(line, 2)))) {
		refuse(r, "invalid base64 data in continued response", false);
	} else {
		go_on(r, sasl_server_step(&r->sasl, (struct slice){ buf_head(&raw), raw.len }));
	}
	forget(raw.data, raw.cap);
	buf_free(&raw);
	return true;
}

static bool cmd_cancel(struct client *c, const struct auth_line *line)
{
	struct request *r;
	int64_t id;

	if (!str_to_int(auth_line_at(line, 1), 0, UINT32_MAX, &id)) {
		return false;
	}
	r = find_request(c, (unsigned long)id);
	if (r != NULL) {
		free_request(r);
	}
	return true;
}

static bool cmd_cpid(struct client *c, const struct auth_line *line)
{
	int64_t pid;

	if (!str_to_int(auth_line_at(line, 1), 1, INT32_MAX, &pid)) {
		return false;
	}
	c->pid = (unsigned long)pid;
	return true;
}

static bool cmd_version(struct client *c, const struct auth_line *line)
{
	(void)c;
	return strcmp(auth_line_at(line, 1), "1") == 0;
}

static const struct {
	const char *name;
	bool (*fn)(struct client *c, const struct auth_line *line);
} commands[] = {
	{ "AUTH", cmd_auth },
	{ "CANCEL", cmd_cancel },
	{ "CONT", cmd_cont },
	{ "CPID", cmd_cpid },
	{ "VERSION", cmd_version },
};

/* ---- The session ---- */

static void greet(struct client *c, struct buf *out)
{
	struct slice rest = slice_of(setting.auth_mechanisms), word;
	unsigned char noise[16];
	struct buf hex = BUF_INIT;
	enum sasl_mech mech;
	char name[32];

	buf_addf(out, "VERSION\t%d\t%d\n", AUTH_PROTO_MAJOR, AUTH_PROTO_MINOR);
	while ((word = slice_word(&rest, " \t")).ptr != NULL) {
		unsigned flags;

		if (word.len >= sizeof(name)) {
			continue;
		}
		memcpy(name, word.ptr, word.len);
		name[word.len] = '\0';
		if (!sasl_mech_find(name, &mech)) {
			continue;
		}
		flags = sasl_mech_info(mech)->flags;
		buf_addf(out, "MECH\t%s%s%s%s%s\n", sasl_mech_info(mech)->name,
			flags & SASL_F_PLAINTEXT ? "\tplaintext" : "",
			flags & SASL_F_DICTIONARY ? "\tdictionary" : "",
			flags & SASL_F_ACTIVE ? "\tactive" : "",
			flags & SASL_F_MUTUAL ? "\tmutual-auth" : "");
	}
	random_bytes(noise, sizeof(noise));
	hex_encode(&hex, noise, sizeof(noise));
	(void)str_copy(c->cookie, sizeof(c->cookie), buf_str(&hex));
	buf_free(&hex);
	buf_addf(out, "SPID\t%ld\nCUID\t%lu\nCOOKIE\t%s\nDONE\n", (long)getpid(),
		++c->state->connections, c->cookie);
}

static void *client_open(struct session_io *io, void *service, struct buf *out)
{
	struct client *c = mem_alloc(sizeof(*c));

	c->io = io;
	c->state = service;
	io->timeout = 0;
	greet(c, out);
	return c;
}

static bool run_line(struct client *c, char *text, size_t len)
{
	struct auth_line line;

	if (!auth_line_parse(&line, text, len)) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, line.field[0]) == 0) {
			return commands[i].fn(c, &line);
		}
	}
	return true; /* a later minor version: ignored */
}

static enum session_want client_feed(void *session, struct buf *in, struct buf *out)
{
	struct client *c = session;
	char *start = in->data + in->pos, *end;

	buf_add(out, buf_head(&c->replies), buf_unread(&c->replies));
	buf_reset(&c->replies);
	end = buf_unread(in) > 0 ? memchr(start, '\n', buf_unread(in)) : NULL;
	if (end == NULL) {
		buf_shrink(&c->replies, 0);
		return c->state->retiring && c->requests == NULL ? SESSION_CLOSE : SESSION_READ;
	}
	if (!run_line(c, start, (size_t)(end - start))) {
		log_warn("auth: a client broke the protocol and is disconnected");
		return SESSION_CLOSE;
	}
	buf_consume(in, (size_t)(end - start) + 1);
	buf_add(out, buf_head(&c->replies), buf_unread(&c->replies));
	buf_reset(&c->replies);
	return SESSION_READ;
}

void auth_client_retire(void *session, void *arg)
{
	(void)arg;
	push(session);
}

static enum session_want client_event(void *session, enum session_event event, struct buf *out)
{
	(void)session;
	(void)out;
	return event == SESSION_EV_DRAINED ? SESSION_READ : SESSION_CLOSE;
}

static void client_close(void *session)
{
	struct client *c = session;

	while (c->requests != NULL) {
		free_request(c->requests);
	}
	buf_free(&c->replies);
	mem_free(c);
}

const struct session_class auth_client_class = { "auth", client_open, client_feed, client_event,
	client_close };
