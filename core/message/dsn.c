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
#include "address/lookup.h"

enum {
	TEXT_COLUMNS = 76,
	LINE_BYTES = 998, /* RFC 5322 2.1.1 */
	WORD_BYTES = 900, /* of one word in a line, so that its indent fits too */
	HEADERS_MAX = 100000
};

/* What differs between the kinds. */
static const struct kind_texts {
	const char *subject, *action, *part;
	const char *intro;
} kinds[] = {
	[DSN_KIND_FAILURE] = { "Undelivered Mail Returned to Sender", "failed",
		"Undelivered Message",
		"Your message could not be delivered to the recipients below. It is\n"
		"attached, whole or in part; it will not be tried again.\n\n"
		"Should you need help, send mail to <postmaster> and add this report.\n" },
	[DSN_KIND_DELAY] = { "Delayed Mail (still being retried)", "delayed", "Delayed Message",
		"THIS IS ONLY A WARNING. YOU NEED NOT SEND YOUR MESSAGE AGAIN.\n\n"
		"Your message could not be delivered so far to the recipients below.\n" },
	[DSN_KIND_SUCCESS] = { "Successful Mail Delivery Report", "delivered", "Delivered Message",
		"You asked for a report: your message was delivered to the recipients\n"
		"below. Where it says relayed or expanded, what happens further on is\n"
		"not known here.\n" },
};

/* The notice being written. */
struct notice {
	const struct dsn_message *m;
	const struct kind_texts *kind;
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
	buf_addf(out, "Date: %s\nFrom: MAILER-DAEMON@%s (Mail Delivery System)\nSubject: %s\n",
		date, param.myhostname, n->kind->subject);
	buf_adds(out, "To: ");
	add_clean(out, n->m->to);
	buf_addf(out,
		"\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
		"Content-Type: multipart/report; report-type=%sdelivery-status;\n"
		"\tboundary=\"%s\"\n",
		n->m->smtputf8 ? "global-" : "", n->boundary);
	if (n->eight_bit || n->content_eight_bit) {
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

/* add_words - the part for people */
static void add_words(struct notice *n)
{
	struct buf *out = &n->out;
	char date[DATE_SIZE];

	begin_part(n, "Notification",
		n->eight_bit ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii",
		n->eight_bit);
	buf_addf(
		out, "This is the mail system at host %s.\n\n%s", param.myhostname, n->kind->intro);
	if (n->m->kind == DSN_KIND_DELAY && n->m->last_try > 0) {
		date_rfc5322(date, n->m->last_try, false);
		buf_addf(out, "It will be tried until %s.\n", date);
	}
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
			buf_addf(&n->out, "%s", type);
			add_clean(&n->out, r->orcpt);
		}
		buf_addc(&n->out, '\n');
		buf_free(&xtext);
	} else if (r->original[0] != '\0') {
		/* A local program may have given a name alone. */
		buf_addf(&n->out, "Original-Recipient: %s", type);
		add_clean(&n->out, r->original);
		if (address_at(r->original) == NULL) {
			buf_addf(&n->out, "@%s", param.myorigin);
		}
		buf_addc(&n->out, '\n');
	}
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
		buf_adds(out, "Diagnostic-Code: smtp; ");
		add_folded(out, 23, r->diagnostic, "    ");
	} else {
		buf_addf(out, "Diagnostic-Code: X-%s; ", param.mail_name);
		add_folded(out, 21 + strlen(param.mail_name), r->text, "    ");
	}
	if (n->m->kind == DSN_KIND_DELAY && n->m->last_try > 0) {
		date_rfc5322(date, n->m->last_try, false);
		buf_addf(out, "Will-Retry-Until: %s\n", date);
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
	add_clean(out, m->sender);
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
			n->content_eight_bit);
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
	struct notice n = { .m = m, .kind = &kinds[m->kind] };
	int rc;

	n.eight_bit = notice_eight_bit(m);
	load_content(&n);
	add_headers(&n);
	add_words(&n);
	add_report(&n);
	add_content(&n);
	rc = put(arg, buf_str(&n.out), n.out.len);
	buf_free(&n.out);
	buf_free(&n.content);
	return rc;
}
