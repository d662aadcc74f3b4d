/*
 * hasher - costly password checks in forked children
 *
 * A bcrypt or yescrypt takes up to a tenth of a second by design; one loop for
 * everybody cannot stand still that long. A child computes, writes one
 * byte and ends. When children are many the rest waits in line; when fork
 * fails the check is done here after all.
 */
#include "applets/admin/auth/hasher.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/stream.h"

struct hash_job {
	struct hash_job *next; /* waiting */
	struct hasher *hasher;
	struct stream pipe; /* the child's */
	char *stored, *scheme, *password;
	void (*fn)(void *arg, enum scheme_result result, const char *error); /* NULL: cancelled */
	void *arg;
};

struct hasher {
	struct loop *loop;
	int running, max;
	struct hash_job *first, **last;
};

struct hasher *hasher_new(struct loop *loop, int max_children)
{
	struct hasher *h = mem_alloc(sizeof(*h));

	h->loop = loop;
	h->max = max_children;
	h->last = &h->first;
	signal(SIGCHLD, SIG_IGN); /* nothing to learn from their exit status */
	return h;
}

static void free_job(struct hash_job *job)
{
	forget(job->password, strlen(job->password));
	mem_free(job->password);
	mem_free(job->stored);
	mem_free(job->scheme);
	mem_free(job);
}

void hasher_free(struct hasher *h)
{
	while (h->first != NULL) {
		struct hash_job *job = h->first;

		h->first = job->next;
		free_job(job);
	}
	mem_free(h);
}

static void finish(struct hash_job *job, enum scheme_result result, const char *error)
{
	if (job->fn != NULL) {
		job->fn(job->arg, result, error);
	}
	free_job(job);
}

static void start_waiting(struct hasher *h);

/* take_result - the child's byte; -1: there is none */
static void take_result(struct hash_job *job, int byte)
{
	struct hasher *h = job->hasher;
	enum scheme_result result = SCHEME_ERROR;
	const char *error = "the child that checks the password died";

	if (byte >= 0 && byte <= SCHEME_ERROR) {
		result = (enum scheme_result)byte;
		if (result == SCHEME_ERROR) {
			/* Errors come at once, so asking again for the text costs nothing. */
			result = scheme_check(job->stored, job->scheme, job->password, &error);
		}
	}
	h->running--;
	finish(job, result, error);
	start_waiting(h);
}

static bool on_result(struct stream *s, struct buf *in)
{
	unsigned char byte = (unsigned char)*buf_head(in);

	stream_close(s);
	take_result(s->owner, byte);
	return true;
}

static void on_died(struct stream *s, enum stream_end why)
{
	(void)why;
	take_result(s->owner, -1);
}

static const struct stream_class pipe_class = {
	.data = on_result, .closed = on_died, .read_size = 1, .in_max = 1
};

/* start - fork; false: not possible */
static bool start(struct hash_job *job)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		return false;
	}
	pid = fork();
	if (pid == 0) {
		const char *error;
		unsigned char byte = (unsigned char)scheme_check(
			job->stored, job->scheme, job->password, &error);

		(void)!write(ends[1], &byte, 1);
		_exit(0);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return false;
	}
	job->hasher->running++;
	stream_init(&job->pipe, job->hasher->loop, &pipe_class, job);
	stream_open(&job->pipe, ends[0]);
	return true;
}

static void run(struct hash_job *job)
{
	const char *error;

	if (!start(job)) {
		enum scheme_result result =
			scheme_check(job->stored, job->scheme, job->password, &error);

		finish(job, result, error);
	}
}

static void start_waiting(struct hasher *h)
{
	while (h->first != NULL && h->running < h->max) {
		struct hash_job *job = h->first;

		h->first = job->next;
		if (h->first == NULL) {
			h->last = &h->first;
		}
		if (job->fn == NULL) {
			free_job(job);
		} else {
			run(job);
		}
	}
}

struct hash_job *hasher_check(struct hasher *h, const char *stored, const char *default_scheme,
	const char *password, void (*fn)(void *arg, enum scheme_result result, const char *error),
	void *arg)
{
	struct hash_job *job;
	const char *error;

	if (!scheme_is_costly(stored, default_scheme)) {
		enum scheme_result result = scheme_check(stored, default_scheme, password, &error);

		fn(arg, result, error);
		return NULL;
	}
	job = mem_alloc(sizeof(*job));
	job->hasher = h;
	job->stored = mem_strdup(stored);
	job->scheme = mem_strdup(default_scheme);
	job->password = mem_strdup(password);
	job->fn = fn;
	job->arg = arg;
	if (h->running >= h->max) {
		*h->last = job;
		h->last = &job->next;
		return job;
	}
	if (start(job)) {
		return job;
	}
	run(job);
	return NULL;
}

void hasher_cancel(struct hash_job *job)
{
	if (job != NULL) {
		job->fn = NULL;
	}
}
