/*
 * delivery - requests of qmgr to delivery agents, and their answers
 *
 * One wire message each (base/wire.h): a kind, then the fields in the order of
 * the structs. Counts are checked against the bytes that are there before
 * anything is allocated for them, so a bad peer costs at most its own message.
 */
#include "ipc/delivery.h"

enum { KIND_REQUEST = 1, KIND_ANSWER = 2 };
/* Beside the status. */
enum { UNREACHABLE = 256, REACH_SHIFT = 10, REACH_MASK = 3 };

/* The least a counted element takes: numbers are 8 bytes, an empty string 5. */
enum { RECIPIENT_MIN = 3 * 8 + 3 * 5, ADDED_MIN = 5 };

void delivery_put_request(struct buf *b, const struct delivery_request *r)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, KIND_REQUEST);
	wire_put_int(b, r->serial);
	wire_put_int(b, r->id);
	wire_put_str(b, r->sender);
	wire_put_str(b, r->envid);
	wire_put_str(b, r->nexthop);
	wire_put_int(b, (uint64_t)r->size);
	wire_put_int(b, (uint64_t)r->arrival);
	wire_put_int(b, (uint64_t)r->active_since);
	wire_put_int(b, r->env_flags);
	wire_put_int(b, r->recipient_count);
	for (size_t i = 0; i < r->recipient_count; i++) {
		const struct delivery_recipient *rcpt = &r->recipients[i];

		wire_put_int(b, rcpt->n);
		wire_put_str(b, rcpt->address);
		wire_put_str(b, rcpt->original);
		wire_put_str(b, rcpt->orcpt);
		wire_put_int(b, rcpt->notify);
		wire_put_int(b, rcpt->flags);
	}
	wire_end(b, mark);
}

/* get_count - a number of elements, each of at least min bytes; 0 and bad when they cannot be there
 */
static size_t get_count(struct wire *w, size_t min)
{
	uint64_t count = wire_get_int(w);

	if (w->bad || count > w->left / min) {
		w->bad = true;
		return 0;
	}
	return (size_t)count;
}

/* get_flags - a number that has to fit an unsigned */
static unsigned get_flags(struct wire *w)
{
	uint64_t v = wire_get_int(w);

	if (v > UINT32_MAX) {
		w->bad = true;
		return 0;
	}
	return (unsigned)v;
}

bool delivery_get_request(struct wire *w, struct arena *a, struct delivery_request *r)
{
	if (wire_get_int(w) != KIND_REQUEST) {
		return false;
	}
	r->serial = wire_get_int(w);
	r->id = wire_get_int(w);
	r->sender = arena_strdup(a, wire_get_str(w));
	r->envid = arena_strdup(a, wire_get_str(w));
	r->nexthop = arena_strdup(a, wire_get_str(w));
	r->size = (int64_t)wire_get_int(w);
	r->arrival = (int64_t)wire_get_int(w);
	r->active_since = (int64_t)wire_get_int(w);
	r->env_flags = get_flags(w);
	r->recipient_count = get_count(w, RECIPIENT_MIN);
	r->recipients = arena_alloc(a, r->recipient_count * sizeof(*r->recipients));
	for (size_t i = 0; i < r->recipient_count && !w->bad; i++) {
		struct delivery_recipient *rcpt = &r->recipients[i];

		rcpt->n = wire_get_int(w);
		rcpt->address = arena_strdup(a, wire_get_str(w));
		rcpt->original = arena_strdup(a, wire_get_str(w));
		rcpt->orcpt = arena_strdup(a, wire_get_str(w));
		rcpt->notify = get_flags(w);
		rcpt->flags = get_flags(w);
	}
	return wire_ok(w);
}

void delivery_put_answer(struct buf *b, const struct delivery_answer *a)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, KIND_ANSWER);
	wire_put_int(b, a->serial);
	wire_put_int(b, a->n);
	wire_put_int(b,
		(uint64_t)a->status | (a->unreachable ? UNREACHABLE : 0) |
			(uint64_t)a->reach << REACH_SHIFT);
	wire_put_str(b, a->dsn);
	wire_put_str(b, a->text);
	wire_put_int(b, a->added_count);
	for (size_t i = 0; i < a->added_count; i++) {
		wire_put_str(b, a->added[i]);
	}
	wire_put_str(b, a->owner);
	wire_put_str(b, a->mta);
	wire_put_str(b, a->diagnostic_type);
	wire_put_str(b, a->diagnostic);
	wire_end(b, mark);
}

/* get_status - the status and what stands beside it; false: no such thing */
static bool get_status(struct delivery_answer *r, uint64_t word)
{
	uint64_t reach = word >> REACH_SHIFT & REACH_MASK;
	uint64_t status = word & ~((uint64_t)REACH_MASK << REACH_SHIFT | UNREACHABLE);

	if (status > DELIVERY_BOUNCED || reach > DELIVERY_PASSED_ON) {
		return false;
	}
	r->status = (enum delivery_status)status;
	r->reach = (enum delivery_reach)reach;
	r->unreachable = (word & UNREACHABLE) != 0;
	return (!r->unreachable || status == DELIVERY_DEFERRED) &&
		(reach == DELIVERY_FINAL || status == DELIVERY_SENT);
}

bool delivery_get_answer(struct wire *w, struct arena *a, struct delivery_answer *r)
{
	if (wire_get_int(w) != KIND_ANSWER) {
		return false;
	}
	r->serial = wire_get_int(w);
	r->n = wire_get_int(w);
	if (!get_status(r, wire_get_int(w))) {
		return false;
	}
	r->dsn = arena_strdup(a, wire_get_str(w));
	r->text = arena_strdup(a, wire_get_str(w));
	r->added_count = get_count(w, ADDED_MIN);
	r->added = arena_alloc(a, r->added_count * sizeof(*r->added));
	for (size_t i = 0; i < r->added_count && !w->bad; i++) {
		r->added[i] = arena_strdup(a, wire_get_str(w));
	}
	r->owner = arena_strdup(a, wire_get_str(w));
	r->mta = arena_strdup(a, wire_get_str(w));
	r->diagnostic_type = arena_strdup(a, wire_get_str(w));
	r->diagnostic = arena_strdup(a, wire_get_str(w));
	return wire_ok(w);
}
