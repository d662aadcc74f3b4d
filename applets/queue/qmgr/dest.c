/*
 * dest - the queue of one destination, and how many of its requests may be under way
 *
 *	good	the window grows by one once the shares of good requests come to one, but only
 *		while it is used: not beyond requests under way + initial
 *	bad	it shrinks by one at the first, and then whenever the shares have come to one again,
 *		not below one; each bad request is also a part of a cohort (as many requests as the
 *		window has room for), and with so many failed cohorts in a row the destination is
 *		dead
 *
 * A step in one direction forgets the shares that were collected for the other.
 */
#include "applets/queue/qmgr/dest.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* Sums of tenths and thirds are a little less than one. */
static const double rounding = 0.000001;

/* number - at *at, with digits behind a point or without, and the blanks behind it */
static bool number(const char **at, double *out)
{
	const char *p = *at;
	double value = 0, unit = 1;
	size_t digits = 0;

	for (bool point = false; isdigit((unsigned char)*p) || (*p == '.' && !point); p++) {
		if (*p == '.') {
			point = true;
		} else {
			value = value * 10 + (*p - '0');
			unit *= point ? 10 : 1;
			digits++;
		}
	}
	if (digits == 0 || digits > 15) {
		return false;
	}
	*out = value / unit;
	*at = p + strspn(p, " \t");
	return true;
}

bool feedback_parse(struct feedback *f, const char *text)
{
	double by = 1;

	f->by = FEEDBACK_CONSTANT;
	if (!number(&text, &f->share)) {
		return false;
	}
	if (*text == '/') {
		text += 1 + strspn(text + 1, " \t");
		if (str_ieq(text, "concurrency")) {
			f->by = FEEDBACK_BY_WINDOW;
			text = "";
		} else if (str_ieq(text, "sqrt_concurrency")) {
			f->by = FEEDBACK_BY_ROOT;
			text = "";
		} else if (!number(&text, &by) || !(by > 0)) {
			return false;
		}
	}
	f->share /= by;
	return *text == '\0' && f->share >= 0 && f->share <= 1;
}

/* share_of - of one request, at this window */
static double share_of(const struct feedback *f, int64_t window)
{
	switch (f->by) {
	case FEEDBACK_BY_WINDOW:
		return f->share / (double)window;
	case FEEDBACK_BY_ROOT:
		return f->share / sqrt((double)window);
	case FEEDBACK_CONSTANT:
		break;
	}
	return f->share;
}

/* first_window - as wide as it is at the beginning */
static int64_t first_window(const struct dest_limits *l)
{
	int64_t first = l->fixed ? l->most : l->initial;

	if (l->most > 0 && first > l->most) {
		first = l->most;
	}
	return first > 0 ? first : 1;
}

struct dest *dest_new(const char *key, const char *nexthop, const struct dest_limits *l)
{
	size_t size = strlen(key) + 1;
	struct dest *d = mem_alloc(sizeof(*d) + size);

	memcpy(d->key, key, size);
	d->nexthop = mem_strdup(nexthop);
	d->window = first_window(l);
	return d;
}

void dest_free(struct dest *d)
{
	request_list_free(&d->waiting);
	mem_free(d->nexthop);
	mem_free(d->dsn);
	mem_free(d->text);
	mem_free(d);
}

/* ---- The queue ---- */

void dest_queue(struct dest *d, struct request *r, bool front)
{
	(front ? request_prepend : request_append)(&d->waiting, r);
}

bool dest_may_send(const struct dest *d)
{
	return d->waiting.count > 0 && (int64_t)d->sent < d->window && d->dead_until == 0 &&
		!d->pausing;
}

struct request *dest_take(struct dest *d)
{
	struct request *r = d->waiting.first;

	if (r != NULL) {
		request_remove(&d->waiting, r);
		d->sent++;
	}
	return r;
}

void dest_back(struct dest *d)
{
	d->sent--;
}

bool dest_is_unused(const struct dest *d)
{
	return d->waiting.count == 0 && d->sent == 0 && d->dead_until == 0 && !d->pausing;
}

/* ---- The window ---- */

void dest_good(struct dest *d, const struct dest_limits *l)
{
	d->cohorts = 0;
	if (l->fixed || d->dead_until != 0 || d->window >= (int64_t)d->sent + l->initial ||
		(l->most > 0 && d->window >= l->most)) {
		return;
	}
	d->up += share_of(&l->up, d->window);
	while (d->up + rounding >= 1) {
		d->up -= 1;
		d->down = 0;
		d->window++;
	}
	if (l->most > 0 && d->window > l->most) {
		d->window = l->most;
	}
}

/* die - it is remembered as dead, with the reason */
static void die(struct dest *d, int64_t until, const char *dsn, const char *text)
{
	d->dead_until = until;
	d->dsn = mem_strdup(dsn);
	d->text = mem_strdup(text);
}

bool dest_bad(
	struct dest *d, const struct dest_limits *l, int64_t now, const char *dsn, const char *text)
{
	if (l->fixed || d->dead_until != 0) {
		return false;
	}
	d->cohorts += 1.0 / (double)d->window;
	if (l->failed_cohorts > 0 && d->cohorts + rounding >= (double)l->failed_cohorts) {
		die(d, now + l->dead_ms, dsn, text);
		return true;
	}
	d->down -= share_of(&l->down, d->window);
	while (d->down + rounding < 0) {
		d->down += 1;
		d->up = 0;
		d->window--;
	}
	if (d->window < 1) {
		d->window = 1;
	}
	return false;
}

void dest_revive(struct dest *d, const struct dest_limits *l)
{
	mem_free(d->dsn);
	mem_free(d->text);
	d->dsn = d->text = NULL;
	d->dead_until = 0;
	d->up = d->down = d->cohorts = 0;
	d->window = first_window(l);
}
