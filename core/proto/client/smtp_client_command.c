/*
 * smtp_client_command - the commands of a transaction, as the server's extensions allow them
 *
 * SIZE (RFC 1870) is not said of mail that is going to be encoded anew; BODY (RFC 6152) is said
 * where it is known; ORCPT is said to every host with DSN, as Postfix does, with the address as it
 * was before rewriting when the sender's client gave none. CHUNKING is not used: its only gain is
 * binary mail, which the queue does not take (lines end with LF there), and Postfix has no client
 * for it either.
 *
 * RFC 5321 4.1.1, 3461, 6531, 6533; XFORWARD is Postfix's (XFORWARD_README)
 */
#include <string.h>

#include "base/encode.h"
#include "base/utf8.h"
#include "proto/client/smtp_client_impl.h"
#include "proto/smtp.h"

/* put_attribute - " NAME=xtext", where the server lists it (its place among the words of XFORWARD)
 * and the value is known */
static void put_attribute(
	struct smtp_client *c, unsigned place, const char *name, const char *value, bool any)
{
	if ((c->xforward & 1U << place) == 0 || value == NULL || *value == '\0' ||
		(!any && str_ieq(value, "unknown"))) {
		return;
	}
	if (c->command.len == 0) {
		buf_adds(&c->command, "XFORWARD");
	}
	buf_addf(&c->command, " %s=", name);
	xtext_encode(&c->command, value);
}

static void xforward(struct smtp_client *c)
{
	const struct smtp_client_xforward *x = c->mail->xforward;

	if (x == NULL) {
		return;
	}
	if (c->sending == CLIENT_XFORWARD_NAME) {
		put_attribute(c, 0, "NAME", x->name, false);
		put_attribute(c, 1, "ADDR", x->addr, false);
		put_attribute(c, 2, "PORT", x->port, false);
	} else {
		put_attribute(c, 3, "PROTO", x->proto, false);
		put_attribute(c, 4, "HELO", x->helo, true);
		put_attribute(c, 5, "IDENT", x->ident, true);
		put_attribute(c, 6, "SOURCE", x->source, true);
	}
}

static void mail_from(struct smtp_client *c)
{
	const struct smtp_client_mail *m = c->mail;

	buf_addf(&c->command, "MAIL FROM:<%s>", m->sender);
	if ((c->features & SMTP_HAS_SIZE) != 0 && !c->downgrade) {
		buf_addf(&c->command, " SIZE=%llu", (unsigned long long)m->size);
	}
	if ((c->features & SMTP_HAS_8BITMIME) != 0 && m->body != SMTP_BODY_UNKNOWN) {
		buf_addf(&c->command, " BODY=%s",
			m->body == SMTP_BODY_8BITMIME ? "8BITMIME" : "7BIT");
	}
	if ((c->features & SMTP_HAS_DSN) != 0 && *m->envid != '\0') {
		buf_adds(&c->command, " ENVID=");
		xtext_encode(&c->command, m->envid);
	}
	if ((c->features & SMTP_HAS_DSN) != 0 && *m->ret != '\0') {
		buf_addf(&c->command, " RET=%s", m->ret);
	}
	if ((c->features & SMTP_HAS_SMTPUTF8) != 0 && m->smtputf8) {
		buf_adds(&c->command, " SMTPUTF8");
	}
}

/* put_uxtext - RFC 6533 3: what is not plain ASCII as \x{HEX}; false: it is no UTF-8 */
static bool put_uxtext(struct buf *out, const char *text)
{
	size_t len = strlen(text), size;

	for (size_t i = 0; i < len; i += size) {
		int32_t ch = utf8_get(text + i, len - i, &size);

		if (ch < 0) {
			return false;
		}
		if (ch > ' ' && ch < 127 && ch != '+' && ch != '=' && ch != '\\') {
			buf_addc(out, (char)ch);
		} else {
			buf_addf(out, "\\x{%02X}", (unsigned)ch);
		}
	}
	return true;
}

static void put_orcpt(struct smtp_client *c, const struct smtp_client_recipient *r)
{
	size_t before = c->command.len;
	struct buf text = BUF_INIT;

	if (*r->orcpt != '\0') {
		buf_adds(&text, r->orcpt);
	} else if (*r->original != '\0') {
		buf_addf(&text, "%s;%s",
			c->mail->smtputf8 && smtp_has_8bit(slice_of(r->original)) ? "utf-8"
										  : "rfc822",
			r->original);
	}
	if (text.len > 0) {
		buf_adds(&c->command, " ORCPT=");
		if (!str_istarts(buf_str(&text), "utf-8;")) {
			xtext_encode(&c->command, buf_str(&text));
		} else if (!put_uxtext(&c->command, buf_str(&text))) {
			buf_truncate(&c->command, before);
		}
	}
	buf_free(&text);
}

static void put_notify(struct smtp_client *c, unsigned notify)
{
	static const char words[][8] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };
	const char *between = " NOTIFY=";

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if ((notify & 1U << i) != 0) {
			buf_addf(&c->command, "%s%s", between, words[i]);
			between = ",";
		}
	}
}

static void rcpt_to(struct smtp_client *c)
{
	const struct smtp_client_recipient *r = &c->mail->recipients[c->sending_rcpt];

	buf_addf(&c->command, "RCPT TO:<%s>", r->address);
	if ((c->features & SMTP_HAS_DSN) != 0) {
		put_orcpt(c, r);
		put_notify(c, r->notify);
	}
}

bool client_build(struct smtp_client *c)
{
	buf_reset(&c->command);
	if (c->sending == CLIENT_XFORWARD_NAME || c->sending == CLIENT_XFORWARD_PROTO) {
		xforward(c);
	} else if (c->sending == CLIENT_MAIL) {
		mail_from(c);
	} else if (c->sending == CLIENT_RCPT) {
		rcpt_to(c);
	} else if (c->sending == CLIENT_DATA) {
		buf_adds(&c->command, "DATA");
	}
	/* Whatever an address has in it: one command is one line. */
	for (size_t i = 0; i < c->command.len; i++) {
		if ((unsigned char)c->command.data[i] < ' ' || c->command.data[i] == 127) {
			c->command.data[i] = '?';
		}
	}
	return c->command.len > 0;
}
