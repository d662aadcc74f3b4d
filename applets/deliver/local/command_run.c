/*
 * command_run - |command and mailbox_command, run as the recipient
 *
 *	job --> waiting --> running: stdin <- the message, stdout and stderr -> a few lines kept
 *	                    ended:   exit status -> sent, deferred or bounced (sysexits.h)
 *
 * The command gets its own process group, so that command_time_limit ends what it
 * started as well, and a keeper that waits for it whatever becomes of us (command_keeper.c).
 */
#include "applets/deliver/local/command_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "conf/params.h"
#include "queue/queue_read.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/local/local.h"

enum { COMMANDS_MAX = 20, OUTPUT_MAX = 1000, PIECE = 64 * 1024 };

struct command {
	struct local *g;
	struct command *next;
	struct job *job;
	pid_t pid;            /* of its keeper */
	int ctl;              /* where the keeper hears us */
	struct watch in, out; /* its stdin and its output; fd -1: closed */
	struct timer limit;
	struct buf data; /* to be written, the added lines first */
	int64_t offset;  /* of the content, read so far */
	struct buf output;
	bool timed_out, unreadable;
};

static void command_begin(struct local *g);

/* ---- Ending ---- */

/* What an exit status means: sysexits.h as mail systems read it. */
static const struct meaning {
	int status;
	const char *dsn, *text;
} meanings[] = {
	{ EX_USAGE, "5.3.0", "command line usage error" },
	{ EX_DATAERR, "5.6.0", "data format error" },
	{ EX_NOINPUT, "5.3.0", "cannot open input" },
	{ EX_NOUSER, "5.1.1", "user unknown" },
	{ EX_NOHOST, "5.1.2", "host name unknown" },
	{ EX_UNAVAILABLE, "5.3.0", "service unavailable" },
	{ EX_SOFTWARE, "5.3.0", "internal software error" },
	{ EX_OSERR, "4.3.0", "system resource problem" },
	{ EX_OSFILE, "5.3.0", "critical OS file missing" },
	{ EX_CANTCREAT, "5.2.0", "can't create user output file" },
	{ EX_IOERR, "5.3.0", "input/output error" },
	{ EX_TEMPFAIL, "4.3.0", "temporary failure" },
	{ EX_PROTOCOL, "5.5.0", "remote error in protocol" },
	{ EX_NOPERM, "5.7.0", "permission denied" },
	{ EX_CONFIG, "5.3.5", "local configuration error" },
};

static void close_watch(struct local *g, struct watch *w)
{
	int fd = w->fd;

	if (fd >= 0) {
		loop_unwatch(g->host.service.loop, w);
		close(fd);
		w->fd = -1;
	}
}

/* tell_keeper - one word */
static void tell_keeper(const struct command *c, char word)
{
	(void)send(c->ctl, &word, 1, MSG_NOSIGNAL);
}

static void command_free(struct local *g, struct command *c)
{
	struct command **p = &g->commands;

	while (*p != c) {
		p = &(*p)->next;
	}
	*p = c->next;
	g->command_count--;
	close_watch(g, &c->in);
	close_watch(g, &c->out);
	if (c->ctl >= 0) {
		close(c->ctl);
	}
	loop_untimer(g->host.service.loop, &c->limit);
	buf_free(&c->data);
	buf_free(&c->output);
	mem_free(c);
}

/*
 * said_status - a command may say more than its exit status can: "5.2.2 over quota" at the
 * beginning of its output. True: *dsn and text are from there
 */
static bool said_status(const struct command *c, const char **dsn, struct buf *text)
{
	const char *p = buf_str((struct buf *)&c->output), *rest;
	size_t len = strspn(p, "0123456789."), subject, detail;

	if (len < 5 || len > 9 || (p[0] != '4' && p[0] != '5') || p[1] != '.' ||
		(p[len] != ' ' && p[len] != '\0')) {
		return false;
	}
	subject = strspn(p + 2, "0123456789");
	detail = len > subject + 3 ? strspn(p + subject + 3, "0123456789") : 0;
	if (subject < 1 || subject > 3 || p[subject + 2] != '.' || detail < 1 || detail > 3 ||
		subject + detail + 3 != len) {
		return false;
	}
	rest = p + len + strspn(p + len, " ");
	if (*rest == '\0') {
		return false;
	}
	buf_adds(text, rest);
	*dsn = arena_strndup(&c->job->recipient->request->q.arena, p, len);
	return true;
}

/* outcome - status of the command as delivery status, dsn and text */
static enum delivery_status outcome(
	const struct command *c, int status, const char **dsn, struct buf *text)
{
	const char *command = c->job->target->value;

	*dsn = "5.3.0";
	if (c->timed_out) {
		buf_addf(text, "Command time limit exceeded: \"%s\"", command);
	} else if (c->unreadable) {
		*dsn = "4.3.0";
		buf_adds(text, "cannot read the message from the queue");
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		*dsn = "2.0.0";
		buf_addf(text, "delivered to command: %s", command);
		return DELIVERY_SENT;
	} else if (WIFEXITED(status) && said_status(c, dsn, text)) {
		return (*dsn)[0] == '4' ? DELIVERY_DEFERRED : DELIVERY_BOUNCED;
	} else if (WIFEXITED(status)) {
		for (size_t i = 0; i < ARRAY_LEN(meanings) && text->len == 0; i++) {
			if (meanings[i].status == WEXITSTATUS(status)) {
				*dsn = meanings[i].dsn;
				buf_adds(text, meanings[i].text);
			}
		}
		if (text->len == 0) {
			buf_addf(text, "Command died with status %d: \"%s\"", WEXITSTATUS(status),
				command);
		}
	} else {
		/* Somebody killed it, or it broke: a later one may do better. */
		*dsn = "4.3.0";
		buf_addf(text, "Command died with signal %d: \"%s\"", WTERMSIG(status), command);
	}
	if (c->output.len > 0) {
		buf_addf(text, ". Command output: %s", buf_str(&c->output));
	}
	return (*dsn)[0] == '4' ? DELIVERY_DEFERRED : DELIVERY_BOUNCED;
}

/* clean_output - one line of printable text */
static void clean_output(struct buf *b)
{
	while (b->len > 0 && (unsigned char)b->data[b->len - 1] <= ' ') {
		buf_truncate(b, b->len - 1);
	}
	for (size_t i = 0; i < b->len; i++) {
		if ((unsigned char)b->data[i] < ' ' || b->data[i] == 0x7f) {
			b->data[i] = ' ';
		}
	}
}

/* read_output - what there is now; false: the end */
static bool read_output(struct command *c)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(c->out.fd, piece, sizeof(piece))) > 0) {
		size_t room = OUTPUT_MAX - c->output.len;

		buf_add(&c->output, piece, (size_t)n < room ? (size_t)n : room);
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

bool command_ended(struct local *g, pid_t pid, int status)
{
	enum delivery_status s;
	struct buf text = BUF_INIT;
	struct command *c = g->commands;
	const char *dsn;
	struct job *job;

	while (c != NULL && c->pid != pid) {
		c = c->next;
	}
	if (c == NULL) {
		return false;
	}
	if (c->out.fd >= 0) {
		read_output(c);
	}
	clean_output(&c->output);
	s = outcome(c, status, &dsn, &text);
	job = c->job;
	command_free(g, c);
	notes_clean_later(g);
	job_done(g, job, s, dsn, buf_str(&text));
	buf_free(&text);
	command_begin(g);
	return true;
}

void commands_free(struct local *g)
{
	while (g->commands != NULL) {
		command_free(g, g->commands);
	}
}

/* ---- Running ---- */

static void on_limit(struct timer *t)
{
	struct command *c = t->owner;

	c->timed_out = true;
	tell_keeper(c, KEEPER_KILL);
}

static void on_output(struct watch *w, unsigned events)
{
	struct command *c = w->owner;

	(void)events;
	if (!read_output(c)) {
		close_watch(c->g, w);
	}
}

/* refill - the next piece of the content; false: there is no more */
static bool refill(struct command *c)
{
	int64_t n = agent_read(
		c->job->recipient->request, c->offset, buf_reserve(&c->data, PIECE), PIECE);

	if (n < 0) {
		/* Half a message must not count as delivered. */
		c->unreadable = true;
		tell_keeper(c, KEEPER_KILL);
	}
	if (n <= 0) {
		return false;
	}
	buf_added(&c->data, (size_t)n);
	c->offset += n;
	return true;
}

static void on_input(struct watch *w, unsigned events)
{
	struct command *c = w->owner;
	struct local *g = c->g;
	ssize_t n;

	(void)events;
	for (;;) {
		if (buf_unread(&c->data) == 0 && !refill(c)) {
			break;
		}
		n = write(w->fd, buf_head(&c->data), buf_unread(&c->data));
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			return;
		}
		if (n < 0) {
			/* It does not read all: its exit status decides. */
			break;
		}
		buf_consume(&c->data, (size_t)n);
	}
	if (!c->unreadable) {
		tell_keeper(c, KEEPER_WHOLE);
	}
	close_watch(g, w);
}

/* put_head - the lines above the content, as prepend_delivered_header wants them */
static void put_head(struct command *c)
{
	struct deliver_item it;

	job_item(c->job, &it);
	if (!list_has(param.prepend_delivered_header, "command")) {
		it.recipient = "";
	}
	deliver_head(&c->data, &it, true);
}

/* start - fork it; false with errno */
static bool start(struct local *g, struct command *c)
{
	struct queue *queue = agent_queue(&g->host);
	struct queue_envelope env;
	struct arena a = ARENA_INIT;
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, ctl[2] = { -1, -1 };
	bool known = queue != NULL &&
		queue_get(queue, c->job->recipient->request->q.r.id, &a, &env) == 1;

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ctl) != 0) {
		c->pid = -1;
	} else {
		log_flush();
		c->pid = fork();
	}
	if (c->pid == 0) {
		keeper_run(c->job, known ? &env : NULL, in, out, ctl[1]);
	}
	arena_free(&a);
	close(in[0]);
	close(out[1]);
	close(ctl[1]);
	c->ctl = ctl[0];
	if (c->pid < 0) {
		close(in[1]);
		close(out[0]);
		return false;
	}
	(void)fd_set_nonblock(c->ctl, true);
	(void)fd_set_nonblock(in[1], true);
	(void)fd_set_nonblock(out[0], true);
	loop_watch(g->host.service.loop, &c->in, in[1], LOOP_WRITE, on_input, c);
	loop_watch(g->host.service.loop, &c->out, out[0], LOOP_READ, on_output, c);
	loop_timer(g->host.service.loop, &c->limit, param.command_time_limit * 1000, on_limit, c);
	return true;
}

/* run - one job */
static void run(struct local *g, struct job *j)
{
	struct command *c = mem_alloc(sizeof(*c));

	c->g = g;
	c->job = j;
	c->in.fd = c->out.fd = c->ctl = -1;
	c->next = g->commands;
	g->commands = c;
	g->command_count++;
	put_head(c);
	if (!start(g, c)) {
		log_warn("cannot start command: %m");
		command_free(g, c);
		job_done(g, j, DELIVERY_DEFERRED, "4.3.0", "cannot start a process");
	}
}

/*
 * same_user - do both count for one? Those of aliases run as somebody who has no home: each
 * recipient for itself
 */
static bool same_user(const struct job *a, const struct job *b)
{
	return a->target->user.uid == b->target->user.uid &&
		(a->target->user.home[0] != '\0' ||
			str_ieq(a->recipient->r->address, b->recipient->r->address));
}

/* may_run - local_destination_concurrency_limit: a user's slow commands hold up no one else's */
static bool may_run(const struct local *g, const struct job *j)
{
	int64_t limit = param.local_destination_concurrency_limit;
	int64_t count = 0;

	for (const struct command *c = g->commands; c != NULL && limit > 0; c = c->next) {
		count += same_user(c->job, j);
	}
	return limit == 0 || count < limit;
}

/* take_job - the first that may run, or that nobody waits for any more; NULL: none */
static struct job *take_job(struct local *g)
{
	struct jobs *q = &g->command_jobs;
	struct job **link = &q->first, *before = NULL, *j;

	while ((j = *link) != NULL && job_wanted(j) && !may_run(g, j)) {
		before = j;
		link = &j->next;
	}
	if (j != NULL) {
		*link = j->next;
		if (q->last == j) {
			q->last = before;
		}
	}
	return j;
}

/* command_begin - as many as may run */
static void command_begin(struct local *g)
{
	struct job *j;

	while (g->command_count < COMMANDS_MAX && (j = take_job(g)) != NULL) {
		if (job_wanted(j)) {
			run(g, j);
		} else {
			job_done(g, j, DELIVERY_DEFERRED, "4.3.0", "the queue manager went away");
		}
	}
}

void command_add(struct local *g, struct job *j)
{
	if (j->suspect && note_find(j)) {
		struct arena *a = &j->recipient->request->q.arena;

		job_done(g, j, DELIVERY_SENT, "2.0.0",
			arena_printf(a, "delivered to command: %s", j->target->value));
		return;
	}
	j->next = NULL;
	if (g->command_jobs.last != NULL) {
		g->command_jobs.last->next = j;
	} else {
		g->command_jobs.first = j;
	}
	g->command_jobs.last = j;
	command_begin(g);
}
