/*
 * fuzz_smtp_client - what a server says to an SMTP or LMTP client; messages on their way out
 *
 * The first byte says which. A conversation: the second and third are flags, then all that the
 * server says, given in pieces whose lengths the bytes themselves choose. A message: the filter and
 * the encoder, in pieces and whole, must agree, and the other side must get back what was sent.
 */
#include <string.h>

#include "mime/filter.h"
#include "proto/client/smtp_client.h"
#include "proto/client/smtp_encode.h"
#include "proto/smtp_data.h"
#include "fuzz.h"

enum {
	F_LMTP = 1,
	F_TLS = 2,
	F_TLS_MUST = 4,
	F_AUTH = 8,
	F_TOKEN = 16,
	F_TWICE = 32,
	F_HELO = 64,
	F_WAIT_QUIT = 128,
	RECIPIENTS = 3,
	TURNS = 100000
};

struct owner {
	unsigned flags, mail_flags;
	struct slice left; /* of what the server says */
	struct smtp_client *c;
	struct buf in, out;
	struct smtp_client_recipient recipients[RECIPIENTS];
	struct smtp_client_mail mail;
	bool asked_tls, again, dotted;
};

/* checked - what goes out is lines of commands, or content; forget it */
static void checked(struct owner *o)
{
	for (size_t i = 0; i < o->out.len; i++) {
		REQUIRE(o->out.data[i] != '\n' || (i > 0 && o->out.data[i - 1] == '\r'));
	}
	REQUIRE(o->out.len < 100000);
	buf_reset(&o->out);
}

/* results - everybody has one; sent only after the dot (or where only RCPT was asked) */
static void results(struct owner *o, bool failed)
{
	for (size_t i = 0; i < RECIPIENTS; i++) {
		const struct smtp_client_failure *f = &o->recipients[i].result;

		REQUIRE(f->status != SMTP_RCPT_OPEN || failed);
		REQUIRE(f->status == SMTP_RCPT_OPEN || (*f->dsn != '\0' && *f->text != '\0'));
		REQUIRE(f->status != SMTP_RCPT_SENT || o->dotted ||
			o->mail.target != SMTP_TARGET_SEND);
		REQUIRE(f->status != SMTP_RCPT_SENT || f->dsn[0] == '2');
		REQUIRE(f->status != SMTP_RCPT_BOUNCED || f->dsn[0] == '5');
		REQUIRE(f->status != SMTP_RCPT_DEFERRED || f->dsn[0] == '4');
	}
}

static void fill_mail(struct owner *o)
{
	static const struct smtp_client_xforward xforward = { .name = "n", .helo = "h" };

	for (size_t i = 0; i < RECIPIENTS; i++) {
		o->recipients[i].address = "a@b";
		o->recipients[i].original = "c@d";
		o->recipients[i].orcpt = i == 1 ? "utf-8;\303\244@b" : "";
		o->recipients[i].notify = (unsigned)i * 5;
	}
	o->mail = (struct smtp_client_mail){ .sender = "s@x",
		.size = 10000,
		.body = o->mail_flags & 3,
		.smtputf8 = (o->mail_flags & 4) != 0,
		.smtputf8_required = (o->mail_flags & 8) != 0,
		.target = (o->mail_flags >> 4 & 3) % 3,
		.ret = "FULL",
		.envid = "e",
		.xforward = (o->mail_flags & 64) != 0 ? &xforward : NULL,
		.recipients = o->recipients,
		.recipient_count = RECIPIENTS };
	o->mail.body = o->mail.body > SMTP_BODY_8BITMIME ? SMTP_BODY_UNKNOWN : o->mail.body;
}

static enum smtp_client_want decide(struct owner *o)
{
	static const struct sasl_account password = { .user = "u", .password = "p" },
					 token = { .user = "u", .token = "t" };
	static const struct sasl_client_choice choice = { .options = 0 };

	if ((o->flags & (F_TLS | F_TLS_MUST)) != 0 && !o->asked_tls) {
		o->asked_tls = true;
		return smtp_client_starttls(o->c, (o->flags & F_TLS_MUST) != 0, &o->out);
	}
	if ((o->flags & F_AUTH) != 0 && !smtp_client_authenticated(o->c)) {
		return smtp_client_auth(
			o->c, (o->flags & F_TOKEN) != 0 ? &token : &password, &choice, &o->out);
	}
	o->dotted = false;
	return smtp_client_begin(o->c, &o->mail, &o->out);
}

static enum smtp_client_want more_input(struct owner *o)
{
	size_t n;

	if (o->left.len == 0) {
		return (o->mail_flags & 128) != 0 ? smtp_client_timed_out(o->c)
						  : smtp_client_lost(o->c, &o->in);
	}
	n = 1 + (unsigned char)o->left.ptr[0] % 61;
	n = n < o->left.len ? n : o->left.len;
	buf_add(&o->in, o->left.ptr, n);
	o->left.ptr += n;
	o->left.len -= n;
	return smtp_client_feed(o->c, &o->in, &o->out);
}

static enum smtp_client_want content(struct owner *o)
{
	static const char text[] = "Content-Transfer-Encoding: 8bit\n\n.\303\244\n";
	enum smtp_client_want want;

	(void)smtp_client_content(o->c, text, sizeof(text) - 1, &o->out);
	want = smtp_client_content_end(o->c, &o->in, &o->out);
	o->dotted = want == SMTP_WANT_READ;
	return want;
}

static void conversation(const char *data, size_t len)
{
	struct owner o = { .flags = (unsigned char)data[0], .mail_flags = (unsigned char)data[1] };
	const struct smtp_client_config config = { .lmtp = (o.flags & F_LMTP) != 0,
		.hello = (o.flags & F_HELO) != 0 ? SMTP_HELLO_HELO : SMTP_HELLO_EHLO,
		.wait_for_quit = (o.flags & F_WAIT_QUIT) != 0,
		.peer = "mx[192.0.2.1]",
		.helo_name = "me",
		.discard = "",
		.line_limit = 998 };
	enum smtp_client_want want;
	size_t turns = 0;

	o.left = (struct slice){ data + 2, len - 2 };
	o.again = (o.flags & F_TWICE) != 0;
	o.c = smtp_client_new(&config);
	fill_mail(&o);
	want = smtp_client_feed(o.c, &o.in, &o.out);
	for (; want != SMTP_WANT_CLOSE; turns++) {
		REQUIRE(turns < TURNS);
		checked(&o);
		if (want == SMTP_WANT_READ) {
			want = more_input(&o);
		} else if (want == SMTP_WANT_DECIDE) {
			want = decide(&o);
		} else if (want == SMTP_WANT_TLS) {
			want = smtp_client_secured(o.c, &o.out);
		} else if (want == SMTP_WANT_CONTENT) {
			want = content(&o);
		} else {
			results(&o, false);
			want = o.again ? decide(&o) : smtp_client_quit(o.c, &o.out);
			o.again = false;
		}
	}
	checked(&o);
	if (o.recipients[0].result.text != NULL) {
		results(&o, smtp_client_failure(o.c) != NULL);
	}
	smtp_client_free(o.c);
	buf_free(&o.in);
	buf_free(&o.out);
}

/* through - a message through filter and encoder, in one piece or in many */
static bool through(unsigned flags, const char *data, size_t len, bool cut, struct buf *filtered,
	struct buf *wire)
{
	struct mime_filter *f = mime_filter_new(flags, NULL);
	struct smtp_encoder e = { .limit = 0 };
	bool good = true;

	for (size_t at = 0; at < len && good;) {
		size_t n = cut ? 1 + (unsigned char)data[at] % 31 : len;

		n = n < len - at ? n : len - at;
		good = mime_filter_write(f, data + at, n, filtered);
		smtp_encode(&e, data + at, n, wire);
		at += n;
	}
	good = good && mime_filter_end(f, filtered);
	smtp_encode_end(&e, wire);
	mime_filter_free(f);
	return good;
}

static void message(const char *data, size_t len, unsigned flags)
{
	struct buf whole = BUF_INIT, cut = BUF_INIT, wire = BUF_INIT, wire_cut = BUF_INIT;
	struct buf back = BUF_INIT;
	struct smtp_data d;
	bool good = through(flags, data, len, false, &whole, &wire);

	REQUIRE(through(flags, data, len, true, &cut, &wire_cut) == good);
	if (good) {
		REQUIRE(whole.len == cut.len &&
			memcmp(buf_str(&whole), buf_str(&cut), whole.len) == 0);
		REQUIRE(wire.len == wire_cut.len &&
			memcmp(wire.data, wire_cut.data, wire.len) == 0);
	}
	if (flags == 0) {
		REQUIRE(good && whole.len >= len && memcmp(buf_str(&whole), data, len) == 0);
	}
	/* The other side; what a bare CR does there is its own business. */
	if (good && memchr(data, '\r', len) == NULL) {
		smtp_data_init(&d, 0);
		REQUIRE(smtp_data_feed(&d, wire.data, wire.len, &back) == wire.len);
		REQUIRE(d.state == SMTP_DATA_END && back.len >= len);
		REQUIRE(memcmp(buf_str(&back), data, len) == 0);
	}
	buf_free(&whole);
	buf_free(&cut);
	buf_free(&wire);
	buf_free(&wire_cut);
	buf_free(&back);
}

void fuzz(const char *data, size_t len)
{
	if (len < 4) {
		return;
	}
	if (data[0] == 'm' || data[0] == 'd') {
		message(data + 1, len - 1, data[0] == 'd' ? MIME_FILTER_DOWNGRADE : 0);
	} else {
		conversation(data + 1, len - 1);
	}
}
