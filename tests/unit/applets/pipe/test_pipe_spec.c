/*
 * test_pipe_spec - attributes of pipe services, as master.cf files have them
 */
#include "base/str.h"
#include "applets/deliver/pipe/pipe_spec.h"
#include "unit.h"

static bool parse(
	struct arena *a, const char *const *words, struct pipe_spec *s, const char **error)
{
	return pipe_spec_parse(a, (char *const *)words, s, error);
}

TEST(pipe_spec, rows_of_debian)
{
	static const char *const maildrop[] = { "flags=DRXhu", "user=vmail",
		"argv=/usr/bin/maildrop", "-d", "${recipient}", NULL };
	static const char *const uucp[] = { "flags=Fqhu", "user=uucp", "argv=uux", "-r", "-n", "-z",
		"-a$sender", "-", "$nexthop!rmail", "($recipient)", NULL };
	static const char *const bsmtp[] = { "flags=Fq.", "user=bsmtp", "argv=/usr/lib/bsmtp/bsmtp",
		"-t$nexthop", "-f$sender", "$recipient", NULL };
	static const char *const scalemail[] = { "flags=R", "user=scalemail",
		"argv=/usr/lib/scalemail/bin/scalemail-store", "${nexthop}", "${user}",
		"${extension}", NULL };
	static const char *const mailman[] = { "flags=FRX", "user=list",
		"argv=/usr/lib/mailman/bin/postfix-to-mailman.py", "${nexthop}", "${user}", NULL };
	static const struct {
		const char *const *words;
		unsigned flags;
		const char *user, *command;
	} rows[] = {
		{ maildrop,
			PIPE_DELIVERED | PIPE_RETURN | PIPE_FINAL | PIPE_FOLD_HOST | PIPE_FOLD_USER,
			"vmail", "/usr/bin/maildrop" },
		{ uucp, PIPE_FROM | PIPE_QUOTE | PIPE_FOLD_HOST | PIPE_FOLD_USER, "uucp", "uux" },
		{ bsmtp, PIPE_FROM | PIPE_QUOTE | PIPE_DOT, "bsmtp", "/usr/lib/bsmtp/bsmtp" },
		{ scalemail, PIPE_RETURN, "scalemail", "/usr/lib/scalemail/bin/scalemail-store" },
		{ mailman, PIPE_FROM | PIPE_RETURN | PIPE_FINAL, "list",
			"/usr/lib/mailman/bin/postfix-to-mailman.py" },
	};
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *error;
		struct pipe_spec s;

		CHECK_ROW(rows[i].user);
		REQUIRE(parse(&a, rows[i].words, &s, &error));
		CHECK_INT(s.flags, rows[i].flags);
		CHECK_STR(s.user, rows[i].user);
		CHECK(s.group == NULL);
		CHECK_STR(s.argv[0], rows[i].command);
		CHECK_STR(s.argv[1], rows[i].words[3]);
		CHECK_STR(s.eol, "\n");
		CHECK_STR(s.null_sender, "MAILER-DAEMON");
		CHECK(pipe_argv_unknown(&a, s.argv) == NULL);
	}
	arena_free(&a);
}

TEST(pipe_spec, attributes)
{
	static const char *const words[] = { "user=nobody:mail", "directory=/tmp", "chroot=/srv",
		"size=1000", "eol=\\r\\n\\101\\\\x", "null_sender=", "flags=>", "argv=", "a b",
		"argv=2", NULL };
	struct arena a = ARENA_INIT;
	const char *error;
	struct pipe_spec s;

	REQUIRE(parse(&a, words, &s, &error));
	CHECK_STR(s.user, "nobody");
	CHECK_STR(s.group, "mail");
	CHECK_STR(s.directory, "/tmp");
	CHECK_STR(s.chroot, "/srv");
	CHECK_INT(s.size, 1000);
	CHECK_STR(s.eol, "\r\nA\\x");
	CHECK_STR(s.null_sender, "");
	CHECK_INT(s.flags, PIPE_FROM_LINE);
	CHECK_STR(s.argv[0], "a b");
	CHECK_STR(s.argv[1], "argv=2");
	CHECK(s.argv[2] == NULL);
	arena_free(&a);
}

TEST(pipe_spec, mistakes)
{
	static const char *const no_user[] = { "argv=/bin/true", NULL };
	static const char *const no_argv[] = { "user=x", NULL };
	static const char *const empty_argv[] = { "user=x", "argv=", NULL };
	static const char *const size[] = { "user=x", "size=1k", "argv=y", NULL };
	static const char *const name[] = { "user=x", "colour=red", "argv=y", NULL };
	static const struct {
		const char *const *words;
		const char *error;
	} rows[] = {
		{ no_user, "missing user= command-line attribute" },
		{ no_argv, "missing argv= command-line attribute" },
		{ empty_argv, "missing argv= command-line attribute" },
		{ size, "bad size= value: 1k" },
		{ name, "unknown attribute name: colour=red" },
	};
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *error = NULL;
		struct pipe_spec s;

		CHECK_ROW(rows[i].error);
		CHECK(!parse(&a, rows[i].words, &s, &error));
		CHECK_STR(error, rows[i].error);
	}
	arena_free(&a);
}
