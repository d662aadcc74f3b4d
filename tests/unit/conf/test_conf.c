/*
 * test_conf - main.cf: the rows of params.def, the parser, expansion, conversion
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/lines.h"
#include "conf/macro.h"
#include "conf/param_table.h"
#include "conf/params.h"
#include "unit.h"

/* write_file - text of len bytes as name in the test's directory; the directory */
static const char *write_file(const char *name, const char *text, size_t len)
{
	const char *dir = unit_tmpdir();
	char path[512];
	FILE *fp;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fp = fopen(path, "w");
	REQUIRE(fp != NULL);
	REQUIRE(fwrite(text, 1, len, fp) == len);
	fclose(fp);
	return dir;
}

static const char *write_main(const char *text)
{
	return write_file("main.cf", text, strlen(text));
}

TEST(conf, rows_are_sorted)
{
	for (size_t n = 1; n < param_count(); n++) {
		bool section = (param_row(n)->type == PARAM_TYPE_OTHER) !=
			(param_row(n - 1)->type == PARAM_TYPE_OTHER);

		CHECK_ROW(param_name(n));
		CHECK(section || strcmp(param_name(n - 1), param_name(n)) < 0);
	}
	for (size_t n = 0; n < param_count(); n++) {
		CHECK_INT(param_find(param_name(n)), (long long)n);
	}
	CHECK_INT(param_find("no_such_name"), -1);
	CHECK_INT(param_find(""), -1);
}

TEST(conf, defaults_convert)
{
	char *error = NULL;

	/* Bad defaults would be warned of, and end as the minimum. */
	REQUIRE(conf_load(write_main(""), false, &error) == 0);
	CHECK_INT(param.message_size_limit, 10240000);
	CHECK_INT(param.maximal_queue_lifetime, 5 * 86400);
	CHECK_INT(param.smtpd_timeout, 300);
	CHECK_INT(param.smtpd_hard_error_limit, 20);
	CHECK_INT(param.delay_warning_time, 0);
	CHECK_INT(param.append_dot_mydomain, 1);
	CHECK_STR(param.relay_domains, param.mydestination);
	CHECK_STR(param.forward_path,
		"$home/.forward${recipient_delimiter}${extension}, $home/.forward");
	CHECK_STR(param.syslog_name, "postfix");
	for (size_t n = 0; n < param_count(); n++) {
		const struct param_row *row = param_row(n);

		CHECK_ROW(param_name(n));
		if (row->type == PARAM_TYPE_INT || row->type == PARAM_TYPE_TIME) {
			CHECK(*(int64_t *)((char *)&param + row->field) >= row->min);
		}
	}
}

TEST(conf, compatibility_levels)
{
	char *error = NULL;

	REQUIRE(conf_load(write_main("compatibility_level = 3.6\n"), false, &error) == 0);
	CHECK_INT(param.append_dot_mydomain, 0);
	CHECK_INT(param.smtputf8_enable, 1);
	CHECK_STR(param.relay_domains, "");
	CHECK_STR(param.mynetworks_style, "host");
	CHECK_STR(param.smtpd_relay_restrictions,
		"permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination");
}

struct expand_row {
	const char *text, *want; /* want NULL: an error */
};

static const char *const values[][2] = {
	{ "e", "E" },
	{ "f", "" },
	{ "g", "$e$f" },
	{ "h", "$f" },
	{ "loop", "x$loop" },
	{ "d", "$$e" },
};

static const char *lookup(void *arg, const char *name)
{
	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		if (strcmp(values[i][0], name) == 0) {
			return values[i][1];
		}
	}
	return NULL;
}

/* What Postfix 3.7 makes of each, as `postconf -x` shows it. */
static const struct expand_row expand_rows[] = {
	{ "", "" },
	{ "plain", "plain" },
	{ "$e", "E" },
	{ "${e}", "E" },
	{ "$(e)", "E" },
	{ "$g", "E" },
	{ "[$$$$b$$]", "[$$b$]" },
	{ "$d", "$e" },
	{ "[$e-c $e.x $e_x]", "[E-c E.x ]" },
	{ "[${ e }]", "[E]" },
	{ "${e?x}${f?y}${unknown?z}", "x" },
	{ "${e:x}${f:y}${unknown:z}", "yz" },
	{ "${e?}", "" },
	{ "${e?{x}:{y}}${f?{x}:{y}}", "xy" },
	{ "${e ? {x} : {y}}", "x" },
	{ "[${e ?{ x }}]", "[ x ]" },
	{ "[${e? x }]", "[ x ]" },
	{ "${h?set}${h:unset}", "set" },
	{ "${e?x:y}", "x:y" },
	{ "${f:x:y}", "x:y" },
	{ "${e?$e}", "E" },
	{ "${e?{${f:{q}}}}", "q" },
	{ "${e?{x{y}z}}", "x{y}z" },
	{ "$(e?{x}:{y})", "x" },
	{ "}{", "}{" },
	{ "$e)", "E)" },
	{ "${{a} == {a} ? {T} : {F}}", "T" },
	{ "${{ a } == {a} ? {T} : {F}}", "F" },
	{ "${{a}!={b}:{T}}", "" },
	{ "${{2}<{10}?{T}:{F}}${{2a}<{10}?{T}:{F}}", "TF" },
	{ "${{007}=={7}?T}", "T" },
	{ "${{$e}=={E}?{T}}", "T" },
	{ "${{5}<={5}?a}${{5}>={6}:b}${{6}>{5}?c}", "abc" },
	{ "${{a}=={a}}", "true" },
	{ "${{a}=={b}}", "" },
	{ "${{99999999999999999999999}>{2}?T}", "T" },
	{ "${{3.10} >level {3.9} ? {T} : {F}}${{3.6} <=level {3.6.0} ? {T} : {F}}", "TT" },
	{ "${{3} ==level {3.0} ? {T}:{F}}${{2} <level {3.1} ? {T}:{F}}", "TT" },
	{ "$%b", NULL },
	{ "$", NULL },
	{ "${}", NULL },
	{ "${b", NULL },
	{ "$(e", NULL },
	{ "${e-c}", NULL },
	{ "${a b}", NULL },
	{ "${e?{x}:{y}z}", NULL },
	{ "${e:{y}?{z}}", NULL },
	{ "${{x}?{y}:{z}}", NULL },
	{ "${{x} <level {3.9} ? {T}}", NULL },
	{ "${e?{x}", NULL },
	{ "$loop", NULL },
	{ "${{a} == {b", NULL },
	{ "${{a} == }", NULL },
	{ "${{a} == {b} x}", NULL },
	{ "${e?{x}:y}", NULL },
};

TEST(conf, expansion)
{
	struct expand e = { .lookup = lookup, .recursive = true };

	for (size_t i = 0; i < ARRAY_LEN(expand_rows); i++) {
		struct buf out = BUF_INIT;
		char *error = NULL;
		int rc = expand_text(&e, &out, expand_rows[i].text, &error);

		CHECK_ROW(expand_rows[i].text);
		CHECK_STR(rc == 0 ? buf_str(&out) : NULL, expand_rows[i].want);
		CHECK((rc == 0) == (error == NULL));
		mem_free(error);
		buf_free(&out);
	}
}

TEST(conf, expansion_filter)
{
	struct expand e = { .lookup = lookup, .filter = "abc", .keep_unknown = true };
	struct buf out = BUF_INIT;
	char *error = NULL;

	CHECK_INT(expand_text(&e, &out, "$e;$g;$unknown;${unknown}", &error), 0);
	CHECK_STR(buf_str(&out), "_;____;$unknown;${unknown}");
	buf_free(&out);
}

TEST(conf, expansion_bombs)
{
	struct buf text = BUF_INIT;
	char *error = NULL;

	buf_adds(&text, "myorigin = $a0\n");
	for (int i = 0; i < 60; i++) {
		buf_addf(&text, "a%d = $a%d$a%d\n", i, i + 1, i + 1);
	}
	CHECK_INT(conf_load(write_main(text.data), false, &error), -1);
	CHECK(error != NULL &&
		strstr(error, "line 1: parameter myorigin: too many macros") != NULL);
	mem_free(error);
	error = NULL;
	buf_reset(&text);
	buf_adds(&text, "myorigin = $a0\na30 = ");
	for (int i = 0; i < 100000; i++) {
		buf_addc(&text, 'x');
	}
	for (int i = 0; i < 30; i++) {
		buf_addf(&text, "\na%d = $a%d$a%d", i, i + 1, i + 1);
	}
	CHECK_INT(conf_load(write_main(text.data), false, &error), -1);
	CHECK(error != NULL && strstr(error, "grows without bound") != NULL);
	mem_free(error);
	buf_free(&text);
}

/* name = value pairs main.cf gives, or the error. */
static const struct main_row {
	const char *text, *name, *want;
} main_rows[] = {
	{ "a=b", "a", "b" },
	{ "a = b\n", "a", "b" },
	{ "a =\tb  \n", "a", "b" },
	{ "a = b\r\n", "a", "b" },
	{ "a =\n", "a", "" },
	{ "a = b = c\n", "a", "b = c" },
	{ "# a = x\n  # a = y\na = b # c\n", "a", "b # c" },
	{ "a = b,\n  c\n", "a", "b,  c" },
	{ "a = b\n# x\n\n   # y\n\tc\n", "a", "b\tc" },
	{ "a\n = b\n", "a", "b" },
	{ "a = b\\\n c\n", "a", "b\\ c" },
	{ "a = 1\na = 2\n", "a", "2" },
	{ "\xef\xbb\xbf"
	  "a = b\n",
		"a", "b" },
	{ "a = $c\nc = $myhostname\nmyhostname = h.x\n", "a", "h.x" },
	{ " x = y\na = b", "a", "b" },
	{ "my-dest.x/y = z\n", "my-dest.x/y", "z" },
	{ "myhostname = a.b.c\n", "mydomain", "b.c" },
	{ "mydomain = x.y\nmyhostname = a.b.c\n", "mydomain", "x.y" },
	{ "x = y\n", "none", NULL },
	{ "x = y\n", "foo_destination_recipient_limit", "50" },
	{ "inet_interfaces = $mynetworks\n", "mynetworks", "" },
};

TEST(conf, main_cf)
{
	for (size_t i = 0; i < ARRAY_LEN(main_rows); i++) {
		struct arena a = ARENA_INIT;
		char *error = NULL;

		CHECK_ROW(main_rows[i].text);
		CHECK_INT(conf_load(write_main(main_rows[i].text), false, &error), 0);
		CHECK_STR(conf_value(&a, main_rows[i].name), main_rows[i].want);
		arena_free(&a);
	}
}

static const struct {
	const char *text;
	size_t len;
	const char *want;
} error_rows[] = {
	{ "a = b\n\nfoo bar\n", 15, "line 3: missing '=' after attribute name: \"foo bar\"" },
	{ "= b\n", 4, "line 1: missing attribute name: \"= b\"" },
	{ "two words = x\n", 14, "line 1: missing '=' after attribute name: \"two words = x\"" },
	{ "a = b\n# c\nb = x\0y\n", 18, "line 3: NUL byte in the line: \"b = x\"" },
	{ "x = y\nmyorigin = $myorigin\n", 27,
		"line 2: parameter myorigin: unreasonable macro call nesting: \"myorigin\"" },
	{ "x = y\nmyorigin = ${x\n", 21,
		"line 2: parameter myorigin: truncated macro reference: \"${x\"" },
	{ "message_size_limit = $\n", 23,
		"line 1: parameter message_size_limit: empty macro name: \"$\"" },
	{ "myorigin = /no/such/file\n", 25,
		"line 1: parameter myorigin: open /no/such/file: No such file or directory" },
};

TEST(conf, main_cf_errors)
{
	for (size_t i = 0; i < ARRAY_LEN(error_rows); i++) {
		char *error = NULL;
		const char *dir = write_file("main.cf", error_rows[i].text, error_rows[i].len);

		CHECK_ROW(error_rows[i].want);
		CHECK_INT(conf_load(dir, false, &error), -1);
		REQUIRE(error != NULL);
		CHECK(str_starts(error, dir));
		CHECK_STR(error + strlen(dir) + strlen("/main.cf, "), error_rows[i].want);
		mem_free(error);
	}
}

TEST(conf, files_that_cannot_be_read)
{
	struct buf path = BUF_INIT;
	char *error = NULL;

	buf_addf(&path, "%s/none", unit_tmpdir());
	CHECK_INT(conf_load(path.data, false, &error), -1);
	CHECK(error != NULL && str_ends(error, "/none/main.cf: No such file or directory"));
	mem_free(error);
	error = NULL;
	CHECK_INT(conf_load(path.data, true, &error), 0);
	CHECK(error == NULL);
	buf_free(&path);
}

TEST(conf, a_bad_file_changes_nothing)
{
	char *error = NULL;

	REQUIRE(conf_load(write_main("myhostname = one.example\n"), false, &error) == 0);
	CHECK_INT(conf_load(write_main("myhostname = two.example\nnonsense\n"), false, &error), -1);
	mem_free(error);
	CHECK_STR(param.myhostname, "one.example");
	CHECK_STR(conf_raw("myhostname"), "one.example");
	CHECK_INT(conf_line("myhostname"), 1);
}

TEST(conf, bad_values_give_way_to_defaults)
{
	char *error = NULL;

	REQUIRE(conf_load(
			write_main(
				"soft_bounce = maybe\nmessage_size_limit = -1\nsmtpd_timeout = 5x\n"
				"smtpd_recipient_limit = 0\nhopcount_limit = "
				"99999999999999999999\nreject_code = 700\n"
				"queue_run_delay = 0\nbounce_queue_lifetime = "
				"2\ndelay_warning_time = 3\n"),
			false, &error) == 0);
	CHECK_INT(param.soft_bounce, 0);
	CHECK_INT(param.message_size_limit, 10240000);
	CHECK_INT(param.smtpd_timeout, 300);
	CHECK_INT(param.smtpd_recipient_limit, 1000);
	CHECK_INT(param.hopcount_limit, 50);
	CHECK_INT(param.reject_code, 554);
	CHECK_INT(param.queue_run_delay, 300);
	CHECK_INT(param.bounce_queue_lifetime, 2 * 86400);
	CHECK_INT(param.delay_warning_time, 3 * 3600);
}

TEST(conf, overrides)
{
	struct arena a = ARENA_INIT;
	char *error = NULL;

	CHECK(!conf_override("no equals sign"));
	CHECK(!conf_override(""));
	CHECK(conf_override("myorigin=$own"));
	CHECK(conf_override("{ own = a b }"));
	CHECK(conf_override("soft_bounce=yes"));
	REQUIRE(conf_load(write_main("myorigin = file\nsoft_bounce = no\n"), false, &error) == 0);
	CHECK_STR(param.myorigin, "a b");
	CHECK_INT(param.soft_bounce, 1);
	REQUIRE(conf_load(write_main("own = other\n"), false, &error) == 0);
	CHECK_STR(param.myorigin, "a b");
	CHECK_STR(conf_value(&a, "myorigin"), "a b");
	arena_free(&a);
}

TEST(conf, long_lines)
{
	struct buf text = BUF_INIT;
	char *error = NULL;

	buf_adds(&text, "myorigin = ");
	while (text.len < LINES_MAX) {
		buf_adds(&text, "x");
	}
	CHECK_INT(conf_load(write_main(text.data), false, &error), 0);
	CHECK_INT((long long)strlen(param.myorigin), LINES_MAX - 11);
	buf_adds(&text, "x");
	CHECK_INT(conf_load(write_main(text.data), false, &error), -1);
	CHECK(error != NULL && strstr(error, "line 1: line too long") != NULL);
	mem_free(error);
	buf_free(&text);
}
