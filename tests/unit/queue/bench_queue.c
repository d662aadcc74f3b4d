/*
 * bench_queue - how fast is the queue? And: fill one for other tests
 *
 *	queue-bench DIR			4 KB messages in commits of 1, 8, 25 and 64; then the whole
 *					life of a mail; then three writers at once
 *	queue-bench -f COUNT [-d SECONDS] [-s BYTES] [-r RECIPIENTS] [-b BATCH] [-a ADDRESS] DIR
 *					put so many messages there; -d: deferred for so long
 *	queue-bench -k DIR		put messages for ever and print the id of each when its
 *commit has returned (for tests that kill it)
 *
 * DIR/queue.db is used as it is, so give an empty directory for figures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "queue/queue.h"
#include "queue/queue_change.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "applets/applets.h"

enum { SIZE = 4096, WRITERS = 3 };

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* written - bytes this process has written so far */
static long long written(void)
{
	FILE *f = fopen("/proc/self/io", "r");
	long long v = 0;
	char line[100];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "wchar: %lld", &v) == 1) {
			break;
		}
	}
	if (f != NULL) {
		fclose(f);
	}
	return v;
}

static struct queue *open_queue(const char *dir)
{
	char *error = NULL;
	struct queue *q = queue_open(dir, QUEUE_CREATE, &error);

	if (q == NULL) {
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
	return q;
}

struct fill {
	long count, batch, size, recipients, deferred;
	const char *address;
	bool tell;
};

static queue_id put_one(struct queue *q, const struct fill *f, const char *data)
{
	struct queue_envelope env = { .sender = "sender@example.com",
		.envid = "",
		.full_name = "",
		.client_name = "localhost",
		.client_addr = "127.0.0.1",
		.helo = "localhost",
		.proto = "ESMTP",
		.sasl_user = "",
		.reason = "",
		.state = f->deferred ? QUEUE_DEFERRED : QUEUE_INCOMING,
		.next_try = f->deferred ? time(NULL) + f->deferred : 0 };
	struct queue_message *m = queue_begin(q, &env);
	queue_id id = queue_message_id(m);
	char numbered[100];

	for (long i = 0; i < f->recipients; i++) {
		struct queue_recipient r = {
			.address = f->address, .original = "", .orcpt = "", .dsn = "", .reason = ""
		};

		if (i > 0) {
			snprintf(numbered, sizeof(numbered), "r%ld.%s", i, f->address);
			r.address = numbered;
		}
		if (f->deferred) {
			r.dsn = "4.4.1";
			r.reason = "connect to mx.example.com[192.0.2.1]:25: Connection timed out";
		}
		queue_add_recipient(m, &r);
	}
	for (long at = 0; at < f->size; at += SIZE) {
		(void)queue_write(m, data, (size_t)(f->size - at < SIZE ? f->size - at : SIZE));
	}
	queue_end(m, NULL, NULL);
	return id;
}

/* fill - put f->count messages (negative: for ever); exits on errors */
static void fill(struct queue *q, const struct fill *f, queue_id *ids)
{
	static char data[SIZE];
	long done = 0;

	memset(data, 'x', sizeof(data));
	for (size_t i = 63; i < sizeof(data); i += 64) {
		data[i] = '\n';
	}
	memcpy(data, "Subject: bench\n\n", 16);
	while (f->count < 0 || done < f->count) {
		long n = f->count < 0 || f->count - done > f->batch ? f->batch : f->count - done;
		const queue_id *committed;
		size_t count;

		for (long i = 0; i < n; i++) {
			queue_id id = put_one(q, f, data);

			if (ids != NULL) {
				ids[done + i] = id;
			}
		}
		if (queue_commit(q) != 0) {
			fprintf(stderr, "%s\n", queue_error(q));
			exit(1);
		}
		committed = queue_committed(q, &count);
		for (size_t i = 0; i < count && f->tell; i++) {
			char text[QUEUE_ID_TEXT];

			queue_id_text(committed[i], text);
			puts(text);
		}
		if (f->tell) {
			fflush(stdout);
		}
		done += n;
	}
}

static void bench_commits(const char *dir, long batch, long count)
{
	struct fill f = { .count = count,
		.batch = batch,
		.size = SIZE,
		.recipients = 1,
		.address = "u1@test.example" };
	struct queue *q = open_queue(dir);
	double t = seconds(), c = cpu();
	long long w = written();

	fill(q, &f, NULL);
	printf("commits of %2ld: %6.0f/s, %5.1f us CPU and %6lld bytes written a mail\n", batch,
		(double)count / (seconds() - t), (cpu() - c) / (double)count * 1e6,
		(written() - w) / count);
	queue_close(q);
}

/* bench_life - in, read, out, with at most 200 in the queue at once */
static void bench_life(const char *dir, long batch, long count)
{
	struct fill f = { .count = batch,
		.batch = batch,
		.size = SIZE,
		.recipients = 1,
		.address = "u1@test.example" };
	struct queue *q = open_queue(dir);
	queue_id *ids = mem_calloc((size_t)batch, sizeof(*ids));
	struct arena a = ARENA_INIT;
	double t = seconds(), c = cpu();
	long long w = written();

	for (long done = 0; done < count; done += batch) {
		struct queue_envelope env;
		struct queue_recipient r;
		char data[SIZE];

		fill(q, &f, ids);
		(void)queue_read_begin(q);
		for (long i = 0; i < batch; i++) {
			(void)queue_get(q, ids[i], &a, &env);
			(void)queue_recipients(q, ids[i], 0, true, &a, &r, 1);
			(void)queue_read(q, ids[i], 0, data, SIZE);
			arena_reset(&a);
			queue_remove(q, ids[i]);
		}
		queue_read_end(q);
		(void)queue_commit(q);
	}
	printf("in, read, out, in %2lds: %6.0f/s, %5.1f us CPU and %6lld bytes written a mail\n",
		batch, (double)count / (seconds() - t), (cpu() - c) / (double)count * 1e6,
		(written() - w) / count);
	queue_close(q);
	arena_free(&a);
	mem_free(ids);
}

static void bench_writers(const char *dir, long batch, long count)
{
	double t = seconds();

	fflush(stdout);
	for (int i = 0; i < WRITERS; i++) {
		if (fork() == 0) {
			struct fill f = { .count = batch,
				.batch = batch,
				.size = SIZE,
				.recipients = 1,
				.address = "u1@test.example" };
			struct queue *q = open_queue(dir);
			double longest = 0;

			for (long done = 0; done < count / WRITERS; done += batch) {
				double from = seconds();

				fill(q, &f, NULL);
				if (seconds() - from > longest) {
					longest = seconds() - from;
				}
			}
			printf("  writer %d: longest commit %.1f ms\n", i, longest * 1e3);
			queue_close(q);
			fflush(stdout);
			_exit(0);
		}
	}
	while (wait(NULL) > 0) {
		continue;
	}
	printf("%d writers, commits of %ld: %.0f/s\n", WRITERS, batch,
		(double)count / (seconds() - t));
}

static long number(const char *text)
{
	int64_t v;

	if (!str_to_int(text, 0, INT32_MAX, &v)) {
		fprintf(stderr, "queue-bench: %s is no number\n", text);
		exit(1);
	}
	return (long)v;
}

int queue_bench_main(int argc, char **argv)
{
	struct fill f = {
		.count = 0, .batch = 25, .size = SIZE, .recipients = 1, .address = "u1@test.example"
	};
	const char *dir;
	int opt;

	while ((opt = getopt(argc, argv, "a:b:d:f:kr:s:")) != -1) {
		switch (opt) {
		case 'a':
			f.address = optarg;
			break;
		case 'b':
			f.batch = number(optarg);
			break;
		case 'd':
			f.deferred = number(optarg);
			break;
		case 'f':
			f.count = number(optarg);
			break;
		case 'k':
			f.count = -1;
			f.tell = true;
			break;
		case 'r':
			f.recipients = number(optarg);
			break;
		case 's':
			f.size = number(optarg);
			break;
		default:
			return applet_usage("queue-bench");
		}
	}
	if (optind + 1 != argc) {
		return applet_usage("queue-bench");
	}
	dir = argv[optind];
	if (f.count != 0) {
		struct queue *q = open_queue(dir);

		fill(q, &f, NULL);
		queue_close(q);
		return 0;
	}
	bench_commits(dir, 1, 5000);
	bench_commits(dir, 8, 20000);
	bench_commits(dir, 25, 40000);
	bench_commits(dir, 64, 40000);
	bench_life(dir, 1, 5000);
	bench_life(dir, 25, 40000);
	bench_writers(dir, 10, 30000);
	return 0;
}
