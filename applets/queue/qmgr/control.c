/*
 * control - public/qmgr: notices of new mail, and requests to flush
 *
 * Notices come from our own processes only, that is from our own uid or root.
 * Anybody may ask for a flush whom authorized_flush_users names. Requests are
 * answered with one number, as ipc/notify.h has it.
 */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "base/wire.h"
#include "conf/params.h"
#include "ipc/notify.h"
#include "applets/queue/qmgr/changed.h"
#include "applets/queue/qmgr/load.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/qmgr_sockets.h"
#include "applets/queue/qmgr/verify/verify.h"

enum { IDS_MAX = 4096 };

static void answer(struct peer *p, uint64_t a)
{
	size_t mark = wire_begin(&p->s.out);

	wire_put_int(&p->s.out, a);
	wire_end(&p->s.out, mark);
}

/* take_ids - new or changed ones; false: malformed */
static bool take_ids(struct qmgr *m, struct peer *p, uint64_t kind, struct wire *w)
{
	uint64_t count = wire_get_int(w);
	queue_id ids[IDS_MAX];

	if (count > IDS_MAX) {
		return false;
	}
	for (uint64_t i = 0; i < count; i++) {
		ids[i] = wire_get_int(w);
	}
	if (!wire_ok(w)) {
		return false;
	}
	if (kind == QMGR_NEW) {
		load_new(m, ids, (size_t)count);
	} else {
		answer(p, changed_take(m, ids, (size_t)count));
		(void)stream_flush(&p->s);
	}
	return true;
}

/* is_domain - could it be the name of a site? */
static bool is_domain(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len < 256 &&
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_[]:") ==
		len;
}

static enum qmgr_answer flush(struct qmgr *m, enum qmgr_message kind, const char *text)
{
	queue_id id;

	if (kind == QMGR_FLUSH) {
		load_flush_all(m);
		return QMGR_OK;
	}
	if (kind == QMGR_FLUSH_ID) {
		return queue_id_parse(text, &id) && load_flush_id(m, id) ? QMGR_OK : QMGR_BAD;
	}
	if (!is_domain(text)) {
		return QMGR_BAD;
	}
	load_flush_site(m, text);
	return QMGR_OK;
}

/* A flush that was asked for. */
struct asked {
	enum qmgr_message kind;
	char text[];
};

/* decide - flush, or say no, once it is known whether the peer may */
static void decide(struct peer *p)
{
	struct asked *q = p->state;
	int may = peer_is_allowed(p);

	stream_pause(&p->s, may < 0);
	if (may < 0) {
		return;
	}
	answer(p, may ? flush(p->peers->owner, q->kind, q->text) : QMGR_DENIED);
	mem_free(q);
	p->state = NULL;
	(void)stream_flush(&p->s);
}

static bool on_message(struct peer *p, struct wire *w)
{
	struct qmgr *m = p->peers->owner;
	bool ours = p->uid == 0 || p->uid == geteuid();
	uint64_t kind = wire_get_int(w);
	const char *text = "";
	struct asked *q;

	switch (kind) {
	case QMGR_NEW:
	case QMGR_CHANGED:
		return ours && take_ids(m, p, kind, w);
	case QMGR_VERIFY:
		return ours && verify_take(m, p, w);
	case QMGR_SCAN:
		if (ours) {
			load_scan(m);
		}
		return ours;
	case QMGR_FLUSH_ID:
	case QMGR_FLUSH_SITE:
		text = wire_get_str(w);
		break;
	case QMGR_FLUSH:
		break;
	default:
		return false;
	}
	if (!wire_ok(w)) {
		return false;
	}
	q = p->state = mem_alloc(sizeof(*q) + strlen(text) + 1);
	q->kind = (enum qmgr_message)kind;
	memcpy(q->text, text, strlen(text) + 1);
	decide(p);
	return true;
}

void control_start(struct qmgr *m)
{
	int fd = m->service.listen_count > 0 ? m->service.listen[0].fd
					     : unix_listen("public/qmgr", 0666);

	if (fd < 0) {
		log_fatal("public/qmgr: %m");
	}
	m->control.parameter = "authorized_flush_users";
	m->control.list = param.authorized_flush_users;
	m->control.message = on_message;
	m->control.known = decide;
	m->control.gone = verify_forget;
	peers_listen(&m->control, m->loop, m, fd);
}

void control_stop(struct qmgr *m)
{
	peers_close(&m->control);
}
