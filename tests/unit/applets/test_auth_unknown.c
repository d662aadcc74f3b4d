/*
 * test_auth_unknown - a name that no database knows costs what a known one costs
 */
#include <stdio.h>
#include <string.h>

#include "conf/dovecot/dovecot_conf.h"
#include "applets/admin/auth/auth.h"
#include "applets/admin/auth/penalty.h"
#include "unit.h"

/* openssl passwd -6 -salt saltsalt secret */
static const char SHA512_OF_SECRET[] =
	"$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H"
	"91p5hVO1";

static void no_resume(struct session_io *io)
{
	(void)io;
}

/* ask - one AUTH PLAIN line; what was answered at once */
static void ask(struct session_io *io, void *session, int id, const char *response, struct buf *out)
{
	struct buf in = BUF_INIT;

	buf_addf(&in, "AUTH\t%d\tPLAIN\tservice=smtp\tnologin\tresp=%s\n", id, response);
	(void)auth_client_class.feed(session, &in, out);
	loop_turn(io->loop, 0);
	loop_turn(io->loop, 0);
	(void)auth_client_class.feed(session, &in, out);
	buf_free(&in);
}

TEST(auth, who_is_not_there_costs_what_others_cost)
{
	char users[300], conf[600], path[200], *error = NULL;
	struct auth_state state = { .loop = loop_new() };
	struct session_io io = { .loop = state.loop, .resume = no_resume };
	struct buf out = BUF_INIT;
	void *session;
	FILE *file;

	snprintf(path, sizeof(path), "%s/users", unit_tmpdir());
	snprintf(users, sizeof(users), "known:{SHA512-CRYPT}%s:1000:1000\n", SHA512_OF_SECRET);
	file = fopen(path, "w");
	REQUIRE(file != NULL);
	fputs(users, file);
	fclose(file);
	snprintf(conf, sizeof(conf),
		"auth_failure_delay = 0\npassdb {\n  driver = passwd-file\n  args = %s\n}\n", path);
	snprintf(path, sizeof(path), "%s/conf", unit_tmpdir());
	file = fopen(path, "w");
	REQUIRE(file != NULL);
	fputs(conf, file);
	fclose(file);
	REQUIRE(dovecot_conf_load(path, true, &error) == 0);
	state.penalties = penalties_new();
	state.passdbs = db_load(false);
	state.hasher = hasher_new(state.loop, 0); /* costly checks wait for ever */
	session = auth_client_class.open(&io, &state, &out);
	buf_reset(&out);
	ask(&io, session, 1, "AGtub3duAHNlY3JldA==", &out); /* known, secret */
	CHECK_STR(buf_str(&out), "");
	ask(&io, session, 2, "AG5vYm9keQBzZWNyZXQ=", &out); /* nobody, secret */
	CHECK_STR(buf_str(&out), "");
	auth_client_class.close(session);
	hasher_free(state.hasher);
	penalties_free(state.penalties);
	db_free(state.passdbs);
	loop_free(state.loop);
	buf_free(&out);
}
