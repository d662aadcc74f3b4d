/*
 * fuzz_pop3d - whole POP3 sessions, before login and after it over a mailbox that is part of
 * the input: a byte that says which, mailbox, "%%", what the client says
 */
#include <string.h>

#include "base/mem.h"
#include "conf/dovecot/dovecot_conf.h"
#include "applets/read/pop3d/pop3d.h"
#include "mail.h"

/* body - a message as RETR sends it: cut anywhere it is the same, and no line is a lone dot */
static void body(struct slice text, uint64_t lines)
{
	struct buf whole = BUF_INIT, cut = BUF_INIT;
	struct pop3_body b;
	const char *dot;

	pop3_body_begin(&b, lines);
	(void)pop3_body_add(&b, &whole, text.ptr, text.len);
	pop3_body_end(&b, &whole);
	pop3_body_begin(&b, lines);
	for (size_t at = 0, n; at < text.len && !b.done; at += n) {
		n = 1 + (unsigned char)text.ptr[at] % 5;
		n = n < text.len - at ? n : text.len - at;
		(void)pop3_body_add(&b, &cut, text.ptr + at, n);
	}
	pop3_body_end(&b, &cut);
	REQUIRE(whole.len == cut.len && memcmp(whole.data, cut.data, whole.len) == 0);
	dot = memmem(whole.data, whole.len, "\r\n.\r\n", 5);
	REQUIRE(dot == NULL || (size_t)(dot - whole.data) + 5 == whole.len);
	buf_free(&whole);
	buf_free(&cut);
}

static void format(struct slice text)
{
	struct buf out = BUF_INIT;
	char *f = mem_strndup(text.ptr, text.len);

	pop3_uidl(&out, f, 511, 1312889600, "1312889600.M1P2.mx,S=10");
	REQUIRE(out.len > 0 && out.len <= 70);
	buf_free(&out);
	mem_free(f);
}

void fuzz(const char *data, size_t len)
{
	static bool loaded;
	struct slice rest = { data + 1, len - 1 }, mailbox;
	struct mail_service service = { .tag = "" };
	char *error = NULL;

	if (!loaded) {
		loaded = true;
		REQUIRE(dovecot_conf_load(
				fuzz_file("disable_plaintext_auth = no\n", 28), true, &error) == 0);
	}
	if (len == 0) {
		return;
	}
	switch ((unsigned char)data[0] % 8) {
	case 5:
		format(rest);
		return;
	case 6:
		body(rest, len % 7 != 0 ? len % 7 : POP3_ALL);
		return;
	case 7:
		fuzz_login(&pop3_login_class, rest);
		return;
	default:
		break;
	}
	fuzz_clear();
	fuzz_forget();
	mailbox = fuzz_part(&rest);
	fuzz_put("inbox", mailbox.ptr, mailbox.len);
	service.user = *fuzz_user(0);
	fuzz_session(&pop3_mail_class, &service, rest.ptr, rest.len);
}
