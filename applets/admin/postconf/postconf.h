#ifndef APPLETS_ADMIN_POSTCONF_POSTCONF_H
#define APPLETS_ADMIN_POSTCONF_POSTCONF_H

#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/* What the parts of postconf share. Each part reports errors itself and returns an exit status. */

enum { CLASS_BUILTIN = 1, CLASS_SERVICE = 2, CLASS_USER = 4, CLASS_ALL = 7 };

struct postconf {
	const char *dir; /* of main.cf */
	bool defaults;   /* -d */
	bool set_only;   /* -n */
	bool fold;       /* -f */
	bool no_names;   /* -h */
	bool no_values;  /* -H */
	bool expand;     /* -x */
	bool json;       /* -j */
	bool quiet;      /* -q */
	bool show_dir;   /* config_directory was given: -n shows it */
	int classes;     /* -C */
	struct arena arena;
};

/* postconf_list.c: print the parameters named, or all of the classes. */
int postconf_list(struct postconf *pc, char **names);
/* Print "name = value" in the form the options ask for. */
void postconf_print(const struct postconf *pc, const char *name, const char *value);
/* Warn of parameters in master.cf that nothing uses, and of $names that nothing sets. */
void postconf_check_names(struct postconf *pc);

/* postconf_master.c: -M, -P, -F with patterns like "smtp/inet"; none: all. */
int postconf_services(struct postconf *pc, char **patterns);
int postconf_service_params(struct postconf *pc, char **patterns);
int postconf_service_fields(struct postconf *pc, char **patterns);
/*
 * Call fn for the value of each -o of master.cf, and name/type of each service. False: no
 * master.cf.
 */
bool postconf_each_override(
	struct postconf *pc, void (*fn)(void *arg, const char *value), void *arg);
bool postconf_each_service(struct postconf *pc,
	void (*fn)(void *arg, const char *name, const char *command), void *arg);

enum { MASTER_COLUMNS = 8 };
extern const char *const postconf_columns[MASTER_COLUMNS]; /* "service", "type" ... */
/* A row of master.cf as text; argv: behind the command, NULL at its end. fold: as several lines. */
void postconf_add_row(
	struct buf *out, const char *const *columns, const char *const *argv, bool fold);

/* postconf_edit.c: -e (or name=value), -X, -#. */
enum edit_mode { EDIT_SET, EDIT_REMOVE, EDIT_COMMENT };
int postconf_edit(const struct postconf *pc, enum edit_mode mode, char **args);
/*
 * Write a file of pc->dir anew: fn puts the new text for the old one into out and returns NULL, or
 * an error. Whole or not at all, with mode and owner; two at once wait for each other. purpose ("",
 * " for reading") is part of the error when there is no file. Ends on errors.
 */
void postconf_rewrite(const struct postconf *pc, const char *file, const char *purpose,
	char *(*fn)(void *arg, const char *path, struct slice text, struct buf *out), void *arg);

/* postconf_master_edit.c: the same for rows (-M), fields (-F) and parameters (-P) of master.cf. */
enum master_part { PART_ROW, PART_FIELD, PART_PARAM };
int postconf_edit_master(
	struct postconf *pc, enum master_part part, enum edit_mode mode, char **args);

#endif
