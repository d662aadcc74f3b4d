/*
 * cleanup - new messages made fit for the queue
 *
 * The filter keeps one logical header (a field with its folded lines) and
 * decides about it when the next one begins, so memory is bounded whatever
 * comes, and what need not change leaves as it came, byte for byte. A header
 * longer than header_size_limit is let through without a look.
 *
 * A first line that is no header means that there are none: the message gets
 * the missing headers, a blank line, and all of it is body. The addresses of
 * headers are completed in cleanup_header.c.
 *
 * RFC 5321 4.4 and 6.3 (trace, loops), RFC 5322 3.6 (which headers, Resent-),
 * RFC 6409 8 (what a submission server may add).
 */
#include "message/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/date.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "message/cleanup_header.h"

enum cleanup_state {
	STATE_START, /* nothing came yet */
	STATE_HEADER,
	STATE_LONG_HEADER, /* inside a header above header_size_limit, which passes */
	STATE_BODY
};

/* Headers that were seen, one bit each. */
enum {
	SEEN_FROM = 1,
	SEEN_DATE = 2,
	SEEN_MESSAGE_ID = 4,
	SEEN_RECIPIENT = 8,
	SEEN_RESENT = 16,
	SEEN_RESENT_FROM = 32,
	SEEN_RESENT_DATE = 64,
	SEEN_RESENT_MESSAGE_ID = 128
};

struct cleanup {
	struct cleanup_config config;
	enum cleanup_state state;
	enum cleanup_status status;
	/* the logical header being read; complete lines and the start of the next */
	struct buf header;
	size_t line;  /* where the line being read begins in header */
	bool at_line; /* the next byte begins a line (STATE_LONG_HEADER) */
	unsigned seen;
	unsigned drop;    /* bit n: row n of headers[] is in message_drop_headers */
	bool any_header;  /* one of the message itself went by */
	bool drop_others; /* names that are no row are there too */
	int hops;
	char *message_id;
};

enum header_kind { KIND_PLAIN, KIND_SENDER, KIND_RECIPIENT, KIND_HOP, KIND_ID };

/* What is known about a header by name. */
static const struct header_row {
	const char *name;
	enum header_kind kind;
	unsigned seen;
} headers[] = {
	{ "From", KIND_SENDER, SEEN_FROM },
	{ "To", KIND_RECIPIENT, SEEN_RECIPIENT },
	{ "Received", KIND_HOP, 0 },
	{ "Date", KIND_PLAIN, SEEN_DATE },
	{ "Message-ID", KIND_ID, SEEN_MESSAGE_ID },
	{ "Cc", KIND_RECIPIENT, SEEN_RECIPIENT },
	{ "Bcc", KIND_RECIPIENT, SEEN_RECIPIENT },
	{ "Sender", KIND_SENDER, 0 },
	{ "Reply-To", KIND_SENDER, 0 },
	{ "Return-Path", KIND_PLAIN, 0 },
	{ "Errors-To", KIND_SENDER, 0 },
	{ "Mail-Followup-To", KIND_SENDER, 0 },
	{ "Return-Receipt-To", KIND_SENDER, 0 },
	{ "Disposition-Notification-To", KIND_SENDER, 0 },
	{ "Apparently-To", KIND_RECIPIENT, 0 },
	{ "Content-Length", KIND_PLAIN, 0 },
	{ "Resent-From", KIND_SENDER, SEEN_RESENT | SEEN_RESENT_FROM },
	{ "Resent-Sender", KIND_SENDER, SEEN_RESENT },
	{ "Resent-Reply-To", KIND_SENDER, SEEN_RESENT },
	{ "Resent-To", KIND_RECIPIENT, SEEN_RESENT | SEEN_RECIPIENT },
	{ "Resent-Cc", KIND_RECIPIENT, SEEN_RESENT | SEEN_RECIPIENT },
	{ "Resent-Bcc", KIND_RECIPIENT, SEEN_RESENT | SEEN_RECIPIENT },
	{ "Resent-Date", KIND_PLAIN, SEEN_RESENT | SEEN_RESENT_DATE },
	{ "Resent-Message-ID", KIND_ID, SEEN_RESENT | SEEN_RESENT_MESSAGE_ID },
};

/* put - content out, unless something failed before */
static void put(struct cleanup *c, const char *data, size_t len)
{
	if (len > 0 && c->status != CLEANUP_WRITE && c->config.put(c->config.arg, data, len) != 0) {
		c->status = CLEANUP_WRITE;
	}
}

/*
 * put_text - content out with stray CRs as blanks (cleanup_replace_stray_cr_lf):
 * nothing that stays can look like a line end to the next host
 */
static void put_text(struct cleanup *c, const char *data, size_t len)
{
	const char *cr;

	while (param.cleanup_replace_stray_cr_lf && len > 0) {
		cr = memchr(data, '\r', len);
		if (cr == NULL) {
			break;
		}
		put(c, data, (size_t)(cr - data));
		put(c, " ", 1);
		len -= (size_t)(cr - data) + 1;
		data = cr + 1;
	}
	put(c, data, len);
}

/* row_of - index of the table's row for a name, or -1 */
static int row_of(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		if (strncasecmp(headers[i].name, name, len) == 0 && headers[i].name[len] == '\0') {
			return (int)i;
		}
	}
	return -1;
}

/* note_drops - the rows that message_drop_headers names */
static void note_drops(struct cleanup *c)
{
	struct slice rest = slice_of(param.message_drop_headers), w;

	_Static_assert(ARRAY_LEN(headers) <= 32, "one bit a row");
	while ((w = slice_word(&rest, ", \t\n")).ptr != NULL) {
		int row = row_of(w.ptr, w.len);

		if (row >= 0) {
			c->drop |= 1U << row;
		} else {
			c->drop_others = true;
		}
	}
}

/* is_dropped - is a name that is no row in message_drop_headers? */
static bool is_dropped(const char *name, size_t len)
{
	return list_has_slice(param.message_drop_headers, (struct slice){ name, len });
}

/*
 * name_length - length of the field name of a line, or 0: it is no header. RFC 5322 2.2,
 * 4.5.1 (blanks)
 */
static size_t name_length(const char *line, size_t len)
{
	size_t n = 0, end;

	while (n < len && (unsigned char)line[n] > 32 && (unsigned char)line[n] < 127 &&
		line[n] != ':') {
		n++;
	}
	end = n;
	while (end < len && (line[end] == ' ' || line[end] == '\t')) {
		end++;
	}
	return n > 0 && end < len && line[end] == ':' ? n : 0;
}

/* is_from_line - "From " of an mbox before the headers, quoted or not */
static bool is_from_line(const char *line, size_t len)
{
	while (len > 0 && *line == '>') {
		line++;
		len--;
	}
	return len > 5 && memcmp(line, "From ", 5) == 0;
}

/* keep_message_id - the value, without folds and blanks around */
static void keep_message_id(struct cleanup *c, const char *value, size_t len)
{
	struct slice s = slice_trim((struct slice){ value, len });

	mem_free(c->message_id);
	c->message_id = mem_strndup(s.ptr, s.len);
}

/* put_made - a header that we add */
static void put_made(struct cleanup *c, const char *name, const char *value)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s: %s\n", name, value);
	put(c, b.data, b.len);
	buf_free(&b);
}

/* put_missing - the headers that should be there and are not; RFC 5322 3.6 */
static void put_missing(struct cleanup *c)
{
	const bool resent = (c->seen & SEEN_RESENT) != 0;
	const unsigned id = resent ? SEEN_RESENT_MESSAGE_ID : SEEN_MESSAGE_ID;
	const unsigned date = resent ? SEEN_RESENT_DATE : SEEN_DATE;
	const unsigned from = resent ? SEEN_RESENT_FROM : SEEN_FROM;
	const char *prefix = resent ? "Resent-" : "";
	char name[32], text[DATE_SIZE];
	struct buf b = BUF_INIT;

	if ((c->config.flags & CLEANUP_RAW) != 0) {
		return;
	}
	if ((c->config.flags & CLEANUP_LOCAL) == 0 && !param.always_add_missing_headers &&
		*param.remote_header_rewrite_domain == '\0') {
		return; /* a stranger's: only where its headers are rewritten, too */
	}
	if ((c->seen & id) == 0) {
		struct tm tm;

		gmtime_r(&c->config.arrival, &tm);
		strftime(text, sizeof(text), "%Y%m%d%H%M%S", &tm);
		buf_addf(&b, "<%s.%s@%s>", text, c->config.queue_id, param.myhostname);
		snprintf(name, sizeof(name), "%sMessage-Id", prefix);
		put_made(c, name, buf_str(&b));
		keep_message_id(c, buf_str(&b), b.len);
	}
	if ((c->seen & date) == 0) {
		date_rfc5322(text, c->config.arrival, true);
		snprintf(name, sizeof(name), "%sDate", prefix);
		put_made(c, name, text);
	}
	if ((c->seen & from) == 0) {
		buf_reset(&b);
		cleanup_put_mailbox(&b, c->config.sender, c->config.full_name);
		snprintf(name, sizeof(name), "%sFrom", prefix);
		put_made(c, name, buf_str(&b));
	}
	if ((c->seen & SEEN_RECIPIENT) == 0 && *param.undisclosed_recipients_header != '\0') {
		put(c, param.undisclosed_recipients_header,
			strlen(param.undisclosed_recipients_header));
		put(c, "\n", 1);
	}
	buf_free(&b);
}

/* is_ours - the header may be mended: a stranger's passes byte for byte */
static bool is_ours(const struct cleanup *c)
{
	return (c->config.flags & (CLEANUP_LOCAL | CLEANUP_SUBMIT)) != 0 &&
		(c->config.flags & CLEANUP_RAW) == 0;
}

/*
 * begin_body - the headers are over; blank: without the blank line that says so. It is made in our
 * own submissions and where there was no header at all, so that whoever reads the message later
 * finds the end of its headers where it was found here.
 */
static void begin_body(struct cleanup *c, bool blank)
{
	put_missing(c);
	if (blank && (!c->any_header || is_ours(c))) {
		put(c, "\n", 1);
	}
	c->state = STATE_BODY;
}

/* take_header - decide about the logical header in header[0..len) */
static void take_header(struct cleanup *c, size_t len)
{
	const char *text = c->header.data;
	const char *value;
	size_t name = name_length(text, len);
	int row = row_of(text, name);

	c->any_header = true;
	if ((c->config.flags & CLEANUP_RAW) != 0) {
		put_text(c, text, len);
		return;
	}
	if (row < 0) {
		if (!c->drop_others || !is_dropped(text, name)) {
			put_text(c, text, len);
		}
		return;
	}
	c->seen |= headers[row].seen;
	value = (const char *)memchr(text, ':', len) + 1;
	if (headers[row].kind == KIND_HOP && ++c->hops >= param.hopcount_limit &&
		c->status == CLEANUP_OK) {
		c->status = CLEANUP_HOPS;
	}
	if (headers[row].kind == KIND_ID) {
		keep_message_id(c, value, (size_t)(text + len - value));
	}
	if ((c->drop & 1U << row) != 0) {
		return;
	}
	if (headers[row].kind == KIND_SENDER || headers[row].kind == KIND_RECIPIENT) {
		struct buf changed = BUF_INIT;
		bool local = (c->config.flags & CLEANUP_LOCAL) != 0;

		if (cleanup_complete_header(&changed, text, len, (size_t)(value - text), local)) {
			put_text(c, changed.data, changed.len);
			buf_free(&changed);
			return;
		}
		buf_free(&changed);
	}
	put_text(c, text, len);
}

enum cleanup_role cleanup_header_role(const char *text, size_t len)
{
	size_t name = name_length(text, len);
	int row = name > 0 ? row_of(text, name) : -1;

	if (row < 0) {
		return CLEANUP_NOBODY;
	}
	return headers[row].kind == KIND_SENDER       ? CLEANUP_SENDER
		: headers[row].kind == KIND_RECIPIENT ? CLEANUP_RECIPIENT
						      : CLEANUP_NOBODY;
}

/* drop_taken - the first n bytes of header are done with */
static void drop_taken(struct cleanup *c, size_t n)
{
	if (n == c->header.len) {
		buf_reset(&c->header);
	} else {
		memmove(c->header.data, c->header.data + n, c->header.len - n);
		buf_truncate(&c->header, c->header.len - n);
	}
	c->line = 0;
}

/* take_from_line - an mbox separator before the headers */
static void take_from_line(struct cleanup *c)
{
	if ((c->config.flags & CLEANUP_SUBMIT) == 0) {
		put(c, "X-Mailbox-Line: ", 16);
		put_text(c, c->header.data, c->header.len);
	}
	drop_taken(c, c->header.len);
}

/*
 * close_name - "Subject : x" to "Subject: x" in the first line of a header, n the name's length.
 * RFC 5322 4.5 has such blanks as obsolete: there are readers that take the line for text, so a
 * second From could be shown by one and not be seen by another.
 */
static void close_name(struct cleanup *c, size_t n)
{
	char *name = c->header.data;
	size_t colon = n;

	if (!is_ours(c)) {
		return;
	}
	while (name[colon] != ':') {
		colon++;
	}
	if (colon > n) {
		memmove(name + n, name + colon, c->header.len - colon);
		buf_truncate(&c->header, c->header.len - (colon - n));
	}
}

/*
 * take_line - header[line..len) is a whole line: the header before it is
 * complete unless this one continues it
 */
static void take_line(struct cleanup *c)
{
	const char *line = c->header.data + c->line;
	size_t len = c->header.len - c->line, name;

	if (c->state == STATE_START) {
		if (is_from_line(line, len)) {
			take_from_line(c);
			return; /* another may follow: mail that went through two mboxes */
		}
		c->state = STATE_HEADER;
	}
	if (c->line > 0 && (*line == ' ' || *line == '\t')) {
		c->line = c->header.len;
		return;
	}
	if (c->line > 0) {
		take_header(c, c->line);
		drop_taken(c, c->line);
		line = c->header.data;
	}
	name = name_length(line, c->header.len);
	if (*line == '\n') {
		begin_body(c, false);
	} else if (name == 0) {
		begin_body(c, true);
	} else {
		close_name(c, name);
	}
	if (c->state == STATE_BODY) {
		put_text(c, c->header.data, c->header.len);
		buf_free(&c->header);
		return;
	}
	c->line = c->header.len;
}

/*
 * pass_long_header - header_size_limit bytes are held and no end is in sight:
 * what can be decided is decided, the rest goes through without a look
 */
static void pass_long_header(struct cleanup *c, char next)
{
	size_t partial = c->header.len - c->line;
	char first = partial > 0 ? c->header.data[c->line] : next;

	if (c->line > 0 && first != ' ' && first != '\t') {
		take_header(c, c->line);
		drop_taken(c, c->line);
		return;
	}
	if (name_length(c->header.data, c->header.len) > 0) {
		c->state = STATE_LONG_HEADER;
		c->any_header = true;
		c->at_line = partial == 0;
	} else {
		begin_body(c, true);
	}
	put_text(c, c->header.data, c->header.len);
	buf_free(&c->header);
	c->line = 0;
}

/* write_header - take bytes while the headers last; how many */
static size_t write_header(struct cleanup *c, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len && (c->state == STATE_START || c->state == STATE_HEADER)) {
		size_t room = (size_t)param.header_size_limit - c->header.len;
		size_t n = len - done < room ? len - done : room;
		const char *lf = memchr(data + done, '\n', n);

		if (n == 0) {
			pass_long_header(c, data[done]);
			continue;
		}
		if (lf != NULL) {
			n = (size_t)(lf - data) + 1 - done;
		}
		buf_add(&c->header, data + done, n);
		done += n;
		if (lf != NULL) {
			take_line(c);
		}
	}
	return done;
}

/* write_long_header - let a header that is too long through up to the next one */
static size_t write_long_header(struct cleanup *c, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const char *lf;
		size_t n;

		if (c->at_line && data[done] != ' ' && data[done] != '\t') {
			c->state = STATE_HEADER;
			break;
		}
		lf = memchr(data + done, '\n', len - done);
		n = lf != NULL ? (size_t)(lf - data) + 1 - done : len - done;
		put_text(c, data + done, n);
		c->at_line = lf != NULL;
		done += n;
	}
	return done;
}

struct cleanup *cleanup_begin(const struct cleanup_config *config, const char *received)
{
	struct cleanup *c = mem_alloc(sizeof(*c));

	c->config = *config;
	note_drops(c);
	if (received != NULL) {
		put(c, received, strlen(received));
		c->hops = 1;
	}
	return c;
}

enum cleanup_status cleanup_write(struct cleanup *c, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len && c->state != STATE_BODY) {
		if (c->state == STATE_LONG_HEADER) {
			done += write_long_header(c, data + done, len - done);
		} else {
			done += write_header(c, data + done, len - done);
		}
	}
	put_text(c, data + done, len - done);
	return c->status;
}

enum cleanup_status cleanup_end(struct cleanup *c)
{
	if (c->state != STATE_BODY) {
		if (c->header.len > c->line) {
			buf_addc(&c->header, '\n'); /* the last line had no end */
			take_line(c);
		}
		if (c->header.len > 0 && c->state != STATE_BODY) {
			take_header(c, c->header.len);
			buf_free(&c->header);
		}
		if (c->state != STATE_BODY) {
			begin_body(c, false);
		}
	}
	return c->status;
}

const char *cleanup_message_id(const struct cleanup *c)
{
	return c->message_id != NULL ? c->message_id : "";
}

void cleanup_free(struct cleanup *c)
{
	if (c != NULL) {
		buf_free(&c->header);
		mem_free(c->message_id);
		mem_free(c);
	}
}
