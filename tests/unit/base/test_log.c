/*
 * test_log - a log that takes nothing now stops nobody, and says what it dropped
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "store_util.h"
#include "unit.h"

#define PADDING "----------------------------------------------------------------------------------"

/* count_lines - those of write_lines() in text that are whole and in order */
static int count_lines(const char *text, long *lost_r, int *torn_r)
{
	struct slice rest = slice_of(text), line;
	int count = 0, last = -1, number;

	*lost_r = *torn_r = 0;
	while ((line = slice_word(&rest, "\n")).ptr != NULL) {
		char *one = mem_strndup(line.ptr, line.len), *at;

		if ((at = strstr(one, "warning: ")) != NULL) {
			*lost_r += strtol(at + 9, NULL, 10);
		} else if ((at = strstr(one, "]: line ")) == NULL ||
			sscanf(at, "]: line %d " PADDING, &number) != 1 || number <= last ||
			!str_ends(one, PADDING)) {
			(*torn_r)++;
		} else {
			count++, last = number;
		}
		mem_free(one);
	}
	return count;
}

static void write_lines(int from, int to)
{
	for (int i = from; i < to; i++) {
		log_info("line %d " PADDING, i);
	}
}

/* drain - all that is in the pipe now */
static void drain(int fd, struct buf *b)
{
	ssize_t n;

	while ((n = read(fd, buf_reserve(b, 65536), 65536)) > 0) {
		buf_added(b, (size_t)n);
	}
}

/* A pipe that nobody reads: no call waits, and later every line is there or counted. */
static void stall(bool buffered)
{
	struct buf b = BUF_INIT;
	int ends[2], count, torn;
	long lost;

	REQUIRE(pipe(ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
	alarm(20);
	log_open("unit", LOG_TO_STDERR);
	log_set_fd(ends[1]);
	log_set_buffered(buffered);
	write_lines(0, 3000);
	CHECK(log_is_stuck());
	drain(ends[0], &b);
	for (int i = 0; i < 10 && log_is_stuck(); i++) {
		log_flush();
		drain(ends[0], &b);
	}
	CHECK(!log_is_stuck());
	write_lines(3000, 3010);
	log_flush();
	drain(ends[0], &b);
	count = count_lines(buf_str(&b), &lost, &torn);
	CHECK(count > 500 && lost > 0);
	CHECK_INT(torn, 0);
	CHECK_INT(count + lost, 3010);
	buf_free(&b);
	alarm(0);
}

TEST(log, reader_that_stops)
{
	stall(false);
}

TEST(log, reader_that_stops_buffered)
{
	stall(true);
}

/* An old kernel knows no write to a pipe that does not wait. */
TEST(log, reader_that_stops_without_nowait)
{
	refuse_call(SYS_pwritev2);
	stall(false);
}

/* What a process could not write is not written by its child. */
TEST(log, child_of_a_stalled_process)
{
	struct buf b = BUF_INIT;
	int ends[2], status;
	char *text, *first;
	pid_t pid;

	REQUIRE(pipe(ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
	log_open("unit", LOG_TO_STDERR);
	log_set_fd(ends[1]);
	write_lines(0, 1000);
	drain(ends[0], &b);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		log_info("child");
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	buf_reset(&b);
	drain(ends[0], &b);
	CHECK(strstr(buf_str(&b), "]: child") != NULL);
	CHECK(strstr(buf_str(&b), "]: line") == NULL);
	log_flush();
	drain(ends[0], &b);
	text = buf_steal(&b);
	first = strstr(text, "]: line");
	CHECK(first != NULL && strstr(text, "warning: ") != NULL);
	mem_free(text);
}

/* A file that takes no more, and then does: no line is torn. */
TEST(log, full_disk)
{
	struct rlimit limit = { 10000, RLIM_INFINITY };
	const char *path = store_path("log");
	struct buf b = BUF_INIT;
	long lost;
	int fd, count, torn;

	signal(SIGXFSZ, SIG_IGN);
	log_open("unit", LOG_TO_STDERR);
	REQUIRE(log_open_file(path) == 0 && setrlimit(RLIMIT_FSIZE, &limit) == 0);
	write_lines(0, 400);
	CHECK(log_is_stuck());
	limit.rlim_cur = RLIM_INFINITY;
	REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	write_lines(400, 410);
	CHECK(!log_is_stuck());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	drain(fd, &b);
	close(fd);
	count = count_lines(buf_str(&b), &lost, &torn);
	/* One stands there torn, and then whole. */
	CHECK(lost > 0 && torn <= 1);
	CHECK_INT(count + lost, 410);
	buf_free(&b);
}

/* ---- Lines ---- */

static struct buf heard;

static void hear(void *arg, const char *lines, size_t len)
{
	(void)arg;
	buf_add(&heard, lines, len);
}

static void listen_to(const char *severity, const char *text)
{
	buf_addf(&heard, "[%s%s]", severity, text);
}

TEST(log, lines_for_another_process)
{
	log_open("unit", LOG_TO_STDERR);
	log_set_sink(hear, NULL);
	log_info("one %d", 1);
	log_warn("two");
	log_error("three");
	log_debug(1, "not wanted");
	log_set_verbose(1);
	log_debug(1, "four");
	log_debug(2, "not wanted");
	log_flush();
	CHECK_STR(buf_str(&heard), "6one 1\n5two\n4three\n7four\n");
	/* What is not printable cannot make another line. */
	buf_reset(&heard);
	log_info("a\nb\x01\xff");
	log_flush();
	CHECK_STR(buf_str(&heard), "6a?b??\n");
	buf_reset(&heard);
	errno = ENOENT;
	log_info("%m");
	log_flush();
	CHECK_STR(buf_str(&heard), "6No such file or directory\n");
}

/* What a part without rights has said, in the name of that process; it makes no line of its own. */
TEST(log, lines_of_another_process)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ "6text", "6pop3: text\n" },
		{ "5text", "5pop3: text\n" },
		{ "text", "6pop3: text\n" },
		{ "", "6pop3: \n" },
		{ "9text", "6pop3: 9text\n" },
		/* A panic is shown to everybody who is logged in. */
		{ "2text", "3pop3: text\n" },
		{ "6a\nJan  1 00:00:00 host b\x1b[2J", "6pop3: a?Jan  1 00:00:00 host b?[2J\n" },
	};

	log_open("unit", LOG_TO_STDERR);
	log_set_sink(hear, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_ROW(rows[i].line);
		buf_reset(&heard);
		log_relayed(1, "pop3: ", rows[i].line, strlen(rows[i].line));
		CHECK_STR(buf_str(&heard), rows[i].want);
	}
}

/* However many lines come in a turn, they are handed on and none is lost. */
TEST(log, lines_beyond_the_room)
{
	int lines = 0;

	log_open("unit", LOG_TO_STDERR);
	log_set_sink(hear, NULL);
	log_set_buffered(1);
	write_lines(0, 1000);
	log_flush();
	for (size_t i = 0; i < heard.len; i++) {
		lines += heard.data[i] == '\n';
	}
	CHECK_INT(lines, 1000);
}

TEST(log, errno_stays)
{
	log_open("unit", LOG_TO_STDERR);
	log_set_fd(open("/dev/full", O_WRONLY));
	errno = EBUSY;
	log_warn("text");
	CHECK_INT(errno, EBUSY);
	log_set_fd(-1);
	log_warn("text");
	CHECK_INT(errno, EBUSY);
}

TEST(log, warnings_are_told)
{
	int null = open("/dev/null", O_WRONLY);

	log_open("unit", LOG_TO_STDERR);
	log_set_fd(null);
	log_set_listener(listen_to);
	log_info("one");
	log_warn("two");
	log_error("three");
	CHECK_STR(buf_str(&heard), "[warning: two][error: three]");
	log_set_listener(NULL);
	log_warn("four");
	CHECK_STR(buf_str(&heard), "[warning: two][error: three]");
}

TEST(log, form_of_a_line)
{
	struct buf b = BUF_INIT;
	char pid[64];
	int ends[2];

	REQUIRE(pipe(ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
	log_open("first", LOG_TO_STDERR);
	log_set_fd(ends[1]);
	log_set_tag("postfix/unit");
	CHECK_STR(log_tag(), "postfix/unit");
	CHECK_INT(log_fd(), ends[1]);
	log_warn("text");
	log_set_buffered(1);
	log_info("held");
	drain(ends[0], &b);
	/* "Aug 10 02:41:01 host tag[pid]: warning: text" */
	snprintf(pid, sizeof(pid), " postfix/unit[%d]: warning: text\n", (int)getpid());
	REQUIRE(b.len > 16 + strlen(pid));
	CHECK(b.data[3] == ' ' && b.data[6] == ' ' && b.data[9] == ':' && b.data[12] == ':' &&
		b.data[15] == ' ');
	CHECK_STR(buf_str(&b) + b.len - strlen(pid), pid);
	CHECK(strstr(buf_str(&b), "held") == NULL);
	log_flush();
	buf_reset(&b);
	drain(ends[0], &b);
	CHECK(strstr(buf_str(&b), "]: held\n") != NULL);
	buf_free(&b);
}

/* end_of - status of a child that logs its last line; what it said to heard */
static int end_of(void (*fn)(void))
{
	int ends[2], status;
	pid_t pid;

	REQUIRE(pipe(ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
	pid = fork();
	if (pid == 0) {
		log_open("unit", LOG_TO_STDERR);
		log_set_fd(ends[1]);
		log_set_buffered(1);
		fn();
		_exit(99);
	}
	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
	buf_reset(&heard);
	drain(ends[0], &heard);
	close(ends[0]);
	close(ends[1]);
	return status;
}

static void say_fatal(void)
{
	log_info("before");
	log_fatal("gone");
}

static void say_fatal_status(void)
{
	log_fatal_status(75, "later");
}

static void say_panic(void)
{
	log_panic("bug");
}

TEST(log, last_words)
{
	int status = end_of(say_fatal);

	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	/* What was held back comes first. */
	CHECK(strstr(buf_str(&heard), "before\n") != NULL &&
		strstr(buf_str(&heard), "fatal: gone\n") != NULL);
	status = end_of(say_fatal_status);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 75);
	status = end_of(say_panic);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CHECK(strstr(buf_str(&heard), "panic: bug\n") != NULL);
}

/* A pause gives back the memory of lines that are out, and of no others. */
TEST(log, a_pause_keeps_held_lines)
{
	extern char log_held[];
	unsigned char resident = 1;
	struct buf b = BUF_INIT;
	int ends[2], torn;
	long lost;

	REQUIRE(pipe(ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
	log_open("unit", LOG_TO_STDERR);
	log_set_fd(ends[1]);
	log_set_buffered(1);
	write_lines(0, 20);
	mem_trim();
	log_flush();
	drain(ends[0], &b);
	CHECK_INT(count_lines(buf_str(&b), &lost, &torn), 20);
	CHECK_INT(torn, 0);
	mem_trim();
	CHECK_INT(mincore(log_held, 1, &resident), 0);
	CHECK_INT(resident & 1, 0);
	log_set_fd(STDERR_FILENO);
	log_set_buffered(0);
	buf_free(&b);
	close(ends[0]);
	close(ends[1]);
}
