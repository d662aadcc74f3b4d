/*
 * fuzz_auth - the authentication server: both protocols over a passwd-file, SASL exchanges and
 * stored passwords, by the first byte
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/passwd.h"
#include "conf/dovecot/dovecot_conf.h"
#include "proto/sasl.h"
#include "applets/admin/auth/auth.h"
#include "applets/admin/auth/penalty.h"
#include "fuzz.h"

/* configure - the users are in the file "users", whose hashes may be of any scheme */
static void configure(void)
{
	char text[600], *error = NULL;

	snprintf(text, sizeof(text),
		"disable_plaintext_auth = no\nauth_failure_delay = 0\n"
		"auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256\n"
		"passdb {\n  driver = passwd-file\n  args = scheme=PLAIN username_format=%%n "
		"%s\n}\n"
		"userdb {\n  driver = passwd-file\n  args = %s\n}\n",
		fuzz_path("users"), fuzz_path("users"));
	REQUIRE(dovecot_conf_load(fuzz_file(text, strlen(text)), true, &error) == 0);
}

/* sessions - the users, "%%", what a client says, "%%", what the supervisor says */
static void sessions(struct slice rest, bool first)
{
	struct auth_state state = { .loop = loop_new() };
	struct slice users = fuzz_part(&rest), said = fuzz_part(&rest);

	fuzz_put("users", users.ptr, users.len);
	state.penalties = penalties_new();
	state.passdbs = db_load(false);
	state.userdbs = db_load(true);
	state.hasher = hasher_new(state.loop, 0); /* costly hashes wait, and are forgotten */
	fuzz_session(&auth_client_class, &state, said.ptr, said.len);
	loop_turn(state.loop, 0);
	fuzz_session(first ? &auth_master_class : &auth_userdb_class, &state, rest.ptr, rest.len);
	while (state.grants != NULL) {
		struct auth_grant *g = state.grants;

		state.grants = g->next;
		auth_grant_free(g);
	}
	hasher_free(state.hasher);
	penalties_free(state.penalties);
	db_free(state.passdbs);
	db_free(state.userdbs);
	loop_free(state.loop);
}

/* cheap - a hash that says itself how often it is to be computed would take as long as it likes */
static bool cheap(const char *stored)
{
	size_t digits = 0;

	for (; *stored != '\0'; stored++) {
		digits = isdigit((unsigned char)*stored) ? digits + 1 : 0;
		if (digits > 3) {
			return false;
		}
	}
	return true;
}

/* scheme - "stored NEWLINE password" */
static void scheme(struct slice rest)
{
	char *text = mem_strndup(rest.ptr, rest.len), *password = strchr(text, '\n');
	const char *error = NULL;

	if (password != NULL) {
		*password++ = '\0';
	} else {
		password = text;
	}
	if (!scheme_is_costly(text, "PLAIN") || (strncmp(text, "{CRYPT}", 7) != 0 && cheap(text))) {
		REQUIRE(scheme_check(text, "PLAIN", password, &error) != SCHEME_ERROR ||
			error[0] != '\0');
	}
	(void)scheme_plain(text, "SHA256");
	(void)scheme_scram(text, "PLAIN", "SCRAM-SHA-1");
	mem_free(text);
}

/* sasl - a mechanism, then its answers, a line each; the password is "pencil" */
static void sasl(struct slice rest)
{
	static const struct sasl_secret secret = { .plain = "pencil" };
	struct sasl_server s;
	struct slice line;
	enum sasl_result r;

	if (rest.len == 0) {
		return;
	}
	memset(&s, 0, sizeof(s));
	r = sasl_server_start(
		&s, (enum sasl_mech)((unsigned char)rest.ptr[0] % SASL_MECHS), "mx.example", NULL);
	rest = (struct slice){ rest.ptr + 1, rest.len - 1 };
	for (int steps = 0; steps < 10; steps++) {
		if (r == SASL_SECRET) {
			r = sasl_server_secret(&s, rest.len % 3 != 0 ? &secret : NULL);
		} else if (r == SASL_CHALLENGE) {
			line = slice_word(&rest, "\n");
			r = sasl_server_step(&s, line.ptr != NULL ? line : SLICE_LIT(""));
		} else {
			break;
		}
	}
	REQUIRE(r != SASL_FAIL || (s.error != NULL && s.error[0] != '\0'));
	REQUIRE(r != SASL_PASSWORD || (s.user != NULL && s.password != NULL));
	sasl_server_free(&s);
}

/* passwd - a passwd(5) file, asked for its names */
static void passwd(struct slice rest)
{
	struct passwd_table t = { 0 };
	const char *line, *path = fuzz_file(rest.ptr, rest.len);
	char name[32] = "";

	memcpy(name, rest.ptr, rest.len < sizeof(name) - 1 ? rest.len : sizeof(name) - 1);
	name[strcspn(name, ":\n")] = '\0';
	REQUIRE(passwd_table_find(&t, path, name, &line) >= 0);
	REQUIRE(passwd_table_find(&t, "/nonexistent", name, &line) < 0);
}

void fuzz(const char *data, size_t len)
{
	static bool configured;
	struct slice rest = { data + 1, len - 1 };

	if (!configured) {
		configure();
	}
	configured = true;
	if (len == 0) {
		return;
	}
	switch ((unsigned char)data[0] % 5) {
	case 0:
	case 1:
		sessions(rest, (unsigned char)data[0] % 5 == 0);
		break;
	case 2:
		scheme(rest);
		break;
	case 3:
		sasl(rest);
		break;
	default:
		passwd(rest);
		break;
	}
}
