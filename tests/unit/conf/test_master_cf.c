/*
 * test_master_cf - the services of master.cf, and service names
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "unit.h"

/* show - a service as one line */
static void show(const struct master_service *s, struct buf *out)
{
	static const char *const types[] = { "inet", "unix", "fifo", "pass" };

	buf_reset(out);
	buf_addf(out, "%s %s %c%c%c %d%s %d %s", s->name, types[s->type], s->private_ ? 'y' : 'n',
		s->unpriv ? 'y' : 'n', s->chroot ? 'y' : 'n', s->wakeup,
		s->wakeup_if_used ? "?" : "", s->max_procs, s->command);
	for (char **arg = s->argv; *arg != NULL; arg++) {
		buf_addf(out, " [%s]", *arg);
	}
}

static const struct {
	const char *text, *want;
} rows[] = {
	{ "smtp inet n - y - - smtpd\n", "smtp inet nyy 0 100 smtpd" },
	{ "pickup unix n - - 60 1 pickup", "pickup unix nyn 60 1 pickup" },
	{ "qmgr\tfifo\tn\tn\tn\t300?\t0\tqmgr -v\n", "qmgr fifo nnn 300? 0 qmgr [-v]" },
	{ "smtpd pass - - - - 3 smtpd", "smtpd pass yyn 0 3 smtpd" },
	{ "127.0.0.1:10025 inet y n n - - smtpd -o a=b\n  # comment\n\n  -o c=d,e",
		"127.0.0.1:10025 inet nnn 0 100 "
		"smtpd [-o] [a=b] [-o] [c=d,e]" },
	{ "s unix - - - - - smtp -o { a = b c } -o {d=${e?{f}:{g}}} {x}y z={ q r }",
		"s unix yyn 0 100 smtp [-o] [a = b c] [-o] [d=${e?{f}:{g}}] [{x}y] [z={ q r }]" },
	{ "m unix - n n - - pipe\n  flags=R user=v argv=/bin/m -f ${sender} ${recipient}\n",
		"m unix ynn 0 100 pipe [flags=R] [user=v] [argv=/bin/m] [-f] [${sender}] "
		"[${recipient}]" },
	{ "unknown unix - - - - - no-such-daemon", "unknown unix yyn 0 100 no-such-daemon" },
	{ "a inet n - n - - one\na inet n - n - - two\n", "a inet nyn 0 100 two" },
};

TEST(master_cf, rows)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct master_cf cf;
		struct buf line = BUF_INIT;
		char *error = NULL;

		CHECK_ROW(rows[i].text);
		REQUIRE(master_cf_read(unit_file("master.cf", rows[i].text), &cf, &error) == 0);
		REQUIRE(cf.count == 1);
		show(&cf.services[0], &line);
		CHECK_STR(line.data, rows[i].want);
		buf_free(&line);
		master_cf_free(&cf);
	}
}

static const struct {
	const char *text, *want;
} errors[] = {
	{ "# c\nsmtp\n", ", line 2: missing \"type\" field" },
	{ "smtp inet n - n -\n", ", line 1: missing \"maxproc\" field" },
	{ "smtp inet n - n - -\n", ", line 1: missing \"command\" field" },
	{ "smtp tcp n - n - - smtpd\n",
		", line 1: field \"type\": bad value (inet, unix, fifo or pass): \"tcp\"" },
	{ "smtp inet x - n - - smtpd\n",
		", line 1: field \"private\": bad value (y, n or -): \"x\"" },
	{ "smtp inet n - n 5s - smtpd\n", ", line 1: field \"wakeup\": bad value: \"5s\"" },
	{ "smtp inet n - n - -1 smtpd\n", ", line 1: field \"maxproc\": bad value: \"-1\"" },
	{ "a inet n - n - - x\n\nsmtp inet n - n - - smtpd -o { a = b\n",
		", line 3: missing '}' in arguments: \"{ a = b\"" },
};

TEST(master_cf, errors_name_file_and_line)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		const char *path = unit_file("master.cf", errors[i].text);
		struct master_cf cf;
		char *error = NULL;

		CHECK_ROW(errors[i].text);
		CHECK_INT(master_cf_read(path, &cf, &error), -1);
		REQUIRE(error != NULL && str_starts(error, path));
		CHECK_STR(error + strlen(path), errors[i].want);
		CHECK_INT((long long)cf.count, 0);
		mem_free(error);
	}
}

TEST(master_cf, missing_file)
{
	struct master_cf cf;
	char *error = NULL;

	CHECK_INT(master_cf_read("/no/such/master.cf", &cf, &error), -1);
	CHECK_STR(error, "open /no/such/master.cf: No such file or directory");
	mem_free(error);
}

TEST(master_cf, service_ports)
{
	CHECK_INT(service_port("smtp"), 25);
	CHECK_INT(service_port("submission"), 587);
	CHECK_INT(service_port("submissions"), 465);
	CHECK_INT(service_port("smtps"), 465);
	CHECK_INT(service_port("IMAPS"), 993);
	CHECK_INT(service_port("lmtp"), 24);
	CHECK_INT(service_port("sieve"), 4190);
	CHECK_INT(service_port("10025"), 10025);
	CHECK_INT(service_port("0"), 0);
	CHECK_INT(service_port("65536"), 0);
	CHECK_INT(service_port("no-such-service"), 0);
}
