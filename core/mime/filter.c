/*
 * filter - a message walked through on its way out: its fields are shown, its 8-bit parts encoded
 *
 *	FIELDS --blank line--> BODY --boundary--> FIELDS (of a part) ...
 *	   ^                     |
 *	   +---message/rfc822----+
 *
 * Only what its header calls 8bit or binary is encoded (as Postfix does): text that comes without
 * such a label passes as it is. What is encoded gets a new Content-Transfer-Encoding at the end of
 * its header: quoted-printable for leaves, 7bit for containers (RFC 2045 6.4 allows them nothing
 * else), whose parts are then looked at one by one. message/partial and message/external-body
 * cannot be encoded (RFC 2046 5.2.2, 5.2.3) and stay. Others of message/ are leaves (message/global
 * of RFC 6532 may be encoded): Postfix calls them 7bit and encodes them all the same, which nobody
 * can read.
 *
 * RFC 2045, 2046, 6152
 */
#include "mime/filter.h"

#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "mime/header.h"
#include "mime/param.h"
#include "mime/part.h"
#include "mime/transfer.h"

enum type { TYPE_LEAF, TYPE_MULTIPART, TYPE_MESSAGE, TYPE_FIXED };

struct bound {
	size_t len;
	bool digest; /* parts are messages unless they say otherwise */
	char text[MIME_BOUNDARY_MAX];
};

struct mime_filter {
	unsigned flags;
	struct mime_filter_hooks hooks;
	bool in_body;
	enum mime_filter_header kind; /* of the header we are in */
	enum type type;
	bool wide;   /* it says 8bit or binary */
	bool encode; /* the body goes through qp */
	bool failed;
	bool middle; /* the line goes on: its beginning has been dealt with */
	bool long_field;
	struct mime_encoder qp;
	struct buf line;    /* the beginning of a line that is not whole yet */
	struct buf field;   /* a header field with its folds, without the last LF */
	struct buf label;   /* Content-Transfer-Encoding, held back to the header's end */
	struct buf scratch; /* what hooks put in place; values unfolded */
	struct bound *stack;
	size_t depth, room;
};

struct mime_filter *mime_filter_new(unsigned flags, const struct mime_filter_hooks *hooks)
{
	struct mime_filter *f = mem_alloc(sizeof(*f));

	f->flags = flags;
	if (hooks != NULL) {
		f->hooks = *hooks;
	}
	return f;
}

void mime_filter_free(struct mime_filter *f)
{
	if (f == NULL) {
		return;
	}
	buf_free(&f->line);
	buf_free(&f->field);
	buf_free(&f->label);
	buf_free(&f->scratch);
	mem_free(f->stack);
	mem_free(f);
}

/* ---- Header fields ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* name_length - of the field's name that a line begins with, 0: it is no field (RFC 5322 2.2) */
static size_t name_length(const char *p, size_t len)
{
	size_t n = 0, blanks;

	while (n < len && p[n] > ' ' && p[n] < 127 && p[n] != ':') {
		n++;
	}
	blanks = n;
	while (blanks < len && is_blank(p[blanks])) {
		blanks++;
	}
	return blanks < len && p[blanks] == ':' ? n : 0;
}

/* put_field - a whole field to the hook and out */
static void put_field(struct mime_filter *f, struct slice text, struct buf *out)
{
	size_t name = name_length(text.ptr, text.len), value = name;
	struct slice word = { text.ptr, name };
	enum mime_filter_header kind = f->kind;
	enum mime_filter_verdict verdict = MIME_FILTER_KEEP;

	if (f->hooks.header != NULL) {
		while (value < text.len && text.ptr[value] != ':') {
			value++;
		}
		value++;
		while (value < text.len && is_blank(text.ptr[value])) {
			value++;
		}
		if ((name > 8 && slice_ieq((struct slice){ text.ptr, 8 }, "content-")) ||
			slice_ieq(word, "mime-version")) {
			kind = MIME_FILTER_MIME;
		}
		buf_reset(&f->scratch);
		verdict = f->hooks.header(f->hooks.arg, kind, text, value, &f->scratch);
	}
	if (verdict == MIME_FILTER_REPLACE) {
		buf_add(out, f->scratch.data, f->scratch.len);
	} else if (verdict == MIME_FILTER_KEEP) {
		buf_add(out, text.ptr, text.len);
	}
	if (verdict != MIME_FILTER_DROP) {
		buf_addc(out, '\n');
	}
}

static void push_boundary(struct mime_filter *f, const char *text, bool digest)
{
	struct bound *b;

	if (f->depth >= MIME_DEPTH_MAX) {
		f->failed = f->failed || (f->flags & MIME_FILTER_DOWNGRADE) != 0;
		return;
	}
	if (f->depth == f->room) {
		f->room = f->room == 0 ? 2 : f->room * 2;
		f->stack = mem_realloc(f->stack, f->room * sizeof(*f->stack));
	}
	b = &f->stack[f->depth++];
	b->len = strlen(text) < sizeof(b->text) ? strlen(text) : sizeof(b->text);
	b->digest = digest;
	memcpy(b->text, text, b->len);
}

/* content_type - what kind of entity this header makes it */
static void content_type(struct mime_filter *f, struct slice value)
{
	struct arena arena = ARENA_INIT;
	const char *type = NULL, *boundary;
	struct mime_param *params = mime_params(&arena, value, &type);

	if (type == NULL) {
		f->type = TYPE_LEAF;
	} else if (str_istarts(type, "multipart/")) {
		boundary = mime_param(params, "boundary");
		f->type = TYPE_MULTIPART;
		if (boundary != NULL && *boundary != '\0') {
			push_boundary(f, boundary, str_ieq(type, "multipart/digest"));
		}
	} else if (str_ieq(type, "message/rfc822")) {
		f->type = TYPE_MESSAGE;
	} else if (str_ieq(type, "message/partial") || str_ieq(type, "message/external-body")) {
		f->type = TYPE_FIXED;
	} else {
		f->type = TYPE_LEAF;
	}
	arena_free(&arena);
}

/* known_field - take from a field what decides over the body; true: it is held back */
static bool known_field(struct mime_filter *f, struct slice text)
{
	struct slice rest = text;
	struct mime_field field;
	enum mime_encoding encoding;

	if (!mime_field_next(&rest, &field)) {
		return false;
	}
	if (slice_ieq(field.name, "content-type")) {
		buf_reset(&f->scratch);
		mime_unfold(&f->scratch, field.value);
		content_type(f, (struct slice){ buf_str(&f->scratch), f->scratch.len });
		return false;
	}
	if (!slice_ieq(field.name, "content-transfer-encoding") ||
		(f->flags & MIME_FILTER_DOWNGRADE) == 0) {
		return false;
	}
	encoding = mime_encoding_parse(field.value);
	f->wide = encoding == MIME_8BIT || encoding == MIME_BINARY;
	if (f->wide) {
		buf_reset(&f->label);
		buf_add(&f->label, text.ptr, text.len);
	}
	return f->wide;
}

/* field_done - the field that was collected has ended */
static void field_done(struct mime_filter *f, struct buf *out)
{
	struct slice text = { buf_str(&f->field), f->field.len };

	if (f->long_field) {
		buf_addc(out, '\n');
	} else if (f->field.len > 0 && !known_field(f, text)) {
		put_field(f, text, out);
	}
	f->long_field = false;
	buf_reset(&f->field);
}

/* field_add - more of the field; what grows too long passes as it comes */
static void field_add(struct mime_filter *f, bool fold, struct slice text, struct buf *out)
{
	struct buf *to = f->long_field ? out : &f->field;

	if (fold) {
		buf_addc(to, '\n');
	}
	buf_add(to, text.ptr, text.len);
	if (!f->long_field && f->field.len > MIME_FILTER_FIELD_MAX) {
		bool held = known_field(f, (struct slice){ f->field.data, f->field.len });

		f->wide = f->wide && !held;
		buf_add(out, f->field.data, f->field.len);
		buf_reset(&f->field);
		f->long_field = true;
	}
}

/* fields_done - the header has ended: what its body is. True: a label was put out last. */
static bool fields_done(struct mime_filter *f, struct buf *out)
{
	bool labelled;

	field_done(f, out);
	labelled = f->wide;
	f->encode = false;
	if (f->wide && f->type == TYPE_FIXED) {
		put_field(f, (struct slice){ f->label.data, f->label.len }, out);
	} else if (f->wide && f->type == TYPE_LEAF) {
		put_field(f, SLICE_LIT("Content-Transfer-Encoding: quoted-printable"), out);
		mime_encode_init(&f->qp, MIME_QP);
		f->encode = true;
	} else if (f->wide) {
		put_field(f, SLICE_LIT("Content-Transfer-Encoding: 7bit"), out);
	}
	f->wide = false;
	f->in_body = true;
	return labelled;
}

static void begin_fields(struct mime_filter *f, enum mime_filter_header kind, enum type type)
{
	f->in_body = false;
	f->kind = kind;
	f->type = type;
	f->wide = false;
	f->encode = false;
}

/* ---- Bodies ---- */

/* find_boundary - the longest boundary of an open multipart that a line begins with: its place in
 * the stack, or -1. closing_r: it ends the multipart. */
static int find_boundary(const struct mime_filter *f, struct slice line, bool *closing_r)
{
	int best = -1;

	if (f->depth == 0 || line.len < 3 || line.ptr[0] != '-' || line.ptr[1] != '-') {
		return -1;
	}
	for (size_t i = f->depth; i-- > 0;) {
		const struct bound *b = &f->stack[i];

		if (line.len - 2 >= b->len && memcmp(line.ptr + 2, b->text, b->len) == 0 &&
			(best < 0 || b->len > f->stack[best].len)) {
			best = (int)i;
		}
	}
	if (best >= 0) {
		size_t end = 2 + f->stack[best].len;

		*closing_r = line.len >= end + 2 && memcmp(line.ptr + end, "--", 2) == 0;
	}
	return best;
}

/* end_part - a boundary has come: what is open inside it ends */
static void end_part(struct mime_filter *f, int at, bool closing, struct buf *out)
{
	if (f->encode) {
		mime_encode_end(&f->qp, out);
	}
	f->depth = (size_t)at + 1;
	if (closing) {
		f->depth--;
		f->encode = false;
		f->in_body = true;
		f->type = TYPE_LEAF;
	} else {
		begin_fields(f, MIME_FILTER_MIME, f->stack[at].digest ? TYPE_MESSAGE : TYPE_LEAF);
	}
}

/* put_body - text of a body; ended: with the end of its line */
static void put_body(struct mime_filter *f, struct slice text, bool ended, struct buf *out)
{
	if (f->encode) {
		mime_encode(&f->qp, text.ptr, text.len, out);
		mime_encode(&f->qp, "\n", ended ? 1 : 0, out);
	} else {
		buf_add(out, text.ptr, text.len);
		buf_add(out, "\n", ended ? 1 : 0);
	}
}

static void body_text(struct mime_filter *f, struct slice text, bool ended, struct buf *out)
{
	enum mime_filter_verdict verdict = MIME_FILTER_KEEP;
	bool closing = false;
	int at = f->middle ? -1 : find_boundary(f, text, &closing);

	if (at >= 0) {
		end_part(f, at, closing, out);
		buf_add(out, text.ptr, text.len);
		buf_add(out, "\n", ended ? 1 : 0);
		return;
	}
	if (f->hooks.body != NULL) {
		buf_reset(&f->scratch);
		verdict = f->hooks.body(f->hooks.arg, text, &f->scratch);
	}
	if (verdict == MIME_FILTER_REPLACE) {
		text = (struct slice){ buf_str(&f->scratch), f->scratch.len };
	}
	if (verdict != MIME_FILTER_DROP) {
		put_body(f, text, ended, out);
	}
}

/* header_text - a piece of a line while we are in a header */
static void header_text(struct mime_filter *f, struct slice text, bool ended, struct buf *out)
{
	bool open = f->field.len > 0 || f->long_field;

	if (open && (f->middle || (text.len > 0 && is_blank(text.ptr[0])))) {
		field_add(f, !f->middle, text, out);
		return;
	}
	if (text.len == 0) {
		(void)fields_done(f, out);
		buf_add(out, "\n", ended ? 1 : 0);
		if (f->type == TYPE_MESSAGE) {
			begin_fields(f, MIME_FILTER_NESTED, TYPE_LEAF);
		}
	} else if (name_length(text.ptr, text.len) > 0) {
		field_done(f, out);
		field_add(f, false, text, out);
	} else {
		/* The body begins without a blank line; behind a new label it gets one. */
		if (fields_done(f, out)) {
			buf_addc(out, '\n');
		}
		body_text(f, text, ended, out);
	}
}

/* take - a line, or a piece of a long one */
static void take(struct mime_filter *f, const char *p, size_t len, bool ended, struct buf *out)
{
	struct slice text = { p, len };

	if (f->in_body) {
		body_text(f, text, ended, out);
	} else {
		header_text(f, text, ended, out);
	}
	f->middle = !ended;
}

/* keep - the beginning of a line whose end has not come */
static void keep(struct mime_filter *f, const char *p, size_t len, struct buf *out)
{
	while (len > 0) {
		size_t n = MIME_FILTER_LINE_MAX - f->line.len;

		n = n < len ? n : len;
		buf_add(&f->line, p, n);
		p += n;
		len -= n;
		if (f->line.len == MIME_FILTER_LINE_MAX && len > 0) {
			take(f, f->line.data, f->line.len, false, out);
			buf_reset(&f->line);
		}
	}
}

/* plain - from here on nothing can change: no part, no encoding, nobody who looks */
static bool plain(const struct mime_filter *f)
{
	return f->in_body && f->depth == 0 && !f->encode && f->hooks.body == NULL &&
		f->line.len == 0;
}

bool mime_filter_write(struct mime_filter *f, const char *data, size_t len, struct buf *out)
{
	const char *end = data + len;

	while (data < end && !f->failed && !plain(f)) {
		const char *lf = memchr(data, '\n', (size_t)(end - data));
		size_t n = (size_t)((lf != NULL ? lf : end) - data);

		if (lf != NULL && f->line.len == 0 && n <= MIME_FILTER_LINE_MAX) {
			take(f, data, n, true, out);
		} else {
			keep(f, data, n, out);
			if (lf != NULL) {
				take(f, buf_str(&f->line), f->line.len, true, out);
				buf_reset(&f->line);
			}
		}
		data += n + (lf != NULL ? 1 : 0);
	}
	if (data < end && !f->failed) {
		buf_add(out, data, (size_t)(end - data));
	}
	return !f->failed;
}

bool mime_filter_end(struct mime_filter *f, struct buf *out)
{
	if (f->line.len > 0) {
		take(f, buf_str(&f->line), f->line.len, false, out);
		buf_reset(&f->line);
	}
	if (!f->in_body) {
		(void)fields_done(f, out);
	}
	if (f->encode) {
		mime_encode_end(&f->qp, out);
	}
	return !f->failed;
}
