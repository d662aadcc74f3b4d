/*
 * mbox_format - how messages stand in an mbox file
 *
 * Writing: quoting is mboxrd's (each line /^>*From / gets one more ">"), the
 * only kind that can be undone, so that what came by SMTP leaves by POP3 and
 * IMAP byte for byte. Reading: From_ lines are believed only with a date, as
 * others check them; see mbox_scan.c for where they are looked for.
 *
 * The names of the bookkeeping lines and the letters in them are those of
 * c-client, mailx, mutt and Dovecot:
 *
 *	Status: R seen, O not new	X-Status: A answered, F flagged, T draft, D deleted
 *	X-Keywords: names		X-UID: number
 *	X-IMAPbase: uid-validity last-uid names		X-IMAP: the same, in a message that is none
 */
#include "mail/mbox/mbox_format.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/date.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/mailbox.h"

/*
 * A line of more '>' is left as it is, in both directions: the state of a writer has to end
 * somewhere.
 */
enum { QUOTES_MAX = 200, FROM_MAX = 1000, NAME_MAX_LEN = 32 };

/* ---- Writing ---- */

bool mbox_is_quoted(const char *line, size_t len, size_t min)
{
	size_t n = 0;

	while (n < len && n <= QUOTES_MAX && line[n] == '>') {
		n++;
	}
	return n >= min && n <= QUOTES_MAX && len - n >= 5 && memcmp(line + n, "From ", 5) == 0;
}

/* undecided - could more bytes of this line change what it is? */
static bool undecided(const struct mbox_writer *w)
{
	const char *p = w->held;
	size_t len = w->held_len, n = 0;

	if (len == sizeof(w->held) || memchr(p, '\n', len) != NULL) {
		return false;
	}
	if (w->in_header && len < NAME_MAX_LEN && memchr(p, ':', len) == NULL) {
		return true;
	}
	while (n < len && p[n] == '>') {
		n++;
	}
	return n <= QUOTES_MAX && len - n < 5 && memcmp(p + n, "From ", len - n) == 0;
}

/* end_header - fence and bookkeeping before the empty line */
static int end_header(struct mbox_writer *w)
{
	int rc = 0;

	w->in_header = false;
	if (w->open_end) {
		rc = w->put(w->arg, MBOX_FENCE_OPEN, sizeof(MBOX_FENCE_OPEN) - 1);
	} else if (w->own_lines) {
		rc = w->put(w->arg, MBOX_FENCE, sizeof(MBOX_FENCE) - 1);
	}
	return rc == 0 && w->meta[0] != '\0' ? w->put(w->arg, w->meta, strlen(w->meta)) : rc;
}

/* begin_line - what is written before a line, of which as much is known as decides; 0 or put's */
static int begin_line(struct mbox_writer *w, const char *line, size_t len)
{
	enum mbox_line_kind kind;
	int rc = 0;

	if (w->in_header) {
		kind = mbox_line_kind(line, len);
		w->own_lines = w->own_lines || (kind != MBOX_NONE && kind != MBOX_COUNTER);
		if (line[0] == '\n' || (len > 1 && memcmp(line, "\r\n", 2) == 0)) {
			rc = end_header(w);
		}
	}
	if (rc == 0 && (line[0] == '>' || line[0] == 'F') && mbox_is_quoted(line, len, 0)) {
		rc = w->put(w->arg, ">", 1);
	}
	w->line_start = false;
	return rc;
}

/* release - write the line's beginning that was held, now that it is known */
static int release(struct mbox_writer *w)
{
	size_t len = w->held_len;
	int rc;

	if (len == 0) {
		return 0;
	}
	rc = begin_line(w, w->held, len);
	w->last = w->held[len - 1];
	w->line_start = w->last == '\n';
	w->held_len = 0;
	return rc == 0 ? w->put(w->arg, w->held, len) : rc;
}

void mbox_writer_init(struct mbox_writer *w, const char *meta, mbox_put_fn *put, void *arg)
{
	memset(w, 0, sizeof(*w));
	w->put = put;
	w->arg = arg;
	w->meta = meta;
	w->in_header = w->line_start = true;
	w->last = '\n';
}

/* plain_start - is a line that begins with c certainly not to be quoted, in the body? */
static bool plain_start(const struct mbox_writer *w, char c)
{
	return !w->in_header && c != '>' && c != 'F';
}

/*
 * pass - write what needs no look: the rest of a line, and in the body all up to the next line of
 * '>' or 'F'
 */
static int pass(struct mbox_writer *w, const char **p, const char *end)
{
	const char *from = *p, *nl;
	int rc;

	do {
		nl = memchr(*p, '\n', (size_t)(end - *p));
		*p = nl != NULL ? nl + 1 : end;
	} while (nl != NULL && *p < end && plain_start(w, **p));
	rc = w->put(w->arg, from, (size_t)(*p - from));
	w->last = (*p)[-1];
	w->line_start = w->last == '\n';
	return rc;
}

/* enough - is there all of a line that could matter, so that it need not be held? */
static bool enough(const char *p, const char *end)
{
	return end - p > QUOTES_MAX + NAME_MAX_LEN || memchr(p, '\n', (size_t)(end - p)) != NULL;
}

int mbox_writer_add(struct mbox_writer *w, const char *data, size_t len)
{
	const char *p = data, *end = data + len;
	int rc = 0;

	while (p < end && rc == 0) {
		if (w->line_start && w->held_len == 0 && !plain_start(w, *p) && enough(p, end)) {
			rc = begin_line(w, p, (size_t)(end - p));
		}
		if (rc != 0) {
			break;
		}
		if (!w->line_start || (w->held_len == 0 && plain_start(w, *p))) {
			rc = pass(w, &p, end);
			continue;
		}
		w->held[w->held_len++] = *p++;
		if (!undecided(w)) {
			rc = release(w);
		}
	}
	return rc;
}

int mbox_writer_end(struct mbox_writer *w)
{
	int rc = release(w);

	if (rc == 0 && w->last != '\n') {
		rc = w->put(w->arg, "\n", 1);
	}
	if (rc == 0 && w->in_header) {
		/* A header's lines have ends: there is no body to tell of. */
		w->open_end = false;
		rc = end_header(w);
	}
	return rc == 0 ? w->put(w->arg, "\n", 1) : rc;
}

/* ---- From_ lines ---- */

/* date_at - a date of a From_ line: asctime's, or as in a header ("Tue, 9 Aug 2011 14:21 +08") */
static bool date_at(const char *p, size_t len, time_t *when_r)
{
	size_t letters = 0;
	int zone;

	while (letters < len && ((p[letters] | 0x20) >= 'a' && (p[letters] | 0x20) <= 'z')) {
		letters++;
	}
	if (letters != 3 || len < 5) {
		return false;
	}
	if (p[3] == ',') {
		return date_parse_rfc5322(p, len, when_r, &zone);
	}
	return p[3] == ' ' && date_parse_asctime(p, len, when_r);
}

bool mbox_is_from(const char *line, size_t len, time_t *when_r)
{
	const char *nl;

	if (len < 6 || memcmp(line, "From ", 5) != 0) {
		return false;
	}
	if (len > FROM_MAX) {
		len = FROM_MAX;
	}
	nl = memchr(line, '\n', len);
	len = nl != NULL ? (size_t)(nl - line) : len;
	while (len > 0 && line[len - 1] == '\r') {
		len--;
	}
	/* The sender may hold blanks; the date begins at the first word that makes one. */
	for (size_t i = 5; i + 3 < len; i++) {
		if ((line[i - 1] == ' ' || line[i - 1] == '\t') &&
			date_at(line + i, len - i, when_r)) {
			return true;
		}
	}
	return false;
}

/* field_length - of a header field's name at the beginning of the line; 0: it is none */
static size_t field_length(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && line[n] > ' ' && line[n] < 0x7f && line[n] != ':') {
		n++;
	}
	return n < len && line[n] == ':' ? n : 0;
}

/* is_known - a field that mail has */
static bool is_known(const char *name, size_t len)
{
	static const char names[][14] = { "From", "To", "Cc", "Subject", "Date", "Received",
		"Message-ID", "Return-Path", "Delivered-To", "Reply-To", "Sender", "MIME-Version",
		"Content-Type", "X-Original-To" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strlen(names[i]) == len && strncasecmp(name, names[i], len) == 0) {
			return true;
		}
	}
	return false;
}

bool mbox_is_header(const char *data, size_t len, time_t *date_r)
{
	const char *p = data, *end = data + len;
	bool known = false;
	int zone;

	*date_r = 0;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t line = (size_t)((nl != NULL ? nl : end) - p), name = field_length(p, line);

		if (line == 0 || (line == 1 && *p == '\r')) {
			break;
		}
		/* What the look does not reach to its end is decided by what came before. */
		if (name == 0 && (p == data || (*p != ' ' && *p != '\t'))) {
			return nl == NULL && known;
		}
		known = known || (name > 0 && is_known(p, name));
		if (name == 4 && strncasecmp(p, "Date", 4) == 0) {
			(void)date_parse_rfc5322(p + 5, line - 5, date_r, &zone);
		}
		p = nl != NULL ? nl + 1 : end;
	}
	return known;
}

int mbox_separator(int fd, uint64_t size)
{
	char tail[3];
	size_t n = size < sizeof(tail) ? (size_t)size : sizeof(tail);

	if (n == 0) {
		return 0;
	}
	if (pread(fd, tail, n, (off_t)(size - n)) != (ssize_t)n) {
		return -1;
	}
	if (tail[n - 1] != '\n') {
		return 2;
	}
	if (n > 1 && tail[n - 2] == '\r') {
		n--;
	}
	/* A file of a single line end counts as one that ends well. */
	return n > 1 && tail[n - 2] != '\n' ? 1 : 0;
}

int mbox_content_end(int fd, uint64_t size, uint64_t *end_r)
{
	char data[4096];

	*end_r = size;
	while (*end_r > 0) {
		size_t want = *end_r < sizeof(data) ? (size_t)*end_r : sizeof(data);
		ssize_t n;

		/* Nearly always there are none: one byte says so. */
		want = *end_r == size ? 1 : want;
		n = pread(fd, data, want, (off_t)(*end_r - want));
		if (n != (ssize_t)want) {
			errno = n < 0 ? errno : EIO;
			return -1;
		}
		while (n > 0 && data[n - 1] == '\0') {
			n--;
		}
		*end_r -= want - (size_t)n;
		if (n > 0) {
			break;
		}
	}
	return 0;
}

/* ---- A header's bookkeeping ---- */

enum mbox_line_kind mbox_line_kind(const char *line, size_t len)
{
	static const struct {
		const char *name;
		enum mbox_line_kind kind;
	} names[] = {
		{ "Status:", MBOX_STATUS },
		{ "X-Status:", MBOX_X_STATUS },
		{ "X-Keywords:", MBOX_KEYWORDS },
		{ "X-UID:", MBOX_UID },
		{ "X-IMAPbase:", MBOX_BASE },
		{ MBOX_PSEUDO, MBOX_BASE },
		{ "Content-Length:", MBOX_LENGTH },
		{ "X-Pillarbox-Bookkeeping:", MBOX_FENCE_LINE },
		{ "Lines:", MBOX_COUNTER },
	};

	/* Most lines end here. */
	if (len < 6 || (line[0] | 0x20) < 'c' || memchr("sSxXcClL", line[0], 8) == NULL) {
		return MBOX_NONE;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t n = strlen(names[i].name);

		if (len >= n && strncasecmp(line, names[i].name, n) == 0) {
			return names[i].kind;
		}
	}
	return MBOX_NONE;
}

static unsigned status_flags(struct slice value, const char *letters, const unsigned *flags)
{
	unsigned result = 0;

	for (size_t i = 0; i < value.len; i++) {
		const char *p = strchr(letters, value.ptr[i]);

		if (p != NULL && *p != '\0') {
			result |= flags[p - letters];
		}
	}
	return result;
}

/* take_uint - a decimal number, false when it is none or too large */
static bool take_uint(struct slice word, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (word.len == 0) {
		return false;
	}
	for (size_t i = 0; i < word.len; i++) {
		if (word.ptr[i] < '0' || word.ptr[i] > '9' || v > max / 10) {
			return false;
		}
		v = v * 10 + (uint64_t)(word.ptr[i] - '0');
	}
	*out = v;
	return v <= max;
}

static void copy_slice(char *out, size_t size, struct slice s)
{
	if (s.len >= size) {
		s.len = size - 1;
	}
	memcpy(out, s.len > 0 ? s.ptr : "", s.len);
	out[s.len] = '\0';
}

/* take_base - X-IMAPbase: validity, last UID, names of keywords; false: something else */
static bool take_base(struct mbox_head *h, struct slice value)
{
	struct slice rest = value;
	uint64_t validity, last;

	if (!take_uint(slice_word(&rest, " \t"), UINT32_MAX, &validity) ||
		!take_uint(slice_word(&rest, " \t"), UINT32_MAX - 1, &last) || validity == 0) {
		return false;
	}
	h->has_base = true;
	h->base_validity = (uint32_t)validity;
	h->base_last = (uint32_t)last;
	copy_slice(h->base_keywords, sizeof(h->base_keywords), slice_trim(rest));
	return true;
}

/* take_value - what a bookkeeping line says */
static void take_value(struct mbox_head *h, enum mbox_line_kind kind, const char *line, size_t len)
{
	static const unsigned x_flags[] = { MAIL_ANSWERED, MAIL_FLAGGED, MAIL_DRAFT, MAIL_DELETED };
	static const unsigned r_flag[] = { MAIL_SEEN };
	const char *colon = memchr(line, ':', len);
	struct slice value =
		slice_trim((struct slice){ colon + 1, (size_t)(line + len - colon - 1) });
	uint64_t n;

	switch (kind) {
	case MBOX_STATUS:
		h->flags |= status_flags(value, "R", r_flag);
		h->old = h->old || memchr(value.ptr, 'O', value.len) != NULL ||
			(h->flags & MAIL_SEEN);
		break;
	case MBOX_X_STATUS:
		h->flags |= status_flags(value, "AFTD", x_flags);
		break;
	case MBOX_KEYWORDS:
		copy_slice(h->keywords, sizeof(h->keywords), value);
		break;
	case MBOX_UID:
		if (take_uint(value, UINT32_MAX - 1, &n)) {
			h->uid = (uint32_t)n;
		}
		break;
	case MBOX_BASE:
		/* c-client and Dovecot: with X-IMAP this is no message but a place for numbers. */
		if (take_base(h, value) &&
			strncasecmp(line, MBOX_PSEUDO, strlen(MBOX_PSEUDO)) == 0) {
			h->pseudo = true;
		}
		break;
	case MBOX_LENGTH:
		h->has_length = take_uint(value, INT64_MAX, &h->length);
		break;
	case MBOX_FENCE_LINE:
		h->open_end = slice_ieq(value, "below, no line end");
		break;
	case MBOX_COUNTER:
	case MBOX_NONE:
		break;
	}
}

bool mbox_head_line(struct mbox_head *h, uint64_t at, const char *line, size_t len, bool start)
{
	uint32_t bare = line[len - 1] == '\n' && (len < 2 || line[len - 2] != '\r');
	enum mbox_line_kind kind;

	if (!start || line[0] == ' ' || line[0] == '\t') {
		if (h->last_hidden) {
			h->hidden[h->hidden_count - 1].len += (uint32_t)len;
			h->hidden[h->hidden_count - 1].bare += bare;
		}
		return h->last_hidden;
	}
	h->last_hidden = false;
	kind = mbox_line_kind(line, len);
	if (kind == MBOX_NONE || kind == MBOX_COUNTER || at > UINT32_MAX / 2) {
		return false;
	}
	if (kind == MBOX_FENCE_LINE) {
		memset(h, 0, sizeof(*h));
	}
	if (h->hidden_count == MBOX_HIDDEN_MAX) {
		return false;
	}
	h->hidden[h->hidden_count].at = (uint32_t)at;
	h->hidden[h->hidden_count].len = (uint32_t)len;
	h->hidden[h->hidden_count].bare = bare;
	h->hidden[h->hidden_count++].kind = kind;
	h->last_hidden = true;
	take_value(h, kind, line, len);
	return true;
}
