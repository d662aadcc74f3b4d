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

/* A setting of a passdb or userdb section, and what it was called in args ("": the path). */
struct arg_name {
	const char *name, *was;
};

static const struct arg_name arg_options[] = {
	{ "default_password_scheme", "scheme=" },
	{ "passdb_default_password_scheme", "scheme=" },
	{ "default_pass_scheme", "scheme=" },
	{ "auth_username_format", "username_format=" },
};
static const struct arg_name arg_paths[] = {
	{ "passwd_file_path", "" },
	{ "passdb_passwd_file_path", "" },
	{ "userdb_passwd_file_path", "" },
};

static void add_arg(struct buf *args, const char *was, const char *value)
{
	buf_addf(args, "%s%s%s", args->len > 0 ? " " : "", was, value);
}

static void add_args(
	struct buf *args, const struct conf_node *db, const struct arg_name *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct conf_node *n = tree_find(db, names[i].name);

		if (n != NULL) {
			add_arg(args, names[i].was, n->value);
		}
	}
}

/* add_password - of the static driver, by either of its names */
static void add_password(struct buf *args, const struct conf_node *db)
{
	const struct conf_node *n = tree_find(db, "password");

	if (n == NULL) {
		n = tree_find(db, "passdb_static_password");
	}
	if (n != NULL) {
		add_arg(args, "password=", n->value);
	}
}

/* add_fields - each of a section of extra fields */
static void add_fields(struct buf *args, const struct conf_node *db)
{
	const struct conf_node *fields = conf_section(db, "fields", NULL);

	for (const struct conf_node *n = fields != NULL ? fields->first : NULL; n != NULL;
		n = n->next) {
		if (n->value != NULL) {
			buf_addf(args, "%s%s=%s", args->len > 0 ? " " : "", n->key, n->value);
		}
	}
}

/* name_driver - the section's own name is its driver, where no setting names one */
static void name_driver(struct dovecot_tree *t, struct conf_node *db)
{
	const struct conf_node *n;

	if (tree_find(db, "driver") == NULL && db->name != NULL) {
		n = tree_find(
			db, strcmp(db->key, "passdb") == 0 ? "passdb_driver" : "userdb_driver");
		tree_set(t, db, "driver", n != NULL ? n->value : db->name, db->file, db->line);
	}
}

/* join_args - what 2.3 had in args of passdb and userdb, the path last */
static void join_args(struct dovecot_tree *t, struct conf_node *db)
{
	struct buf args = BUF_INIT;

	name_driver(t, db);
	if (tree_find(db, "args") != NULL) {
		return;
	}
	add_args(&args, db, arg_options, ARRAY_LEN(arg_options));
	add_password(&args, db);
	add_fields(&args, db);
	add_args(&args, db, arg_paths, ARRAY_LEN(arg_paths));
	if (args.len > 0) {
		tree_set(t, db, "args", args.data, db->file, db->line);
	}
	buf_free(&args);
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
