/*
 * dsn - notices to the sender about what became of a message
 *
 *	headers
 *	--boundary	text: what happened, recipient by recipient
 *	--boundary	message/delivery-status: the same for programs
 *	--boundary	message/rfc822 or text/rfc822-headers
 *	--boundary--
 *
 * RFC 3464 (the report's fields), RFC 6522 (multipart/report), RFC 3834 5
 * (Auto-Submitted), RFC 6533 (internationalised forms), RFC 3461 6 (which kinds there are).
 */
#include "message/dsn.h"

#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include "base/date.h"
#include "base/encode.h"
#include "base/str.h"
#include "base/utf8.h"
#include "conf/params.h"
#include "mime/address.h"
#include "address/lookup.h"
#include "message/dsn_template.h"

#define FROM "MAILER-DAEMON (Mail Delivery System)"

enum {
	TEXT_COLUMNS = 76,
	LINE_BYTES = 998, /* RFC 5322 2.1.1 */
	WORD_BYTES = 900, /* of one word in a line, so that its indent fits too */
	HEADERS_MAX = 100000
};

/* What differs between the kinds. */
static const struct kind_texts {
	const char *name, *action, *part;
	struct dsn_template words; /* from: as in bounce(5), completed when it is written */
} kinds[] = {
	[DSN_KIND_FAILURE] = { "failure_template", "failed", "Undelivered Message",
		{ .charset = "us-ascii",
			.from = FROM,
			.subject = "Undelivered Mail Returned to Sender",
			.postmaster_subject = "Postmaster Copy: Undelivered Mail",
			.text = "Your message could not be delivered to the recipients below. It "
				"is\n"
				"attached, whole or in part; it will not be tried again.\n\n"
				"Should you need help, send mail to <postmaster> and add this "
				"report.\n" } },
	[DSN_KIND_DELAY] = { "delay_template", "delayed", "Delayed Message",
		{ .charset = "us-ascii",
			.from = FROM,
			.subject = "Delayed Mail (still being retried)",
			.postmaster_subject = "Postmaster Warning: Delayed Mail",
			.text = "THIS IS ONLY A WARNING. YOU NEED NOT SEND YOUR MESSAGE AGAIN.\n\n"
				"Your message could not be delivered so far to the recipients "
				"below.\n" } },
	[DSN_KIND_SUCCESS] = { "success_template", "delivered", "Message",
		{ .charset = "us-ascii",
			.from = FROM,
			.subject = "Successful Mail Delivery Report",
			.postmaster_subject = "Postmaster Copy: Successful Mail Delivery",
			.text = "You asked for a report: your message was delivered to the "
				"recipients\n"
				"below. Where it says relayed or expanded, what happens further on "
				"is\nnot known here.\n" } },
	[DSN_KIND_VERIFY] = { "verify_template", "deliverable", "Message",
		{ .charset = "us-ascii",
			.from = FROM,
			.subject = "Mail Delivery Status Report",
			.postmaster_subject = "Postmaster Copy: Mail Delivery Status Report",
			.text = "This is the report about the delivery to the recipients below "
				"that\n"
				"you asked for.\n" } },
};

/* The notice being written. */
struct notice {
	const struct dsn_message *m;
	const struct kind_texts *kind;
	struct arena arena;
	struct dsn_template words;
	bool own_words; /* of bounce_template_file */
	struct buf out;
	char boundary[128];
	bool eight_bit;     /* in addresses and reasons */
	struct buf content; /* what is returned */
	bool full, unreadable, content_eight_bit;
};

static bool has_eight_bit(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)data[i] >= 0x80) {
			return true;
		}
	}
	return false;
}

static bool text_eight_bit(const char *text)
{
	return has_eight_bit(text, strlen(text));
}

/* notice_eight_bit - does what is said of the message and its recipients need 8 bits? */
static bool notice_eight_bit(const struct dsn_message *m)
{
	bool is = text_eight_bit(m->envid) || text_eight_bit(m->sender);

	for (size_t i = 0; i < m->recipient_count && !is; i++) {
		const struct dsn_recipient *r = &m->recipients[i];

		is = text_eight_bit(r->address) || text_eight_bit(r->original) ||
			text_eight_bit(r->orcpt) || text_eight_bit(r->remote_mta) ||
			text_eight_bit(r->text) || text_eight_bit(r->diagnostic);
	}
	return is;
}

/* header_end - length of the headers with the blank line; len when there is none */
static size_t header_end(const char *data, size_t len)
{
	const char *p;

	if (len > 0 && data[0] == '\n') {
		return 1;
	}
	p = memmem(data, len, "\n\n", 2);
	return p != NULL ? (size_t)(p - data) + 2 : len;
}

/* load_content - what is to be returned, in memory: bounce_size_limit bounds it */
static void load_content(struct notice *n)
{
	int64_t limit = param.bounce_size_limit, got;
	size_t end;

	n->full = n->m->full && n->m->size <= limit;
	limit = n->full || limit < HEADERS_MAX ? limit : HEADERS_MAX;
	do {
		got = n->m->read(n->m->read_arg, (int64_t)n->content.len,
			buf_reserve(&n->content, 16384), 16384);
		if (got < 0) {
			n->unreadable = true;
			buf_reset(&n->content);
			return;
		}
		buf_added(&n->content, (size_t)got);
		end = header_end(buf_str(&n->content), n->content.len);
	} while (
		got > 0 && (n->full || (end == n->content.len && (int64_t)n->content.len < limit)));
	if (!n->full) {
		if (end < n->content.len) {
			buf_truncate(&n->content, end);
		}
		if ((int64_t)n->content.len > limit) {
			buf_truncate(&n->content, (size_t)limit);
		}
	}
	n->content_eight_bit = has_eight_bit(n->content.data, n->content.len);
}

/* add_bytes - a text of others in one line: control bytes become blanks, what is no UTF-8 '?' */
static void add_bytes(struct buf *out, struct slice text)
{
	size_t size;

	for (size_t i = 0; i < text.len; i += size) {
		int32_t code = utf8_get(text.ptr + i, text.len - i, &size);

		if (code < 0) {
			buf_addc(out, '?');
		} else if (code < 0x20 || code == 0x7f) {
			buf_addc(out, ' ');
		} else {
			buf_add(out, text.ptr + i, size);
		}
	}
}

static void add_clean(struct buf *out, const char *text)
{
	add_bytes(out, slice_of(text));
}

/* cut_word - the beginning of *word that a line may hold, between two characters */
static struct slice cut_word(struct slice *word)
{
	struct slice cut = *word;

	if (cut.len > WORD_BYTES) {
		cut.len = WORD_BYTES;
		for (int i = 0; i < 3 && ((unsigned char)cut.ptr[cut.len] & 0xc0) == 0x80; i++) {
			cut.len--;
		}
	}
	*word = (struct slice){ word->ptr + cut.len, word->len - cut.len };
	return cut;
}

/*
 * add_folded - words of text in lines of TEXT_COLUMNS, each further one begins with indent; one
 * that is longer than a line may be is cut
 */
static void add_folded(struct buf *out, size_t column, const char *text, const char *indent)
{
	struct slice rest = slice_of(text), word;
	size_t columns = LINE_BYTES; /* the first word stands behind what is there, if it fits */

	while ((word = slice_word(&rest, " \t\r\n")).ptr != NULL) {
		while (word.len > 0) {
			struct slice cut = cut_word(&word);

			if (column + 1 + cut.len > columns) {
				buf_addf(out, "\n%s", indent);
				column = strlen(indent);
			} else if (columns == TEXT_COLUMNS) {
				buf_addc(out, ' ');
				column++;
			}
			add_bytes(out, cut);
			column += cut.len;
			columns = TEXT_COLUMNS;
		}
	}
	buf_addc(out, '\n');
}

static void add_field(struct buf *out, const char *name, const char *type, const char *value)
{
	buf_addf(out, "%s: %s", name, type);
	add_clean(out, value);
	buf_addc(out, '\n');
}

/*
 * add_from - an address with a name or a comment, as bounce(5) has it: the name goes first, and
 * what has no domain gets myorigin, as in every header written here
 */
static void add_from(struct notice *n)
{
	const struct mime_address *m = mime_addresses(&n->arena, slice_of(n->words.from));
	struct buf *out = &n->out;

	if (m == NULL || m->mailbox == NULL) {
		buf_adds(out, "From: ");
		add_clean(out, n->words.from);
		buf_addc(out, '\n');
		return;
	}
	buf_adds(out, "From: ");
	if (m->name != NULL && *m->name != '\0') {
		add_clean(out, m->name);
		buf_addc(out, ' ');
	}
	buf_addc(out, '<');
	add_clean(out, m->mailbox);
	buf_addc(out, '@');
	add_clean(out, m->domain != NULL && *m->domain != '\0' ? m->domain : param.myorigin);
	buf_adds(out, ">\n");
}

static void add_headers(struct notice *n)
{
	struct buf *out = &n->out;
	char date[DATE_SIZE];
	struct timeval now;
	struct tm tm;

	gettimeofday(&now, NULL);
	gmtime_r(&now.tv_sec, &tm);
	date_rfc5322(date, now.tv_sec, true);
	snprintf(n->boundary, sizeof(n->boundary), "%.30s.%lld%06ld/%.60s", n->m->queue_id,
		(long long)now.tv_sec, (long)now.tv_usec, param.myhostname);
	buf_addf(out, "Date: %s\n", date);
	add_from(n);
	buf_addf(out, "Subject: %s\nTo: ",
		n->m->postmaster ? n->words.postmaster_subject : n->words.subject);
	add_clean(out, n->m->to);
	buf_addf(out,
		"\nAuto-Submitted: auto-%s\nMIME-Version: 1.0\n"
		"Content-Type: multipart/report; report-type=%sdelivery-status;\n"
		"\tboundary=\"%s\"\n",
		n->m->postmaster ? "generated" : "replied", n->m->smtputf8 ? "global-" : "",
		n->boundary);
	if (n->eight_bit || n->content_eight_bit || !str_ieq(n->words.charset, "us-ascii")) {
		buf_adds(out, "Content-Transfer-Encoding: 8bit\n");
	}
	buf_addf(out, "Message-Id: <%04d%02d%02d%02d%02d%02d.%06ld.%s@%s>\n\n", tm.tm_year + 1900,
		tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (long)now.tv_usec,
		n->m->queue_id, param.myhostname);
	buf_adds(out, "This is a MIME-encapsulated message.\n\n");
}

static void begin_part(struct notice *n, const char *description, const char *type, bool eight_bit)
{
	buf_addf(&n->out, "--%s\nContent-Description: %s\nContent-Type: %s\n", n->boundary,
		description, type);
	if (eight_bit) {
		buf_adds(&n->out, "Content-Transfer-Encoding: 8bit\n");
	}
	buf_addc(&n->out, '\n');
}

/* add_intro - what has happened, to whoever does not know this system */
static void add_intro(struct notice *n)
{
	struct buf *out = &n->out;
	char date[DATE_SIZE];

	if (n->m->postmaster) {
		return;
	}
	if (n->own_words) {
		buf_adds(out, n->words.text);
		return;
	}
	buf_addf(out, "This is the mail system at host %s.\n\n%s", param.myhostname, n->words.text);
	if (n->m->kind == DSN_KIND_DELAY && n->m->last_try > 0) {
		date_rfc5322(date, n->m->last_try, false);
		buf_addf(out, "It will be tried until %s.\n", date);
	}
}

/* add_words - the part for people */
static void add_words(struct notice *n)
{
	bool more = n->eight_bit || !str_ieq(n->words.charset, "us-ascii");
	struct buf *out = &n->out;
	char type[200];

	snprintf(type, sizeof(type), "text/plain; charset=%.100s",
		n->eight_bit && str_ieq(n->words.charset, "us-ascii") ? "utf-8" : n->words.charset);
	begin_part(n, "Notification", type, more);
	add_intro(n);
	for (size_t i = 0; i < n->m->recipient_count; i++) {
		const struct dsn_recipient *r = &n->m->recipients[i];
		size_t start;

		buf_addc(out, '\n');
		start = out->len;
		buf_addc(out, '<');
		add_clean(out, r->address);
		buf_addc(out, '>');
		if (r->original[0] != '\0' && !str_ieq(r->original, r->address)) {
			buf_adds(out, " (expanded from <");
			add_clean(out, r->original);
			buf_adds(out, ">)");
		}
		buf_adds(out, ": ");
		add_folded(out, out->len - start, r->text, "    ");
	}
	buf_addc(out, '\n');
}

/* add_original - Original-Recipient: what the sender's host called it, else how it came in */
static void add_original(struct notice *n, const struct dsn_recipient *r, const char *type)
{
	if (r->orcpt[0] != '\0') {
		const char *semi = strchr(r->orcpt, ';');
		struct buf xtext = BUF_INIT;

		/* RFC 3464 2.3.1: as it came, in xtext form where it is not plain */
		buf_add(&n->out, "Original-Recipient: ", 20);
		if (semi != NULL) {
			add_bytes(
				&n->out, (struct slice){ r->orcpt, (size_t)(semi + 1 - r->orcpt) });
			if (n->m->smtputf8) {
				add_clean(&n->out, semi + 1);
			} else {
				xtext_encode(&xtext, semi + 1);
				buf_adds(&n->out, buf_str(&xtext));
			}
		} else {
			buf_addf(&n->out, "%.*s", (int)strcspn(type, " "), type);
			add_clean(&n->out, r->orcpt);
		}
		buf_addc(&n->out, '\n');
		buf_free(&xtext);
	} else {
		const char *original = r->original[0] != '\0' ? r->original : r->address;

		/* A local program may have given a name alone. */
		buf_addf(&n->out, "Original-Recipient: %.*s", (int)strcspn(type, " "), type);
		add_clean(&n->out, original);
		if (address_at(original) == NULL) {
			buf_addf(&n->out, "@%s", param.myorigin);
		}
		buf_addc(&n->out, '\n');
	}
}

/* add_code_type - an atom and nothing else: it came from another process */
static void add_code_type(struct buf *out, const char *type)
{
	buf_adds(out, "Diagnostic-Code: ");
	for (; *type != '\0'; type++) {
		buf_addc(out, *type > ' ' && *type < 0x7f && *type != ';' ? *type : '-');
	}
	buf_adds(out, "; ");
}

static void add_recipient_fields(struct notice *n, const struct dsn_recipient *r)
{
	const char *type = n->m->smtputf8 && text_eight_bit(r->address) ? "utf-8; " : "rfc822; ";
	struct buf *out = &n->out;
	char date[DATE_SIZE];

	add_field(out, "Final-Recipient", type, r->address);
	add_original(n, r, type);
	buf_addf(out, "Action: %s\n", r->action[0] != '\0' ? r->action : n->kind->action);
	add_field(out, "Status", "", r->status);
	if (r->remote_mta[0] != '\0') {
		add_field(out, "Remote-MTA", "dns; ", r->remote_mta);
	}
	if (r->diagnostic[0] != '\0') {
		const char *by = *r->diagnostic_type != '\0' ? r->diagnostic_type : "smtp";

		add_code_type(out, by);
		add_folded(out, 19 + strlen(by), r->diagnostic, "    ");
	} else {
		buf_addf(out, "Diagnostic-Code: X-%s; ", param.mail_name);
		add_folded(out, 21 + strlen(param.mail_name), r->text, "    ");
	}
	if (n->m->kind == DSN_KIND_DELAY && n->m->last_try > 0) {
		date_rfc5322(date, n->m->last_try, false);
		buf_addf(out, "Will-Retry-Until: %s\n", date);
	}
}

/* add_sender - of the original; nobody is called by the name of what writes notices */
static void add_sender(struct notice *n)
{
	if (n->m->sender[0] != '\0') {
		add_clean(&n->out, n->m->sender);
	} else {
		buf_addf(&n->out, "MAILER-DAEMON@%s", param.myhostname);
	}
}

/* add_report - the part for programs */
static void add_report(struct notice *n)
{
	const struct dsn_message *m = n->m;
	struct buf *out = &n->out;
	char date[DATE_SIZE];

	begin_part(n, "Delivery report",
		m->smtputf8 ? "message/global-delivery-status" : "message/delivery-status",
		n->eight_bit);
	add_field(out, "Reporting-MTA", "dns; ", param.myhostname);
	if (m->envid[0] != '\0') {
		add_field(out, "Original-Envelope-Id", "", m->envid);
	}
	buf_addf(out, "X-%s-Queue-ID: %s\n", param.mail_name, m->queue_id);
	buf_addf(out, "X-%s-Sender: rfc822; ", param.mail_name);
	add_sender(n);
	date_rfc5322(date, m->arrival, true);
	buf_addf(out, "\nArrival-Date: %s\n", date);
	for (size_t i = 0; i < m->recipient_count; i++) {
		buf_addc(out, '\n');
		add_recipient_fields(n, &m->recipients[i]);
	}
	buf_addc(out, '\n');
}

/* add_content - the part with the message or its headers */
static void add_content(struct notice *n)
{
	struct buf *out = &n->out;
	char description[80];

	if (n->unreadable) {
		begin_part(n, "Message", "text/plain; charset=us-ascii", false);
		buf_adds(out, "The message itself cannot be read at the moment.\n\n");
	} else {
		snprintf(description, sizeof(description), "%s%s", n->kind->part,
			n->full ? "" : " Headers");
		begin_part(n, description,
			n->full ? n->m->smtputf8 ? "message/global" : "message/rfc822"
				: n->m->smtputf8 ? "message/global-headers"
						 : "text/rfc822-headers",
			n->content_eight_bit || text_eight_bit(n->m->sender));
		buf_adds(out, "Return-Path: <");
		add_sender(n);
		buf_adds(out, ">\n");
		buf_add(out, n->content.data, n->content.len);
		if (n->content.len == 0 || n->content.data[n->content.len - 1] != '\n') {
			buf_addc(out, '\n');
		}
		buf_addc(out, '\n');
	}
	buf_addf(out, "--%s--\n", n->boundary);
}

int dsn_write(
	const struct dsn_message *m, int (*put)(void *arg, const void *data, size_t len), void *arg)
{
	struct notice n = { .m = m, .kind = &kinds[m->kind], .arena = ARENA_INIT };
	int rc;

	n.words = n.kind->words;
	dsn_template_load(&n.arena, n.kind->name, &n.words);
	n.own_words = n.words.text != n.kind->words.text;
	n.eight_bit = notice_eight_bit(m);
	load_content(&n);
	add_headers(&n);
	add_words(&n);
	add_report(&n);
	add_content(&n);
	rc = put(arg, buf_str(&n.out), n.out.len);
	buf_free(&n.out);
	buf_free(&n.content);
	arena_free(&n.arena);
	return rc;
}
