/*
 * store_util - mailboxes for the unit tests of the mail store
 */
#include "store_util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/memory_driver.h"
#include "unit.h"

const char *store_path(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", unit_tmpdir(), name);
	return path;
}

struct mailstore *store_open(const char *kind)
{
	struct mail_user user = {
		.name = "tester", .uid = getuid(), .gid = getgid(), .driver = &memory_driver
	};
	char home[2048], location[4200], *error = NULL;
	struct mailstore *ms;

	snprintf(home, sizeof(home), "%s/home", unit_tmpdir());
	mkdir(home, 0700);
	user.home = home;
	if (strcmp(kind, "mbox") == 0) {
		snprintf(location, sizeof(location), "mbox:~/mail:INBOX=%s/inbox", unit_tmpdir());
	} else if (strcmp(kind, "maildir") == 0) {
		snprintf(location, sizeof(location), "maildir:%s/Maildir", unit_tmpdir());
	} else if (strcmp(kind, "memory") == 0) {
		snprintf(location, sizeof(location), "memory:%s/memory", unit_tmpdir());
	} else {
		snprintf(location, sizeof(location), "%s", kind);
	}
	user.mail_location = location;
	ms = mailstore_open(&user, &error);
	if (ms == NULL) {
		fprintf(stderr, "%s\n", error);
	}
	mem_free(error);
	return ms;
}

void store_write(const char *name, const char *text, size_t len)
{
	int fd = open(store_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	REQUIRE(fd >= 0);
	REQUIRE(fd_write_all(fd, text, len) == 0);
	close(fd);
}

void store_append(const char *name, const char *text)
{
	int fd = open(store_path(name), O_WRONLY | O_CREAT | O_APPEND, 0600);

	REQUIRE(fd >= 0);
	REQUIRE(fd_write_all(fd, text, strlen(text)) == 0);
	close(fd);
}

char *store_read(const char *name, size_t *len_r)
{
	size_t len;

	return file_read(store_path(name), 1 << 28, len_r != NULL ? len_r : &len);
}

void store_take(struct buf *b, const char *name)
{
	size_t len;
	char *data = store_read(name, &len);

	REQUIRE(data != NULL);
	buf_reset(b);
	buf_add(b, data, len);
	mem_free(data);
}

char *store_text(struct mailbox_view *v, uint32_t seq, size_t *len_r)
{
	struct mail_text *t = mail_open(v, seq);
	struct buf b = BUF_INIT;
	const char *data;
	size_t len;

	if (t == NULL) {
		return NULL;
	}
	while ((data = mail_bytes(t, b.len, &len)) != NULL) {
		buf_add(&b, data, len);
	}
	if (b.len != mail_size(t)) {
		unit_check(0, __FILE__, __LINE__, "mail_size is what can be read");
		mail_close(t);
		buf_free(&b);
		return NULL;
	}
	mail_close(t);
	if (len_r != NULL) {
		*len_r = b.len;
	}
	return buf_steal(&b);
}

char *store_list(struct mailbox_view *v)
{
	struct buf b = BUF_INIT;

	for (uint32_t seq = 1; seq <= mailbox_count(v); seq++) {
		char *text = store_text(v, seq, NULL), *subject, *end;

		subject = text != NULL ? strstr(text, "Subject: ") : NULL;
		end = subject != NULL ? subject + strcspn(subject, "\r\n") : NULL;
		buf_addf(&b, "%u:%.*s ", mailbox_info(v, seq)->uid,
			subject != NULL ? (int)(end - subject - 9) : 1,
			subject != NULL ? subject + 9 : "?");
		mem_free(text);
	}
	return buf_steal(&b);
}

void store_check(struct mailstore *ms, const char *folder, bool read_only, const char *want)
{
	struct mailbox_view *v = mailbox_open(ms, folder, read_only);
	char *list;

	REQUIRE(v != NULL);
	list = store_list(v);
	CHECK_STR(list, want);
	mem_free(list);
	mailbox_close(v);
}

uint32_t store_put(struct mailstore *ms, const char *folder, const char *text, unsigned flags)
{
	struct mail_append *a = mail_append_begin(ms, folder);
	uint32_t *uids = NULL, uid = 0;

	if (a == NULL) {
		return 0;
	}
	if (mail_append_next(a, flags, NULL, 0, 1312895000, "sender@test.example") != 0 ||
		mail_append_write(a, text, strlen(text)) != 0) {
		mail_append_abort(a);
		return 0;
	}
	if (mail_append_end(a, &uids, NULL, NULL) == 0) {
		uid = uids[0];
	}
	mem_free(uids);
	return uid;
}

static void filter(const struct sock_filter *code, size_t count)
{
	const struct sock_fprog program = { (unsigned short)count,
		(struct sock_filter *)(uintptr_t)code };

	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

void refuse_call(int call)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	filter(code, ARRAY_LEN(code));
}

void refuse_call_on(int call, int fd)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 3),
		/* The lower half, little-endian. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)fd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	filter(code, ARRAY_LEN(code));
}

void refuse_unlink(void)
{
#ifdef SYS_unlink
	refuse_call(SYS_unlink);
#else
	refuse_call(SYS_unlinkat);
#endif
}

void refuse_shared_mmap(void)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 6),
		/* The lower halves of protection and flags, little-endian. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, MAP_SHARED | MAP_ANONYMOUS),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAP_SHARED, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENODEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	filter(code, ARRAY_LEN(code));
}

int64_t slice_read(void *arg, int64_t offset, void *data, size_t len)
{
	const struct slice *s = arg;
	size_t left = (size_t)offset < s->len ? s->len - (size_t)offset : 0;

	len = len < left ? len : left;
	memcpy(data, s->ptr + offset, len);
	return (int64_t)len;
}
