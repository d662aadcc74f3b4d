/*
 * test_file - names that outlive a power cut, and what is on the disk before something else
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "store_util.h"
#include "trace.h"
#include "unit.h"

TEST(file, sync_name)
{
	int fd;

	store_write("file", "x", 1);
	fd = open(store_path("file"), O_RDWR | O_CLOEXEC);
	REQUIRE(fd >= 0);
	CHECK_INT(file_sync_name(store_path("file"), -1), 0);
	CHECK_INT(dir_sync(unit_tmpdir(), fd), 0);
	/* No directory to open: all of the file system, where there is a descriptor to name it. */
	CHECK(file_sync_name(store_path("none/file"), -1) == -1 && errno == ENOENT);
	CHECK_INT(file_sync_name(store_path("none/file"), fd), 0);
	/* A disk that fails is not covered up by the file system's other way. */
	refuse_call(SYS_fsync);
	CHECK(file_sync_name(store_path("file"), fd) == -1 && errno == EIO);
	refuse_call(SYS_syncfs);
	CHECK(file_sync_name(store_path("none/file"), fd) == -1 && errno == EIO);
	close(fd);
}

TEST(file, sync_where_we_are)
{
	REQUIRE(chdir(unit_tmpdir()) == 0);
	CHECK_INT(file_sync_name("name", -1), 0);
	CHECK_INT(file_sync_name("/name", -1), 0);
}

/* What is to come is on the same file system, on another one, or there is none. */
static const char *other;

static void put_in_order(void)
{
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/first", unit_tmpdir());
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || file_order(fd, other) != 0) {
		_exit(1);
	}
	close(fd);
}

static bool count_syncs(void *arg, const struct trace_call *c)
{
	*(int *)arg += c->entry && c->nr == SYS_fdatasync;
	return true;
}

TEST(file, order)
{
	struct statfs fs;
	struct stat here, there;
	int syncs = 0;

	other = "/nonexistent";
	CHECK(trace_run(put_in_order, count_syncs, &syncs));
	CHECK_INT(syncs, 1);
	REQUIRE(stat(unit_tmpdir(), &here) == 0 && stat("/proc", &there) == 0);
	REQUIRE(here.st_dev != there.st_dev);
	other = "/proc";
	syncs = 0;
	CHECK(trace_run(put_in_order, count_syncs, &syncs));
	CHECK_INT(syncs, 1); /* another disk has a journal of its own */
	other = unit_tmpdir();
	syncs = 0;
	CHECK(trace_run(put_in_order, count_syncs, &syncs));
	REQUIRE(statfs(unit_tmpdir(), &fs) == 0);
	CHECK_INT(syncs, (unsigned)fs.f_type != 0xef53 && (unsigned)fs.f_type != 0x58465342);
}
