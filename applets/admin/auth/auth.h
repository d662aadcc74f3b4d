#ifndef APPLETS_ADMIN_AUTH_AUTH_H
#define APPLETS_ADMIN_AUTH_AUTH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/loop.h"
#include "conf/dovecot/dovecot_conf.h"
#include "net/session.h"
#include "ipc/auth_protocol.h"

/* Private to applets/admin/auth. */

/* ---- scheme.c: stored passwords ---- */

enum scheme_result { SCHEME_MATCH, SCHEME_MISMATCH, SCHEME_ERROR };

/* Does checking it take milliseconds or more (a job for another process)? */
bool scheme_is_costly(const char *stored, const char *default_scheme);
/* stored: "{SCHEME}hash" or "hash" of default_scheme. SCHEME_ERROR: *error_r says why (static
 * text). */
enum scheme_result scheme_check(
	const char *stored, const char *default_scheme, const char *password, const char **error_r);
/* The password itself or the SCRAM keys, for mechanisms that need them; NULL: it is stored
 * otherwise. */
const char *scheme_plain(const char *stored, const char *default_scheme);
const char *scheme_scram(const char *stored, const char *default_scheme, const char *scheme);

/* ---- hasher.c: costly checks in forked children ---- */

struct hasher;
struct hash_job;

struct hasher *hasher_new(struct loop *loop, int max_children);
void hasher_free(struct hasher *h);
/* fn is called at once for cheap schemes (then NULL is returned), later otherwise. Strings are
 * copied. */
struct hash_job *hasher_check(struct hasher *h, const char *stored, const char *default_scheme,
	const char *password, void (*fn)(void *arg, enum scheme_result result, const char *error),
	void *arg);
void hasher_cancel(struct hash_job *job);

/* ---- db.c: passdb and userdb sections ---- */

enum db_result { DB_FOUND, DB_NOT_FOUND, DB_ERROR };

struct db_user {
	const char *name;     /* as the database writes it */
	const char *password; /* stored; NULL: none, nobody gets in */
	const char *scheme;   /* of a password without {SCHEME} */
	const char *disabled; /* why this account may not log in; NULL: it may */
	bool no_password;     /* any password is right */
	bool has_ids;
	uid_t uid;
	gid_t gid;
	const char *home, *mail; /* "" not said */
};

struct auth_db;

/* The passdb (userdb) sections in their order; what the system has when there is none. Warns of
 * what cannot be had. */
struct auth_db *db_load(bool userdb);
void db_free(struct auth_db *list);
struct auth_db *db_next(const struct auth_db *db);
const char *db_name(const struct auth_db *db);
bool db_denies(const struct auth_db *db); /* deny = yes: who is found may not log in */
/* Strings of out live in a, or until the next look-up. */
enum db_result db_lookup(
	struct auth_db *db, const char *user, struct arena *a, struct db_user *out);
/* Root is about to be given up: from now on a child looks up in what only root may read. */
void db_start_reader(struct auth_db *passdbs, struct auth_db *userdbs);
/* The same look-up, in this process whatever was started. */
enum db_result db_lookup_here(
	struct auth_db *db, const char *user, struct arena *a, struct db_user *out);

/* ---- passwd_file.c ---- */

struct passwd_file;

struct passwd_file *passwd_file_open(
	const char *path); /* read at the first look-up, again when it changes */
void passwd_file_close(struct passwd_file *f);
enum db_result passwd_file_lookup(
	struct passwd_file *f, const char *user, struct arena *a, struct db_user *out);

/* ---- client.c, master.c: the two protocols as sessions ---- */

/* Somebody who proved who he is, and whom a login process hands over (REQUEST). */
struct auth_grant {
	struct auth_grant *next;
	unsigned long client_pid, request;
	char cookie[33];
	char *user, *service;
	int64_t until; /* loop milliseconds */
};

struct penalties;
struct master;

struct auth_state {
	struct loop *loop;
	struct auth_db *passdbs, *userdbs;
	bool root; /* started as root: mail belongs to different users */
	struct hasher *hasher;
	struct penalties *penalties;    /* penalty.h */
	struct master *userdb_sessions; /* master.c */
	struct auth_grant *grants;
	size_t grant_count;
	bool retiring; /* a successor serves: connections end when they are idle */
	unsigned long connections;
	char sample[256], sample_scheme[32]; /* a hash that was seen: what unknown users are checked
						against */
};

extern const struct session_class auth_client_class, auth_master_class, auth_userdb_class,
	auth_lookup_class, auth_supervisor_class;

/* For server_each(): a session ends if nothing is open on it and auth_state.retiring is set. */
void auth_client_retire(void *session, void *arg);
void auth_master_retire(void *session, void *arg);
/* Grants that nobody asked for in time go. */
void auth_grant_expire(struct auth_state *st);

void auth_grant_add(struct auth_state *st, unsigned long client_pid, unsigned long request,
	const char *cookie, const char *user, const char *service);
/* Taken out of the list; the caller frees with auth_grant_free(). NULL: no such grant. */
struct auth_grant *auth_grant_take(
	struct auth_state *st, unsigned long client_pid, unsigned long request, const char *cookie);
void auth_grant_free(struct auth_grant *g);
/* The login name as auth_username_format and the others make it; NULL: not allowed (*why_r). Owned
 * by a. */
const char *auth_normalise(struct arena *a, const char *user, const char **why_r);

#endif
