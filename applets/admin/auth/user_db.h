#ifndef APPLETS_ADMIN_AUTH_USER_DB_H
#define APPLETS_ADMIN_AUTH_USER_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"

/* The passdb and userdb sections of dovecot.conf. */

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
/* Only root may read what it is in. */
bool db_needs_root(const struct auth_db *db);
/* Strings of out live in a, or until the next look-up. In this process, whatever was started. */
enum db_result db_lookup_here(
	struct auth_db *db, const char *user, struct arena *a, struct db_user *out);

/* Who else looks up in it (reader.c). */
struct reader;
struct db_place {
	struct reader *reader; /* NULL: nobody */
	size_t number;         /* as the reader knows it */
};
struct db_place *db_place(struct auth_db *db);

/* The login name as auth_username_format and the others make it; NULL: not allowed (*why_r). Owned
 * by a. */
const char *auth_normalise(struct arena *a, const char *user, const char **why_r);

/* ---- reader.c ---- */

/* Root is about to be given up: from now on a child looks up in what only root may read. */
void db_start_reader(struct auth_db *passdbs, struct auth_db *userdbs);
/* db_lookup_here(), by the child where there is one. */
enum db_result db_lookup(
	struct auth_db *db, const char *user, struct arena *a, struct db_user *out);

#endif
