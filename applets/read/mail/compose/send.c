/*
 * send - make the message and give it to sendmail
 *
 * Text that is ASCII goes as 7bit, UTF-8 as 8bit (quoted-printable where lines are too long), other
 * bytes as they are with charset unknown-8bit; text with NULs as application/octet-stream in
 * base64. A message that sendmail does not take is kept in ~/dead.letter.
 *
 * RFC 5322, RFC 2045 to 2047.
 */
#include "applets/read/mail/compose/send.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "mime/address.h"
#include "mime/charset.h"
#include "mime/transfer.h"
#include "mime/word.h"
#include "applets/read/mail/compose/draft.h"
#include "applets/read/mail/list.h"
#include "applets/read/mail/path.h"
#include "applets/read/mail/compose/recipients.h"
#include "applets/read/mail/save.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"
#include "applets/read/mail/vars.h"

enum { ATTACHMENT_MAX = 1 << 28, LINE_MAX_7BIT = 998 };

static const char user_agent[] = "Heirloom mailx 12.4 7/29/08";

/* ---- The text ---- */

struct traits {
	bool ascii, utf8, nul, long_lines;
};

/* traits_of - what the encoding depends on */
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

/* put_encoded - with a line end behind */
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
		buf_adds(out,
			"Content-Type: application/octet-stream\nContent-Transfer-Encoding: "
			"base64\n\n");
		put_encoded(out, MIME_BASE64, data, len);
		return;
	}
	buf_addf(out, "Content-Type: text/plain; charset=%s\n",
		t.ascii          ? "us-ascii"
			: t.utf8 ? "utf-8"
				 : "unknown-8bit");
	if (t.long_lines) {
		buf_adds(out, "Content-Transfer-Encoding: quoted-printable\n\n");
		put_encoded(out, MIME_QP, data, len);
		return;
	}
	buf_addf(out, "Content-Transfer-Encoding: %s\n\n", t.ascii ? "7bit" : "8bit");
	put_encoded(out, MIME_8BIT, data, len);
}

/* type_of_line - the type on a line of mime.types when it lists that ending; NULL */
static char *type_of_line(const char *line, const char *ending)
{
	struct slice rest = slice_of(line), type, word;

	rest.len = strcspn(line, "#\r\n");
	type = slice_word(&rest, " \t");
	while (type.ptr != NULL && (word = slice_word(&rest, " \t")).ptr != NULL) {
		if (slice_ieq(word, ending)) {
			return mem_strndup(type.ptr, type.len);
		}
	}
	return NULL;
}

/* type_of_file - the type for an ending; NULL: none, or no such file */
static char *type_of_file(const char *path, const char *ending)
{
	FILE *file = fopen(path, "re");
	char line[1024], *type = NULL;

	while (file != NULL && type == NULL && fgets(line, sizeof(line), file) != NULL) {
		type = type_of_line(line, ending);
	}
	if (file != NULL) {
		fclose(file);
	}
	return type;
}

/* type_by_name - of ~/.mime.types, /etc/mime.types, else of the few that everybody sends; NULL */
static char *type_by_name(struct mail_state *mail, const char *name)
{
	static const char common[][26] = { "application/pdf pdf", "application/zip zip",
		"application/gzip gz tgz", "application/json json", "application/xml xml",
		"image/png png", "image/jpeg jpg jpeg", "image/gif gif", "image/svg+xml svg",
		"text/html html htm", "text/csv csv", "message/rfc822 eml" };
	const char *dot = strrchr(name, '.');
	char *own = path_of_file(mail, "~/.mime.types"), *type;

	if (dot == NULL || dot[1] == '\0') {
		mem_free(own);
		return NULL;
	}
	type = type_of_file(own, dot + 1);
	type = type != NULL ? type : type_of_file("/etc/mime.types", dot + 1);
	for (size_t i = 0; type == NULL && i < ARRAY_LEN(common); i++) {
		type = type_of_line(common[i], dot + 1);
	}
	mem_free(own);
	return type;
}

/* put_type - the header of an attachment; base64 or not */
static bool put_type(
	struct mail_state *mail, struct buf *out, const char *name, const char *data, size_t len)
{
	struct traits t = traits_of(data, len);
	bool text = !t.nul && t.utf8 && memchr(data, '\r', len) == NULL;
	char *type = type_by_name(mail, name);
	bool message = type != NULL && str_ieq(type, "message/rfc822");

	if (type == NULL || (message && t.nul)) {
		mem_free(type);
		type = mem_strdup(text ? "text/plain" : "application/octet-stream");
		message = false;
	}
	buf_addf(out, "Content-Type: %s", type);
	text = text && str_istarts(type, "text/");
	if (text) {
		buf_addf(out, "; charset=%s", t.ascii ? "us-ascii" : "utf-8");
	}
	/* RFC 2046 5.2.1: a message may not be encoded. */
	text = message || (text && t.ascii && !t.long_lines);
	buf_addf(out, "\nContent-Transfer-Encoding: %s\n",
		!text             ? "base64"
			: t.ascii ? "7bit"
				  : "8bit");
	mem_free(type);
	return !text;
}

/* put_attachment - false: cannot be read, said */
static bool put_attachment(struct mail_state *mail, struct buf *out, const char *path)
{
	const char *base = strrchr(path, '/');
	struct buf name = BUF_INIT, clean = BUF_INIT;
	bool encode;
	size_t len = 0;
	char *data = file_read(path, ATTACHMENT_MAX, &len);

	if (data == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	for (const char *p = base != NULL ? base + 1 : path; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\') {
			buf_addc(&clean, '\\');
		}
		buf_addc(&clean, (unsigned char)*p < 32 ? '_' : *p);
	}
	mime_words_encode(&name, slice_of(buf_str(&clean)), 40, false);
	encode = put_type(mail, out, buf_str(&clean), data, len);
	buf_addf(out, "Content-Disposition: attachment;\n filename=\"%s\"\n\n", buf_str(&name));
	put_encoded(out, encode ? MIME_BASE64 : MIME_8BIT, data, len);
	buf_free(&name);
	buf_free(&clean);
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

/* put_headers - of a letter, up to Content-Type */
static void put_headers(
	struct mail_state *mail, struct buf *out, struct draft *d, const char *boundary)
{
	char date[DATE_SIZE];

	date_rfc5322(date, time(NULL), false);
	buf_addf(out, "Date: %s\n", date);
	if (d->from != NULL || var_on(mail, "from")) {
		struct buf from = BUF_INIT;

		recipients_encode(mail, &from, d->from != NULL ? d->from : var_get(mail, "from"));
		put_list(out, "From", &from);
		buf_free(&from);
	}
	put_list(out, "To", &d->to);
	put_list(out, "Cc", &d->cc);
	if (d->subject.len > 0) {
		buf_adds(out, "Subject: ");
		mime_words_encode(out, slice_of(buf_str(&d->subject)), 9, false);
		buf_addc(out, '\n');
	}
	if (var_on(mail, "replyto")) {
		buf_addf(out, "Reply-To: %s\n", var_get(mail, "replyto"));
	}
	put_list(out, "In-Reply-To", &d->in_reply_to);
	put_list(out, "References", &d->references);
	buf_addf(out, "User-Agent: %s\nMIME-Version: 1.0\n", user_agent);
	if (boundary != NULL) {
		buf_addf(out, "Content-Type: multipart/mixed;\n boundary=\"%s\"\n", boundary);
	}
}

/* make_message - false: an attachment cannot be read, said */
static bool make_message(struct mail_state *mail, struct buf *out, struct draft *d)
{
	char boundary[64];

	snprintf(boundary, sizeof(boundary), "=_%llx.%lx.mail", (unsigned long long)time(NULL),
		(unsigned long)getpid());
	put_headers(mail, out, d, d->attachments != NULL ? boundary : NULL);
	if (d->attachments == NULL) {
		put_text_part(out, buf_str(&d->text), d->text.len);
		return true;
	}
	buf_addf(out, "\nThis is a multi-part message in MIME format.\n\n--%s\n", boundary);
	put_text_part(out, buf_str(&d->text), d->text.len);
	for (struct attachment *at = d->attachments; at != NULL; at = at->next) {
		buf_addf(out, "\n--%s\n", boundary);
		if (!put_attachment(mail, out, at->path)) {
			return false;
		}
	}
	buf_addf(out, "\n--%s--\n", boundary);
	return true;
}

/* ---- Handing it over ---- */

/* exec_sendmail - in the child: variable sendmail, else this very program under that name */
static _Noreturn void exec_sendmail(
	struct mail_state *mail, const char *from, char *const *recipients, size_t count)
{
	const char *program = var_get(mail, "sendmail");
	char **argv = mem_calloc(count + 8, sizeof(*argv));
	size_t n = 0;

	argv[n++] = mem_strdup("sendmail");
	argv[n++] = mem_strdup("-i");
	if (var_on(mail, "verbose")) {
		argv[n++] = mem_strdup("-v");
	}
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
		execvp("sendmail", argv); /* no /proc */
	}
	fprintf(stderr, "sendmail: %s\n", strerror(errno));
	_exit(EX_UNAVAILABLE);
}

/* send_text - to sendmail on a pipe. 0, or what sendmail ended with */
static int send_text(struct mail_state *mail, const struct buf *message, const char *from,
	char *const *recipients, size_t count)
{
	/* A sendmail that ends before it has read all must not end us: the letter is to be kept. */
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	int ends[2], status = 0;
	pid_t pid;

	fflush(stdout);
	if (pipe2(ends, O_CLOEXEC) != 0) {
		perror("mail");
		return EX_OSERR;
	}
	pid = fork();
	if (pid < 0) {
		perror("mail");
		close(ends[0]);
		close(ends[1]);
		return EX_OSERR;
	}
	if (pid == 0) {
		dup2(ends[0], 0);
		exec_sendmail(mail, from, recipients, count);
	}
	close(ends[0]);
	sigaction(SIGPIPE, &ignore, &before);
	(void)fd_write_all(ends[1], buf_str(message), message->len);
	sigaction(SIGPIPE, &before, NULL);
	close(ends[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
		continue;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

/* save_dead - append to ~/dead.letter and say so */
static void save_dead(struct mail_state *mail, const struct buf *message)
{
	struct buf path = BUF_INIT;
	int fd;

	buf_addf(&path, "%s/dead.letter", mail->home);
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

/* collect - the bare addresses of a list into recipients, of which there may be most */
static size_t collect(
	struct arena *a, const struct buf *list, char **recipients, size_t count, size_t most)
{
	struct slice rest = slice_of(buf_str(list)), item;

	while (count < most && mime_list_next(&rest, &item)) {
		const char *text = arena_strndup(a, item.ptr, item.len);

		if (strpbrk(text, "<\"(") != NULL) {
			text = bare_address(a, text);
		}
		if (text[0] != '\0') {
			recipients[count++] = arena_strdup(a, text);
		}
	}
	return count;
}

/* record - variable record: a copy of what was sent */
static void record(struct mail_state *mail, const struct buf *message)
{
	const char *name = var_get(mail, "record");
	struct buf from_line = BUF_INIT;
	char *path, date[DATE_SIZE];

	if (name == NULL || name[0] == '\0') {
		return;
	}
	path = path_of_file(mail, name);
	date_asctime(date, time(NULL));
	buf_addf(&from_line, "From %s %s", mail->user, date);
	if (path != NULL) {
		(void)save_letter(path, buf_str(&from_line), message);
	}
	buf_free(&from_line);
	mem_free(path);
}

/* say_message - -d: what would be sent, and to whom */
static void say_message(const struct buf *message, char *const *recipients, size_t count)
{
	printf("sendmail -i --");
	for (size_t i = 0; i < count; i++) {
		printf(" %s", recipients[i]);
	}
	printf("\n\n");
	fwrite(buf_str(message), 1, message->len, stdout);
}

/* hand_over - to the recipients of d; the exit status of sendmail, 1: nobody to send to */
static int hand_over(struct mail_state *mail, const struct buf *message, struct draft *d)
{
	struct arena a = ARENA_INIT;
	/* No element is shorter than itself and a comma. */
	size_t most = (d->to.len + d->cc.len + d->bcc.len) / 2 + 3;
	char **recipients = mem_calloc(most, sizeof(*recipients));
	size_t count = collect(&a, &d->to, recipients, 0, most);
	int status;

	count = collect(&a, &d->cc, recipients, count, most);
	count = collect(&a, &d->bcc, recipients, count, most);
	if (count == 0) {
		fprintf(stderr, "No recipients specified\n");
		status = 1;
	} else if (var_on(mail, "debug")) {
		say_message(message, recipients, count);
		status = 0;
	} else {
		status = send_text(mail, message,
			d->from != NULL ? bare_address(&a, d->from) : NULL, recipients, count);
	}
	mem_free(recipients);
	arena_free(&a);
	return status;
}

/* send_to_list - to the expanded list */
int send_to_list(struct mail_state *mail, const struct buf *message, struct draft *d)
{
	int status = recipients_expand(mail, &d->to) ? hand_over(mail, message, d) : 1;

	if (status != 0) {
		save_dead(mail, message);
	}
	return status != 0;
}

/* send_draft - expand, make, hand over; keep what was not taken */
int send_draft(struct mail_state *mail, struct draft *d)
{
	struct buf message = BUF_INIT;
	int status = 1;
	bool good = recipients_expand(mail, &d->to);

	good = recipients_expand(mail, &d->cc) && good;
	good = recipients_expand(mail, &d->bcc) && good;
	terminal_text(mail, &d->text);
	terminal_text(mail, &d->subject);
	if (make_message(mail, &message, d) && good) {
		status = hand_over(mail, &message, d);
	}
	if (status != 0) {
		save_dead(mail, &message);
	} else if (!var_on(mail, "debug")) {
		record(mail, &message);
	}
	buf_free(&message);
	return status != 0;
}
