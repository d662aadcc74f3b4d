/*
 * map_combine - tables made of tables
 *
 *	unionmap:{a, b}		the values of all of them, joined by commas
 *	pipemap:{a, b}		a's value is looked up in b, and so on
 *	randmap:{x, y}		one of these texts, at random
 *	proxy:a			a: the process that looks things up has what it needs
 *
 * Parts of keys (map_get_part) go to the members that take them; in a pipe the first one decides,
 * because the others are asked with values.
 */
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "map/map_impl.h"

enum { MAX_PARTS = 100, MAX_NESTING = 10 };

struct parts {
	struct map *maps[MAX_PARTS];
	struct slice texts[MAX_PARTS];
	size_t count;
};

/* open_part - one of the tables */
static int open_part(struct map *m, struct parts *p, struct slice item)
{
	struct slice text = map_item_text(item);
	char *spec = mem_strndup(text.ptr, text.len), *error = NULL;
	/* How deep we are, counted in bits no flag uses: a name cannot recurse without end. */
	unsigned depth = (m->flags >> 24) + 1;

	if (depth > MAX_NESTING) {
		mem_free(spec);
		return map_fail(m, "too many tables within tables");
	}
	p->maps[p->count] = m->open_part(spec, (m->flags & 0xffffff) | depth << 24, &error);
	mem_free(spec);
	if (p->maps[p->count] == NULL) {
		map_fail(m, "%s", error);
		mem_free(error);
		return -1;
	}
	p->count++;
	return 0;
}

static int open_parts(struct map *m, bool tables)
{
	struct parts *p = mem_alloc(sizeof(*p));
	struct slice rest, item;
	int rc;

	m->state = p;
	if (!map_braced(m->name, &rest)) {
		return map_fail(
			m, "expected: %s:{%s, ...}", m->type->name, tables ? "type:name" : "text");
	}
	while ((rc = map_next_item(&rest, &item)) > 0) {
		if (p->count == MAX_PARTS) {
			return map_fail(m, "too many parts");
		}
		if (!tables) {
			p->texts[p->count++] = item;
		} else if (open_part(m, p, item) != 0) {
			return -1;
		}
	}
	if (rc < 0) {
		return map_fail(m, "braces do not match");
	}
	return p->count > 0 ? 0 : map_fail(m, "empty list");
}

static int open_tables(struct map *m)
{
	return open_parts(m, true);
}

static int open_texts(struct map *m)
{
	return open_parts(m, false);
}

static void close_parts(struct map *m)
{
	struct parts *p = m->state;

	if (p == NULL) {
		return;
	}
	for (size_t i = 0; i < p->count; i++) {
		map_close(p->maps[i]);
	}
	mem_free(p);
}

typedef int get_fn(struct map *m, const char *key, struct buf *value);

/* ask_union - every member by get, which is map_get() or map_get_part() */
static int ask_union(struct map *m, get_fn *get, const char *key, struct buf *value)
{
	struct parts *p = m->state;
	size_t start = value->len;
	struct buf one = BUF_INIT;
	int rc = 0, found = 0;

	for (size_t i = 0; i < p->count && rc >= 0; i++) {
		buf_reset(&one);
		rc = get(p->maps[i], key, &one);
		if (rc > 0) {
			if (value->len > start) {
				buf_addc(value, ',');
			}
			buf_adds(value, buf_str(&one));
			found = 1;
		} else if (rc < 0) {
			map_pass(m, p->maps[i]);
		}
	}
	buf_free(&one);
	return rc < 0 ? -1 : found;
}

static int get_union(struct map *m, const char *key, struct buf *value)
{
	return ask_union(m, map_get, key, value);
}

static int get_union_part(struct map *m, const char *key, struct buf *value)
{
	return ask_union(m, map_get_part, key, value);
}

/* ask_pipe - the first member by get, the others with what came out */
static int ask_pipe(struct map *m, get_fn *get, const char *key, struct buf *value)
{
	struct parts *p = m->state;
	struct buf in = BUF_INIT, out = BUF_INIT;
	int rc = 1;

	buf_adds(&in, key);
	for (size_t i = 0; i < p->count && rc > 0; i++) {
		buf_reset(&out);
		rc = (i == 0 ? get : map_get)(p->maps[i], buf_str(&in), &out);
		if (rc > 0) {
			buf_reset(&in);
			buf_adds(&in, buf_str(&out));
		} else if (rc < 0) {
			map_pass(m, p->maps[i]);
		}
	}
	if (rc > 0) {
		buf_adds(value, buf_str(&in));
	}
	buf_free(&in);
	buf_free(&out);
	return rc;
}

static int get_pipe(struct map *m, const char *key, struct buf *value)
{
	return ask_pipe(m, map_get, key, value);
}

static int get_pipe_part(struct map *m, const char *key, struct buf *value)
{
	return ask_pipe(m, map_get_part, key, value);
}

static int get_random(struct map *m, const char *key, struct buf *value)
{
	const struct parts *p = m->state;
	unsigned n = 0;

	(void)key;
	if (getrandom(&n, sizeof(n), GRND_NONBLOCK) != (ssize_t)sizeof(n)) {
		n = 0;
	}
	n %= (unsigned)p->count;
	buf_add(value, p->texts[n].ptr, p->texts[n].len);
	return 1;
}

static int open_proxy(struct map *m)
{
	struct parts *p = mem_alloc(sizeof(*p));

	m->state = p;
	return open_part(m, p, slice_of(m->name));
}

static int get_proxy(struct map *m, const char *key, struct buf *value)
{
	struct parts *p = m->state;
	int rc = map_get(p->maps[0], key, value);

	return rc < 0 ? map_pass(m, p->maps[0]) : rc;
}

static int get_proxy_part(struct map *m, const char *key, struct buf *value)
{
	struct parts *p = m->state;
	int rc = map_get_part(p->maps[0], key, value);

	return rc < 0 ? map_pass(m, p->maps[0]) : rc;
}

static int each_proxy(
	struct map *m, int (*fn)(void *arg, const char *key, const char *value), void *arg)
{
	struct parts *p = m->state;

	return map_each(p->maps[0], fn, arg);
}

const struct map_type map_type_union = {
	.name = "unionmap",
	.exact = true,
	.open = open_tables,
	.get = get_union,
	.get_part = get_union_part,
	.close = close_parts,
};
const struct map_type map_type_pipe = {
	.name = "pipemap",
	.exact = true,
	.open = open_tables,
	.get = get_pipe,
	.get_part = get_pipe_part,
	.close = close_parts,
};
const struct map_type map_type_rand = {
	.name = "randmap",
	.exact = true,
	.whole = true,
	.open = open_texts,
	.get = get_random,
	.close = close_parts,
};
const struct map_type map_type_proxy = {
	.name = "proxy",
	.exact = true,
	.open = open_proxy,
	.get = get_proxy,
	.get_part = get_proxy_part,
	.each = each_proxy,
	.close = close_parts,
};
