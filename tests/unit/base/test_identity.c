/*
 * test_identity - whose a path is, and work with that one's rights
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/identity.h"
#include "unit.h"

enum { ALICE = 1001, BOB = 1002 };

static const char *at(const char *name)
{
	static char path[4][600];
	static int n;

	n = (n + 1) % 4;
	snprintf(path[n], sizeof(path[n]), "%s/%s", unit_tmpdir(), name);
	return path[n];
}

static void make(const char *name, uid_t uid, mode_t mode)
{
	REQUIRE(mkdir(at(name), mode) == 0 && chmod(at(name), mode) == 0 &&
		chown(at(name), uid, uid) == 0);
}

static uid_t owner_of(const char *name)
{
	uid_t uid;
	gid_t gid;

	return path_owner(at(name), &uid, &gid) == 0 ? uid : (uid_t)-1;
}

static void need_root(void)
{
	if (geteuid() != 0) {
		unit_skip("only root has others' rights to take");
	}
	REQUIRE(chmod(unit_tmpdir(), 0755) == 0);
}

TEST(identity, owner_of_a_path)
{
	uid_t uid;
	gid_t gid;
	char path[PATH_MAX];

	need_root();
	make("root", 0, 0755);
	make("root/alice", ALICE, 0755);
	make("root/alice/root", 0, 0755);
	make("root/tmp", 0, 01777);
	make("root/tmp/bob", BOB, 0755);
	CHECK_INT(owner_of("root/file"), 0);
	CHECK_INT(owner_of("root/missing/file"), 0);
	CHECK_INT(owner_of("root/alice"), ALICE);
	/* What lies behind is hers to exchange, whoever it belongs to. */
	CHECK_INT(owner_of("root/alice/root/file"), ALICE);
	CHECK_INT(owner_of("root/tmp/new"), 0);
	CHECK_INT(owner_of("root/tmp/bob/x"), BOB);
	CHECK_INT(owner_of("root/alice/../file"), ALICE);
	/* A link counts for who made it: root's leads on, another's is the end of root's way. */
	REQUIRE(symlink("alice/x", at("root/link")) == 0 && symlink("/", at("root/up")) == 0);
	REQUIRE(symlink("..", at("root/tmp/planted")) == 0 &&
		lchown(at("root/tmp/planted"), BOB, BOB) == 0);
	CHECK_INT(owner_of("root/link"), ALICE);
	CHECK_INT(owner_of("root/up"), 0);
	CHECK_INT(owner_of("root/tmp/planted/file"), BOB);
	REQUIRE(symlink("round", at("root/round")) == 0);
	errno = 0;
	CHECK(path_owner(at("root/round"), &uid, &gid) == -1 && errno == ELOOP);
	/* Root's links are replaced, the rest is as it was given. */
	CHECK(path_owner_at(at("root/link/../y"), &uid, &gid, path) == 0 && uid == ALICE);
	CHECK_STR(path, at("root/alice/x/../y"));
	CHECK(path_owner("/dev/fd/0", &uid, &gid) == 0 && uid == 0);
	CHECK(path_owner_at("/etc/../etc/passwd", &uid, &gid, path) == 0 && uid == 0);
}

TEST(identity, rights)
{
	struct identity_saved outer, inner;
	struct stat st;
	int fd;

	need_root();
	make("alice", ALICE, 0755);
	make("roots", 0, 0700);
	REQUIRE(identity_enter_path(&outer, at("alice/x")) == 0);
	fd = open(at("alice/x"), O_WRONLY | O_CREAT | O_EXCL, 0644);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == ALICE);
	close(fd);
	CHECK(open(at("roots/x"), O_WRONLY | O_CREAT, 0644) < 0 && errno == EACCES);
	CHECK(chown(at("alice/x"), 0, 0) != 0);
	/* Within, root's own places give nothing back. */
	REQUIRE(identity_enter(&inner, 0, 0) == 0);
	CHECK(open(at("roots/x"), O_WRONLY | O_CREAT, 0644) < 0);
	identity_leave(&inner);
	REQUIRE(identity_enter(&inner, BOB, BOB) == 0);
	CHECK(open(at("alice/y"), O_WRONLY | O_CREAT, 0644) < 0 && errno == EACCES);
	identity_leave(&inner);
	CHECK(unlink(at("alice/x")) == 0);
	CHECK_INT(geteuid(), 0);
	identity_leave(&outer);
	fd = open(at("roots/x"), O_WRONLY | O_CREAT, 0644);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == 0);
	close(fd);
}

TEST(identity, open_in_anothers_place)
{
	need_root();
	make("alice", ALICE, 0755);
	make("roots", 0, 0700);
	close(identity_open(at("roots/secret"), O_WRONLY | O_CREAT, 0600));
	REQUIRE(symlink(at("roots/secret"), at("alice/link")) == 0 &&
		lchown(at("alice/link"), ALICE, ALICE) == 0);
	CHECK(identity_open(at("alice/link"), O_RDONLY, 0) < 0 && errno == EACCES);
	CHECK(identity_open(at("alice/link"), O_RDWR | O_CREAT, 0600) < 0);
	CHECK(identity_open(at("roots/secret"), O_RDONLY, 0) >= 0);
}
