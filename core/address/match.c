/*
 * match - lists of domains, hosts and networks
 *
 * A list is compiled once: files are read, tables opened, networks parsed. The
 * items are tried in the order they are written in; the first that matches decides,
 * and says no when it was written with '!'.
 *
 * RFC 4291 2.2 (IPv6 in text), RFC 4632 (prefix lengths).
 */
#include "address/match.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map.h"
#include "map/map_wait.h"

enum { FILE_DEPTH_MAX = 10, FILE_SIZE_MAX = 16 << 20, KEY_MAX = 1024 };

enum item_kind { ITEM_NAME, ITEM_BELOW, ITEM_NET, ITEM_TABLE, ITEM_BAD };

struct item {
	enum item_kind kind;
	bool negated;
	char *text; /* name, name after the dot, or the item for messages */
	struct map *table;
	unsigned char net[16]; /* IPv4 as ::ffff:0:0/96 */
	int bits;
	bool v4;
};

struct match_list {
	const char *name;
	unsigned flags;
	struct item *items;
	size_t count, room;
};

/* parse_addr - IPv4 or IPv6, brackets and "IPv6:" allowed: 16 bytes */
static bool parse_addr(const char *text, size_t len, unsigned char out[16], bool *v4_r)
{
	char copy[INET6_ADDRSTRLEN + 8];
	char *p = copy;

	if (len >= sizeof(copy)) {
		return false;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (len > 1 && copy[0] == '[' && copy[len - 1] == ']') {
		copy[len - 1] = '\0';
		p++;
	}
	if (str_istarts(p, "IPv6:")) {
		p += 5;
	}
	*v4_r = strchr(p, ':') == NULL;
	if (*v4_r) {
		memset(out, 0, 10);
		out[10] = out[11] = 0xff;
		return inet_pton(AF_INET, p, out + 12) == 1;
	}
	return inet_pton(AF_INET6, p, out) == 1;
}

/* parse_net - "addr" or "addr/bits"; false: not of this form */
static bool parse_net(struct item *it, const char *text)
{
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	int64_t bits;
	bool v4;

	if (!parse_addr(text, len, it->net, &v4)) {
		return false;
	}
	bits = v4 ? 32 : 128;
	if (slash != NULL && !str_to_int(slash + 1, 0, bits, &bits)) {
		return false;
	}
	it->bits = (int)bits + (v4 ? 96 : 0);
	it->v4 = v4;
	return true;
}

/* is_mapped - an IPv4 address in the form ::ffff:1.2.3.4 */
static bool is_mapped(const unsigned char addr[16])
{
	return memcmp(addr, "\0\0\0\0\0\0\0\0\0\0\377\377", 12) == 0;
}

/* net_matches - the same family, and the first bits are equal: [::]/0 holds no IPv4 client */
static bool net_matches(const struct item *it, const unsigned char addr[16])
{
	int whole = it->bits / 8, rest = it->bits % 8;

	if (it->v4 != is_mapped(addr) || memcmp(it->net, addr, (size_t)whole) != 0) {
		return false;
	}
	return rest == 0 || ((it->net[whole] ^ addr[whole]) >> (8 - rest)) == 0;
}

/* clear_host_bits - 192.0.2.1/24 is taken for 192.0.2.0/24, with a word about it */
static void clear_host_bits(const struct match_list *l, struct item *it, const char *text)
{
	bool changed = false;

	for (int bit = it->bits; bit < 128; bit++) {
		unsigned char mask = (unsigned char)(0x80 >> (bit % 8));

		changed = changed || (it->net[bit / 8] & mask) != 0;
		it->net[bit / 8] &= (unsigned char)~mask;
	}
	if (changed) {
		log_warn("parameter %s: non-null host address bits in \"%s\"", l->name, text);
	}
}

static struct item *add_item(struct match_list *l, enum item_kind kind, bool negated)
{
	struct item *it;

	if (l->count == l->room) {
		l->room = l->room > 0 ? l->room * 2 : 8;
		l->items = mem_realloc(l->items, l->room * sizeof(*l->items));
	}
	it = &l->items[l->count++];
	memset(it, 0, sizeof(*it));
	it->kind = kind;
	it->negated = negated;
	return it;
}

static void add_text(struct match_list *l, const char *text, bool negated, int depth);

/* add_file - the items of a file */
static void add_file(struct match_list *l, const char *path, bool negated, int depth)
{
	char *data = depth < FILE_DEPTH_MAX ? file_read(path, FILE_SIZE_MAX, NULL) : NULL;
	char *line, *next;

	if (data == NULL) {
		log_warn("parameter %s: open %s: %s", l->name, path,
			depth < FILE_DEPTH_MAX ? strerror(errno) : "files nest too deep");
		add_item(l, ITEM_BAD, negated)->text = mem_strdup(path);
		return;
	}
	for (line = data; line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL) {
			*next++ = '\0';
		}
		if (line[strspn(line, " \t")] != '#') {
			add_text(l, line, negated, depth + 1);
		}
	}
	mem_free(data);
}

/* add_table - type:name */
static void add_table(struct match_list *l, const char *spec, bool negated)
{
	char *error = NULL;
	struct map *m = map_open(spec, 0, &error);
	struct item *it = add_item(l, m != NULL ? ITEM_TABLE : ITEM_BAD, negated);

	if (m == NULL) {
		log_warn("parameter %s: %s", l->name, error != NULL ? error : spec);
		mem_free(error);
	}
	it->table = m;
	it->text = mem_strdup(spec);
}

/* looks_like_net - meant as a network, and none: 10.0.0.0/33, 10.0.0/8, [::1]/200 */
static bool looks_like_net(const char *text)
{
	size_t n = strspn(text, text[0] == '[' ? "[]0123456789abcdefABCDEF:." : "0123456789.");

	return n > 0 && text[n] == '/' && text[n + 1] != '\0' &&
		strspn(text + n + 1, "0123456789") == strlen(text + n + 1);
}

/* add_word - one item as written */
static void add_word(struct match_list *l, const char *word, bool negated, int depth)
{
	struct item net = { .kind = ITEM_NET };
	struct item *it;

	for (; *word == '!'; word++) {
		negated = !negated;
	}
	if (*word == '/') {
		add_file(l, word, negated, depth);
	} else if (parse_net(&net, word)) {
		clear_host_bits(l, &net, word);
		it = add_item(l, ITEM_NET, negated);
		it->bits = net.bits;
		it->v4 = net.v4;
		memcpy(it->net, net.net, sizeof(net.net));
		it->text = mem_strdup(word);
	} else if (looks_like_net(word)) {
		log_warn("parameter %s: bad network \"%s\"", l->name, word);
		add_item(l, ITEM_BAD, negated)->text = mem_strdup(word);
	} else if (word[0] != '[' && strchr(word, ':') != NULL) {
		add_table(l, word, negated);
	} else if (strchr(word, '/') != NULL) {
		log_warn("parameter %s: bad net/mask pattern: \"%s\"", l->name, word);
		add_item(l, ITEM_BAD, negated)->text = mem_strdup(word);
	} else if (*word != '\0') {
		bool below = word[0] == '.' && word[1] != '\0';

		it = add_item(l, below ? ITEM_BELOW : ITEM_NAME, negated);
		it->text = mem_strdup(word + below);
		str_lower(it->text);
	}
}

/* add_text - split at commas and blanks outside braces */
static void add_text(struct match_list *l, const char *text, bool negated, int depth)
{
	struct buf word = BUF_INIT;
	int braces = 0;

	for (;; text++) {
		bool end = *text == '\0' || (braces <= 0 && strchr(", \t\r\n", *text) != NULL);

		if (!end) {
			braces += (*text == '{') - (*text == '}');
			buf_addc(&word, *text);
			continue;
		}
		if (word.len > 0) {
			add_word(l, buf_str(&word), negated, depth);
			buf_reset(&word);
		}
		if (*text == '\0') {
			break;
		}
	}
	buf_free(&word);
}

struct match_list *match_list_new(const char *name, const char *text, unsigned flags)
{
	struct match_list *l = mem_alloc(sizeof(*l));

	l->name = name;
	l->flags = flags;
	add_text(l, text, false, 0);
	return l;
}

void match_list_free(struct match_list *l)
{
	if (l == NULL) {
		return;
	}
	for (size_t i = 0; i < l->count; i++) {
		map_close(l->items[i].table);
		mem_free(l->items[i].text);
	}
	mem_free(l->items);
	mem_free(l);
}

/* table_get - is key there? Whole or a part; 1, 0, -1 with a warning */
static int table_get(const struct match_list *l, const struct item *it, const char *key, bool whole)
{
	struct buf value = BUF_INIT;
	int rc = (whole ? map_get : map_get_part)(it->table, key, &value);

	buf_free(&value);
	if (rc < 0 && !map_is_waiting()) {
		log_warn("parameter %s: %s: %s", l->name, it->text, map_error(it->table));
	}
	return rc;
}

/* table_domain - the domain, then what is above it: "b.c" and "c", or ".b.c" and ".c" */
static int table_domain(const struct match_list *l, const struct item *it, const char *domain)
{
	int rc = table_get(l, it, domain, true);
	const char *dot = domain;

	if (domain[0] == '[') {
		return rc;
	}
	while (rc == 0 && (dot = strchr(dot + 1, '.')) != NULL && dot[1] != '\0') {
		rc = table_get(l, it, dot + ((l->flags & MATCH_PARENT) != 0), false);
	}
	return rc;
}

/* name_matches - a name or, with MATCH_PARENT, something below it */
static bool name_matches(const struct match_list *l, const struct item *it, const char *domain)
{
	size_t n = strlen(it->text), len = strlen(domain);
	bool below = it->kind == ITEM_BELOW;

	if (!below && len == n) {
		return strcmp(domain, it->text) == 0;
	}
	return len > n + 1 && (below || (l->flags & MATCH_PARENT) != 0) &&
		domain[len - n - 1] == '.' && strcmp(domain + len - n, it->text) == 0;
}

/* match_name - one item against a name in lower case: 1, 0, -1 */
static int match_name(const struct match_list *l, const struct item *it, const char *name)
{
	switch (it->kind) {
	case ITEM_NAME:
	case ITEM_BELOW:
		return name_matches(l, it, name);
	case ITEM_TABLE:
		return table_domain(l, it, name);
	case ITEM_NET:
		return str_ieq(it->text, name);
	case ITEM_BAD:
		return -1;
	}
	return 0;
}

int match_domain(struct match_list *l, const char *domain)
{
	char low[KEY_MAX];

	if (!str_copy(low, sizeof(low), domain)) {
		return 0;
	}
	str_lower(low);
	for (size_t i = 0; i < l->count; i++) {
		const char *at = (l->flags & MATCH_USER) != 0 ? strrchr(low, '@') : NULL;
		int rc = match_name(l, &l->items[i], low);

		if (rc == 0 && at != NULL) {
			rc = match_name(l, &l->items[i], at + 1);
		}
		if (rc != 0) {
			return rc < 0 ? -1 : !l->items[i].negated;
		}
	}
	return 0;
}

/* match_one_host - an item against address and name */
static int match_one_host(const struct match_list *l, const struct item *it, const char *name,
	const char *addr, const unsigned char bytes[16])
{
	int rc;

	if (it->kind == ITEM_NET) {
		return net_matches(it, bytes);
	}
	if (it->kind == ITEM_TABLE) {
		rc = table_get(l, it, addr, true);
	} else {
		rc = it->kind == ITEM_BAD ? -1 : 0;
	}
	return rc == 0 && name != NULL ? match_name(l, it, name) : rc;
}

int match_host(struct match_list *l, const char *name, const char *addr)
{
	char low[KEY_MAX], plain[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	bool v4;

	if (l == NULL || !parse_addr(addr, strlen(addr), bytes, &v4)) {
		return 0;
	}
	if (is_mapped(bytes)) {
		inet_ntop(AF_INET, bytes + 12, plain, sizeof(plain));
	} else {
		inet_ntop(AF_INET6, bytes, plain, sizeof(plain));
	}
	if (name != NULL) {
		str_copy(low, sizeof(low), name);
		str_lower(low);
	}
	for (size_t i = 0; i < l->count; i++) {
		int rc = match_one_host(l, &l->items[i], name != NULL ? low : NULL, plain, bytes);

		if (rc != 0) {
			return rc < 0 ? -1 : !l->items[i].negated;
		}
	}
	return 0;
}

unsigned match_parent_flag(const char *name)
{
	return list_has(param.parent_domain_matches_subdomains, name) ? MATCH_PARENT : 0;
}
