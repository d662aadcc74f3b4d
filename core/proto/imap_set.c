/*
 * imap_set - sequence sets
 *
 * A set has at most as many ranges as its text has room for, and the text is
 * bounded by the reader; numbers in it need not exist, so work is done by range
 * and never by counting through one.
 *
 * RFC 3501 9 (sequence-set: "*" is the largest number in use, ranges in any order)
 */
#include "proto/imap_set.h"

#include <stdlib.h>
#include <string.h>

/* number_or_star - 0 for '*' */
static bool number_or_star(struct imap_args *a, uint32_t *out)
{
	*out = 0;
	return imap_args_char(a, '*') || imap_args_nz_number(a, out);
}

/* bad_set - one error for all that can be wrong with a set */
static bool bad_set(struct imap_args *a)
{
	a->error = "Invalid messageset";
	return false;
}

bool imap_args_set(struct imap_args *a, struct imap_set *out)
{
	size_t room = 1;
	const char *p;

	for (p = a->p; p < a->end && *p != ' ' && *p != ')'; p++) {
		room += *p == ',';
	}
	out->ranges = arena_alloc(a->arena, room * sizeof(*out->ranges));
	out->count = 0;
	do {
		struct imap_range *r = &out->ranges[out->count];

		if (out->count == room || !number_or_star(a, &r->first)) {
			return bad_set(a);
		}
		r->last = r->first;
		if (imap_args_char(a, ':') && !number_or_star(a, &r->last)) {
			return bad_set(a);
		}
		out->count++;
	} while (imap_args_char(a, ','));
	if (a->p < a->end && *a->p != ' ' && *a->p != ')') {
		return bad_set(a);
	}
	return true;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct imap_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

void imap_set_resolve(struct imap_set *s, uint32_t max)
{
	size_t i, n = 0;

	for (i = 0; i < s->count; i++) {
		struct imap_range r = s->ranges[i];

		if ((r.first == 0 || r.last == 0) && max == 0) {
			continue;
		}
		r.first = r.first == 0 ? max : r.first;
		r.last = r.last == 0 ? max : r.last;
		if (r.first > r.last) {
			uint32_t swap = r.first;

			r.first = r.last;
			r.last = swap;
		}
		s->ranges[n++] = r;
	}
	s->count = n;
	if (n == 0) {
		return;
	}
	qsort(s->ranges, n, sizeof(*s->ranges), compare_ranges);
	for (i = 1, n = 0; i < s->count; i++) {
		struct imap_range *r = &s->ranges[i], *into = &s->ranges[n];

		if (into->last == UINT32_MAX || r->first <= into->last + 1) {
			into->last = r->last > into->last ? r->last : into->last;
		} else {
			s->ranges[++n] = *r;
		}
	}
	s->count = n + 1;
}

uint32_t imap_set_next(const struct imap_set *s, uint32_t n)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->ranges[mid].last < n) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	if (low == s->count) {
		return 0;
	}
	return s->ranges[low].first > n ? s->ranges[low].first : n;
}

bool imap_set_has(const struct imap_set *s, uint32_t n)
{
	return n != 0 && imap_set_next(s, n) == n;
}

uint32_t imap_set_max(const struct imap_set *s)
{
	return s->count > 0 ? s->ranges[s->count - 1].last : 0;
}

void imap_set_put(struct buf *out, const uint32_t *numbers, size_t count)
{
	size_t i, end;

	for (i = 0; i < count; i = end) {
		for (end = i + 1; end < count && numbers[end] == numbers[end - 1] + 1; end++) {
		}
		buf_addf(out, "%s%u", i > 0 ? "," : "", numbers[i]);
		if (end > i + 1) {
			buf_addf(out, ":%u", numbers[end - 1]);
		}
	}
}
