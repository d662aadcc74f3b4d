/*
 * pickup_request - a local submission as bytes
 *
 * The writer may be any user of the host: everything is checked, and what is
 * too long or of an unknown kind makes the whole submission malformed.
 */
#include "ipc/pickup_request.h"

#include <string.h>

#include "base/wire.h"

enum { TEXT_MAX = 4096, MESSAGE_MAX = PICKUP_DATA_MAX + 256 };

void pickup_put(struct buf *b, const struct pickup_message *m)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, m->kind);
	switch (m->kind) {
	case PICKUP_BEGIN:
		wire_put_str(b, m->sender);
		wire_put_str(b, m->full_name);
		wire_put_str(b, m->envid);
		wire_put_int(b, m->flags);
		break;
	case PICKUP_RECIPIENT:
		wire_put_str(b, m->address);
		wire_put_int(b, m->notify);
		wire_put_str(b, m->orcpt);
		break;
	case PICKUP_DATA:
		wire_put_bytes(b, m->data, m->len);
		break;
	case PICKUP_END:
		break;
	case PICKUP_ANSWER:
		wire_put_int(b, m->status);
		wire_put_str(b, m->text);
		break;
	}
	wire_end(b, mark);
}

/* get_fields - after the kind; false: unknown kind */
static bool get_fields(struct wire *w, struct pickup_message *m)
{
	switch (m->kind) {
	case PICKUP_BEGIN:
		m->sender = wire_get_str(w);
		m->full_name = wire_get_str(w);
		m->envid = wire_get_str(w);
		m->flags = (unsigned)wire_get_int(w);
		return strlen(m->sender) <= TEXT_MAX && strlen(m->full_name) <= TEXT_MAX &&
			strlen(m->envid) <= TEXT_MAX;
	case PICKUP_RECIPIENT:
		m->address = wire_get_str(w);
		m->notify = (unsigned)wire_get_int(w);
		m->orcpt = wire_get_str(w);
		return strlen(m->address) <= TEXT_MAX && strlen(m->orcpt) <= TEXT_MAX &&
			m->notify < 16;
	case PICKUP_DATA:
		m->data = wire_get_bytes(w, &m->len);
		return m->len <= PICKUP_DATA_MAX;
	case PICKUP_END:
		return true;
	case PICKUP_ANSWER:
		m->status = (enum pickup_status)wire_get_int(w);
		m->text = wire_get_str(w);
		return m->status <= PICKUP_REFUSED;
	}
	return false;
}

int pickup_get(const struct buf *b, struct pickup_message *m, size_t *size_r)
{
	struct wire w;
	int rc;

	/* The length stands first: a long one is refused before its bytes are waited for. */
	if (buf_unread(b) >= 4) {
		const unsigned char *p = (const unsigned char *)buf_head(b);

		if (p[0] != 0 || p[1] != 0 || (unsigned)(p[2] << 8 | p[3]) > MESSAGE_MAX) {
			return -1;
		}
	}
	rc = wire_next(b, &w, size_r);
	if (rc != 1) {
		return rc;
	}
	memset(m, 0, sizeof(*m));
	m->kind = (enum pickup_kind)wire_get_int(&w);
	return get_fields(&w, m) && wire_ok(&w) ? 1 : -1;
}
