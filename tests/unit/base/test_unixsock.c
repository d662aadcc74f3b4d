/*
 * test_unixsock - unix sockets: long paths, stale files, who is there, descriptors that pass
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "unit.h"

/* listen_and_connect - at a path; the directory we are in stays */
static void listen_and_connect(const char *path)
{
	char before[4096], after[4096];
	int listener, client, server;
	struct stat st;
	uid_t uid;
	gid_t gid;
	pid_t pid;

	REQUIRE(getcwd(before, sizeof(before)) != NULL);
	listener = unix_listen(path, 0620);
	REQUIRE(listener >= 0);
	CHECK(stat(path, &st) == 0 && S_ISSOCK(st.st_mode));
	CHECK_INT(st.st_mode & 07777, 0620);
	CHECK(fcntl(listener, F_GETFD) == FD_CLOEXEC &&
		(fcntl(listener, F_GETFL) & O_NONBLOCK) != 0);
	client = unix_connect(path);
	REQUIRE(client >= 0);
	server = accept(listener, NULL, NULL);
	REQUIRE(server >= 0);
	CHECK_INT(unix_peer(server, &uid, &gid, &pid), 0);
	CHECK(uid == getuid() && gid == getgid() && pid == getpid());
	/* A stale file is replaced; the old listener hears of nobody any more. */
	close(server);
	close(client);
	server = unix_listen(path, 0600);
	REQUIRE(server >= 0);
	client = unix_connect(path);
	CHECK(client >= 0 && accept(listener, NULL, NULL) < 0 && errno == EAGAIN);
	close(client);
	close(server);
	close(listener);
	CHECK(unix_connect(path) < 0 && errno == ECONNREFUSED);
	CHECK(unlink(path) == 0 && unix_connect(path) < 0 && errno == ENOENT);
	REQUIRE(getcwd(after, sizeof(after)) != NULL);
	CHECK_STR(after, before);
}

/* Lengths over that of sun_path: 107 bytes. */
TEST(unixsock, paths_of_any_length)
{
	for (int deep = 0; deep < 4; deep++) {
		struct buf path = BUF_INIT;

		buf_adds(&path, unit_tmpdir());
		for (int i = 0; i < deep; i++) {
			buf_addf(&path, "/%.*s", 60,
				"ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd");
			(void)mkdir(buf_str(&path), 0755);
		}
		buf_adds(&path, "/socket");
		listen_and_connect(buf_str(&path));
		buf_free(&path);
	}
}

TEST(unixsock, a_name_that_is_too_long)
{
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/", unit_tmpdir());
	for (int i = 0; i < 120; i++) {
		buf_addc(&path, 'n');
	}
	CHECK(unix_listen(buf_str(&path), 0600) < 0 && errno == ENAMETOOLONG);
	CHECK(unix_connect(buf_str(&path)) < 0);
	buf_free(&path);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

TEST(unixsock, descriptors)
{
	int ends[2], send[5], got[4], was[4], pipe_ends[2];
	char text[8];
	size_t count;

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && pipe(pipe_ends) == 0);
	for (size_t i = 0; i < ARRAY_LEN(send); i++) {
		send[i] = pipe_ends[1];
	}
	CHECK(unix_send_fds(ends[0], "x", 1, send, 5) < 0 && errno == EINVAL);
	CHECK_INT(unix_send_fds(ends[0], "one", 3, NULL, 0), 3);
	CHECK_INT(unix_recv_fds(ends[1], text, sizeof(text), got, 4, &count), 3);
	CHECK_INT(count, 0);
	CHECK_INT(unix_send_fds(ends[0], "four", 4, send, 4), 4);
	CHECK_INT(unix_recv_fds(ends[1], text, sizeof(text), got, 4, &count), 4);
	REQUIRE(count == 4);
	CHECK(write(got[3], "!", 1) == 1 && read(pipe_ends[0], text, 1) == 1 && text[0] == '!');
	CHECK_INT(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	for (size_t i = 0; i < 4; i++) {
		close(got[i]);
		was[i] = got[i]; /* the next ones get the same numbers */
	}
	/* More than were asked for: closed, not kept. */
	CHECK_INT(unix_send_fds(ends[0], "four", 4, send, 4), 4);
	CHECK_INT(unix_recv_fds(ends[1], text, sizeof(text), got, 1, &count), 4);
	REQUIRE(count == 1);
	CHECK_INT(got[0], was[0]);
	for (size_t i = 1; i < 4; i++) {
		CHECK(!is_open(was[i]));
	}
	close(got[0]);
	/* The other side is gone: an error, no signal. */
	close(ends[1]);
	CHECK(unix_send_fds(ends[0], "x", 1, NULL, 0) < 0 && errno == EPIPE);
}

/* Root gives a socket away: that one, and nothing that was put in its place. */
TEST(unixsock, given_away)
{
	char path[256], other[256];
	struct stat st;
	int fd;

	if (geteuid() != 0) {
		unit_skip("only root can give a file away");
	}
	snprintf(path, sizeof(path), "%s/socket", unit_tmpdir());
	snprintf(other, sizeof(other), "%s/other", unit_tmpdir());
	fd = unix_listen(path, 0600);
	REQUIRE(fd >= 0);
	CHECK_INT(unix_own(path, 1001, 1002), 0);
	CHECK(stat(path, &st) == 0 && st.st_uid == 1001 && st.st_gid == 1002);
	REQUIRE(chown(path, 0, 0) == 0);
	/* By another name it may be in a place that is open to everybody. */
	REQUIRE(link(path, other) == 0);
	CHECK(unix_own(path, 1001, 1002) == -1 && errno == EPERM);
	REQUIRE(unlink(path) == 0 && symlink(other, path) == 0);
	CHECK(unix_own(path, 1001, 1002) == -1 && errno == EPERM);
	REQUIRE(unlink(path) == 0 && mkdir(path, 0700) == 0);
	CHECK(unix_own(path, 1001, 1002) == -1 && errno == EPERM);
	CHECK(stat(other, &st) == 0 && st.st_uid == 0 && stat(path, &st) == 0 && st.st_uid == 0);
	REQUIRE(rmdir(path) == 0);
	CHECK(unix_own(path, 1001, 1002) == -1 && errno == ENOENT);
	close(fd);
}

TEST(unixsock, nonblock)
{
	int ends[2];
	char c;

	REQUIRE(pipe(ends) == 0);
	CHECK_INT(fd_set_nonblock(ends[0], true), 0);
	CHECK(read(ends[0], &c, 1) < 0 && errno == EAGAIN);
	CHECK_INT(fd_set_nonblock(ends[0], false), 0);
	CHECK_INT(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
	CHECK_INT(fd_set_nonblock(-1, true), -1);
}
