/*
 * peer - the queue manager's own sockets and who is connected to them
 *
 * Local users and our other processes: the kernel says who they are. A peer
 * that says nothing costs a descriptor, so their number is bounded; above it, others
 * wait in the backlog.
 */
#include "applets/queue/qmgr/peer.h"

#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/unixsock.h"
#include "address/match.h"

enum { PEERS_MAX = 200, IN_ONCE = 16384, IN_MAX = 128 * 1024 };

static void on_accept(struct watch *w, unsigned events);

static void close_peer(struct peer *p)
{
	struct peers *ps = p->peers;

	if (ps->gone != NULL) {
		ps->gone(p);
	}
	map_wait_end(&p->wait);
	stream_close(&p->s);
	*(p->prev != NULL ? &p->prev->next : &ps->first) = p->next;
	if (p->next != NULL) {
		p->next->prev = p->prev;
	}
	if (ps->count-- == PEERS_MAX && ps->watch.fd >= 0) {
		loop_want(ps->loop, &ps->watch, LOOP_READ);
	}
	mem_free(p->state);
	mem_free(p);
}

static bool on_frame(struct stream *s, struct wire *w)
{
	struct peer *p = s->owner;

	return p->peers->message(p, w);
}

/* on_drained - the next piece; one a turn, for the mail goes on meanwhile */
static void on_drained(struct stream *s)
{
	struct peer *p = s->owner;

	p->peers->more(p);
	if (p->waits) {
		return;
	}
	if (p->closing) {
		stream_finish(s);
	} else {
		stream_more(s);
		(void)stream_flush(s);
	}
}

static void on_closed(struct stream *s, enum stream_end why)
{
	(void)why;
	close_peer(s->owner);
}

/* Those who ask, and those who are told and have nothing to say. */
static const struct stream_class asking = {
	.frame = on_frame, .closed = on_closed, .read_size = IN_ONCE, .in_max = IN_MAX
};
static const struct stream_class listening = {
	.drained = on_drained, .closed = on_closed, .read_size = 64
};

/* on_known - the table of users has answered: from the beginning */
static void on_known(void *arg)
{
	struct peer *p = arg;

	p->waits = false;
	if (p->peers->more != NULL) {
		on_drained(&p->s);
	} else {
		p->peers->known(p);
	}
}

static void add_peer(struct peers *ps, int fd)
{
	struct peer *p = mem_alloc(sizeof(*p));
	gid_t gid;
	pid_t pid;

	p->peers = ps;
	p->uid = (uid_t)-1;
	(void)unix_peer(fd, &p->uid, &gid, &pid);
	p->next = ps->first;
	if (ps->first != NULL) {
		ps->first->prev = p;
	}
	ps->first = p;
	ps->count++;
	map_wait_init(&p->wait, ps->loop, on_known, p);
	stream_init(&p->s, ps->loop, ps->more != NULL ? &listening : &asking, p);
	stream_open(&p->s, fd);
	if (ps->more != NULL) {
		on_drained(&p->s);
	}
}

static void on_accept(struct watch *w, unsigned events)
{
	struct peers *ps = w->owner;
	int fd;

	(void)events;
	while (ps->count < PEERS_MAX &&
		(fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		add_peer(ps, fd);
	}
	if (ps->count >= PEERS_MAX) {
		loop_want(ps->loop, w, 0);
	}
}

void peers_listen(struct peers *ps, struct loop *loop, void *owner, int fd)
{
	ps->loop = loop;
	ps->owner = owner;
	(void)fd_set_nonblock(fd, true);
	loop_watch(ps->loop, &ps->watch, fd, LOOP_READ, on_accept, ps);
}

void peers_close(struct peers *ps)
{
	int fd = ps->watch.fd;

	while (ps->first != NULL) {
		close_peer(ps->first);
	}
	if (fd >= 0 && ps->watch.fn != NULL) {
		loop_unwatch(ps->loop, &ps->watch);
		close(fd);
	}
	match_list_free(ps->users);
	ps->users = NULL;
}

int peer_is_allowed(struct peer *p)
{
	struct peers *ps = p->peers;
	const struct passwd *pw;
	int rc;

	if (p->uid == 0 || p->uid == geteuid()) {
		return 1;
	}
	if (ps->users == NULL) {
		ps->users = match_list_new(ps->parameter, ps->list, 0);
	}
	pw = getpwuid(p->uid);
	map_wait_enter(&p->wait);
	rc = match_domain(ps->users, pw != NULL ? pw->pw_name : "unknown");
	p->waits = map_wait_leave(&p->wait);
	if (p->waits) {
		return -1;
	}
	map_wait_forget(&p->wait);
	return rc > 0;
}
