/*
 * cmd_list - LIST and LSUB
 *
 *	LIST [(selection ...)] reference pattern|(pattern ...) [RETURN (option ...)]
 *
 * Names are gathered once and then matched; what is selected by subscription
 * includes names whose folders are gone.
 *
 * RFC 3501 6.3.8, 6.3.9; RFC 3348 (CHILDREN), RFC 5258 (LIST-EXTENDED), RFC 5819
 * (LIST-STATUS), RFC 6154 (SPECIAL-USE)
 */
#include <string.h>

#include "base/hash.h"
#include "conf/dovecot/dovecot_conf.h"
#include "proto/imap_mailbox.h"
#include "proto/utf7.h"
#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/status.h"

enum { PATTERNS_MAX = 64, FOLDERS_MAX = 20000 };

struct folder {
	struct folder *next;
	const char *name;
	bool exists, selectable, has_children, no_inferiors, subscribed;
};

struct list {
	struct imapd *s;
	const char *patterns[PATTERNS_MAX];
	size_t pattern_count;
	bool select_subscribed, select_special, recursive; /* selection options */
	bool return_subscribed, return_status;
	unsigned status;
	struct folder *folders, **tail;
	struct hash names; /* of folders, while they are gathered */
	size_t count;
};

/* ---- mailbox { } of dovecot.conf ---- */

/* find_mailbox - the section that names the folder, in any namespace */
static const struct conf_node *find_mailbox(const char *name)
{
	const struct conf_node *ns = NULL, *box;

	while ((ns = conf_next_section(dovecot_conf_root(), "namespace", ns)) != NULL) {
		box = conf_section(ns, "mailbox", name);
		if (box != NULL) {
			return box;
		}
	}
	return NULL;
}

/* special_use - "\Sent" and its like, "" none */
static const char *special_use(const char *name)
{
	const struct conf_node *box = find_mailbox(name);

	return box != NULL ? conf_setting(box, "special_use", "") : "";
}

/* ---- Arguments ---- */

/* add_pattern - reference and pattern joined, as UTF-8; what is no UTF-7 matches nothing */
static bool add_pattern(struct list *l, const char *reference, const char *pattern)
{
	struct arena *arena = &l->s->arena;
	const char *whole = arena_printf(arena, "%s%s", reference, pattern);
	struct buf utf8 = BUF_INIT;

	if (l->pattern_count == PATTERNS_MAX) {
		return false;
	}
	if (utf7_decode(&utf8, whole, strlen(whole))) {
		l->patterns[l->pattern_count++] = arena_strdup(arena, buf_str(&utf8));
	}
	buf_free(&utf8);
	return true;
}

/* parse_selection - "(SUBSCRIBED ...) " if it is there */
static bool parse_selection(struct imap_args *a, struct list *l)
{
	if (!imap_args_char(a, '(')) {
		return true;
	}
	while (!imap_args_char(a, ')')) {
		imap_args_char(a, ' ');
		if (imap_args_word(a, "SUBSCRIBED")) {
			l->select_subscribed = true;
		} else if (imap_args_word(a, "SPECIAL-USE")) {
			l->select_special = true;
		} else if (imap_args_word(a, "RECURSIVEMATCH")) {
			l->recursive = true;
		} else if (!imap_args_word(a, "REMOTE")) {
			return imap_args_fail(a, "Unknown select options");
		}
	}
	if (l->recursive && !l->select_subscribed) {
		return imap_args_fail(a, "RECURSIVEMATCH must not be the only selection");
	}
	return imap_args_space(a);
}

/* parse_returns - " RETURN (...)" if it is there */
static bool parse_returns(struct imap_args *a, struct list *l)
{
	if (!imap_args_char(a, ' ')) {
		return true;
	}
	if (!imap_args_word(a, "RETURN") || !imap_args_space(a) || !imap_args_char(a, '(')) {
		return imap_args_fail(a, "Invalid return options");
	}
	while (!imap_args_char(a, ')')) {
		imap_args_char(a, ' ');
		if (imap_args_word(a, "SUBSCRIBED")) {
			l->return_subscribed = true;
		} else if (imap_args_word(a, "STATUS")) {
			l->return_status = true;
			if (!imap_args_space(a) || !status_items(a, &l->status)) {
				return false;
			}
		} else if (!imap_args_word(a, "CHILDREN") && !imap_args_word(a, "SPECIAL-USE")) {
			return imap_args_fail(a, "Unknown return options");
		}
	}
	return true;
}

/* parse_patterns - one, or several in parentheses */
static bool parse_patterns(struct imap_args *a, struct list *l, const char *reference, bool *empty)
{
	bool several = imap_args_char(a, '(');
	const char *pattern;

	do {
		if (!imap_args_pattern(a, &pattern)) {
			return false;
		}
		*empty = !several && *pattern == '\0';
		if (!add_pattern(l, reference, pattern)) {
			return imap_args_fail(a, "Too many patterns");
		}
	} while (several && imap_args_char(a, ' '));
	return !several || imap_args_char(a, ')') || imap_args_fail(a, "Missing ')'");
}

/* ---- Folders ---- */

/* add_folder - at the end of the list */
static struct folder *add_folder(struct list *l, const char *name)
{
	struct folder *f = arena_alloc(&l->s->arena, sizeof(*f));

	f->name = arena_strdup(&l->s->arena, name);
	*l->tail = f;
	l->tail = &f->next;
	l->count++;
	(void)hash_set(&l->names, name, f);
	return f;
}

static int on_folder(void *arg, const struct folder_info *info)
{
	struct list *l = arg;
	struct folder *f;

	if (l->count == FOLDERS_MAX) {
		return 1;
	}
	f = add_folder(l, info->name);
	f->exists = true;
	f->selectable = info->selectable;
	f->has_children = info->has_children;
	f->no_inferiors = info->no_inferiors;
	f->subscribed = info->subscribed;
	return 0;
}

/* on_subscription - one whose folder is gone is added */
static int on_subscription(void *arg, const char *name)
{
	struct list *l = arg;
	struct folder *f = hash_get(&l->names, name);

	if (f == NULL && l->count < FOLDERS_MAX) {
		f = add_folder(l, name);
	}
	if (f != NULL) {
		f->subscribed = true;
	}
	return 0;
}

/* matches - the best match of all patterns */
static enum imap_match matches(const struct list *l, const char *name)
{
	char separator = mailstore_separator(l->s->store);
	size_t i;

	for (i = 0; i < l->pattern_count; i++) {
		if (imap_match(l->patterns[i], name, separator) == IMAP_MATCH_YES) {
			return IMAP_MATCH_YES;
		}
	}
	return IMAP_MATCH_NO;
}

/* subscribed_below - is some subscribed folder a child, at any depth, of name? */
static bool subscribed_below(const struct list *l, const char *name)
{
	size_t len = strlen(name);
	const struct folder *f;

	for (f = l->folders; f != NULL; f = f->next) {
		if (f->subscribed && strncmp(f->name, name, len) == 0 &&
			f->name[len] == mailstore_separator(l->s->store)) {
			return true;
		}
	}
	return false;
}

/* put_attribute - with a blank before it unless it is the first */
static void put_attribute(struct buf *out, const char *attribute)
{
	if (out->data[out->len - 1] != '(') {
		buf_addc(out, ' ');
	}
	buf_adds(out, attribute);
}

/* put_name - the end of a response: separator and name */
static void put_name(const struct list *l, struct buf *out, const char *name)
{
	buf_addf(out, ") \"%c\" ", mailstore_separator(l->s->store));
	imap_put_mailbox(out, name);
}

/* put_folder - one LIST response */
static void put_folder(
	const struct list *l, struct buf *out, const struct folder *f, bool childinfo)
{
	const char *use = special_use(f->name);

	buf_adds(out, "* LIST (");
	if (!f->exists) {
		put_attribute(out, "\\NonExistent");
	} else if (!f->selectable) {
		put_attribute(out, "\\Noselect");
	}
	if (f->no_inferiors) {
		put_attribute(out, "\\NoInferiors");
	} else if (f->exists) {
		put_attribute(out, f->has_children ? "\\HasChildren" : "\\HasNoChildren");
	}
	if (f->subscribed && (l->select_subscribed || l->return_subscribed)) {
		put_attribute(out, "\\Subscribed");
	}
	if (*use != '\0') {
		put_attribute(out, use);
	}
	put_name(l, out, f->name);
	buf_adds(out, childinfo ? " (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n" : "\r\n");
	if (l->return_status && f->selectable) {
		(void)put_status(l->s, out, f->name, l->status);
	}
}

/* gather - all folders, and subscriptions when they matter */
static int gather(struct list *l, bool subscriptions)
{
	int rc;

	imapd_auto_create(l->s);
	l->tail = &l->folders;
	rc = mailstore_list(l->s->store, on_folder, l);
	if (rc >= 0 && subscriptions) {
		rc = mailstore_subscriptions(l->s->store, on_subscription, l);
	}
	hash_free(&l->names, NULL);
	return rc;
}

enum cmd_result cmd_list(struct imapd *s, struct imap_args *a, struct buf *out)
{
	struct list *l = arena_alloc(&s->arena, sizeof(*l));
	const struct folder *f;
	const char *reference;
	bool empty = false;

	l->s = s;
	if (!imap_args_space(a) || !parse_selection(a, l) || !imap_args_astring(a, &reference) ||
		!imap_args_space(a) || !parse_patterns(a, l, reference, &empty) ||
		!parse_returns(a, l) || !imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	/* RFC 5258 3: with selection options the empty pattern is one that matches nothing */
	if (empty && !l->select_subscribed && !l->select_special) {
		/* RFC 3501 6.3.8: the separator and the root of the reference */
		buf_addf(out, "* LIST (\\Noselect) \"%c\" \"\"\r\n", mailstore_separator(s->store));
		return cmd_ok(s, "List completed.");
	}
	if (gather(l, l->select_subscribed) < 0) {
		return cmd_store_error(s, false);
	}
	for (f = l->folders; f != NULL; f = f->next) {
		bool wanted = !l->select_subscribed || f->subscribed;
		bool childinfo = l->recursive && subscribed_below(l, f->name);

		if (l->select_special && *special_use(f->name) == '\0') {
			continue;
		}
		if ((wanted || childinfo) && matches(l, f->name) == IMAP_MATCH_YES) {
			put_folder(l, out, f, childinfo);
		}
	}
	return cmd_ok(s, "List completed.");
}

/* ---- LSUB ---- */

/*
 * put_parents - a pattern with '%' matches no subscribed name, but one above it: that is
 * shown, not selectable (RFC 3501 6.3.9). shown: what was already, as lines.
 */
static void put_parents(struct list *l, const char *name, struct buf *shown, struct buf *out)
{
	char separator = mailstore_separator(l->s->store);
	char *parent = arena_strdup(&l->s->arena, name), *end;
	const char *line;

	while ((end = strrchr(parent, separator)) != NULL && end > parent) {
		*end = '\0';
		line = arena_printf(&l->s->arena, "\n%s\n", parent);
		if (matches(l, parent) == IMAP_MATCH_YES && strstr(buf_str(shown), line) == NULL) {
			buf_adds(shown, line);
			buf_adds(out, "* LSUB (\\Noselect");
			put_name(l, out, parent);
			buf_adds(out, "\r\n");
		}
	}
}

enum cmd_result cmd_lsub(struct imapd *s, struct imap_args *a, struct buf *out)
{
	struct list *l = arena_alloc(&s->arena, sizeof(*l));
	const struct folder *f;
	const char *reference;
	struct buf shown = BUF_INIT;
	bool empty = false;

	l->s = s;
	if (!imap_args_space(a) || !imap_args_astring(a, &reference) || !imap_args_space(a) ||
		!parse_patterns(a, l, reference, &empty) || !imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	if (gather(l, true) < 0) {
		return cmd_store_error(s, false);
	}
	for (f = l->folders; f != NULL; f = f->next) {
		if (f->subscribed && matches(l, f->name) == IMAP_MATCH_YES) {
			buf_adds(out,
				f->exists && !f->selectable ? "* LSUB (\\Noselect" : "* LSUB (");
			put_name(l, out, f->name);
			buf_adds(out, "\r\n");
			buf_addf(&shown, "\n%s\n", f->name);
		}
	}
	for (f = l->folders; f != NULL; f = f->next) {
		if (f->subscribed && matches(l, f->name) != IMAP_MATCH_YES) {
			put_parents(l, f->name, &shown, out);
		}
	}
	buf_free(&shown);
	return cmd_ok(s, "Lsub completed.");
}
