/*
 * fetch_text - a message's bytes for FETCH, in wire form and at any place
 *
 * Positions count stored and wire bytes at once (mime/source.h). The place where reading
 * stands may be in the middle of a line end that is LF as stored and CRLF on
 * the wire: then at.wire is one more than the bytes before at.raw make, and the LF is due.
 */
#include "applets/read/imapd/fetch_text.h"

#include <string.h>

#include "base/mem.h"
#include "applets/read/imapd/imapd.h"

enum {
	WINDOW = 1 << 16,   /* bytes asked for at a time */
	SLICE = 4 << 20,    /* bytes worked through before others have their turn */
	KEEP_FROM = 1 << 18 /* messages from this size keep their place */
};

static const char *mail_source(void *arg, uint64_t offset, size_t *len_r)
{
	return mail_bytes(arg, offset, len_r);
}

static void place_free(struct fetch_place *p)
{
	if (p != NULL) {
		arena_free(&p->arena);
		mem_free(p);
	}
}

void fetch_place_drop(struct imapd *s)
{
	place_free(s->place);
	s->place = NULL;
}

bool fetch_text_open(struct imapd *s, struct fetch_text *t, uint32_t seq)
{
	uint32_t uid = mailbox_info(s->view, seq)->uid;

	memset(t, 0, sizeof(*t));
	t->mail = mail_open(s->view, seq);
	if (t->mail == NULL) {
		return false;
	}
	mime_source_function(&t->source, mail_source, t->mail);
	if (s->place != NULL && s->place->uid == uid && s->place->raw == mail_size(t->mail)) {
		t->place = s->place;
		s->place = NULL;
		return true;
	}
	fetch_place_drop(s);
	t->place = mem_alloc(sizeof(*t->place));
	t->place->uid = uid;
	t->place->raw = mail_size(t->mail);
	return true;
}

void fetch_text_close(struct imapd *s, struct fetch_text *t)
{
	struct fetch_place *p = t->place;

	if (t->mail == NULL) {
		return;
	}
	mail_close(t->mail);
	mime_source_free(&t->source);
	if (p->root == NULL && p->parser != NULL) {
		arena_free(&p->arena); /* half a tree; its parser knows a source that is gone */
		p->parser = NULL;
	}
	if (p->raw >= KEEP_FROM) {
		s->place = p;
	} else {
		place_free(p);
	}
	memset(t, 0, sizeof(*t));
}

bool fetch_text_measure(struct fetch_text *t)
{
	struct fetch_place *p = t->place;
	size_t done = 0;

	if (p->root != NULL && !p->measured) {
		p->wire = p->root->end.wire;
		p->measured = true;
	}
	/* From wherever reading stands: positions are the message's own. */
	while (!p->measured && done < SLICE) {
		size_t len = WINDOW;
		const char *s = mail_bytes(t->mail, p->at.raw, &len);

		if (s == NULL || len == 0) {
			p->measured = true;
			p->wire = p->at.wire;
			break;
		}
		p->at.wire += len + mime_bare_lfs(s, len, &p->last_cr);
		p->at.raw += len;
		done += len;
	}
	return p->measured;
}

bool fetch_text_parse(struct fetch_text *t)
{
	struct fetch_place *p = t->place;

	if (p->root != NULL) {
		return true;
	}
	if (p->parser == NULL) {
		p->parser = mime_parser_new(&p->arena, &t->source, NULL);
	}
	if (mime_parser_run(p->parser, SLICE)) {
		p->root = mime_parser_tree(p->parser);
	}
	return p->root != NULL;
}

/* step_to - within s: how far to go so that wire position target is reached or just passed */
static size_t step_to(struct fetch_place *p, const char *s, size_t len, uint64_t target)
{
	size_t i = 0;

	/* A piece that cannot reach it goes as a whole: even if every byte were two. */
	if (p->at.wire + len * 2 <= target) {
		return len;
	}
	while (i < len) {
		const char *lf = memchr(s + i, '\n', len - i);
		size_t n = lf != NULL ? (size_t)(lf - s) - i : len - i;
		bool cr;

		if (p->at.wire + n >= target || lf == NULL) {
			uint64_t need = target - p->at.wire;

			n = need < n ? (size_t)need : n;
			p->at.wire += n;
			p->last_cr = i + n > 0 ? s[i + n - 1] == '\r' : p->last_cr;
			return i + n;
		}
		cr = i + n > 0 ? s[i + n - 1] == '\r' : p->last_cr;
		p->at.wire += n + 1 + !cr;
		p->last_cr = false;
		i += n + 1;
		if (p->at.wire > target) { /* between CR and LF: the LF is due */
			p->at.wire--;
			p->last_cr = true;
			return i - 1;
		}
	}
	return i;
}

bool fetch_text_seek(struct fetch_text *t, struct mime_pos from, uint64_t target)
{
	struct fetch_place *p = t->place;
	size_t done = 0;

	if (p->at.raw < from.raw || p->at.wire > target) {
		p->at = from;
		p->last_cr = false;
	}
	while (p->at.wire < target && done < SLICE) {
		size_t len = WINDOW, n;
		const char *s = mail_bytes(t->mail, p->at.raw, &len);

		if (s == NULL || len == 0) {
			return true; /* copying will find the end */
		}
		if (p->at.wire + len * 2 <= target) {
			n = len;
			p->at.wire += len + mime_bare_lfs(s, len, &p->last_cr);
		} else {
			n = step_to(p, s, len, target);
		}
		p->at.raw += n;
		done += len;
	}
	return p->at.wire >= target;
}

uint64_t fetch_text_copy(struct fetch_text *t, struct buf *out, uint64_t max)
{
	struct fetch_place *p = t->place;
	size_t len = max < WINDOW ? (size_t)max : WINDOW, start = out->len, made;
	const char *s = mail_bytes(t->mail, p->at.raw, &len);
	bool cr = p->last_cr;

	if (s == NULL || len == 0) {
		return 0;
	}
	if (len > max) {
		len = (size_t)max;
	}
	mime_to_wire(out, s, len, &p->last_cr);
	made = out->len - start;
	if (made > max) {
		/* Line ends have grown: take back what is too much and find the place anew. */
		buf_truncate(out, start + (size_t)max);
		p->last_cr = cr;
		p->at.raw += step_to(p, s, len, p->at.wire + max);
		return max;
	}
	p->at.raw += len;
	p->at.wire += made;
	return made;
}
