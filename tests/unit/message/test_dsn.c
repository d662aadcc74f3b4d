/*
 * test_dsn - the notices to senders
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "conf/params.h"
#include "mime/charset.h"
#include "message/dsn.h"
#include "unit.h"

static const char content[] = "Received: x\nSubject: s\nFrom: a\n\nbody line\n";

static int64_t read_content(void *arg, int64_t offset, void *data, size_t len)
{
	const char *text = arg;
	size_t left;

	if (text == NULL) {
		return -1;
	}
	left = strlen(text) - (size_t)offset;
	len = len < left ? len : left;
	memcpy(data, text + offset, len);
	return (int64_t)len;
}

static int put(void *arg, const void *data, size_t len)
{
	buf_add(arg, data, len);
	return 0;
}

static void load(void)
{
	char path[300];
	char *error = NULL;
	static const char text[] = "compatibility_level = 3.6\nmyhostname = mx.test.example\n";
	int fd;

	snprintf(path, sizeof(path), "%s/main.cf", unit_tmpdir());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	REQUIRE(fd >= 0 && fd_write_all(fd, text, sizeof(text) - 1) == 0);
	close(fd);
	REQUIRE(conf_load(unit_tmpdir(), false, &error) == 0);
}

static const struct dsn_recipient recipients[] = {
	{ "gone@far.example", "list@test.example", "rfc822;list+x@test.example", "", "5.1.1",
		"host mx.far.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO "
		"command)",
		"mx.far.example", "550 5.1.1 no such user", "" },
	{ "u9@test.example", "", "", "", "5.2.2", "mailbox /var/mail/u9: size limit exceeded", "",
		"", "" },
};

/* message - a failure; tests change it */
static struct dsn_message message(void)
{
	return (struct dsn_message){ .kind = DSN_KIND_FAILURE,
		.queue_id = "4A1B2C3D4E",
		.envid = "env 1",
		.sender = "s@far.example",
		.to = "s@far.example",
		.arrival = 1700000000,
		.full = true,
		.size = sizeof(content) - 1,
		.recipients = recipients,
		.recipient_count = 2,
		.read = read_content,
		.read_arg = (void *)content };
}

static bool has(const struct buf *b, const char *text)
{
	return strstr(buf_str(b), text) != NULL;
}

TEST(dsn, failure)
{
	struct dsn_message m = message();
	struct buf b = BUF_INIT;

	load();
	CHECK_INT(dsn_write(&m, put, &b), 0);
	CHECK(has(&b, "\nFrom: Mail Delivery System <MAILER-DAEMON@mx.test.example>\n"));
	CHECK(has(&b, "\nSubject: Undelivered Mail Returned to Sender\nTo: s@far.example\n"));
	CHECK(has(&b, "\nAuto-Submitted: auto-replied\n"));
	CHECK(has(&b,
		"Content-Type: multipart/report; "
		"report-type=delivery-status;\n\tboundary=\"4A1B2C3D4E."));
	CHECK(has(&b, "\n<gone@far.example> (expanded from <list@test.example>): host"));
	CHECK(has(&b,
		"\n\nReporting-MTA: dns; mx.test.example\nOriginal-Envelope-Id: env 1\n"
		"X-Postfix-Queue-ID: 4A1B2C3D4E\nX-Postfix-Sender: rfc822; "
		"s@far.example\nArrival-Date: "));
	CHECK(has(&b,
		"\n\nFinal-Recipient: rfc822; gone@far.example\n"
		"Original-Recipient: rfc822;list+2Bx@test.example\nAction: failed\nStatus: 5.1.1\n"
		"Remote-MTA: dns; mx.far.example\nDiagnostic-Code: smtp; 550 5.1.1 no such "
		"user\n"));
	CHECK(has(&b,
		"\n\nFinal-Recipient: rfc822; u9@test.example\n"
		"Original-Recipient: rfc822;u9@test.example\nAction: failed\nStatus: 5.2.2\n"
		"Diagnostic-Code: X-Postfix; mailbox /var/mail/u9: size limit exceeded\n"));
	CHECK(has(&b,
		"Content-Description: Undelivered Message\nContent-Type: message/rfc822\n\n"
		"Return-Path: <s@far.example>\n"
		"Received: x\nSubject: s\nFrom: a\n\nbody line\n\n--4A1B2C3D4E."));
	CHECK(str_ends(buf_str(&b), "--\n"));
	CHECK(!has(&b, "8bit"));
	for (const char *p = buf_str(&b); *p != '\0'; p++) {
		CHECK(strcspn(p, "\n") < 120);
		p += strcspn(p, "\n");
	}
	buf_free(&b);
}

TEST(dsn, headers_only)
{
	struct dsn_message m = message();
	struct buf b = BUF_INIT, large = BUF_INIT;

	load();
	m.full = false;
	CHECK_INT(dsn_write(&m, put, &b), 0);
	CHECK(has(&b,
		"Undelivered Message Headers\nContent-Type: text/rfc822-headers\n\n"
		"Return-Path: <s@far.example>\n"
		"Received: x\nSubject: s\nFrom: a\n\n\n--4A"));
	CHECK(!has(&b, "body line"));
	/* Larger than bounce_size_limit: headers, whatever was asked for. */
	buf_adds(&large, content);
	while (large.len < 60000) {
		buf_adds(&large, "more of the body\n");
	}
	buf_reset(&b);
	m.full = true;
	m.size = (int64_t)large.len;
	m.read_arg = (void *)buf_str(&large);
	CHECK_INT(dsn_write(&m, put, &b), 0);
	CHECK(has(&b, "text/rfc822-headers") && !has(&b, "body"));
	/* Endless headers are cut. */
	buf_reset(&b);
	buf_reset(&large);
	while (large.len < 300000) {
		buf_adds(&large, "X-More: header\n");
	}
	m.size = (int64_t)large.len;
	m.read_arg = (void *)buf_str(&large);
	CHECK_INT(dsn_write(&m, put, &b), 0);
	CHECK(b.len < 60000);
	buf_free(&large);
	buf_free(&b);
}

TEST(dsn, other_kinds)
{
	struct dsn_message m = message();
	struct buf b = BUF_INIT;

	load();
	setenv("TZ", "UTC", 1);
	m.kind = DSN_KIND_DELAY;
	m.full = false;
	m.last_try = 1700432000;
	CHECK_INT(dsn_write(&m, put, &b), 0);
	CHECK(has(&b, "\nSubject: Delayed Mail (still being retried)\n"));
	CHECK(has(&b, "\nAction: delayed\n") &&
		has(&b, "\nWill-Retry-Until: Sun, 19 Nov 2023 22:13:20 +0000"));
	buf_reset(&b);
	m.kind = DSN_KIND_SUCCESS;
	CHECK_INT(dsn_write(&m, put, &b), 0);
	CHECK(has(&b, "\nSubject: Successful Mail Delivery Report\n") &&
		has(&b, "\nAction: delivered\n"));
	buf_free(&b);
}

TEST(dsn, hostile_texts)
{
	struct dsn_recipient r = { "a\nBcc: x@y", "", "", "", "5.0.0",
		"said: 550 line one\r\nTo: evil\r\n\xc3\xa4 \x01 end", "mx\nX: y", "", "" };
	struct dsn_message m = message();
	struct buf b = BUF_INIT;

	load();
	m.to = "s@far.example\nBcc: all@far.example";
	m.sender = m.to;
	m.recipients = &r;
	m.recipient_count = 1;
	m.read_arg = NULL;
	CHECK_INT(dsn_write(&m, put, &b), 0);
	CHECK(!has(&b, "\nBcc:") && !has(&b, "\nTo: evil") && !has(&b, "\nX: y"));
	CHECK(has(&b, "charset=utf-8\nContent-Transfer-Encoding: 8bit"));
	CHECK(has(&b, "The message itself cannot be read"));
	buf_free(&b);
}

/* longest_line - of the text */
static size_t longest_line(const char *text)
{
	size_t longest = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		longest = len > longest ? len : longest;
		text += len + (text[len] == '\n');
	}
	return longest;
}

/* What remote servers say is not always UTF-8, nor short, nor one line. */
TEST(dsn, words_of_strangers)
{
	struct buf b = BUF_INIT, text = BUF_INIT;
	struct dsn_recipient r = { .address = "a@y",
		.original = "",
		.action = "",
		.status = "5.0.0",
		.orcpt = "rfc822\nBcc: x;a@y",
		.diagnostic = "",
		.remote_mta = "mx" };
	struct dsn_message m = message();

	load();
	buf_adds(&text, "said: 550 b\xf6se ");
	while (text.len < 5000) {
		buf_adds(&text, "\xc3\xa4");
	}
	r.text = buf_str(&text);
	m.recipients = &r;
	m.recipient_count = 1;
	CHECK_INT(dsn_write(&m, put, &b), 0);
	CHECK(utf8_valid(buf_str(&b), b.len));
	CHECK(has(&b, "550 b?se\n    \xc3\xa4"));
	CHECK_INT((long long)longest_line(buf_str(&b)) <= 998, true);
	CHECK(has(&b, "Original-Recipient: rfc822 Bcc: x;a@y\n"));
	buf_free(&b);
	buf_free(&text);
}

/* A part says that it has 8 bits, whatever it has them from. */
TEST(dsn, eight_bit_sender)
{
	struct dsn_message m = message();
	struct buf b = BUF_INIT;

	load();
	m.sender = "s\xc3\xa4@far.example";
	CHECK_INT(dsn_write(&m, put, &b), 0);
	CHECK(has(&b, "Content-Type: message/delivery-status\nContent-Transfer-Encoding: 8bit\n"));
	buf_free(&b);
}
