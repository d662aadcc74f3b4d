/*
 * postqueue - list and flush the queue; also mailq
 *
 *	postqueue -p	list		-j	list, one JSON object a message
 *	postqueue -f	flush all	-i ID	flush one	-s SITE	flush what goes there
 *	postqueue --sql "SELECT ..."	what queue/queue_view.c shows of it
 *	mailq		as postqueue -p; takes sendmail's options and ignores most of them
 *
 * Everything goes through qmgr's sockets, so that no special rights are needed. With
 * the mail system down, root and the owner of the queue read it directly.
 * Exit status as in Postfix (sysexits.h).
 */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/stream.h"
#include "base/utf8.h"
#include "conf/params.h"
#include "queue/queue_view.h"
#include "ipc/notify.h"
#include "applets/daemon/process.h"
#include "applets/applets.h"
#include "applets/queue/listing.h"

enum {
	READ_SIZE = 65536,
	WRITE_SIZE = 65536,
	ROWS_AT_ONCE = 1000,
	ASK_SECONDS = 30,
	PATH_SIZE = 4096,
	RETRIES = 20,
	RETRY_MS = 50
};

enum mode { MODE_NONE, MODE_LIST, MODE_JSON, MODE_SQL, MODE_FLUSH, MODE_FLUSH_ID, MODE_FLUSH_SITE };

/* Every error has this status, as Postfix's postqueue has it in practice. */
#define fail(...) log_fatal_status(EX_UNAVAILABLE, __VA_ARGS__)

static _Noreturn void usage(void)
{
	fail("usage: postqueue -f | postqueue -i queueid | postqueue -j | "
	     "postqueue -p | postqueue -s site");
}

/* user_name - who calls, for messages */
static const char *user_name(void)
{
	const struct passwd *pw = getpwuid(getuid());

	return pw != NULL ? pw->pw_name : "unknown";
}

/* ---- The list ---- */

/* print - what is in out, when it is enough or all of it */
static void print(struct buf *out, size_t at_least)
{
	if (out->len < at_least) {
		return;
	}
	if (fwrite(buf_str(out), 1, out->len, stdout) != out->len ||
		(at_least == 0 && fflush(stdout) != 0)) {
		log_fatal("output write error: %m");
	}
	buf_reset(out);
}

/* take - one message of the list; false: it was the end */
static bool take(struct listing *l, struct wire *w)
{
	bool denied = false;
	int more = listing_take(l, w, &denied);

	if (denied) {
		fail("User %s(%ld) is not allowed to view the mail queue", user_name(),
			(long)getuid());
	}
	if (more < 0) {
		fail("malformed answer from the %s showq service", param.mail_name);
	}
	if (more > 0) {
		print(l->out, WRITE_SIZE);
	}
	return more > 0;
}

static bool on_message(struct stream *s, struct wire *w)
{
	if (!take(s->owner, w)) {
		stream_close(s);
	}
	return true;
}

static void on_closed(struct stream *s, enum stream_end why)
{
	struct listing *l = s->owner;

	if (why == STREAM_TOO_LONG) {
		fail("malformed answer from the %s showq service", param.mail_name);
	}
	print(l->out, 0);
	fail("the list of the queue ends in the middle: see the mail log");
}

static const struct stream_class list_class = {
	.frame = on_message, .closed = on_closed, .read_size = READ_SIZE, .in_max = WIRE_MAX
};

/* list_remote - what qmgr says, however long that takes */
static void list_remote(struct stream *s)
{
	while (stream_wait(s, INT64_MAX) > 0) {
	}
}

/* list_direct - from queue.db itself, as its owner */
static void list_direct(struct listing *l)
{
	struct list_walk walk = { 0 };
	struct buf in = BUF_INIT;
	char *error = NULL, path[PATH_SIZE];
	struct queue *q = NULL;
	struct wire w;
	size_t size;
	int rc;

	service_drop_privileges(PROCESS_QUEUE, NULL);
	snprintf(path, sizeof(path), "%s/" QUEUE_SUBDIR "/queue.db", param.queue_directory);
	if (access(path, F_OK) == 0 || errno != ENOENT) {
		q = queue_open_below(param.queue_directory, QUEUE_READ, &error);
		if (q == NULL) {
			fail("%s", error);
		}
	}
	do {
		rc = list_walk(&walk, q, &in, ROWS_AT_ONCE);
		if (rc < 0) {
			fail("%s", queue_error(q));
		}
		while (wire_next(&in, &w, &size) > 0 && take(l, &w)) {
			buf_consume(&in, size);
		}
	} while (rc > 0);
	queue_close(q);
	buf_free(&in);
}

/* may_read - root, and whoever the queue belongs to */
static bool may_read(void)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/" QUEUE_SUBDIR "/queue.db", param.queue_directory);
	return geteuid() == 0 || access(path, R_OK | W_OK) == 0 ||
		(errno == ENOENT && access(param.queue_directory, W_OK) == 0);
}

/*
 * connect_showq - 0, or -1 with errno. A name without a listener is a queue manager that is being
 * replaced.
 */
static int connect_showq(struct stream *s, const char *path)
{
	const struct timespec pause = { 0, RETRY_MS * 1000000L };
	int rc = stream_connect(s, path);

	for (int i = 0; i < RETRIES && rc != 0 && (errno == ECONNREFUSED || errno == EAGAIN); i++) {
		nanosleep(&pause, NULL);
		rc = stream_connect(s, path);
	}
	return rc;
}

static void list_queue(bool json)
{
	struct buf out = BUF_INIT;
	struct listing l = { .json = json, .long_ids = param.enable_long_queue_ids, .out = &out };
	char path[PATH_SIZE];
	struct stream s;
	int rc, error;

	snprintf(path, sizeof(path), "%s/public/showq", param.queue_directory);
	stream_init(&s, NULL, &list_class, &l);
	rc = connect_showq(&s, path);
	error = errno;
	if (rc == 0) {
		list_remote(&s);
	} else if (error == EACCES || error == EPERM) {
		fail("Connect to the %s showq service: %s", param.mail_name, strerror(error));
	} else if (may_read()) {
		log_warn("Mail system is down -- accessing queue directly (Connect to the %s showq "
			 "service: %s)",
			param.mail_name, strerror(error));
		list_direct(&l);
	} else {
		fail("Queue report unavailable - mail system is down (Connect to the %s showq "
		     "service: %s)",
			param.mail_name, strerror(error));
	}
	listing_end(&l);
	print(&out, 0);
	listing_free(&l);
	buf_free(&out);
}

/* ---- Questions in SQL ---- */

/* put_row - columns with '|' between them, as sqlite3(1) has it */
static int put_row(void *arg, int count, const char *const *columns)
{
	struct buf *out = arg;

	for (int i = 0; i < count; i++) {
		size_t from;

		if (i > 0) {
			buf_addc(out, '|');
		}
		from = out->len;
		buf_adds(out, columns[i]);
		if (out->len > from) {
			utf8_printable(out->data + from, out->len - from);
		}
	}
	buf_addc(out, '\n');
	print(out, WRITE_SIZE);
	return 0;
}

/* ask_sql - of the views in queue/queue_view.c, by who may read the queue */
static void ask_sql(const char *sql)
{
	struct buf out = BUF_INIT;
	char *error = NULL;

	if (!may_read()) {
		fail("User %s(%ld) is not allowed to read the mail queue", user_name(),
			(long)getuid());
	}
	service_drop_privileges(PROCESS_QUEUE, NULL);
	if (queue_select(param.queue_directory, sql, put_row, &out, &error) != 0) {
		print(&out, 0);
		fail("%s", error != NULL ? error : "cannot read the queue");
	}
	print(&out, 0);
	buf_free(&out);
}

/* ---- Flushing ---- */

static void flush_queue(enum qmgr_message kind, const char *text)
{
	queue_id id;

	if (kind == QMGR_FLUSH_ID && !queue_id_parse(text, &id)) {
		fail("Cannot flush queue ID - invalid name: \"%.100s\"", text);
	}
	switch (queue_ask_qmgr(param.queue_directory, kind, text, ASK_SECONDS)) {
	case QMGR_OK:
		return;
	case QMGR_BAD:
		fail(kind == QMGR_FLUSH_SITE ? "Cannot flush mail queue - invalid destination: "
					       "\"%.100s\""
					     : "Cannot flush queue ID - invalid name: "
					       "\"%.100s\"",
			text != NULL ? text : "");
	case QMGR_DENIED:
		fail("User %s(%ld) is not allowed to flush the mail queue", user_name(),
			(long)getuid());
	}
	if (errno == EACCES || errno == EPERM) {
		fail("Connect to the %s qmgr service: %m", param.mail_name);
	}
	fail("Cannot flush mail queue - mail system is down");
}

/* ---- Arguments ---- */

/* load - main.cf, as everywhere; the status when that cannot be */
static void load(const char *dir, int status)
{
	char *error = NULL;

	if (conf_load(conf_dir(dir), false, &error) != 0) {
		log_fatal_status(status, "%s", error);
	}
}

/* What postqueue was asked for. */
struct request {
	enum mode mode;
	const char *text; /* of -i and -s */
	const char *dir;  /* of -c */
};

static void set_mode(struct request *r, enum mode to, const char *text)
{
	if (r->mode != MODE_NONE) {
		usage();
	}
	r->mode = to;
	r->text = text;
}

/* parse_options - one mode, no more and no less; anything else is the usage */
static void parse_options(struct request *r, int argc, char **argv)
{
	int opt, verbose = 0;

	static const struct option words[] = { { "sql", required_argument, NULL, 'S' },
		{ NULL, 0, NULL, 0 } };

	opterr = 0;
	while ((opt = getopt_long(argc, argv, "c:fi:jps:v", words, NULL)) != -1) {
		switch (opt) {
		case 'S':
			set_mode(r, MODE_SQL, optarg);
			break;
		case 'c':
			r->dir = optarg;
			break;
		case 'f':
			set_mode(r, MODE_FLUSH, NULL);
			break;
		case 'i':
			set_mode(r, MODE_FLUSH_ID, optarg);
			break;
		case 'j':
			set_mode(r, MODE_JSON, NULL);
			break;
		case 'p':
			set_mode(r, MODE_LIST, NULL);
			break;
		case 's':
			set_mode(r, MODE_FLUSH_SITE, optarg);
			break;
		case 'v':
			log_set_verbose(++verbose);
			break;
		default:
			usage();
		}
	}
	if (optind < argc || r->mode == MODE_NONE) {
		usage();
	}
}

/* mailq_main - sendmail's options are taken; only the configuration means something to a list */
static int mailq_main(int argc, char **argv)
{
	const char *dir = NULL;
	int opt;

	log_open("mailq", LOG_TO_STDERR);
	opterr = 0;
	while ((opt = getopt(argc, argv, "A:B:C:L:N:O:R:V:X:b:c:f:h:imno:p:q:r:tvx")) != -1) {
		if (opt == 'C' || opt == 'c') {
			dir = optarg;
		}
	}
	if (optind < argc) {
		log_fatal_status(EX_TEMPFAIL, "display queue mode requires no recipient");
	}
	load(dir, EX_TEMPFAIL);
	log_open("postqueue", LOG_TO_STDERR);
	list_queue(false);
	return 0;
}

int postqueue_main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash != NULL ? slash + 1 : argv[0];
	struct request r = { .mode = MODE_NONE };

	log_open("postqueue", LOG_TO_STDERR);
	if (strcmp(name, "mailq") == 0) {
		return mailq_main(argc, argv);
	}
	parse_options(&r, argc, argv);
	load(r.dir, EX_UNAVAILABLE);
	switch (r.mode) {
	case MODE_LIST:
	case MODE_JSON:
		list_queue(r.mode == MODE_JSON);
		break;
	case MODE_SQL:
		ask_sql(r.text);
		break;
	case MODE_FLUSH:
		flush_queue(QMGR_FLUSH, NULL);
		break;
	case MODE_FLUSH_ID:
		flush_queue(QMGR_FLUSH_ID, r.text);
		break;
	case MODE_FLUSH_SITE:
		flush_queue(QMGR_FLUSH_SITE, r.text);
		break;
	case MODE_NONE:
		break;
	}
	return 0;
}
