/*
 * submit - mail from a program on this host into the queue
 *
 * What goes in is turned into the messages of ipc/pickup_request.h at once, so all
 * ways (submit_ways.c) take the same bytes. They are also kept, up to a
 * bound, until a way has promised durability: when the first way breaks down
 * in the middle (a daemon that is being restarted), the next one gets them from
 * the start. Once END was sent on the socket the answer alone counts: if it
 * does not come, the message may be queued, and trying another way could
 * queue it twice.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "message/submit_impl.h"

enum { KEPT_MAX = 1024 * 1024 };

struct submit *submit_new(void)
{
	struct submit *s = mem_alloc(sizeof(*s));

	s->fd = s->drop_dir = -1;
	return s;
}

static void close_way(struct submit *s)
{
	if (s->way != NULL) {
		s->way->close(s);
		s->way = NULL;
	}
}

void submit_free(struct submit *s)
{
	if (s == NULL) {
		return;
	}
	close_way(s);
	buf_free(&s->kept);
	buf_free(&s->message);
	buf_free(&s->error);
	buf_free(&s->out);
	mem_free(s);
}

/* open_way - the next way that opens and takes what there is so far */
static void open_way(struct submit *s)
{
	while (s->way == NULL && s->final == WAY_OK) {
		const struct submit_way *way;
		enum way_status status;

		if (s->next_way == submit_way_count || (s->too_long && s->next_way > 0)) {
			s->final = WAY_RETRY;
			return;
		}
		way = &submit_ways[s->next_way++];
		s->way = way;
		status = way->open(s);
		if (status == WAY_OK && buf_unread(&s->kept) > 0) {
			status = way->put(s, buf_head(&s->kept), buf_unread(&s->kept));
		}
		log_debug(1, "submission by %s: %s", way->name,
			status == WAY_OK ? "open" : buf_str(&s->error));
		if (status != WAY_OK) {
			close_way(s);
			s->final = status == WAY_BROKEN ? WAY_OK : status;
		}
	}
}

/* put - one message on the way we have, or on the next one that works */
static void put(struct submit *s, const struct pickup_message *m)
{
	enum way_status status;

	buf_reset(&s->message);
	pickup_put(&s->message, m);
	open_way(s);
	if (s->final != WAY_OK) {
		return;
	}
	status = s->way->put(s, buf_head(&s->message), buf_unread(&s->message));
	if (!s->too_long) {
		buf_add(&s->kept, buf_head(&s->message), buf_unread(&s->message));
		if (s->kept.len > KEPT_MAX) {
			s->too_long = true;
			buf_free(&s->kept);
		}
	}
	if (status == WAY_BROKEN) {
		close_way(s);
		open_way(s);
	} else if (status != WAY_OK) {
		s->final = status;
	}
}

void submit_envelope(struct submit *s, const char *sender, const char *full_name, const char *envid,
	unsigned flags)
{
	const struct pickup_message m = {
		.kind = PICKUP_BEGIN,
		.sender = sender,
		.full_name = full_name,
		.envid = envid,
		.flags = flags,
	};

	put(s, &m);
}

void submit_recipient(struct submit *s, const char *address, unsigned notify, const char *orcpt)
{
	const struct pickup_message m = {
		.kind = PICKUP_RECIPIENT,
		.address = address,
		.notify = notify,
		.orcpt = orcpt,
	};

	put(s, &m);
}

int submit_write(struct submit *s, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0 && s->final == WAY_OK) {
		const struct pickup_message m = {
			.kind = PICKUP_DATA,
			.data = p,
			.len = len < PICKUP_DATA_MAX ? len : PICKUP_DATA_MAX,
		};

		put(s, &m);
		p += m.len;
		len -= m.len;
	}
	return s->final == WAY_OK ? 0 : -1;
}

enum submit_result submit_end(struct submit *s)
{
	const struct pickup_message m = { .kind = PICKUP_END };
	enum way_status status = WAY_BROKEN;

	put(s, &m);
	while (s->final == WAY_OK) {
		status = s->way->end(s);
		if (status != WAY_BROKEN) {
			break;
		}
		close_way(s);
		open_way(s);
	}
	if (s->final != WAY_OK) {
		status = s->final;
	}
	close_way(s);
	return status == WAY_OK ? SUBMIT_OK : status == WAY_REFUSED ? SUBMIT_REFUSED : SUBMIT_RETRY;
}

const char *submit_error(const struct submit *s)
{
	return buf_str(&s->error);
}

const char *submit_id(const struct submit *s)
{
	return s->id;
}
