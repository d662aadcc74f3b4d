/*
 * search_text - look for texts in messages
 *
 *	bytes --MIME parser--> body of a part --decoder--> --charset--> --fold--> pieces
 *	                  `--> header --encoded words--> fold --> one piece
 *
 * Most mail is ASCII or UTF-8 without encoding, and most texts that people look for are
 * ASCII: such bodies are searched as they are stored, without copying. Matching
 * ignores case (Horspool's method; the last byte of the window says how far to
 * move). Pieces overlap by the longest text, so nothing is missed between them.
 *
 * Searched are text parts and, of messages within, their headers (BODY), and for TEXT all headers.
 *
 * RFC 3501 6.4.4
 */
#include "applets/read/imapd/search_text.h"

#include <string.h>

#include "base/date.h"
#include "mime/charset.h"
#include "mime/part.h"
#include "mime/word.h"
#include "applets/read/imapd/header_cache.h"

enum { SLICE = 1 << 20 };

/* A text to look for. */
struct needle {
	const struct imap_key *key;
	unsigned char skip[256];
	bool ascii;
};

struct search_text {
	struct needle *needles; /* BODY and TEXT keys */
	size_t needle_count;
	size_t longest; /* of them, bytes */
	bool all_ascii;
	const struct imap_key **fields; /* HEADER and SENT* keys */
	size_t field_count;
	enum known *known;
	size_t open; /* BODY and TEXT keys that are unknown */
	size_t key_count;

	struct mime_source source;
	struct arena arena; /* of the tree */
	struct mime_parser *parser;

	/* The part that is being read. */
	bool searched, text_only; /* at all; TEXT keys alone (a header) */
	bool plain;               /* its bytes can be searched as they are */
	bool fold;                /* what is searched must be folded first */
	struct mime_decoder decoder;
	struct mime_charset *charset; /* NULL: none needed */
	struct buf decoded, converted, folded;
	struct buf tail; /* end of what was searched */
};

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* ---- Matching ---- */

/* prepare - Horspool's table */
static void prepare(struct needle *n, const struct imap_key *k)
{
	size_t i, len = k->len;

	n->key = k;
	n->ascii = true;
	memset(n->skip, len < 255 ? (int)len : 255, sizeof(n->skip));
	for (i = 0; i + 1 < len; i++) {
		unsigned char c = (unsigned char)k->text[i];
		size_t far = len - 1 - i;

		n->skip[c] = (unsigned char)(far < 255 ? far : 255);
		if (c >= 'a' && c <= 'z') {
			n->skip[c & ~0x20] = n->skip[c];
		}
	}
	for (i = 0; i < len; i++) {
		n->ascii = n->ascii && (unsigned char)k->text[i] < 0x80;
	}
}

/* find - the needle in s, case of ASCII ignored */
static bool find(const struct needle *n, const char *s, size_t len)
{
	const unsigned char *text = (const unsigned char *)s;
	const unsigned char *want = (const unsigned char *)n->key->text;
	size_t m = n->key->len, i = 0;
	unsigned char last;

	if (m == 0) {
		return true;
	}
	last = want[m - 1];
	while (i + m <= len) {
		unsigned char c = text[i + m - 1];

		if (lower(c) == last) {
			size_t k = m - 1;

			while (k > 0 && lower(text[i + k - 1]) == want[k - 1]) {
				k--;
			}
			if (k == 0) {
				return true;
			}
		}
		i += n->skip[c];
	}
	return false;
}

/* hit - the key is decided */
static void hit(struct search_text *st, const struct imap_key *k)
{
	if (st->known[k->id] != HIT) {
		st->known[k->id] = HIT;
		st->open--;
	}
}

/* search_all - every needle that is still looked for, in s */
static void search_all(struct search_text *st, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < st->needle_count; i++) {
		const struct needle *n = &st->needles[i];

		if (st->known[n->key->id] != UNKNOWN ||
			(st->text_only && n->key->kind != IMAP_KEY_TEXT)) {
			continue;
		}
		if (find(n, s, len)) {
			hit(st, n->key);
		}
	}
}

/* search_piece - text that follows what was searched before */
static void search_piece(struct search_text *st, const char *s, size_t len)
{
	size_t keep = st->longest > 0 ? st->longest - 1 : 0, n = len < keep ? len : keep;

	if (st->open == 0) {
		return;
	}
	if (st->tail.len > 0) {
		/* What lies across: the tail and the beginning of this piece. */
		buf_add(&st->tail, s, n);
		search_all(st, st->tail.data, st->tail.len);
	}
	if (n == len) {
		/* A short piece is all in the tail. */
		if (st->tail.len == 0) {
			buf_add(&st->tail, s, n);
			search_all(st, buf_str(&st->tail), st->tail.len);
		}
		if (st->tail.len > keep) {
			memmove(st->tail.data, st->tail.data + st->tail.len - keep, keep);
			buf_truncate(&st->tail, keep);
		}
		return;
	}
	search_all(st, s, len);
	buf_reset(&st->tail);
	buf_add(&st->tail, s + len - keep, keep);
}

/* ---- Headers ---- */

/* blank_tabs - a tab of a header, most often a fold, is found as a blank */
static void blank_tabs(struct buf *b)
{
	for (size_t i = 0; i < b->len; i++) {
		b->data[i] = b->data[i] == '\t' ? ' ' : b->data[i];
	}
}

/* search_header - all fields, decoded, as one text each */
static void search_header(struct search_text *st, struct slice header)
{
	struct mime_field f;

	buf_reset(&st->tail);
	while (st->open > 0 && mime_field_next(&header, &f)) {
		buf_reset(&st->decoded);
		buf_add(&st->decoded, f.name.ptr, f.name.len);
		buf_adds(&st->decoded, ": ");
		mime_words_decode(&st->decoded, f.value, NULL);
		blank_tabs(&st->decoded);
		buf_reset(&st->folded);
		utf8_fold(&st->folded, st->decoded.data, st->decoded.len);
		search_all(st, buf_str(&st->folded), st->folded.len);
	}
}

/* field_matches - one HEADER key and one field */
static bool field_matches(struct search_text *st, const struct imap_key *k, struct slice value)
{
	struct needle n;

	if (k->len == 0) {
		return true;
	}
	buf_reset(&st->decoded);
	buf_reset(&st->folded);
	mime_words_decode(&st->decoded, value, NULL);
	blank_tabs(&st->decoded);
	utf8_fold(&st->folded, buf_str(&st->decoded), st->decoded.len);
	prepare(&n, k);
	return find(&n, buf_str(&st->folded), st->folded.len);
}

/* sent_matches - the day of Date as it is written there, whatever the zone */
static bool sent_matches(const struct imap_key *k, struct slice value)
{
	time_t when;
	int zone;
	int64_t seconds, day;

	if (!date_parse_rfc5322(value.ptr, value.len, &when, &zone)) {
		return false;
	}
	seconds = (int64_t)when + (int64_t)zone * 60;
	day = seconds >= 0 ? seconds / 86400 : -((86399 - seconds) / 86400);
	switch ((int)k->kind) {
	case IMAP_KEY_SENT_BEFORE:
		return day < (int64_t)k->number;
	case IMAP_KEY_SENT_ON:
		return day == (int64_t)k->number;
	default:
		return day >= (int64_t)k->number;
	}
}

bool search_text_light(const struct search_text *st)
{
	size_t i;

	for (i = 0; i < st->field_count; i++) {
		const struct imap_key *k = st->fields[i];

		if (k->kind == IMAP_KEY_HEADER && !header_cache_keeps(k->name)) {
			return false;
		}
	}
	return st->field_count > 0;
}

struct slice search_text_header(struct search_text *st, const struct slice *given)
{
	struct slice header = given != NULL ? *given : mime_header_at(&st->source, 0),
		     whole = header;
	struct mime_field f;
	size_t i;

	for (i = 0; i < st->field_count; i++) {
		st->known[st->fields[i]->id] = MISS;
	}
	while (mime_field_next(&header, &f)) {
		for (i = 0; i < st->field_count; i++) {
			const struct imap_key *k = st->fields[i];
			bool sent = k->kind != IMAP_KEY_HEADER;

			if (st->known[k->id] == HIT ||
				!slice_ieq(f.name, sent ? "date" : k->name)) {
				continue;
			}
			if (sent ? sent_matches(k, f.value) : field_matches(st, k, f.value)) {
				st->known[k->id] = HIT;
			}
		}
	}
	return whole;
}

/* ---- Bodies ---- */

static void on_header(void *arg, const struct mime_part *p, struct slice header)
{
	struct search_text *st = arg;
	bool inner = p->parent != NULL && p->parent->kind == MIME_MESSAGE;

	/* The header of a message within is part of the body; others are for TEXT alone. */
	st->text_only = !inner;
	search_header(st, header);
	st->text_only = false;
	st->searched = false;
}

/* begin_body - how to read this part */
static void begin_body(struct search_text *st, const struct mime_part *p)
{
	const char *charset = mime_param(p->params, "charset");
	bool coded = p->encoding == MIME_BASE64 || p->encoding == MIME_QP ||
		p->encoding == MIME_UUENCODE;
	bool ascii = mime_charset_ascii(charset != NULL ? charset : "");

	st->searched = true;
	buf_reset(&st->tail);
	st->fold = !st->all_ascii;
	st->plain = !coded && ascii && st->all_ascii;
	mime_decode_init(&st->decoder, p->encoding);
	mime_charset_close(st->charset);
	st->charset = NULL;
	if (!(ascii && st->all_ascii)) {
		st->charset = mime_charset_open(charset != NULL ? charset : "");
		if (st->charset == NULL) {
			st->charset = mime_charset_open("");
		}
	}
}

/* search_decoded - what the decoder gave, through charset and folding */
static void search_decoded(struct search_text *st, bool last)
{
	struct buf *b = &st->decoded;

	if (st->charset != NULL) {
		buf_reset(&st->converted);
		mime_charset_add(st->charset, buf_str(b), b->len, &st->converted);
		if (last) {
			mime_charset_end(st->charset, &st->converted);
		}
		b = &st->converted;
	}
	if (st->fold) {
		buf_reset(&st->folded);
		utf8_fold(&st->folded, buf_str(b), b->len);
		b = &st->folded;
	}
	search_piece(st, buf_str(b), b->len);
	buf_reset(&st->decoded);
}

static void on_body(void *arg, const struct mime_part *p, const char *data, size_t len)
{
	struct search_text *st = arg;

	if (st->open == 0 || !(mime_part_is(p, "text", NULL) || mime_part_is(p, "message", NULL))) {
		return;
	}
	if (!st->searched) {
		begin_body(st, p);
	}
	if (st->plain) {
		search_piece(st, data, len);
		return;
	}
	buf_reset(&st->decoded);
	mime_decode(&st->decoder, data, len, &st->decoded);
	search_decoded(st, false);
}

static void on_body_end(void *arg, const struct mime_part *p)
{
	struct search_text *st = arg;

	(void)p;
	if (st->searched && !st->plain && st->open > 0) {
		buf_reset(&st->decoded);
		mime_decode_end(&st->decoder, &st->decoded);
		search_decoded(st, true);
	}
	st->searched = false;
}

static const char *mail_source(void *arg, uint64_t offset, size_t *len_r)
{
	return mail_bytes(arg, offset, len_r);
}

void search_text_open(struct search_text *st, struct mail_text *mail)
{
	mime_source_free(&st->source);
	mime_source_function(&st->source, mail_source, mail);
}

void search_text_begin(struct search_text *st)
{
	size_t i;

	memset(st->known, UNKNOWN, st->key_count * sizeof(*st->known));
	st->open = st->needle_count;
	st->parser = NULL;
	st->searched = false;
	for (i = 0; i < st->needle_count; i++) {
		if (st->needles[i].key->len == 0) {
			hit(st, st->needles[i].key);
		}
	}
}

bool search_text_body(struct search_text *st)
{
	static const struct mime_listener hooks = { on_header, on_body, on_body_end, NULL };
	struct mime_listener *l;
	bool done;
	size_t i;

	if (st->parser == NULL) {
		arena_reset(&st->arena);
		l = arena_alloc(&st->arena, sizeof(*l));
		*l = hooks;
		l->arg = st;
		st->parser = mime_parser_new(&st->arena, &st->source, l);
	}
	done = st->open == 0 || mime_parser_run(st->parser, SLICE) || st->open == 0;
	for (i = 0; done && i < st->needle_count; i++) {
		if (st->known[st->needles[i].key->id] == UNKNOWN) {
			st->known[st->needles[i].key->id] = MISS;
		}
	}
	return done;
}

/* ---- The program ---- */

/* gather - text keys of the tree */
static void gather(struct search_text *st, const struct imap_key *k)
{
	for (; k != NULL; k = k->next) {
		if (k->kind == IMAP_KEY_BODY || k->kind == IMAP_KEY_TEXT) {
			struct needle *n = &st->needles[st->needle_count++];

			prepare(n, k);
			st->longest = k->len > st->longest ? k->len : st->longest;
			st->all_ascii = st->all_ascii && n->ascii;
		} else if (k->kind == IMAP_KEY_HEADER ||
			(k->kind >= IMAP_KEY_SENT_BEFORE && k->kind <= IMAP_KEY_SENT_SINCE)) {
			st->fields[st->field_count++] = k;
		}
		gather(st, k->child);
	}
}

struct search_text *search_text_new(struct arena *arena, const struct imap_search *program)
{
	struct search_text *st = arena_alloc(arena, sizeof(*st));

	st->key_count = program->text_keys;
	st->needles = arena_alloc(arena, (st->key_count + 1) * sizeof(*st->needles));
	st->fields = arena_alloc(arena, (st->key_count + 1) * sizeof(*st->fields));
	st->known = arena_alloc(arena, (st->key_count + 1) * sizeof(*st->known));
	st->all_ascii = true;
	gather(st, program->key);
	return st;
}

void search_text_free(struct search_text *st)
{
	if (st != NULL) {
		mime_source_free(&st->source);
		arena_free(&st->arena);
		mime_charset_close(st->charset);
		buf_free(&st->decoded);
		buf_free(&st->converted);
		buf_free(&st->folded);
		buf_free(&st->tail);
		st->charset = NULL;
	}
}

const enum known *search_text_known(const struct search_text *st)
{
	return st->known;
}
