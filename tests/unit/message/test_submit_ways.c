/*
 * test_submit_ways - mail handed in by a program: which way it takes when one breaks down at
 * whatever moment, refusals, and never twice
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "queue/queue_read.h"
#include "ipc/pickup_request.h"
#include "message/submit.h"
#include "conf_util.h"
#include "stage_util.h"
#include "unit.h"

enum { BIG = 2 * 1024 * 1024 };

/* What the pickup of a test does, after so many bytes (-1: after END). */
enum act { CLOSES, ACCEPTS, DEFERS, REFUSES, TALKS_NONSENSE };

struct plan {
	const char *what;
	int after;
	enum act act;
	size_t size; /* of the content */
	enum submit_result want;
	int dropped; /* files in the maildrop then */
	const char *error;
};

static const char *in_dir(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", unit_tmpdir(), name);
	return path;
}

static int listen_there(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)mkdir(in_dir("public"), 0700);
	(void)unlink(in_dir("public/pickup"));
	REQUIRE(str_copy(at.sun_path, sizeof(at.sun_path), in_dir("public/pickup")));
	REQUIRE(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 5) == 0);
	return fd;
}

/* hear - so much of a submission */
static void hear(int fd, int after)
{
	struct pickup_message m = { .kind = PICKUP_BEGIN };
	struct buf in = BUF_INIT;
	size_t size, total = 0;

	while (after < 0 ? m.kind != PICKUP_END : total < (size_t)after) {
		ssize_t n = read(fd, buf_reserve(&in, 4096), 4096);

		if (n <= 0) {
			_exit(3);
		}
		buf_added(&in, (size_t)n);
		total += (size_t)n;
		while (m.kind != PICKUP_END && pickup_get(&in, &m, &size) == 1) {
			buf_consume(&in, size);
		}
	}
}

/* serve - one submission, in a process of its own */
static pid_t serve(const struct plan *plan)
{
	struct pickup_message m = { .kind = PICKUP_ANSWER, .status = PICKUP_OK, .text = "4abc" };
	int listener = listen_there(), fd;
	struct buf out = BUF_INIT;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid > 0) {
		close(listener);
		return pid;
	}
	fd = accept(listener, NULL, NULL);
	hear(fd, plan->after);
	if (plan->act == DEFERS || plan->act == REFUSES) {
		m.status = plan->act == DEFERS ? PICKUP_RETRY : PICKUP_REFUSED;
		m.text = "because";
	}
	pickup_put(&out, &m);
	if (plan->act == TALKS_NONSENSE) {
		memset(out.data, 'x', out.len);
	}
	if (plan->act != CLOSES && write(fd, out.data, out.len) < 0) {
		_exit(4);
	}
	_exit(0);
}

static int dropped(void)
{
	DIR *dir = opendir(in_dir("maildrop"));
	const struct dirent *entry;
	int count = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		count += entry->d_name[0] != '.';
	}
	if (dir != NULL) {
		closedir(dir);
	}
	return count;
}

static void begin(void)
{
	log_open("unit", LOG_TO_FILE);
	signal(SIGPIPE, SIG_IGN);
	conf_util_load("message_size_limit = 0\n");
}

/* hand_in - a letter whose content is so long */
static enum submit_result hand_in(struct submit *s, size_t size)
{
	static char block[1000];

	memset(block, 'x', sizeof(block));
	block[sizeof(block) - 1] = '\n';
	submit_envelope(s, "a@b.example", "A. User", NULL, 0);
	submit_recipient(s, "u@c.example", 0, NULL);
	(void)submit_write(s, "Subject: x\n\n", 12);
	for (size_t at = 0; at < size; at += sizeof(block)) {
		(void)submit_write(s, block, sizeof(block));
	}
	return submit_end(s);
}

/* Nobody else's queue is written here: root's is not there, another user's is not ours. */
static void no_queue(void)
{
	REQUIRE(mkdir(in_dir("queue"), 0500) == 0);
	REQUIRE(geteuid() != 0 || chown(in_dir("queue"), 65534, 65534) == 0);
}

static const struct plan plans[] = {
	{ "accepted", -1, ACCEPTS, 100, SUBMIT_OK, 0, NULL },
	{ "accepted, long", -1, ACCEPTS, BIG, SUBMIT_OK, 0, NULL },
	{ "refused", -1, REFUSES, 100, SUBMIT_REFUSED, 0, "because" },
	{ "deferred", -1, DEFERS, 100, SUBMIT_RETRY, 0, "because" },
	/* Until END has been sent nothing is queued there: another way. */
	{ "gone at once", 0, CLOSES, 500 * 1000, SUBMIT_OK, 1, NULL },
	{ "gone in the middle", 60000, CLOSES, 900 * 1000, SUBMIT_OK, 1, NULL },
	{ "nonsense in the middle", 60000, TALKS_NONSENSE, 900 * 1000, SUBMIT_OK, 1, NULL },
	/* Longer than what is kept for another way. */
	{ "gone in the middle, long", 1536 * 1024, CLOSES, BIG, SUBMIT_RETRY, 0, NULL },
	/* It may be queued: whoever tried another way would queue it twice. */
	{ "gone behind the end", -1, CLOSES, 100, SUBMIT_RETRY, 0,
		"pickup went away before it answered" },
	{ "nonsense behind the end", -1, TALKS_NONSENSE, 100, SUBMIT_RETRY, 0, NULL },
};

TEST(submit_ways, pickup_at_every_moment)
{
	begin();
	no_queue();
	REQUIRE(mkdir(in_dir("maildrop"), 0700) == 0);
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct submit *s = submit_new();
		pid_t pid = serve(&plans[i]);
		int before = dropped(), status;

		CHECK_ROW(plans[i].what);
		CHECK_INT(hand_in(s, plans[i].size), plans[i].want);
		CHECK_INT(dropped() - before, plans[i].dropped);
		CHECK_STR(submit_id(s),
			plans[i].want == SUBMIT_OK && plans[i].dropped == 0 ? "4abc" : "");
		if (plans[i].error != NULL) {
			CHECK_STR(submit_error(s), plans[i].error);
		}
		CHECK(plans[i].want == SUBMIT_OK || *submit_error(s) != '\0');
		submit_free(s);
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
	CHECK_ROW(NULL);
}

TEST(submit_ways, no_way_is_left)
{
	struct submit *s = submit_new();

	begin();
	no_queue();
	CHECK_INT(hand_in(s, BIG), SUBMIT_RETRY);
	CHECK(strstr(submit_error(s), "maildrop: No such file") != NULL);
	CHECK_INT(submit_write(s, "x", 1), -1);
	submit_free(s);
}

/* Given up before its end: nothing stays. */
TEST(submit_ways, given_up)
{
	struct submit *s = submit_new();

	begin();
	no_queue();
	REQUIRE(mkdir(in_dir("maildrop"), 0700) == 0);
	submit_envelope(s, "a@b.example", NULL, NULL, 0);
	submit_recipient(s, "u@c.example", 0, NULL);
	CHECK_INT(submit_write(s, "x\n", 2), 0);
	CHECK_INT(dropped(), 1);
	submit_free(s);
	CHECK_INT(dropped(), 0);
}

static int queued(void)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	char *error = NULL;
	struct queue *q = queue_open_below(unit_tmpdir(), QUEUE_CREATE, &error);
	int count = 0;

	REQUIRE(q != NULL);
	for (queue_id id = 0; queue_next(q, id, &a, &env) == 1; id = env.id) {
		count++;
	}
	arena_free(&a);
	queue_close(q);
	return count;
}

/* Into queue.db by itself: stages wait in there, too, and refuse, or fail for this time. */
TEST(submit_ways, a_stage_waits)
{
	int expected = 0;

	begin();
	REQUIRE(mkdir(in_dir("queue"), 0700) == 0);
	for (enum stage_moment at = STAGE_NEVER; at < STAGE_MOMENTS; at++) {
		struct submit *s = submit_new();

		stage_util_wait(at, 5, PIPELINE_OK);
		CHECK_INT(hand_in(s, 100), SUBMIT_OK);
		CHECK(*submit_id(s) != '\0');
		CHECK_INT(stage_util_waited(), at != STAGE_NEVER);
		CHECK_INT(queued(), ++expected);
		submit_free(s);
		if (at != STAGE_NEVER) {
			s = submit_new();
			stage_util_wait(at, 5, PIPELINE_REJECT);
			CHECK_INT(hand_in(s, 100), SUBMIT_REFUSED);
			CHECK_STR(submit_error(s), "not this one");
			submit_free(s);
		}
	}
	CHECK_INT(queued(), expected);
}
