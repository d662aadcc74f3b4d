/*
 * mail - a user's mailboxes for the fuzz targets
 */
#include "mail.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "applets/read/login.h"

enum { TEXTS_MAX = 200 };

static unsigned generation;

void fuzz_forget(void)
{
	generation++;
}

const struct mail_user *fuzz_user(unsigned how)
{
	static struct mail_user user;
	static char location[1024], name[16];

	snprintf(location, sizeof(location),
		how & FUZZ_MAILDIR ? "maildir:%s/Maildir%s" : "mbox:~/mail:INBOX=%s/inbox%s",
		fuzz_dir(), how & FUZZ_INDEX ? "" : ":INDEX=MEMORY");
	snprintf(name, sizeof(name), "u%u", generation);
	user = (struct mail_user){ .name = name,
		.home = fuzz_dir(),
		.mail_location = location,
		.uid = geteuid(),
		.gid = getegid() };
	return &user;
}

struct mailstore *fuzz_store(unsigned how)
{
	char *error = NULL;
	struct mailstore *ms = mailstore_open(fuzz_user(how), &error);

	REQUIRE(ms != NULL && error == NULL);
	return ms;
}

void fuzz_maildir_put(const char *name, const char *data, size_t len)
{
	static const char *const dirs[] = { "Maildir", "Maildir/new", "Maildir/cur",
		"Maildir/tmp" };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		mkdir(fuzz_path(dirs[i]), 0700);
	}
	fuzz_put(name, data, len);
}

bool fuzz_text(struct mailbox_view *v, uint32_t seq, struct buf *out)
{
	struct mail_text *t = mail_open(v, seq);
	const char *data;
	size_t len;

	if (t == NULL) {
		return false;
	}
	while ((data = mail_bytes(t, out->len, &len)) != NULL) {
		REQUIRE(len > 0);
		buf_add(out, data, len);
	}
	REQUIRE(out->len == mail_size(t));
	mail_close(t);
	return true;
}

void fuzz_texts_read(struct fuzz_texts *t, struct mailbox_view *v)
{
	t->count = mailbox_count(v) < TEXTS_MAX ? mailbox_count(v) : TEXTS_MAX;
	t->texts = mem_alloc((t->count + 1) * sizeof(*t->texts));
	for (uint32_t seq = 1; seq <= t->count; seq++) {
		REQUIRE(fuzz_text(v, seq, &t->texts[seq - 1]));
	}
}

void fuzz_texts_free(struct fuzz_texts *t)
{
	for (size_t i = 0; i < t->count; i++) {
		buf_free(&t->texts[i]);
	}
	mem_free(t->texts);
}

void fuzz_login(const struct session_class *class, struct slice said)
{
	static struct login_service service = { .tls_available = true, .greeting = "Ready." };
	struct loop *loop = loop_new();

	service.auth = auth_client_new(loop, "/nonexistent/auth");
	fuzz_session(class, &service, said.ptr, said.len);
	auth_client_free(service.auth);
	loop_free(loop);
}
