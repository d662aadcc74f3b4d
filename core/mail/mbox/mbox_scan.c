/*
 * mbox_scan - find the messages of an mbox file
 *
 * A message begins at a From_ line, and ends before the next one. A From_ line is
 *
 *	with a date, at the beginning of the file or after an empty line;
 *	with a date, after any other line, where a header follows (as programs append that do not
 *	look how the file ends); the same within a header;
 *	without a date that can be read, at the beginning or after an empty line, where a header
 *	follows.
 *
 * What else begins with "From " is text. A
 * Content-Length that leads exactly to the end of the file or to a From_ line is
 * believed: programs that write it do not quote. Of the empty lines at the end one
 * is the separator, also when it is the only one after a header. Bytes before the first
 * From_ line belong to nobody and are left alone; the driver says that they are there. What a
 * crash cut off is a message all the same.
 *
 * One pass finds everything the index keeps: lengths, the size with CR LF line
 * ends as clients see it, a fingerprint of header and body that stays the same
 * when other programs change their bookkeeping lines.
 */
#include "mail/mbox/mbox_scan.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { HEADER_MAX = 1 << 30, LENGTH_LOOK = 1024, HEADER_LOOK = 4096 };

void mbox_scan_open(struct mbox_scan *s, int fd, uint64_t at, uint64_t end, struct arena *a)
{
	memset(s, 0, sizeof(*s));
	mbox_lines_open(&s->lines, fd, at, end);
	s->arena = a;
}

void mbox_scan_close(struct mbox_scan *s)
{
	mbox_lines_close(&s->lines);
}

static bool is_blank(const char *line, size_t len)
{
	return line[0] == '\n' || (len == 2 && line[0] == '\r' && line[1] == '\n');
}

static bool is_bare(const char *line, size_t len)
{
	return line[len - 1] == '\n' && (len < 2 || line[len - 2] != '\r');
}

/* print_add - mix bytes into a fingerprint, eight at a time */
static uint64_t print_add(uint64_t print, const char *data, size_t len)
{
	uint64_t v;

	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&v, data, 8);
		print = (print ^ v) * 0x9e3779b97f4a7c15u;
		print ^= print >> 29;
	}
	for (; len > 0; data++, len--) {
		print = (print ^ (unsigned char)*data) * 0x100000001b3u;
	}
	return print ^ print >> 32;
}

/* Totals of a message while it is read. */
struct tally {
	struct mbox_head head;
	uint64_t bytes, bare; /* of all but the From_ line, shown or not */
	uint64_t tail_bare;
	uint32_t blank_len; /* of the line that ends the header, 0: none */
	uint64_t quotes;
	uint64_t print;
};

static void tally_line(struct tally *t, const char *line, size_t len)
{
	t->bytes += len;
	t->bare += is_bare(line, len);
}

/* header_at - is there a header in the file at offset at? Its Date to *date_r */
static bool header_at(const struct mbox_scan *s, uint64_t at, time_t *date_r)
{
	char look[HEADER_LOOK + 1];
	size_t want = s->lines.end - at < HEADER_LOOK ? (size_t)(s->lines.end - at) : HEADER_LOOK;
	ssize_t n = pread(s->lines.fd, look, want, (off_t)at);

	/* The last line of the file ends there, as it will when something is appended. */
	if (n > 0 && at + (uint64_t)n == s->lines.end && look[n - 1] != '\n') {
		look[n++] = '\n';
	}
	return n > 0 && mbox_is_header(look, (size_t)n, date_r);
}

/*
 * is_from - is the line a From_ line where it stands (blank: at the beginning or after an empty
 * line), with next as the offset of the one behind it? When to *when_r: of the header or the file
 * where it has no date
 */
static bool is_from(const struct mbox_scan *s, const char *line, size_t len, uint64_t next,
	bool blank, time_t *when_r)
{
	bool dated = mbox_is_from(line, len, when_r);
	struct stat st;
	time_t date;

	if (dated ? blank : !blank || len < 6 || memcmp(line, "From ", 5) != 0) {
		return dated;
	}
	if (!header_at(s, next, &date)) {
		return false;
	}
	if (!dated) {
		*when_r = date != 0 ? date : fstat(s->lines.fd, &st) == 0 ? st.st_mtime : 0;
	}
	return true;
}

/* read_header - up to and with the empty line; 0, or -1 with errno */
static int read_header(struct mbox_scan *s, struct mbox_found *f, struct tally *t)
{
	bool start, fresh, counted = false;
	uint64_t at = 0;
	const char *line;
	time_t when;
	size_t len;
	int rc;

	while ((rc = mbox_lines_next(&s->lines, &line, &len, &start)) > 0) {
		enum mbox_line_kind kind;

		if (start && line[0] == 'F' && at > 0 &&
			is_from(s, line, len, s->lines.at, false, &when)) {
			mbox_lines_back(&s->lines, len);
			break;
		}
		tally_line(t, line, len);
		at += len;
		if (start && is_blank(line, len)) {
			t->blank_len = (uint32_t)len;
			break;
		}
		if (at > HEADER_MAX) {
			break;
		}
		mbox_head_line(&t->head, at - len, line, len, start);
		fresh = start && line[0] != ' ' && line[0] != '\t';
		kind = fresh ? mbox_line_kind(line, len) : MBOX_NONE;
		if (fresh) {
			counted = kind != MBOX_NONE;
		}
		/* The names count whatever the fence says: that may come and go. */
		if (!counted) {
			t->print = print_add(t->print, line, len);
		}
		if (start && mbox_is_quoted(line, len, 1)) {
			t->quotes++;
		}
	}
	f->m.head_len = (uint32_t)at;
	return rc < 0 ? -1 : 0;
}

/* line_length - up to and with its end, or all of the data */
static size_t line_length(const char *data, size_t len)
{
	const char *nl = memchr(data, '\n', len);

	return nl != NULL ? (size_t)(nl - data) + 1 : len;
}

/*
 * length_fits - does Content-Length lead to the end, or to a From_ line? The body's end to *end_r
 */
static bool length_fits(struct mbox_scan *s, const struct mbox_head *h, uint64_t *end_r)
{
	uint64_t body = s->lines.at, left = s->lines.end - body;
	char look[LENGTH_LOOK];
	size_t skip = 0;
	ssize_t n;
	time_t when;

	if (!h->has_length || h->length > left + 1) {
		return false;
	}
	/* The end of the last line is missing; whoever appends to the file makes it. */
	if (h->length == left + 1) {
		*end_r = s->lines.end;
		return mbox_separator(s->lines.fd, s->lines.end) == 2;
	}
	*end_r = body + h->length;
	/*
	 * Ending in an empty line, be it the header's: with a message behind it that would be the
	 * separator.
	 */
	if (h->length == left) {
		return mbox_separator(s->lines.fd, s->lines.end) != 0;
	}
	n = pread(s->lines.fd, look, sizeof(look), (off_t)*end_r);
	if (n <= 0) {
		return false;
	}
	while (skip < (size_t)n && skip < 4 && (look[skip] == '\n' || look[skip] == '\r')) {
		skip++;
	}
	if (*end_r + skip == s->lines.end) {
		return true;
	}
	/* The body's last byte ends a line, or the separator does. */
	return skip > 0 &&
		is_from(s, look + skip, (size_t)n - skip,
			*end_r + skip + line_length(look + skip, (size_t)n - skip), true, &when);
}

/* tail_from - the last of the line's bytes, after keep ones, belong to the separator */
static void tail_from(
	struct mbox_found *f, struct tally *t, const char *line, size_t len, size_t keep)
{
	f->m.tail_len += (uint32_t)(len - keep);
	t->tail_bare += is_bare(line, len);
	t->print = print_add(t->print, line, keep);
}

/* no_body - the only empty line is the separator: the message had none of its own */
static void no_body(struct mbox_found *f, struct tally *t)
{
	f->m.head_len -= t->blank_len;
	f->m.tail_len = t->blank_len;
	t->tail_bare = t->blank_len == 1;
}

/* read_body - to the next From_ line, which is left; 0, or -1 with errno */
static int read_body(struct mbox_scan *s, struct mbox_found *f, struct tally *t)
{
	uint64_t body_end = UINT64_MAX;
	bool by_length = length_fits(s, &t->head, &body_end);
	bool blank = f->m.head_len > 0, start;
	char held[2]; /* an empty line may turn out to be the separator */
	size_t held_len = 0, len;
	unsigned parted = 0; /* empty lines behind what Content-Length counts */
	const char *line;
	time_t when;
	int rc;

	while ((rc = mbox_lines_next(&s->lines, &line, &len, &start)) > 0) {
		uint64_t at = s->lines.at - len;

		if (start && line[0] == 'F' && (!by_length || at >= body_end) &&
			is_from(s, line, len, s->lines.at, by_length || blank, &when)) {
			mbox_lines_back(&s->lines, len);
			break;
		}
		tally_line(t, line, len);
		blank = start && is_blank(line, len);
		if (by_length) {
			uint64_t keep = at >= body_end ? 0 : body_end - at;

			if (keep < len) {
				tail_from(f, t, line, len, (size_t)keep);
				parted += keep == 0;
			} else {
				t->print = print_add(t->print, line, len);
			}
			continue;
		}
		if (start && line[0] == '>' && mbox_is_quoted(line, len, 1)) {
			t->quotes++;
		}
		t->print = print_add(t->print, held, held_len);
		held_len = 0;
		if (blank) {
			memcpy(held, line, len);
			held_len = len;
		} else {
			t->print = print_add(t->print, line, len);
		}
	}
	if (rc < 0) {
		return -1;
	}
	if (by_length) {
		t->quotes = 0;
		/* To mix in nothing changes a fingerprint, and the second time back. It is that of
		 * a message with its separator, also as long as it has none or more than one. */
		t->print = parted % 2 == 0 ? print_add(t->print, "", 0) : t->print;
	} else if (held_len > 0) {
		tail_from(f, t, held, held_len, 0);
	} else if (t->bytes == f->m.head_len) {
		no_body(f, t);
	}
	return 0;
}

/* settle - the message's numbers out of the totals */
static void settle(struct mbox_scan *s, struct mbox_found *f, struct tally *t)
{
	uint64_t hidden = 0, hidden_bare = 0;
	struct mbox_msg *m = &f->m;

	for (size_t i = 0; i < t->head.hidden_count; i++) {
		hidden += t->head.hidden[i].len;
		hidden_bare += t->head.hidden[i].bare;
	}
	/* Only where it still stands as it was written: a body, and the separator behind it. */
	if (t->head.open_end && m->tail_len > 0 && t->bytes > m->head_len + m->tail_len) {
		m->tail_len++;
		t->tail_bare++;
	}
	m->cut = (uint32_t)(hidden + t->quotes);
	m->len = m->from_len + t->bytes;
	m->msg.info.size = t->bytes - m->tail_len - m->cut + (t->bare - hidden_bare - t->tail_bare);
	m->msg.bits = (hidden > 0 ? MSG_HIDDEN : 0) | (t->quotes > 0 ? MSG_QUOTED : 0);
	m->msg.info.flags = t->head.flags;
	m->print = t->print;
	f->uid = t->head.uid;
	f->old = t->head.old;
	f->keywords = t->head.keywords[0] != '\0' ? arena_strdup(s->arena, t->head.keywords) : NULL;
	if (t->head.has_base && !s->has_base) {
		s->has_base = true;
		s->base_validity = t->head.base_validity;
		s->base_last = t->head.base_last;
		s->base_keywords = arena_strdup(s->arena, t->head.base_keywords);
	}
}

/* find_first - the first From_ line of the file; 1, 0 none, -1 */
static int find_first(struct mbox_scan *s, const char **line_r, size_t *len_r, time_t *when)
{
	bool blank = true, start;
	int rc;

	while ((rc = mbox_lines_next(&s->lines, line_r, len_r, &start)) > 0) {
		if (start && (*line_r)[0] == 'F' &&
			is_from(s, *line_r, *len_r, s->lines.at, blank, when)) {
			return 1;
		}
		s->lead += *len_r;
		blank = start && is_blank(*line_r, *len_r);
		s->junk = s->junk || !blank;
	}
	return rc;
}

/* is_internal - is the first message of the file what other programs keep there? */
static bool is_internal(const struct mbox_scan *s, const struct tally *t)
{
	if (!t->head.pseudo || t->head.uid != 0) {
		return false;
	}
	for (uint32_t i = 0; i < s->known_count; i++) {
		if (s->known[i].print == t->print) {
			return false;
		}
	}
	return true;
}

int mbox_scan_next(struct mbox_scan *s, struct mbox_found *out)
{
	struct tally t;
	const char *line;
	size_t len;
	int rc;

	do {
		bool first = s->lines.at == 0 && !s->listed;

		memset(out, 0, sizeof(*out));
		memset(&t, 0, sizeof(t));
		rc = find_first(s, &line, &len, &out->m.msg.info.received);
		if (rc <= 0) {
			return rc;
		}
		out->m.offset = s->lines.at - len;
		out->m.from_len = (uint32_t)len;
		if (read_header(s, out, &t) != 0 || read_body(s, out, &t) != 0) {
			return -1;
		}
		settle(s, out, &t);
		if (!first || !is_internal(s, &t)) {
			return 1;
		}
		s->lead += out->m.len;
	} while (true);
}

int mbox_scan_head(int fd, uint64_t offset, uint64_t head_len, struct mbox_head *h)
{
	struct mbox_lines l;
	const char *line;
	uint64_t at = 0;
	bool start;
	size_t len;
	int rc;

	memset(h, 0, sizeof(*h));
	mbox_lines_open(&l, fd, offset, offset + head_len);
	while ((rc = mbox_lines_next(&l, &line, &len, &start)) > 0 &&
		!(start && is_blank(line, len))) {
		mbox_head_line(h, at, line, len, start);
		at += len;
	}
	mbox_lines_close(&l);
	return rc < 0 ? -1 : 0;
}
