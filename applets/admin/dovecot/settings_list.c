/*
 * settings_list - the settings as they are read (dovecot -n, -a), as `doveconf` prints them
 *
 * What the files set, sections merged, in the order in which it stands there; -a also what nothing
 * sets, with its default. Passwords are not shown.
 */
#include <stdio.h>
#include <string.h>

#include "conf/dovecot/dovecot_conf.h"
#include "applets/admin/dovecot/dovecot.h"

static void put_setting(unsigned depth, const char *key, const char *value)
{
	bool secret = strstr(key, "password") != NULL && value[0] != '\0';

	printf("%*s%s =%s%s\n", (int)depth * 2, "", key, value[0] != '\0' ? " " : "",
		secret ? "# hidden" : value);
}

static void put_nodes(const struct conf_node *n, unsigned depth)
{
	for (; n != NULL; n = n->next) {
		if (n->value != NULL) {
			put_setting(depth, n->key, n->value);
			continue;
		}
		printf("%*s%s%s%s {\n", (int)depth * 2, "", n->key, n->name != NULL ? " " : "",
			n->name != NULL ? n->name : "");
		put_nodes(n->first, depth + 1);
		printf("%*s}\n", (int)depth * 2, "");
	}
}

void dovecot_show(const char *file, bool all)
{
	const struct conf_node *root = dovecot_conf_root();
	const char *name;

	printf("# %s\n", file);
	for (size_t i = 0; all && (name = dovecot_setting_name(i)) != NULL; i++) {
		if (conf_setting(root, name, NULL) == NULL) {
			put_setting(0, name, dovecot_setting_default(name));
		}
	}
	put_nodes(root->first, 0);
}
