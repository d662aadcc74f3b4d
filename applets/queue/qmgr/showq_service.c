/*
 * showq_service - public/showq: the list of the queue, for postqueue and mailq
 *
 * A peer that connects gets the list at once; it says nothing itself. The walk
 * goes on when what was put is sent, so a slow reader costs one piece of it.
 */
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "conf/params.h"
#include "ipc/showq.h"
#include "applets/queue/qmgr/job.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/qmgr_sockets.h"
#include "applets/queue/qmgr/succession.h"

enum { ROWS_A_PIECE = 500 };

static bool is_active(void *arg, queue_id id)
{
	struct qmgr *m = arg;

	return job_find(m, id) != NULL || succession_is_elders(m, id);
}

/* put_more - the next piece; the end closes the connection */
static void put_more(struct peer *p)
{
	struct qmgr *m = p->peers->owner;
	struct list_walk *w = p->state;
	int rc;

	if (w == NULL) {
		int may = peer_is_allowed(p);

		if (may < 0) {
			return;
		}
		if (!may) {
			list_put_end(&p->s.out, LIST_DENIED);
			p->closing = true;
			return;
		}
		w = p->state = mem_alloc(sizeof(*w));
		w->is_active = is_active;
		w->arg = m;
	}
	rc = list_walk(w, m->queue, &p->s.out, ROWS_A_PIECE);
	if (rc < 0) {
		/* Without its end the reader knows that the list is not whole. */
		qmgr_queue_trouble(m, "cannot list the queue");
		p->closing = true;
	} else if (rc == 0) {
		list_put_end(&p->s.out, LIST_END);
		p->closing = true;
	}
}

void showq_start(struct qmgr *m)
{
	int fd = unix_listen("public/showq", 0666);

	if (fd < 0) {
		log_warn("public/showq: %m: nobody can list the queue");
		return;
	}
	m->showq.parameter = "authorized_mailq_users";
	m->showq.list = param.authorized_mailq_users;
	m->showq.more = put_more;
	peers_listen(&m->showq, m->loop, m, fd);
}

void showq_stop(struct qmgr *m, bool for_good)
{
	peers_close(&m->showq);
	if (for_good) {
		(void)unlink("public/showq");
	}
}
