/*
 * listing - what mailq prints
 *
 *	-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
 *	5CFBB21DB*      444 Tue Aug  9 14:21:58  root
 *			      (reason, flush right in 78 columns)
 *						 recipient@example.com
 *
 * "*" active, "!" on hold, "#" forced to expire. A reason is shown before the
 * recipients it holds for. Programs read this: tests/golden/postqueue.* was
 * written by Debian's postqueue.
 */
#include "applets/queue/listing.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"
#include "base/utf8.h"

enum { TIME_SIZE = 32, REASON_COLUMNS = 76 };

/* add_clean - text without what a terminal would obey or cannot show */
static void add_clean(struct buf *b, const char *s)
{
	size_t from = b->len;

	buf_adds(b, s);
	if (b->len > from) {
		utf8_printable(b->data + from, b->len - from);
	}
}

/* arrival_text - "Tue Aug  9 14:21:58 2011", local time */
static void arrival_text(char out[TIME_SIZE], int64_t arrival)
{
	time_t when = (time_t)arrival;
	struct tm tm;

	if (localtime_r(&when, &tm) == NULL ||
		strftime(out, TIME_SIZE, "%a %b %e %H:%M:%S %Y", &tm) == 0) {
		snprintf(out, TIME_SIZE, "-");
	}
}

static void plain_message(struct listing *l, const struct list_message *m)
{
	char when[TIME_SIZE], id[80];
	const char *mark = m->queue == LIST_ACTIVE ? "*" : m->queue == LIST_HOLD ? "!" : "";

	if (l->count == 0) {
		buf_addf(l->out, l->long_ids ? "%-17s %8s %-19s %s\n" : "%-11s %7s %-20s %s\n",
			l->long_ids ? "----Queue ID-----" : "-Queue ID-", "--Size--",
			l->long_ids ? "---Arrival Time----" : "----Arrival Time----",
			l->long_ids ? "--Sender/Recipient------" : "-Sender/Recipient-------");
	}
	arrival_text(when, m->arrival);
	snprintf(id, sizeof(id), "%.60s%s%s", m->id, mark, m->forced_expire ? "#" : "");
	buf_addf(l->out, l->long_ids ? "%-17s %8lld %19.19s " : "%-11s %7lld %20.20s ", id,
		(long long)m->size, when);
	add_clean(l->out, m->sender);
	buf_addc(l->out, '\n');
}

/* plain_reason - flush right, when it is another one than for the recipient before */
static void plain_reason(struct listing *l, const char *reason)
{
	const char *text = *reason != '\0' ? reason : "reason unavailable";
	size_t len = strlen(text);

	if (strcmp(buf_str(&l->reason), reason) == 0) {
		return;
	}
	buf_reset(&l->reason);
	buf_adds(&l->reason, reason);
	buf_addf(l->out, "%*s(", len < REASON_COLUMNS ? (int)(REASON_COLUMNS - len) : 0, "");
	add_clean(l->out, text);
	buf_adds(l->out, ")\n");
}

static void plain_recipient(struct listing *l, const char *address, const char *reason)
{
	plain_reason(l, reason);
	buf_addf(l->out, l->long_ids ? "%-17s %8s %-19s " : "%-11s %7s %-20s ", "", "", "");
	add_clean(l->out, address);
	buf_addc(l->out, '\n');
}

static void json_message(struct listing *l, const struct list_message *m)
{
	buf_addf(l->out, "{\"queue_name\": \"%s\", \"queue_id\": ", list_queue_name(m->queue));
	json_encode(l->out, m->id);
	buf_addf(l->out,
		", \"arrival_time\": %lld, \"message_size\": %lld, \"forced_expire\": %s, "
		"\"sender\": ",
		(long long)m->arrival, (long long)m->size, m->forced_expire ? "true" : "false");
	json_encode(l->out, m->sender);
	buf_adds(l->out, ", \"recipients\": [");
}

static void json_recipient(struct listing *l, const char *address, const char *reason)
{
	buf_adds(l->out, l->recipients > 0 ? ", {\"address\": " : "{\"address\": ");
	json_encode(l->out, address);
	if (*reason != '\0') {
		buf_adds(l->out, ", \"delay_reason\": ");
		json_encode(l->out, reason);
	}
	buf_addc(l->out, '}');
}

static void close_message(struct listing *l)
{
	if (l->open) {
		buf_adds(l->out, l->json ? "]}\n" : "\n");
	}
	l->open = false;
}

/* listing_message - maildrop files and the like, put in by hand */
static void listing_message(struct listing *l, const struct list_message *m)
{
	struct list_message shown = *m;

	close_message(l);
	if (*shown.sender == '\0') {
		shown.sender = "MAILER-DAEMON";
	}
	if (l->json) {
		json_message(l, &shown);
	} else {
		plain_message(l, &shown);
	}
	l->open = true;
	l->recipients = 0;
	l->count++;
	l->bytes += m->size;
	buf_reset(&l->reason);
}

static void add_recipient(struct listing *l, const char *address, const char *reason)
{
	if (l->json) {
		json_recipient(l, address, reason);
	} else {
		plain_recipient(l, address, reason);
	}
	l->recipients++;
}

static int take_message(struct listing *l, struct wire *w)
{
	struct list_message m;
	uint64_t q = wire_get_int(w);

	m.queue = (enum list_queue)q;
	m.id = wire_get_str(w);
	m.arrival = (int64_t)wire_get_int(w);
	m.size = (int64_t)wire_get_int(w);
	m.forced_expire = wire_get_int(w) != 0;
	m.sender = wire_get_str(w);
	m.reason = wire_get_str(w);
	if (!wire_ok(w) || q > LIST_CORRUPT) {
		return -1;
	}
	listing_message(l, &m);
	return 1;
}

int listing_take(struct listing *l, struct wire *w, bool *denied_r)
{
	const char *address, *reason;

	switch (wire_get_int(w)) {
	case LIST_MESSAGE:
		return take_message(l, w);
	case LIST_RECIPIENT:
		address = wire_get_str(w);
		reason = wire_get_str(w);
		if (!wire_ok(w) || !l->open) {
			return -1;
		}
		add_recipient(l, address, reason);
		return 1;
	case LIST_END:
		return wire_ok(w) ? 0 : -1;
	case LIST_DENIED:
		*denied_r = true;
		break;
	}
	return -1;
}

void listing_end(struct listing *l)
{
	close_message(l);
	if (l->json) {
		return;
	}
	if (l->count == 0) {
		buf_adds(l->out, "Mail queue is empty\n");
	} else {
		buf_addf(l->out, "-- %lld Kbytes in %lld Request%s.\n",
			(long long)(l->bytes / 1024), (long long)l->count,
			l->count == 1 ? "" : "s");
	}
}

void listing_free(struct listing *l)
{
	buf_free(&l->reason);
}
