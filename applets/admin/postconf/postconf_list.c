/*
 * postconf_list - show parameters, and warn of names that mean nothing
 *
 * A name that is no parameter may still be set in main.cf: it is used when a
 * parameter, an -o of master.cf or another used name refers to it with $name,
 * or when smtpd_restriction_classes names it. What is set and never used is
 * most often a spelling mistake.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/macro.h"
#include "conf/main_cf.h"
#include "conf/param_table.h"
#include "conf/params.h"
#include "applets/admin/postconf/postconf.h"

/* ---- Names in use ---- */

struct usage {
	struct postconf *pc;
	struct hash used; /* of user-defined names: the value is not looked at */
	struct hash missing;
	const char *file; /* that is looked through; NULL: defaults */
	bool rows_only;   /* master.cf is shown: what main.cf does not use is another matter */
	bool unused;      /* looking through what nothing uses: it does not use anything either */
	const char **set; /* what main.cf and -o set */
	size_t count;
};

static void use_text(struct usage *u, const char *text);

/* is_known - a parameter, or what a program sets for itself when it starts */
static bool is_known(const char *name)
{
	return param_find(name) >= 0 || conf_service_default(name) != NULL ||
		strcmp(name, "service_name") == 0 || strcmp(name, "process_name") == 0 ||
		strcmp(name, "process_id") == 0;
}

/* use_name - somebody refers to name */
static void use_name(struct usage *u, const char *name)
{
	const char *value = conf_set_value(name);

	if (is_known(name) || hash_get(&u->used, name) != NULL || (u->unused && value != NULL)) {
		return;
	}
	if (value != NULL) {
		hash_set(&u->used, name, u);
		use_text(u, value);
	} else if (u->file != NULL && hash_set(&u->missing, name, u) == NULL && !u->pc->quiet) {
		log_warn("%s/%s: undefined parameter: %s", u->pc->dir, u->file, name);
	}
}

/* Both branches of a conditional count: any $name, wherever it stands. */
static void use_text(struct usage *u, const char *text)
{
	while ((text = strchr(text, '$')) != NULL) {
		size_t n;
		char *name;

		text++;
		if (*text == '$') {
			text++;
			continue;
		}
		if (*text == '{' || *text == '(') {
			text++;
		}
		text += strspn(text, " \t");
		n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
		if (n > 0) {
			name = mem_strndup(text, n);
			use_name(u, name);
			mem_free(name);
			text += n;
		}
	}
}

/* use_classes - names of restriction classes are parameters of their own */
static void use_classes(struct usage *u)
{
	const char *value = conf_set_value("smtpd_restriction_classes");
	struct slice rest, word;

	if (value == NULL) {
		return;
	}
	rest = slice_of(value);
	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		char *name = mem_strndup(word.ptr, word.len);

		if (conf_set_value(name) != NULL) {
			use_name(u, name);
		}
		mem_free(name);
	}
}

static void use_override(void *arg, const char *value)
{
	use_text(arg, value);
}

/* check_override - an -o of master.cf that nobody knows and nothing refers to */
static void check_override(void *arg, const char *value)
{
	struct usage *u = arg;
	struct assignment a;
	char *name;

	if (assignment_split(value, &a) != NULL) {
		return;
	}
	name = mem_strndup(a.name.ptr, a.name.len);
	if (!is_known(name) && hash_get(&u->used, name) == NULL &&
		hash_get(&u->missing, name) == NULL) {
		log_warn("%s/master.cf: unused parameter: %s=%.*s", u->pc->dir, name,
			(int)a.value.len, a.value.ptr);
	}
	mem_free(name);
}

/*
 * Values that are expanded where they are used have names of their own ($user,
 * $recipient); nobody misses those.
 */
static bool has_own_names(const char *name)
{
	/* Rows of OTHER and GUARD do not say it. */
	static const char *const others[] = { "default_rbl_reply", "message_reject_characters",
		"message_strip_characters", "smtpd_expansion_filter", "smtpd_reject_footer" };
	int n = param_find(name);

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (strcmp(others[i], name) == 0) {
			return true;
		}
	}
	return n >= 0 && param_row((size_t)n)->type == PARAM_TYPE_RAW;
}

/* collect - all that is used; warns of $names that are not set */
static void collect(struct usage *u, const char **names, size_t count)
{
	u->file = "master.cf";
	postconf_each_override(u->pc, use_override, u);
	u->file = "main.cf";
	for (size_t i = 0; i < count; i++) {
		if (is_known(names[i]) && !has_own_names(names[i])) {
			use_text(u, conf_set_value(names[i]));
		}
	}
	use_classes(u);
	u->unused = true;
	for (size_t i = 0; i < count; i++) {
		if (!is_known(names[i]) && hash_get(&u->used, names[i]) == NULL) {
			use_text(u, conf_set_value(names[i]));
		}
	}
	u->unused = false;
	/* Defaults refer to names from before, which may be set and need not be. */
	u->file = NULL;
	for (size_t n = 0; n < param_count(); n++) {
		if (conf_set_value(param_name(n)) == NULL && !has_own_names(param_name(n))) {
			use_text(u, param_default(n));
		}
	}
}

/* begin_usage - find out what is used; warns of what is not set. Nothing is with -d. */
static void begin_usage(struct usage *u, struct postconf *pc)
{
	memset(u, 0, sizeof(*u));
	u->pc = pc;
	if (pc->defaults) {
		return;
	}
	u->set = conf_set_names(&pc->arena, &u->count);
	collect(u, u->set, u->count);
}

/* end_usage - warn of what is set and not used */
static void end_usage(struct usage *u)
{
	fflush(stdout);
	for (size_t i = 0; i < u->count && !u->pc->quiet && !u->rows_only; i++) {
		if (!is_known(u->set[i]) && hash_get(&u->used, u->set[i]) == NULL) {
			log_warn("%s/main.cf: unused parameter: %s=%s", u->pc->dir, u->set[i],
				conf_set_value(u->set[i]));
		}
	}
	if (!u->pc->quiet && !u->pc->defaults) {
		postconf_each_override(u->pc, check_override, u);
	}
	hash_free(&u->used, NULL);
	hash_free(&u->missing, NULL);
}

void postconf_check_names(struct postconf *pc)
{
	struct usage u;

	begin_usage(&u, pc);
	u.rows_only = true;
	end_usage(&u);
}

/* ---- Lists ---- */

/* show - one parameter by its present or default value */
static void show(struct postconf *pc, const char *name)
{
	const char *value = pc->defaults ? conf_default(name) : conf_raw(name);
	char *error = NULL;

	/* What is expanded where it is used is shown as it is written. */
	if (pc->expand && !has_own_names(name)) {
		const char *expanded = conf_expand_checked(&pc->arena, value, &error);

		if (expanded == NULL && conf_set_value(name) != NULL) {
			log_fatal("%s: %s", name, error);
		}
		/* A default that stands for one that is expanded where it is used. */
		value = expanded != NULL ? expanded : value;
		mem_free(error);
	}
	postconf_print(pc, name, value);
}

struct names {
	const char **list;
	size_t count, cap;
};

static void add_name(struct names *n, const char *name)
{
	if (n->count == n->cap) {
		n->cap = n->cap > 0 ? n->cap * 2 : 1024;
		n->list = mem_realloc(n->list, n->cap * sizeof(*n->list));
	}
	n->list[n->count++] = name;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct adding {
	struct postconf *pc;
	struct names *names;
};

/* add_service - the parameters of a transport */
static void add_service(void *arg, const char *name, const char *command)
{
	static const char *const agents[] = { "error", "lmtp", "local", "pipe", "smtp", "virtual" };
	struct adding *a = arg;
	const char *suffix;
	size_t i = 0;

	while (i < ARRAY_LEN(agents) && strcmp(agents[i], command) != 0) {
		i++;
	}
	if (i == ARRAY_LEN(agents)) {
		return;
	}
	for (i = 0; (suffix = conf_service_suffix(i)) != NULL; i++) {
		const char *full;

		/* Only commands have a time limit. */
		if (strcmp(suffix, "_time_limit") == 0 && strcmp(command, "pipe") != 0) {
			continue;
		}
		full = arena_printf(&a->pc->arena, "%s%s", name, suffix);
		if (param_find(full) < 0 && (!a->pc->set_only || conf_set_value(full) != NULL)) {
			add_name(a->names, full);
		}
	}
}

/* add_set_names - what main.cf sets: parameters of transports, names of the user */
static void add_set_names(struct postconf *pc, const struct usage *u, struct names *names)
{
	for (size_t i = 0; i < u->count; i++) {
		bool service = conf_service_default(u->set[i]) != NULL;

		if (service && (pc->classes & CLASS_SERVICE)) {
			add_name(names, u->set[i]);
		} else if (!service && (pc->classes & CLASS_USER) &&
			hash_get(&u->used, u->set[i]) != NULL) {
			add_name(names, u->set[i]);
		}
	}
}

/* wanted - is a parameter part of the list? */
static bool wanted(const struct postconf *pc, const char *name)
{
	if (!pc->set_only) {
		return true;
	}
	if (conf_set_value(name) == NULL) {
		return false;
	}
	return strcmp(name, "config_directory") != 0 || conf_line(name) > 0 || pc->show_dir;
}

static void list_all(struct postconf *pc, const struct usage *u)
{
	struct names names = { NULL, 0, 0 };
	struct adding adding = { pc, &names };

	for (size_t n = 0; n < param_count() && (pc->classes & CLASS_BUILTIN); n++) {
		if (wanted(pc, param_name(n))) {
			add_name(&names, param_name(n));
		}
	}
	if (!pc->defaults) {
		if (pc->classes & CLASS_SERVICE) {
			postconf_each_service(pc, add_service, &adding);
		}
		add_set_names(pc, u, &names);
	}
	if (names.count > 0) {
		qsort(names.list, names.count, sizeof(*names.list), compare);
	}
	for (size_t i = 0; i < names.count; i++) {
		if (i == 0 || strcmp(names.list[i - 1], names.list[i]) != 0) {
			show(pc, names.list[i]);
		}
	}
	mem_free(names.list);
}

int postconf_list(struct postconf *pc, char **names)
{
	struct usage u;

	begin_usage(&u, pc);
	if (*names == NULL) {
		list_all(pc, &u);
	}
	for (char **name = names; *name != NULL; name++) {
		if (!is_known(*name) && hash_get(&u.used, *name) == NULL) {
			log_warn("%s: unknown parameter", *name);
		}
	}
	for (char **name = names; *name != NULL; name++) {
		if (is_known(*name) || hash_get(&u.used, *name) != NULL) {
			show(pc, *name);
		}
	}
	end_usage(&u);
	return 0;
}
