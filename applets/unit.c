/*
 * unit - run the unit tests that are compiled into a test build
 *
 * Tests register themselves before main (tests/unit/unit.h). Each runs in a
 * child process with a time limit and its own temporary directory; its lines
 * are collected from a pipe, so that the verdict comes first:
 *
 *	ok SUITE.NAME
 *	not ok SUITE.NAME: FILE:LINE: what          (further lines are indented)
 *	skip SUITE.NAME: why
 *
 * Exit status 1 if any failed or none matched the filter. */
#include "config/features.h"

#if FEATURE_UNIT

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "applets/applets.h"
#include "unit.h"

#define TEST_SECONDS 120
#define OUTPUT_MAX 16384
#define TREE_DEPTH_MAX 16
#define SHOWN_BYTES 200

enum verdict { VERDICT_OK = 0, VERDICT_FAILED = 1, VERDICT_SKIPPED = 77 };

static struct G {
	struct unit_test *tests; /* all, in the order of registration reversed */
	const char *row;         /* of the running test: CHECK_ROW */
	int failed;              /* of the running test: failed checks */
	char dir[64];            /* of the running test: unit_tmpdir, or "" */
	char file[512];          /* ... unit_file */
	char text[OUTPUT_MAX];   /* what the running test has said */
} G;

void unit_register(struct unit_test *test)
{
	test->next = G.tests;
	G.tests = test;
}

void unit_row(const char *text)
{
	G.row = text;
}

_Noreturn void unit_abort(void)
{
	exit(VERDICT_FAILED);
}

int unit_failures(void)
{
	return (int)G.failed;
}

_Noreturn void unit_skip(const char *why)
{
	printf("%s\n", why);
	exit(VERDICT_SKIPPED);
}

/* complain - one line about a failed check */
static void __attribute__((format(printf, 3, 4)))
complain(const char *file, int line, const char *format, ...)
{
	va_list ap;

	G.failed++;
	printf("%s:%d: ", file, line);
	if (G.row != NULL) {
		printf("[%s] ", G.row);
	}
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

int unit_check(int good, const char *file, int line, const char *text)
{
	if (!good) {
		complain(file, line, "%s", text);
	}
	return good;
}

int unit_check_int(long long got, long long want, const char *file, int line, const char *text)
{
	if (got == want) {
		return 1;
	}
	complain(file, line, "%s is %lld, want %lld", text, got, want);
	return 0;
}

/* show - bytes as a C string literal, cut at SHOWN_BYTES */
static void show(const char *label, const void *data, size_t len)
{
	const unsigned char *p = data;

	printf("    %s", label);
	if (p == NULL) {
		printf("NULL\n");
		return;
	}
	printf("\"");
	for (size_t i = 0; i < len && i < SHOWN_BYTES; i++) {
		if (p[i] == '\n') {
			printf("\\n");
		} else if (p[i] == '\r') {
			printf("\\r");
		} else if (p[i] < ' ' || p[i] >= 0x7f || p[i] == '"' || p[i] == '\\') {
			printf("\\x%02x", p[i]);
		} else {
			printf("%c", p[i]);
		}
	}
	printf("\"%s (%zu bytes)\n", len > SHOWN_BYTES ? "..." : "", len);
}

int unit_check_mem(const void *got, size_t got_len, const void *want, size_t want_len,
	const char *file, int line, const char *text)
{
	if (got == NULL || want == NULL) {
		if (got == want) {
			return 1;
		}
	} else if (got_len == want_len && memcmp(got, want, got_len) == 0) {
		return 1;
	}
	complain(file, line, "%s differs", text);
	show("got  ", got, got_len);
	show("want ", want, want_len);
	return 0;
}

int unit_check_str(const char *got, const char *want, const char *file, int line, const char *text)
{
	return unit_check_mem(got, got != NULL ? strlen(got) : 0, want,
		want != NULL ? strlen(want) : 0, file, line, text);
}

/* tmpdir_name - where the test run by process pid keeps its files */
static void tmpdir_name(char *path, size_t size, pid_t pid)
{
	snprintf(path, size, "/tmp/pillarbox-unit.%ld", (long)pid);
}

/* remove_tree - a directory of at most TREE_DEPTH_MAX levels and all in it */
static void remove_tree(int parent, const char *name, int depth)
{
	struct dirent *entry;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 && depth < TREE_DEPTH_MAX ? fdopendir(fd) : NULL;

	if (dir == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		if (unlinkat(fd, entry->d_name, 0) != 0) {
			remove_tree(fd, entry->d_name, depth + 1);
		}
	}
	closedir(dir);
	unlinkat(parent, name, AT_REMOVEDIR);
}

const char *unit_tmpdir(void)
{
	if (G.dir[0] == '\0') {
		tmpdir_name(G.dir, sizeof(G.dir), getpid());
		/* What is there already is a namesake's that was killed: the number is ours now. */
		remove_tree(AT_FDCWD, G.dir, 0);
		if (mkdir(G.dir, 0700) != 0) {
			printf("cannot make %s: %s\n", G.dir, strerror(errno));
			unit_abort();
		}
	}
	return G.dir;
}

const char *unit_file(const char *name, const char *text)
{
	FILE *f;

	snprintf(G.file, sizeof(G.file), "%s/%s", unit_tmpdir(), name);
	f = fopen(G.file, "w");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
		printf("cannot write %s: %s\n", G.file, strerror(errno));
		unit_abort();
	}
	return G.file;
}

/* run_child - the child's side: never returns */
static _Noreturn void run_child(const struct unit_test *test, int out)
{
	dup2(out, 1);
	dup2(out, 2);
	close(out);
	alarm(TEST_SECONDS);
	test->run();
	exit(G.failed > 0 ? VERDICT_FAILED : VERDICT_OK);
}

/* collect - what the child wrote, at most size - 1 bytes, until it ends */
static void collect(int fd, char *text, size_t size)
{
	char drop[512];
	size_t len = 0;
	ssize_t n;

	do {
		if (len < size - 1) {
			n = read(fd, text + len, size - 1 - len);
			len += n > 0 ? (size_t)n : 0;
		} else {
			n = read(fd, drop, sizeof(drop));
		}
	} while (n > 0 || (n < 0 && errno == EINTR));
	text[len] = '\0';
	while (len > 0 && text[len - 1] == '\n') {
		text[--len] = '\0';
	}
}

/* report - the verdict line, with what the test said; its status */
static enum verdict report(const struct unit_test *test, int status, char *text)
{
	char how[64] = "";
	const char *rest = text;

	if (WIFEXITED(status) && WEXITSTATUS(status) == VERDICT_OK) {
		printf("ok %s.%s\n", test->suite, test->name);
		return VERDICT_OK;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == VERDICT_SKIPPED) {
		printf("skip %s.%s: %s\n", test->suite, test->name, text);
		return VERDICT_SKIPPED;
	}
	if (WIFSIGNALED(status)) {
		snprintf(how, sizeof(how), "signal %d (%s)\n", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	} else if (*text == '\0') {
		snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(status));
	}
	printf("not ok %s.%s: %s", test->suite, test->name, how);
	while (*rest != '\0') {
		size_t len = strcspn(rest, "\n");

		printf("%s%.*s\n", rest == text && how[0] == '\0' ? "" : "    ", (int)len, rest);
		rest += len + (rest[len] == '\n');
	}
	if (*text == '\0' && !WIFSIGNALED(status)) {
		printf("\n");
	}
	return VERDICT_FAILED;
}

/* run_test - one test in a process of its own */
static enum verdict run_test(const struct unit_test *test)
{
	char dir[64];
	int fds[2], status = 0;
	pid_t pid;

	fflush(stdout);
	if (pipe(fds) != 0 || (pid = fork()) < 0) {
		printf("not ok %s.%s: cannot start: %s\n", test->suite, test->name,
			strerror(errno));
		return VERDICT_FAILED;
	}
	if (pid == 0) {
		close(fds[0]);
		run_child(test, fds[1]);
	}
	close(fds[1]);
	collect(fds[0], G.text, sizeof(G.text));
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
		continue;
	}
	tmpdir_name(dir, sizeof(dir), pid);
	remove_tree(AT_FDCWD, dir, 0);
	return report(test, status, G.text);
}

/* order_tests - for qsort: by suite, then by name */
static int order_tests(const void *left, const void *right)
{
	const struct unit_test *a = *(const struct unit_test *const *)left;
	const struct unit_test *b = *(const struct unit_test *const *)right;
	int order = strcmp(a->suite, b->suite);

	return order != 0 ? order : strcmp(a->name, b->name);
}

/* wanted - whether one of the filters is part of SUITE.NAME; none: all are */
static int wanted(const struct unit_test *test, char **filters)
{
	char name[256];

	if (*filters == NULL) {
		return 1;
	}
	snprintf(name, sizeof(name), "%s.%s", test->suite, test->name);
	for (; *filters != NULL; filters++) {
		if (strstr(name, *filters) != NULL) {
			return 1;
		}
	}
	return 0;
}

/* sorted_tests - all tests in order, NULL at the end; for the process's life */
static struct unit_test **sorted_tests(void)
{
	struct unit_test **list, *test;
	size_t count = 0, i = 0;

	for (test = G.tests; test != NULL; test = test->next) {
		count++;
	}
	list = calloc(count + 1, sizeof(*list));
	if (list == NULL) {
		abort();
	}
	for (test = G.tests; test != NULL; test = test->next) {
		list[i++] = test;
	}
	qsort(list, count, sizeof(*list), order_tests);
	return list;
}

int unit_main(int argc, char **argv)
{
	struct unit_test **list;
	int opt, only_list = 0, in_process = 0, failed = 0, found = 0;

	while ((opt = getopt(argc, argv, "ln")) != -1) {
		switch (opt) {
		case 'l':
			only_list = 1;
			break;
		case 'n':
			in_process = 1;
			break;
		default:
			return applet_usage("unit");
		}
	}
	list = sorted_tests();
	for (struct unit_test **test = list; *test != NULL; test++) {
		if (!wanted(*test, argv + optind)) {
			continue;
		}
		found++;
		if (only_list) {
			printf("%s.%s\n", (*test)->suite, (*test)->name);
		} else if (in_process) {
			(*test)->run();
		} else if (run_test(*test) == VERDICT_FAILED) {
			failed++;
		}
	}
	free(list);
	if (found == 0) {
		fprintf(stderr, "unit: no such test\n");
	}
	return failed > 0 || G.failed > 0 || found == 0;
}

#endif
