/*
 * send - make the message and give it to sendmail
 *
 * Text that is ASCII goes as 7bit, UTF-8 as 8bit (quoted-printable where lines are too long), other
 * bytes as they are with charset unknown-8bit; text with NULs as application/octet-stream in
 * base64. A message that sendmail does not take is kept in ~/dead.letter.
 *
 * RFC 5322, RFC 2045 to 2047.
 */
#include "mail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/date.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "mime/address.h"
#include "mime/charset.h"
#include "mime/transfer.h"
#include "mime/word.h"

enum { RECIPIENTS_MAX = 10000, ALIAS_DEPTH = 20, ATTACHMENT_MAX = 1 << 28, LINE_MAX_7BIT = 998 };

static const char user_agent[] = "Heirloom mailx 12.4 7/29/08";

void list_add(struct buf *list, const char *addresses)
{
	struct slice trimmed = slice_trim(slice_of(addresses));

	if (trimmed.len > 0) {
		if (list->len > 0) {
			buf_adds(list, ", ");
		}
		buf_add(list, trimmed.ptr, trimmed.len);
	}
}

/* expand_into - aliases of the rc file replaced, into another list */
static void expand_into(struct buf *out, const char *list, int depth)
{
	struct arena a = ARENA_INIT;
	struct buf text = BUF_INIT;
	int left = RECIPIENTS_MAX;

	/* Heirloom separates bare names by blanks as well as commas. */
	if (strpbrk(list, ",<\"(") == NULL) {
		struct slice rest = slice_of(list), word;

		while ((word = slice_word(&rest, " \t")).ptr != NULL) {
			buf_addf(
				&text, "%s%.*s", text.len > 0 ? ", " : "", (int)word.len, word.ptr);
		}
	} else {
		buf_adds(&text, list);
	}
	for (struct mime_address *m = mime_addresses(&a, slice_of(buf_str(&text)));
		m != NULL && left-- > 0; m = m->next) {
		const char *members = NULL;
		struct buf one = BUF_INIT;

		if (m->mailbox == NULL || m->mailbox[0] == '\0' || mime_address_is_group(m)) {
			continue;
		}
		if ((m->domain == NULL || m->domain[0] == '\0') && depth < ALIAS_DEPTH) {
			members = hash_get(&G.aliases, m->mailbox);
		}
		if (members != NULL && strcmp(members, m->mailbox) != 0) {
			expand_into(out, members, depth + 1);
			continue;
		}
		if (m->name != NULL && m->name[0] != '\0') {
			mime_words_encode(&one, slice_of(m->name), 10, true);
			buf_adds(&one, " <");
		}
		if (m->domain != NULL && m->domain[0] != '\0') {
			mime_address_put(&one, m);
		} else {
			buf_adds(&one, m->mailbox);
		}
		if (m->name != NULL && m->name[0] != '\0') {
			buf_addc(&one, '>');
		}
		list_add(out, buf_str(&one));
		buf_free(&one);
	}
	buf_free(&text);
	arena_free(&a);
}

/* ---- The text ---- */

struct traits {
	bool ascii, utf8, nul, long_lines;
};

static struct traits traits_of(const char *data, size_t len)
{
	struct traits t = { .ascii = true };
	size_t line = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		line = c == '\n' ? 0 : line + 1;
		t.long_lines |= line > LINE_MAX_7BIT;
		t.nul |= c == 0;
		t.ascii &= c < 128;
	}
	t.utf8 = utf8_valid(data, len);
	return t;
}

static void put_encoded(struct buf *out, enum mime_encoding encoding, const char *data, size_t len)
{
	struct mime_encoder e;

	mime_encode_init(&e, encoding);
	mime_encode(&e, data, len, out);
	mime_encode_end(&e, out);
	if (out->len > 0 && out->data[out->len - 1] != '\n') {
		buf_addc(out, '\n');
	}
}

/* put_text_part - Content-* headers, blank line, text */
static void put_text_part(struct buf *out, const char *data, size_t len)
{
	struct traits t = traits_of(data, len);

	if (t.nul) {
		buf_adds(out, "Content-Type: application/octet-stream\nContent-Transfer-Encoding: "
			      "base64\n\n");
		put_encoded(out, MIME_BASE64, data, len);
		return;
	}
	buf_addf(out, "Content-Type: text/plain; charset=%s\n",
		t.ascii ? "us-ascii" : t.utf8 ? "utf-8" : "unknown-8bit");
	if (t.long_lines) {
		buf_adds(out, "Content-Transfer-Encoding: quoted-printable\n\n");
		put_encoded(out, MIME_QP, data, len);
		return;
	}
	buf_addf(out, "Content-Transfer-Encoding: %s\n\n", t.ascii ? "7bit" : "8bit");
	put_encoded(out, MIME_8BIT, data, len);
}

static bool put_attachment(struct buf *out, const char *path)
{
	const char *base = strrchr(path, '/');
	struct buf name = BUF_INIT;
	struct traits t;
	size_t len = 0;
	char *data = file_read(path, ATTACHMENT_MAX, &len);

	if (data == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	t = traits_of(data, len);
	mime_words_encode(&name, slice_of(base != NULL ? base + 1 : path), 40, true);
	if (!t.nul && t.ascii && !t.long_lines && memchr(data, '\r', len) == NULL) {
		buf_addf(out, "Content-Type: text/plain; "
			      "charset=us-ascii\nContent-Transfer-Encoding: 7bit\n");
	} else {
		buf_addf(out, "Content-Type: application/octet-stream\nContent-Transfer-Encoding: "
			      "base64\n");
		t.nul = true;
	}
	buf_addf(out, "Content-Disposition: attachment;\n filename=\"%s\"\n\n", buf_str(&name));
	put_encoded(out, t.nul ? MIME_BASE64 : MIME_7BIT, data, len);
	buf_free(&name);
	mem_free(data);
	return true;
}

/* ---- The message ---- */

static void put_list(struct buf *out, const char *name, const struct buf *list)
{
	if (list->len > 0) {
		buf_addf(out, "%s: %s\n", name, buf_str(list));
	}
}

static void put_headers(struct buf *out, struct draft *d, const char *boundary)
{
	char date[DATE_SIZE];

	date_rfc5322(date, time(NULL), false);
	buf_addf(out, "Date: %s\n", date);
	if (d->from != NULL || var_on("from")) {
		buf_addf(out, "From: %s\n", d->from != NULL ? d->from : var_get("from"));
	}
	put_list(out, "To", &d->to);
	put_list(out, "Cc", &d->cc);
	if (d->subject.len > 0) {
		buf_adds(out, "Subject: ");
		mime_words_encode(out, slice_of(buf_str(&d->subject)), 9, false);
		buf_addc(out, '\n');
	}
	if (var_on("replyto")) {
		buf_addf(out, "Reply-To: %s\n", var_get("replyto"));
	}
	put_list(out, "In-Reply-To", &d->in_reply_to);
	put_list(out, "References", &d->references);
	buf_addf(out, "User-Agent: %s\nMIME-Version: 1.0\n", user_agent);
	if (boundary != NULL) {
		buf_addf(out, "Content-Type: multipart/mixed;\n boundary=\"%s\"\n", boundary);
	}
}

/* make_message - false: an attachment cannot be read, said */
static bool make_message(struct buf *out, struct draft *d)
{
	char boundary[64];

	snprintf(boundary, sizeof(boundary), "=_%llx.%lx.mail", (unsigned long long)time(NULL),
		(unsigned long)getpid());
	put_headers(out, d, d->attachments != NULL ? boundary : NULL);
	if (d->attachments == NULL) {
		put_text_part(out, buf_str(&d->text), d->text.len);
		return true;
	}
	buf_addf(out, "\nThis is a multi-part message in MIME format.\n\n--%s\n", boundary);
	put_text_part(out, buf_str(&d->text), d->text.len);
	for (struct attachment *at = d->attachments; at != NULL; at = at->next) {
		buf_addf(out, "\n--%s\n", boundary);
		if (!put_attachment(out, at->path)) {
			return false;
		}
	}
	buf_addf(out, "\n--%s--\n", boundary);
	return true;
}

/* ---- Handing it over ---- */

/* exec_sendmail - in the child: variable sendmail, else this very program under that name */
static _Noreturn void exec_sendmail(const char *from, char *const *recipients, size_t count)
{
	const char *program = var_get("sendmail");
	char **argv = mem_calloc(count + 8, sizeof(*argv));
	size_t n = 0;

	argv[n++] = mem_strdup("sendmail");
	argv[n++] = mem_strdup("-i");
	if (from != NULL) {
		argv[n++] = mem_strdup("-f");
		argv[n++] = mem_strdup(from);
	}
	argv[n++] = mem_strdup("--");
	for (size_t i = 0; i < count; i++) {
		argv[n++] = recipients[i];
	}
	if (program != NULL && program[0] != '\0') {
		execvp(program, argv);
	} else {
		execv("/proc/self/exe", argv);
		execvp("sendmail", argv);	/* no /proc */
	}
	fprintf(stderr, "sendmail: %s\n", strerror(errno));
	_exit(EX_UNAVAILABLE);
}

int send_text(const struct buf *message, const char *from, char *const *recipients, size_t count)
{
	int ends[2], status = 0;
	pid_t pid;

	fflush(stdout);
	if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		perror("mail");
		return EX_OSERR;
	}
	if (pid == 0) {
		dup2(ends[0], 0);
		exec_sendmail(from, recipients, count);
	}
	close(ends[0]);
	(void)fd_write_all(ends[1], buf_str(message), message->len);
	close(ends[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
		continue;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

/* save_dead - append to ~/dead.letter and say so */
static void save_dead(const struct buf *message)
{
	struct buf path = BUF_INIT;
	int fd;

	buf_addf(&path, "%s/dead.letter", G.home);
	fd = open(buf_str(&path), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fd_write_all(fd, buf_str(message), message->len) == 0) {
		fprintf(stderr, "\"%s\" %zu bytes\n. . . message not sent.\n", buf_str(&path),
			message->len);
	} else {
		fprintf(stderr, "%s: %s\n. . . message not sent.\n", buf_str(&path),
			strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
	}
	buf_free(&path);
}

/* expand_list - replace a list by its expanded form */
static void expand_list(struct buf *list)
{
	struct buf out = BUF_INIT;

	expand_into(&out, buf_str(list), 0);
	buf_free(list);
	*list = out;
}

/* collect - the bare addresses of a list into recipients */
static size_t collect(struct arena *a, const struct buf *list, char **recipients, size_t count)
{
	for (struct mime_address *m = mime_addresses(a, slice_of(buf_str(list))); m != NULL;
		m = m->next) {
		struct buf one = BUF_INIT;

		if (m->mailbox == NULL || m->mailbox[0] == '\0' || count >= RECIPIENTS_MAX) {
			continue;
		}
		if (m->domain != NULL && m->domain[0] != '\0') {
			mime_address_put(&one, m);
		} else {
			buf_adds(&one, m->mailbox);
		}
		recipients[count++] = arena_strdup(a, buf_str(&one));
		buf_free(&one);
	}
	return count;
}

/* record - variable record: a copy of what was sent */
static void record(const struct buf *message)
{
	const char *name = var_get("record");
	char *path, date[DATE_SIZE];
	struct buf text = BUF_INIT;
	int fd;

	if (name == NULL || name[0] == '\0') {
		return;
	}
	path = path_expand(name);
	date_asctime(date, time(NULL));
	buf_addf(&text, "From %s %s\n", G.user, date);
	buf_add(&text, buf_str(message), message->len);
	buf_addc(&text, '\n');
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, buf_str(&text), text.len) != 0) {
		perror(path);
	}
	if (fd >= 0) {
		close(fd);
	}
	buf_free(&text);
	mem_free(path);
}

int send_draft(struct draft *d)
{
	struct buf message = BUF_INIT;
	struct arena a = ARENA_INIT;
	char **recipients = mem_calloc(RECIPIENTS_MAX, sizeof(*recipients));
	size_t count = 0;
	int status;

	expand_list(&d->to);
	expand_list(&d->cc);
	expand_list(&d->bcc);
	count = collect(&a, &d->to, recipients, count);
	count = collect(&a, &d->cc, recipients, count);
	count = collect(&a, &d->bcc, recipients, count);
	if (!make_message(&message, d)) {
		status = 1;
	} else if (count == 0) {
		fprintf(stderr, "No recipients specified\n");
		status = 1;
	} else {
		status = send_text(&message, d->from, recipients, count);
	}
	if (status != 0) {
		save_dead(&message);
	} else {
		record(&message);
	}
	mem_free(recipients);
	buf_free(&message);
	arena_free(&a);
	return status != 0;
}
