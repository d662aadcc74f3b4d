/*
 * fuzz_dsn - notices to senders about hostile mail
 *
 * The input: a byte of flags, then in parts divided by "%%": what is known of the message
 * (envelope id, sender, whom to), the recipients, and the message itself. The fields of
 * the first two are divided by '|', so that they may hold line ends.
 */
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/mem.h"
#include "conf/params.h"
#include "mime/charset.h"
#include "mime/part.h"
#include "message/dsn.h"
#include "fuzz.h"

enum {
	F_KIND = 3, /* flags: two bits, a kind */
	F_FULL = 4,
	F_SMTPUTF8 = 8,
	F_UNREADABLE = 16,
	F_SIZE = 32,  /* the queue has another size than the content has */
	F_LATER = 64, /* there will be another try */
	RECIPIENTS = 8,
	ADDRESS_BYTES = 320, /* RFC 5321 4.5.3.1: 64 @ 255 */
	LINE_BYTES = 998     /* RFC 5322 2.1.1 */
};

/* The message that the notice is about. */
struct original {
	struct slice content;
	bool unreadable;
	char *fields[3]; /* envelope id, sender, whom to */
	char *texts[RECIPIENTS][7];
	struct dsn_recipient recipients[RECIPIENTS];
	struct dsn_message m;
};

static void configure(void)
{
	char *error = NULL;

	(void)conf_override("compatibility_level=3.6");
	(void)conf_override("myhostname=mx.example");
	(void)conf_override("bounce_size_limit=2000");
	REQUIRE(conf_load("/nonexistent", true, &error) == 0);
}

/* take_field - up to the next '|', at most max bytes and none of them a NUL; "" at the end */
static char *take_field(struct slice *rest, size_t max)
{
	const char *bar = rest->len > 0 ? memchr(rest->ptr, '|', rest->len) : NULL;
	size_t len = bar != NULL ? (size_t)(bar - rest->ptr) : rest->len;
	char *text = mem_strndup(rest->ptr, len < max ? len : max);

	rest->ptr += len + (bar != NULL);
	rest->len -= len + (bar != NULL);
	return text;
}

static void take_recipient(struct original *o, struct slice *rest)
{
	/* What is written here are words of ours. */
	static const char *const actions[] = { "", "failed", "delayed", "relayed" };
	size_t i = o->m.recipient_count++;
	char **t = o->texts[i];

	for (size_t n = 0; n < ARRAY_LEN(o->texts[0]); n++) {
		t[n] = take_field(rest, n < 4 ? ADDRESS_BYTES : 20000);
	}
	o->recipients[i] = (struct dsn_recipient){ .address = t[0],
		.original = t[1],
		.orcpt = t[2],
		.remote_mta = t[3],
		.text = t[4],
		.diagnostic = t[5],
		.diagnostic_type = t[6],
		.action = actions[strlen(t[4]) % ARRAY_LEN(actions)],
		.status = "5.0.0" };
}

static int64_t read_content(void *arg, int64_t offset, void *data, size_t len)
{
	const struct original *o = arg;
	size_t left = o->content.len - (size_t)offset;

	if (o->unreadable) {
		return -1;
	}
	len = len < left ? len : left;
	len = len > 700 ? 700 : len; /* pieces */
	memcpy(data, o->content.ptr + offset, len);
	return (int64_t)len;
}

static void take_original(struct original *o, unsigned flags, struct slice rest)
{
	struct slice known = fuzz_part(&rest), recipients = fuzz_part(&rest);

	for (size_t i = 0; i < ARRAY_LEN(o->fields); i++) {
		o->fields[i] = take_field(&known, ADDRESS_BYTES);
	}
	o->content = rest;
	o->unreadable = (flags & F_UNREADABLE) != 0;
	o->m = (struct dsn_message){
		.kind = (enum dsn_kind)(flags & F_KIND),
		.queue_id = "4A1B2C3D4E",
		.envid = o->fields[0],
		.sender = o->fields[1],
		.to = o->fields[2],
		.arrival = 1700000000,
		.last_try = flags & F_LATER ? 1700400000 : 0,
		.full = (flags & F_FULL) != 0,
		.smtputf8 = (flags & F_SMTPUTF8) != 0,
		.size = (int64_t)rest.len + (flags & F_SIZE ? 1 : 0),
		.recipients = o->recipients,
		.read = read_content,
		.read_arg = o,
	};
	do {
		take_recipient(o, &recipients);
	} while (recipients.len > 0 && o->m.recipient_count < RECIPIENTS);
}

static void free_original(struct original *o)
{
	for (size_t i = 0; i < ARRAY_LEN(o->fields); i++) {
		mem_free(o->fields[i]);
	}
	for (size_t i = 0; i < o->m.recipient_count; i++) {
		for (size_t n = 0; n < ARRAY_LEN(o->texts[0]); n++) {
			mem_free(o->texts[i][n]);
		}
	}
}

static int put(void *arg, const void *data, size_t len)
{
	buf_add(arg, data, len);
	return 0;
}

/* ---- What a notice must be ---- */

static bool eight_bit(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] >= 0x80) {
			return true;
		}
	}
	return false;
}

/* check_lines - what we write ourselves: lines of text that are not too long */
static void check_lines(struct slice s)
{
	size_t column = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		column = c == '\n' ? 0 : column + 1;
		REQUIRE(column <= LINE_BYTES);
		REQUIRE(c >= 0x20 || c == '\n' || c == '\t');
		REQUIRE(c != 0x7f);
	}
}

/* check_fields - exactly these fields, of which those after '?' may be missing */
static void check_fields(struct slice header, const char *const *names, size_t count)
{
	struct mime_field f;

	while (mime_field_next(&header, &f)) {
		while (count > 0 && names[0][0] == '?' && !slice_ieq(f.name, names[0] + 1)) {
			names++;
			count--;
		}
		REQUIRE(count > 0 && slice_ieq(f.name, names[0] + (names[0][0] == '?')));
		names++;
		count--;
	}
	while (count > 0 && names[0][0] == '?') {
		names++;
		count--;
	}
	REQUIRE(count == 0);
	REQUIRE(header.len <= 1); /* the blank line */
}

/* check_report - message/delivery-status: a group for the message, one for each recipient */
static void check_report(struct slice body, const struct dsn_message *m)
{
	static const char *const message[] = { "Reporting-MTA", "?Original-Envelope-Id",
		"X-Postfix-Queue-ID", "X-Postfix-Sender", "Arrival-Date" };
	static const char *const recipient[] = { "Final-Recipient", "Original-Recipient", "Action",
		"Status", "?Remote-MTA", "Diagnostic-Code", "?Will-Retry-Until" };
	size_t groups = 0;

	while (body.len > 0) {
		const char *end = memmem(body.ptr, body.len, "\n\n", 2);
		struct slice group = body;

		if (end != NULL) {
			group.len = (size_t)(end + 1 - body.ptr);
		}
		check_fields(group, groups == 0 ? message : recipient,
			groups == 0 ? ARRAY_LEN(message) : ARRAY_LEN(recipient));
		groups++;
		group.len += end != NULL;
		body = (struct slice){ body.ptr + group.len, body.len - group.len };
	}
	REQUIRE(groups == 1 + m->recipient_count);
}

/* check_returned - the message itself, its headers, or why neither */
static void check_returned(struct slice body, const struct original *o, bool whole)
{
	struct slice want = o->content;
	const char *end = want.len > 0 ? memmem(want.ptr, want.len, "\n\n", 2) : NULL, *at;

	if (o->unreadable) {
		REQUIRE(memmem(body.ptr, body.len, "cannot be read", 14) != NULL);
		return;
	}
	if (!whole) {
		if (want.len > 0 && want.ptr[0] == '\n') {
			want.len = 1;
		} else if (end != NULL) {
			want.len = (size_t)(end + 2 - want.ptr);
		}
		if (want.len > (size_t)param.bounce_size_limit) {
			want.len = (size_t)param.bounce_size_limit;
		}
	}
	REQUIRE(body.len > 12 && memcmp(body.ptr, "Return-Path:", 12) == 0);
	at = memchr(body.ptr, '\n', body.len);
	REQUIRE(at != NULL);
	body = (struct slice){ at + 1, body.len - (size_t)(at + 1 - body.ptr) };
	REQUIRE(body.len >= want.len && memcmp(body.ptr, want.ptr, want.len) == 0);
	/* A line end that was missing; one more belongs to the boundary. */
	REQUIRE(body.len - want.len <= 2);
	for (size_t i = want.len; i < body.len; i++) {
		REQUIRE(body.ptr[i] == '\n');
	}
}

static struct slice body_of(const struct buf *b, const struct mime_part *p)
{
	return (struct slice){ b->data + p->body.raw, (size_t)(p->end.raw - p->body.raw) };
}

static struct slice head_of(const struct buf *b, const struct mime_part *p)
{
	return (struct slice){ b->data + p->head.raw, (size_t)(p->body.raw - p->head.raw) };
}

static void check_parts(const struct buf *b, const struct mime_part *root, const struct original *o)
{
	const struct mime_part *words = root->child, *report, *returned;
	bool whole = o->m.full && o->m.size <= param.bounce_size_limit;
	bool global = o->m.smtputf8;

	REQUIRE(mime_part_is(root, "multipart", "report") && words != NULL);
	report = words->next;
	REQUIRE(report != NULL);
	returned = report->next;
	REQUIRE(returned != NULL && returned->next == NULL);
	REQUIRE(mime_part_is(words, "text", "plain"));
	REQUIRE(mime_part_is(
		report, "message", global ? "global-delivery-status" : "delivery-status"));
	if (!o->unreadable) {
		REQUIRE(mime_part_is(returned, whole || global ? "message" : "text",
			whole            ? global ? "global" : "rfc822"
				: global ? "global-headers"
					 : "rfc822-headers"));
	}
	for (const struct mime_part *p = words; p != NULL; p = p->next) {
		REQUIRE(!eight_bit(body_of(b, p)) || p->encoding == MIME_8BIT);
		REQUIRE(p->encoding != MIME_8BIT || root->encoding == MIME_8BIT);
		check_lines(head_of(b, p));
	}
	check_lines(body_of(b, words));
	check_lines(body_of(b, report));
	REQUIRE(utf8_valid(body_of(b, words).ptr, body_of(b, words).len));
	check_report(body_of(b, report), &o->m);
	check_returned(body_of(b, returned), o, whole);
}

static void check_notice(const struct buf *b, const struct original *o)
{
	static const char *const names[] = { "Date", "From", "Subject", "To", "Auto-Submitted",
		"MIME-Version", "Content-Type", "?Content-Transfer-Encoding", "Message-Id" };
	struct arena a = ARENA_INIT;
	struct mime_source source;
	const struct mime_part *root;

	mime_source_memory(&source, b->data, b->len);
	root = mime_parse(&a, &source);
	check_lines(head_of(b, root));
	check_fields(head_of(b, root), names, ARRAY_LEN(names));
	check_parts(b, root, o);
	mime_source_free(&source);
	arena_free(&a);
}

void fuzz(const char *data, size_t len)
{
	static bool configured;
	struct original o = { .unreadable = false };
	struct buf out = BUF_INIT;

	if (!configured) {
		configure();
	}
	configured = true;
	if (len == 0) {
		return;
	}
	take_original(&o, (unsigned char)data[0], (struct slice){ data + 1, len - 1 });
	REQUIRE(dsn_write(&o.m, put, &out) == 0);
	check_notice(&out, &o);
	free_original(&o);
	buf_free(&out);
}
