/*
 * command - programs that get a message on standard input
 *
 *	running: stdin <- the message, stdout and stderr -> a few lines kept
 *	ended:   exit status -> sent, deferred or bounced (command_end.c)
 *
 * The command gets its own process group, so that its time limit ends what it started as well, and
 * a keeper that waits for it whatever becomes of us (command_keeper.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "applets/deliver/command/command_impl.h"

enum { OUTPUT_MAX = 1000, PIECE = 64 * 1024 };

struct command {
	struct commands *all;
	struct command *next;
	struct command_work *work;
	pid_t pid;            /* of its keeper */
	int ctl;              /* where the keeper hears us */
	struct watch in, out; /* its stdin and its output; fd -1: closed */
	struct timer limit;
	struct buf data;  /* to be written, the added lines first */
	struct buf piece; /* of the content, when it is converted */
	int64_t offset;   /* of the content, read so far */
	struct buf output;
	enum command_cut cut;
	bool whole; /* the content was read to its end */
};

static struct loop *loop_of(const struct command *c)
{
	return c->all->host->service.loop;
}

static void close_watch(struct command *c, struct watch *w)
{
	int fd = w->fd;

	if (fd >= 0) {
		loop_unwatch(loop_of(c), w);
		close(fd);
		w->fd = -1;
	}
}

/* tell_keeper - one word */
static void tell_keeper(const struct command *c, char word)
{
	(void)send(c->ctl, &word, 1, MSG_NOSIGNAL);
}

static void command_free(struct command *c)
{
	struct command **p = &c->all->first;

	while (*p != c) {
		p = &(*p)->next;
	}
	*p = c->next;
	c->all->count--;
	close_watch(c, &c->in);
	close_watch(c, &c->out);
	if (c->ctl >= 0) {
		close(c->ctl);
	}
	loop_untimer(loop_of(c), &c->limit);
	buf_free(&c->data);
	buf_free(&c->piece);
	buf_free(&c->output);
	mem_free(c);
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

bool command_ended(struct commands *k, pid_t pid, int status)
{
	struct command *c = k->first;
	struct command_work *w;
	struct arena a = ARENA_INIT;
	struct command_end end;
	struct buf output;

	while (c != NULL && c->pid != pid) {
		c = c->next;
	}
	if (c == NULL) {
		return false;
	}
	if (c->out.fd >= 0) {
		read_output(c);
	}
	w = c->work;
	output = c->output;
	c->output = (struct buf)BUF_INIT;
	command_outcome(&a, w->shown, status, c->cut, &output, &end);
	command_free(c);
	command_notes_clean(k);
	w->class->done(w, &end);
	arena_free(&a);
	buf_free(&output);
	return true;
}

void commands_init(struct commands *k, struct agent_host *host)
{
	k->host = host;
	command_notes_clean(k);
}

void commands_free(struct commands *k)
{
	while (k->first != NULL) {
		command_free(k->first);
	}
	loop_untimer(k->host->service.loop, &k->note_timer);
}

const struct command_work *commands_next(const struct commands *k, const struct command_work *w)
{
	const struct command *c = k->first;

	while (w != NULL && c != NULL && c->work != w) {
		c = c->next;
	}
	if (w != NULL && c != NULL) {
		c = c->next;
	}
	return c != NULL ? c->work : NULL;
}

/* ---- Running ---- */

static void on_limit(struct timer *t)
{
	struct command *c = t->owner;

	c->cut = COMMAND_TIMED_OUT;
	tell_keeper(c, KEEPER_KILL);
}

static void on_output(struct watch *w, unsigned events)
{
	struct command *c = w->owner;

	(void)events;
	if (!read_output(c)) {
		close_watch(c, w);
	}
}

/* add_piece - what was read, as the command is to get it; len 0: the content's end */
static void add_piece(struct command *c, struct buf *piece, size_t len)
{
	struct command_work *w = c->work;

	if (w->class->convert != NULL) {
		w->class->convert(w, &c->data, buf_str(piece), len);
	} else {
		buf_added(piece, len); /* piece is c->data */
	}
}

/* refill - the next piece of the content; false: there is no more */
static bool refill(struct command *c)
{
	struct buf *piece = c->work->class->convert != NULL ? &c->piece : &c->data;
	int64_t n;

	if (c->whole) {
		return false;
	}
	n = agent_read(c->work->request, c->offset, buf_reserve(piece, PIECE), PIECE);
	if (n < 0) {
		/* Half a message must not count as delivered. */
		c->cut = COMMAND_UNREADABLE;
		tell_keeper(c, KEEPER_KILL);
		return false;
	}
	add_piece(c, piece, (size_t)n);
	c->offset += n;
	c->whole = n == 0;
	return buf_unread(&c->data) > 0 || !c->whole;
}

static void on_input(struct watch *w, unsigned events)
{
	struct command *c = w->owner;
	ssize_t n;

	(void)events;
	for (;;) {
		while (buf_unread(&c->data) == 0 && refill(c)) {
		}
		if (buf_unread(&c->data) == 0) {
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
	if (c->cut != COMMAND_UNREADABLE) {
		tell_keeper(c, KEEPER_WHOLE);
	}
	close_watch(c, w);
}

/* fork_keeper - with pipes to the command; false with errno */
static bool fork_keeper(struct command *c, int in[2], int out[2], int ctl[2])
{
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ctl) != 0) {
		return false;
	}
	log_flush();
	c->pid = fork();
	if (c->pid == 0) {
		keeper_run(c->work, in, out, ctl[1]);
	}
	return c->pid > 0;
}

static void close_if(int fd)
{
	if (fd >= 0) {
		close(fd);
	}
}

/* start - fork it; false with errno */
static bool start(struct command *c)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, ctl[2] = { -1, -1 };
	bool good = fork_keeper(c, in, out, ctl);
	int saved = errno;

	close_if(in[0]);
	close_if(out[1]);
	close_if(ctl[1]);
	c->ctl = ctl[0];
	if (!good) {
		close_if(in[1]);
		close_if(out[0]);
		errno = saved;
		return false;
	}
	(void)fd_set_nonblock(c->ctl, true);
	(void)fd_set_nonblock(in[1], true);
	(void)fd_set_nonblock(out[0], true);
	loop_watch(loop_of(c), &c->in, in[1], LOOP_WRITE, on_input, c);
	loop_watch(loop_of(c), &c->out, out[0], LOOP_READ, on_output, c);
	loop_timer(loop_of(c), &c->limit, c->work->time_limit * 1000, on_limit, c);
	return true;
}

bool command_start(struct commands *k, struct command_work *w, struct buf *head)
{
	struct command *c = mem_alloc(sizeof(*c));
	int saved;

	c->all = k;
	c->work = w;
	c->in.fd = c->out.fd = c->ctl = -1;
	c->next = k->first;
	k->first = c;
	k->count++;
	c->data = *head;
	*head = (struct buf)BUF_INIT;
	if (!start(c)) {
		saved = errno;
		command_free(c);
		errno = saved;
		return false;
	}
	return true;
}
