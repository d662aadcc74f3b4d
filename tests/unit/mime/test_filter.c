/*
 * test_filter - messages on their way out: what is encoded, what hooks see, what passes untouched
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "mime/filter.h"
#include "mime/part.h"
#include "mime/transfer.h"
#include "unit.h"

/* filter - in pieces of so many bytes (0: all at once); false: the filter failed */
static bool filter(unsigned flags, const struct mime_filter_hooks *hooks, const char *text,
	size_t len, size_t piece, struct buf *out)
{
	struct mime_filter *f = mime_filter_new(flags, hooks);
	bool good = true;

	buf_reset(out);
	piece = piece == 0 ? len : piece;
	for (size_t at = 0; at < len && good; at += piece) {
		good = mime_filter_write(f, text + at, len - at < piece ? len - at : piece, out);
	}
	good = good && mime_filter_end(f, out);
	mime_filter_free(f);
	return good;
}

/* what goes in, and what comes out for a host of seven bits */
static const struct {
	const char *in, *out; /* NULL: the same */
} downgrades[] = {
	{ "Subject: x\n\nhello\n", NULL },
	{ "Subject: x\n\nh\303\244llo\n", NULL }, /* not labelled: left alone, as Postfix does */
	{ "Subject: x\n", NULL },
	{ "", NULL },
	{ "\nbody\n", NULL },
	{ "no header\n", NULL },
	{ "A: b\nContent-Transfer-Encoding: 8bit\nC: d\n\nh\303\244=llo\n",
		"A: b\nC: d\nContent-Transfer-Encoding: "
		"quoted-printable\n\nh=C3=A4=3Dllo\n" },
	{ "content-transfer-encoding:\n 8BIT\n\nx \n\tx\n",
		"Content-Transfer-Encoding: quoted-printable\n\nx=20\n\tx\n" },
	{ "Content-Transfer-Encoding: binary\n\n\377",
		"Content-Transfer-Encoding: quoted-printable\n\n=FF" },
	{ "Content-Transfer-Encoding: 8bit\nnot a field\n",
		"Content-Transfer-Encoding: quoted-printable\n\nnot a field\n" },
	{ "Content-Transfer-Encoding: 8bit\n", "Content-Transfer-Encoding: quoted-printable\n" },
	{ "Content-Transfer-Encoding: base64\n\nw6Q=\n", NULL },
	{ "Content-Transfer-Encoding: quoted-printable\n\n=C3\n", NULL },
	{ "Content-Transfer-Encoding: x-odd\n\n\303\n", NULL },
	{ "Subject: \303\244\nContent-Transfer-Encoding: 7bit\n\nx\n", NULL },
	/* parts, one by one */
	{ "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 8bit\n\n"
	  "pro\303\244\n--b\nContent-Transfer-Encoding: 8bit\n\n\303\244\n--b\n\nplain \n"
	  "--b--\nepi\303\n",
		"Content-Type: multipart/mixed; boundary=b\n"
		"Content-Transfer-Encoding: 7bit\n\n"
		"pro\303\244\n--b\nContent-Transfer-Encoding: "
		"quoted-printable\n\n=C3=A4\n--b"
		"\n\nplain \n--b--\nepi\303\n" },
	{ "Content-Type: multipart/mixed; boundary=\"b c\"\n\n--b c\n"
	  "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n"
	  "Subject: in\nContent-Transfer-Encoding: 8bit\n\n\344\n--b c--\n",
		"Content-Type: multipart/mixed; boundary=\"b c\"\n\n--b c\n"
		"Content-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\n"
		"Subject: in\nContent-Transfer-Encoding: quoted-printable\n\n=E4\n--b "
		"c--\n" },
	{ "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\n"
	  "Content-Transfer-Encoding: 8bit\n\n\344\n--b--\n",
		"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\n"
		"Content-Transfer-Encoding: quoted-printable\n\n=E4\n--b--\n" },
	{ "Content-Type: message/partial; id=x\nContent-Transfer-Encoding: 8bit\n\n\344\n", NULL },
	{ "Content-Type: message/global\nContent-Transfer-Encoding: 8bit\n\n\344\n",
		"Content-Type: message/global\n"
		"Content-Transfer-Encoding: quoted-printable\n\n=E4\n" },
	{ "Content-Type: message/disposition-notification\nContent-Transfer-Encoding: "
	  "8bit\n\n\344\n",
		"Content-Type: message/disposition-notification\n"
		"Content-Transfer-Encoding: quoted-printable\n\n=E4\n" },
	/* a boundary that ends a part without a blank line, one that begins like
	 * another */
	{ "Content-Type: multipart/mixed; boundary=a\n\n--a\nX: y\n--a\n"
	  "Content-Transfer-Encoding: 8bit\n\n\344\n--a--\n",
		"Content-Type: multipart/mixed; boundary=a\n\n--a\nX: y\n--a\n"
		"Content-Transfer-Encoding: quoted-printable\n\n=E4\n--a--\n" },
	{ "Content-Type: multipart/mixed; boundary=ab\n\n--ab\n"
	  "Content-Type: multipart/mixed; boundary=a\n\n--a\n"
	  "Content-Transfer-Encoding: 8bit\n\n\344\n--ab\n"
	  "Content-Transfer-Encoding: 8bit\n\n\345\n--ab--\n"
	  "Content-Transfer-Encoding: 8bit\n\n\346\n",
		"Content-Type: multipart/mixed; boundary=ab\n\n--ab\n"
		"Content-Type: multipart/mixed; boundary=a\n\n--a\n"
		"Content-Transfer-Encoding: quoted-printable\n\n=E4\n--ab\n"
		"Content-Transfer-Encoding: quoted-printable\n\n=E5\n--ab--\n"
		"Content-Transfer-Encoding: 8bit\n\n\346\n" },
	{ "Content-Type: multipart/mixed\nContent-Transfer-Encoding: 8bit\n\n--\344\n",
		"Content-Type: multipart/mixed\nContent-Transfer-Encoding: "
		"7bit\n\n--\344\n" },
};

/* put_rows - for tests/flow/smtp_client_oracle, which gives the same to Debian's Postfix */
static void put_rows(const char *path)
{
	FILE *file = fopen(path, "w");

	REQUIRE(file != NULL);
	for (size_t i = 0; i < ARRAY_LEN(downgrades); i++) {
		const char *out = downgrades[i].out;

		(void)fprintf(file, "%s\037%s\036", downgrades[i].in,
			out != NULL ? out : downgrades[i].in);
	}
	CHECK(fclose(file) == 0);
}

TEST(mime_filter, downgrade)
{
	struct buf out = BUF_INIT;

	if (getenv("MIME_FILTER_ROWS") != NULL) {
		put_rows(getenv("MIME_FILTER_ROWS"));
	}
	for (size_t i = 0; i < ARRAY_LEN(downgrades); i++) {
		const char *want = downgrades[i].out != NULL ? downgrades[i].out : downgrades[i].in;

		CHECK_ROW(downgrades[i].in);
		for (size_t piece = 0; piece < 40; piece++) {
			CHECK(filter(MIME_FILTER_DOWNGRADE, NULL, downgrades[i].in,
				strlen(downgrades[i].in), piece, &out));
			CHECK_STR(buf_str(&out), want);
		}
		/* Without the flag nothing changes. */
		CHECK(filter(0, NULL, downgrades[i].in, strlen(downgrades[i].in), 0, &out));
		CHECK_STR(buf_str(&out), downgrades[i].in);
	}
	buf_free(&out);
}

struct seen {
	struct buf text;
};

static enum mime_filter_verdict see_header(void *arg, enum mime_filter_header kind,
	struct slice text, size_t value, struct buf *instead)
{
	struct seen *seen = arg;

	buf_addf(&seen->text, "%c[%.*s][%.*s] ", "PMN"[kind], (int)text.len, text.ptr,
		(int)(text.len - value), text.ptr + value);
	if (str_istarts(text.ptr, "x-drop")) {
		return MIME_FILTER_DROP;
	}
	if (str_istarts(text.ptr, "x-turn")) {
		buf_adds(instead, "X-New: 1\nX-Turned: 2");
		return MIME_FILTER_REPLACE;
	}
	return MIME_FILTER_KEEP;
}

static enum mime_filter_verdict see_body(void *arg, struct slice line, struct buf *instead)
{
	struct seen *seen = arg;

	buf_addf(&seen->text, "b[%.*s] ", (int)(line.len < 9 ? line.len : 9), line.ptr);
	if (slice_eq(line, "drop")) {
		return MIME_FILTER_DROP;
	}
	if (slice_eq(line, "turn")) {
		buf_adds(instead, "turned");
		return MIME_FILTER_REPLACE;
	}
	return MIME_FILTER_KEEP;
}

TEST(mime_filter, hooks)
{
	static const char in[] =
		"Subject : a\n b\nX-Drop: me\n not\nX-Turn:\tt\nMIME-Version: 1.0\n"
		"Content-Type: multipart/mixed; boundary=b\n\ndrop\n--b\nX-Part: 1\n\n"
		"turn\n--b\nContent-Type: message/rfc822\n\nSubject: n\n"
		"Content-Id: <1>\n\nkeep\n--b--\n";
	static const char want[] = "Subject : a\n b\nX-New: 1\nX-Turned: 2\nMIME-Version: 1.0\n"
				   "Content-Type: multipart/mixed; boundary=b\n\n--b\nX-Part: 1\n\n"
				   "turned\n--b\nContent-Type: message/rfc822\n\nSubject: n\n"
				   "Content-Id: <1>\n\nkeep\n--b--\n";
	static const char saw[] =
		"P[Subject : a\n b][a\n b] P[X-Drop: me\n not][me\n not] P[X-Turn:\tt][t] "
		"M[MIME-Version: 1.0][1.0] M[Content-Type: multipart/mixed; boundary=b]"
		"[multipart/mixed; boundary=b] b[drop] M[X-Part: 1][1] b[turn] "
		"M[Content-Type: message/rfc822][message/rfc822] N[Subject: n][n] "
		"M[Content-Id: <1>][<1>] b[keep] ";
	struct buf out = BUF_INIT;

	for (size_t piece = 0; piece < 60; piece++) {
		struct seen seen = { .text = BUF_INIT };
		const struct mime_filter_hooks hooks = {
			.header = see_header, .body = see_body, .arg = &seen
		};

		CHECK(filter(0, &hooks, in, sizeof(in) - 1, piece, &out));
		CHECK_STR(buf_str(&out), want);
		CHECK_STR(buf_str(&seen.text), saw);
		buf_free(&seen.text);
	}
	buf_free(&out);
}

/* long things pass whole: a field above its limit unseen, a line in pieces */
TEST(mime_filter, long_fields_and_lines)
{
	struct buf in = BUF_INIT, out = BUF_INIT;
	struct seen seen = { .text = BUF_INIT };
	const struct mime_filter_hooks hooks = {
		.header = see_header, .body = see_body, .arg = &seen
	};

	buf_adds(&in, "A: b\nX-Drop-Long: ");
	for (int i = 0; i < 12000; i++) {
		buf_adds(&in, "0123456789");
	}
	buf_adds(&in, "\n fold\nContent-Transfer-Encoding: 8bit\n\n");
	for (int i = 0; i < 1000; i++) {
		buf_adds(&in, "0123456789");
	}
	buf_adds(&in, "\n");
	for (size_t piece = 0; piece < 20000; piece = piece * 3 + 1) {
		buf_reset(&seen.text);
		CHECK(filter(0, &hooks, in.data, in.len, piece, &out));
		CHECK_MEM(out.data, out.len, in.data, in.len);
		CHECK(strstr(buf_str(&seen.text), "Long") == NULL);
		CHECK(strstr(buf_str(&seen.text), "b[012345678] b[890123456] b[678901234]") !=
			NULL);
	}
	buf_free(&seen.text);
	buf_free(&in);
	buf_free(&out);
}

TEST(mime_filter, too_deep)
{
	struct buf in = BUF_INIT, out = BUF_INIT;

	for (int i = 0; i < MIME_DEPTH_MAX + 1; i++) {
		buf_addf(&in, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i);
	}
	CHECK(!filter(MIME_FILTER_DOWNGRADE, NULL, in.data, in.len, 7, &out));
	CHECK(filter(0, NULL, in.data, in.len, 7, &out));
	CHECK_MEM(out.data, out.len, in.data, in.len);
	buf_free(&in);
	buf_free(&out);
}

/* any text, labelled 8bit: seven bits come out, and decoded it is what went in */
TEST(mime_filter, back_again)
{
	static const char head[] = "Content-Transfer-Encoding: 8bit\n\n";
	static const char label[] = "Content-Transfer-Encoding: quoted-printable\n\n";
	static const char letters[] = "\n\n =.F\tax\r\0\303\244";
	struct buf out = BUF_INIT, back = BUF_INIT;
	char text[600];

	memcpy(text, head, sizeof(head) - 1);
	srand(2);
	for (int n = 0; n < 5000; n++) {
		size_t body = (size_t)rand() % 500, at = sizeof(head) - 1, line = 0;
		struct mime_decoder d;

		for (size_t i = 0; i < body; i++) {
			text[at + i] = letters[(size_t)rand() % (sizeof(letters) - 1)];
		}
		CHECK(filter(
			MIME_FILTER_DOWNGRADE, NULL, text, at + body, (size_t)rand() % 50, &out));
		REQUIRE(str_starts(buf_str(&out), label));
		for (size_t i = 0; i < out.len; i++) {
			REQUIRE((unsigned char)out.data[i] < 127);
			line = out.data[i] == '\n' ? 0 : line + 1;
			REQUIRE(line <= 76);
		}
		buf_reset(&back);
		mime_decode_init(&d, MIME_QP);
		mime_decode(&d, out.data + sizeof(label) - 1, out.len - sizeof(label) + 1, &back);
		mime_decode_end(&d, &back);
		REQUIRE(back.len == body && memcmp(buf_str(&back), text + at, body) == 0);
	}
	buf_free(&out);
	buf_free(&back);
}
