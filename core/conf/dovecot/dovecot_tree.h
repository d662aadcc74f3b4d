#ifndef CONF_DOVECOT_DOVECOT_TREE_H
#define CONF_DOVECOT_DOVECOT_TREE_H

#include <stdbool.h>

#include "base/arena.h"
#include "conf/dovecot/dovecot_conf.h"

/* What the parts of the dovecot.conf reader share; not for others. */
struct dovecot_tree {
	struct arena arena; /* all nodes and texts */
	struct conf_node root;
	size_t nodes;
};

/* Setting key of section, or NULL. */
struct conf_node *tree_find(const struct conf_node *section, const char *key);
/* Set key in section (replaces: later wins). Texts are copied. */
struct conf_node *tree_set(struct dovecot_tree *t, struct conf_node *section, const char *key,
	const char *value, const char *file, int line);
/* The section key name below parent, made if it is not there or may not be merged. */
struct conf_node *tree_section(struct dovecot_tree *t, struct conf_node *parent, const char *key,
	const char *name, const char *file, int line);

/* Parse path into t. 0; -1 with text; 1: it does not exist. */
int dovecot_parse(struct dovecot_tree *t, const char *path, char **error_r);

/* 2.3's name of a 2.4 setting, or key itself; *inverted_r: yes means no. */
const char *dovecot_old_name(const char *key, bool *inverted_r);
/* Bring a parsed tree of the 2.4 dialect into the form of 2.3. */
void dovecot_translate(struct dovecot_tree *t);

/* Convert the plain settings of t into out; warns of what it does not know. */
void dovecot_convert(struct dovecot_tree *t, struct settings *out);
/* dovecot_unused() of a section and those in it. */
void dovecot_unused_below(const struct conf_node *section,
	void (*fn)(void *arg, const struct conf_node *node, bool refused), void *arg);

#endif
