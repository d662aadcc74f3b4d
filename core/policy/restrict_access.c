/*
 * restrict_access - check_*_access and what the right-hand sides of access(5) mean
 *
 *	OK, RELAY, all digits	permit			DUNNO		no opinion
 *	REJECT [text]		554 5.7.1		DEFER [text]	450 4.7.1
 *	4NN text, 5NN text	that code		DEFER_IF_PERMIT, DEFER_IF_REJECT [text]
 *	HOLD, DISCARD [text]	the mail waits, or is accepted and dropped
 *	REDIRECT, BCC user@dom	all recipients become one; one more
 *	PREPEND header: text	INFO, WARN [text]	a list of restrictions
 *
 * access(5) of Postfix.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "address/access.h"
#include "policy/restrict_internal.h"

enum { ACTIONS_MAX = 1000 };

/* A look-up under way: what the action's replies are about. */
struct subject {
	const char *table, *name, *class_name;
};

typedef enum restrict_verdict action_fn(
	struct restrict_run *run, const struct subject *s, const char *text);

const char *restrict_split_dsn(struct restrict_run *run, const char **text, const char *def)
{
	const char *p = *text;
	size_t n = strspn(p, "0123456789.");

	if (n >= 5 && n <= 9 && (p[n] == ' ' || p[n] == '\t' || p[n] == '\0') && p[1] == '.' &&
		(p[0] == '2' || p[0] == '4' || p[0] == '5')) {
		*text = p + n + strspn(p + n, " \t");
		return arena_strndup(run->arena, p, n);
	}
	return def;
}

/*
 * fit_dsn - X.1.N speaks of an address (RFC 3463 3.2): where the reply is about something else, or
 * about the other address, it becomes a code that says no more than is true
 */
static const char *fit_dsn(struct restrict_run *run, const char *class_name, const char *dsn)
{
	/* What is said of a recipient (X.1.1 to X.1.6), about a sender; and the reverse. */
	static const char sender_forms[] = "078770778", recipient_forms[] = "012345632";
	const char *n = dsn + 4, *fit;

	if (strncmp(dsn + 1, ".1.", 3) != 0 || *n < '0' || *n > '8' || n[1] != '\0') {
		return dsn;
	}
	if (strcmp(class_name, "Sender address") == 0) {
		fit = arena_printf(run->arena, "%c.1.%c", dsn[0], sender_forms[*n - '0']);
	} else if (strcmp(class_name, "Recipient address") == 0) {
		fit = arena_printf(run->arena, "%c.1.%c", dsn[0], recipient_forms[*n - '0']);
	} else {
		fit = arena_printf(run->arena, "%c.0.0", dsn[0]);
	}
	if (strcmp(dsn, fit) != 0) {
		log_info("mapping DSN status %s into %s status %s", dsn, class_name, fit);
	}
	return fit;
}

/* refuse - a rejection about the subject */
static enum restrict_verdict refuse(struct restrict_run *run, const struct subject *s, int code,
	const char *def_dsn, const char *text)
{
	const char *dsn = fit_dsn(run, s->class_name, restrict_split_dsn(run, &text, def_dsn));

	return restrict_reject(run, code, dsn, "<%s>: %s rejected: %s", s->name, s->class_name,
		*text != '\0' ? text : "Access denied");
}

static enum restrict_verdict do_ok(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	(void)run, (void)s, (void)text;
	return RESTRICT_OK;
}

static enum restrict_verdict do_dunno(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	(void)run, (void)s, (void)text;
	return RESTRICT_DUNNO;
}

static enum restrict_verdict do_reject(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	return refuse(run, s, (int)param.access_map_reject_code, "5.7.1", text);
}

static enum restrict_verdict do_defer(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	return refuse(run, s, (int)param.access_map_defer_code, "4.7.1", text);
}

/* defer_text - the reply that a DEFER_IF action may turn into later */
static const char *defer_text(
	struct restrict_run *run, const struct subject *s, const char *text, const char *def)
{
	const char *dsn = fit_dsn(run, s->class_name, restrict_split_dsn(run, &text, "4.7.1"));

	return arena_printf(run->arena, "%d 4%s <%s>: %s rejected: %s",
		(int)param.access_map_defer_code, dsn + 1, s->name, s->class_name,
		*text != '\0' ? text : def);
}

static enum restrict_verdict do_defer_if_permit(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	if (run->defer_if_permit == NULL) {
		run->defer_if_permit = defer_text(run, s, text, "Service unavailable");
	}
	return RESTRICT_DUNNO;
}

static enum restrict_verdict do_defer_if_reject(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	if (run->defer_if_reject == NULL) {
		run->defer_if_reject = defer_text(run, s, text, "Service unavailable");
	}
	return RESTRICT_DUNNO;
}

/* tell - the log line of an action that lets the mail pass */
static void tell(struct restrict_run *run, const struct subject *s, const char *what,
	const char *verb, const char *text)
{
	run->query->log(run->query->arg, what,
		arena_printf(run->arena, "<%s>: %s %s%s%s", s->name, s->class_name, verb,
			*text != '\0' ? " " : "", text));
}

static enum restrict_verdict do_hold(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	tell(run, s, "hold", *text != '\0' ? text : "triggers HOLD action", "");
	run->hold = true;
	return RESTRICT_DUNNO;
}

static enum restrict_verdict do_discard(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	tell(run, s, "discard", *text != '\0' ? text : "triggers DISCARD action", "");
	run->discard = true;
	return RESTRICT_OK;
}

static enum restrict_verdict do_redirect(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	if (strchr(text, '@') == NULL) {
		log_warn("access table %s entry \"REDIRECT %s\" requires user@domain target",
			s->table, text);
		return restrict_misconfigured(run);
	}
	tell(run, s, "redirect", "triggers REDIRECT", text);
	run->redirect = arena_strdup(run->arena, text);
	return RESTRICT_DUNNO;
}

static enum restrict_verdict do_bcc(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	if (strchr(text, '@') == NULL) {
		log_warn("access table %s entry \"BCC %s\" requires user@domain target", s->table,
			text);
		return restrict_misconfigured(run);
	}
	tell(run, s, "bcc", "triggers BCC", text);
	run->bcc = arena_strdup(run->arena, text);
	return RESTRICT_DUNNO;
}

static enum restrict_verdict do_prepend(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	struct restrict_header *header, **tail = &run->prepend;

	if (strchr(text, ':') == NULL) {
		log_warn("access table %s entry \"PREPEND %s\" requires header: text", s->table,
			text);
		return restrict_misconfigured(run);
	}
	while (*tail != NULL) {
		tail = &(*tail)->next;
	}
	header = arena_alloc(run->arena, sizeof(*header));
	header->text = arena_strdup(run->arena, text);
	*tail = header;
	return RESTRICT_DUNNO;
}

static enum restrict_verdict do_info(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	(void)s;
	run->query->log(run->query->arg, "info", text);
	return RESTRICT_DUNNO;
}

static enum restrict_verdict do_warn(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	(void)s;
	run->query->log(run->query->arg, "warn", text);
	return RESTRICT_DUNNO;
}

static enum restrict_verdict do_filter(
	struct restrict_run *run, const struct subject *s, const char *text)
{
	log_warn("access table %s: FILTER %s for <%s> is not built", s->table, text, s->name);
	return restrict_misconfigured(run);
}

static const struct {
	const char *name;
	action_fn *fn;
} actions[] = {
	{ "OK", do_ok },
	{ "RELAY", do_ok },
	{ "DUNNO", do_dunno },
	{ "REJECT", do_reject },
	{ "DEFER", do_defer },
	{ "DEFER_IF_PERMIT", do_defer_if_permit },
	{ "DEFER_IF_REJECT", do_defer_if_reject },
	{ "HOLD", do_hold },
	{ "DISCARD", do_discard },
	{ "REDIRECT", do_redirect },
	{ "BCC", do_bcc },
	{ "PREPEND", do_prepend },
	{ "INFO", do_info },
	{ "WARN", do_warn },
	{ "FILTER", do_filter },
};

/* run_list - the right-hand side is a list of restrictions; parsed once a text */
static enum restrict_verdict run_list(
	struct restrict_run *run, const struct subject *s, const char *value)
{
	struct restrict_set *set = run->set;
	struct restrict_list *list = hash_get(&set->actions, value);

	if (list == NULL) {
		if (set->actions.count >= ACTIONS_MAX) {
			log_warn("access table %s: too many different actions", s->table);
			return restrict_misconfigured(run);
		}
		list = restrict_parse(set, s->table, value, 0);
		(void)hash_set(&set->actions, value, list);
	}
	return restrict_enter(run, list);
}

/* restrict_action - a result of access(5): do what the right-hand side says */
static enum restrict_verdict restrict_action(struct restrict_run *run, const char *table,
	const char *value, const char *name, const char *class_name)
{
	const struct subject s = { table, name, class_name };
	size_t n = strcspn(value, " \t");
	const char *text = value + n + strspn(value + n, " \t");

	if (n == 0) {
		log_warn("access table %s entry %s has empty value", table, name);
		return restrict_reject(run, 451, "4.3.5",
			"<%s>: %s rejected: Server configuration error", name, class_name);
	}
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (slice_ieq((struct slice){ value, n }, actions[i].name)) {
			return actions[i].fn(run, &s, text);
		}
	}
	if (strspn(value, "0123456789") == n) {
		if (n == 3 && (*value == '4' || *value == '5') && *text != '\0') {
			int code =
				(value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');

			return refuse(run, &s, code, *value == '4' ? "4.7.1" : "5.7.1", text);
		}
		return *text == '\0' ? RESTRICT_OK : run_list(run, &s, value);
	}
	return run_list(run, &s, value);
}

/* finish - a look-up's result */
static enum restrict_verdict finish(struct restrict_run *run, const struct restrict_rule *rule,
	int rc, struct buf *value, const char *name, const char *class_name)
{
	enum restrict_verdict verdict = RESTRICT_DUNNO;

	if (map_is_waiting()) {
		verdict = RESTRICT_PENDING;
	} else if (rc > 0) {
		verdict = restrict_action(
			run, rule->arg, arena_strdup(run->arena, buf_str(value)), name, class_name);
	} else if (rc < 0) {
		log_warn("%s: table lookup error for \"%s\"", rule->arg, name);
		verdict = restrict_reject(run, 451, "4.3.5",
			"<%s>: %s rejected: Server configuration error", name, class_name);
	}
	buf_free(value);
	return verdict;
}

enum restrict_verdict restrict_client_access(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	const struct restrict_query *q = run->query;
	struct buf value = BUF_INIT;
	int rc = access_find_client(rule->table, q->client_name, q->client_addr, &value);

	return finish(run, rule, rc, &value,
		arena_printf(run->arena, "%s[%s]", q->client_name, q->client_addr), "Client host");
}

enum restrict_verdict restrict_helo_access(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	struct buf value = BUF_INIT;
	int rc = *run->query->helo != '\0'
		? access_find_domain(rule->table, run->query->helo, &value)
		: 0;

	return finish(run, rule, rc, &value, run->query->helo, "Helo command");
}

enum restrict_verdict restrict_sender_access(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	struct buf value = BUF_INIT;
	int rc = run->query->sender != NULL
		? access_find_mail(rule->table, run->query->sender_full, &value)
		: 0;

	return finish(run, rule, rc, &value, run->query->sender, "Sender address");
}

enum restrict_verdict restrict_recipient_access(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	struct buf value = BUF_INIT;
	int rc = run->query->recipient != NULL
		? access_find_mail(rule->table, run->query->recipient_full, &value)
		: 0;

	return finish(run, rule, rc, &value, run->query->recipient, "Recipient address");
}

enum restrict_verdict restrict_sasl_access(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	struct buf value = BUF_INIT;
	int rc = run->query->sasl_user != NULL
		? access_find_key(rule->table, run->query->sasl_user, &value)
		: 0;

	return finish(run, rule, rc, &value, run->query->sasl_user, "SASL login name");
}

enum restrict_verdict restrict_etrn_access(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	struct buf value = BUF_INIT;
	int rc = run->query->etrn != NULL
		? access_find_domain(rule->table, run->query->etrn, &value)
		: 0;

	return finish(run, rule, rc, &value, run->query->etrn, "Etrn command");
}
