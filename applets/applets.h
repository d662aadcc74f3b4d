/* applets.h - the table of applets and how one is found and started */
#ifndef APPLETS_APPLETS_H
#define APPLETS_APPLETS_H

#include <stddef.h>
#include <stdio.h>

#include "config/features.h"

/* Where `--install` and `make install` put an applet's link. */
enum applet_dir { APPLET_NONE, APPLET_BIN, APPLET_SBIN, APPLET_LIBEXEC };

/* As whom an applet is to run; master acts on it, commands do not care. */
enum applet_run { APPLET_CALLER, APPLET_OWNER, APPLET_ROOT };

/* One thing that can be run. `of` is the applet an alias stands for, NULL for
 * an applet itself; summary and usage of an alias are those of its applet. */
struct applet {
	const char *name;
	enum applet_dir dir;
	enum applet_run run;
	const char *of;
	const char *summary;
	const char *usage;
};

typedef int applet_main_fn(int argc, char **argv);
typedef int applet_call_fn(const struct applet *applet, int argc, char **argv);

#define APPLET(name, main, dir, run, summary, usage) applet_main_fn main;
#define ALIAS(name, main, dir, of)
#include "applets/applets.def"
#undef APPLET
#undef ALIAS

/* The whole table, sorted by name; *count_r is the number of rows. */
const struct applet *applet_table(size_t *count_r);

/* The applet or alias called name (no path), or NULL. An alias's own row is
 * returned: its main tells aliases apart by argv[0]. */
const struct applet *applet_find(const char *name);

/* The directory below the prefix, without a leading slash ("bin", "sbin",
 * "libexec/postfix"), or NULL where no link is made. */
const char *applet_dir_path(enum applet_dir dir);

/* Print "Usage: NAME ..." to fd 2 and return 1, the exit status of a command
 * that was called wrongly: `return applet_usage("postmap");` */
int applet_usage(const char *name);

/* The same with its summary, for --help; an alias shows its applet's. */
void applet_print_usage(FILE *out, const struct applet *applet);

/* Run another applet in this process; its exit status. getopt() has to begin anew (optind = 1). */
int applet_call(const struct applet *applet, int argc, char **argv);
/* From main(): how. */
void applet_set_call(applet_call_fn *call);

#endif
