/*
 * conf - main.cf: load, expand, convert into param
 *
 * conf_load() reads all of main.cf into a new state, converts every row of
 * params.def from it into a new struct params, and only then lets both take
 * the place of the old: a file with an error changes nothing.
 *
 * Where a value comes from, in this order: -o, main.cf, the default. Defaults
 * may hold $name, and look-ups do not depend on the order of lines. Three
 * defaults (myhostname, mydomain, mynetworks) are found out from the system;
 * parameters of single transports (smtp_destination_recipient_limit) fall back
 * to the one they are named after.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/defaults.h"
#include "conf/macro.h"
#include "conf/main_cf.h"
#include "conf/param_table.h"
#include "conf/params.h"

struct params param;

struct entry {
	const char *value;
	int line;
};

/* Defaults that were found out, once a state. */
enum found { FOUND_MYHOSTNAME, FOUND_MYDOMAIN, FOUND_MYNETWORKS, FOUND_COUNT };

static const char *const found_names[FOUND_COUNT] = { "myhostname", "mydomain", "mynetworks" };

struct state {
	const char *dir;
	struct hash entries; /* struct entry *, in the arena */
	struct arena arena;
	const char *found[FOUND_COUNT];
	bool finding[FOUND_COUNT]; /* being found out: a value that needs itself is empty */
};

static struct state current;
static struct arena previous; /* texts of the state before, for pointers still held */
static struct hash overrides; /* -o: char * */

static const char *raw_value(struct state *s, const char *name);

/* Parameters of single transports, by their ends (postconf(5), "transport_..."). */
static const struct {
	char suffix[46], def[54];
} service_suffixes[] = {
	{ "_destination_concurrency_failed_cohort_limit",
		"$default_destination_concurrency_failed_cohort_limit" },
	{ "_destination_concurrency_limit", "$default_destination_concurrency_limit" },
	{ "_destination_concurrency_negative_feedback",
		"$default_destination_concurrency_negative_feedback" },
	{ "_destination_concurrency_positive_feedback",
		"$default_destination_concurrency_positive_feedback" },
	{ "_destination_rate_delay", "$default_destination_rate_delay" },
	{ "_destination_recipient_limit", "$default_destination_recipient_limit" },
	{ "_initial_destination_concurrency", "$initial_destination_concurrency" },
	{ "_transport_rate_delay", "$default_transport_rate_delay" },
	{ "_delivery_slot_cost", "$default_delivery_slot_cost" },
	{ "_delivery_slot_discount", "$default_delivery_slot_discount" },
	{ "_delivery_slot_loan", "$default_delivery_slot_loan" },
	{ "_minimum_delivery_slots", "$default_minimum_delivery_slots" },
	{ "_extra_recipient_limit", "$default_extra_recipient_limit" },
	{ "_recipient_limit", "$default_recipient_limit" },
	{ "_recipient_refill_delay", "$default_recipient_refill_delay" },
	{ "_recipient_refill_limit", "$default_recipient_refill_limit" },
	{ "_time_limit", "$command_time_limit" },
};

const char *conf_service_default(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(service_suffixes); i++) {
		/* "default_..." itself is a parameter of its own. */
		if (str_ends(name, service_suffixes[i].suffix) && param_find(name) < 0) {
			return service_suffixes[i].def;
		}
	}
	return NULL;
}

const char *conf_service_suffix(size_t n)
{
	return n < ARRAY_LEN(service_suffixes) ? service_suffixes[n].suffix : NULL;
}

static const char *lookup(void *arg, const char *name)
{
	return raw_value(arg, name);
}

/* expand - into out; 0, or -1 with text */
static int expand(struct state *s, struct buf *out, const char *text, char **error_r)
{
	struct expand e = { .lookup = lookup, .arg = s, .recursive = true };

	return expand_text(&e, out, text, error_r);
}

/* expand_name - the value of a parameter for the use of find_out(); "" when it cannot be had */
static void expand_name(struct state *s, struct buf *out, const char *name)
{
	const char *value = raw_value(s, name);
	char *error = NULL;

	/* The parameter itself will be converted too, and the error be told then. */
	if (value != NULL && expand(s, out, value, &error) != 0) {
		buf_reset(out);
		mem_free(error);
	}
}

static bool is_set(struct state *s, const char *name)
{
	return hash_get(&overrides, name) != NULL || hash_get(&s->entries, name) != NULL;
}

/* find_out - a default that depends on the system */
static const char *find_out(struct state *s, enum found what)
{
	struct buf a = BUF_INIT, b = BUF_INIT, c = BUF_INIT, out = BUF_INIT;

	if (s->found[what] != NULL || s->finding[what]) {
		return s->found[what] != NULL ? s->found[what] : "";
	}
	s->finding[what] = true;
	switch (what) {
	case FOUND_MYHOSTNAME:
		if (is_set(s, "mydomain")) {
			expand_name(s, &a, "mydomain");
		}
		default_myhostname(&out, a.len > 0 ? a.data : "localdomain");
		break;
	case FOUND_MYDOMAIN:
		expand_name(s, &a, "myhostname");
		default_mydomain(&out, buf_str(&a));
		break;
	case FOUND_MYNETWORKS:
		expand_name(s, &a, "inet_interfaces");
		expand_name(s, &b, "inet_protocols");
		expand_name(s, &c, "mynetworks_style");
		if (default_mynetworks(&out, buf_str(&a), buf_str(&b), buf_str(&c)) != 0) {
			log_warn("%s/main.cf: mynetworks_style: unknown value \"%s\": using "
				 "\"host\"",
				s->dir, buf_str(&c));
		}
		break;
	case FOUND_COUNT:
		break;
	}
	s->finding[what] = false;
	s->found[what] = arena_strdup(&s->arena, buf_str(&out));
	buf_free(&a);
	buf_free(&b);
	buf_free(&c);
	buf_free(&out);
	return s->found[what];
}

/* default_value - what rules when nothing is set; NULL: unknown name */
static const char *default_value(struct state *s, const char *name)
{
	int n = param_find(name);

	for (int i = 0; i < FOUND_COUNT; i++) {
		if (strcmp(name, found_names[i]) == 0) {
			return find_out(s, (enum found)i);
		}
	}
	return n >= 0 ? param_default((size_t)n) : conf_service_default(name);
}

/* raw_value - right-hand side of a name, unexpanded; NULL: unknown */
static const char *raw_value(struct state *s, const char *name)
{
	const char *value = hash_get(&overrides, name);
	const struct entry *e;

	if (value != NULL) {
		return value;
	}
	e = hash_get(&s->entries, name);
	return e != NULL ? e->value : default_value(s, name);
}

const char *conf_dir(const char *dash_c)
{
	const char *dir = dash_c != NULL ? dash_c : getenv("MAIL_CONFIG");

	return dir != NULL && *dir != '\0' ? dir : "/etc/postfix";
}

void conf_define(const char *name, const char *value)
{
	mem_free(hash_set(&overrides, name, mem_strdup(value)));
}

bool conf_override(const char *assignment)
{
	struct slice whole = slice_trim(slice_of(assignment));
	char *text, *name, *value;
	struct assignment a;

	if (whole.len >= 2 && whole.ptr[0] == '{' && whole.ptr[whole.len - 1] == '}') {
		whole = (struct slice){ whole.ptr + 1, whole.len - 2 };
	}
	text = mem_strndup(whole.ptr, whole.len);
	if (assignment_split(text, &a) != NULL) {
		mem_free(text);
		return false;
	}
	name = mem_strndup(a.name.ptr, a.name.len);
	value = mem_strndup(a.value.ptr, a.value.len);
	conf_define(name, value);
	mem_free(value);
	mem_free(name);
	mem_free(text);
	return true;
}

/* add_entry - one assignment of main.cf */
static int add_entry(void *arg, struct slice name, struct slice value, int line)
{
	struct state *s = arg;
	struct entry *e = arena_alloc(&s->arena, sizeof(*e)), *old;
	char *key = mem_strndup(name.ptr, name.len);

	e->value = arena_strndup(&s->arena, value.ptr, value.len);
	e->line = line;
	old = hash_set(&s->entries, key, e);
	/* config_directory was entered before the file was read. */
	if (old != NULL && old->line > 0 && strcmp(old->value, e->value) != 0) {
		log_warn("%s/main.cf, line %d: overriding earlier entry: %s=%s", s->dir, line, key,
			old->value);
	}
	mem_free(key);
	return 0;
}

/* where - "dir/main.cf, line n" of a parameter, for messages */
static const char *where(struct state *s, const char *name)
{
	const struct entry *e = hash_get(&s->entries, name);

	if (hash_get(&overrides, name) != NULL) {
		return "option -o";
	}
	return e != NULL ? arena_printf(&s->arena, "%s/main.cf, line %d", s->dir, e->line)
			 : arena_printf(&s->arena, "%s/main.cf", s->dir);
}

/* convert_number - text of an INT, TIME or BOOL row; false: it is none or out of bounds */
static bool convert_number(const struct param_row *row, const char *text, int64_t *out)
{
	struct slice t = slice_trim(slice_of(text));
	char digits[32];
	bool good;

	if (t.len >= sizeof(digits)) {
		return false;
	}
	memcpy(digits, t.ptr, t.len);
	digits[t.len] = '\0';
	if (row->type == PARAM_TYPE_BOOL) {
		*out = str_ieq(digits, "yes");
		return *out != 0 || str_ieq(digits, "no");
	}
	good = row->type == PARAM_TYPE_TIME ? str_to_seconds(digits, row->unit, out)
					    : str_to_int(digits, INT64_MIN, INT64_MAX, out);
	return good && *out >= row->min && (*out <= row->max || row->max == INT32_MAX);
}

/* warn_bad - say what a value ought to have been */
static void warn_bad(struct state *s, size_t n, const char *value, const char *def)
{
	const struct param_row *row = param_row(n);
	struct buf want = BUF_INIT;

	if (row->type == PARAM_TYPE_BOOL) {
		buf_adds(&want, "yes or no");
	} else if (row->type == PARAM_TYPE_TIME) {
		buf_addf(&want, "a time such as %s, at least %d s", "30s, 5m, 2h or 1d",
			(int)row->min);
	} else if (row->max == INT32_MAX) {
		buf_addf(&want, "a number from %d", (int)row->min);
	} else {
		buf_addf(&want, "a number from %d to %d", (int)row->min, (int)row->max);
	}
	log_warn("%s: bad value: %s = %s: not %s: using the default %s", where(s, param_name(n)),
		param_name(n), value, buf_str(&want), def);
	buf_free(&want);
}

/* set_number - convert row n into its field; a bad value gives way to the default */
static int set_number(
	struct state *s, struct params *out, size_t n, const char *value, char **error_r)
{
	const struct param_row *row = param_row(n);
	struct buf def = BUF_INIT;
	void *field = (char *)out + row->field;
	int64_t v = 0;
	int rc = 0;

	if (!convert_number(row, value, &v)) {
		rc = expand(s, &def, default_value(s, param_name(n)), error_r);
		if (rc == 0) {
			warn_bad(s, n, value, buf_str(&def));
			/* A default that refers to something bad ends as its lowest value. */
			if (!convert_number(row, buf_str(&def), &v)) {
				v = row->min;
			}
		}
		buf_free(&def);
	}
	if (row->type == PARAM_TYPE_BOOL) {
		*(bool *)field = v != 0;
	} else {
		*(int64_t *)field = v;
	}
	return rc;
}

/* set_row - row n of params.def into its field; 0, or -1 with text */
static int set_row(struct state *s, struct params *out, size_t n, char **error_r)
{
	const struct param_row *row = param_row(n);
	const char *raw = raw_value(s, param_name(n));
	struct buf value = BUF_INIT;
	char *error = NULL;
	int rc = 0;

	if (row->type == PARAM_TYPE_RAW ||
		(row->type == PARAM_TYPE_STR && strchr(raw, '$') == NULL)) {
		*(const char **)((char *)out + row->field) =
			hash_get(&overrides, param_name(n)) != NULL ? arena_strdup(&s->arena, raw)
								    : raw;
		return 0;
	}
	rc = expand(s, &value, raw, &error);
	if (rc == 0 && row->type == PARAM_TYPE_STR) {
		*(const char **)((char *)out + row->field) =
			arena_strdup(&s->arena, buf_str(&value));
	} else if (rc == 0) {
		rc = set_number(s, out, n, buf_str(&value), &error);
	}
	if (rc != 0) {
		*error_r = mem_strdup(arena_printf(&s->arena, "%s: parameter %s: %s",
			where(s, param_name(n)), param_name(n), error));
		mem_free(error);
	}
	buf_free(&value);
	return rc;
}

/* read_myorigin - a path stands for the first line of that file (Debian's /etc/mailname) */
static int read_myorigin(struct state *s, struct params *out, char **error_r)
{
	char line[512];
	struct slice text;
	ssize_t n;
	int fd;

	if (out->myorigin[0] != '/') {
		return 0;
	}
	fd = open(out->myorigin, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	n = fd >= 0 ? read(fd, line, sizeof(line)) : -1;
	if (n < 0) {
		*error_r = mem_strdup(arena_printf(&s->arena, "%s: parameter myorigin: open %s: %s",
			where(s, "myorigin"), out->myorigin, strerror(errno)));
		if (fd >= 0) {
			close(fd);
		}
		return -1;
	}
	close(fd);
	text = (struct slice){ line, (size_t)n };
	text = slice_word(&text, "\r\n");
	text = slice_trim(text);
	out->myorigin = arena_strndup(&s->arena, text.len > 0 ? text.ptr : "", text.len);
	return 0;
}

static void state_free(struct state *s)
{
	hash_free(&s->entries, NULL);
	arena_free(&s->arena);
}

/* read_entries - main.cf of dir into a new state */
static int read_entries(struct state *next, const char *dir, bool optional, char **error_r)
{
	struct entry *e = arena_alloc(&next->arena, sizeof(*e));
	int rc;

	next->dir = arena_strdup(&next->arena, dir);
	/* Known to $config_directory, and main.cf may still say otherwise. */
	e->value = next->dir;
	hash_set(&next->entries, "config_directory", e);
	rc = main_cf_read(arena_printf(&next->arena, "%s/main.cf", dir), add_entry, next, error_r);
	if (rc == 1 && optional) {
		mem_free(*error_r);
		*error_r = NULL;
		rc = 0;
	}
	return rc;
}

/* take_over - next becomes the present state; the one before it is kept for one more turn */
static void take_over(const struct state *next)
{
	arena_free(&previous);
	previous = current.arena;
	hash_free(&current.entries, NULL);
	current = *next;
}

int conf_load(const char *dir, bool optional, char **error_r)
{
	struct state next = { .dir = NULL };
	struct params values = { 0 };
	char *error = NULL;
	int rc = read_entries(&next, dir, optional, &error);

	for (size_t n = 0; n < param_count() && rc == 0; n++) {
		if (param_row(n)->type < PARAM_TYPE_GUARD) {
			rc = set_row(&next, &values, n, &error);
		}
	}
	if (rc == 0) {
		rc = read_myorigin(&next, &values, &error);
	}
	if (rc != 0) {
		*error_r = error;
		state_free(&next);
		return -1;
	}
	take_over(&next);
	param = values;
	return 0;
}

int conf_read(const char *dir, bool optional, char **error_r)
{
	struct state next = { .dir = NULL };
	char *error = NULL;

	if (read_entries(&next, dir, optional, &error) != 0) {
		*error_r = error;
		state_free(&next);
		return -1;
	}
	take_over(&next);
	return 0;
}

const char *conf_raw(const char *name)
{
	return raw_value(&current, name);
}

const char *conf_expand_checked(struct arena *a, const char *text, char **error_r)
{
	struct buf out = BUF_INIT;
	const char *result = NULL;

	if (expand(&current, &out, text, error_r) == 0) {
		result = arena_strdup(a, buf_str(&out));
	}
	buf_free(&out);
	return result;
}

const char *conf_expand(struct arena *a, const char *text)
{
	char *error = NULL;
	const char *result = conf_expand_checked(a, text, &error);

	if (result == NULL) {
		log_warn("%s/main.cf: cannot expand \"%.60s\": %s",
			current.dir != NULL ? current.dir : "", text, error);
		mem_free(error);
		result = "";
	}
	return result;
}

const char *conf_value(struct arena *a, const char *name)
{
	const char *raw = conf_raw(name);

	return raw != NULL ? conf_expand(a, raw) : NULL;
}

/* ---- For postconf and `postfix check` ---- */

const char *conf_loaded_dir(void)
{
	return current.dir != NULL ? current.dir : "";
}

int conf_line(const char *name)
{
	const struct entry *e = hash_get(&current.entries, name);

	if (e != NULL) {
		return e->line;
	}
	return hash_get(&overrides, name) != NULL ? 0 : -1;
}

const char *conf_set_value(const char *name)
{
	const char *value = hash_get(&overrides, name);
	const struct entry *e = hash_get(&current.entries, name);

	return value != NULL ? value : e != NULL ? e->value : NULL;
}

const char *conf_default(const char *name)
{
	return default_value(&current, name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **conf_set_names(struct arena *a, size_t *count_r)
{
	const char **names =
		arena_alloc(a, (current.entries.count + overrides.count) * sizeof(*names));
	size_t n = 0;

	for (struct hash_entry *e = NULL; (e = hash_next(&current.entries, e)) != NULL;) {
		names[n++] = arena_strdup(a, e->key);
	}
	for (struct hash_entry *e = NULL; (e = hash_next(&overrides, e)) != NULL;) {
		if (hash_get(&current.entries, e->key) == NULL) {
			names[n++] = arena_strdup(a, e->key);
		}
	}
	qsort(names, n, sizeof(*names), compare_names);
	*count_r = n;
	return names;
}
