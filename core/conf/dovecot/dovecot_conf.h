#ifndef CONF_DOVECOT_DOVECOT_CONF_H
#define CONF_DOVECOT_DOVECOT_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * dovecot.conf, both dialects (2.3 and 2.4): a tree of sections. The settings
 * that are plain names are rows of config/settings.def (SETTING_STR, _INT,
 * _TIME, _SIZE, _BOOL, as in params.def) and become fields of `setting`; sections
 * (passdb, userdb, service, namespace, mailbox, protocol, plugin) are walked.
 */
struct settings {
#define SETTING_STR(name, def, doc) const char *name;
#define SETTING_INT(name, def, min, max, doc) int64_t name;
#define SETTING_TIME(name, def, doc) int64_t name;
#define SETTING_SIZE(name, def, doc) int64_t name;
#define SETTING_BOOL(name, def, doc) bool name;
#define SETTING_GUARD(name, def, harmless, doc)
#define SETTING_OTHER(name, def, doc)
#include "../config/settings.def"
#undef SETTING_STR
#undef SETTING_INT
#undef SETTING_TIME
#undef SETTING_SIZE
#undef SETTING_BOOL
#undef SETTING_GUARD
#undef SETTING_OTHER
};

extern struct settings setting;

struct conf_node {                      /* a section or a setting */
	char *key;                      /* "service", "port" */
	char *name;                     /* section name ("imap-login") or NULL */
	char *value;                    /* a setting's, as written; NULL: a section */
	struct conf_node *first, *next; /* children, sibling */
	const char *file;
	int line;
};

/*
 * Read path and what it includes, convert the settings. 0; -1 with "file:line: what" (caller
 * frees) and nothing changed. Later settings win; unknown names are warned of with file and line,
 * not fatal; a value that does not convert gives way to the default, with a warning. A missing
 * file is an error unless optional. The tree and the texts of `setting` are good until the second
 * next load.
 */
int dovecot_conf_load(const char *path, bool optional, char **error_r);
/* -o name=value: wins over the file; remembered for every later load. False: no '='. */
bool dovecot_conf_override(const char *assignment);
/* Root of the tree; sections of the same key and name are merged. */
const struct conf_node *dovecot_conf_root(void);
const struct conf_node *conf_section(
	const struct conf_node *parent, const char *key, const char *name);
/* Value of a setting inside a section, def when it is not there. */
const char *conf_setting(const struct conf_node *section, const char *key, const char *def);
/* Next sibling section with that key after prev (NULL: the first). */
const struct conf_node *conf_next_section(
	const struct conf_node *parent, const char *key, const struct conf_node *prev);
/* The plain settings that we know (rows of settings.def), from 0 on; NULL behind the last. */
const char *dovecot_setting_name(size_t n);
/*
 * Every setting of the loaded file that nothing acts on: refused when it protects (SETTING_GUARD,
 * or a listener with haproxy = yes) and is set to more than conf_guard_harmless() allows.
 */
void dovecot_unused(void (*fn)(void *arg, const struct conf_node *node, bool refused), void *arg);
/* Is this one of them? Its default, or NULL. */
const char *dovecot_setting_default(const char *name);
/*
 * Value of a plain setting for a protocol ("imap"): from protocol NAME { }, else as at the top.
 * NULL: unknown name.
 */
const char *conf_protocol_setting(const char *protocol, const char *name);
/* Path of a "<file" or plain path value (certificates): without '<' and blanks. */
const char *dovecot_file_path(const char *value);
/* %u %n %d %h %s %L... and %{user} forms; result is mem-allocated. */
char *dovecot_expand(const char *text, const char *user, const char *home, const char *protocol);

#endif
