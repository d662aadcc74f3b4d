/*
 * handoff - the messages that carry a logged-in connection from process to process
 */
#include "ipc/handoff.h"

#include "ipc/control.h"

void handoff_put_login(struct buf *b, const struct handoff_login *m)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, SERVICE_MSG_LOGIN);
	wire_put_str(b, m->service);
	wire_put_int(b, m->client_pid);
	wire_put_int(b, m->request);
	wire_put_int(b, m->server_pid);
	wire_put_str(b, m->cookie);
	wire_put_str(b, m->user);
	wire_put_str(b, m->line);
	wire_put_str(b, m->refusal);
	wire_put_str(b, m->rip);
	wire_put_str(b, m->session);
	wire_put_str(b, m->tag);
	wire_put_bytes(b, m->unread, m->unread_len);
	wire_end(b, mark);
}

bool handoff_get_login(struct wire *w, struct handoff_login *m)
{
	m->service = wire_get_str(w);
	m->client_pid = wire_get_int(w);
	m->request = wire_get_int(w);
	m->server_pid = wire_get_int(w);
	m->cookie = wire_get_str(w);
	m->user = wire_get_str(w);
	m->line = wire_get_str(w);
	m->refusal = wire_get_str(w);
	m->rip = wire_get_str(w);
	m->session = wire_get_str(w);
	m->tag = wire_get_str(w);
	m->unread = wire_get_bytes(w, &m->unread_len);
	return wire_ok(w);
}

void handoff_put_session(struct buf *b, const struct handoff_session *m)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, SERVICE_MSG_SESSION);
	wire_put_str(b, m->user);
	wire_put_str(b, m->home);
	wire_put_str(b, m->mail);
	wire_put_int(b, m->uid);
	wire_put_int(b, m->gid);
	wire_put_str(b, m->rip);
	wire_put_str(b, m->session);
	wire_put_str(b, m->tag);
	wire_put_str(b, m->refusal);
	wire_put_bytes(b, m->unread, m->unread_len);
	wire_end(b, mark);
}

bool handoff_get_session(struct wire *w, struct handoff_session *m)
{
	m->user = wire_get_str(w);
	m->home = wire_get_str(w);
	m->mail = wire_get_str(w);
	m->uid = wire_get_int(w);
	m->gid = wire_get_int(w);
	m->rip = wire_get_str(w);
	m->session = wire_get_str(w);
	m->tag = wire_get_str(w);
	m->refusal = wire_get_str(w);
	m->unread = wire_get_bytes(w, &m->unread_len);
	return wire_ok(w);
}
