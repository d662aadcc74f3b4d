/*
 * deliver_find - is a message in the mbox already, whole or torn?
 *
 * After a crash (kill -9, power loss) an mbox may hold, of a batch whose
 * answer never came: nothing; whole messages; at its end the beginning
 * of one; NULs where the file system lost data. Messages begin at "From " at
 * the beginning of a line: what we append is quoted, so that holds for ours. A
 * message is named by the queue id in its first Received header and by the
 * Delivered-To and X-Original-To above it; then its content is compared:
 *
 *	equal			there: delivered
 *	header changed, body
 *	equal			there: a mail reader added Status and the like
 *	ends early, at the end
 *	of the file		torn: cut off, deliver again
 *	anything else		not there
 *
 * One pass over the file finds all the suspects of a batch, in windows.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/mbox/mbox_format.h"
#include "deliver/deliver_impl.h"

enum { WINDOW = 256 * 1024, READ_AHEAD = 64 * 1024 };

/* The beginning of a message in the mbox, taken apart. */
struct head {
	char data[DELIVERED_HEAD];
	size_t len;
	bool from_whole; /* the From_ line is there with its newline */
	bool has_blank;  /* the blank line after the headers is within data */
	struct delivered_head d;
};

/* read_at - up to len bytes: count, or -1 */
static ssize_t read_at(int fd, void *data, size_t len, off_t at)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(fd, (char *)data + have, len - have, at + (off_t)have);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -1;
		}
		if (n == 0) {
			break;
		}
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* line_end - just behind the newline of the line at pos; len when it has none */
static size_t line_end(const struct head *h, size_t pos)
{
	const char *nl = memchr(h->data + pos, '\n', h->len - pos);

	return nl != NULL ? (size_t)(nl - h->data) + 1 : h->len;
}

/* parse_head - from h->data, h->len */
static void parse_head(struct head *h)
{
	size_t pos = line_end(h, 0);

	h->from_whole = pos > 0 && h->data[pos - 1] == '\n';
	h->has_blank = memmem(h->data, h->len, "\n\n", 2) != NULL;
	delivered_parse(&h->d, h->data, h->len, pos);
}

/* The mbox side of a comparison: a reader over [pos, size). */
struct compare {
	int fd;
	off_t pos, size;
	char *data; /* READ_AHEAD bytes at data_at */
	off_t data_at;
	size_t data_len;
	bool in_header; /* of the content */
	bool lenient;   /* headers differ: wait for the body */
	bool header_changed;
	char last; /* of the content */
	bool unreadable;
};

enum { CMP_EARLY = 1 /* the mbox ends before the content */, CMP_DIFFERENT = 2 };

/* compare_peek - bytes at c->pos in memory: how many (0 at the end), -1 */
static ssize_t compare_peek(struct compare *c, const char **p)
{
	ssize_t n;

	if (c->pos < c->data_at || c->pos >= c->data_at + (off_t)c->data_len) {
		size_t want =
			c->size - c->pos < READ_AHEAD ? (size_t)(c->size - c->pos) : READ_AHEAD;

		n = read_at(c->fd, c->data, want, c->pos);
		if (n < 0) {
			c->unreadable = true;
			return -1;
		}
		c->data_at = c->pos;
		c->data_len = (size_t)n;
	}
	*p = c->data + (c->pos - c->data_at);
	return (ssize_t)(c->data_at + (off_t)c->data_len - c->pos);
}

/*
 * skip_header - move behind the blank line that ends the header in the mbox; false: there
 * is none
 */
static bool skip_header(struct compare *c, off_t from)
{
	char last = '\n';
	const char *p;
	ssize_t n;

	c->pos = from;
	while ((n = compare_peek(c, &p)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (p[i] == '\n' && last == '\n') {
				c->pos += i + 1;
				return true;
			}
			last = p[i];
		}
		c->pos += n;
	}
	return false;
}

/* exact - the bytes are there: 0, CMP_EARLY, CMP_DIFFERENT */
static int exact(struct compare *c, const char *data, size_t len)
{
	while (len > 0) {
		const char *p;
		ssize_t n = compare_peek(c, &p);
		size_t take;

		if (n <= 0) {
			return n < 0 ? CMP_DIFFERENT : CMP_EARLY;
		}
		take = (size_t)n < len ? (size_t)n : len;
		if (memcmp(p, data, take) != 0) {
			return CMP_DIFFERENT;
		}
		c->pos += (off_t)take;
		data += take;
		len -= take;
	}
	return 0;
}

struct compare_arg {
	struct compare c;
	off_t content; /* where it begins in the mbox */
};

/* header_part - how many bytes of data still belong to the header (with the blank line) */
static size_t header_part(struct compare *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool blank = data[i] == '\n' && c->last == '\n';

		c->last = data[i];
		if (blank) {
			c->in_header = false;
			return i + 1;
		}
	}
	return len;
}

static int compare_put(void *arg, const char *data, size_t len)
{
	struct compare_arg *a = arg;
	struct compare *c = &a->c;

	if (c->in_header) {
		size_t n = header_part(c, data, len);
		int rc = c->lenient ? 0 : exact(c, data, n);

		if (rc == CMP_EARLY) {
			return rc;
		}
		if (rc == CMP_DIFFERENT) {
			c->lenient = true;
		}
		data += n;
		len -= n;
		if (!c->in_header && c->lenient) {
			c->header_changed = true;
			if (!skip_header(c, a->content)) {
				return CMP_EARLY;
			}
		}
	}
	return exact(c, data, len);
}

enum found { FOUND_NOT, FOUND_WHOLE, FOUND_TORN, FOUND_ERROR };

/* compare_content - the item against the content at a place in the mbox */
static enum found compare_content(
	struct deliver_mbox *m, off_t content, const struct deliver_item *it)
{
	struct compare_arg a = { .content = content };
	enum found f = FOUND_NOT;
	int rc;

	a.c = (struct compare){ .fd = m->fd, .pos = content, .size = m->size };
	a.c.in_header = true;
	a.c.last = '\n';
	a.c.data = mem_alloc(READ_AHEAD);
	rc = deliver_put_content(it, true, compare_put, &a);
	if (rc == DELIVER_UNREADABLE || a.c.unreadable) {
		f = FOUND_ERROR;
	} else if (rc == 0) {
		f = FOUND_WHOLE;
	} else if (rc == CMP_EARLY) {
		f = FOUND_TORN;
	}
	mem_free(a.c.data);
	return f;
}

/* The search of a batch. */
struct search {
	struct deliver_mbox *m;
	struct deliver_item *items;
	size_t count;
	struct hash ids; /* queue id -> index + 1 of the first item with it */
	size_t *next;    /* index + 1 of the next item with the same id */
	struct head head;
	off_t torn; /* where the file is to be cut, -1 nowhere */
	bool error;
};

static bool same(struct slice got, const char *want)
{
	return got.ptr == NULL ? want[0] == '\0' : slice_eq(got, want);
}

/* consider - the message at `at' may be item it */
static void consider(struct search *s, off_t at, struct deliver_item *it)
{
	if (it->status != DELIVER_NONE ||
		(!it->repair &&
			(!same(s->head.d.recipient, it->recipient) ||
				!same(s->head.d.original, it->original)))) {
		return;
	}
	switch (compare_content(s->m, at + (off_t)s->head.d.content, it)) {
	case FOUND_WHOLE:
		deliver_set(it, DELIVER_DUPLICATE, "2.0.0", "delivered to mailbox");
		break;
	case FOUND_TORN:
		s->torn = at;
		break;
	case FOUND_ERROR:
		deliver_set(it, DELIVER_DEFER, "4.3.0", "cannot read the message from the queue");
		break;
	case FOUND_NOT:
		break;
	}
}

/* load_head - read and take apart the message at `at'; 0 or -1 */
static int load_head(struct deliver_mbox *m, struct head *h, off_t at)
{
	size_t want = m->size - at < DELIVERED_HEAD ? (size_t)(m->size - at) : DELIVERED_HEAD;
	ssize_t n = read_at(m->fd, h->data, want, at);

	if (n < 0) {
		return -1;
	}
	h->len = (size_t)n;
	parse_head(h);
	return 0;
}

/* look_at - a message of the mbox: is it one of those we look for? */
static void look_at(struct search *s, off_t at)
{
	char id[DELIVER_ID_SIZE];
	struct slice rest;

	if (load_head(s->m, &s->head, at) != 0) {
		s->error = true;
		return;
	}
	rest = s->head.d.received;
	while (rest.ptr != NULL && delivered_next_id(&rest, id)) {
		size_t i = (size_t)(uintptr_t)hash_get(&s->ids, id);

		for (; i != 0; i = s->next[i - 1]) {
			consider(s, at, &s->items[i - 1]);
		}
	}
}

/*
 * each_message - call look for every From_ line of the file, *last_r is the last one's
 * place or -1
 */
static int each_message(struct deliver_mbox *m, void (*look)(struct search *, off_t),
	struct search *s, off_t *last_r)
{
	char *data = mem_alloc(WINDOW + 1);
	off_t at = 0;
	size_t have = 1;

	/* data[0] is the byte before offset `at'; the file begins as if after a newline. */
	data[0] = '\n';
	*last_r = -1;
	while (at < m->size) {
		ssize_t n = read_at(m->fd, data + have, WINDOW + 1 - have, at + (off_t)have - 1);
		size_t stop, pos = 0;

		if (n < 0) {
			mem_free(data);
			return -1;
		}
		stop = have + (size_t)n;
		for (;;) {
			const char *p = memmem(data + pos, stop - pos, "\nFrom ", 6);

			if (p == NULL) {
				break;
			}
			pos = (size_t)(p - data) + 1;
			*last_r = at + (off_t)pos - 1;
			if (look != NULL) {
				look(s, *last_r);
			}
		}
		if (n == 0 || stop < WINDOW + 1) {
			break;
		}
		/* The last 5 bytes may be the first half of "\nFrom ". */
		memmove(data, data + stop - 5, 5);
		at += (off_t)(stop - 5);
		have = 5;
	}
	mem_free(data);
	return 0;
}

static int cut(struct deliver_mbox *m, off_t at)
{
	if (at < m->size && ftruncate(m->fd, at) != 0) {
		return -1;
	}
	m->size = at;
	return 0;
}

int deliver_cut_zeros(struct deliver_mbox *m)
{
	uint64_t end;

	return mbox_content_end(m->fd, (uint64_t)m->size, &end) == 0 ? cut(m, (off_t)end) : -1;
}

/* part_of_from - the file ends in "F", "Fr" ...: where that line begins, else -1 */
static off_t part_of_from(struct deliver_mbox *m)
{
	char tail[6] = "";
	size_t want = m->size < (off_t)sizeof(tail) ? (size_t)m->size : sizeof(tail);
	ssize_t n = read_at(m->fd, tail, want, m->size - (off_t)want);

	for (ssize_t len = 4; len > 0; len--) {
		ssize_t start = n - len;

		if (start < 0 || memcmp(tail + start, "From", (size_t)len) != 0) {
			continue;
		}
		if ((start == 0 && m->size == n) ||
			(start > 1 && tail[start - 1] == '\n' && tail[start - 2] == '\n')) {
			return m->size - len;
		}
	}
	return -1;
}

/* cut_line - does this (without its newline) begin as the lines do that stand above a content? */
static bool cut_line(const char *p, size_t len)
{
	static const char *const names[] = { "Return-Path: <",
		"X-Original-To: ", "Delivered-To: ", "Received: " };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t n = strlen(names[i]);

		if (memcmp(p, names[i], len < n ? len : n) == 0) {
			return true;
		}
	}
	return false;
}

/*
 * is_stub - does the last message end before its queue id is told? Such a
 * piece holds nothing of the mail itself, only lines that we (or another delivery agent that
 * died) put above it
 */
static bool is_stub(const struct head *h)
{
	struct slice rest = h->d.received;
	char id[DELIVER_ID_SIZE];

	if (h->has_blank || h->len == DELIVERED_HEAD) {
		return false;
	}
	if (!h->from_whole || h->d.content == h->len) {
		return true;
	}
	if (rest.ptr == NULL) {
		return memchr(h->data + h->d.content, '\n', h->len - h->d.content) == NULL &&
			cut_line(h->data + h->d.content, h->len - h->d.content);
	}
	return rest.ptr == h->data + h->d.content && !h->d.received_whole &&
		!delivered_next_id(&rest, id);
}

/*
 * may_be_ours - does the line at `at' stand where our From_ lines do, behind an empty line, and
 * look like one ("From sender  Tue Aug  9 14:21:58 2011") as far as it goes? Others leave lines of
 * a text that begin with "From " as they are. 1, 0, -1
 */
static int may_be_ours(struct deliver_mbox *m, const struct head *h, off_t at)
{
	enum { DATE_LEN = 24 };
	size_t end = line_end(h, 0);
	char before[2];
	ssize_t n = read_at(m->fd, before, 2, at < 2 ? 0 : at - 2);

	if (n < 0) {
		return -1;
	}
	if (at == 1 || (at >= 2 && (n != 2 || before[0] != '\n' || before[1] != '\n'))) {
		return 0;
	}
	return !h->from_whole ||
		(end > DATE_LEN + 8 && memcmp(h->data + end - 1 - DATE_LEN - 2, "  ", 2) == 0);
}

/* cut_stub - remove such a piece; last: place of the last From_ line or -1; 0 or -1 */
static int cut_stub(struct deliver_mbox *m, struct head *h, off_t *last)
{
	off_t part = part_of_from(m);
	int ours;

	if (part >= 0) {
		return cut(m, part);
	}
	if (*last < 0 || *last >= m->size) {
		return 0;
	}
	if (load_head(m, h, *last) != 0) {
		return -1;
	}
	if (!is_stub(h)) {
		return 0;
	}
	ours = may_be_ours(m, h, *last);
	if (ours <= 0) {
		return ours;
	}
	if (cut(m, *last) != 0) {
		return -1;
	}
	*last = -1;
	return 0;
}

/* index_items - ids, and the chains of items with the same id */
static void index_items(struct search *s)
{
	s->next = mem_calloc(s->count, sizeof(*s->next));
	for (size_t i = s->count; i-- > 0;) {
		if (s->items[i].suspect || s->items[i].repair) {
			void *old =
				hash_set(&s->ids, s->items[i].queue_id, (void *)(uintptr_t)(i + 1));

			s->next[i] = (size_t)(uintptr_t)old;
		}
	}
}

int deliver_find(struct deliver_mbox *m, struct deliver_item *items, size_t count)
{
	struct search *s = mem_alloc(sizeof(*s));
	off_t last = -1;
	int rc;

	s->m = m;
	s->items = items;
	s->count = count;
	s->torn = -1;
	index_items(s);
	rc = deliver_cut_zeros(m);
	if (rc == 0) {
		rc = each_message(m, look_at, s, &last);
	}
	if (rc == 0 && s->torn >= 0 && s->torn == last) {
		rc = cut(m, s->torn);
	} else if (rc == 0) {
		rc = cut_stub(m, &s->head, &last);
	}
	if (s->error) {
		rc = -1;
	}
	for (size_t i = 0; i < count; i++) {
		if (items[i].repair && items[i].status == DELIVER_NONE) {
			deliver_set(&items[i], DELIVER_DUPLICATE, "2.0.0", "repaired");
		}
	}
	hash_free(&s->ids, NULL);
	mem_free(s->next);
	mem_free(s);
	return rc;
}

/* last_message - place of the last From_ line, looked for from the end; -1 none, -2 error */
static off_t last_message(struct deliver_mbox *m)
{
	char *data = mem_alloc(WINDOW);
	off_t end = m->size, found = -1;

	while (end > 0 && found == -1) {
		size_t want = end < WINDOW ? (size_t)end : WINDOW;
		off_t at = end - (off_t)want;
		ssize_t n = read_at(m->fd, data, want, at);

		if (n < 0) {
			found = -2;
			break;
		}
		for (ssize_t i = n - 5; i >= 0 && found == -1; i--) {
			if (data[i] == 'F' && memcmp(data + i, "From ", 5) == 0 &&
				(at + i == 0 || (i > 0 && data[i - 1] == '\n'))) {
				found = at + i;
			}
		}
		/* 5 bytes again: "\nFrom " across the edge. */
		end = at == 0 ? 0 : at + 5;
	}
	mem_free(data);
	return found;
}

int deliver_find_tail(struct deliver_mbox *m, char id[DELIVER_ID_SIZE])
{
	struct head *h = mem_alloc(sizeof(*h));
	struct slice rest;
	off_t last;
	int rc = -1;

	if (deliver_cut_zeros(m) == 0 && (last = last_message(m)) != -2) {
		rc = cut_stub(m, h, &last);
		if (rc == 0 && last >= 0 && last < m->size && load_head(m, h, last) == 0) {
			rest = h->d.received;
			rc = rest.ptr != NULL && delivered_next_id(&rest, id);
		}
	}
	mem_free(h);
	return rc;
}
