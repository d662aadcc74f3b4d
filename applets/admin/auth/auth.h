#ifndef APPLETS_ADMIN_AUTH_AUTH_H
#define APPLETS_ADMIN_AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "net/session.h"
#include "applets/admin/auth/hasher.h"
#include "applets/admin/auth/user_db.h"

/* The two protocols as sessions (client_side.c, master_side.c), and what they share. */

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
	struct master *userdb_sessions; /* master_side.c */
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
void auth_grant_free(struct auth_grant *g);

#endif
