/*
 * test_dsn_template - the words of notices out of a file; VERP's senders
 */
#include <string.h>

#include "base/str.h"
#include "queue/queue_message.h"
#include "message/dsn_template.h"
#include "message/verp.h"
#include "conf_util.h"
#include "unit.h"

static const char file[] = "# a comment\n\n"
			   "failure_template = <<EOF\n"
			   "Charset: iso-8859-1\n"
			   "subject: Zur\xfc"
			   "ck\n"
			   "\n"
			   "x\n"
			   "EOF\n"
			   "delay_template=<<Here it is\n"
			   "From: Post (The Post)\n"
			   "Postmaster-Subject:  Late  \n"
			   "\n"
			   "At $myhostname for ${delay_warning_time_hours}h, "
			   "$maximal_queue_lifetime_days days, $$5\\n\n"
			   "  # no comment\n"
			   "EOF\n"
			   "Here it is\n"
			   "success_template = <<X\n"
			   "\n"
			   "$no_such_name\n"
			   "X\n"
			   "verify_template = <<END\n"
			   "Charset: utf-8\n"
			   "\n"
			   "gr\xc3\xbc\xc3\x9f\n"
			   "END\n"
			   "late_template = <<END\n";

static struct dsn_template builtin(void)
{
	return (struct dsn_template){ .charset = "us-ascii",
		.from = "F",
		.subject = "S",
		.postmaster_subject = "P",
		.text = "built in\n" };
}

TEST(dsn_template, parts)
{
	struct arena a = ARENA_INIT;
	struct dsn_template t = builtin();
	const char *error = "";

	conf_util_load("delay_warning_time = 4h\n");
	CHECK_INT(dsn_template_parse(&a, file, "delay_template", &t, &error), 1);
	CHECK_STR(t.from, "Post (The Post)");
	CHECK_STR(t.subject, "S");
	CHECK_STR(t.postmaster_subject, "Late");
	CHECK_STR(t.charset, "us-ascii");
	CHECK_STR(t.text, "At mx.example for 4h, 5 days, $5\\n\n  # no comment\nEOF\n");
	t = builtin();
	CHECK_INT(dsn_template_parse(&a, file, "verify_template", &t, &error), 1);
	CHECK_STR(t.text, "gr\xc3\xbc\xc3\x9f\n");
	arena_free(&a);
}

/* What is wrong leaves the built-in words, and says why. */
TEST(dsn_template, wrong)
{
	static const struct {
		const char *name, *text, *why;
	} rows[] = {
		{ "failure_template", file, "bad template header: subject:" },
		{ "success_template", file, "unknown parameter: $no_such_name" },
		{ "other_template", file, "without an end" },
		{ "failure_template", "failure_template = <<\n\nx\n", "without an end" },
		{ "failure_template", "failure_template = <<EOF\nX: y\n\nx\nEOF\n", "X: y" },
		{ "failure_template", "failure_template = <<EOF\n\n\xe4\nEOF\n", "us-ascii" },
		{ "failure_template", "failure_template = <<EOF\n\n${x\nEOF\n", "" },
	};
	struct arena a = ARENA_INIT;

	conf_util_load("");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dsn_template t = builtin();
		const char *error = "";

		CHECK_ROW(rows[i].why);
		CHECK_INT(dsn_template_parse(&a, rows[i].text, rows[i].name, &t, &error), -1);
		CHECK(strstr(error, rows[i].why) != NULL);
		CHECK_STR(t.text, "built in\n");
		CHECK_STR(t.subject, "S");
	}
	arena_free(&a);
}

TEST(dsn_template, none_of_that_name)
{
	struct arena a = ARENA_INIT;
	struct dsn_template t = builtin();
	const char *error = NULL;

	conf_util_load("");
	CHECK_INT(dsn_template_parse(&a, "", "failure_template", &t, &error), 0);
	CHECK_INT(dsn_template_parse(&a, "a = <<E\nSubject: x\nE\n", "b", &t, &error), 0);
	CHECK_INT(dsn_template_parse(&a, "a = <<E\nSubject: x\nE\n", "a", &t, &error), 1);
	CHECK_STR(t.subject, "x");
	CHECK_STR(t.text, "built in\n");
	arena_free(&a);
}

TEST(verp, senders)
{
	static const struct {
		const char *delimiters, *sender, *recipient, *original, *expected;
	} rows[] = {
		{ "", "list@us.example", "a@b.example", "", "list+a=b.example@us.example" },
		{ "-=", "list@us.example", "a@b.example", "x@y.example",
			"list-x=y.example@us.example" },
		{ "-=", "list@us.example", "local", NULL, "list-local=origin.example@us.example" },
		{ "++", "list", "a@b", "", "list+a+b" },
		{ "", "", "a@b.example", "", "" },
	};
	struct arena a = ARENA_INIT;

	conf_util_load("myorigin = origin.example\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned flags = verp_flags(slice_of(rows[i].delimiters));

		CHECK_ROW(rows[i].expected);
		CHECK(flags != 0);
		CHECK_STR(verp_sender(&a, flags | QUEUE_F_8BIT, rows[i].sender, rows[i].recipient,
				  rows[i].original),
			rows[i].expected);
	}
	CHECK_STR(verp_sender(&a, QUEUE_F_8BIT, "list@us", "a@b", ""), "list@us");
	arena_free(&a);
}

TEST(verp, delimiters)
{
	static const char *const bad[] = { "+", "ab", "+=x", "\xc3\xa4", "+ " };

	conf_util_load("");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_ROW(bad[i]);
		CHECK_INT(verp_flags(slice_of(bad[i])), 0);
	}
	conf_util_load("verp_delimiter_filter = ab\ndefault_verp_delimiters = +=\n");
	CHECK_INT(verp_flags(slice_of("")), 0);
	CHECK_INT(QUEUE_VERP_SECOND(verp_flags(slice_of("ab"))), 'b');
}
