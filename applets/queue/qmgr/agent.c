/*
 * agent - the wire to one delivery process
 *
 *	request  ->  slot  ->  serial on the wire  ->  answers, in any order, one for each recipient
 *
 * A serial is a slot and a turn, so that an answer to what is no longer under way is told from one
 * to what is. When two connections in a row broke without any answer, requests go one by one until
 * there is one: only the request that breaks it pays.
 */
#include "applets/queue/qmgr/agent.h"

#include "base/log.h"
#include "base/mem.h"
#include "route/srs.h"
#include "message/verp.h"

enum {
	WINDOW = 2000, /* requests under way on one connection */
	OUT_HIGH = 256 * 1024,
	IN_ONCE = 65536,
	SLOTS_FIRST = 64
};

/* ---- Slots: what a serial in an answer stands for ---- */

/* slots_grow - twice as many */
static void slots_grow(struct agent *a)
{
	uint32_t count = a->slot_count > 0 ? a->slot_count * 2 : SLOTS_FIRST;

	a->slots = mem_realloc(a->slots, count * sizeof(*a->slots));
	a->slot_next = mem_realloc(a->slot_next, count * sizeof(*a->slot_next));
	for (uint32_t i = a->slot_count; i < count; i++) {
		a->slots[i] = NULL;
		a->slot_next[i] = i + 1 < count ? i + 2 : 0;
	}
	a->slot_free = a->slot_count + 1;
	a->slot_count = count;
}

static void slot_take(struct agent *a, struct request *r)
{
	if (a->slot_free == 0) {
		slots_grow(a);
	}
	r->slot = a->slot_free - 1;
	r->turn = ++a->turn;
	a->slot_free = a->slot_next[r->slot];
	a->slots[r->slot] = r;
}

static void slot_give(struct agent *a, const struct request *r)
{
	a->slots[r->slot] = NULL;
	a->slot_next[r->slot] = a->slot_free;
	a->slot_free = r->slot + 1;
}

static struct request *slot_find(const struct agent *a, uint64_t serial)
{
	uint32_t slot = (uint32_t)serial, turn = (uint32_t)(serial >> 32);

	if (slot >= a->slot_count || a->slots[slot] == NULL || a->slots[slot]->turn != turn) {
		return NULL;
	}
	return a->slots[slot];
}

/* take_back - it is no longer under way */
static void take_back(struct agent *a, struct request *r)
{
	request_remove(&a->sent, r);
	slot_give(a, r);
}

/* ---- Answers ---- */

/* find_rcpt - the recipient of that number, if it has no answer yet */
static struct rcpt *find_rcpt(const struct request *r, uint64_t n)
{
	for (size_t i = 0; i < r->count; i++) {
		if ((uint64_t)r->rcpts[i]->n == n && r->rcpts[i]->state == RCPT_WAITING) {
			return r->rcpts[i];
		}
	}
	return NULL;
}

/* on_answer - one message of the agent; false: nonsense */
static bool on_answer(struct stream *s, struct wire *w)
{
	struct agent *a = s->owner;
	struct delivery_answer answer;
	struct request *r;
	struct rcpt *to;

	arena_reset(&a->answers);
	if (!delivery_get_answer(w, &a->answers, &answer)) {
		return false;
	}
	r = slot_find(a, answer.serial);
	if (r == NULL) {
		return false;
	}
	a->breaks = 0;
	to = find_rcpt(r, answer.n);
	if (to != NULL) {
		r->answered++;
		a->on->answer(a, r, to, &answer);
	}
	if (r->answered == r->count) {
		take_back(a, r);
		a->on->ended(a, r);
	}
	return true;
}

static void on_taken(struct stream *s)
{
	struct agent *a = s->owner;

	arena_free(&a->answers);
	a->on->taken(a);
}

/* ---- The connection ---- */

/* broken - the agent went away, or talks nonsense */
static void broken(struct agent *a)
{
	stream_close(&a->s);
	a->breaks++;
	while (a->sent.last != NULL) {
		struct request *r = a->sent.last;

		take_back(a, r);
		a->on->lost(a, r);
	}
	a->on->broken(a);
}

/* on_closed - it ended, or was ended because of what it said */
static void on_closed(struct stream *s, enum stream_end why)
{
	struct agent *a = s->owner;

	arena_free(&a->answers);
	if (why == STREAM_MALFORMED || why == STREAM_TOO_LONG) {
		log_warn("private/%s socket: malformed response", a->name);
	}
	/* An idle agent may end when it likes, also while we write to it. */
	if (a->sent.count > 0 && s->lost == STREAM_OPEN) {
		log_warn("private/%s socket: premature disconnect with %zu deliveries under way",
			a->name, a->sent.count);
	}
	broken(a);
}

static const struct stream_class agent_class = { .frame = on_answer,
	.taken = on_taken,
	.closed = on_closed,
	.read_size = IN_ONCE,
	.in_max = WIRE_MAX,
	.out_keep = 4096 };

void agent_init(struct agent *a, struct loop *loop, const struct agent_events *on, void *owner,
	const char *name)
{
	*a = (struct agent){ .on = on, .owner = owner, .name = name };
	stream_init(&a->s, loop, &agent_class, a);
}

int agent_connect(struct agent *a, const char *path)
{
	return stream_connect(&a->s, path);
}

bool agent_is_open(const struct agent *a)
{
	return a->s.fd >= 0;
}

void agent_close(struct agent *a)
{
	stream_close(&a->s);
}

void agent_free(struct agent *a)
{
	stream_close(&a->s);
	request_list_free(&a->sent);
	arena_free(&a->answers);
	mem_free(a->slots);
	mem_free(a->slot_next);
}

/* ---- Requests ---- */

bool agent_has_room(const struct agent *a)
{
	return a->s.lost == STREAM_OPEN && a->sent.count < (a->breaks > 1 ? 1 : WINDOW) &&
		buf_unread(&a->s.out) < OUT_HIGH;
}

size_t agent_room(const struct agent *a)
{
	return a->sent.count < WINDOW ? WINDOW - a->sent.count : 0;
}

/* fill_recipients - as the agent is to see them */
static void fill_recipients(struct delivery_recipient *list, const struct request *r)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct rcpt *from = r->rcpts[i];

		list[i].n = (uint64_t)from->n;
		list[i].address = from->as != NULL ? from->as : from->address;
		list[i].original = from->as != NULL && *from->original == '\0' ? from->address
									       : from->original;
		list[i].orcpt = from->orcpt;
		list[i].notify = from->notify;
		list[i].flags = (from->suspect ? DELIVERY_SUSPECT : 0u) |
			(from->unanswered ? DELIVERY_UNANSWERED : 0u);
	}
}

/* sender - with VERP it is that of the one recipient */
static const char *sender(struct arena *a, const struct request *r)
{
	const struct job *j = r->job;

	if (r->rcpts[0]->forwarded) {
		return srs_forward(a, j->sender);
	}
	return verp_sender(a, j->flags, j->sender, r->rcpts[0]->address, r->rcpts[0]->original);
}

void agent_put(struct agent *a, struct request *r, const char *nexthop)
{
	struct arena arena = ARENA_INIT;
	const struct job *j = r->job;
	struct delivery_recipient *rcpts = mem_calloc(r->count, sizeof(*rcpts));
	struct delivery_request q = { .id = j->id,
		.sender = sender(&arena, r),
		.envid = j->envid,
		.nexthop = nexthop,
		.size = j->size,
		.arrival = j->arrival,
		.active_since = j->active_since,
		.env_flags = j->flags,
		.recipient_count = r->count,
		.recipients = rcpts };

	slot_take(a, r);
	q.serial = (uint64_t)r->turn << 32 | r->slot;
	fill_recipients(rcpts, r);
	delivery_put_request(&a->s.out, &q);
	mem_free(rcpts);
	arena_free(&arena);
	request_append(&a->sent, r);
}

void agent_flush(struct agent *a)
{
	/* One that takes no more may have delivered: on_closed() comes after its answers. */
	(void)stream_flush(&a->s);
}
