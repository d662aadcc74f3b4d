/*
 * folder - the folder that mail has open
 *
 * Messages keep their number while the folder is open, whatever is deleted; marks say what quitting
 * does (quit.c).
 */
#include "applets/read/mail/folder.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "mime/address.h"
#include "mime/header.h"
#include "mime/word.h"
#include "mail/mailbox.h"
#include "mail/mbox/mbox_format.h"
#include "applets/read/mail/list.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/vars.h"

enum { HEADER_WINDOW = 65536, HEADER_STEP = 4096 };

/* main_cf_known - read it at the first call */
bool main_cf_known(struct mail_state *mail)
{
	char *error = NULL;

	if (mail->conf == 0) {
		mail->conf = conf_load(conf_dir(NULL), true, &error) == 0 ? 1 : -1;
		mem_free(error);
	}
	return mail->conf > 0;
}

/*
 * own_mailbox - $MAIL, else the mailbox of the user where main.cf has it delivered
 * (mail_spool_directory) when that was moved, else in /var/mail or /var/spool/mail
 */
static char *own_mailbox(struct mail_state *mail, const char *user)
{
	const char *env = getenv("MAIL");
	struct buf path = BUF_INIT;
	struct stat st;

	if (user == NULL && env != NULL && env[0] != '\0') {
		return mem_strdup(env);
	}
	if (main_cf_known(mail) && strcmp(param.mail_spool_directory, "/var/mail") != 0) {
		size_t len = strlen(param.mail_spool_directory);

		/* A directory that ends in a slash holds maildirs, whose own names have none. */
		buf_addf(&path, "%s%s%s", param.mail_spool_directory,
			len > 0 && param.mail_spool_directory[len - 1] == '/' ? "" : "/",
			user != NULL ? user : mail->user);
		return buf_steal(&path);
	}
	buf_addf(&path, "/var/spool/mail/%s", user != NULL ? user : mail->user);
	if (stat(buf_str(&path), &st) != 0 && stat("/var/spool/mail", &st) != 0) {
		buf_reset(&path);
		buf_addf(&path, "/var/mail/%s", user != NULL ? user : mail->user);
	}
	return buf_steal(&path);
}

/* put_path - as a location has it: from the root (a relative one would be in the home directory),
 * with what would be a variable doubled */
static void put_path(struct buf *location, const char *path)
{
	char here[4096];

	if (path[0] != '/' && getcwd(here, sizeof(here)) != NULL) {
		put_path(location, here);
		buf_addc(location, '/');
	}
	for (; *path != '\0'; path++) {
		if (*path == '%') {
			buf_addc(location, '%');
		}
		buf_addc(location, *path);
	}
}

/* open_store - a store whose INBOX is that file or maildir; its index stays in memory */
static struct mailstore *open_store(struct mail_state *mail, const char *path)
{
	struct mail_user user = {
		.name = mail->user, .home = mail->home, .uid = geteuid(), .gid = getegid()
	};
	struct buf location = BUF_INIT, sub = BUF_INIT;
	struct mailstore *store;
	struct stat st;
	char *error = NULL;

	buf_addf(&sub, "%s/cur", path);
	if (stat(buf_str(&sub), &st) == 0 && S_ISDIR(st.st_mode)) {
		buf_adds(&location, "maildir:");
		put_path(&location, path);
	} else {
		buf_addf(&location, "mbox:%s/mail:INBOX=", mail->home);
		put_path(&location, path);
	}
	buf_adds(&location, ":INDEX=MEMORY");
	user.mail_location = buf_str(&location);
	store = mailstore_open(&user, &error);
	if (store != NULL) {
		mailstore_status_only(store);
	} else {
		fprintf(stderr, "%s: %s\n", path, error);
		mem_free(error);
	}
	buf_free(&location);
	buf_free(&sub);
	return store;
}

/* stored_head - the beginning of a message of an mbox, From_ line first; false: none, or no mbox */
static bool stored_head(struct mail_state *mail, unsigned n, struct buf *out)
{
	while (out->len < HEADER_WINDOW) {
		int64_t got = mailbox_stored(
			mail->view, n, out->len, buf_reserve(out, HEADER_STEP), HEADER_STEP);

		if (got <= 0) {
			break;
		}
		buf_added(out, (size_t)got);
		if (strstr(buf_str(out), "\n\n") != NULL ||
			strstr(buf_str(out), "\n\r\n") != NULL) {
			break;
		}
	}
	return out->len > 0;
}

/* was_listed - Status: O says that a mail program showed it in a list before */
static bool was_listed(struct mail_state *mail, unsigned n)
{
	struct buf head = BUF_INIT;
	struct mime_field field;
	bool listed = false;

	if (stored_head(mail, n, &head)) {
		size_t from = strcspn(buf_str(&head), "\n");
		struct slice rest = { buf_str(&head) + from, head.len - from };

		rest.ptr += rest.len > 0;
		rest.len -= rest.len > 0;
		listed = mime_field_find(rest, "Status", &field) &&
			memchr(field.value.ptr, 'O', field.value.len) != NULL;
	}
	buf_free(&head);
	return listed;
}

/* know_messages - what the session keeps about messages from number n on */
static void know_messages(struct mail_state *mail, unsigned n)
{
	mail->messages = mem_realloc(mail->messages, (mail->count + 1) * sizeof(*mail->messages));
	for (; n <= mail->count; n++) {
		mail->messages[n] = (struct message){ .marks = 0 };
		mail->messages[n].old = (mailbox_info(mail->view, n)->flags & MAIL_SEEN) == 0 &&
			mailbox_recent(mail->view, n) && was_listed(mail, n);
	}
}

/* folder_follow - what was appended gets the numbers behind the last */
unsigned folder_follow(struct mail_state *mail)
{
	unsigned before = mail->count;

	if (mail->view == NULL || mailbox_view_sync(mail->view, false, NULL) != 0 ||
		mailbox_count(mail->view) <= before) {
		return 0;
	}
	mail->count = mailbox_count(mail->view);
	know_messages(mail, before + 1);
	return mail->count - before;
}

/* first_current - the dot at the start: the first new message, else the first unread, else the last
 */
static unsigned first_current(struct mail_state *mail)
{
	for (unsigned n = 1; n <= mail->count; n++) {
		if (folder_new(mail, n)) {
			return n;
		}
	}
	for (unsigned n = 1; n <= mail->count; n++) {
		if (folder_unread(mail, n)) {
			return n;
		}
	}
	return mail->count;
}

/* say_store_error - what the store says; the path in front where it does not name it */
static void say_store_error(const char *path, const char *error)
{
	bool named = strstr(error, path) != NULL;

	fprintf(stderr, "%s%s%s\n", named ? "" : path, named ? "" : ": ", error);
}

/* open_view - 0 with both set, or -1 and said */
static int open_view(struct mail_state *mail, const char *path, bool read_only,
	struct mailstore **store_r, struct mailbox_view **view_r)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	*store_r = open_store(mail, path);
	if (*store_r == NULL) {
		return -1;
	}
	*view_r = mailbox_open(*store_r, "INBOX", read_only);
	if (*view_r == NULL) {
		say_store_error(path, mailstore_error(*store_r));
		mailstore_close(*store_r);
		return -1;
	}
	return 0;
}

/* open_path - the new one is open before the old one is closed */
static int open_path(struct mail_state *mail, const char *path, bool read_only)
{
	struct mailstore *store;
	struct mailbox_view *view;

	if (open_view(mail, path, read_only, &store, &view) != 0) {
		return -1;
	}
	folder_close(mail);
	mail->store = store;
	mail->view = view;
	mail->read_only = mailbox_read_only(view);
	mail->count = mailbox_count(view);
	know_messages(mail, 0);
	mem_free(mail->previous_path);
	mail->previous_path = mail->folder_path;
	mail->folder_path = mem_strdup(path);
	mail->current = first_current(mail);
	return 0;
}

/* own_there - is there mail in the user's own mailbox? 0; 1 or -1 and said */
static int own_there(struct mail_state *mail, const char *own, const char *user)
{
	struct stat st;
	bool is = stat(own, &st) == 0;

	if (is && !(S_ISREG(st.st_mode) && st.st_size == 0)) {
		return 0;
	}
	if (!is && errno != ENOENT) {
		fprintf(stderr, "%s: %s\n", own, strerror(errno));
		return -1;
	}
	fprintf(stderr, "No mail for %s%s\n", user != NULL ? user : mail->user,
		user != NULL && getpwnam(user) == NULL ? " (the system has no such user)" : "");
	return 1;
}

/* folder_open - a path, or the own mailbox of a user */
int folder_open(struct mail_state *mail, const char *path, const char *user, bool read_only)
{
	char *own = path == NULL ? own_mailbox(mail, user) : NULL;
	int result = own != NULL ? own_there(mail, own, user) : 0;

	if (result == 0) {
		result = open_path(mail, own != NULL ? own : path, read_only);
		mail->system_box = result == 0 ? own != NULL : mail->system_box;
		if (result == 0 && own != NULL && mail->count == 0) {
			fprintf(stderr, "No mail for %s\n", user != NULL ? user : mail->user);
			result = 1;
		}
	}
	mem_free(own);
	return result;
}

/* folder_can_open - open it for a moment */
bool folder_can_open(struct mail_state *mail, const char *path)
{
	char *own = path == NULL ? own_mailbox(mail, NULL) : NULL;
	const char *to = own != NULL ? own : path;
	struct mailstore *store;
	struct mailbox_view *view;
	bool can = (own == NULL || own_there(mail, own, NULL) == 0) &&
		open_view(mail, to, true, &store, &view) == 0;

	if (can) {
		mailbox_close(view);
		mailstore_close(store);
	}
	mem_free(own);
	return can;
}

bool folder_new(struct mail_state *mail, unsigned n)
{
	return folder_unread(mail, n) && mailbox_recent(mail->view, n) && !mail->messages[n].old &&
		(mail->messages[n].marks & MARK_UNREAD) == 0;
}

/* folder_unread - marks of the session first, then the mailbox */
bool folder_unread(struct mail_state *mail, unsigned n)
{
	unsigned marks = mail->messages[n].marks;

	if (marks & MARK_UNREAD) {
		return true;
	}
	return (marks & MARK_READ) == 0 && (mailbox_info(mail->view, n)->flags & MAIL_SEEN) == 0;
}

/* folder_banner - the name and how many messages of each kind */
void folder_banner(struct mail_state *mail)
{
	unsigned fresh = 0, unread = 0, deleted = 0;

	for (unsigned n = 1; n <= mail->count; n++) {
		deleted += (mail->messages[n].marks & MARK_DELETED) != 0;
		fresh += folder_new(mail, n);
		unread += folder_unread(mail, n);
	}
	printf("\"%s\": %u message%s", mail->folder_path, mail->count, mail->count == 1 ? "" : "s");
	if (fresh > 0) {
		printf(" %u new", fresh);
	}
	if (unread > fresh) {
		printf(" %u unread", unread);
	}
	if (deleted > 0) {
		printf(" %u deleted", deleted);
	}
	printf("%s\n", mail->read_only ? " [Read only]" : "");
}

/* folder_close - nothing is written */
void folder_close(struct mail_state *mail)
{
	if (mail->view != NULL) {
		mailbox_close(mail->view);
		mailstore_close(mail->store);
		mail->view = NULL;
		mail->store = NULL;
	}
	mem_free(mail->messages);
	mail->messages = NULL;
	mail->count = mail->current = 0;
}

/* folder_next - skip what is deleted */
unsigned folder_next(struct mail_state *mail, unsigned n, int by)
{
	for (n += (unsigned)by; n >= 1 && n <= mail->count; n += (unsigned)by) {
		if ((mail->messages[n].marks & MARK_DELETED) == 0) {
			return n;
		}
	}
	return 0;
}

void folder_mark(struct mail_state *mail, const unsigned *list, unsigned set, unsigned clear)
{
	for (; *list != 0; list++) {
		mail->messages[*list].marks = (mail->messages[*list].marks | set) & ~clear;
		mail->current = *list;
	}
}

/* folder_flag - flags of the mailbox itself, at once */
void folder_flag(struct mail_state *mail, const unsigned *list, enum flag_op op, unsigned flag)
{
	for (; *list != 0; list++) {
		uint32_t uid = mailbox_info(mail->view, *list)->uid;

		mail->current = *list;
		(void)mailbox_store(mail->view, &uid, 1, op, flag, 0, ~(uint64_t)0, NULL, NULL);
	}
}

void folder_leave_deleted(struct mail_state *mail)
{
	unsigned n = folder_next(mail, mail->current, 1);

	n = n != 0 ? n : folder_next(mail, mail->current, -1);
	mail->current = n != 0 ? n : mail->current;
	mail->moved = false;
}

/* ---- Messages ---- */

/* open_text - NULL: it is gone, said */
static struct mail_text *open_text(struct mail_state *mail, unsigned n)
{
	struct mail_text *text = mail_open(mail->view, n);

	if (text == NULL) {
		fprintf(stderr, "%u: %s\n", n, mailstore_error(mail->store));
	}
	return text;
}

/* message_header - the header in out, up to a bound */
static bool message_header(struct mail_state *mail, unsigned n, struct buf *out)
{
	struct mail_text *text = open_text(mail, n);
	uint64_t offset = 0;

	while (text != NULL && offset < HEADER_WINDOW) {
		size_t len = HEADER_WINDOW;
		const char *data = mail_bytes(text, offset, &len);

		if (data == NULL || len == 0) {
			break;
		}
		buf_add(out, data, len);
		offset += len;
		if (strstr(buf_str(out), "\n\n") != NULL ||
			strstr(buf_str(out), "\n\r\n") != NULL) {
			break;
		}
	}
	if (text != NULL) {
		mail_close(text);
	}
	return text != NULL;
}

/* message_raw_field - the first of that name */
const char *message_raw_field(
	struct mail_state *mail, struct arena *a, unsigned n, const char *name)
{
	struct buf head = BUF_INIT, value = BUF_INIT;
	struct mime_field field;
	const char *result = "";

	if (message_header(mail, n, &head) &&
		mime_field_find((struct slice){ buf_str(&head), head.len }, name, &field)) {
		mime_unfold(&value, field.value);
		result = arena_strdup(a, buf_str(&value));
	}
	buf_free(&head);
	buf_free(&value);
	return result;
}

/* message_field - the same, decoded */
const char *message_field(struct mail_state *mail, struct arena *a, unsigned n, const char *name)
{
	const char *raw = message_raw_field(mail, a, n, name);
	struct buf text = BUF_INIT;
	const char *result;

	mime_words_decode(&text, slice_of(raw), NULL);
	result = arena_strdup(a, buf_str(&text));
	buf_free(&text);
	return result;
}

/* sender_of - for a From_ line that is made: of the one that is stored (stored), of Return-Path */
static const char *sender_of(
	struct mail_state *mail, struct arena *a, unsigned n, const char *stored)
{
	struct mime_address *path;
	struct slice rest = slice_of(stored), word;
	struct buf text = BUF_INIT;
	const char *sender = "";

	(void)slice_word(&rest, " \t");
	word = slice_word(&rest, " \t");
	if (word.ptr != NULL) {
		return arena_strndup(a, word.ptr, word.len);
	}
	path = mime_addresses(a, slice_of(message_raw_field(mail, a, n, "Return-Path")));
	if (path != NULL && path->mailbox != NULL && path->mailbox[0] != '\0') {
		mime_address_put(&text, path);
		sender = arena_strndup(a, buf_str(&text), strcspn(buf_str(&text), "\r\n"));
		buf_free(&text);
	}
	return sender[0] != '\0' ? sender : "MAILER-DAEMON";
}

/* message_from_line - as stored, or made of the sender and the time of arrival */
const char *message_from_line(struct mail_state *mail, struct arena *a, unsigned n)
{
	struct buf head = BUF_INIT;
	const char *line = "";
	char date[DATE_SIZE];
	time_t when;

	if (stored_head(mail, n, &head)) {
		line = arena_strndup(a, buf_str(&head), strcspn(buf_str(&head), "\r\n"));
	}
	buf_free(&head);
	/* One without a date counts only for what stands around it; a maildir has none. */
	if (!mbox_is_from(line, strlen(line), &when)) {
		const char *sender = sender_of(mail, a, n, line);

		date_asctime(date, mailbox_info(mail->view, n)->received);
		line = arena_printf(a, "From %s  %s", sender, date);
	}
	return line;
}

/* message_from - of From, else of the From_ line */
const char *message_from(struct mail_state *mail, struct arena *a, unsigned n, bool bare)
{
	const char *raw = message_raw_field(mail, a, n, "From");
	struct mime_address *address;
	struct buf text = BUF_INIT;
	const char *result;

	if (raw[0] == '\0') { /* the sender of the From_ line */
		struct slice line = slice_of(message_from_line(mail, a, n));

		(void)slice_word(&line, " \t");
		line = slice_word(&line, " \t");
		return line.ptr != NULL ? arena_strndup(a, line.ptr, line.len) : "";
	}
	address = mime_addresses(a, slice_of(raw));
	if (address == NULL || address->mailbox == NULL) {
		return raw;
	}
	if (!bare && var_on(mail, "showname") && address->name != NULL &&
		address->name[0] != '\0') {
		mime_words_decode(&text, slice_of(address->name), NULL);
	} else {
		list_put_address(&text, address);
	}
	result = arena_strdup(a, buf_str(&text));
	buf_free(&text);
	return result;
}

/* message_text - all of it or nothing */
bool message_text(struct mail_state *mail, unsigned n, struct buf *out)
{
	struct mail_text *text = open_text(mail, n);
	uint64_t offset = 0;
	bool whole;

	if (text == NULL) {
		return false;
	}
	for (;;) {
		size_t len = 65536;
		const char *data = mail_bytes(text, offset, &len);

		if (data == NULL || len == 0) {
			break;
		}
		offset += len;
		for (size_t i = 0; i < len;) { /* CRLF to LF */
			const char *cr = memchr(data + i, '\r', len - i);
			size_t end = cr != NULL ? (size_t)(cr - data) : len;

			buf_add(out, data + i, end - i);
			if (cr != NULL && (end + 1 == len || data[end + 1] != '\n')) {
				buf_addc(out, '\r');
			}
			i = end + 1;
		}
	}
	/* What is not read to its end must not be taken for the message: that may be removed. */
	whole = offset == mail_size(text);
	if (!whole) {
		fprintf(stderr, "%u: %s\n", n, mailstore_error(mail->store));
	}
	mail_close(text);
	return whole;
}

/* message_size - as stored, else of the text */
void message_size(struct mail_state *mail, unsigned n, unsigned long *lines, unsigned long *bytes)
{
	char data[16384];
	struct buf text = BUF_INIT;
	int64_t got;

	*lines = *bytes = 0;
	while ((got = mailbox_stored(mail->view, n, *bytes, data, sizeof(data))) > 0) {
		*bytes += (unsigned long)got;
		for (int64_t i = 0; i < got; i++) {
			*lines += data[i] == '\n';
		}
	}
	if (*bytes == 0 && message_text(mail, n, &text)) {
		*bytes = text.len;
		for (size_t i = 0; i < text.len; i++) {
			*lines += text.data[i] == '\n';
		}
	}
	buf_free(&text);
}
