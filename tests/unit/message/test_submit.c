/*
 * test_submit - pickup says no in the middle of a message, and is gone before that is read
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/unixsock.h"
#include "conf/params.h"
#include "ipc/pickup_request.h"
#include "message/submit.h"
#include "unit.h"

/* begin - a submission whose other end is the descriptor */
static struct submit *begin(int *pickup_r)
{
	struct submit *s = submit_new();
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/public", unit_tmpdir());
	(void)mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/public/pickup", unit_tmpdir());
	param.queue_directory = unit_tmpdir();
	fd = unix_listen(path, 0600);
	REQUIRE(fd >= 0);
	submit_envelope(s, "a@test.example", NULL, NULL, 0);
	*pickup_r = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	REQUIRE(*pickup_r >= 0);
	close(fd);
	return s;
}

/* say_and_leave - what came is not even read */
static void say_and_leave(int pickup, enum pickup_status status, const char *text)
{
	const struct pickup_message m = { .kind = PICKUP_ANSWER, .status = status, .text = text };
	struct buf b = BUF_INIT;

	pickup_put(&b, &m);
	REQUIRE(write(pickup, b.data, b.len) == (ssize_t)b.len);
	close(pickup);
	buf_free(&b);
}

/* went_another_way - is there a queue.db, or a maildrop? */
static bool went_another_way(void)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/queue", unit_tmpdir());
	return access(path, F_OK) == 0;
}

TEST(submit, what_pickup_has_said_counts_though_it_takes_no_more)
{
	static const struct {
		enum pickup_status said;
		enum submit_result result;
		const char *text;
	} rows[] = {
		{ PICKUP_REFUSED, SUBMIT_REFUSED, "message size exceeds limit" },
		{ PICKUP_RETRY, SUBMIT_RETRY, "insufficient system storage" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int pickup;
		struct submit *s = begin(&pickup);

		CHECK_ROW(rows[i].text);
		say_and_leave(pickup, rows[i].said, rows[i].text);
		submit_recipient(s, "b@test.example", 0, NULL);
		CHECK_INT(submit_write(s, "Subject: x\n\n", 12), -1);
		CHECK_INT(submit_end(s), rows[i].result);
		CHECK_STR(submit_error(s), rows[i].text);
		CHECK(!went_another_way());
		submit_free(s);
	}
}

TEST(submit, one_that_says_nothing_is_left_for_another_way)
{
	int pickup;
	struct submit *s = begin(&pickup);

	close(pickup);
	submit_recipient(s, "b@test.example", 0, NULL);
	/* There is no maildrop here, and the queue is another's or made now. */
	(void)submit_write(s, "Subject: x\n\n", 12);
	CHECK(strstr(submit_error(s), "pickup") == NULL);
	submit_free(s);
}
