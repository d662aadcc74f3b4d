/*
 * restrict_set - the restriction lists of main.cf, read with the table of restrictions
 *
 * Reading a list (restrict.c) gets the table by pointer: a restriction of the table may itself
 * read and enter lists (access(5) actions).
 */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/params.h"
#include "ipc/verify.h"
#include "policy/restrict_internal.h"
#include "policy/restrict_names.h"

/* each_name - of a list and the classes in it */
static void each_name(struct arena *a, const char *text,
	void (*fn)(void *arg, const char *name, enum restrict_kind kind), void *arg, int depth)
{
	bool warn = false;
	char *name;

	while ((name = restrict_next_token(a, &text)) != NULL) {
		const struct restrict_row *row =
			restrict_find_row(restrict_rows, restrict_row_count, name);

		if (row != NULL && (row->flags & RULE_ARG) != 0) {
			(void)restrict_next_token(a, &text);
		}
		if (row == NULL && restrict_is_class(name)) {
			const char *value = conf_value(a, name);

			if (value != NULL && depth < RESTRICT_CLASS_DEPTH) {
				each_name(a, value, fn, arg, depth + 1);
			}
		} else if (!str_ieq(name, "warn_if_reject") && strchr(name, ':') == NULL) {
			fn(arg, name,
				row == NULL                       ? RESTRICT_UNKNOWN
					: row->fn != NULL || warn ? RESTRICT_BUILT
								  : RESTRICT_NOT_BUILT);
		}
		warn = str_ieq(name, "warn_if_reject");
	}
}

void restrict_each(const char *text,
	void (*fn)(void *arg, const char *name, enum restrict_kind kind), void *arg)
{
	struct arena a = ARENA_INIT;

	each_name(&a, text, fn, arg, 0);
	arena_free(&a);
}

/* has_guard - does a list (or a class in it) stop strangers from relaying? */
static bool has_guard(const struct restrict_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct restrict_rule *rule = &list->rules[i];

		if (rule->row != NULL && (rule->row->flags & RULE_GUARD) != 0 && !rule->warn) {
			return true;
		}
		if (rule->nested != NULL && has_guard(rule->nested)) {
			return true;
		}
	}
	return false;
}

struct restrict_set *restrict_set_new(char **error_r)
{
	const struct {
		const char *name, *text;
	} lists[RESTRICT_LISTS] = {
		[RESTRICT_CLIENT] = { "smtpd_client_restrictions",
			param.smtpd_client_restrictions },
		[RESTRICT_HELO] = { "smtpd_helo_restrictions", param.smtpd_helo_restrictions },
		[RESTRICT_SENDER] = { "smtpd_sender_restrictions",
			param.smtpd_sender_restrictions },
		[RESTRICT_RELAY] = { "smtpd_relay_restrictions", param.smtpd_relay_restrictions },
		[RESTRICT_RECIPIENT] = { "smtpd_recipient_restrictions",
			param.smtpd_recipient_restrictions },
		[RESTRICT_DATA] = { "smtpd_data_restrictions", param.smtpd_data_restrictions },
		[RESTRICT_END_OF_DATA] = { "smtpd_end_of_data_restrictions",
			param.smtpd_end_of_data_restrictions },
		[RESTRICT_ETRN] = { "smtpd_etrn_restrictions", param.smtpd_etrn_restrictions },
	};
	struct restrict_set *set = mem_alloc(sizeof(*set));

	set->rows = restrict_rows;
	set->row_count = restrict_row_count;
	set->warned = mem_calloc(restrict_row_count, sizeof(*set->warned));
	for (int i = 0; i < RESTRICT_LISTS; i++) {
		set->lists[i] = restrict_parse(set, lists[i].name, lists[i].text, 0);
	}
	set->login_maps = maps_open(param.smtpd_sender_login_maps, 0);
	if (!has_guard(set->lists[RESTRICT_RELAY]) && !has_guard(set->lists[RESTRICT_RECIPIENT])) {
		struct buf b = BUF_INIT;

		buf_adds(&b,
			"in parameter smtpd_relay_restrictions or"
			" smtpd_recipient_restrictions, specify at least one working instance of:"
			" reject_unauth_destination, defer_unauth_destination, reject, defer,"
			" defer_if_permit or check_relay_domains");
		*error_r = buf_steal(&b);
		restrict_set_free(set);
		return NULL;
	}
	return set;
}

void restrict_set_free(struct restrict_set *set)
{
	if (set == NULL) {
		return;
	}
	for (size_t i = 0; i < set->table_count; i++) {
		maps_close(set->tables[i]->table);
	}
	maps_close(set->login_maps);
	verify_client_free(set->verify);
	mem_free(set->tables);
	mem_free(set->warned);
	hash_free(&set->actions, NULL);
	arena_free(&set->arena);
	mem_free(set);
}
