/*
 * fuzz_mailx - mail's commands, message lists, rc files and escapes; the letters it makes
 *
 * The input: a byte of flags, then in parts divided by "%%":
 *
 *	commands	a mailbox (empty: one of ours), an rc file, what is typed
 *	a letter	an rc file, To, Cc, Bcc, From, Subject, the text
 *
 * Every path leads into fuzz_dir(), nothing is run: path_of_folder(), path_of_file() and rc_read()
 * are wrapped by the linker (Makefile), fork(), popen() and pclose() are ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/transfer.h"
#include "applets/read/mail/command.h"
#include "applets/read/mail/compose/draft.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/list.h"
#include "applets/read/mail/msglist.h"
#include "applets/read/mail/quit.h"
#include "applets/read/mail/rc.h"
#include "applets/read/mail/save.h"
#include "applets/read/mail/compose/send.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"
#include "applets/read/mail/vars.h"
#include "fuzz.h"

enum {
	F_LETTER = 1,   /* flags: a letter, not commands */
	F_TERMINAL = 2, /* as if somebody typed */
	F_READ_ONLY = 4,
	RC_MAX = 20,
	LINES_CHECKED = 50
};

/* The session: one after the other, in one process. */
static struct mail_state mail;

static const char three[] =
	"From a@x.example Mon Jan  1 00:00:00 2024\n"
	"From: =?utf-8?q?=C3=84?= <a@x.example>\nTo: u@x, \"b, c\" <b@x>\nCc: c@x\n"
	"Subject: =?utf-8?q?one_=1B[2J?=\nMessage-ID: <1@x>\n\ntext\n\x1b[2J\n>From here\n\n"
	"From b@x.example Mon Jan  1 00:00:00 2024\n"
	"Subject: two\nContent-Type: multipart/mixed; boundary=b\nStatus: O\n\n"
	"--b\n\nplain\n--b\nContent-Type: text/html; name=\"x/../y.html\"\n\n<p>html</p>\n--b--\n\n"
	"From c@x.example Mon Jan  1 00:00:00 2024\n"
	"From: c@x\nReply-To: d@x\nSubject: three\nStatus: RO\n\nlast\n";

/* ---- What leads out of this process ---- */

char *__real_path_of_folder(struct mail_state *state, const char *name);
char *__wrap_path_of_folder(struct mail_state *state, const char *name);
char *__real_path_of_file(struct mail_state *state, const char *name);
char *__wrap_path_of_file(struct mail_state *state, const char *name);
bool __real_rc_read(struct mail_state *state, const char *path, bool quiet);
bool __wrap_rc_read(struct mail_state *state, const char *path, bool quiet);

static int rc_left;

/* inside - does the path stay in our directory? */
static bool inside(const char *path)
{
	size_t len = strlen(fuzz_dir());

	if (strstr(path, "..") != NULL) {
		return false;
	}
	return path[0] != '/' || (strncmp(path, fuzz_dir(), len) == 0 && path[len] == '/');
}

/* led_inside - the path, or one in our directory */
static char *led_inside(char *path)
{
	const char *slash;
	char *other;

	if (path == NULL || inside(path)) {
		return path;
	}
	slash = strrchr(path, '/');
	slash = slash != NULL && slash[1] != '\0' && strchr(slash, '.') == NULL ? slash + 1 : "out";
	other = mem_strdup(fuzz_path(slash));
	mem_free(path);
	return other;
}

char *__wrap_path_of_folder(struct mail_state *state, const char *name)
{
	return led_inside(__real_path_of_folder(state, name));
}

char *__wrap_path_of_file(struct mail_state *state, const char *name)
{
	return led_inside(__real_path_of_file(state, name));
}

/* A file that reads itself ten deep would take as long as it likes. */
bool __wrap_rc_read(struct mail_state *state, const char *path, bool quiet)
{
	return rc_left-- > 0 && __real_rc_read(state, path, quiet);
}

pid_t fork(void)
{
	errno = EAGAIN;
	return -1;
}

FILE *popen(const char *command, const char *type)
{
	(void)command;
	return fopen(type[0] == 'r' ? fuzz_put("output", "output\n", 7) : "/dev/null",
		type[0] == 'r' ? "re" : "we");
}

int pclose(FILE *from)
{
	return fclose(from);
}

/* ---- A session ---- */

struct session {
	unsigned flags;
	int home;        /* the working directory that libFuzzer needs again */
	FILE *out, *err; /* the real ones */
	char *text;      /* what was printed, on both */
	size_t len;
};

static void begin(struct session *s, unsigned flags)
{
	static const char *const on[] = { "append", "ask", "crt", "dot", "header", "hold", "keep",
		"quote", "save", "showname" };
	static unsigned number;
	char user[24];

	memset(s, 0, sizeof(*s));
	s->flags = flags;
	fuzz_clear();
	s->home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(s->home >= 0 && chdir(fuzz_dir()) == 0);
	memset(&mail, 0, sizeof(mail));
	snprintf(user, sizeof(user), "u%u", number++); /* mailboxes are remembered by user */
	mail.user = mem_strdup(user);
	mail.home = mem_strdup(fuzz_dir());
	mail.interactive = (flags & F_TERMINAL) != 0;
	mail.sending = (flags & F_LETTER) != 0;
	mail.conf = -1;
	mail.run_line = command_line;
	setenv("MAIL", fuzz_path("own"), 1);
	setenv("LANG", "C.UTF-8", 1);
	for (size_t i = 0; i < ARRAY_LEN(on); i++) {
		var_set(&mail, on[i], "");
	}
	hash_set(&mail.ignored, "received", &mail.ignored);
	var_set(&mail, "indentprefix", "> ");
	rc_left = RC_MAX;
	s->out = stdout;
	s->err = stderr;
	stdout = stderr = open_memstream(&s->text, &s->len);
	REQUIRE(stdout != NULL);
}

/* printed - all that was printed so far */
static struct slice printed(struct session *s)
{
	fflush(stdout);
	return (struct slice){ s->text, s->len };
}

static void end(struct session *s)
{
	folder_close(&mail);
	fclose(stdout);
	stdout = s->out;
	stderr = s->err;
	free(s->text);
	if (mail.in != NULL) {
		fclose(mail.in);
	}
	state_free(&mail);
	REQUIRE(fchdir(s->home) == 0);
	close(s->home);
}

/* failed_here - REQUIRE's words must be seen */
#define HOLDS(s, cond)                                          \
	do {                                                    \
		if (!(cond)) {                                  \
			stderr = (s)->err;                      \
			fuzz_failed(__FILE__, __LINE__, #cond); \
		}                                               \
	} while (0)

/* take_part - without its last line end */
static struct slice take_part(struct slice *rest)
{
	struct slice part = fuzz_part(rest);

	part.len -= part.len > 0 && part.ptr[part.len - 1] == '\n';
	return part;
}

/* ---- Commands ---- */

/* check_lists - each line as a message list: in order, none twice, none that is not there */
static void check_lists(struct session *s, struct slice text)
{
	struct slice line;

	for (int i = 0; i < LINES_CHECKED && (line = slice_word(&text, "\n")).ptr != NULL; i++) {
		char *words = mem_strndup(line.ptr, line.len);
		unsigned *list = msglist_parse(&mail, words, i % 2 == 1);

		HOLDS(s, list == NULL || list[0] != 0);
		for (const unsigned *n = list; n != NULL && *n != 0; n++) {
			HOLDS(s, *n <= mail.count && n[0] != n[1] && (n[1] == 0 || n[1] > n[0]));
		}
		mem_free(list);
		mem_free(words);
	}
}

/* is_safe - nothing in it drives a terminal */
static bool is_safe(struct slice text)
{
	size_t size;

	for (size_t i = 0; i < text.len; i += size) {
		int32_t code = utf8_get(text.ptr + i, text.len - i, &size);

		if (code < 0 || (!terminal_safe(code) && code != '\n' && code != '\t')) {
			return false;
		}
	}
	return true;
}

/* may_print - can it print bytes as they are? What was typed so, or is read as an rc file. */
static bool may_print(struct slice typed)
{
	return typed.len > 0 && (memmem(typed.ptr, typed.len, "so", 2) != NULL || !is_safe(typed));
}

static unsigned reopen(struct session *s, const char *path)
{
	folder_close(&mail);
	HOLDS(s, folder_open(&mail, path, NULL, true) == 0);
	return mail.count;
}

/* check_saved - what is saved is as many messages again, each with its subject */
static void check_saved(struct session *s)
{
	unsigned *list = mem_calloc(mail.count + 1, sizeof(*list)), count = 0;
	const char **subjects = mem_calloc(mail.count + 1, sizeof(*subjects));
	char *path = mem_strdup(fuzz_path("kept"));
	struct arena a = ARENA_INIT;

	(void)unlink(path);
	for (unsigned n = 1; n <= mail.count; n++) {
		struct buf text = BUF_INIT;

		if (message_text(&mail, n, &text)) {
			subjects[count] = message_field(&mail, &a, n, "Subject");
			list[count++] = n;
		}
		buf_free(&text);
	}
	if (count > 0 && save_messages(&mail, path, list, true, true)) {
		HOLDS(s, reopen(s, path) == count);
		for (unsigned n = 1; n <= count; n++) {
			HOLDS(s,
				strcmp(subjects[n - 1], message_field(&mail, &a, n, "Subject")) ==
					0);
		}
	}
	arena_free(&a);
	mem_free(path);
	mem_free(subjects);
	mem_free(list);
}

/* check_kept - quitting takes out what was deleted, and nothing else */
static void check_kept(struct session *s)
{
	char *path = mem_strdup(mail.folder_path);
	unsigned kept = mail.count;

	for (unsigned n = 1; n <= mail.count; n++) {
		kept -= (mail.messages[n].marks & MARK_DELETED) != 0 && !mail.exit_now &&
			!mail.read_only;
	}
	folder_quit(&mail, mail.exit_now);
	if (kept > 0 && !mail.system_box) {
		HOLDS(s, reopen(s, path) >= kept);
		check_saved(s);
	}
	mem_free(path);
}

static void take_input(struct session *s, struct slice typed)
{
	mail.in = fopen(fuzz_put("typed", typed.ptr, typed.len), "re");
	HOLDS(s, mail.in != NULL);
}

static void commands(struct session *s, struct slice rest)
{
	struct slice box = take_part(&rest), rc = fuzz_part(&rest);
	char *path = mem_strdup(fuzz_put(
		"inbox", box.len > 0 ? box.ptr : three, box.len > 0 ? box.len : sizeof(three) - 1));

	take_input(s, rest);
	(void)rc_read(&mail, fuzz_put("rc", rc.ptr, rc.len), false);
	if (folder_open(&mail, path, NULL, (s->flags & F_READ_ONLY) != 0) == 0) {
		check_lists(s, rest);
		commands_run(&mail);
		if (!may_print(rest) && is_safe(rc) && !var_on(&mail, "debug")) {
			HOLDS(s, is_safe(printed(s)));
		}
		if (mail.view != NULL) {
			check_kept(s);
		}
	}
	mem_free(path);
}

/* ---- A letter ---- */

/* check_body - the text comes back */
static void check_body(
	struct session *s, struct slice body, const char *encoding, const struct buf *text)
{
	struct mime_decoder d;
	struct buf got = BUF_INIT;

	mime_decode_init(&d, mime_encoding_parse(slice_of(encoding)));
	mime_decode(&d, body.ptr, body.len, &got);
	mime_decode_end(&d, &got);
	HOLDS(s, got.len >= text->len && got.len <= text->len + 1);
	HOLDS(s, text->len == 0 || memcmp(got.data, text->data, text->len) == 0);
	buf_free(&got);
}

/* check_letter - each field is one of ours and there once */
static void check_letter(struct session *s, struct slice letter, const struct buf *text)
{
	static const char *const names[] = { "Date", "From", "To", "Cc", "Subject", "Reply-To",
		"User-Agent", "MIME-Version", "Content-Type", "Content-Transfer-Encoding" };
	char encoding[40] = "";
	struct mime_field f;
	size_t at = 0;

	while (mime_field_next(&letter, &f)) {
		while (at < ARRAY_LEN(names) && !slice_ieq(f.name, names[at])) {
			at++;
		}
		HOLDS(s, at++ < ARRAY_LEN(names));
		HOLDS(s, memchr(f.raw.ptr, '\r', f.raw.len) == NULL);
	}
	HOLDS(s, at == ARRAY_LEN(names) && letter.len > 0 && letter.ptr[0] == '\n');
	HOLDS(s, f.value.len < sizeof(encoding));
	memcpy(encoding, f.value.ptr, f.value.len);
	check_body(s, (struct slice){ letter.ptr + 1, letter.len - 1 }, encoding, text);
}

/* take_list - a part as an address list, which a caller may have from anywhere */
static void take_list(struct buf *list, struct slice *rest)
{
	struct slice part = take_part(rest);
	char *text = mem_strndup(part.ptr, part.len);

	list_add(list, text);
	mem_free(text);
}

static void letter(struct session *s, struct slice rest)
{
	struct slice rc = fuzz_part(&rest), part;
	struct draft d = { .from = NULL };
	struct buf text = BUF_INIT;
	const char *begins;
	size_t before;

	take_input(s, SLICE_LIT(""));
	(void)rc_read(&mail, fuzz_put("rc", rc.ptr, rc.len), false);
	take_list(&d.to, &rest);
	take_list(&d.cc, &rest);
	take_list(&d.bcc, &rest);
	part = take_part(&rest);
	if (part.len > 0) {
		d.from = mem_strndup(part.ptr, part.len);
	}
	part = take_part(&rest);
	buf_add(&d.subject, part.ptr, strnlen(part.ptr, part.len));
	buf_add(&d.text, rest.ptr, rest.len);
	buf_add(&text, rest.ptr, rest.len);
	var_set(&mail, "debug", ""); /* it is shown and not sent */
	mem_free(hash_del(&mail.vars, "ttycharset"));
	before = printed(s).len;
	if (send_draft(&mail, &d) == 0) {
		begins = memmem(s->text + before, printed(s).len - before, "\n\nDate: ", 8);
		HOLDS(s, begins != NULL);
		check_letter(s,
			(struct slice){ begins + 2, s->len - (size_t)(begins + 2 - s->text) },
			&text);
	}
	buf_free(&text);
	draft_free(&d);
}

void fuzz(const char *data, size_t len)
{
	struct session s;
	struct slice rest = { data + 1, len - 1 };

	if (len == 0) {
		return;
	}
	begin(&s, (unsigned char)data[0]);
	if (s.flags & F_LETTER) {
		letter(&s, rest);
	} else {
		commands(&s, rest);
	}
	end(&s);
}
