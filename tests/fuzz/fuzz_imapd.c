/*
 * fuzz_imapd - whole IMAP sessions, before login and after it over a mailbox that is part of
 * the input: a byte that says which, mailbox, "%%", what the client says
 */
#include "base/mem.h"
#include "conf/dovecot/dovecot_conf.h"
#include "applets/read/imapd/imapd.h"
#include "mail.h"

/* check - whatever was done: the mailbox opens and all of it can be read */
static void check(unsigned how)
{
	struct mailstore *ms = (fuzz_forget(), fuzz_store(how));
	struct mailbox_view *v = mailbox_open(ms, "INBOX", true);
	struct fuzz_texts texts;

	if (v != NULL) {
		fuzz_texts_read(&texts, v);
		fuzz_texts_free(&texts);
		mailbox_close(v);
	}
	mailstore_close(ms);
}

void fuzz(const char *data, size_t len)
{
	static bool loaded;
	struct slice rest = { data + 1, len - 1 }, mailbox;
	struct mail_service service = { .tag = "a" };
	unsigned how;
	char *error = NULL;

	if (!loaded) {
		loaded = true;
		REQUIRE(dovecot_conf_load(
				fuzz_file("disable_plaintext_auth = no\n", 28), true, &error) == 0);
	}
	if (len == 0) {
		return;
	}
	how = (unsigned char)data[0] % 8 == 0 ? FUZZ_INDEX : 0;
	if ((unsigned char)data[0] % 8 == 7) {
		fuzz_login(&imapd_login_class, rest);
		return;
	}
	fuzz_clear();
	fuzz_forget();
	mailbox = fuzz_part(&rest);
	if ((unsigned char)data[0] & 1) {
		how |= FUZZ_MAILDIR;
		for (char name[] = "Maildir/cur/1.a.b:2,"; mailbox.len > 0; name[12]++) {
			struct slice one = mailbox;
			size_t n = mailbox.len / 2 + 1;

			one.len = n < mailbox.len ? n : mailbox.len;
			mailbox = (struct slice){ one.ptr + one.len, mailbox.len - one.len };
			fuzz_maildir_put(name, one.ptr, one.len);
		}
	} else {
		fuzz_put("inbox", mailbox.ptr, mailbox.len);
	}
	service.user = *fuzz_user(how);
	service.preauth = (unsigned char)data[0] & 16;
	fuzz_session(&imapd_mail_class, &service, rest.ptr, rest.len);
	check(how);
}
