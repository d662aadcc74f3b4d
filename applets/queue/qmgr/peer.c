/*
 * peer - the queue manager's own sockets and who is connected to them
 *
 * Local users and our other processes: the kernel says who they are. A peer
 * that says nothing costs a descriptor, so their number is bounded; above it, others
 * wait in the backlog.
 */
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "base/wire.h"
#include "address/match.h"
#include "applets/queue/qmgr/qmgr.h"

enum { PEERS_MAX = 200, IN_ONCE = 16384, IN_MAX = 128 * 1024 };

static void on_accept(struct watch *w, unsigned events);

static void close_peer(struct peer *p)
{
	struct peers *ps = p->peers;
	int fd = p->watch.fd;

	loop_unwatch(qmgr->loop, &p->watch);
	close(fd);
	*(p->prev != NULL ? &p->prev->next : &ps->first) = p->next;
	if (p->next != NULL) {
		p->next->prev = p->prev;
	}
	if (ps->count-- == PEERS_MAX && ps->watch.fd >= 0) {
		loop_want(qmgr->loop, &ps->watch, LOOP_READ);
	}
	buf_free(&p->in);
	buf_free(&p->out);
	mem_free(p->state);
	mem_free(p);
}

/* push - send what is there; false: closed */
static bool push(struct peer *p)
{
	for (;;) {
		ssize_t n;

		if (buf_unread(&p->out) == 0 && !p->closing && p->peers->more != NULL) {
			p->peers->more(p);
		}
		if (buf_unread(&p->out) == 0) {
			break;
		}
		n = send(p->watch.fd, buf_head(&p->out), buf_unread(&p->out), MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && errno == EAGAIN) {
			loop_want(qmgr->loop, &p->watch, LOOP_READ | LOOP_WRITE);
			return true;
		}
		if (n <= 0) {
			close_peer(p);
			return false;
		}
		buf_consume(&p->out, (size_t)n);
		/* One piece a turn: the mail goes on meanwhile. */
		if (p->peers->more != NULL) {
			loop_want(qmgr->loop, &p->watch, LOOP_READ | LOOP_WRITE);
			return true;
		}
	}
	if (p->closing) {
		close_peer(p);
		return false;
	}
	loop_want(qmgr->loop, &p->watch, LOOP_READ);
	return true;
}

void peer_flush(struct peer *p)
{
	loop_want(qmgr->loop, &p->watch, LOOP_READ | LOOP_WRITE);
}

/* read_some - what the peer says; false: closed */
static bool read_some(struct peer *p)
{
	ssize_t n = read(p->watch.fd, buf_reserve(&p->in, IN_ONCE), IN_ONCE);
	struct wire w;
	size_t size;
	int rc = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return true;
	}
	if (n > 0) {
		buf_added(&p->in, (size_t)n);
		while ((rc = wire_next(&p->in, &w, &size)) > 0) {
			if (p->peers->message == NULL || !p->peers->message(p, &w)) {
				rc = -1;
				break;
			}
			buf_consume(&p->in, size);
		}
		buf_shrink(&p->in, 0);
	}
	if (n <= 0 || rc < 0 || buf_unread(&p->in) > IN_MAX) {
		close_peer(p);
		return false;
	}
	return true;
}

static void on_peer(struct watch *w, unsigned events)
{
	struct peer *p = w->owner;

	if ((events & (LOOP_READ | LOOP_HANGUP)) != 0 && !read_some(p)) {
		return;
	}
	push(p);
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
	loop_watch(qmgr->loop, &p->watch, fd, LOOP_READ, on_peer, p);
	if (ps->more != NULL) {
		push(p);
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
		loop_want(qmgr->loop, w, 0);
	}
}

void peers_listen(struct peers *ps, int fd)
{
	(void)fd_set_nonblock(fd, true);
	loop_watch(qmgr->loop, &ps->watch, fd, LOOP_READ, on_accept, ps);
}

void peers_close(struct peers *ps)
{
	int fd = ps->watch.fd;

	while (ps->first != NULL) {
		close_peer(ps->first);
	}
	if (fd >= 0 && ps->watch.fn != NULL) {
		loop_unwatch(qmgr->loop, &ps->watch);
		close(fd);
	}
}

bool peer_is_allowed(const struct peer *p, const char *parameter, const char *list)
{
	struct match_list *l;
	const struct passwd *pw;
	int rc;

	if (p->uid == 0 || p->uid == geteuid()) {
		return true;
	}
	pw = getpwuid(p->uid);
	l = match_list_new(parameter, list, 0);
	rc = match_domain(l, pw != NULL ? pw->pw_name : "unknown");
	match_list_free(l);
	return rc > 0;
}
