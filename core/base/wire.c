/*
 * wire - messages between our own processes
 *
 * Both ends are this program, but the sending one may have been taken over by
 * an attacker: lengths are checked here as strictly as a stranger's.
 */
#include "base/wire.h"

#include <string.h>

size_t wire_begin(struct buf *b)
{
	size_t mark = buf_unread(b); /* from the cursor: growing may reclaim what lies before it */

	buf_addu32(b, 0);
	return mark;
}

void wire_put_int(struct buf *b, uint64_t v)
{
	buf_addu64(b, v);
}

void wire_put_bytes(struct buf *b, const void *data, size_t len)
{
	buf_addu32(b, (uint32_t)len);
	buf_add(b, data, len);
	buf_addc(b, '\0');
}

void wire_put_str(struct buf *b, const char *s)
{
	if (s == NULL) {
		s = "";
	}
	wire_put_bytes(b, s, strlen(s));
}

static void store_u32(char *at, size_t v)
{
	for (int i = 0; i < 4; i++) {
		at[i] = (char)(v >> (24 - 8 * i));
	}
}

static uint32_t load_u32(const char *at)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		v = v << 8 | (unsigned char)at[i];
	}
	return v;
}

void wire_end(struct buf *b, size_t mark)
{
	store_u32(b->data + b->pos + mark, buf_unread(b) - mark - 4);
}

size_t wire_announced(const struct buf *b)
{
	return buf_unread(b) >= 4 ? load_u32(buf_head(b)) : 0;
}

int wire_next(const struct buf *b, struct wire *w, size_t *size_r)
{
	size_t have = buf_unread(b);
	uint32_t len;

	if (have < 4) {
		return 0;
	}
	len = load_u32(buf_head(b));
	if (len > WIRE_MAX) {
		return -1;
	}
	if (have - 4 < len) {
		return 0;
	}
	w->ptr = buf_head(b) + 4;
	w->left = len;
	w->bad = false;
	*size_r = (size_t)len + 4;
	return 1;
}

static const char *take(struct wire *w, size_t n)
{
	const char *at = w->ptr;

	if (w->bad || w->left < n) {
		w->bad = true;
		return NULL;
	}
	w->ptr += n;
	w->left -= n;
	return at;
}

uint64_t wire_get_int(struct wire *w)
{
	const char *at = take(w, 8);

	return at != NULL ? (uint64_t)load_u32(at) << 32 | load_u32(at + 4) : 0;
}

const char *wire_get_bytes(struct wire *w, size_t *len_r)
{
	const char *at = take(w, 4);
	size_t len = at != NULL ? load_u32(at) : 0;

	at = at != NULL ? take(w, len + 1) : NULL;
	if (at == NULL || at[len] != '\0') {
		w->bad = true;
		*len_r = 0;
		return "";
	}
	*len_r = len;
	return at;
}

const char *wire_get_str(struct wire *w)
{
	size_t len;
	const char *s = wire_get_bytes(w, &len);

	if (strlen(s) != len) { /* a NUL inside is no string */
		w->bad = true;
		return "";
	}
	return s;
}

bool wire_ok(const struct wire *w)
{
	return !w->bad && w->left == 0;
}
