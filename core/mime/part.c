/*
 * part - the MIME tree of a message
 *
 *	         header read            line that is a boundary of an open multipart
 *	HEADER ---------------> BODY ------------------------------------------> HEADER
 *	   ^                     |  \  closing boundary: BODY (epilogue)
 *	   `--- message/rfc822 --'   \ end of the message: DONE
 *
 * Bodies are read line by line. A line that begins with "--" and the boundary of
 * an open multipart ends the innermost parts (RFC 2046 5.1.1: the comparison is with
 * the beginning of the line; of several that fit, the longest). Positions are
 * counted as stored and as on the wire at once.
 *
 * RFC 2045, RFC 2046 5.1, RFC 3501 6.4.5
 */
#include "mime/part.h"

#include <string.h>

enum {
	BODY_WINDOW = 1 << 16,              /* bytes asked for at a time */
	LOOK_AHEAD = MIME_BOUNDARY_MAX + 8, /* of a line: enough to tell a boundary */
	JOIN_MAX = 50,                      /* fields of the same name that are joined */
	JOIN_BYTES = 1 << 16
};

struct boundary {
	struct boundary *outer;
	struct mime_part *part;
	const char *text;
	size_t len;
};

enum parser_state { IN_HEADER, IN_BODY, DONE };

struct mime_parser {
	struct arena *arena;
	struct mime_source *source;
	const struct mime_listener *listener;
	struct mime_part *root, *current;
	struct boundary *open; /* innermost first */
	enum parser_state state;
	unsigned parts;
	struct mime_pos pos;      /* of the next byte */
	struct mime_pos line_end; /* before the last line end, while line_start */
	uint64_t lines;           /* line ends before pos */
	bool line_start;
	bool last_cr;
	bool skip_line;              /* in the rest of a boundary line */
	bool cut_short;              /* the header just read ended at a boundary */
	const char *held;            /* line end not yet told to the listener */
	size_t joined[MIME_F_COUNT]; /* fields of this header that were joined */
};

static const struct {
	const char *name;
	bool address;
} known[MIME_F_COUNT] = {
	[MIME_F_CONTENT_TYPE] = { "content-type", false },
	[MIME_F_ENCODING] = { "content-transfer-encoding", false },
	[MIME_F_ID] = { "content-id", false },
	[MIME_F_DESCRIPTION] = { "content-description", false },
	[MIME_F_DISPOSITION] = { "content-disposition", false },
	[MIME_F_LANGUAGE] = { "content-language", false },
	[MIME_F_LOCATION] = { "content-location", false },
	[MIME_F_MD5] = { "content-md5", false },
	[MIME_F_DATE] = { "date", false },
	[MIME_F_SUBJECT] = { "subject", false },
	[MIME_F_FROM] = { "from", true },
	[MIME_F_SENDER] = { "sender", true },
	[MIME_F_REPLY_TO] = { "reply-to", true },
	[MIME_F_TO] = { "to", true },
	[MIME_F_CC] = { "cc", true },
	[MIME_F_BCC] = { "bcc", true },
	[MIME_F_IN_REPLY_TO] = { "in-reply-to", false },
	[MIME_F_MESSAGE_ID] = { "message-id", false },
};

bool mime_part_is(const struct mime_part *p, const char *type, const char *subtype)
{
	return str_ieq(p->type, type) && (subtype == NULL || str_ieq(p->subtype, subtype));
}

/* is_message - a whole message: the root or what a message/rfc822 holds */
static bool is_message(const struct mime_part *p)
{
	return p->parent == NULL || p->parent->kind == MIME_MESSAGE;
}

/* known_field - which of the known fields a name is, or MIME_F_COUNT */
static unsigned known_field(struct slice name, bool message)
{
	unsigned end = message ? MIME_F_COUNT : MIME_F_DATE, i;

	for (i = 0; i < end; i++) {
		if (name.len > 1 && (name.ptr[0] | 0x20) == known[i].name[0] &&
			slice_ieq(name, known[i].name)) {
			return i;
		}
	}
	return MIME_F_COUNT;
}

/* field_text - a value unfolded, NUL as RFC 3501 wants it */
static const char *field_text(struct arena *a, struct slice value)
{
	struct buf flat = BUF_INIT;
	const char *text;
	char *nul;

	if (memchr(value.ptr, '\n', value.len) == NULL &&
		memchr(value.ptr, '\0', value.len) == NULL) {
		return arena_strndup(a, value.ptr, value.len);
	}
	mime_unfold(&flat, value);
	while (flat.len > 0 && (nul = memchr(flat.data, '\0', flat.len)) != NULL) {
		*nul = (char)0x80;
	}
	text = arena_strndup(a, buf_str(&flat), flat.len);
	buf_free(&flat);
	return text;
}

/* keep_field - remember a known field: of several, addresses are joined, Content-* are the first,
 * others the last */
static void keep_field(struct mime_parser *mp, struct mime_part *p, unsigned i, struct slice value)
{
	const char *text;

	if (i >= MIME_F_COUNT) {
		return;
	}
	if (p->field[i] == NULL) {
		p->field[i] = field_text(mp->arena, value);
	} else if (known[i].address) {
		if (mp->joined[i] < JOIN_MAX && strlen(p->field[i]) + value.len < JOIN_BYTES) {
			mp->joined[i]++;
			text = field_text(mp->arena, value);
			p->field[i] = arena_printf(mp->arena, "%s, %s", p->field[i], text);
		}
	} else if (i >= MIME_F_DATE && mp->joined[i] < JOIN_MAX) {
		mp->joined[i]++;
		p->field[i] = field_text(mp->arena, value);
	}
}

/* set_type - type, subtype, parameters; malformed is as if not there (RFC 2045 5.2) */
static void set_type(struct mime_parser *mp, struct mime_part *p)
{
	const char *value = p->field[MIME_F_CONTENT_TYPE], *full = NULL, *slash;
	bool digest = p->parent != NULL && p->parent->kind == MIME_MULTIPART &&
		mime_part_is(p->parent, "multipart", "digest");

	p->type = digest ? "message" : "text";
	p->subtype = digest ? "rfc822" : "plain";
	if (value == NULL) {
		return;
	}
	p->params = mime_params(mp->arena, slice_of(value), &full);
	slash = full != NULL ? strchr(full, '/') : NULL;
	if (slash == NULL) {
		p->typed = full != NULL && str_ieq(full, "text"); /* RFC 1049 */
	} else if (slash > full && slash[1] != '\0' && strchr(slash + 1, '/') == NULL) {
		p->type = arena_strndup(mp->arena, full, (size_t)(slash - full));
		p->subtype = slash + 1;
		p->typed = true;
	}
	if (!p->typed) {
		p->params = NULL;
	}
}

/* push_boundary - p is a multipart: look for its boundary from now on */
static void push_boundary(struct mime_parser *mp, struct mime_part *p)
{
	const char *text = mime_param(p->params, "boundary");
	struct boundary *b;
	size_t len;

	if (text == NULL || *text == '\0') {
		return;
	}
	len = strlen(text);
	while (len > 1 && text[len - 1] == ' ') { /* RFC 2046 5.1.1: cannot end in a blank */
		len--;
	}
	b = arena_alloc(mp->arena, sizeof(*b));
	b->outer = mp->open;
	b->part = p;
	b->text = text;
	b->len = len < MIME_BOUNDARY_MAX ? len : MIME_BOUNDARY_MAX;
	mp->open = b;
}

/* begin_part - a new part below parent whose header is next */
static void begin_part(struct mime_parser *mp, struct mime_part *parent)
{
	struct mime_part *p = arena_alloc(mp->arena, sizeof(*p)), **tail;

	p->parent = parent;
	p->number = 1;
	p->head = mp->pos;
	mp->parts++;
	if (parent == NULL) {
		mp->root = p;
	} else {
		p->depth = parent->depth + 1;
		for (tail = &parent->child; *tail != NULL; tail = &(*tail)->next) {
			p->number++;
		}
		*tail = p;
	}
	mp->current = p;
	mp->state = IN_HEADER;
	mp->line_start = true;
	memset(mp->joined, 0, sizeof(mp->joined));
}

/* set_kind - after its header: what kind of part it is and what to read next */
static void set_kind(struct mime_parser *mp, struct mime_part *p)
{
	bool room = p->depth < MIME_DEPTH_MAX && mp->parts < MIME_PARTS_MAX;

	mp->state = IN_BODY;
	if (room && mime_part_is(p, "multipart", NULL)) {
		p->kind = MIME_MULTIPART;
		push_boundary(mp, p);
	} else if (room && mime_part_is(p, "message", "rfc822")) {
		p->kind = MIME_MESSAGE;
		begin_part(mp, p);
	}
}

/* find_boundary - the open boundary that the line at s begins with, NULL none */
static struct boundary *find_boundary(
	const struct mime_parser *mp, const char *s, size_t len, bool *closing_r)
{
	struct boundary *b, *best = NULL;

	if (mp->open == NULL || len < 3 || s[0] != '-' || s[1] != '-') {
		return NULL;
	}
	for (b = mp->open; b != NULL; b = b->outer) {
		if (len - 2 >= b->len && memcmp(s + 2, b->text, b->len) == 0 &&
			(best == NULL || b->len > best->len)) {
			best = b;
		}
	}
	if (best != NULL) {
		s += 2 + best->len;
		*closing_r = len - 2 - best->len >= 2 && s[0] == '-' && s[1] == '-';
	}
	return best;
}

/* is_blank_line - at s, the end of a header */
static bool is_blank_line(const char *s, size_t len)
{
	return len > 0 && (s[0] == '\n' || (s[0] == '\r' && len > 1 && s[1] == '\n'));
}

/*
 * header_size - bytes of the header at s, with the blank line if it ends in one. False:
 * its end is not in s (and s is not all there is). *seen: lines looked at already.
 */
static bool header_size(
	struct mime_parser *mp, struct slice s, bool all, size_t *seen, size_t *size_r)
{
	size_t at;
	bool closing;

	for (at = *seen; at < s.len; *seen = at) {
		const char *p = s.ptr + at, *lf;
		size_t left = s.len - at;

		if (is_blank_line(p, left)) {
			*size_r = at + (*p == '\r' ? 2 : 1);
			return true;
		}
		if (!all && left < LOOK_AHEAD && (*p == '-' || *p == '\r')) {
			return false;
		}
		if (find_boundary(mp, p, left, &closing) != NULL) {
			*size_r = at;
			mp->cut_short = at > 0;
			return true;
		}
		lf = memchr(p, '\n', left);
		if (lf == NULL) {
			break;
		}
		at += (size_t)(lf - p) + 1;
	}
	*size_r = s.len;
	return all;
}

/* advance - pos over bytes that are done with */
static void advance(struct mime_parser *mp, const char *s, size_t len)
{
	const char *p = s, *end = s + len;

	for (; p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) {
		mp->lines++;
	}
	mp->pos.wire += len + mime_bare_lfs(s, len, &mp->last_cr);
	mp->pos.raw += len;
}

/* header_here - the header at pos, in one piece */
static struct slice header_here(struct mime_parser *mp)
{
	size_t least = 1, most = 4096, seen = 0;
	struct slice s = { "", 0 };

	for (;;) {
		size_t len = most, size;
		const char *p = mime_source_at(mp->source, mp->pos.raw, least, &len);
		bool all = len < least || len >= MIME_HEADER_MAX;

		if (p == NULL) {
			s.len = 0;
			return s;
		}
		s.ptr = p;
		s.len = len < MIME_HEADER_MAX ? len : MIME_HEADER_MAX;
		if (header_size(mp, s, all, &seen, &size)) {
			s.len = size;
			return s;
		}
		least = len + 1;
		most = len * 4;
	}
}

/* read_header - the current part's, all of it at once; bytes used */
static size_t read_header(struct mime_parser *mp)
{
	struct mime_part *p = mp->current;
	bool message = is_message(p);
	struct slice header, rest;
	struct mime_field f;

	mp->cut_short = false;
	header = rest = header_here(mp);
	while (mime_field_next(&rest, &f)) {
		keep_field(mp, p, known_field(f.name, message), f.value);
	}
	set_type(mp, p);
	if (p->field[MIME_F_ENCODING] != NULL) {
		p->encoding = mime_encoding_parse(slice_of(p->field[MIME_F_ENCODING]));
	}
	if (mp->listener != NULL && mp->listener->header != NULL) {
		mp->listener->header(mp->listener->arg, p, header);
	}
	advance(mp, header.ptr, header.len);
	p->body = header.len > 0 ? mp->pos : p->head;
	if (mp->cut_short) {
		/* The line end before a boundary is the boundary's, even here. */
		bool cr = header.len > 1 && header.ptr[header.len - 2] == '\r';

		mp->line_end.raw = mp->pos.raw - 1 - cr;
		mp->line_end.wire = mp->pos.wire - 2;
		p->body = mp->line_end;
	}
	p->end = p->body;
	p->lines = mp->lines - (p->body.raw < mp->pos.raw); /* those before it, until it ends */
	mp->line_start = true;
	set_kind(mp, p);
	if (mp->current != p) {
		mp->current->head = p->body;
	}
	return header.len;
}

/* tell - body bytes of a leaf, to the listener */
static void tell(struct mime_parser *mp, const char *s, size_t len)
{
	if (len > 0 && mp->listener != NULL && mp->listener->body != NULL &&
		mp->current->kind == MIME_LEAF) {
		mp->listener->body(mp->listener->arg, mp->current, s, len);
	}
}

/* tell_held - the line end turned out to belong to the body */
static void tell_held(struct mime_parser *mp)
{
	if (mp->held != NULL) {
		tell(mp, mp->held, strlen(mp->held));
		mp->held = NULL;
	}
}

/*
 * end_parts - current and all that are inside last end before the line at pos. boundary: that
 * line is one, and the line end before it is its own (unless that ended the header).
 */
static void end_parts(struct mime_parser *mp, const struct mime_part *last, bool boundary)
{
	bool cut = boundary && mp->pos.raw > mp->current->body.raw;
	struct mime_part *p;

	mp->held = NULL;
	for (p = mp->current; p != last; p = p->parent) {
		p->end = cut ? mp->line_end : mp->pos;
		p->lines = mp->lines - cut - p->lines;
		if (p->kind == MIME_LEAF && mp->listener != NULL &&
			mp->listener->body_end != NULL) {
			mp->listener->body_end(mp->listener->arg, p);
		}
	}
}

/* at_boundary - a boundary line begins at pos */
static void at_boundary(struct mime_parser *mp, struct boundary *b, bool closing)
{
	end_parts(mp, b->part, true);
	mp->current = b->part;
	mp->skip_line = true;
	mp->open = b;
	if (closing || mp->parts >= MIME_PARTS_MAX) {
		mp->open = b->outer;
		mp->state = IN_BODY;
	} else {
		mp->state = IN_HEADER; /* begin_part() once the line is over */
	}
}

/* finish - the message is over */
static void finish(struct mime_parser *mp)
{
	tell_held(mp);
	end_parts(mp, NULL, false);
	mp->state = DONE;
}

/* skip_boundary_line - bytes used of s; the line may go on in the next window */
static size_t skip_boundary_line(struct mime_parser *mp, const char *s, size_t len)
{
	const char *lf = memchr(s, '\n', len);
	size_t n = lf != NULL ? (size_t)(lf - s) + 1 : len;
	bool cr = n > 1 ? s[n - 2] == '\r' : mp->last_cr;

	if (lf == NULL && n > 1 && s[n - 1] == '\r') {
		n--; /* its LF is in the next window */
	}
	advance(mp, s, n);
	if (lf != NULL) {
		mp->line_end.raw = mp->pos.raw - 1 - cr;
		mp->line_end.wire = mp->pos.wire - 2;
		mp->line_start = true;
		mp->skip_line = false;
		mp->held = NULL;
		if (mp->state == IN_HEADER) {
			begin_part(mp, mp->current);
		}
	}
	return n;
}

/* pass_part - n bytes of a line whose end is not here */
static void pass_part(struct mime_parser *mp, const char *s, size_t n)
{
	mp->pos.raw += n;
	mp->pos.wire += n;
	mp->last_cr = s[n - 1] == '\r';
	mp->line_start = false;
}

/* pass_line - n bytes, the last of which ends a line */
static void pass_line(struct mime_parser *mp, const char *s, size_t n)
{
	bool cr = n > 1 ? s[n - 2] == '\r' : !mp->line_start && mp->last_cr;

	mp->pos.raw += n;
	mp->pos.wire += n + !cr;
	mp->lines++;
	mp->line_end.raw = mp->pos.raw - 1 - cr;
	mp->line_end.wire = mp->pos.wire - 2;
	mp->line_start = true;
	mp->last_cr = false;
}

/*
 * pass_some - the next line of the window, or what of it is here; bytes, 0: more are needed. last:
 * the message ends with them
 */
static size_t pass_some(struct mime_parser *mp, const char *s, size_t len, bool last)
{
	const char *lf = memchr(s, '\n', len);

	if (lf != NULL) {
		pass_line(mp, s, (size_t)(lf - s) + 1);
		return (size_t)(lf - s) + 1;
	}
	if (s[len - 1] == '\r' && !last) {
		len--; /* its LF may follow */
	}
	if (len > 0) {
		pass_part(mp, s, len);
	}
	return len;
}

/* tell_body - at bytes of the window; the line end before a boundary belongs to that: it is held */
static void tell_body(struct mime_parser *mp, const char *s, size_t at)
{
	size_t eol = 0;

	if (mp->line_start && at > 0) {
		eol = (size_t)(mp->pos.raw - mp->line_end.raw);
	}
	tell(mp, s, at - eol);
	if (eol > 0) {
		mp->held = eol == 2 ? "\r\n" : "\n";
	}
}

/*
 * read_lines - body bytes s, until a boundary or until more bytes are needed;
 * bytes used. last: the message ends with them.
 */
static size_t read_lines(struct mime_parser *mp, const char *s, size_t len, bool last)
{
	size_t at = 0, n;

	for (; at < len; at += n) {
		if (mp->line_start && mp->open != NULL && s[at] == '-') {
			bool closing = false;
			struct boundary *b;

			if (len - at < LOOK_AHEAD && !last && at > 0) {
				break;
			}
			b = find_boundary(mp, s + at, len - at, &closing);
			if (b != NULL) {
				/* Without the line end before it, which is in this window too. */
				if (at > 0) {
					tell(mp, s, at - (size_t)(mp->pos.raw - mp->line_end.raw));
				}
				at_boundary(mp, b, closing);
				return at;
			}
		}
		tell_held(mp);
		n = pass_some(mp, s + at, len - at, last);
		if (n == 0) {
			break;
		}
	}
	tell_body(mp, s, at);
	return at;
}

/* read_body - one window; bytes used */
static size_t read_body(struct mime_parser *mp)
{
	size_t len = BODY_WINDOW;
	const char *s = mime_source_at(mp->source, mp->pos.raw, LOOK_AHEAD, &len);

	if (s == NULL) {
		finish(mp);
		return 0;
	}
	if (mp->skip_line) {
		return skip_boundary_line(mp, s, len);
	}
	return read_lines(mp, s, len, len < LOOK_AHEAD);
}

struct mime_parser *mime_parser_new(
	struct arena *a, struct mime_source *s, const struct mime_listener *listener)
{
	struct mime_parser *mp = arena_alloc(a, sizeof(*mp));

	mp->arena = a;
	mp->source = s;
	mp->listener = listener;
	begin_part(mp, NULL);
	return mp;
}

bool mime_parser_run(struct mime_parser *mp, size_t budget)
{
	size_t used = 0;

	while (mp->state != DONE && used < budget) {
		/* At least 1 a turn, so that a budget bounds the turns as well. */
		bool header = mp->state == IN_HEADER && !mp->skip_line;

		used += 1 + (header ? read_header(mp) : read_body(mp));
	}
	return mp->state == DONE;
}

struct mime_part *mime_parser_tree(struct mime_parser *mp)
{
	return mp->root;
}

struct mime_part *mime_parse(struct arena *a, struct mime_source *s)
{
	struct mime_parser *mp = mime_parser_new(a, s, NULL);

	while (!mime_parser_run(mp, SIZE_MAX)) {
	}
	return mp->root;
}

struct mime_part *mime_part_find(struct mime_part *root, const uint32_t *path, size_t count)
{
	struct mime_part *entity = root, *p = root;
	size_t i;

	for (i = 0; i < count; i++) {
		if (i > 0) {
			entity = p->kind == MIME_MESSAGE ? p->child : p;
			if (p->kind == MIME_LEAF) {
				return NULL;
			}
		}
		if (entity->kind == MIME_MULTIPART) {
			for (p = entity->child; p != NULL && p->number != path[i]; p = p->next) {
			}
			if (p == NULL) {
				return NULL;
			}
		} else if (path[i] == 1) {
			p = entity;
		} else {
			return NULL;
		}
	}
	return p;
}
