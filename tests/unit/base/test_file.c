/*
 * test_file - names that outlive a power cut
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "store_util.h"
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
