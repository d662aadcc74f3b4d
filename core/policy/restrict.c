/*
 * restrict - restriction lists: reading and running them
 *
 * A set is read from param once and again after a reload. Running keeps its
 * place in a small stack of lists, so a rule that waits (RESTRICT_PENDING) is
 * simply called again, and a class or an access(5) action that is a list
 * nests without recursion.
 *
 * The order of things follows Postfix's SMTPD_ACCESS_README: the first rule
 * that decides ends its list; `permit' ends only that list; what
 * DEFER_IF_PERMIT says counts when everything else would permit.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "policy/restrict_internal.h"

enum { RULES_MAX = 1000, ACTIONS_MAX = 1000, REPLY_MAX = 900 };

/* ---- Reading ---- */

char *restrict_next_token(struct arena *a, const char **text)
{
	const char *p = *text + strspn(*text, ", \t\r\n"), *start = p;
	int depth = 0;

	if (*p == '\0') {
		return NULL;
	}
	while (*p != '\0' && (depth > 0 || strchr(", \t\r\n", *p) == NULL)) {
		depth += *p == '{' ? 1 : *p == '}' && depth > 0 ? -1 : 0;
		p++;
	}
	*text = p;
	if (*start == '{' && p[-1] == '}') {
		return arena_strndup(a, start + 1, (size_t)(p - start) - 2);
	}
	return arena_strndup(a, start, (size_t)(p - start));
}

bool restrict_is_class(const char *name)
{
	return list_has(param.smtpd_restriction_classes, name);
}

const struct restrict_row *restrict_find_row(
	const struct restrict_row *rows, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (str_ieq(rows[i].name, name)) {
			return &rows[i];
		}
	}
	return NULL;
}

/* keep_table - remember a rule whose table must be closed one day */
static void keep_table(struct restrict_set *set, struct restrict_rule *rule)
{
	if (set->table_count == set->table_cap) {
		set->table_cap = set->table_cap * 2 + 8;
		set->tables = mem_realloc(set->tables, set->table_cap * sizeof(*set->tables));
	}
	set->tables[set->table_count++] = rule;
}

/* read_class - the list that a restriction class stands for */
static void read_class(struct restrict_set *set, struct restrict_rule *rule, int depth)
{
	const char *value = conf_value(&set->arena, rule->name);

	if (value != NULL) {
		rule->nested = restrict_parse(set, rule->name, value, depth + 1);
	} else {
		log_warn("restriction class `%s' needs a definition", rule->name);
	}
}

/* read_argument - the word behind the name, if the row takes one; false: it is none of its kind */
static bool read_argument(struct restrict_set *set, struct restrict_rule *rule, const char **text)
{
	bool table = (rule->row->flags & RULE_TABLE) != 0;

	if ((rule->row->flags & RULE_ARG) == 0) {
		return true;
	}
	rule->arg = restrict_next_token(&set->arena, text);
	if (rule->arg != NULL && (!table || strchr(rule->arg, ':') != NULL)) {
		return true;
	}
	log_warn("restriction %s: bad argument \"%s\": need %s", rule->name,
		rule->arg != NULL ? rule->arg : "", table ? "maptype:mapname" : "a word");
	return false;
}

/* warn_not_built - once for each row */
static void warn_not_built(
	struct restrict_set *set, const char *what, const struct restrict_rule *rule)
{
	bool *warned = &set->warned[rule->row - set->rows];

	if (!*warned) {
		*warned = true;
		log_warn("%s: restriction %s is not built: what it is asked about is answered "
			 "451 4.3.5",
			what, rule->name);
	}
}

/* read_rule - what a name stands for; its argument is taken from *text */
static void read_rule(struct restrict_set *set, const char *what, struct restrict_rule *rule,
	const char **text, int depth)
{
	rule->row = restrict_find_row(set->rows, set->row_count, rule->name);
	if (rule->row != NULL) {
		if (!read_argument(set, rule, text)) {
			rule->row = NULL;
		} else if (rule->row->fn == NULL) {
			warn_not_built(set, what, rule);
		} else if ((rule->row->flags & RULE_TABLE) != 0) {
			rule->table = maps_open(rule->arg, 0);
			keep_table(set, rule);
		}
	} else if (restrict_is_class(rule->name) && depth < RESTRICT_CLASS_DEPTH) {
		read_class(set, rule, depth);
	} else {
		log_warn("%s: unknown smtpd restriction: \"%s\"", what, rule->name);
	}
}

/* What a table alone, the old form, stands for: it is looked up by what the list is about. */
static const struct {
	const char *list, *rule;
} implied[] = {
	{ "smtpd_client_restrictions", "check_client_access" },
	{ "smtpd_helo_restrictions", "check_helo_access" },
	{ "smtpd_sender_restrictions", "check_sender_access" },
	{ "smtpd_etrn_restrictions", "check_etrn_access" },
};

static const char *implied_rule(const char *list)
{
	for (size_t i = 0; i < ARRAY_LEN(implied); i++) {
		if (strcmp(list, implied[i].list) == 0) {
			return implied[i].rule;
		}
	}
	return "check_recipient_access";
}

/* count_tokens - at most RULES_MAX */
static size_t count_tokens(struct arena *a, const char *text)
{
	size_t count = 0;

	while (count < RULES_MAX && restrict_next_token(a, &text) != NULL) {
		count++;
	}
	return count;
}

struct restrict_list *restrict_parse(
	struct restrict_set *set, const char *what, const char *text, int depth)
{
	struct restrict_list *list = arena_alloc(&set->arena, sizeof(*list));
	size_t most = count_tokens(&set->arena, text);
	bool warn = false;
	char *name;

	list->rules = arena_alloc(&set->arena, (most + 1) * sizeof(*list->rules));
	while (list->count < most && (name = restrict_next_token(&set->arena, &text)) != NULL) {
		struct restrict_rule *rule = &list->rules[list->count];
		const char *table = name;

		if (str_ieq(name, "warn_if_reject")) {
			warn = true;
			continue;
		}
		rule->warn = warn;
		warn = false;
		if (strchr(name, ':') != NULL) {
			rule->name = implied_rule(what);
			read_rule(set, what, rule, &table, depth);
		} else {
			rule->name = name;
			read_rule(set, what, rule, &text, depth);
		}
		list->count++;
	}
	return list;
}

/* ---- Answers ---- */

enum restrict_verdict restrict_reject(
	struct restrict_run *run, int code, const char *dsn, const char *fmt, ...)
{
	char text[REPLY_MAX];
	const char *reply;
	va_list ap;

	if (map_is_waiting()) {
		return RESTRICT_PENDING; /* not even warn_if_reject knows yet what it is about */
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* The class of the enhanced code is that of the code (RFC 3463 2). */
	reply = arena_printf(run->arena, "%d %d%s %s", code, code / 100, dsn + 1, text);
	if (run->warn_if_reject) {
		run->query->log(run->query->arg, "reject_warning", reply);
		return RESTRICT_DUNNO;
	}
	if (code / 100 == 5 && run->defer_if_reject != NULL) {
		reply = run->defer_if_reject;
	}
	run->reply = reply;
	return RESTRICT_REJECT;
}

enum restrict_verdict restrict_misconfigured(struct restrict_run *run)
{
	run->reply = "451 4.3.5 Server configuration error";
	return RESTRICT_REJECT;
}

enum restrict_verdict restrict_no_answer(struct restrict_run *run, const char *name)
{
	return restrict_reject(run, 451, "4.3.0", "<%s>: Temporary lookup failure", name);
}

/* ---- Running ---- */

void restrict_begin(struct restrict_run *run, struct restrict_set *set,
	const struct restrict_query *query, struct arena *arena)
{
	memset(run, 0, sizeof(*run));
	run->set = set;
	run->query = query;
	run->arena = arena;
}

/* name_subject - what the replies of a list are about, unless a rule knows better */
static void name_subject(struct restrict_run *run, enum restrict_list_name list)
{
	const struct restrict_query *q = run->query;

	switch (list) {
	case RESTRICT_CLIENT:
		run->name = arena_printf(run->arena, "%s[%s]", q->client_name, q->client_addr);
		run->class_name = "Client host";
		break;
	case RESTRICT_HELO:
		run->name = q->helo;
		run->class_name = "Helo command";
		break;
	case RESTRICT_SENDER:
		run->name = q->sender != NULL ? q->sender : "";
		run->class_name = "Sender address";
		break;
	case RESTRICT_RELAY:
	case RESTRICT_RECIPIENT:
		run->name = q->recipient != NULL ? q->recipient : "";
		run->class_name = "Recipient address";
		break;
	case RESTRICT_DATA:
		run->name = "DATA";
		run->class_name = "Data command";
		break;
	case RESTRICT_END_OF_DATA:
		run->name = "END-OF-MESSAGE";
		run->class_name = "End-of-data";
		break;
	case RESTRICT_ETRN:
		run->name = q->etrn != NULL ? q->etrn : "";
		run->class_name = "Etrn command";
		break;
	case RESTRICT_LISTS:
		break;
	}
}

enum restrict_verdict restrict_enter(struct restrict_run *run, const struct restrict_list *list)
{
	if (run->depth == RESTRICT_DEPTH) {
		log_warn("restrictions nest too deeply");
		return restrict_misconfigured(run);
	}
	run->frames[run->depth].list = list;
	run->frames[run->depth].at = 0;
	run->depth++;
	return RESTRICT_DUNNO;
}

/* run_rule - one rule of a list */
static enum restrict_verdict run_rule(struct restrict_run *run, const struct restrict_rule *rule)
{
	enum restrict_verdict verdict;

	if (rule->nested != NULL) {
		return restrict_enter(run, rule->nested);
	}
	if (rule->row == NULL) {
		log_warn("unknown smtpd restriction: \"%s\"", rule->name);
		return restrict_misconfigured(run);
	}
	if (rule->row->fn == NULL) {
		/* Nothing can be refused behind warn_if_reject, nor let through. */
		return rule->warn ? RESTRICT_DUNNO : restrict_misconfigured(run);
	}
	run->warn_if_reject = rule->warn;
	verdict = rule->row->fn(run, rule);
	run->warn_if_reject = false;
	/* Whatever it made of a table without an answer: it is asked again. */
	verdict = map_is_waiting() ? RESTRICT_PENDING : verdict;
	log_debug(2, "restriction %s%s%s: %s", rule->name, rule->arg != NULL ? " " : "",
		rule->arg != NULL ? rule->arg : "",
		verdict == RESTRICT_OK                ? "permit"
			: verdict == RESTRICT_REJECT  ? run->reply
			: verdict == RESTRICT_PENDING ? "waits"
						      : "no opinion");
	return verdict;
}

enum restrict_verdict restrict_run(struct restrict_run *run, enum restrict_list_name list)
{
	if (run->discard) {
		return RESTRICT_OK; /* who gets what nobody gets is no matter */
	}
	if (run->depth == 0) {
		name_subject(run, list);
		run->list = list;
		(void)restrict_enter(run, run->set->lists[list]);
	}
	while (run->depth > 0) {
		const struct restrict_list *l = run->frames[run->depth - 1].list;
		size_t at = run->frames[run->depth - 1].at;
		enum restrict_verdict verdict;

		if (at >= l->count) {
			run->depth--;
			continue;
		}
		run->frames[run->depth - 1].at++;
		verdict = run_rule(run, &l->rules[at]);
		if (verdict == RESTRICT_PENDING) {
			run->frames[run->depth - 1].at = at;
			return verdict;
		}
		if (verdict != RESTRICT_DUNNO) {
			run->depth = 0;
			return verdict;
		}
	}
	return RESTRICT_DUNNO;
}
