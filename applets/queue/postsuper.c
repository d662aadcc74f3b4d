/*
 * postsuper - messages of the queue deleted, held, released, expired, put in anew
 *
 *	postsuper -d|-h|-H|-e|-f|-r ID...	an id, ALL, or - (ids on standard input)
 *	postsuper -p -s -S			what crashed writers left is removed; what is
 *						damaged was mended when the queue was opened
 *
 * Each batch is one commit, and then the queue manager hears of it (QMGR_CHANGED): what it had in
 * memory and no agent has yet it lets go. What an agent has at that moment may be delivered; a
 * deleted message is not reported then, and one that is to be put in anew waits for it, so that
 * nobody gets it twice: that one is on hold meanwhile.
 *
 * Postfix postsuper(1): options, counts, texts. Queue names: "deferred" and "hold" are states;
 * "incoming" and "active" both mean mail that was never deferred.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_change.h"
#include "queue/queue_hold.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "ipc/notify.h"
#include "route/resolve.h"
#include "applets/daemon/process.h"
#include "applets/applets.h"
#include "applets/queue/requeue.h"

enum { BATCH = 500, LINE_MAX_BYTES = 1000, CLEAN_AGE = 86400 };

/* In the order in which they are carried out, and counted. */
enum op { OP_REQUEUE, OP_DELETE, OP_EXPIRE, OP_EXPIRE_FREE, OP_HOLD, OP_FREE, OPS };

#define IN_STATE(state) (1u << (state))
#define IN_MAILDROP (1u << 8)
#define IN_ANY (IN_STATE(QUEUE_INCOMING) | IN_STATE(QUEUE_DEFERRED) | IN_STATE(QUEUE_HOLD))

static const struct op_row {
	char letter;
	unsigned where; /* without a queue's name */
} rows[OPS] = {
	[OP_REQUEUE] = { 'r', IN_ANY },
	[OP_DELETE] = { 'd', IN_ANY },
	[OP_EXPIRE] = { 'e', IN_ANY },
	[OP_EXPIRE_FREE] = { 'f', IN_ANY },
	[OP_HOLD] = { 'h', IN_STATE(QUEUE_INCOMING) | IN_STATE(QUEUE_DEFERRED) },
	[OP_FREE] = { 'H', IN_STATE(QUEUE_HOLD) },
};

/* What has been done, and what is said of it. */
enum tally { REQUEUED, DELETED, EXPIRED, HELD, RELEASED, TALLIES };

static const char *const tally_names[TALLIES] = { "Requeued", "Deleted", "Force-expired",
	"Placed on hold", "Released from hold" };

struct super {
	struct queue *q;
	unsigned where; /* of the names given; 0: none */
	const char **ids[OPS];
	size_t id_count[OPS];
	bool all[OPS], input[OPS], asked[OPS];
	bool care; /* -p, -s, -S, or nothing else */
	int64_t counts[TALLIES];
	bool quiet; /* ALL: only the sum is said */
	queue_id batch[BATCH];
	bool was_held[BATCH]; /* before it was held to be put in anew */
	size_t batch_count;
};

/* Log lines go to the server's log; say() writes the other copy. */
static struct {
	bool logged;
} G;

/* say - on the terminal and in the log */
static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_info("%s", text);
	if (G.logged) {
		fprintf(stderr, "postsuper: %s\n", text);
	}
}

static _Noreturn void usage(void)
{
	log_fatal("usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] "
		  "[-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] "
		  "[-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] "
		  "[-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] [queue...]");
}

static void trouble(const struct super *s)
{
	log_fatal("%s", queue_error(s->q));
}

/* ---- One batch ---- */

/* commit - what was collected, and the queue manager hears of it */
static void commit(struct super *s)
{
	if (s->batch_count == 0) {
		return;
	}
	if (queue_commit(s->q) != 0) {
		trouble(s);
	}
	(void)queue_tell_changed(param.queue_directory, s->batch, s->batch_count);
	s->batch_count = 0;
}

/* said - one more, with its line */
static void said(struct super *s, enum tally what, queue_id id, const char *words)
{
	char text[QUEUE_ID_TEXT];

	s->counts[what]++;
	if (!s->quiet) {
		queue_id_text(id, text);
		say("%s: %s", text, words);
	}
}

static void expire(struct super *s, const struct queue_entry *e, unsigned flags)
{
	if ((flags & QUEUE_F_EXPIRE) == 0) {
		queue_set_flags(s->q, e->id, QUEUE_F_EXPIRE);
		said(s, EXPIRED, e->id, "expired");
	}
}

static void release(struct super *s, const struct queue_entry *e)
{
	if (e->state == QUEUE_HOLD) {
		queue_set_state(s->q, e->id, QUEUE_DEFERRED, 0);
		said(s, RELEASED, e->id, "released from hold");
	}
}

/* change - the operation on a message that it is for; false: nothing had to be done */
static void change(struct super *s, enum op op, const struct queue_entry *e, unsigned flags)
{
	int64_t before = 0, after = 0;

	for (int i = 0; i < TALLIES; i++) {
		before += s->counts[i];
	}
	switch (op) {
	case OP_DELETE:
		queue_remove(s->q, e->id);
		said(s, DELETED, e->id, "removed");
		break;
	case OP_EXPIRE:
		expire(s, e, flags);
		break;
	case OP_EXPIRE_FREE:
		expire(s, e, flags);
		release(s, e);
		break;
	case OP_HOLD:
		queue_set_state(s->q, e->id, QUEUE_HOLD, 0);
		said(s, HELD, e->id, "placed on hold");
		break;
	case OP_FREE:
		release(s, e);
		break;
	case OP_REQUEUE: /* the next commit holds it; then it is put in anew */
		s->was_held[s->batch_count] = e->state == QUEUE_HOLD;
		queue_set_state(s->q, e->id, QUEUE_HOLD,
			e->state == QUEUE_HOLD ? e->next_try : QUEUE_REQUEUE_HOLD);
		break;
	case OPS:
		break;
	}
	for (int i = 0; i < TALLIES; i++) {
		after += s->counts[i];
	}
	if (after != before || op == OP_REQUEUE) {
		s->batch[s->batch_count++] = e->id;
	}
}

/* ---- The maildrop ---- */

/* open_maildrop - or -1 */
static int open_maildrop(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/maildrop", param.queue_directory);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* drop_file - a file that pickup has not taken yet, by its name; false: there is none */
static bool drop_file(const char *name)
{
	int dir = open_maildrop();
	bool gone = dir >= 0 && unlinkat(dir, name, 0) == 0;

	if (dir >= 0) {
		close(dir);
	}
	return gone;
}

/* drop_files - all of them; how many */
static int64_t drop_files(void)
{
	int fd = open_maildrop();
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;
	int64_t count = 0;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		count += e->d_name[0] != '.' && unlinkat(fd, e->d_name, 0) == 0;
	}
	if (dir != NULL) {
		closedir(dir);
	}
	return count;
}

/* ---- Which messages ---- */

static unsigned where(const struct super *s, enum op op)
{
	return s->where != 0 ? s->where : rows[op].where;
}

/* do_one - by its id; nothing where there is no such message */
static void do_one(struct super *s, enum op op, queue_id id)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	int rc = queue_get(s->q, id, &a, &env);

	if (rc < 0) {
		trouble(s);
	}
	if (rc > 0 && (where(s, op) & IN_STATE(env.state)) != 0) {
		const struct queue_entry e = { id, env.next_try, env.state, env.flags };

		if (op == OP_HOLD && env.state == QUEUE_HOLD) {
			rc = 0;
		} else {
			change(s, op, &e, env.flags);
		}
	}
	arena_free(&a);
}

/* leave - the n-th of the batch cannot be put in anew: as it was */
static void leave(struct super *s, size_t n)
{
	if (!s->was_held[n]) {
		queue_set_state(s->q, s->batch[n], QUEUE_DEFERRED, 0);
	}
}

/* requeue_batch - those that were collected, put in anew */
static void requeue_batch(struct super *s)
{
	queue_id made[BATCH];
	size_t count = s->batch_count, n = 0;

	if (count == 0) {
		return;
	}
	queue_begin_requeue(s->q);
	commit(s);
	for (size_t i = 0; i < count; i++) {
		char text[QUEUE_ID_TEXT];

		queue_id_text(s->batch[i], text);
		if (!requeue_wait(s->batch[i])) {
			log_warn("%s: it is being delivered: left as it is", text);
			leave(s, i);
			made[n++] = s->batch[i];
			continue;
		}
		made[n] = requeue_begin(s->q, s->batch[i]);
		if (made[n] != 0) {
			said(s, REQUEUED, s->batch[i], "requeued");
		} else {
			leave(s, i);
			made[n] = s->batch[i];
		}
		n++;
	}
	if (queue_commit(s->q) != 0) {
		trouble(s);
	}
	(void)queue_tell_changed(param.queue_directory, made, n);
}

static void end_batch(struct super *s, enum op op)
{
	if (op == OP_REQUEUE) {
		requeue_batch(s);
	} else {
		commit(s);
	}
}

/* do_all - every message there is now */
static void do_all(struct super *s, enum op op)
{
	struct queue_entry found[BATCH];
	queue_id after = 0, end = queue_id_new(s->q);
	int count;

	s->quiet = true;
	do {
		count = queue_scan(s->q, after, found, BATCH);
		if (count < 0) {
			trouble(s);
		}
		for (int i = 0; i < count && found[i].id < end; i++) {
			do_one(s, op, found[i].id);
		}
		end_batch(s, op);
		after = count > 0 ? found[count - 1].id : after;
	} while (count == BATCH && after < end);
	s->quiet = false;
}

/* do_named - one that was named; a name that cannot be an id is said */
static void do_named(struct super *s, enum op op, const char *name)
{
	queue_id id;

	for (const char *p = name; *p != '\0' || p == name; p++) {
		if (!isalnum((unsigned char)*p)) {
			log_warn("invalid mail queue id: %.200s", name);
			return;
		}
	}
	if (op == OP_DELETE && (s->where & IN_MAILDROP) != 0 && drop_file(name)) {
		s->counts[DELETED]++;
		say("%s: removed", name);
		return;
	}
	if (s->q != NULL && queue_id_parse(name, &id)) {
		do_one(s, op, id);
	}
	if (s->batch_count == BATCH) {
		end_batch(s, op);
	}
}

/* do_input - ids on standard input, a line each, for each operation that has "-" */
static void do_input(struct super *s)
{
	char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		for (int op = 0; op < OPS; op++) {
			if (s->input[op]) {
				do_named(s, (enum op)op, line);
				if (s->input[op] && op == OP_REQUEUE) {
					end_batch(s, (enum op)op);
				}
			}
		}
		if (s->batch_count == BATCH) {
			commit(s);
		}
	}
	commit(s);
}

/* ---- All of it ---- */

static void do_care(struct super *s)
{
	int count = s->q != NULL ? queue_clean(s->q, CLEAN_AGE) : 0;

	if (count < 0) {
		trouble(s);
	}
	if (count > 0) {
		say("removed %d unfinished message%s of writers that crashed", count,
			count == 1 ? "" : "s");
	}
}

static void do_op(struct super *s, enum op op)
{
	for (size_t i = 0; i < s->id_count[op]; i++) {
		do_named(s, op, s->ids[op][i]);
	}
	end_batch(s, op);
	if (s->all[op] && op == OP_DELETE && (s->where & IN_MAILDROP) != 0) {
		s->counts[DELETED] += drop_files();
	}
	if (s->all[op] && s->q != NULL) {
		do_all(s, op);
	}
}

static void say_counts(const struct super *s)
{
	const bool asked[TALLIES] = { s->asked[OP_REQUEUE], s->asked[OP_DELETE],
		s->asked[OP_EXPIRE] || s->asked[OP_EXPIRE_FREE], s->asked[OP_HOLD],
		s->asked[OP_FREE] || s->asked[OP_EXPIRE_FREE] };

	for (int i = 0; i < TALLIES; i++) {
		if (asked[i]) {
			say("%s: %lld message%s", tally_names[i], (long long)s->counts[i],
				s->counts[i] == 1 ? "" : "s");
		}
	}
}

/* ---- Arguments ---- */

static void add_id(struct super *s, enum op op, const char *text)
{
	s->asked[op] = true;
	if (strcmp(text, "ALL") == 0) {
		s->all[op] = true;
	} else if (strcmp(text, "-") == 0) {
		s->input[op] = true;
	} else {
		s->ids[op] = mem_realloc(s->ids[op], (s->id_count[op] + 1) * sizeof(*s->ids[op]));
		s->ids[op][s->id_count[op]++] = text;
	}
}

/* add_queue - a directory of Postfix's queue */
static void add_queue(struct super *s, const char *name)
{
	static const struct {
		char name[9];
		unsigned where;
	} names[] = { { "incoming", IN_STATE(QUEUE_INCOMING) },
		{ "active", IN_STATE(QUEUE_INCOMING) }, { "deferred", IN_STATE(QUEUE_DEFERRED) },
		{ "hold", IN_STATE(QUEUE_HOLD) }, { "corrupt", IN_STATE(QUEUE_CORRUPT) },
		{ "maildrop", IN_MAILDROP },
		/* Of log files that there are none of here. */
		{ "bounce", IN_MAILDROP << 1 }, { "defer", IN_MAILDROP << 1 },
		{ "trace", IN_MAILDROP << 1 }, { "flush", IN_MAILDROP << 1 },
		{ "saved", IN_MAILDROP << 1 } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i].name, name) == 0) {
			s->where |= names[i].where;
			return;
		}
	}
	log_fatal("invalid directory name: %s", name);
}

static const char *parse_options(struct super *s, int argc, char **argv)
{
	const char *dir = NULL;
	int opt, verbose = 0;

	while ((opt = getopt(argc, argv, "c:d:e:f:h:H:pr:sSv")) != -1) {
		size_t op = 0;

		while (op < OPS && rows[op].letter != opt) {
			op++;
		}
		if (op < OPS) {
			add_id(s, (enum op)op, optarg);
		} else if (opt == 'c') {
			dir = optarg;
		} else if (opt == 'v') {
			log_set_verbose(++verbose);
		} else if (strchr("psS", opt) != NULL) {
			s->care = true;
		} else {
			usage();
		}
	}
	return dir;
}

/* open_queue - root as the mail system's user, or whoever the queue belongs to */
static void open_queue(struct super *s)
{
	char path[4096], *error = NULL;

	snprintf(path, sizeof(path), "%s/" QUEUE_SUBDIR "/queue.db", param.queue_directory);
	if (geteuid() != 0 && access(path, R_OK | W_OK) != 0) {
		log_fatal("use of this command is reserved for the superuser");
	}
	service_drop_privileges(PROCESS_QUEUE, NULL);
	if (access(path, F_OK) != 0 && errno == ENOENT) {
		return; /* nobody has put a message into it yet */
	}
	s->q = queue_open_below(param.queue_directory, QUEUE_WRITE, &error);
	if (s->q == NULL) {
		log_fatal("%s", error);
	}
}

static void on_warning(const char *severity, const char *text)
{
	fprintf(stderr, "postsuper: %s%s\n", severity, text);
}

/* open_log - what is said on the terminal goes where the server logs, too, if that is anywhere */
static void open_log(void)
{
	const char *file = param.maillog_file;
	char tag[64];

	snprintf(tag, sizeof(tag), "%.40s/postsuper", param.syslog_name);
	if (*file != '\0' && !str_starts(file, "/dev/")) {
		log_open(tag, LOG_TO_SYSLOG);
		G.logged = log_open_file(file) == 0;
	} else if (access("/dev/log", W_OK) == 0) {
		log_open(tag, LOG_TO_SYSLOG);
		G.logged = true;
	}
	if (G.logged) {
		log_set_listener(on_warning);
	} else {
		log_open("postsuper", LOG_TO_STDERR);
	}
}

static void super_free(struct super *s)
{
	for (int op = 0; op < OPS; op++) {
		mem_free(s->ids[op]);
	}
	mem_free(s);
}

int postsuper_main(int argc, char **argv)
{
	struct super *s = mem_alloc(sizeof(*s));
	char *error = NULL;
	bool input = false, asked = false;
	const char *dir;

	log_open("postsuper", LOG_TO_STDERR);
	dir = parse_options(s, argc, argv);
	if (conf_load(conf_dir(dir), false, &error) != 0) {
		log_fatal("%s", error);
	}
	for (int i = optind; i < argc; i++) {
		add_queue(s, argv[i]);
	}
	open_log();
	open_queue(s);
	for (int op = 0; op < OPS; op++) {
		input = input || s->input[op];
		asked = asked || s->asked[op];
	}
	if (s->care || !asked) {
		do_care(s);
	}
	if (s->asked[OP_REQUEUE]) {
		route_init(); /* addresses are expanded anew */
	}
	if (input) {
		do_input(s);
	}
	for (int op = 0; op < OPS; op++) {
		do_op(s, (enum op)op);
	}
	say_counts(s);
	queue_close(s->q);
	if (s->asked[OP_REQUEUE]) {
		route_free();
	}
	super_free(s);
	return 0;
}
