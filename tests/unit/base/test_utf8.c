/*
 * test_utf8 - what may be shown, and that the log and JSON hold nothing else
 */
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/str.h"
#include "base/utf8.h"
#include "unit.h"

static const struct {
	const char *in, *want;
} shown[] = {
	{ "plain ~", "plain ~" },
	{ "a\tb\r\nc\x7f\x1b[2J", "a?b??c??[2J" },
	{ "gr\xc3\xbc\xc3\x9f \xe6\x9d\xb1 \xf0\x9f\x93\xae",
		"gr\xc3\xbc\xc3\x9f \xe6\x9d\xb1 \xf0\x9f\x93\xae" },
	{ "latin \xfc.", "latin ?." },
	{ "cut \xe6\x9d", "cut ??" },
	{ "overlong \xc0\xaf \xe0\x80\xaf", "overlong ?? ???" },
	{ "surrogate \xed\xa0\x80", "surrogate ???" },
	{ "too far \xf4\x90\x80\x80", "too far ????" },
	{ "c1 \xc2\x9b"
	  "31m",
		"c1 ??31m" },
	{ "line \xe2\x80\xa8 turned \xe2\x80\xae name", "line ??? turned ??? name" },
	{ "\xef\xbb\xbfmark", "???mark" },
};

TEST(utf8, printable)
{
	char text[64];

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		CHECK_ROW(shown[i].in);
		(void)str_copy(text, sizeof(text), shown[i].in);
		utf8_printable(text, strlen(text));
		CHECK_STR(text, shown[i].want);
	}
}

/* logged - what a line of the log looks like behind its stamp and tag */
static char *logged(char *line, size_t size, const char *text)
{
	ssize_t n;
	int fds[2];
	char *at;

	REQUIRE(pipe(fds) == 0);
	log_open("unit", LOG_TO_STDERR);
	log_set_fd(dup(fds[1]));
	log_warn("said: %s", text);
	n = read(fds[0], line, size - 1);
	REQUIRE(n > 0);
	line[n] = '\0';
	at = strstr(line, "warning: said: ");
	REQUIRE(at != NULL);
	log_open("unit", LOG_TO_STDERR);
	close(fds[0]);
	close(fds[1]);
	return at + strlen("warning: said: ");
}

TEST(utf8, log_lines)
{
	char line[4096], text[2100];
	struct buf want = BUF_INIT;

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		CHECK_ROW(shown[i].in);
		buf_reset(&want);
		buf_addf(&want, "%s\n", shown[i].want);
		CHECK_STR(logged(line, sizeof(line), shown[i].in), buf_str(&want));
	}
	/* A line that is cut in the middle of a character. */
	for (size_t i = 0; i + 3 < sizeof(text); i += 3) {
		memcpy(text + i, "\xe6\x9d\xb1", 4);
	}
	CHECK(strstr(logged(line, sizeof(line), text), "\xe6\x9d\xb1?") != NULL ||
		strstr(line, "\xe6\x9d\xb1\n") != NULL);
	buf_free(&want);
}

TEST(utf8, json)
{
	struct buf out = BUF_INIT;

	json_encode(&out, "gr\xc3\xbc\xfc\"\n");
	CHECK_STR(buf_str(&out), "\"gr\xc3\xbc\\uFFFD\\\"\\n\"");
	buf_free(&out);
}
