#ifndef POLICY_RESTRICT_INTERNAL_H
#define POLICY_RESTRICT_INTERNAL_H

#include "base/hash.h"
#include "base/str.h"
#include "map/map.h"
#include "policy/restrict.h"

/* What restrict*.c share; nobody else includes this. */

struct restrict_rule;

typedef enum restrict_verdict restrict_fn(
	struct restrict_run *run, const struct restrict_rule *rule);

enum {
	RULE_ARG = 1,   /* a word follows */
	RULE_TABLE = 2, /* that word is type:name */
	RULE_GUARD = 4  /* stops strangers from relaying */
};

/* A row of the table. */
struct restrict_row {
	const char *name;
	unsigned flags;
	restrict_fn *fn; /* NULL: known, not built */
};

extern const struct restrict_row restrict_rows[];
extern const size_t restrict_row_count;

/* A restriction where it stands in a list. */
struct restrict_rule {
	const struct restrict_row *row; /* NULL: unknown name, or nested */
	const char *name;               /* as written */
	const char *arg;                /* or NULL */
	struct maps *table;             /* RULE_TABLE */
	struct restrict_list *nested;   /* a restriction class */
	bool warn;                      /* warn_if_reject stands before it */
};

struct restrict_list {
	struct restrict_rule *rules;
	size_t count;
};

struct restrict_set {
	struct arena arena;
	const struct restrict_row *rows; /* the table */
	size_t row_count;
	struct restrict_list *lists[RESTRICT_LISTS];
	struct hash actions;           /* access(5) right-hand sides that are lists, parsed */
	bool *warned;                  /* by row: said that it is not acted on */
	struct maps *login_maps;       /* smtpd_sender_login_maps */
	struct verify_client *verify;  /* asks whether addresses take mail; NULL: not yet */
	struct restrict_rule **tables; /* rules with an open table */
	size_t table_count, table_cap;
};

enum { RESTRICT_CLASS_DEPTH = 10 }; /* classes within classes */

/* Words split at blanks and commas; { ... } is one word without its braces. NULL: no more. */
char *restrict_next_token(struct arena *a, const char **text);
/* Is it one of smtpd_restriction_classes? */
bool restrict_is_class(const char *name);
const struct restrict_row *restrict_find_row(
	const struct restrict_row *rows, size_t count, const char *name);

/* Parse a list into the set; depth bounds classes within classes. */
struct restrict_list *restrict_parse(
	struct restrict_set *set, const char *what, const char *text, int depth);

/*
 * Answer with a rejection: code, enhanced code and text. It becomes a log line
 * and DUNNO after warn_if_reject, and 4xx when DEFER_IF_REJECT was met.
 */
enum restrict_verdict restrict_reject(struct restrict_run *run, int code, const char *dsn,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* "451 4.3.5 Server configuration error", never softened. */
enum restrict_verdict restrict_misconfigured(struct restrict_run *run);
/* A table does not answer. */
enum restrict_verdict restrict_no_answer(struct restrict_run *run, const char *name);
/* Begin a list inside the one being run. */
enum restrict_verdict restrict_enter(struct restrict_run *run, const struct restrict_list *list);

/*
 * An enhanced code at the head of text (RFC 3463), in the run's arena, or the default; *text
 * goes behind it.
 */
const char *restrict_split_dsn(struct restrict_run *run, const char **text, const char *def);

restrict_fn restrict_unverified_sender, restrict_unverified_recipient;
restrict_fn restrict_client_access, restrict_helo_access, restrict_sender_access,
	restrict_recipient_access, restrict_sasl_access, restrict_etrn_access;

#endif
