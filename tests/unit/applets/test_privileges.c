/*
 * test_privileges - what a sealed process can still do, and what it holds
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "applets/daemon/privileges.h"
#include "unit.h"

/* A file that is not there, whatever happens to it; flags that clone(2) refuses by themselves. */
#define NOWHERE "/nonexistent/file"
enum { CLONE_NOTHING = 0x10000 }; /* CLONE_THREAD without CLONE_VM: EINVAL */

/* refused - the call failed with EPERM */
static bool refused(long result)
{
	return result < 0 && errno == EPERM;
}

/* in_child - checks() in a process that is sealed as that kind; its failed checks are ours */
static void in_child(enum process_kind kind, void (*checks)(void))
{
	int status = 0;
	pid_t pid;

	if (!privileges_filter_there(kind)) {
		unit_skip("this build has no filter");
	}
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		privileges_seal(kind);
		checks();
		fflush(stdout);
		_exit(unit_failures() > 0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
}

/*
 * nothing_else - what no sealed process may. Nothing here does harm where the filter is at fault:
 * there is no such file, and what is asked of the kernel is not sensible.
 */
static void nothing_else(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	char *const argv[] = { "sh", NULL };

	CHECK(refused(open(NOWHERE, O_WRONLY)));
	CHECK(refused(open(NOWHERE, O_RDWR | O_CREAT, 0600)));
	CHECK(refused(open(NOWHERE, O_RDONLY | O_TRUNC)));
	CHECK(refused(syscall(SYS_openat, AT_FDCWD, NOWHERE, O_PATH)));
	CHECK(refused(execve(NOWHERE, argv, NULL)));
	CHECK(refused(syscall(SYS_execveat, AT_FDCWD, NOWHERE, argv, NULL, 0)));
	CHECK(refused(syscall(SYS_clone, CLONE_NOTHING, 0, 0, 0, 0)));
	CHECK(refused(socket(AF_INET, SOCK_STREAM, 0)));
	CHECK(refused(socket(AF_UNIX, SOCK_STREAM, 0)));
	CHECK(refused(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){ 0, 0 })));
	CHECK(refused(connect(-1, (struct sockaddr *)&addr, sizeof(addr))));
	CHECK(refused(bind(-1, (struct sockaddr *)&addr, sizeof(addr))));
	CHECK(refused(kill(getppid(), 0)));
	CHECK(refused(syscall(SYS_ptrace, -1, 0, 0, 0)));
	CHECK(refused(syscall(SYS_pidfd_open, getppid(), 0)));
	CHECK(refused(syscall(SYS_pidfd_getfd, 0, 0, 0)));
	CHECK(refused(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0)));
	CHECK(refused(unlink(NOWHERE)));
	CHECK(refused(rename(NOWHERE, NOWHERE)));
	CHECK(refused(link(NOWHERE, NOWHERE)));
	CHECK(refused(symlink(NOWHERE, NOWHERE)));
	CHECK(refused(mkdir(NOWHERE, 0700)));
	CHECK(refused(chmod(NOWHERE, 0777)));
	CHECK(refused(chown(NOWHERE, 0, 0)));
	CHECK(refused(setuid(0)));
	CHECK(refused(chroot(NOWHERE)));
	CHECK(refused(syscall(SYS_unshare, 0)));
	CHECK(refused(syscall(SYS_mount, "a", "b", "c", 0, NULL)));
	CHECK(refused(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)));
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		MAP_FAILED);
}

static void login_part(void)
{
	int ends[2];
	void *memory;

	nothing_else();
	CHECK(refused(open(NOWHERE, O_RDONLY)));
	CHECK(refused(access(NOWHERE, F_OK)));
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	CHECK_INT(write(ends[0], "x", 1), 1);
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	CHECK(refused(mprotect(memory, 4096, PROT_READ | PROT_EXEC)));
	CHECK_INT(mprotect(memory, 4096, PROT_READ), 0);
}

static void reader(void)
{
	char byte;
	int fd;

	nothing_else();
	fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_INT(read(fd, &byte, 1), 1);
	CHECK_INT(access("/etc/passwd", F_OK), 0);
	CHECK(refused(socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0, 0 })));
	CHECK(refused(ftruncate(-1, 0)));
	CHECK(refused(accept4(-1, NULL, NULL, 0)));
}

TEST(privileges, sealed_login_part)
{
	in_child(PROCESS_LOGIN, login_part);
}

TEST(privileges, sealed_reader)
{
	in_child(PROCESS_READER, reader);
}

TEST(privileges, keeps_only_what_it_is_told)
{
	int a = fcntl(0, F_DUPFD, 20), b = fcntl(0, F_DUPFD, 30), c = fcntl(0, F_DUPFD, 2000);
	int status = 0;
	pid_t pid;

	REQUIRE(a >= 0 && b >= 0);
	pid = fork();
	if (pid == 0) {
		privileges_keep_only(&b, 1);
		_exit((fcntl(b, F_GETFD) < 0) | (fcntl(a, F_GETFD) >= 0) << 1 |
			(c >= 0 && fcntl(c, F_GETFD) >= 0) << 2 | (fcntl(2, F_GETFD) < 0) << 3);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	(void)close(a);
	(void)close(b);
	if (c >= 0) {
		(void)close(c);
	}
}
