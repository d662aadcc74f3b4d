/*
 * postconf_print - one parameter with its value, in the form that is asked for
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/str.h"
#include "applets/admin/postconf/postconf.h"

enum { LINE_LIMIT = 80, INDENT = 4 };

/* print_words - blanks of any kind become one; with -f lines end before LINE_LIMIT */
static void print_words(const struct postconf *pc, const char *text, size_t column)
{
	struct slice rest = slice_of(text), word;
	bool first = true;

	while ((word = slice_word(&rest, " \t\r\n")).ptr != NULL) {
		if (!first && pc->fold && column + 1 + word.len > LINE_LIMIT) {
			printf("\n%*s", INDENT, "");
			column = INDENT;
		} else if (!first) {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)word.len, word.ptr);
		column += word.len;
		first = false;
	}
}

void postconf_print(const struct postconf *pc, const char *name, const char *value)
{
	struct buf line = BUF_INIT;

	if (pc->json) {
		buf_addc(&line, '{');
		json_encode(&line, name);
		buf_adds(&line, ": ");
		json_encode(&line, value);
		printf("%s}\n", line.data);
		buf_free(&line);
		return;
	}
	if (pc->no_values) {
		puts(name);
		return;
	}
	if (!pc->no_names) {
		printf(*value != '\0' ? "%s = " : "%s =", name);
	}
	print_words(pc, value, pc->no_names ? 0 : strlen(name) + 3);
	putchar('\n');
}
