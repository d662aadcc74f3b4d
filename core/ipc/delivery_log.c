/*
 * delivery_log - the log line of a delivery attempt, in the words of Postfix
 *
 * delays=a/b/c/d: a before qmgr picked it up, b in qmgr, c setting up the
 * connection, d sending. Agents and qmgr (for recipients that never reach an
 * agent) write the same line, so it is made here.
 */
#include "ipc/delivery_log.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

void delivery_delay(char out[DELIVERY_DELAY_SIZE], int64_t us)
{
	int64_t unit = us < 1000000 ? 10000 : us < 10000000 ? 100000 : 1000000, v;
	int decimals = us < 1000000 ? 2 : us < 10000000 ? 1 : 0;

	if (us < 0) {
		us = 0;
	}
	v = (us + unit / 2) / unit * unit; /* rounded; now in whole units */
	snprintf(out, DELIVERY_DELAY_SIZE, "%lld.%02lld", (long long)(v / 1000000),
		(long long)(v % 1000000 / 10000));
	/* Rounding up (0.996) may have made a digit more than is wanted: it is a zero then. */
	out[strlen(out) - 2 + (size_t)decimals] = '\0';
	for (size_t len = strlen(out);
		strchr(out, '.') != NULL && (out[len - 1] == '0' || out[len - 1] == '.');) {
		bool point = out[len - 1] == '.';

		out[--len] = '\0';
		if (point) {
			break;
		}
	}
}

const char *delivery_status_name(enum delivery_status status)
{
	switch (status) {
	case DELIVERY_SENT:
		return "sent";
	case DELIVERY_DEFERRED:
		return "deferred";
	case DELIVERY_BOUNCED:
		return "bounced";
	}
	return "unknown";
}

static int64_t at_least(int64_t v, int64_t least)
{
	return v < least ? least : v;
}

void delivery_log_line(const struct delivery_log *l)
{
	char delay[5][DELIVERY_DELAY_SIZE], use[32] = "";
	int64_t active = at_least(l->active_since, l->arrival);
	int64_t begun = at_least(l->begun, active);
	int64_t connected = at_least(l->connected, begun);
	int64_t ended = at_least(l->ended != 0 ? l->ended : clock_wall_us(), connected);
	bool moved = l->orig_to != NULL && *l->orig_to != '\0' && !str_ieq(l->orig_to, l->to);

	delivery_delay(delay[0], ended - l->arrival);
	delivery_delay(delay[1], active - l->arrival);
	delivery_delay(delay[2], begun - active);
	delivery_delay(delay[3], connected - begun);
	delivery_delay(delay[4], ended - connected);
	if (l->conn_use > 1) {
		snprintf(use, sizeof(use), ", conn_use=%u", l->conn_use);
	}
	log_info("%s: to=<%s>, %s%s%srelay=%s%s, delay=%s, delays=%s/%s/%s/%s, dsn=%s, status=%s "
		 "(%s)",
		l->queue_id, l->to, moved ? "orig_to=<" : "", moved ? l->orig_to : "",
		moved ? ">, " : "", l->relay, use, delay[0], delay[1], delay[2], delay[3], delay[4],
		l->dsn, l->status, l->text);
}
