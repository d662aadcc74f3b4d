/*
 * map_sqlite - look-ups by a query in somebody's SQLite database (sqlite_table(5))
 *
 * sqlite:/path/file names a file of parameters:
 *
 *	dbpath = /etc/mail/users.sqlite
 *	query = SELECT target FROM alias WHERE address = '%s' AND active = 1
 *	result_format = %s
 *	domain = example.com, hash:/etc/mail/domains
 *	expansion_limit = 0
 *
 * In query: %s the key, %u %d its user and domain part, %1 to %9 the labels of the
 * domain from the right, %% a percent sign; values are quoted for SQL. In
 * result_format the same letters stand for the result, %S %U %D for the key.
 * Rows and columns are joined by commas.
 *
 * The database may be written by others: it is opened with locks, read-only. A look-up that meets
 * a lock is done again, in a loop that must not be held (map/map_wait.h) by its timers, until it
 * has waited some two seconds. Where nothing can wait it blocks for BUSY_MS. After either the table
 * is an error at once for REST_MS. Postfix does not wait: every writer may cost somebody a 451.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config/features.h"
#include "base/clock.h"
#include "base/mem.h"
#include "conf/main_cf.h"
#include "db/db_open.h"
#include "map/map_impl.h"
#include "map/map_question.h"

/* Behind an error that a whole SQLite may not have. */
#define LEFT_OUT \
	(FEATURE_SQL ? "" : " (this build has no FEATURE_SQL: no views, triggers, WITH ...)")

enum {
	BUSY_MS = 2000,
	REST_MS = 10000,
	AGAIN_MS = 5,   /* doubled from one try to the next */
	AGAIN_MAX = 9,  /* tries: 2.6 s in all */
	KEY_SIZE = 600, /* of what is waited for */
	MAX_RESULT = 1024 * 1024
};

struct query_table {
	char *dbpath, *query, *format, *domain;
	char *select_field, *table, *where_field, *conditions; /* the form before query */
	int64_t limit;
	struct map_file file; /* the file of parameters */
	struct maps *domains;
	struct db *db;
	bool loaded;
	int64_t rest_until; /* was locked for all of BUSY_MS */
};

static void forget(struct query_table *t)
{
	char **texts[] = { &t->dbpath, &t->query, &t->format, &t->domain, &t->select_field,
		&t->table, &t->where_field, &t->conditions };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		mem_free(*texts[i]);
		*texts[i] = NULL;
	}
	maps_close(t->domains);
	t->domains = NULL;
	db_close(t->db);
	t->db = NULL;
	t->limit = 0;
	t->loaded = false;
}

static int open_sqlite(struct map *m)
{
	m->state = mem_alloc(sizeof(struct query_table));
	return 0;
}

static void close_sqlite(struct map *m)
{
	if (m->state == NULL) {
		return;
	}
	forget(m->state);
	mem_free(m->state);
}

/* take_parameter - one line of the file; unknown ones may be for other programs */
static int take_parameter(void *arg, struct slice name, struct slice value, int line)
{
	struct query_table *t = arg;
	const struct {
		const char *name;
		char **where;
	} known[] = {
		{ "dbpath", &t->dbpath },
		{ "query", &t->query },
		{ "result_format", &t->format },
		{ "domain", &t->domain },
		{ "select_field", &t->select_field },
		{ "table", &t->table },
		{ "where_field", &t->where_field },
		{ "additional_conditions", &t->conditions },
	};

	(void)line;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (slice_eq(name, known[i].name)) {
			mem_free(*known[i].where);
			*known[i].where = mem_strndup(value.ptr, value.len);
		}
	}
	if (slice_eq(name, "expansion_limit")) {
		char *number = mem_strndup(value.ptr, value.len);

		str_to_int(number, 0, INT64_MAX, &t->limit);
		mem_free(number);
	}
	return 0;
}

/* old_query - made of select_field, table, where_field */
static char *old_query(const struct query_table *t)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "SELECT %s FROM %s WHERE %s = '%%s' %s", t->select_field, t->table,
		t->where_field, t->conditions != NULL ? t->conditions : "");
	return buf_steal(&b);
}

static int load(struct map *m, struct query_table *t)
{
	char *error = NULL;
	int rc;

	forget(t);
	if (main_cf_read(m->name, take_parameter, t, &error) != 0) {
		rc = map_fail(m, "%s", error);
		mem_free(error);
		return rc;
	}
	if (t->query == NULL && t->select_field != NULL && t->table != NULL &&
		t->where_field != NULL) {
		t->query = old_query(t);
	}
	if (t->dbpath == NULL || *t->dbpath == '\0') {
		return map_fail(m, "%s: dbpath is not set", m->name);
	}
	if (t->query == NULL || *t->query == '\0') {
		return map_fail(m, "%s: query is not set", m->name);
	}
	if (t->domain != NULL) {
		t->domains = maps_open_by(m->open_part, t->domain, 0);
	}
	t->loaded = true;
	return 0;
}

/* ---- A lock ---- */

/* A look-up that will be done again a little later. */
struct again {
	struct timer timer;
	struct loop *loop;
	struct map_question *question;
};

static void cancel_again(struct map_question *q)
{
	struct again *a = q->server;

	loop_untimer(a->loop, &a->timer);
	mem_free(a);
}

static void on_again(struct timer *timer)
{
	struct again *a = timer->owner;
	struct map_question *q = a->question;

	mem_free(a);
	map_question_end(q, MAP_ANSWERED);
}

/* begin_again - the n-th wait of the computation for this table; NULL: it waits for others first */
static struct map_question *begin_again(struct map_wait *w, const char *key, int n)
{
	struct again *a = mem_alloc(sizeof(*a));
	struct map_question *q = map_question_new(w, key, cancel_again);

	if (q == NULL) {
		mem_free(a);
		return NULL;
	}
	a->loop = w->loop;
	a->question = q;
	q->server = a;
	loop_timer(w->loop, &a->timer, (int64_t)AGAIN_MS << n, on_again, a);
	q->state = MAP_ASKED;
	return q;
}

/* try_later - the computation that asks is to be done again; false: it cannot wait, or no longer */
static bool try_later(const struct map *m)
{
	struct map_wait *w = map_wait_current();
	char key[KEY_SIZE];

	for (int n = 0; w != NULL && n < AGAIN_MAX; n++) {
		struct map_question *q;

		snprintf(key, sizeof(key), "locked %d %s", n, m->spec);
		q = map_question_find(w, key);
		if (q == NULL) {
			q = begin_again(w, key, n);
		}
		if (q == NULL || q->state == MAP_ASKED) {
			map_question_miss(w);
			return true;
		}
	}
	return false;
}

/* fail - what the database says; one that is locked may be asked again, until it rests */
static int fail(struct map *m, enum db_fault fault, const char *what, const char *text)
{
	struct query_table *t = m->state;

	if (fault == DB_FAULT_BUSY && try_later(m)) {
		return map_later(m);
	}
	if (fault == DB_FAULT_BUSY) {
		t->rest_until = clock_ms() + REST_MS;
	}
	return map_fail(m, "%s%s%s", what, text, fault == DB_FAULT_BUSY ? "" : LEFT_OUT);
}

/* ---- The database ---- */

static int refresh(struct map *m, struct query_table *t)
{
	struct stat st;
	enum db_fault fault;
	char *error = NULL;
	int rc;

	if (!t->loaded || map_file_due(&t->file)) {
		if (stat(m->name, &st) != 0) {
			return map_fail(m, "open %s: %s", m->name, strerror(errno));
		}
		if ((map_file_note(&t->file, &st) || !t->loaded) && load(m, t) != 0) {
			return -1;
		}
	}
	if (t->db != NULL) {
		return 0;
	}
	t->db = db_open(t->dbpath, DB_READ | (map_wait_current() != NULL ? DB_AT_ONCE : DB_BRIEF),
		NULL, NULL, 0, &fault, &error);
	if (t->db == NULL) {
		rc = fail(m, fault, "open database ", error);
		mem_free(error);
		return rc;
	}
	return 0;
}

/* add_quoted - for inside '...' of SQL */
static void add_quoted(struct buf *out, const char *s, size_t len, bool quote)
{
	for (size_t i = 0; i < len; i++) {
		if (quote && s[i] == '\'') {
			buf_addc(out, '\'');
		}
		buf_addc(out, s[i]);
	}
}

/* label - the n-th part of a domain, from the right; false: it has less */
static bool label(const char *domain, int n, struct slice *out)
{
	const char *end = domain + strlen(domain);

	for (;;) {
		const char *start = end;

		while (start > domain && start[-1] != '.') {
			start--;
		}
		if (--n == 0) {
			*out = (struct slice){ start, (size_t)(end - start) };
			return true;
		}
		if (start == domain) {
			return false;
		}
		end = start - 1;
	}
}

/* part - what a letter stands for; false: text has no such part */
static bool part(const char *text, char letter, struct slice *out)
{
	const char *at = strrchr(text, '@');

	if (letter == 's') {
		*out = slice_of(text);
		return true;
	}
	if (letter == 'u') {
		*out = (struct slice){ text, at != NULL ? (size_t)(at - text) : strlen(text) };
		return true;
	}
	if (at == NULL) {
		return false;
	}
	if (letter == 'd') {
		*out = slice_of(at + 1);
		return true;
	}
	return label(at + 1, letter - '0', out);
}

/*
 * fill - template with the parts of text for the small letters and digits, of
 * key for the great ones. False: it asks for a part that there is not.
 */
static bool fill(
	struct buf *out, const char *template, const char *text, const char *key, bool quote)
{
	struct slice piece;

	for (const char *p = template; *p != '\0'; p++) {
		const char *from = text;
		char letter;

		if (*p != '%') {
			buf_addc(out, *p);
			continue;
		}
		letter = *++p;
		if (letter == '%') {
			buf_addc(out, '%');
			continue;
		}
		if (letter == 'S' || letter == 'U' || letter == 'D') {
			from = key;
			letter = (char)(letter + 'a' - 'A');
		} else if (letter >= '1' && letter <= '9') {
			from = key;
		}
		if (letter == '\0' || strchr("sud123456789", letter) == NULL) {
			return false;
		}
		if (!part(from, letter, &piece)) {
			return false;
		}
		add_quoted(out, piece.ptr, piece.len, quote);
	}
	return true;
}

/* wanted - does the table answer for this domain? 1, 0, -1 */
static int wanted(struct map *m, struct query_table *t, const char *key)
{
	const char *at = strrchr(key, '@');
	struct slice rest, word;
	struct buf value = BUF_INIT;
	bool listed = false;
	int rc = 0;

	if (t->domain == NULL || *t->domain == '\0') {
		return 1;
	}
	if (at == NULL) {
		return 0;
	}
	rest = slice_of(t->domain);
	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		listed = listed || slice_ieq(word, at + 1);
	}
	if (!listed && strchr(t->domain, ':') != NULL) {
		rc = maps_get(t->domains, at + 1, &value);
		buf_free(&value);
		if (rc < 0) {
			return map_is_waiting() ? map_later(m)
						: map_fail(m, "look-up of the domain failed");
		}
		return rc;
	}
	return listed;
}

/* collect - all rows and columns; 1, 0, -1 */
static int collect(
	struct map *m, struct query_table *t, struct db_stmt *s, const char *key, struct buf *value)
{
	size_t start = value->len;
	int64_t count = 0;
	int rc;

	while ((rc = db_step(s)) > 0) {
		for (int i = 0; i < db_columns(s); i++) {
			const char *text = db_text(s, i);

			if (*text == '\0') {
				continue;
			}
			if (value->len > start) {
				buf_addc(value, ',');
			}
			if (!fill(value, t->format != NULL ? t->format : "%s", text, key, false) ||
				value->len - start > MAX_RESULT ||
				(t->limit > 0 && ++count > t->limit)) {
				db_reset(s);
				return map_fail(m,
					"result of \"%.100s\" is too large, or result_format does "
					"not fit it",
					key);
			}
		}
	}
	if (rc < 0) {
		buf_truncate(value, start);
		return fail(m, db_fault(t->db), "", db_error(t->db));
	}
	return value->len > start;
}

static int ask(struct map *m, struct query_table *t, const char *key, struct buf *value)
{
	struct buf query = BUF_INIT;
	struct db_stmt *s;
	int rc;

	if (refresh(m, t) != 0) {
		return -1;
	}
	rc = wanted(m, t, key);
	if (rc <= 0) {
		return rc;
	}
	if (!fill(&query, t->query, key, key, true)) {
		buf_free(&query);
		return 0;
	}
	db_set_busy_timeout(t->db, map_wait_current() != NULL ? 0 : BUSY_MS);
	s = db_prepare(t->db, buf_str(&query));
	rc = s != NULL ? collect(m, t, s, key, value)
		       : fail(m, db_fault(t->db), "", db_error(t->db));
	db_finish(s);
	buf_free(&query);
	if (rc < 0) {
		/* The file may have been replaced. */
		db_close(t->db);
		t->db = NULL;
	}
	return rc;
}

static int get_sqlite(struct map *m, const char *key, struct buf *value)
{
	struct query_table *t = m->state;

	if (clock_ms() < t->rest_until) {
		return map_fail(m, "locked for too long: not asked again for %d s", REST_MS / 1000);
	}
	return ask(m, t, key, value);
}

const struct map_type map_type_sqlite = {
	.name = "sqlite",
	.open = open_sqlite,
	.get = get_sqlite,
	.close = close_sqlite,
};
