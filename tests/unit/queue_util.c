/*
 * queue_util - queues for the tests of what damages them
 */
#include "queue_util.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "unit.h"

static const struct queue_envelope plain = { .sender = "a@example.com", QUEUE_ENVELOPE_NO_TEXTS };

struct queue *queue_util_open(const char *dir, enum queue_open_mode mode)
{
	char *error = NULL;
	struct queue *q = queue_open(dir, mode, &error);

	if (q == NULL) {
		CHECK_STR(error, "");
	}
	REQUIRE(q != NULL);
	return q;
}

static void tell(void *arg, bool ok)
{
	*(int *)arg = ok ? 1 : -1;
}

queue_id queue_util_add(struct queue *q, size_t size, int *told)
{
	static char data[10000];
	struct queue_message *m = queue_begin(q, &plain);
	struct queue_recipient r = {
		.address = "r@x", .original = "", .orcpt = "", .dsn = "", .reason = ""
	};
	queue_id id = queue_message_id(m);

	memset(data, 'm', sizeof(data));
	queue_add_recipient(m, &r);
	for (size_t at = 0; at < size;) {
		size_t n = size - at < sizeof(data) ? size - at : sizeof(data);

		if (queue_write(m, data, n) != 0) {
			queue_abort(m);
			*told = -1;
			return id;
		}
		at += n;
	}
	queue_end(m, tell, told);
	return id;
}

bool queue_util_whole(struct queue *q, queue_id id, size_t size)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	struct queue_recipient r[2];
	char data[1000];
	int64_t at = 0, n;
	bool ok = queue_get(q, id, &a, &env) == 1 && env.size == (int64_t)size &&
		queue_recipients(q, id, 0, true, &a, r, 2) == 1 && strcmp(r[0].address, "r@x") == 0;

	while ((n = queue_read(q, id, at, data, sizeof(data))) > 0) {
		at += n;
	}
	arena_free(&a);
	return ok && n == 0 && at == (int64_t)size;
}

void queue_util_overwrite(const char *dir, off_t offset, size_t len)
{
	char path[600], junk[8192];
	int fd;

	snprintf(path, sizeof(path), "%s/queue.db", dir);
	memset(junk, 0xa5, sizeof(junk));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	for (size_t at = 0; at < len; at += sizeof(junk)) {
		REQUIRE(pwrite(fd, junk, sizeof(junk), offset + (off_t)at) ==
			(ssize_t)sizeof(junk));
	}
	close(fd);
}

int queue_util_aside(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int count = 0;

	REQUIRE(d != NULL);
	while ((e = readdir(d)) != NULL) {
		count += str_starts(e->d_name, "queue.db.corrupt-") &&
			!str_ends(e->d_name, "-wal") && !str_ends(e->d_name, "-shm");
	}
	closedir(d);
	return count;
}
