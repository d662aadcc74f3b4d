/*
 * check_tables - every table that the configuration names, wherever it stands
 *
 * Values of main.cf and -o of master.cf are looked through for type:name, braces too: parameters of
 * maps, lists of domains and networks, restrictions and their classes, members of unionmap and
 * pipemap. Caches of other programs (smtp_tls_session_cache_database) are none of ours.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "map/map.h"
#include "applets/daemon/supervise.h"
#include "applets/admin/postfix/check.h"
#include "applets/applets.h"

static struct {
	uid_t owner;
	gid_t group;
	bool building;
	struct hash seen; /* alias_maps and alias_database are often the same */
} G;

/*
 * closed_to_owner - a table that root reads and mail_owner cannot: made before there was such a
 * user, or while it was another one
 */
static bool closed_to_owner(const struct stat *st)
{
	gid_t groups[64];
	int count = ARRAY_LEN(groups);

	if (geteuid() != 0 || G.owner == 0) {
		return false;
	}
	if (st->st_uid == G.owner) {
		return (st->st_mode & S_IRUSR) == 0;
	}
	if (getgrouplist(param.mail_owner, G.group, groups, &count) < 0) {
		count = (int)ARRAY_LEN(groups);
	}
	for (int i = 0; i < count; i++) {
		if (groups[i] == st->st_gid) {
			return (st->st_mode & S_IRGRP) == 0;
		}
	}
	return (st->st_mode & S_IROTH) == 0;
}

/* check_built - name.db of an indexed table: there, not older than its source, not open to others,
 * whole */
static void check_built(const char *spec, const char *path, const char *parameter)
{
	bool alias = str_starts(parameter, "alias_");
	struct stat source, built;
	struct buf db = BUF_INIT, value = BUF_INIT;
	char *error = NULL;
	struct map *m;

	buf_addf(&db, "%s.db", path);
	if (stat(buf_str(&db), &built) != 0) {
		warning("%s: %s: %s: run %s %s", parameter, buf_str(&db), strerror(errno),
			alias ? "newaliases" : "postmap", alias ? "" : spec);
	} else {
		if (stat(path, &source) == 0 && source.st_mtime > built.st_mtime) {
			warning("database %s is older than source file %s", buf_str(&db), path);
		}
		if (built.st_mode & (S_IWGRP | S_IRWXO)) {
			warning("%s: mode %04o lets others in, 0640 is usual", buf_str(&db),
				(unsigned)built.st_mode & 07777);
		}
		if (closed_to_owner(&built)) {
			warning("%s: %s cannot read %s (the next start makes it again)", parameter,
				param.mail_owner, buf_str(&db));
		}
		m = map_open(spec, alias ? MAP_SOURCE_ALIAS : 0, &error);
		if (m != NULL && map_get(m, "postmaster", &value) < 0) {
			warning("%s: %s: %s", parameter, buf_str(&db), map_error(m));
		}
		map_close(m);
		mem_free(error);
	}
	buf_free(&db);
	buf_free(&value);
}

/* run_builder - postmap or postalias, by another process of ours; true: it succeeded */
static bool run_builder(const char *tool, const char *spec)
{
	const char *argv[] = { tool, "-c", conf_loaded_dir(), spec, NULL };
	int self = spawn_self("postfix"), status = -1;
	pid_t pid = -1;

	log_flush();
	if (self >= 0) {
		pid = fork();
	}
	if (pid == 0) {
		(void)fexecve(self, (char **)(uintptr_t)argv, environ);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
		;
	}
	if (self >= 0) {
		close(self);
	}
	return status == 0;
}

/* build - name.db, when it is missing, none of ours or closed, and its source is there */
static void build(const char *spec, const char *path, bool alias)
{
	const char *tool = alias ? "postalias" : "postmap", *why = NULL;
	struct buf value = BUF_INIT, db = BUF_INIT;
	char *error = NULL;
	struct stat st, built;
	struct map *m;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
		return;
	}
	buf_addf(&db, "%s.db", path);
	m = map_open(spec, alias ? MAP_SOURCE_ALIAS : 0, &error);
	if (m == NULL || map_get(m, "postmaster", &value) < 0) {
		why = m != NULL ? map_error(m) : error;
	} else if (stat(buf_str(&db), &built) == 0 && closed_to_owner(&built)) {
		why = "mail_owner cannot read it";
	}
	if (why != NULL) {
		script_info("making the table %s with %s: %s", spec, tool, why);
		if (!run_builder(tool, spec)) {
			script_warn("%s %s failed", tool, spec);
		}
	}
	map_close(m);
	mem_free(error);
	buf_free(&db);
	buf_free(&value);
}

/* ---- Finding them ---- */

/* is_map_list - every item of such a parameter is a table */
static bool is_map_list(const char *name)
{
	return str_ends(name, "_maps") || str_ends(name, "_checks") ||
		strcmp(name, "alias_database") == 0;
}

/* names_file - types whose name is a file; the others mean a table only where a table stands */
static bool names_file(const char *type)
{
	return map_type_is_indexed(type) || strcmp(type, "texthash") == 0 ||
		strcmp(type, "regexp") == 0 || strcmp(type, "pcre") == 0 ||
		strcmp(type, "cidr") == 0 || strcmp(type, "sqlite") == 0;
}

static void check_file_table(
	const char *spec, const char *type, const char *path, const char *parameter)
{
	char *error = NULL;
	struct map *m;

	if (map_type_is_indexed(type)) {
		if (G.building) {
			build(spec, path, str_starts(parameter, "alias_"));
		} else {
			script_check_file(path);
			check_built(spec, path, parameter);
		}
		return;
	}
	if (G.building) {
		return;
	}
	m = map_open(spec, 0, &error);
	if (m == NULL) {
		warning("%s/main.cf, line %d: %s: %s", conf_loaded_dir(), conf_line(parameter),
			parameter, error);
		mem_free(error);
	} else if (path[0] == '/' && names_file(type) && access(path, R_OK) != 0) {
		warning("%s: %s: %s", parameter, path, strerror(errno));
	}
	map_close(m);
}

static void check_text(struct arena *a, const char *text, const char *parameter);

/* check_word - type:name, "proxy:" before it taken off; an old table is a file alone */
static void check_word(struct arena *a, const char *spec, const char *parameter)
{
	const char *colon;
	char *type;

	while (str_starts(spec, "proxy:")) {
		spec += strlen("proxy:");
	}
	if (is_map_list(parameter) && spec[0] == '/') {
		spec = arena_printf(a, "%s:%s", param.default_database_type, spec);
	}
	colon = strchr(spec, ':');
	if (colon == NULL || hash_set(&G.seen, spec, &G) != NULL) {
		return;
	}
	type = arena_strndup(a, spec, (size_t)(colon - spec));
	if (strcmp(type, "unionmap") == 0 || strcmp(type, "pipemap") == 0) {
		check_text(a, colon + 1, parameter);
	} else if (names_file(type) || is_map_list(parameter)) {
		check_file_table(spec, type, colon + 1, parameter);
	}
}

/* check_text - its words; those in braces have words of their own */
static void check_text(struct arena *a, const char *text, const char *parameter)
{
	const char *p = text;

	while (*p != '\0') {
		const char *start = p + strspn(p, " \t\r\n,");
		int depth = 0;

		for (p = start; *p != '\0' && (depth > 0 || strchr(" \t\r\n,", *p) == NULL); p++) {
			depth += *p == '{' ? 1 : *p == '}' ? -1 : 0;
		}
		if (*start == '{' && p - start > 2) {
			check_text(
				a, arena_strndup(a, start + 1, (size_t)(p - start) - 2), parameter);
		} else if (p > start) {
			start += *start == '!';
			check_word(a, arena_strndup(a, start, (size_t)(p - start)), parameter);
		}
	}
}

/* has_tables - not caches, which their programs make, nor addresses of servers */
static bool has_tables(const char *name)
{
	return strstr(name, "_cache") == NULL && strcmp(name, "address_verify_map") != 0 &&
		!str_ends(name, "_milters") && !str_ends(name, "_transport");
}

static void check_overrides(struct arena *a)
{
	struct master_cf cf = { NULL, 0 };
	char *error = NULL;

	if (master_cf_read(arena_printf(a, "%s/master.cf", conf_loaded_dir()), &cf, &error) != 0) {
		mem_free(error); /* said by check_master_cf() */
		return;
	}
	for (size_t i = 0; i < cf.count; i++) {
		char **argv = cf.services[i].argv;

		for (; *argv != NULL; argv++) {
			char *equals = strchr(*argv, '=');

			if (equals != NULL) {
				const char *name =
					arena_strndup(a, *argv, (size_t)(equals - *argv));
				const char *value = conf_expand(a, equals + 1);

				if (value != NULL && has_tables(name)) {
					check_text(a, value, name);
				}
			}
		}
	}
	master_cf_free(&cf);
}

void check_tables(uid_t owner, gid_t group, bool building)
{
	struct arena a = ARENA_INIT;
	size_t count;
	const char **names = conf_set_names(&a, &count);

	G.owner = owner;
	G.group = group;
	G.building = building;
	for (size_t i = 0; i < count; i++) {
		const char *value = has_tables(names[i]) ? conf_value(&a, names[i]) : NULL;

		if (value != NULL) {
			check_text(&a, value, names[i]);
		}
	}
	check_overrides(&a);
	hash_free(&G.seen, NULL);
	memset(&G.seen, 0, sizeof(G.seen));
	arena_free(&a);
}
