/*
 * maildir_names - what the name of a maildir file says
 *
 *	1312895000.M12P34.host,S=1355,W=1394:2,FSa
 *	base (stays the same)                 flags
 *
 * Letters are D draft, F flagged, P passed, R replied, S seen, T trashed, and a to z
 * keywords of the folder, whose names are in its dovecot-keywords file ("0 name" is a).
 * A 27th keyword is in the index alone.
 *
 * The format: https://cr.yp.to/proto/maildir.html
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/maildir/maildir_driver.h"

enum { KEYWORDS_FILE_MAX = 64 * 1024, UIDLIST_MAX = 256 * 1024 * 1024 };

static const struct {
	char letter;
	unsigned flag;
} flag_letters[] = {
	{ 'D', MAIL_DRAFT },
	{ 'F', MAIL_FLAGGED },
	{ 'R', MAIL_ANSWERED },
	{ 'S', MAIL_SEEN },
	{ 'T', MAIL_DELETED },
};

size_t maildir_base_len(const char *name)
{
	return strcspn(name, ":");
}

/* info_of - the letters of a name, "" when it has none */
static const char *info_of(const char *name)
{
	const char *info = strchr(name, ':');

	return info != NULL && strncmp(info, ":2,", 3) == 0 ? info + 3 : "";
}

void maildir_name_flags(
	struct mailbox *mb, const char *name, bool in_new, unsigned *flags_r, uint64_t *keywords_r)
{
	*flags_r = 0;
	*keywords_r = 0;
	/* In new/ nothing has been seen, whatever the name says. */
	for (const char *p = in_new ? "" : info_of(name); *p != '\0' && *p != ','; p++) {
		for (size_t i = 0; i < ARRAY_LEN(flag_letters); i++) {
			if (flag_letters[i].letter == *p) {
				*flags_r |= flag_letters[i].flag;
			}
		}
		if (*p >= 'a' && *p <= 'z' && maildir_box(mb)->letters[*p - 'a'] != NULL) {
			*keywords_r |= keyword_bits(mb, maildir_box(mb)->letters[*p - 'a']);
		}
	}
}

static int compare_chars(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b;
}

void maildir_name_make(struct buf *out, struct mailbox *mb, const struct maildir_msg *m)
{
	struct maildir_box *box = maildir_box(mb);
	char letters[64];
	size_t n = 0;

	/* Letters that mean nothing here stay. */
	for (const char *p = info_of(m->name); *p >= 'A' && *p <= 'Z' && n < 26; p++) {
		if (strchr("DFRST", *p) == NULL) {
			letters[n++] = *p;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(flag_letters); i++) {
		if (m->msg.info.flags & flag_letters[i].flag) {
			letters[n++] = flag_letters[i].letter;
		}
	}
	for (int i = 0; i < 26; i++) {
		int bit = box->letters[i] != NULL
			? keyword_bit(mb, box->letters[i], strlen(box->letters[i]), false)
			: -1;

		if (bit >= 0 && (m->msg.info.keywords >> bit & 1)) {
			letters[n++] = (char)('a' + i);
		}
	}
	qsort(letters, n, 1, compare_chars);
	buf_addf(out, "%.*s:2,%.*s", (int)maildir_base_len(m->name), m->name, (int)n, letters);
}

/* ---- dovecot-keywords ---- */

void maildir_letters_free(struct mailbox *mb)
{
	for (int i = 0; i < 26; i++) {
		mem_free(maildir_box(mb)->letters[i]);
		maildir_box(mb)->letters[i] = NULL;
	}
}

static char *keywords_path(const struct mailbox *mb)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s/dovecot-keywords", mb->path);
	return buf_steal(&b);
}

static int64_t file_time(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec
				    : 0;
}

void maildir_letters_read(struct mailbox *mb)
{
	struct maildir_box *box = maildir_box(mb);
	char *path = keywords_path(mb), *text = NULL, *next;
	int64_t changed = file_time(path);
	size_t len;

	if (changed != box->letters_time) {
		text = changed != 0 ? file_read(path, KEYWORDS_FILE_MAX, &len) : NULL;
	}
	mem_free(path);
	if (changed == box->letters_time) {
		return;
	}
	box->letters_time = changed;
	maildir_letters_free(mb);
	for (char *line = text; line != NULL && *line != '\0'; line = next) {
		char *name;
		unsigned long i;

		next = line + strcspn(line, "\n");
		if (*next != '\0') {
			*next++ = '\0';
		}
		i = strtoul(line, &name, 10);
		if (name == line || *name != ' ' || i >= 26 || name[1] == '\0' ||
			strchr(name + 1, ' ') != NULL) {
			continue;
		}
		mem_free(box->letters[i]);
		box->letters[i] = mem_strdup(name + 1);
	}
	mem_free(text);
}

uint64_t maildir_letters_bits(const struct mailbox *mb)
{
	uint64_t bits = 0;

	for (int bit = 0; bit < 64 && mb->keywords[bit] != NULL; bit++) {
		for (int i = 0; i < 26; i++) {
			if (maildir_box(mb)->letters[i] != NULL &&
				str_ieq(maildir_box(mb)->letters[i], mb->keywords[bit])) {
				bits |= (uint64_t)1 << bit;
			}
		}
	}
	return bits;
}

/* write_letters - the file anew; what cannot be written is in the index alone */
static void write_letters(struct mailbox *mb)
{
	struct maildir_box *box = maildir_box(mb);
	char *path = keywords_path(mb);
	struct buf text = BUF_INIT, temp = BUF_INIT;
	int fd, rc;

	for (int i = 0; i < 26; i++) {
		if (box->letters[i] != NULL) {
			buf_addf(&text, "%d %s\n", i, box->letters[i]);
		}
	}
	buf_addf(&temp, "%s.new", path);
	unlink(buf_str(&temp));
	fd = open(buf_str(&temp), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		rc = fd_write_all(fd, text.data, text.len);
		close(fd);
		if (rc != 0 || rename(buf_str(&temp), path) != 0) {
			unlink(buf_str(&temp));
		}
	}
	box->letters_time = file_time(path);
	mem_free(path);
	buf_free(&text);
	buf_free(&temp);
}

void maildir_letters_want(struct mailbox *mb, uint64_t bits)
{
	uint64_t missing = bits & ~maildir_letters_bits(mb);
	bool added = false;

	for (int bit = 0; bit < 64 && missing >> bit != 0; bit++) {
		if (!(missing >> bit & 1) || mb->keywords[bit] == NULL) {
			continue;
		}
		for (int i = 0; i < 26; i++) {
			if (maildir_box(mb)->letters[i] == NULL) {
				maildir_box(mb)->letters[i] = mem_strdup(mb->keywords[bit]);
				added = true;
				break;
			}
		}
	}
	if (added) {
		write_letters(mb);
	}
}

/* ---- dovecot-uidlist ---- */

static int compare_rows(const void *a, const void *b)
{
	const struct uidlist_row *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int rc = memcmp(x->base, y->base, n);

	return rc != 0 ? rc : (x->len > y->len) - (x->len < y->len);
}

/* take_header - "3 V1275660208 N25022 G...", or "1 1275660208 25022"; false: neither */
static bool take_header(struct uidlist *l, const char *line)
{
	unsigned long version, validity = 0, next = 0;
	char *p;

	version = strtoul(line, &p, 10);
	if (version == 1) {
		validity = strtoul(p, &p, 10);
		next = strtoul(p, &p, 10);
	} else if (version == 3) {
		while (*p == ' ') {
			p++;
			if (*p == 'V') {
				validity = strtoul(p + 1, NULL, 10);
			} else if (*p == 'N') {
				next = strtoul(p + 1, NULL, 10);
			}
			p += strcspn(p, " ");
		}
	}
	if (validity == 0 || validity > UINT32_MAX || next == 0 || next > UINT32_MAX) {
		return false;
	}
	l->uid_validity = (uint32_t)validity;
	l->uid_next = (uint32_t)next;
	return true;
}

/* take_row - "25006 W1394 :name" or "25006 name" */
static void take_row(struct uidlist *l, char *line)
{
	char *p;
	unsigned long uid = strtoul(line, &p, 10);
	const char *name = strstr(p, " :");

	if (uid == 0 || uid >= l->uid_next || *p != ' ') {
		return;
	}
	name = name != NULL ? name + 2 : p + 1;
	if (l->count == l->cap) {
		l->cap = l->cap * 2 + 64;
		l->rows = mem_realloc(l->rows, l->cap * sizeof(*l->rows));
	}
	l->rows[l->count++] = (struct uidlist_row){ (uint32_t)uid, name, maildir_base_len(name) };
}

void uidlist_read(struct uidlist *l, const char *maildir)
{
	struct buf path = BUF_INIT;
	char *next;
	size_t len;

	memset(l, 0, sizeof(*l));
	buf_addf(&path, "%s/dovecot-uidlist", maildir);
	l->text = file_read(buf_str(&path), UIDLIST_MAX, &len);
	buf_free(&path);
	for (char *line = l->text; line != NULL && *line != '\0'; line = next) {
		next = line + strcspn(line, "\n");
		if (*next != '\0') {
			*next++ = '\0';
		}
		if (line == l->text) {
			if (!take_header(l, line)) {
				return;
			}
		} else {
			take_row(l, line);
		}
	}
	if (l->count > 0) {
		qsort(l->rows, l->count, sizeof(*l->rows), compare_rows);
	}
}

uint32_t uidlist_get(const struct uidlist *l, const char *name)
{
	struct uidlist_row key = { 0, name, maildir_base_len(name) };
	const struct uidlist_row *row = l->count > 0
		? bsearch(&key, l->rows, l->count, sizeof(*l->rows), compare_rows)
		: NULL;

	return row != NULL ? row->uid : 0;
}

void uidlist_free(struct uidlist *l)
{
	mem_free(l->text);
	mem_free(l->rows);
}
