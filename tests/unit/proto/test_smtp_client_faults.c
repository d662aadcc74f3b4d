/*
 * test_smtp_client_faults - every kind of answer at every place of a dialog: what must hold of all
 *
 * Each recipient ends in exactly one of sent, kept, given back; sent only by a 2xx to the dot;
 * given back only where a 5xx was said. Also with the connection cut at each byte.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "smtp_script.h"
#include "unit.h"

enum { PARTS_MAX = 16 };

struct dialog {
	const char *name;
	unsigned flags, recipients;
	const char *parts[PARTS_MAX];
	size_t dot; /* which part answers the dot */
};

static const struct dialog dialogs[] = {
	{ "SMTP", 0, 3,
		{ "220 mx", "250 mx", "250 ok", "250 ok", "250 ok", "250 ok", "354 go",
			"250 2.0.0 ok" },
		7 },
	{ "SMTP in one go", 0, 3,
		{ "220 mx", "250-mx\n250 PIPELINING", "250 ok", "250 ok", "250 ok", "250 ok",
			"354 go", "250 2.0.0 ok" },
		7 },
	{ "LMTP", S_LMTP, 3,
		{ "220 mx", "250 mx", "250 ok", "250 ok", "250 ok", "250 ok", "354 go",
			"250 a\n250 c\n250 e" },
		7 },
	{ "LMTP in one go", S_LMTP, 2,
		{ "220 mx", "250-mx\n250 PIPELINING", "250 ok", "250 ok", "250 ok", "354 go",
			"250 a\n250 c" },
		6 },
	{ "with XFORWARD, TLS and AUTH", S_XFORWARD | S_TLS_MUST | S_AUTH, 1,
		{ "220 mx", "250-mx\n250 STARTTLS", "220 go",
			"250-mx\n250-AUTH PLAIN\n250-PIPELINING\n250 XFORWARD NAME HELO", "235 yes",
			"250 ok", "250 ok", "250 ok", "250 ok", "354 go", "250 2.0.0 ok" },
		10 },
};

static const char *const answers[] = { "200 ok", "250 ok", "250-", "251 x", "299", "300 x",
	"354 go", "399 x", "100 x", "421 4.3.2 down", "421 x\n!", "450 4.2.0 x", "451",
	"452 4.5.3 many", "499 x", "500 x", "501 5.5.4 x", "502 x", "503 x", "535 5.7.8 x",
	"550 5.1.1 x", "550-5.1.1 x\n550 5.1.1 y", "552 5.2.2 x", "554 x", "599 x", "600 x",
	"999 x", "000 x", "what", "", "!", "~", "25!", "250 o!", "250 ok\n!", "550 no\n!", "250",
	"2500 ok", "250\tok", "-", "250-a\n550 b", "550-a\n250 b", "250 a\n250 b", "550 a\n550 b",
	"250 a\n421 b" };

/* join - the parts with one of them replaced */
static const char *join(struct buf *b, const struct dialog *d, size_t at, const char *instead)
{
	buf_reset(b);
	for (size_t i = 0; i < PARTS_MAX && d->parts[i] != NULL; i++) {
		buf_adds(b, i > 0 ? "|" : "");
		buf_adds(b, i == at ? instead : d->parts[i]);
	}
	return buf_str(b);
}

/* holds - what must be true of every outcome; hard: a 5xx was said, yes: a 2xx to the dot */
static void holds(const struct script *s, const struct script_result *r, bool hard, bool yes)
{
	size_t sent = 0;

	CHECK(r->ended);
	for (size_t i = 0; i < s->recipients; i++) {
		const struct smtp_client_failure *f = &r->last[i].result;

		sent += f->status == SMTP_RCPT_SENT ? 1 : 0;
		CHECK(f->status != SMTP_RCPT_BOUNCED || hard);
		CHECK(f->status != SMTP_RCPT_SENT || (yes && f->code / 100 == 2));
		CHECK(f->status != SMTP_RCPT_BOUNCED || f->code / 100 == 5);
	}
	/* Nobody is left without an answer: all have their own, or all the session's. */
	for (size_t i = 0; i < s->recipients; i++) {
		CHECK(r->last[i].result.status != SMTP_RCPT_OPEN ||
			strstr(buf_str(&r->result), "failure: ") == buf_str(&r->result));
	}
	CHECK(r->result.len > 0);
	CHECK(sent == 0 || strstr(buf_str(&r->commands), "|.") != NULL);
	CHECK(sent == 0 || r->wire.len > 0);
}

TEST(smtp_client, any_answer_anywhere)
{
	static const int splits[] = { SCRIPT_WHOLE, -2, -3 };
	struct buf server = BUF_INIT;
	char name[200];
	size_t runs = 0;

	for (size_t d = 0; d < ARRAY_LEN(dialogs); d++) {
		for (size_t at = 0; at < PARTS_MAX && dialogs[d].parts[at] != NULL; at++) {
			for (size_t a = 0; a < 3 * ARRAY_LEN(answers); a++) {
				const char *answer = answers[a / 3];
				struct script s = { .flags = dialogs[d].flags,
					.recipients = dialogs[d].recipients };
				struct script_result r;
				bool yes = at != dialogs[d].dot || strchr(answer, '2') != NULL;

				s.server = join(&server, &dialogs[d], at, answer);
				(void)snprintf(name, sizeof(name),
					"%s: \"%s\" as part %zu, pieces %d", dialogs[d].name,
					answer, at, splits[a % 3]);
				CHECK_ROW(name);
				script_run(&s, splits[a % 3], 4, &r);
				holds(&s, &r, strchr(answer, '5') != NULL, yes);
				script_free(&r);
				runs++;
			}
		}
	}
	CHECK(runs > 5000);
	buf_free(&server);
}

/* cut - the dialog's script up to byte n, and then how */
static const char *cut(struct buf *b, const struct dialog *d, size_t n, char how)
{
	(void)join(b, d, PARTS_MAX, NULL);
	buf_truncate(b, n);
	buf_addc(b, how);
	return buf_str(b);
}

TEST(smtp_client, cut_or_silent_at_every_byte)
{
	struct buf server = BUF_INIT;
	char name[120];

	for (size_t d = 0; d < ARRAY_LEN(dialogs); d++) {
		size_t whole = strlen(join(&server, &dialogs[d], PARTS_MAX, NULL));
		size_t last = whole - strlen(dialogs[d].parts[dialogs[d].dot]);

		for (size_t n = 0; n < 2 * whole; n++) {
			struct script s = { .flags = dialogs[d].flags,
				.recipients = dialogs[d].recipients };
			struct script_result r;

			s.server = cut(&server, &dialogs[d], n / 2, n % 2 == 0 ? '!' : '~');
			(void)snprintf(
				name, sizeof(name), "%s at byte %zu", dialogs[d].name, n / 2);
			CHECK_ROW(name);
			script_run(&s, SCRIPT_WHOLE, 1, &r);
			/* The last answer has no line end: the last recipient is never sent. */
			holds(&s, &r, false, n / 2 > last);
			CHECK(r.last[s.recipients - 1].result.status != SMTP_RCPT_SENT);
			CHECK(strstr(buf_str(&r.result), "failure: wait 4.4.2 ") != NULL);
			script_free(&r);
		}
	}
	buf_free(&server);
}

/* endless - replies of 100 KB, without end, and lines without end: bounded, and the right ends */
TEST(smtp_client, long_replies)
{
	static const struct {
		const char *line;
		size_t times;
		const char *last, *result;
	} rows[] = {
		{ "250-0123456789012345678901234567890123456789\n", 2500, "250 mx", "sent " },
		{ "250-x\n", 200000, "250 mx",
			"failure: wait 4.5.0 Protocol error: endless reply" },
		{ "250-0123456789", 20000, "\n250 mx", "sent " },
		{ "what is this\n", 5000, "250 mx", "sent " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf server = BUF_INIT;
		struct script s = { .name = "" };
		struct script_result r;

		CHECK_ROW(rows[i].result);
		buf_adds(&server, "220 mx|");
		for (size_t n = 0; n < rows[i].times; n++) {
			buf_adds(&server, rows[i].line);
		}
		buf_addf(&server, "%s|250 ok|250 ok|354 go|250 ok", rows[i].last);
		s.server = buf_str(&server);
		script_run(&s, -1 - 4096, 0, &r);
		CHECK(r.ended);
		CHECK(str_starts(buf_str(&r.result), rows[i].result));
		CHECK(r.result.len < 20000);
		script_free(&r);
		buf_free(&server);
	}
}
