/*
 * test_killpoints - killed before each system call that changes a file, one after the other
 *
 * A child does a piece of work under ptrace and gets SIGKILL when it is about to make the n-th
 * such call, for every n until the work ends by itself. Then the work is looked at, as its next
 * user would find it: nothing may be lost, and what is done once must be done once.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "db/db_open.h"
#include "queue/queue.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "deliver/deliver.h"
#include "store_util.h"
#include "trace.h"
#include "unit.h"

enum { MAILS = 5, MOVED = 2, BATCH = 3, QUEUED = 5, POINTS_MAX = 2000 };

/* Every point is tried by the plain build; with sanitizers, which take a minute for that, some. */
#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 4 };
#else
enum { STRIDE = 1 };
#endif

/* changes - does this system call change a file or its name? (What fsync does no kill undoes.) */
static bool changes(uint64_t call, const uint64_t args[6])
{
	static const long calls[] = {
		SYS_write,
		SYS_writev,
		SYS_pwrite64,
		SYS_ftruncate,
		SYS_fallocate,
		SYS_renameat,
		SYS_linkat,
		SYS_unlinkat,
		SYS_mkdirat,
#ifdef SYS_rename
		SYS_rename,
		SYS_link,
		SYS_unlink,
		SYS_mkdir,
#endif
	};

#ifdef SYS_open
	if (call == SYS_open) {
		return (args[1] & O_CREAT) != 0;
	}
#endif
	if (call == SYS_openat) {
		return (args[2] & O_CREAT) != 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (call == (uint64_t)calls[i]) {
			return true;
		}
	}
	return false;
}

struct killer {
	int at, count;
};

/* kill_there - from trace_run(): true until the call that is asked for */
static bool kill_there(void *arg, const struct trace_call *call)
{
	struct killer *k = arg;

	return !call->entry || !changes(call->nr, call->args) || ++k->count < k->at;
}

/* kill_at - do the work, and be killed before call number `at'; false: there are not so many */
static bool kill_at(void (*work)(void), int at)
{
	struct killer k = { .at = at };

	return !trace_run(work, kill_there, &k);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	return f->level == 0 ? 0 : remove(path);
}

/* in_child - nothing that is open, or cached, must cross a fork */
static void in_child(void (*fn)(void))
{
	pid_t pid = trace_fork();
	int status;

	if (pid == 0) {
		fn();
		fflush(NULL);
		_exit(unit_failures() > 0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

/* at_each_point - prepare, work until killed, look; again with the next point, to the last one */
static void at_each_point(void (*prepare)(void), void (*work)(void), void (*look)(void))
{
	char row[32];
	int at = 1;
	bool killed = true;

	log_open("unit", LOG_TO_STDERR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	CHECK_ROW(row);
	for (; killed && at < POINTS_MAX; at += STRIDE) {
		snprintf(row, sizeof(row), "kill point %d", at);
		REQUIRE(nftw(unit_tmpdir(), remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
		in_child(prepare);
		killed = kill_at(work, at);
		in_child(look);
	}
	CHECK_ROW(NULL);
	/* Fewer than these, and nothing was killed. */
	CHECK(at > 5 && at < POINTS_MAX);
}

/* ---- MOVE ---- */

static const char *kind = "mbox";
static bool delivered;      /* the last one once more */
static unsigned lines = 50; /* of a message */
static bool small_first;    /* but for the first */
static const uint32_t moved_uids[MOVED] = { 2, 4 };

static void message(struct buf *b, unsigned number)
{
	buf_addf(b, "Message-ID: <%u@x>\nSubject: %u\n\n", number, number);
	for (unsigned i = 0; i < (small_first && number == 0 ? 100 : lines + number); i++) {
		buf_addf(b, "%u line %u From here to there, and more to fill it\n", number, i);
	}
}

static void prepare_folders(void)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v;

	for (unsigned i = 0; i < MAILS; i++) {
		struct buf b = BUF_INIT;

		message(&b, i);
		REQUIRE(store_put(ms, "INBOX", buf_str(&b), 0) != 0);
		buf_free(&b);
	}
	REQUIRE(mailstore_create(ms, "Saved") == 0);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	mailbox_close(v);
	mailstore_close(ms);
}

/* By a symbolic link the file may not be replaced: its bytes are, by journal. */
static void prepare_link(void)
{
	char real[4096];

	snprintf(real, sizeof(real), "%s", store_path("real"));
	store_write("real", "", 0);
	REQUIRE(symlink(real, store_path("inbox")) == 0);
	prepare_folders();
}

static void move(void)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t *new_uids, validity;

	if (v == NULL ||
		mailbox_copy(v, moved_uids, MOVED, "Saved", MAIL_MOVE, &new_uids, &validity) != 0) {
		_exit(1);
	}
	mem_free(new_uids);
	mailbox_close(v);
	mailstore_close(ms);
}

/* count_in - how often each message is in a folder, whole; torn_r: parts of one */
static void count_in(struct mailstore *ms, const char *folder, int counts[MAILS], int *torn_r)
{
	struct mailbox_view *v = mailbox_open(ms, folder, false);

	memset(counts, 0, MAILS * sizeof(*counts));
	*torn_r = 0;
	REQUIRE(v != NULL);
	for (uint32_t seq = 1; seq <= mailbox_count(v); seq++) {
		size_t len = 0;
		char *text = store_text(v, seq, &len);
		bool whole = false;

		for (unsigned i = 0; i < MAILS && text != NULL && !whole; i++) {
			struct buf want = BUF_INIT;

			message(&want, i);
			whole = len == want.len && memcmp(text, want.data, len) == 0;
			counts[i] += whole;
			buf_free(&want);
		}
		*torn_r += !whole;
		mem_free(text);
	}
	mailbox_close(v);
}

/* look_for_rest - the next to change the mailbox can, and clears away what was left beside it */
static void look_for_rest(struct mailstore *ms)
{
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t uid;
	DIR *d;

	REQUIRE(v != NULL);
	uid = mailbox_info(v, 1)->uid;
	CHECK_INT(mailbox_expunge(v, &uid, 1, true), 0);
	mailbox_close(v);
	d = opendir(unit_tmpdir());
	REQUIRE(d != NULL);
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		if (strncmp(e->d_name, ".inbox", 6) == 0) {
			CHECK_STR(e->d_name, "");
		}
	}
	closedir(d);
}

/* look_at_folders - each message is in one folder; what was not to move has not moved */
static void look_at_folders(void)
{
	struct mailstore *ms = store_open(kind);
	int here[MAILS], there[MAILS], torn;

	count_in(ms, "INBOX", here, &torn);
	CHECK_INT(torn, 0);
	count_in(ms, "Saved", there, &torn);
	/* An mbox may end in a part of the message that was copied: it is where it was, too. */
	CHECK(torn <= (strcmp(kind, "mbox") == 0));
	for (unsigned i = 0; i < MAILS; i++) {
		bool moves = i + 1 == moved_uids[0] || i + 1 == moved_uids[1];
		int more = delivered && i == MAILS - 1;

		CHECK(there[i] <= moves && here[i] + there[i] == 1 + more);
	}
	if (strcmp(kind, "mbox") == 0) {
		look_for_rest(ms);
	}
	mailstore_close(ms);
}

TEST(killpoints, move_mbox_by_rename)
{
	at_each_point(prepare_folders, move, look_at_folders);
}

/* look_at_link - another program, which knows nothing of journals, delivers before anybody looks */
static void look_at_link(void)
{
	size_t len;
	char *text = store_read("real", &len);
	struct buf b = BUF_INIT;

	REQUIRE(text != NULL);
	buf_adds(&b, len == 0 || (len > 1 && memcmp(text + len - 2, "\n\n", 2) == 0) ? "" : "\n\n");
	buf_adds(&b, "From a@b.example Tue Aug  9 14:21:58 2011\n");
	message(&b, MAILS - 1);
	buf_addc(&b, '\n');
	store_append("real", buf_str(&b));
	mem_free(text);
	buf_free(&b);
	delivered = true;
	look_at_folders();
}

/* flag - the file grows when the folder is closed */
static void flag(void)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);

	if (v == NULL ||
		mailbox_store(v, moved_uids, MOVED, FLAGS_ADD, MAIL_FLAGGED, 0, UINT64_MAX, NULL,
			NULL) != 0) {
		_exit(1);
	}
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(killpoints, flag_mbox_by_journal)
{
	lines = 1000;
	at_each_point(prepare_link, flag, look_at_link);
}

TEST(killpoints, move_mbox_by_journal)
{
	lines = 1000;
	at_each_point(prepare_link, move, look_at_link);
}

/* remove_first - no file may become longer than the mailbox is: as on a full disk */
static void remove_first(void)
{
	struct rlimit room = { 420 * 1024, 420 * 1024 };
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t first = 1;

	if (v == NULL || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
		setrlimit(RLIMIT_FSIZE, &room) != 0 || mailbox_expunge(v, &first, 1, true) != 0) {
		_exit(1);
	}
	mailbox_close(v);
	mailstore_close(ms);
}

/* look_at_rest - new mail comes first; then all but the first message are there, once and whole */
static void look_at_rest(void)
{
	struct mailstore *ms;
	int here[MAILS], torn;
	struct buf b = BUF_INIT;

	buf_adds(&b, "From a@b.example Tue Aug  9 14:21:58 2011\n");
	message(&b, MAILS - 1);
	buf_addc(&b, '\n');
	store_append("real", buf_str(&b));
	buf_free(&b);
	ms = store_open(kind);
	count_in(ms, "INBOX", here, &torn);
	CHECK_INT(torn, 0);
	for (unsigned i = 1; i < MAILS; i++) {
		CHECK_INT(here[i], i == MAILS - 1 ? 2 : 1);
	}
	CHECK(here[0] <= 1);
	look_for_rest(ms);
	mailstore_close(ms);
}

TEST(killpoints, remove_on_a_full_disk)
{
	lines = 2000;
	small_first = true;
	at_each_point(prepare_link, remove_first, look_at_rest);
}

TEST(killpoints, move_maildir)
{
	kind = "maildir";
	at_each_point(prepare_folders, move, look_at_folders);
}

/* ---- Delivery ---- */

static const struct deliver_how how = { .lock_ms = 0 };
static const char *target = "box";

/* deliver - the batch; with suspect as after a crash. true: all of it is delivered */
static bool deliver(bool suspect)
{
	struct deliver_item items[BATCH];
	struct buf texts[BATCH];
	struct slice slices[BATCH];
	char ids[BATCH][16];
	bool good = true;

	for (unsigned i = 0; i < BATCH; i++) {
		texts[i] = (struct buf)BUF_INIT;
		snprintf(ids[i], sizeof(ids[i]), "4A1B2C3D%u0", i);
		buf_addf(&texts[i], "Received: by mx (Postfix)\n\tid %s; Tue\n", ids[i]);
		message(&texts[i], i);
		slices[i] = (struct slice){ texts[i].data, texts[i].len };
		items[i] = (struct deliver_item){ .queue_id = ids[i],
			.sender = "a@x.example",
			.recipient = "u1@test.example",
			.original = "u1@test.example",
			.suspect = suspect,
			.read = slice_read,
			.read_arg = &slices[i] };
	}
	deliver_to_mailbox(store_path(target), &how, items, BATCH);
	for (unsigned i = 0; i < BATCH; i++) {
		good = good &&
			(items[i].status == DELIVER_OK || items[i].status == DELIVER_DUPLICATE);
		buf_free(&texts[i]);
	}
	return good;
}

static void deliver_once(void)
{
	if (!deliver(false)) {
		_exit(1);
	}
}

static int subjects(const char *text, unsigned number)
{
	char want[32];
	int count = 0;

	snprintf(want, sizeof(want), "\nSubject: %u\n", number);
	for (const char *p = text; (p = strstr(p, want)) != NULL; p++) {
		count++;
	}
	return count;
}

static void prepare_box(void)
{
	store_write("box", "From z  Tue Jan  1 00:00:00 2030\nSubject: 9\n\nolder\n\n", 52);
}

static void look_at_box(void)
{
	size_t len;
	char *text;

	CHECK(deliver(true));
	text = store_read("box", &len);
	REQUIRE(text != NULL);
	CHECK_INT(subjects(text, 9), 1);
	for (unsigned i = 0; i < BATCH; i++) {
		CHECK_INT(subjects(text, i), 1);
	}
	mem_free(text);
	CHECK(access(store_path("box.lock"), F_OK) != 0);
}

TEST(killpoints, deliver_mbox)
{
	at_each_point(prepare_box, deliver_once, look_at_box);
}

static void prepare_nothing(void)
{
}

static void look_at_maildir(void)
{
	struct mailstore *ms;
	struct mailbox_view *v;
	char *list;

	CHECK(deliver(true));
	ms = store_open(kind);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_count(v), BATCH);
	list = store_list(v);
	for (unsigned i = 0; i < BATCH; i++) {
		char want[16];

		snprintf(want, sizeof(want), ":%u ", i);
		CHECK(strstr(list, want) != NULL);
	}
	mem_free(list);
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(killpoints, deliver_maildir)
{
	kind = "maildir";
	target = "Maildir/";
	at_each_point(prepare_nothing, deliver_once, look_at_maildir);
}

/* ---- A damaged queue: set aside, its mail taken over ---- */

static struct queue *open_queue(void)
{
	char *error = NULL;
	struct queue *q = queue_open(unit_tmpdir(), QUEUE_CREATE, &error);

	if (q == NULL) {
		CHECK_STR(error, "");
	}
	REQUIRE(q != NULL);
	return q;
}

/* fill_queue - mail of which a part is in the log alone, as after kill -9 */
static void fill_queue(void)
{
	static const struct queue_envelope plain = { .sender = "a@example.com", .envid = "" };
	static const struct queue_recipient r = {
		.address = "r@x", .original = "", .orcpt = "", .dsn = "", .reason = ""
	};
	struct queue *q = open_queue();

	for (int i = 0; i < QUEUED; i++) {
		struct queue_message *m = queue_begin(q, &plain);

		queue_add_recipient(m, &r);
		REQUIRE(queue_write(m, "Subject: x\n\nbody\n", 17) == 0);
		queue_end(m, NULL, NULL);
		REQUIRE(queue_commit(q) == 0);
	}
	_exit(0);
}

/* damage - an index that lacks its row: all mail can be read, and no check finds the file sound */
static void damage(void)
{
	char *error = NULL;
	struct db *db = db_open(store_path("queue.db"), DB_WRITE, NULL, NULL, 0, NULL, &error);

	REQUIRE(db != NULL);
	REQUIRE(db_exec(db,
			"CREATE TABLE e1 (a); INSERT INTO e1 VALUES (1);"
			"CREATE TABLE e2 (a PRIMARY KEY) WITHOUT ROWID; PRAGMA writable_schema=1;"
			"INSERT INTO sqlite_master SELECT 'index', 'i', 'e1', rootpage,"
			" 'CREATE INDEX i ON e1 (a)' FROM sqlite_master WHERE name = 'e2'") == 0);
	_exit(0);
}

static void prepare_queue(void)
{
	in_child(fill_queue);
	in_child(damage);
	store_write("queue.db.bad", "", 0);
}

static void rescue(void)
{
	struct queue *q = open_queue();

	queue_rescue(q);
	queue_close(q);
}

static void look_at_queue(void)
{
	struct queue_entry found[QUEUED + 1];
	struct queue *q = open_queue();
	int64_t count = 0, bytes = 0;

	queue_rescue(q);
	CHECK_INT(queue_scan(q, 0, found, QUEUED + 1), QUEUED);
	CHECK(queue_totals(q, &count, &bytes) == 0 && bytes == QUEUED * 17);
	CHECK(!queue_is_broken(q));
	queue_close(q);
}

TEST(killpoints, set_aside_and_rescue)
{
	at_each_point(prepare_queue, rescue, look_at_queue);
}
