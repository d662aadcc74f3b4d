/*
 * showq - public/showq: the list of the queue, for postqueue and mailq
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
#include "applets/queue/qmgr/qmgr.h"

enum { ROWS_A_PIECE = 500 };

static bool is_active(queue_id id)
{
	return job_find(id) != NULL || succession_is_elders(id);
}

/* put_more - the next piece; the end closes the connection */
static void put_more(struct peer *p)
{
	struct list_walk *w = p->state;
	int rc;

	if (w == NULL) {
		if (!peer_is_allowed(p, "authorized_mailq_users", param.authorized_mailq_users)) {
			list_put_end(&p->s.out, LIST_DENIED);
			p->closing = true;
			return;
		}
		w = p->state = mem_alloc(sizeof(*w));
		w->is_active = is_active;
	}
	rc = list_walk(w, qmgr->queue, &p->s.out, ROWS_A_PIECE);
	if (rc < 0) {
		/* Without its end the reader knows that the list is not whole. */
		qmgr_queue_trouble("cannot list the queue");
		p->closing = true;
	} else if (rc == 0) {
		list_put_end(&p->s.out, LIST_END);
		p->closing = true;
	}
}

void showq_start(void)
{
	int fd = unix_listen("public/showq", 0666);

	if (fd < 0) {
		log_warn("public/showq: %m: nobody can list the queue");
		return;
	}
	qmgr->showq.more = put_more;
	peers_listen(&qmgr->showq, fd);
}

void showq_stop(bool for_good)
{
	peers_close(&qmgr->showq);
	if (for_good) {
		(void)unlink("public/showq");
	}
}
