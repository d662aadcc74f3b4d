/*
 * fuzz_pipe - a pipe service's attributes, command line and content
 *
 * The input, in parts divided by "%%": attributes (a line each), sender, two recipients, a content.
 * The content comes out the same whatever pieces it goes in by, and no macro is expanded twice.
 */
#include <string.h>

#include "base/mem.h"
#include "conf/params.h"
#include "applets/deliver/pipe/pipe_spec.h"
#include "fuzz.h"

enum { WORDS_MAX = 50 };

static void configure(void)
{
	char *error = NULL;

	(void)conf_override("recipient_delimiter=+-");
	REQUIRE(conf_load("/nonexistent", true, &error) == 0);
}

static char *part(struct arena *a, struct slice *rest)
{
	struct slice s = fuzz_part(rest);
	char *text = arena_strndup(a, s.ptr, s.len);
	size_t len = strlen(text);

	if (len > 0 && text[len - 1] == '\n') {
		text[len - 1] = '\0';
	}
	return text;
}

static void convert(const struct pipe_spec *s, struct slice in, size_t step, struct buf *out)
{
	struct pipe_content c = { .spec = s };

	for (size_t at = 0; at < in.len; at += step) {
		pipe_convert(&c, out, in.ptr + at, in.len - at < step ? in.len - at : step);
	}
	pipe_convert(&c, out, "", 0);
}

static void check_content(const struct pipe_spec *s, struct slice in)
{
	struct buf whole = BUF_INIT, pieces = BUF_INIT;

	convert(s, in, in.len + 1, &whole);
	convert(s, in, in.len % 7 + 1, &pieces);
	REQUIRE(whole.len == pieces.len);
	REQUIRE(whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0);
	buf_free(&whole);
	buf_free(&pieces);
}

void fuzz(const char *data, size_t len)
{
	static bool configured;
	struct arena a = ARENA_INIT;
	struct slice rest = { data, len }, words = fuzz_part(&rest), line;
	char *argv[WORDS_MAX + 1], **out;
	struct pipe_recipient rcpts[2];
	struct pipe_values v = { "svc", "", "next", "ID", "", "", "", "", "", "", "", "", "", 1,
		rcpts, 2 };
	struct pipe_spec s;
	const char *error;
	size_t n = 0, given = 0;

	if (!configured) {
		configure();
	}
	configured = true;
	while (n < WORDS_MAX && (line = slice_word(&words, "\n")).ptr != NULL) {
		argv[n++] = arena_strndup(&a, line.ptr, line.len);
	}
	argv[n] = NULL;
	v.sender = part(&a, &rest);
	rcpts[0].address = rcpts[0].original = part(&a, &rest);
	rcpts[1].address = rcpts[1].original = part(&a, &rest);
	if (pipe_spec_parse(&a, argv, &s, &error)) {
		REQUIRE(s.user != NULL && s.argv != NULL && s.argv[0] != NULL);
		(void)pipe_argv_unknown(&a, s.argv);
		out = pipe_argv(&a, &s, &v);
		for (; out != NULL && out[given] != NULL; given++) {
		}
		REQUIRE(given <= 2 * n);
		check_content(&s, rest);
	} else {
		REQUIRE(error != NULL && error[0] != '\0');
	}
	arena_free(&a);
}
