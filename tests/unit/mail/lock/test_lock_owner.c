/*
 * test_lock_owner - dotlocks that nobody alive holds, and those that a living program holds
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/lock/lock.h"
#include "mail/lock/lock_owner.h"
#include "store_util.h"
#include "unit.h"

enum { NOBODY_HERE = 54321 };

/* The mailbox, and a dotlock as another program left it. */
struct rig {
	int box, dot;
	struct stat st; /* of the dotlock; tests change its times here, as ctime cannot be set */
};

static void setup(struct rig *r, const char *text, size_t len)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s", store_path("box"));
	r->box = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	store_write("box.lock", text, len);
	r->dot = open(store_path("box.lock"), O_RDWR | O_CLOEXEC);
	REQUIRE(r->box >= 0 && r->dot >= 0 && fstat(r->dot, &r->st) == 0);
}

static void finish(struct rig *r)
{
	close(r->box);
	close(r->dot);
	unlink(store_path("box.lock"));
}

static bool gone(const struct rig *r)
{
	return lock_owner_gone(r->dot, &r->st, r->box);
}

/* foreign - a process of another program; its standard input is fd */
static pid_t foreign(int fd)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid == 0) {
		if (fd >= 0) {
			dup2(fd, STDIN_FILENO);
		}
		execl("/bin/sleep", "sleep", "60", (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* settled - the process runs its own program by now */
static void settled(pid_t pid)
{
	char path[64];
	struct stat self, other;
	struct timespec ms = { 0, 2000000 };

	snprintf(path, sizeof(path), "/proc/%ld/exe", (long)pid);
	REQUIRE(stat("/proc/self/exe", &self) == 0);
	for (int i = 0; i < 2000; i++) {
		if (stat(path, &other) == 0 && other.st_ino != self.st_ino) {
			return;
		}
		nanosleep(&ms, NULL);
	}
	REQUIRE(!"the other program runs");
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Who has the mailbox has both locks: other programs may know only one of them. */
TEST(lock_owner, both_locks)
{
	struct rig r;
	struct mailbox_lock *l;
	int other;

	setup(&r, "", 0);
	unlink(store_path("box.lock"));
	l = mailbox_lock(store_path("box"), r.box, true, 0);
	REQUIRE(l != NULL);
	CHECK(access(store_path("box.lock"), F_OK) == 0);
	other = open(store_path("box"), O_RDWR | O_CLOEXEC);
	CHECK(lock_fcntl(other, F_RDLCK) != 0);
	mailbox_unlock(l);
	CHECK(access(store_path("box.lock"), F_OK) != 0);
	CHECK(lock_fcntl(other, F_WRLCK) == 0);
	/* For reading the kernel's lock alone, and it may be had by several. */
	close(other);
	l = mailbox_lock(store_path("box"), r.box, false, 0);
	REQUIRE(l != NULL);
	other = open(store_path("box"), O_RDWR | O_CLOEXEC);
	CHECK(lock_fcntl(other, F_WRLCK) != 0 && lock_fcntl(other, F_RDLCK) == 0);
	mailbox_unlock(l);
	close(other);
	finish(&r);
}

/* What a power cut leaves of a dotlock of ours: no bytes, or zeros; the mode says whose it was. */
TEST(lock_owner, ours_without_its_bytes)
{
	static const struct slice texts[] = { { "", 0 }, { "\0\0\0\0\0\0\0", 7 },
		{ "41:elsewhere\n", 13 } };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct mailbox_lock *l;
		struct rig r;

		setup(&r, texts[i].ptr, texts[i].len);
		REQUIRE(fchmod(r.dot, S_ISVTX | 0600) == 0);
		l = mailbox_lock(store_path("box"), r.box, true, 0);
		CHECK(l != NULL);
		mailbox_unlock(l);
		finish(&r);
	}
}

/* ... and while the owner lives it counts, whatever it says and how old it looks. */
TEST(lock_owner, ours_that_is_held)
{
	struct rig r;
	struct mailbox_lock *l;
	struct stat st;
	int again, status;
	pid_t pid;

	setup(&r, "", 0);
	unlink(store_path("box.lock"));
	l = mailbox_lock(store_path("box"), r.box, true, 0);
	REQUIRE(l != NULL && stat(store_path("box.lock"), &st) == 0);
	CHECK((st.st_mode & 07777) == (S_ISVTX | 0600));
	REQUIRE(truncate(store_path("box.lock"), 0) == 0);
	pid = fork();
	if (pid == 0) {
		again = open(store_path("box"), O_RDWR);
		_exit(mailbox_lock(store_path("box"), again, true, 700) != NULL);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	mailbox_unlock(l);
	finish(&r);
}

/* An empty one counts for half a second, long enough for its maker to be at the mailbox. */
TEST(lock_owner, empty)
{
	struct rig r;
	struct mailbox_lock *l;
	struct timespec ahead[2] = { { .tv_sec = 4000000000 }, { .tv_sec = 4000000000 } };

	setup(&r, "", 0);
	/* As if made now, however slow the machine is. */
	clock_gettime(CLOCK_REALTIME, &r.st.st_ctim);
	CHECK(!gone(&r));
	r.st.st_ctim.tv_sec -= 3;
	CHECK(gone(&r));
	/* Made before the system was up, or by a clock that was ahead. */
	r.st.st_ctim.tv_sec = 1000;
	CHECK(gone(&r));
	r.st.st_ctim.tv_sec = 4000000000;
	CHECK(gone(&r));
	/* Times that programs can set say nothing. */
	REQUIRE(futimens(r.dot, ahead) == 0);
	l = mailbox_lock(store_path("box"), r.box, true, 5000);
	CHECK(l != NULL);
	mailbox_unlock(l);
	finish(&r);
}

/* Somebody is at the mailbox: with the kernel's lock on it, or has it open. */
TEST(lock_owner, living_without_a_number)
{
	static const char *const texts[] = { "", "0" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct rig r;
		int other;
		pid_t pid;

		setup(&r, texts[i], strlen(texts[i]));
		r.st.st_ctim.tv_sec -= 5;
		other = open(store_path("box"), O_RDWR | O_CLOEXEC);
		REQUIRE(lock_fcntl(other, F_WRLCK) == 0);
		CHECK(!gone(&r));
		close(other);
		pid = foreign(r.box);
		settled(pid);
		CHECK(!gone(&r));
		/* Not for ever. */
		r.st.st_mtim.tv_sec -= 1000;
		REQUIRE(futimens(r.box, (struct timespec[2]){ { 1000, 0 }, { 1000, 0 } }) == 0);
		CHECK(gone(&r));
		end(pid);
		finish(&r);
	}
}

/* procmail's "0", or lockfile(1) in a script: as long as its user has a process that is as old */
TEST(lock_owner, text_without_a_number)
{
	struct rig r;
	pid_t pid = foreign(-1);

	settled(pid);
	setup(&r, "0", 1);
	r.st.st_ctim.tv_sec += 1;
	CHECK(!gone(&r));
	end(pid);
	r.st.st_uid = NOBODY_HERE;
	CHECK(gone(&r));
	r.st.st_uid = geteuid();
	r.st.st_ctim.tv_sec = 1000;
	CHECK(gone(&r));
	finish(&r);
}

TEST(lock_owner, number_of_a_process)
{
	static const char *const forms[] = { "%ld", "%ld\n", "%ld:%s" };
	struct utsname host;
	char text[200];

	REQUIRE(uname(&host) == 0);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct rig r;
		pid_t pid = foreign(-1);

		settled(pid);
		CHECK_ROW(forms[i]);
		snprintf(text, sizeof(text), forms[i], (long)pid, host.nodename);
		setup(&r, text, strlen(text));
		CHECK(!gone(&r));
		/* A process that was started later has the number of the one that made it. */
		r.st.st_ctim.tv_sec -= 4;
		CHECK(gone(&r));
		r.st.st_ctim.tv_sec += 4;
		end(pid);
		CHECK(gone(&r));
		finish(&r);
	}
	CHECK_ROW(NULL);
}
