/*
 * test_lock - the lock on a mailbox: other programs, other descriptors, other processes
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "mail/lock/lock.h"
#include "unit.h"

static const char *box(void)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/box", unit_tmpdir());
	return path;
}

static void put_file(const char *path, const char *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	REQUIRE(fd >= 0 && fd_write_all(fd, data, len) == 0);
	close(fd);
}

TEST(lock, dotlock_of_another_program)
{
	int fd = open(box(), O_RDWR | O_CREAT, 0600);
	struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	struct mailbox_lock *l;
	char dot[300];

	snprintf(dot, sizeof(dot), "%s.lock", box());
	/* Not an empty one, which counts for half a second alone. */
	put_file(dot, "0", 1);
	CHECK(mailbox_lock(box(), fd, true, 20) == NULL && errno == EAGAIN);
	/* For reading it does not matter. */
	l = mailbox_lock(box(), fd, false, 0);
	CHECK(l != NULL);
	mailbox_unlock(l);
	/* Old, but the mailbox was written to just now. */
	utimensat(AT_FDCWD, dot, old, 0);
	CHECK(mailbox_lock(box(), fd, true, 0) == NULL);
	utimensat(AT_FDCWD, box(), old, 0);
	l = mailbox_lock(box(), fd, true, 0);
	CHECK(l != NULL);
	mailbox_unlock(l);
	CHECK(access(dot, F_OK) != 0);
	close(fd);
}

/* What a crash left names a process that lives: another one, where numbers have begun anew */
TEST(lock, number_used_again)
{
	static const struct {
		const char *end;
		bool held;
	} rows[] = {
		{ "\n", false }, /* ours: its owner would hold the lock on it */
		{ "", true },    /* a program's that only writes its number */
	};
	int fd = open(box(), O_RDWR | O_CREAT, 0600);
	struct utsname host;
	char dot[300], text[300];

	REQUIRE(fd >= 0 && uname(&host) == 0);
	snprintf(dot, sizeof(dot), "%s.lock", box());
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mailbox_lock *l;

		snprintf(text, sizeof(text), "%ld:%.60s%s", (long)getppid(), host.nodename,
			rows[i].end);
		put_file(dot, text, strlen(text));
		l = mailbox_lock(box(), fd, true, 0);
		CHECK((l == NULL) == rows[i].held);
		mailbox_unlock(l);
		unlink(dot);
	}
	close(fd);
}

TEST(lock, twice_in_one_process)
{
	int a = open(box(), O_RDWR | O_CREAT, 0600), b = open(box(), O_RDWR);
	struct mailbox_lock *l = mailbox_lock(box(), a, false, 0),
			    *m = mailbox_lock(box(), b, false, 0);

	CHECK(l != NULL && m != NULL);
	mailbox_unlock(m);
	CHECK(mailbox_lock(box(), b, true, 0) == NULL && errno == EAGAIN);
	mailbox_unlock(l);
	l = mailbox_lock(box(), b, true, 0);
	CHECK(l != NULL);
	close(a); /* closing another descriptor does not drop the lock */
	a = open(box(), O_RDWR);
	CHECK(mailbox_lock(box(), a, false, 0) == NULL);
	mailbox_unlock(l);
	close(a);
	close(b);
}

TEST(lock, read_only_directory)
{
	char path[300];
	struct mailbox_lock *l;
	int fd;

	snprintf(path, sizeof(path), "%s/ro", unit_tmpdir());
	REQUIRE(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/ro/box", unit_tmpdir());
	fd = open(path, O_RDWR | O_CREAT, 0600);
	*strrchr(path, '/') = '\0';
	REQUIRE(fd >= 0 && chmod(path, 0500) == 0);
	path[strlen(path)] = '/';
	l = mailbox_lock(path, fd, true, 0);
	CHECK(l != NULL);
	mailbox_unlock(l);
	close(fd);
}
