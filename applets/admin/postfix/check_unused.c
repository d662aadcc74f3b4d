/*
 * check_unused - what is set and not acted on: listed, counted, and refused where it protects
 *
 *	main.cf		rows of params.def without a field (GUARD, OTHER), restriction lists
 *	master.cf	the same in -o; services of a command that is not there
 *	dovecot.conf	rows of settings.def without a field, listeners with haproxy
 *
 * What would be open without it is "fatal", by a line that says where it stands.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/dovecot/dovecot_conf.h"
#include "conf/master_cf.h"
#include "conf/param_table.h"
#include "conf/params.h"
#include "policy/restrict_names.h"
#include "applets/admin/postfix/postfix.h"
#include "applets/admin/postfix/script.h"

struct unused {
	struct arena a;
	enum unused_say say;
	int count, refused;
	const char *where;     /* "/etc/postfix/main.cf, line 9" */
	const char *name;      /* of the restriction list */
	bool postscreen, sasl; /* there is one in master.cf; a port has AUTH */
};

/* tell - one setting that nothing acts on */
static void tell(struct unused *u, const char *where, const char *name, bool refused)
{
	u->count++;
	if (refused) {
		u->refused++;
		(void)script_fatal("%s: %s protects, and this build does not act on it: take it "
				   "out to run without that protection",
			where, name);
	} else if (u->say == UNUSED_LIST) {
		script_info("%s: %s is accepted and not acted on", where, name);
	}
}

static void tell_restriction(void *arg, const char *name, enum restrict_kind kind)
{
	struct unused *u = arg;

	if (kind == RESTRICT_NOT_BUILT) {
		u->count++;
		u->refused++;
		(void)script_fatal("%s: %s: the restriction %s is not built: it would answer "
				   "451 4.3.5 to all that is asked",
			u->where, u->name, name);
	}
}

static bool is_restriction_list(const char *name)
{
	return str_starts(name, "smtpd_") && str_ends(name, "_restrictions");
}

/*
 * is_moot - nothing is missing though nothing reads it: no biff is said; TLS sessions are kept, in
 * memory; places of files that are not ours
 */
static bool is_moot(const char *name, const char *value)
{
	static const char names[][32] = { "html_directory", "lmtp_tls_session_cache_database",
		"manpage_directory", "meta_directory", "readme_directory", "sample_directory",
		"shlib_directory", "smtp_tls_session_cache_database" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0) {
			return true;
		}
	}
	return strcmp(name, "biff") == 0 && strcmp(value, "no") == 0;
}

/* is_of_service - smtp_destination_rate_delay, where the one for all transports is not acted on */
static bool is_of_service(const char *name)
{
	const char *for_all = conf_service_default(name);
	int n = for_all != NULL ? param_find(for_all + 1) : -1;

	return n >= 0 && param_row((size_t)n)->type == PARAM_TYPE_OTHER;
}

/* look_at - one parameter that is set, in main.cf or by -o */
static void look_at(struct unused *u, const char *where, const char *name, const char *value)
{
	int n = param_find(name);
	enum param_type type = n >= 0 ? param_row((size_t)n)->type : PARAM_TYPE_STR;

	if (*name >= '0' && *name <= '9') {
		return; /* 2bounce_notice_recipient is no name of C: no type */
	}
	if (is_restriction_list(name)) {
		struct arena a = ARENA_INIT;

		u->where = where;
		u->name = name;
		restrict_each(conf_expand(&a, value), tell_restriction, u);
		arena_free(&a);
	} else if (strcmp(name, "smtpd_sasl_type") == 0) {
		if (u->sasl && conf_guard_refuses(name, value)) {
			tell(u, where, arena_printf(&u->a, "%s = %s", name, value), true);
		}
	} else if (type == PARAM_TYPE_GUARD || type == PARAM_TYPE_OTHER) {
		bool refused = conf_guard_refuses(name, value) &&
			(u->postscreen || !str_starts(name, "postscreen_"));

		if (refused || (type == PARAM_TYPE_OTHER && !is_moot(name, value))) {
			tell(u, where, name, refused);
		}
	} else if (is_of_service(name)) {
		tell(u, where, name, false);
	}
}

/* look_at_main_cf - all that is set there */
static void look_at_main_cf(struct unused *u)
{
	size_t count;
	const char **names = conf_set_names(&u->a, &count);

	for (size_t i = 0; i < count; i++) {
		int line = conf_line(names[i]);

		if (line > 0) {
			look_at(u,
				arena_printf(&u->a, "%s/main.cf, line %d", conf_loaded_dir(), line),
				names[i], conf_set_value(names[i]));
		}
	}
}

/* each_option - the -o of a service */
static void each_option(struct unused *u, const struct master_service *s, const char *where,
	void (*fn)(struct unused *u, const char *where, const char *name, const char *value))
{
	for (size_t i = 0; s->argv != NULL && s->argv[i] != NULL; i++) {
		const char *text = s->argv[i], *equals;

		if (!str_starts(text, "-o")) {
			continue;
		}
		text = text[2] != '\0' ? text + 2 : s->argv[i + 1];
		equals = text != NULL ? strchr(text, '=') : NULL;
		if (equals != NULL) {
			struct slice name =
				slice_trim((struct slice){ text, (size_t)(equals - text) });

			fn(u, where, arena_strndup(&u->a, name.ptr, name.len),
				equals + 1 + strspn(equals + 1, " \t"));
		}
	}
}

/* find_auth - is AUTH switched on for a port? */
static void find_auth(struct unused *u, const char *where, const char *name, const char *value)
{
	(void)where;
	if (strcmp(name, "smtpd_sasl_auth_enable") == 0 && str_ieq(value, "yes")) {
		u->sasl = true;
	}
}

/* look_at_files - master.cf is read before main.cf is looked at: what counts depends on it */
static void look_at_files(struct unused *u)
{
	struct master_cf cf = { NULL, 0 };
	const char *path = arena_printf(&u->a, "%s/master.cf", conf_loaded_dir());
	char *error = NULL;

	u->sasl = param.smtpd_sasl_auth_enable;
	if (master_cf_read(path, &cf, &error) != 0) {
		mem_free(error); /* said by who looks at master.cf itself */
	}
	for (size_t i = 0; i < cf.count; i++) {
		u->postscreen = u->postscreen || strcmp(cf.services[i].command, "postscreen") == 0;
		each_option(u, &cf.services[i], NULL, find_auth);
	}
	look_at_main_cf(u);
	for (size_t i = 0; i < cf.count; i++) {
		each_option(u, &cf.services[i],
			arena_printf(&u->a, "%s, line %d (%s)", path, cf.services[i].line,
				cf.services[i].name),
			look_at);
	}
	master_cf_free(&cf);
}

static void tell_dovecot(void *arg, const struct conf_node *n, bool refused)
{
	struct unused *u = arg;

	tell(u, arena_printf(&u->a, "%s:%d", n->file, n->line), n->key, refused);
}

int check_unused(enum unused_say say)
{
	struct unused u = { .a = ARENA_INIT, .say = say };
	char *error = NULL;

	look_at_files(&u);
	if (*param.dovecot_config_file != '\0') {
		if (dovecot_conf_load(param.dovecot_config_file, true, &error) == 0) {
			dovecot_unused(tell_dovecot, &u);
		}
		mem_free(error); /* said by who starts the services of it */
	}
	if (say == UNUSED_COUNT && u.count > u.refused) {
		script_info("%d setting%s not acted on: postfix check -v says which",
			u.count - u.refused, u.count - u.refused == 1 ? " is" : "s are");
	}
	arena_free(&u.a);
	return u.refused;
}
