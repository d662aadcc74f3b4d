#ifndef APPLETS_ADMIN_POSTCONF_POSTCONF_H
#define APPLETS_ADMIN_POSTCONF_POSTCONF_H

#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"

/* What the parts of postconf share. Each part reports errors itself and returns an exit status. */

enum { CLASS_BUILTIN = 1, CLASS_SERVICE = 2, CLASS_USER = 4, CLASS_ALL = 7 };

struct postconf {
	const char *dir;	/* of main.cf */
	bool defaults;		/* -d */
	bool set_only;		/* -n */
	bool fold;		/* -f */
	bool no_names;		/* -h */
	bool no_values;		/* -H */
	bool expand;		/* -x */
	bool json;		/* -j */
	bool quiet;		/* -q */
	bool show_dir;		/* config_directory was given: -n shows it */
	int classes;		/* -C */
	struct arena arena;
};

/* postconf_list.c: print the parameters named, or all of the classes. */
int postconf_list(struct postconf *pc, char **names);
/* Print "name = value" in the form the options ask for. */
void postconf_print(const struct postconf *pc, const char *name, const char *value);
/* Warn of names in main.cf that nothing uses, and of $names that nothing sets. */
void postconf_check_names(struct postconf *pc);

/* postconf_master.c: -M, -P, -F with patterns like "smtp/inet"; none: all. */
int postconf_services(struct postconf *pc, char **patterns);
int postconf_service_params(struct postconf *pc, char **patterns);
int postconf_service_fields(struct postconf *pc, char **patterns);
/*
 * Call fn for the value of each -o of master.cf, and name/type of each service. False: no
 * master.cf.
 */
bool postconf_each_override(struct postconf *pc, void (*fn)(void *arg, const char *value),
	void *arg);
bool postconf_each_service(struct postconf *pc,
	void (*fn)(void *arg, const char *name, const char *command), void *arg);

/* postconf_edit.c: -e (or name=value), -X, -#. */
enum edit_mode { EDIT_SET, EDIT_REMOVE, EDIT_COMMENT };
int postconf_edit(const struct postconf *pc, enum edit_mode mode, char **args);

#endif
