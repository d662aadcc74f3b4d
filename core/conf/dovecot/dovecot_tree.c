/*
 * dovecot_tree - the sections and settings of dovecot.conf, found and made
 */
#include "conf/dovecot/dovecot_tree.h"

#include <string.h>

/* is_section - of this kind and name; name NULL: without one */
static bool is_section(const struct conf_node *n, const char *key, const char *name)
{
	return n->value == NULL && strcmp(n->key, key) == 0 &&
		(name == NULL ? n->name == NULL : n->name != NULL && strcmp(n->name, name) == 0);
}

const struct conf_node *conf_section(
	const struct conf_node *parent, const char *key, const char *name)
{
	for (const struct conf_node *n = parent->first; n != NULL; n = n->next) {
		if (is_section(n, key, name)) {
			return n;
		}
	}
	return NULL;
}

const char *conf_setting(const struct conf_node *section, const char *key, const char *def)
{
	const struct conf_node *n = section != NULL ? tree_find(section, key) : NULL;

	return n != NULL ? n->value : def;
}

const struct conf_node *conf_next_section(
	const struct conf_node *parent, const char *key, const struct conf_node *prev)
{
	const struct conf_node *n = prev != NULL ? prev->next : parent->first;

	while (n != NULL && (n->value != NULL || strcmp(n->key, key) != 0)) {
		n = n->next;
	}
	return n;
}

struct conf_node *tree_find(const struct conf_node *section, const char *key)
{
	for (struct conf_node *n = section->first; n != NULL; n = n->next) {
		if (n->value != NULL && strcmp(n->key, key) == 0) {
			return n;
		}
	}
	return NULL;
}

/* add_node - at the end of a section */
static struct conf_node *add_node(struct dovecot_tree *t, struct conf_node *section,
	const char *key, const char *file, int line)
{
	struct conf_node *n = arena_alloc(&t->arena, sizeof(*n)), **where = &section->first;

	while (*where != NULL) {
		where = &(*where)->next;
	}
	n->key = arena_strdup(&t->arena, key);
	n->file = file;
	n->line = line;
	t->nodes++;
	*where = n;
	return n;
}

struct conf_node *tree_set(struct dovecot_tree *t, struct conf_node *section, const char *key,
	const char *value, const char *file, int line)
{
	struct conf_node *n = tree_find(section, key);

	if (n == NULL) {
		n = add_node(t, section, key, file, line);
	}
	n->value = arena_strdup(&t->arena, value);
	n->file = file;
	n->line = line;
	return n;
}

struct conf_node *tree_section(struct dovecot_tree *t, struct conf_node *parent, const char *key,
	const char *name, const char *file, int line)
{
	bool own = name == NULL &&
		(strcmp(key, "passdb") == 0 || strcmp(key, "userdb") == 0 ||
			strcmp(key, "namespace") == 0);
	struct conf_node *n;

	for (n = parent->first; n != NULL && !own; n = n->next) {
		if (is_section(n, key, name)) {
			return n;
		}
	}
	n = add_node(t, parent, key, file, line);
	n->name = arena_strdup(&t->arena, name);
	return n;
}
