/*
 * alias - destinations of aliases(5) and .forward files, taken apart
 *
 * RFC 5322 3.4 (address-list) loosely: names before <address> and comments
 * are dropped, missing commas forgiven, nothing is refused; what is no address shows
 * itself as unknown when it is delivered to.
 */
#include "address/alias.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/str.h"

/* The text being parsed and what was found so far. */
struct parser {
	struct arena *a;
	const char *p, *end;
	struct alias_item *items;
	size_t count, room;
	struct buf word;
	size_t phrase; /* count where the words since the last comma began */
};

static void push(struct parser *ps, enum alias_kind kind, const char *text)
{
	if (ps->count == ps->room) {
		size_t room = ps->room > 0 ? ps->room * 2 : 4;
		struct alias_item *items = arena_alloc(ps->a, room * sizeof(*items));

		if (ps->count > 0) {
			memcpy(items, ps->items, ps->count * sizeof(*items));
		}
		ps->items = items;
		ps->room = room;
	}
	ps->items[ps->count++] = (struct alias_item){ kind, arena_strdup(ps->a, text) };
}

/* push_word - what kind is it? */
static void push_word(struct parser *ps, const char *word)
{
	if (word[0] == '|') {
		word++;
		push(ps, ALIAS_COMMAND, word + strspn(word, " \t"));
	} else if (word[0] == '/') {
		push(ps, ALIAS_FILE, word);
	} else if (str_istarts(word, ":include:")) {
		word += 9;
		push(ps, ALIAS_INCLUDE, word + strspn(word, " \t"));
	} else if (word[0] == '\\') {
		push(ps, ALIAS_USER, word + 1);
	} else if (word[0] != '\0') {
		push(ps, ALIAS_ADDRESS, word);
	}
}

/* end_word - the word is complete */
static void end_word(struct parser *ps)
{
	if (ps->word.len > 0) {
		push_word(ps, buf_str(&ps->word));
	}
	buf_reset(&ps->word);
}

/* skip_comment - behind a (comment), nested ones too */
static void skip_comment(struct parser *ps)
{
	int depth = 0;

	for (; ps->p < ps->end; ps->p++) {
		if (*ps->p == '\\' && ps->p + 1 < ps->end) {
			ps->p++;
		} else if (*ps->p == '(') {
			depth++;
		} else if (*ps->p == ')' && --depth == 0) {
			ps->p++;
			return;
		}
	}
}

/*
 * quoted - a quoted string: taken off its quotes when it is the whole word and begins as a
 * command, file or include; else it is part of an address and keeps them
 */
static void quoted(struct parser *ps)
{
	struct buf plain = BUF_INIT;
	const char *start = ps->p++;
	bool whole;

	while (ps->p < ps->end && *ps->p != '"') {
		if (*ps->p == '\\' && ps->p + 1 < ps->end && ps->p > start + 1) {
			ps->p++;
		}
		buf_addc(&plain, *ps->p++);
	}
	ps->p += ps->p < ps->end;
	whole = ps->word.len == 0 && (ps->p == ps->end || strchr(", \t\r\n(", *ps->p) != NULL);
	if (whole && plain.len > 0 &&
		(strchr("|/\\", plain.data[0]) != NULL ||
			str_istarts(buf_str(&plain), ":include:"))) {
		push_word(ps, buf_str(&plain));
	} else {
		buf_add(&ps->word, start, (size_t)(ps->p - start));
	}
	buf_free(&plain);
}

/* angle - <address>: the words before it were a name */
static void angle(struct parser *ps)
{
	const char *start = ++ps->p;

	while (ps->p < ps->end && *ps->p != '>' && *ps->p != '\n') {
		ps->p++;
	}
	buf_reset(&ps->word);
	ps->count = ps->phrase;
	buf_add(&ps->word, start, (size_t)(ps->p - start));
	ps->p += ps->p < ps->end && *ps->p == '>';
	end_word(ps);
}

/* command - an unquoted |command goes up to the comma or the end of the line */
static void command(struct parser *ps)
{
	while (ps->p < ps->end && *ps->p != ',' && *ps->p != '\n') {
		buf_addc(&ps->word, *ps->p++);
	}
	while (ps->word.len > 0 && strchr(" \t\r", ps->word.data[ps->word.len - 1]) != NULL) {
		buf_truncate(&ps->word, ps->word.len - 1);
	}
	end_word(ps);
}

/* step - one character, or what it begins */
static void step(struct parser *ps)
{
	char c = *ps->p;
	bool fresh = ps->word.len == 0;

	if (c == '"') {
		quoted(ps);
	} else if (c == '(') {
		skip_comment(ps);
	} else if (c == '<' && fresh) {
		angle(ps);
	} else if (c == '|' && fresh) {
		command(ps);
	} else if (c == ',' || c == '\n') {
		end_word(ps);
		ps->phrase = ps->count;
		ps->p++;
	} else if (c == ' ' || c == '\t' || c == '\r' || c == '\0') {
		end_word(ps);
		ps->p++;
	} else {
		buf_addc(&ps->word, c);
		ps->p++;
		if (c == '\\' && !fresh && ps->p < ps->end) {
			buf_addc(&ps->word, *ps->p++);
		}
	}
}

size_t alias_parse(struct arena *a, const char *text, size_t len, struct alias_item **items_r)
{
	struct parser ps = { .a = a, .p = text, .end = text + len };
	bool line_start = true;

	while (ps.p < ps.end) {
		if (line_start && *ps.p == '#') {
			while (ps.p < ps.end && *ps.p != '\n') {
				ps.p++;
			}
			continue;
		}
		line_start = *ps.p == '\n';
		step(&ps);
	}
	end_word(&ps);
	buf_free(&ps.word);
	*items_r = ps.items;
	return ps.count;
}

bool alias_tables_trusted(const char *list)
{
	struct slice rest = slice_of(list), word;

	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		const char *path = memchr(word.ptr, '/', word.len);
		char name[1024];
		struct stat st;

		if (path == NULL) {
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)(word.ptr + word.len - path), path);
		if (stat(name, &st) == 0 &&
			(st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)) {
			return false;
		}
	}
	return true;
}
