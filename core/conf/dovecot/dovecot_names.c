/*
 * dovecot_names - the dialect of Dovecot 2.4, told in that of 2.3
 *
 * Settings that were only renamed get their old name when they are read
 * (dovecot_old.c). What was rearranged is put together after all is read:
 *
 *	mail_driver, mail_path, mail_inbox_path ...	mail_location (in a namespace: location)
 *	protocols { imap = yes }			protocols = imap
 *	passdb passwd-file { passwd_file_path }		driver = passwd-file, args = path
 *	userdb static { fields { uid = x } }		driver = static, args = uid=x
 */
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_tree.h"

/* The parts of a location, and how they follow driver:path. */
static const struct {
	const char *name, *tag;
} location_parts[] = {
	{ "mail_inbox_path", ":INBOX=" },
	{ "mail_index_path", ":INDEX=" },
	{ "mail_control_path", ":CONTROL=" },
	{ "mail_volatile_path", ":VOLATILEDIR=" },
	{ "mailbox_list_layout", ":LAYOUT=" },
	{ "mailbox_subscriptions_filename", ":SUBSCRIPTIONS=" },
};

/* join_location - mail_driver and its kin of a section become one setting */
static void join_location(struct dovecot_tree *t, struct conf_node *section, const char *name)
{
	const struct conf_node *driver = tree_find(section, "mail_driver"),
			       *path = tree_find(section, "mail_path");
	const struct conf_node *from = path != NULL ? path : driver;
	struct buf b = BUF_INIT;

	if (from == NULL) {
		return;
	}
	if (driver == NULL) {
		driver = tree_find(&t->root, "mail_driver");
	}
	if (path == NULL) {
		path = tree_find(&t->root, "mail_path");
	}
	buf_addf(&b, "%s:%s", driver != NULL ? driver->value : "maildir",
		path != NULL ? path->value : "");
	for (size_t i = 0; i < ARRAY_LEN(location_parts); i++) {
		const struct conf_node *part = tree_find(section, location_parts[i].name);

		if (part != NULL) {
			buf_addf(&b, "%s%s", location_parts[i].tag, part->value);
		}
	}
	tree_set(t, section, name, b.data, from->file, from->line);
	buf_free(&b);
}

/* join_list - a section of name = yes becomes a setting with the names */
static void join_list(struct dovecot_tree *t, const struct conf_node *section)
{
	const struct conf_node *old = tree_find(&t->root, section->key);
	struct buf b = BUF_INIT;

	if (old != NULL) {
		buf_adds(&b, old->value);
	}
	for (const struct conf_node *n = section->first; n != NULL; n = n->next) {
		if (n->value != NULL && str_ieq(n->value, "yes")) {
			buf_addf(&b, "%s%s", b.len > 0 ? " " : "", n->key);
		}
	}
	tree_set(t, &t->root, section->key, buf_str(&b), section->file, section->line);
	buf_free(&b);
}

/* join_args - what 2.3 had in args of passdb and userdb */
static void join_args(struct dovecot_tree *t, struct conf_node *db)
{
	static const char *const paths[] = { "passwd_file_path", "passdb_passwd_file_path",
		"userdb_passwd_file_path" };
	static const char *const schemes[] = { "default_password_scheme",
		"passdb_default_password_scheme" };
	struct buf b = BUF_INIT;
	const struct conf_node *n;

	if (tree_find(db, "driver") == NULL && db->name != NULL) {
		n = tree_find(
			db, strcmp(db->key, "passdb") == 0 ? "passdb_driver" : "userdb_driver");
		tree_set(t, db, "driver", n != NULL ? n->value : db->name, db->file, db->line);
	}
	if (tree_find(db, "args") != NULL) {
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		n = tree_find(db, schemes[i]);
		if (n != NULL) {
			buf_addf(&b, "scheme=%s ", n->value);
		}
	}
	n = tree_find(db, "default_pass_scheme");
	if (n != NULL) {
		buf_addf(&b, "scheme=%s ", n->value);
	}
	n = tree_find(db, "auth_username_format");
	if (n != NULL) {
		buf_addf(&b, "username_format=%s ", n->value);
	}
	n = tree_find(db, "password");
	if (n == NULL) {
		n = tree_find(db, "passdb_static_password");
	}
	if (n != NULL) {
		buf_addf(&b, "password=%s ", n->value);
	}
	for (const struct conf_node *f = conf_section(db, "fields", NULL),
				    *s = f != NULL ? f->first : NULL;
		s != NULL; s = s->next) {
		if (s->value != NULL) {
			buf_addf(&b, "%s=%s ", s->key, s->value);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		n = tree_find(db, paths[i]);
		if (n != NULL) {
			buf_addf(&b, "%s ", n->value);
		}
	}
	if (b.len > 0) {
		buf_truncate(&b, b.len - 1);
		tree_set(t, db, "args", b.data, db->file, db->line);
	}
	buf_free(&b);
}

void dovecot_translate(struct dovecot_tree *t)
{
	static const char *const lists[] = { "protocols", "mail_plugins", "auth_mechanisms" };

	join_location(t, &t->root, "mail_location");
	for (struct conf_node *n = t->root.first; n != NULL; n = n->next) {
		if (n->value != NULL) {
			continue;
		}
		if (strcmp(n->key, "namespace") == 0) {
			join_location(t, n, "location");
		}
		if (strcmp(n->key, "passdb") == 0 || strcmp(n->key, "userdb") == 0) {
			join_args(t, n);
		}
		for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
			if (strcmp(n->key, lists[i]) == 0 && n->name == NULL) {
				join_list(t, n);
			}
		}
	}
}
