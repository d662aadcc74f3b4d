#ifndef CONF_PARAMS_H
#define CONF_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/features.h"
#include "base/arena.h"
#include "base/buf.h"

/*
 * main.cf. Every parameter is one row of config/params.def; the row makes the
 * field of struct params, its parser and bounds, postconf -d and the manual.
 * The values are the one global of configuration: param.message_size_limit.
 * They are set by conf_load() and change only in conf_load() again (reload).
 *
 *   PARAM_STR(name, "default", "doc")	 text, $name expanded, never NULL
 *   PARAM_RAW(name, "default", "doc")	 text as written ($ kept: expanded when used)
 *   PARAM_INT(name, "default", min, max, "doc")	 int64_t
 *   PARAM_TIME(name, "default", "unit", min, max, "doc")	 int64_t seconds, suffixes s m h d w
 *   PARAM_BOOL(name, "default", "doc")	 bool, yes or no
 *   PARAM_GUARD(name, "default", "harmless", "doc")	 protects, not acted on: no field, refused
 *   PARAM_OTHER(name, "default", "doc")	 known to Postfix, accepted, not acted on: no field
 * Defaults are text because they may hold $name.
 */
struct params {
#define PARAM_STR(name, def, doc) const char *name;
#define PARAM_RAW(name, def, doc) const char *name;
#define PARAM_INT(name, def, min, max, doc) int64_t name;
#define PARAM_TIME(name, def, unit, min, max, doc) int64_t name;
#define PARAM_BOOL(name, def, doc) bool name;
#define PARAM_GUARD(name, def, harmless, doc)
#define PARAM_OTHER(name, def, doc)
#include "../config/params.def"
#undef PARAM_STR
#undef PARAM_RAW
#undef PARAM_INT
#undef PARAM_TIME
#undef PARAM_BOOL
#undef PARAM_GUARD
#undef PARAM_OTHER
};

extern struct params param;

/*
 * The directory of main.cf for a process: argument of -c (or NULL), else
 * MAIL_CONFIG, else /etc/postfix.
 */
const char *conf_dir(const char *dash_c);
/*
 * -o name=value (or { name = value }): wins over main.cf; remembered for every later conf_load().
 * False: no '='.
 */
bool conf_override(const char *assignment);
/* The same for a name that only the process knows: service_name, process_name. */
void conf_define(const char *name, const char *value);
/*
 * Read DIR/main.cf, expand, convert, set param. 0; -1 with a text that names
 * file and line in *error_r (caller frees) and param unchanged. Warnings
 * (overriding earlier entry, value out of bounds: default used) are logged.
 * A missing main.cf is an error unless optional (then defaults rule).
 */
int conf_load(const char *dir, bool optional, char **error_r);
/*
 * What most applets do first: conf_load of conf_dir(), log_fatal() on error is the applet's
 * business.
 */
/*
 * Texts of param are good until the second next conf_load(): a reload does not pull them from
 * under a session.
 */

/* Raw right-hand side as set in main.cf or -o, the default otherwise; NULL: unknown name. */
const char *conf_raw(const char *name);
/* Value of any name, user-defined ones too, expanded; NULL when unknown. Owned by a. */
const char *conf_value(struct arena *a, const char *name);
/* Expand $name ${name} $(name) ${name?x} ${name:y} ${name?{x}:{y}}; unknown names give "". */
const char *conf_expand(struct arena *a, const char *text);

#endif
