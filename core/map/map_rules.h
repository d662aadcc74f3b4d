#ifndef MAP_MAP_RULES_H
#define MAP_MAP_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "map/map_impl.h"

/* Tables of rules (regexp, pcre, cidr): what is common is in map_rules.c. */

enum { MAX_GROUPS = 32 };

struct rule {
	enum { RULE_MATCH, RULE_IF, RULE_ENDIF } kind;
	bool negated;
	int line;
	size_t end; /* RULE_IF: number of its RULE_ENDIF */
	char *result;
	bool plain;    /* nothing in result to expand */
	size_t groups; /* that the pattern has */
	void *pattern; /* the kind's own */
};

struct rule_match {
	const char *key;
	unsigned char address[16]; /* cidr */
	int family;
	struct slice groups[MAX_GROUPS];
	size_t count;
};

struct rule_kind {
	/* The pattern at *text, which moves behind it. 0, or -1 with what is wrong. */
	int (*parse)(struct rule *r, const char **text, struct buf *why);
	/* Once a look-up; false: no rule can match this key. NULL: nothing to do. */
	bool (*prepare)(struct rule_match *match);
	/* 1 (groups set), 0, -1 with what is wrong. */
	int (*match)(const struct rule *r, struct rule_match *match, struct buf *why);
	void (*release)(struct rule *r);
};

/* For map_type: m->name is a path, or { {rule}, {rule} }. */
int rules_open(struct map *m, const struct rule_kind *kind);
int rules_get(struct map *m, const char *key, struct buf *value);
void rules_close(struct map *m);
/*
 * /pattern/ with any delimiter; the flags behind it are left in *text. -1: no pattern, not ended.
 */
int rules_delimited(const char **text, struct slice *pattern, struct buf *why);

#endif
