/*
 * deliver_text - what is written for an item, and what is said of it
 *
 * Above the content stand, as other delivery agents write them,
 *
 *	From sender  Tue Aug  9 14:21:58 2011		(mbox only)
 *	Return-Path: <sender>
 *	X-Original-To: address as it came in
 *	Delivered-To: address delivered to
 *
 * and in an mbox the content is quoted (mail/mbox/mbox_format.h) and a blank line
 * follows. deliver_find.c relies on these being made in one place.
 *
 * RFC 5321 4.4 (Return-Path), RFC 4155 (mbox).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/mem.h"
#include "mail/mbox/mbox_format.h"
#include "deliver/deliver_impl.h"

/*
 * put_clean - a text from the envelope, control bytes replaced: it must not make lines of
 * its own
 */
static void put_clean(struct buf *b, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		buf_addc(b, c < 0x20 || c == 0x7f ? '?' : (char)c);
	}
}

int deliver_put_header(const struct deliver_item *it, deliver_put *put, void *arg)
{
	struct buf b = BUF_INIT;
	int rc;

	buf_adds(&b, "Return-Path: <");
	put_clean(&b, it->sender);
	buf_adds(&b, ">\n");
	if (it->original[0] != '\0') {
		buf_adds(&b, "X-Original-To: ");
		put_clean(&b, it->original);
		buf_addc(&b, '\n');
	}
	if (it->recipient[0] != '\0') {
		buf_adds(&b, "Delivered-To: ");
		put_clean(&b, it->recipient);
		buf_addc(&b, '\n');
	}
	rc = put(arg, buf_str(&b), b.len);
	buf_free(&b);
	return rc;
}

int deliver_put_from(const struct deliver_item *it, time_t now, deliver_put *put, void *arg)
{
	struct buf b = BUF_INIT;
	char date[DATE_SIZE];
	int rc;

	date_asctime(date, now);
	buf_adds(&b, "From ");
	put_clean(&b, it->sender[0] != '\0' ? it->sender : "MAILER-DAEMON");
	buf_addf(&b, "  %s\n", date);
	rc = put(arg, buf_str(&b), b.len);
	buf_free(&b);
	return rc;
}

static int put_buf(void *arg, const char *data, size_t len)
{
	buf_add(arg, data, len);
	return 0;
}

void deliver_head(struct buf *out, const struct deliver_item *it, bool from_line)
{
	if (from_line) {
		deliver_put_from(it, time(NULL), put_buf, out);
	}
	deliver_put_header(it, put_buf, out);
}

/* put_quoted - the content as it stands in an mbox, with the blank line at its end */
static int put_quoted(const struct deliver_item *it, char *data, deliver_put *put, void *arg)
{
	struct mbox_writer w;
	int64_t offset = 0, n;
	int rc = 0;

	mbox_writer_init(&w, "", put, arg);
	while (rc == 0 && (n = it->read(it->read_arg, offset, data, DELIVER_CHUNK)) != 0) {
		if (n < 0) {
			return DELIVER_UNREADABLE;
		}
		offset += n;
		rc = mbox_writer_add(&w, data, (size_t)n);
	}
	return rc == 0 ? mbox_writer_end(&w) : rc;
}

/* put_plain - the content as it is; its last line gets its end */
static int put_plain(const struct deliver_item *it, char *data, deliver_put *put, void *arg)
{
	int64_t offset = 0, n;
	char last = '\n';
	int rc = 0;

	while (rc == 0 && (n = it->read(it->read_arg, offset, data, DELIVER_CHUNK)) != 0) {
		if (n < 0) {
			return DELIVER_UNREADABLE;
		}
		offset += n;
		last = data[n - 1];
		rc = put(arg, data, (size_t)n);
	}
	return rc == 0 && last != '\n' ? put(arg, "\n", 1) : rc;
}

int deliver_put_content(const struct deliver_item *it, bool quote, deliver_put *put, void *arg)
{
	char *data = mem_alloc(DELIVER_CHUNK);
	int rc = quote ? put_quoted(it, data, put, arg) : put_plain(it, data, put, arg);

	mem_free(data);
	return rc;
}

void deliver_set(
	struct deliver_item *it, enum deliver_status status, const char *dsn, const char *fmt, ...)
{
	va_list ap;

	it->status = status;
	snprintf(it->dsn, sizeof(it->dsn), "%s", dsn);
	va_start(ap, fmt);
	vsnprintf(it->text, sizeof(it->text), fmt, ap);
	va_end(ap);
}

void deliver_set_errno(
	struct deliver_item *items, size_t count, const char *what, const char *path, int err)
{
	bool full = err == EDQUOT || err == EFBIG;
	const char *dsn = full ? "5.2.2" : err == ENOSPC ? "4.3.0" : "4.2.0";

	for (size_t i = 0; i < count; i++) {
		if (items[i].status != DELIVER_NONE) {
			continue;
		}
		if (err == EAGAIN) {
			deliver_set(&items[i], DELIVER_DEFER, dsn,
				"%s %s: unable to lock for exclusive access", what, path);
		} else {
			deliver_set(&items[i], full ? DELIVER_FAIL : DELIVER_DEFER, dsn,
				"%s %s: %s", what, path, strerror(err));
		}
	}
}

bool deliver_unwanted(const struct deliver_how *how, struct deliver_item *items, size_t count)
{
	if (how->wanted == NULL || how->wanted(how->wanted_arg)) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (items[i].status == DELIVER_NONE) {
			deliver_set(
				&items[i], DELIVER_DEFER, "4.3.0", "the delivery agent went away");
		}
	}
	return true;
}

bool deliver_any_suspect(const struct deliver_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (items[i].suspect || items[i].repair) {
			return true;
		}
	}
	return false;
}
