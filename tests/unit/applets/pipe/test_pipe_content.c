/*
 * test_pipe_content - what a command reads, whatever pieces the content comes in
 */
#include <string.h>

#include "base/str.h"
#include "applets/deliver/pipe/pipe_spec.h"
#include "unit.h"

static const struct {
	const char *name, *in;
	unsigned flags;
	const char *eol, *want;
} rows[] = {
	{ "as it is", "a\n\nFrom b\n.c\n", 0, "\n", "a\n\nFrom b\n.c\n" },
	{ "line ends", "a\n\nb\n", 0, "\r\n", "a\r\n\r\nb\r\n" },
	{ "the last line's", "a\nb", 0, "\n", "a\nb\n" },
	{ "dots", ".\n..\na.\n.", PIPE_DOT, "\r\n", "..\r\n...\r\na.\r\n..\r\n" },
	{ "From_", "From a\nFrom\nFro\n From b\nxFrom c\nFrom ", PIPE_FROM_LINE, "\n",
		">From a\nFrom\nFro\n From b\nxFrom c\n>From \n" },
	{ "blank line", "a\n", PIPE_BLANK, "\n", "a\n\n" },
	{ "all", ".a\nFrom b\nFr", PIPE_BLANK | PIPE_DOT | PIPE_FROM_LINE, "\r\n",
		"..a\r\n>From b\r\nFr\r\n\r\n" },
	{ "nothing", "", PIPE_BLANK, "\n", "\n" },
};

TEST(pipe_content, pieces)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct pipe_spec s = { .flags = rows[i].flags, .eol = rows[i].eol };
		size_t len = strlen(rows[i].in);

		CHECK_ROW(rows[i].name);
		for (size_t step = 1; step <= len + 1; step++) {
			struct pipe_content c = { .spec = &s };
			struct buf out = BUF_INIT;

			for (size_t at = 0; at < len; at += step) {
				pipe_convert(&c, &out, rows[i].in + at,
					len - at < step ? len - at : step);
			}
			pipe_convert(&c, &out, "", 0);
			CHECK_STR(buf_str(&out), rows[i].want);
			buf_free(&out);
		}
	}
}

TEST(pipe_content, head)
{
	const struct pipe_spec s = { .flags = PIPE_RETURN | PIPE_ORIGINAL | PIPE_DELIVERED,
		.eol = "\r\n",
		.null_sender = "NULL" };
	const struct pipe_spec from = { .flags = PIPE_FROM, .eol = "\n" };
	struct buf out = BUF_INIT;

	pipe_head(&out, &s, "", "to@x", "or\nig@x");
	CHECK_STR(buf_str(&out),
		"Return-Path: <NULL>\r\nX-Original-To: or?ig@x\r\nDelivered-To: to@x\r\n");
	buf_reset(&out);
	pipe_head(&out, &from, "a@b", "to@x", "to@x");
	CHECK(str_starts(buf_str(&out), "From a@b  "));
	CHECK_INT((long)strcspn(buf_str(&out), "\n"), (long)strlen(buf_str(&out)) - 1);
	buf_free(&out);
}
