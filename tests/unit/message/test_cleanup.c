/*
 * test_cleanup - headers of new messages: dropped, added, completed; all cuts of the input
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "conf/params.h"
#include "message/cleanup.h"
#include "message/cleanup_header.h"
#include "unit.h"

/* configure - main.cf of this test, the rest as by default */
static void configure(const char *more)
{
	char path[4096], *error = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "%s/main.cf", unit_tmpdir());
	f = fopen(path, "w");
	REQUIRE(f != NULL);
	fprintf(f,
		"compatibility_level = 3.6\nmyhostname = mx.example\nmydomain = example\n"
		"myorigin = origin.example\nappend_dot_mydomain = yes\n%s",
		more);
	fclose(f);
	if (conf_load(unit_tmpdir(), false, &error) != 0) {
		printf("%s\n", error);
		unit_abort();
	}
}

static int put(void *arg, const void *data, size_t len)
{
	buf_add(arg, data, len);
	return 0;
}

/* run - a message through the filter in pieces */
static enum cleanup_status run(
	const char *in, size_t len, size_t piece, unsigned flags, struct buf *out)
{
	const struct cleanup_config config = {
		.flags = flags,
		.queue_id = "ABC",
		.sender = "s@d.example",
		.full_name = "",
		.arrival = 0,
		.put = put,
		.arg = out,
	};
	struct cleanup *c = cleanup_begin(&config, NULL);
	enum cleanup_status status;

	for (size_t at = 0; at < len; at += piece) {
		(void)cleanup_write(c, in + at, len - at < piece ? len - at : piece);
	}
	status = cleanup_end(c);
	cleanup_free(c);
	return status;
}

#define MADE                                            \
	"Message-Id: <19700101000000.ABC@mx.example>\n" \
	"Date: Thu, 01 Jan 1970 00:00:00 +0000 (UTC)\nFrom: s@d.example\n"

static const struct row {
	const char *in, *out;
	unsigned flags;
} rows[] = {
	/* a stranger's mail passes as it is */
	{ "From: a\nTo: b\n\nbody\n", "From: a\nTo: b\n\nbody\n", 0 },
	{ "", "", 0 },
	{ "\n", "\n", 0 },
	{ "A: b\n", "A: b\n", 0 },
	{ "A: b", "A: b\n", 0 },
	{ "\nbody", "\nbody", 0 },
	{ "A: b\n c\n\td\n\nx", "A: b\n c\n\td\n\nx", 0 },
	{ "A : b\n\nx\n", "A : b\n\nx\n", 0 },
	/* our own: no blanks before the colon */
	{ "A : b\n c : d\nFrom \t: e\n\nA : x\n", "A: b\n c : d\nFrom: e\n\nA : x\n",
		CLEANUP_SUBMIT },
	/* headers that do not travel */
	{ "Bcc: x\n y\nA: b\nreturn-path: <x>\nContent-Length: 5\nResent-Bcc: z\n\nq\n",
		"A: b\n\nq\n", 0 },
	{ "Bcc: x\n", "", 0 },
	/* no headers at all */
	{ "just text\n", "\njust text\n", 0 },
	{ "just text", "\njust text\n", 0 },
	{ " indented\n", "\n indented\n", 0 },
	{ "A: b\nno header\nC: d\n", "A: b\nno header\nC: d\n", 0 },
	{ "A: b\nno header\nC: d\n", "A: b\n\nno header\nC: d\n", CLEANUP_SUBMIT },
	{ ": empty name\n", "\n: empty name\n", 0 },
	{ "A b: c\n", "\nA b: c\n", 0 },
	/* mbox separators */
	{ "From me Thu Jan  1 00:00:00 1970\nA: b\n\nx\n",
		"X-Mailbox-Line: From me Thu Jan  1 00:00:00 1970\nA: b\n\nx\n", 0 },
	{ "From me\n>>From you\nA: b\n\nFrom x\n",
		"X-Mailbox-Line: From me\nX-Mailbox-Line: >>From you\nA: b\n\nFrom x\n", 0 },
	{ ">From me\nA: b\n\n", "A: b\n\n", CLEANUP_SUBMIT },
	{ "From me\n>From you\nA: b\n\n", "A: b\n\n", CLEANUP_SUBMIT },
	{ "From: a\nFrom b\n", "From: a\n\nFrom b\n", CLEANUP_SUBMIT },
	/* stray CRs */
	{ "A: b\rc\n\nx\ry\r\n", "A: b c\n\nx y \n", 0 },
	/* our own: what is missing, before the blank line */
	{ "A: b\n\nx\n", "A: b\n" MADE "\nx\n", CLEANUP_LOCAL },
	{ "", MADE, CLEANUP_LOCAL },
	{ "text\n", MADE "\ntext\n", CLEANUP_LOCAL },
	{ "From: x@y.z\nDate: today\nMessage-ID: <1@2>\n\n",
		"From: x@y.z\nDate: today\nMessage-ID: <1@2>\n\n", CLEANUP_LOCAL },
	{ "Resent-To: x@y.z\nFrom: a@b.c\n\n",
		"Resent-To: x@y.z\nFrom: a@b.c\nResent-Message-Id:"
		" <19700101000000.ABC@mx.example>\nResent-Date: Thu, 01 Jan 1970"
		" 00:00:00 +0000 (UTC)\nResent-From: s@d.example\n\n",
		CLEANUP_LOCAL },
	/* notices of our own are not touched */
	{ "Bcc: x\nTo : y\n\nz\n", "Bcc: x\nTo : y\n\nz\n", CLEANUP_RAW | CLEANUP_LOCAL },
	{ "To: y\nno header\n", "To: y\nno header\n", CLEANUP_RAW },
};

TEST(cleanup, messages)
{
	configure("");
	setenv("TZ", "UTC0", 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].in);

		for (size_t piece = 1; piece <= len + 1; piece++) {
			struct buf out = BUF_INIT;

			CHECK_ROW(rows[i].in);
			CHECK_INT(run(rows[i].in, len, piece, rows[i].flags, &out), CLEANUP_OK);
			CHECK_STR(buf_str(&out), rows[i].out);
			buf_free(&out);
		}
	}
}

TEST(cleanup, parameters)
{
	struct buf out = BUF_INIT;
	const char *in = "To: a\nX: \r\n\n\r\n";

	configure("message_drop_headers = x\ncleanup_replace_stray_cr_lf = no\n"
		  "always_add_missing_headers = yes\n"
		  "remote_header_rewrite_domain = remote.example\n");
	setenv("TZ", "UTC0", 1);
	CHECK_INT(run(in, strlen(in), 3, 0, &out), CLEANUP_OK);
	CHECK_STR(buf_str(&out), "To: a@remote.example\n" MADE "\n\r\n");
	buf_free(&out);
	configure("remote_header_rewrite_domain = remote.example\n");
	CHECK_INT(run("To: a\n\n", 7, 3, 0, &out), CLEANUP_OK);
	CHECK_STR(buf_str(&out), "To: a@remote.example\n" MADE "\n");
	buf_free(&out);
}

TEST(cleanup, hops)
{
	struct buf out = BUF_INIT;
	const char *in = "Received: a\nreceived: b\nRECEIVED : c\n\nReceived: in the body\n";

	configure("hopcount_limit = 4\n");
	CHECK_INT(run(in, strlen(in), 7, 0, &out), CLEANUP_OK);
	buf_free(&out);
	configure("hopcount_limit = 3\n");
	CHECK_INT(run(in, strlen(in), 7, 0, &out), CLEANUP_HOPS);
	buf_free(&out);
}

/* A header that is longer than what may be held passes unchanged, whatever it is. */
TEST(cleanup, long_headers)
{
	static const char *const heads[] = { "To: a,\n ",
		"Bcc: ", "X: ", "A: b\nBcc: ", "A: b\nX: y\n " };

	configure("header_size_limit = 100\n");
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		for (size_t piece = 1; piece < 300; piece += 7) {
			struct buf in = BUF_INIT, out = BUF_INIT;

			CHECK_ROW(heads[i]);
			buf_adds(&in, heads[i]);
			for (int n = 0; n < 60; n++) {
				buf_addf(&in, n % 10 == 9 ? ",\n user%d" : ", user%d", n);
			}
			buf_adds(&in, "\nEnd: yes\n\nbody\n");
			CHECK_INT(run(in.data, in.len, piece, 0, &out), CLEANUP_OK);
			CHECK_MEM(out.data, out.len, in.data, in.len);
			buf_free(&in);
			buf_free(&out);
		}
	}
}

TEST(cleanup, long_text_without_headers)
{
	struct buf in = BUF_INIT, out = BUF_INIT;

	configure("header_size_limit = 100\n");
	for (int n = 0; n < 300; n++) {
		buf_addc(&in, 'x');
	}
	CHECK_INT(run(in.data, in.len, 33, 0, &out), CLEANUP_OK);
	CHECK_INT(out.len, 301);
	CHECK(out.data[0] == '\n' && out.data[1] == 'x');
	buf_free(&in);
	buf_free(&out);
}

static int put_nothing(void *arg, const void *data, size_t len)
{
	(void)arg, (void)data, (void)len;
	return -1;
}

TEST(cleanup, no_room)
{
	const struct cleanup_config config = {
		.queue_id = "A", .sender = "", .full_name = "", .put = put_nothing
	};
	struct cleanup *c;

	configure("");
	c = cleanup_begin(&config, "Received: x\n");
	CHECK_INT(cleanup_write(c, "A: b\n\nc", 7), CLEANUP_WRITE);
	CHECK_INT(cleanup_end(c), CLEANUP_WRITE);
	cleanup_free(c);
}

TEST(cleanup, completion)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{ "To: user\n", "To: user@origin.example\n" },
		{ "To: user@host\n", "To: user@host.example\n" },
		{ "To: user@a.b\n", NULL },
		{ "To:user\n", "To:user@origin.example\n" },
		{ "To: a, b@c.d,\n e\n", "To: a@origin.example, b@c.d,\n e@origin.example\n" },
		{ "To: A B <c>, \"D, E\" <f> (g, h), i (j)\n",
			"To: A B <c@origin.example>, \"D, E\" <f@origin.example> (g, h),"
			" i@origin.example (j)\n" },
		{ "To: list: a, B <b>;\n", "To: list: a@origin.example, B <b@origin.example>;\n" },
		{ "To: undisclosed-recipients:;\n", NULL },
		{ "To: \"a b\"\n", "To: \"a b\"@origin.example\n" },
		{ "To: \"a\\\"b\"@x.y, c\n", "To: \"a\\\"b\"@x.y, c@origin.example\n" },
		{ "To: user@[1.2.3.4]\n", NULL },
		{ "To: two words\n", NULL },
		{ "To: <@a.b:user@c.d>\n", "To: <user@c.d>\n" },
		{ "To: x <@a.b,@c.d:user>, <@a.b:e@f.g>, <@h>, z\n",
			"To: x <user@origin.example>, <e@f.g>, <@h>, z@origin.example\n" },
		{ "To: <@a.b:\n", NULL },
		{ "To: <@a.b:>, e\n", "To: <@a.b:>, e@origin.example\n" },
		{ "To: user@a.b., user@host.\n", "To: user@a.b, user@host\n" },
		{ "To: <>\n", NULL },
		{ "To: <user\n", NULL },
		{ "To: (only a comment\n", NULL },
		{ "To: ,,;,a,,\n", "To: ,,;,a@origin.example,,\n" },
		{ "To:\n user\n", "To:\n user@origin.example\n" },
		{ "To: a!b\n", "To: b@a.example\n" },
		{ "To: a%b\n", "To: a@b.example\n" },
	};

	configure("");
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct buf out = BUF_INIT;
		bool changed;

		CHECK_ROW(table[i].in);
		changed = cleanup_complete_header(&out, table[i].in, strlen(table[i].in),
			(size_t)(strchr(table[i].in, ':') - table[i].in) + 1, true);
		CHECK_INT(changed, table[i].out != NULL);
		if (changed) {
			CHECK_STR(buf_str(&out), table[i].out);
		}
		buf_free(&out);
	}
}

TEST(cleanup, mailboxes)
{
	static const struct {
		const char *address, *name, *out;
	} table[] = {
		{ "a@b", "", "a@b" },
		{ "a@b", "A B", "A B <a@b>" },
		{ "a@b", "A. \"B\" \\", "\"A. \\\"B\\\" \\\\\" <a@b>" },
		{ "a@b", "A\nBcc: x", "\"A Bcc: x\" <a@b>" },
		{ "", "A", "Mail Delivery System <MAILER-DAEMON@mx.example>" },
	};

	configure("");
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct buf out = BUF_INIT;

		CHECK_ROW(table[i].out);
		cleanup_put_mailbox(&out, table[i].address, table[i].name);
		CHECK_STR(buf_str(&out), table[i].out);
		buf_free(&out);
	}
}

TEST(cleanup, received)
{
	const struct cleanup_trace smtp = {
		.helo = "he(lo)",
		.client_name = "unknown",
		.client_addr = "2001:db8::1",
		.tls = "TLSv1.2 with cipher X (256/256 bits)",
		.sasl_user = "me",
		.proto = "ESMTPSA",
		.queue_id = "ABC",
		.recipient = "r@x.y",
		.when = 0,
	};
	const struct cleanup_trace local = {
		.helo = "",
		.client_name = "",
		.client_addr = "",
		.uid = 7,
		.queue_id = "ABC",
		.when = 0,
	};
	struct buf out = BUF_INIT;

	configure("");
	setenv("TZ", "UTC0", 1);
	cleanup_received(&out, &smtp);
	CHECK_STR(buf_str(&out),
		"Received: from he?lo? (unknown [IPv6:2001:db8::1])\n"
		"\t(using TLSv1.2 with cipher X (256/256 bits))\n"
		"\t(No client certificate requested)\n"
		"\t(Authenticated sender: me)\n\tby mx.example (Postfix) with ESMTPSA id ABC\n"
		"\tfor <r@x.y>; Thu, 01 Jan 1970 00:00:00 +0000 (UTC)\n");
	buf_reset(&out);
	cleanup_received(&out, &local);
	CHECK_STR(buf_str(&out),
		"Received: by mx.example (Postfix, from userid 7)\n"
		"\tid ABC; Thu, 01 Jan 1970 00:00:00 +0000 (UTC)\n");
	buf_free(&out);
}
