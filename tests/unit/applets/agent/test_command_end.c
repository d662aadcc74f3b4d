/*
 * test_command_end - exit statuses, signals and output of commands, as delivery status
 */
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "applets/deliver/command/command_impl.h"
#include "unit.h"

enum { EXIT = 256 }; /* times the exit status is wait(2)'s; a signal is itself */

static const struct {
	int status;
	enum command_cut cut;
	const char *output;
	enum delivery_status means;
	const char *dsn, *text;
} rows[] = {
	{ 0, COMMAND_WHOLE, "", DELIVERY_SENT, "2.0.0", "" },
	{ 0, COMMAND_WHOLE, "5.1.1 not looked at", DELIVERY_SENT, "2.0.0", "" },
	{ 64 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.3.0", "command line usage error" },
	{ 65 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.6.0", "data format error" },
	{ 66 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.3.0", "cannot open input" },
	{ 67 * EXIT, COMMAND_WHOLE, "who?\n", DELIVERY_BOUNCED, "5.1.1",
		"user unknown. Command output: who?" },
	{ 68 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.1.2", "host name unknown" },
	{ 69 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.3.0", "service unavailable" },
	{ 70 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.3.0", "internal software error" },
	{ 71 * EXIT, COMMAND_WHOLE, "", DELIVERY_DEFERRED, "4.3.0", "system resource problem" },
	{ 72 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.3.0", "critical OS file missing" },
	{ 73 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.2.0",
		"can't create user output file" },
	{ 74 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.3.0", "input/output error" },
	{ 75 * EXIT, COMMAND_WHOLE, "", DELIVERY_DEFERRED, "4.3.0", "temporary failure" },
	{ 76 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.5.0", "remote error in protocol" },
	{ 77 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.7.0", "permission denied" },
	{ 78 * EXIT, COMMAND_WHOLE, "", DELIVERY_BOUNCED, "5.3.5", "local configuration error" },
	{ 1 * EXIT, COMMAND_WHOLE, "a\tb\r\nc \n", DELIVERY_BOUNCED, "5.3.0",
		"Command died with status 1: \"/bin/x\". Command output: a b  c" },
	{ 1 * EXIT, COMMAND_WHOLE, "4.2.2 over quota\n", DELIVERY_DEFERRED, "4.2.2", "over quota" },
	{ 75 * EXIT, COMMAND_WHOLE, "5.7.1  no", DELIVERY_BOUNCED, "5.7.1", "no" },
	{ 1 * EXIT, COMMAND_WHOLE, "5.7.1", DELIVERY_BOUNCED, "5.3.0",
		"Command died with status 1: \"/bin/x\". Command output: 5.7.1" },
	{ 1 * EXIT, COMMAND_WHOLE, "2.0.0 no success", DELIVERY_BOUNCED, "5.3.0",
		"Command died with status 1: \"/bin/x\". Command output: 2.0.0 no success" },
	{ 9, COMMAND_WHOLE, "", DELIVERY_DEFERRED, "4.3.0",
		"Command died with signal 9: \"/bin/x\"" },
	{ 9, COMMAND_TIMED_OUT, "busy", DELIVERY_BOUNCED, "5.3.0",
		"Command time limit exceeded: \"/bin/x\". Command output: busy" },
	{ 9, COMMAND_UNREADABLE, "busy", DELIVERY_DEFERRED, "4.3.0",
		"cannot read the message from the queue" },
};

TEST(command_end, matrix)
{
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf output = BUF_INIT;
		struct command_end end;

		CHECK_ROW(rows[i].text[0] != '\0' ? rows[i].text : rows[i].output);
		buf_adds(&output, rows[i].output);
		command_outcome(&a, "/bin/x", rows[i].status, rows[i].cut, &output, &end);
		CHECK_INT(end.status, rows[i].means);
		CHECK_STR(end.dsn, rows[i].dsn);
		CHECK_STR(end.text, rows[i].text);
		buf_free(&output);
	}
	arena_free(&a);
}

TEST(command_end, keys)
{
	CHECK(command_key(0, "a") != command_key(0, "b"));
	CHECK(command_key(command_key(0, "a"), "bc") != command_key(command_key(0, "ab"), "c"));
	CHECK(command_key(0, "a") == command_key(0, "a"));
}
