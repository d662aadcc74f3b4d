/*
 * test_pipe_argv - what becomes of a pipe service's command line
 */
#include "base/buf.h"
#include "base/str.h"
#include "applets/deliver/pipe/pipe_spec.h"
#include "conf_util.h"
#include "unit.h"

static const struct pipe_recipient two[] = {
	{ "Jane+News@Example.COM", "Alias@Example.COM" },
	{ "bob@x.example", "bob@x.example" },
};
static const struct pipe_recipient spaces[] = { { "\"a b\"@x.example", "\"a b\"@x.example" } };
static const struct pipe_recipient folder[] = { { "+lists@x.example", "+lists@x.example" } };
static const struct pipe_recipient nobody[] = { { "@x.example", "@x.example" } };
static const struct pipe_recipient dollar[] = { { "$sender`id`@x.example", "q;r@x.example" } };

static const struct {
	const char *name;
	const char *words[4];
	unsigned flags;
	const char *sender;
	const struct pipe_recipient *rcpts;
	size_t count;
	const char *want; /* words with '|' between */
} rows[] = {
	{ "the same for all", { "x", "-f", "${sender}" }, 0, "me@Here", two, 2, "x|-f|me@Here" },
	{ "a word each", { "x", "$recipient" }, 0, "", two, 2,
		"x|Jane+News@Example.COM|bob@x.example" },
	{ "forms", { "x", "$(user)$$${user}", "a$user-b" }, 0, "", two, 2,
		"x|Jane$Jane|bob$bob|aJane-b|abob-b" },
	{ "parts", { "x", "${user}/${extension}/${mailbox}/${domain}" }, 0, "", two, 2,
		"x|Jane/News/Jane+News/Example.COM|bob//bob/x.example" },
	{ "folded", { "x", "${recipient} ${original_recipient}", "${domain}" },
		PIPE_FOLD_HOST | PIPE_FOLD_USER, "", two, 2,
		"x|jane+news@example.com alias@example.com|bob@x.example bob@x.example|"
		"example.com|x.example" },
	{ "host folded", { "x", "${recipient}", "${nexthop}" }, PIPE_FOLD_HOST, "", two, 1,
		"x|Jane+News@example.com|next.example" },
	{ "quoted", { "x", "${recipient}", "${mailbox}" }, PIPE_QUOTE, "", spaces, 1,
		"x|\"a b\"@x.example|a b" },
	{ "not quoted", { "x", "${recipient}" }, 0, "", spaces, 1, "x|a b@x.example" },
	{ "null sender", { "x", "${sender}" }, 0, "", two, 1, "x|MAILER-DAEMON" },
	{ "empty user", { "x", "-u${user}", "-d${domain}" }, 0, "", nobody, 1, "x|-dx.example" },
	{ "no user but an extension", { "x", "-u${user}", "-f${extension}" }, 0, "", folder, 1,
		"x|-u+lists|-f" },
	{ "not expanded twice", { "x", "${recipient}", "${original_recipient}" }, 0, "s", dollar, 1,
		"x|$sender`id`@x.example|q;r@x.example" },
	{ "numbers", { "x", "${size} ${queue_id} ${client_port}." }, 0, "", two, 1,
		"x|1234 4ABC ." },
	{ "conditions", { "x", "${extension?{-m}:{-n}}" }, 0, "", two, 2, "x|-m|-n" },
};

static void join(struct buf *out, char **argv)
{
	for (size_t i = 0; argv != NULL && argv[i] != NULL; i++) {
		buf_addf(out, "%s%s", i > 0 ? "|" : "", argv[i]);
	}
}

TEST(pipe_argv, expands)
{
	struct arena a = ARENA_INIT;

	conf_util_load("recipient_delimiter = +\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct pipe_spec s = { .argv = (char *const *)rows[i].words,
			.flags = rows[i].flags,
			.null_sender = "MAILER-DAEMON" };
		const struct pipe_values v = { "svc", rows[i].sender, "Next.Example", "4ABC", "",
			"", "", "", "", "", "", "", "", 1234, rows[i].rcpts, rows[i].count };
		struct buf got = BUF_INIT;

		CHECK_ROW(rows[i].name);
		join(&got, pipe_argv(&a, &s, &v));
		CHECK_STR(buf_str(&got), rows[i].want);
		buf_free(&got);
	}
	arena_free(&a);
}

TEST(pipe_argv, nothing_to_execute)
{
	static const char *const words[] = { "${user}", NULL };
	const struct pipe_spec s = { .argv = (char *const *)words, .null_sender = "" };
	const struct pipe_values v = { "svc", "", "", "", "", "", "", "", "", "", "", "", "", 0,
		nobody, 1 };
	struct arena a = ARENA_INIT;

	conf_util_load("recipient_delimiter = +\n");
	CHECK(pipe_argv(&a, &s, &v) == NULL);
	arena_free(&a);
}

TEST(pipe_argv, unknown_names)
{
	static const char *const good[] = { "a", "$$x ${user}", NULL };
	static const char *const bad[] = { "a", "$user $colour", NULL };
	static const char *const open[] = { "a", "${user", NULL };
	struct arena a = ARENA_INIT;

	CHECK(pipe_argv_unknown(&a, (char *const *)good) == NULL);
	CHECK_STR(pipe_argv_unknown(&a, (char *const *)bad), "colour");
	CHECK(pipe_argv_unknown(&a, (char *const *)open) != NULL);
	arena_free(&a);
}
