/*
 * attach - attachments of messages, written to files
 *
 * A name in a message is a stranger's: of a path only its last component counts, a dot at its
 * beginning and what is not printable are replaced, and no file that is there is written over.
 *
 * RFC 2183 (Content-Disposition), RFC 2231 (its parameters).
 */
#include "applets/read/mail/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "mime/header.h"
#include "mime/param.h"
#include "mime/part.h"
#include "mime/transfer.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/path.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"

enum { TRIES = 100, NAME_BYTES = 200 };

/* attachment_name - of Content-Disposition, else of Content-Type */
void attachment_name(struct buf *out, const struct mime_part *p, struct slice header)
{
	struct arena a = ARENA_INIT;
	struct mime_field field;
	const char *kind;

	while (mime_field_next(&header, &field)) {
		if (slice_ieq(field.name, "Content-Disposition")) {
			(void)mime_param_text(mime_params(&a, field.value, &kind), "filename", out);
		}
	}
	if (out->len == 0) {
		(void)mime_param_text(p->params, "name", out);
	}
	arena_free(&a);
}

/* make_safe - a name that is a file's here and nothing else */
static void make_safe(struct buf *name)
{
	const char *text = buf_str(name), *slash = strrchr(text, '/');
	const char *back = strrchr(text, '\\');
	struct buf safe = BUF_INIT;

	text = slash != NULL ? slash + 1 : text;
	text = back != NULL && back >= text ? back + 1 : text;
	buf_add(&safe, text, strlen(text) < NAME_BYTES ? strlen(text) : NAME_BYTES);
	if (safe.len > 0) {
		utf8_printable(safe.data, safe.len);
		for (size_t i = 0; i < safe.len; i++) {
			if (safe.data[i] == '?' ||
				(i == 0 && strchr(".-|", safe.data[i]) != NULL)) {
				safe.data[i] = '_';
			}
		}
	}
	buf_free(name);
	*name = safe;
}

struct saving {
	struct mail_state *mail;
	struct mime_decoder decoder;
	struct buf data, name;
	unsigned part;
	bool wanted, ok;
};

/* open_new - path, or path.1 and so on where that is there; -1 with errno */
static int open_new(const char *path, struct buf *opened)
{
	int fd = -1;

	for (int i = 0; fd < 0 && i < TRIES; i++) {
		buf_reset(opened);
		buf_adds(opened, path);
		if (i > 0) {
			buf_addf(opened, ".%d", i);
		}
		fd = open(buf_str(opened), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			0600);
		if (fd < 0 && errno != EEXIST) {
			break;
		}
	}
	return fd;
}

/* write_part - false: said */
static bool write_part(const struct saving *s, const char *path)
{
	struct buf opened = BUF_INIT;
	int fd = open_new(path, &opened);
	bool ok = fd >= 0 && fd_write_all(fd, buf_str(&s->data), s->data.len) == 0 &&
		fsync(fd) == 0 && file_sync_name(buf_str(&opened), fd) == 0;

	if (ok) {
		printf("\"%s\" [New file] %zu\n", buf_str(&opened), s->data.len);
	} else {
		fprintf(stderr, "%s: %s\n", buf_str(&opened), strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
		if (!ok) {
			(void)unlink(buf_str(&opened));
		}
	}
	buf_free(&opened);
	return ok;
}

/* part_begins - is it one to be written? */
static void part_begins(void *arg, const struct mime_part *p, struct slice header)
{
	struct saving *s = arg;

	s->wanted = false;
	if (p->kind != MIME_LEAF) {
		return;
	}
	s->part++;
	buf_reset(&s->data);
	buf_reset(&s->name);
	attachment_name(&s->name, p, header);
	make_safe(&s->name);
	s->wanted = s->name.len > 0 || (s->mail->interactive && !mime_part_is(p, "text", NULL));
	mime_decode_init(&s->decoder, p->encoding);
}

/* part_body - its bytes, decoded */
static void part_body(void *arg, const struct mime_part *p, const char *data, size_t len)
{
	struct saving *s = arg;

	(void)p;
	if (s->wanted) {
		mime_decode(&s->decoder, data, len, &s->data);
	}
}

/* part_ends - ask for the name, and write the file */
static void part_ends(void *arg, const struct mime_part *p)
{
	struct saving *s = arg;
	struct mail_state *mail = s->mail;
	struct buf answer = BUF_INIT;
	char *path = NULL;

	if (!s->wanted) {
		return;
	}
	s->wanted = false;
	mime_decode_end(&s->decoder, &s->data);
	if (mail->interactive) {
		printf("Enter filename for part %u (%s/%s) [%s]: ", s->part, p->type, p->subtype,
			buf_str(&s->name));
		fflush(stdout);
		(void)read_line(mail, mail->in, &answer);
	}
	/* What the message calls it is a file here, whatever the name would stand for. */
	path = answer.len > 0 ? path_of_file(mail, buf_str(&answer))
			      : mem_strdup(buf_str(&s->name));
	if (path == NULL) {
		s->ok = false;
	} else if (path[0] != '\0') {
		s->ok = write_part(s, path) && s->ok;
	} else {
		printf("(part %u is not written)\n", s->part);
	}
	mem_free(path);
	buf_free(&answer);
}

/* save_one - the attachments of a message */
static bool save_one(struct mail_state *mail, unsigned n)
{
	struct saving s = { .mail = mail, .ok = true };
	struct mime_listener listener = { part_begins, part_body, part_ends, &s };
	struct mime_source source;
	struct arena a = ARENA_INIT;
	struct mime_parser *parser;
	struct buf message = BUF_INIT;

	if (!message_text(mail, n, &message)) {
		return false;
	}
	mime_source_memory(&source, buf_str(&message), message.len);
	parser = mime_parser_new(&a, &source, &listener);
	while (!mime_parser_run(parser, 1 << 20)) {
		continue;
	}
	mime_source_free(&source);
	buf_free(&s.data);
	buf_free(&s.name);
	buf_free(&message);
	arena_free(&a);
	return s.ok;
}

/* attachments_save - of each message in turn */
bool attachments_save(struct mail_state *mail, const unsigned *list)
{
	bool ok = true;

	for (; *list != 0; list++) {
		ok = save_one(mail, *list) && ok;
	}
	return ok;
}
