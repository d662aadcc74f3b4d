/*
 * map_table - one table: look-ups, errors, and what the kinds share
 *
 * Keys are folded here, and an error is logged when it appears, not at each look-up. A look-up that
 * has no answer yet (map/map_wait.h) is none.
 */
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "map/map_impl.h"

enum { MISS_MS = 5 };

int map_fail(struct map *m, const char *fmt, ...)
{
	va_list ap;

	buf_reset(&m->error);
	va_start(ap, fmt);
	buf_addvf(&m->error, fmt, ap);
	va_end(ap);
	if (m->opened && strcmp(buf_str(&m->error), buf_str(&m->logged)) != 0) {
		log_warn("%s: %s", m->spec, buf_str(&m->error));
		buf_reset(&m->logged);
		buf_adds(&m->logged, buf_str(&m->error));
	}
	return -1;
}

int map_pass(struct map *m, const struct map *from)
{
	buf_reset(&m->error);
	buf_adds(&m->error, buf_str(&from->error));
	return -1;
}

int map_later(struct map *m)
{
	buf_reset(&m->error);
	buf_adds(&m->error, "no answer yet");
	return -1;
}

void map_close(struct map *m)
{
	if (m == NULL) {
		return;
	}
	if (m->type->close != NULL) {
		m->type->close(m);
	}
	mem_free(m->spec);
	buf_free(&m->error);
	buf_free(&m->logged);
	buf_free(&m->key);
	mem_free(m);
}

const char *map_spec(const struct map *m)
{
	return m->spec;
}

const char *map_error(const struct map *m)
{
	return buf_str(&m->error);
}

/* ask - one look-up by the kind's function, the key folded where it has to be */
static int ask(struct map *m, int (*get)(struct map *m, const char *key, struct buf *value),
	const char *key, struct buf *value)
{
	int rc;

	if (!m->type->exact && !(m->flags & MAP_EXACT)) {
		buf_reset(&m->key);
		buf_adds(&m->key, key);
		if (m->key.len > 0) {
			str_lower(m->key.data);
		}
		key = buf_str(&m->key);
	}
	rc = get(m, key, value);
	if (rc >= 0 && m->logged.len > 0) {
		buf_reset(&m->logged);
	}
	return rc;
}

int map_get(struct map *m, const char *key, struct buf *value)
{
	return ask(m, m->type->get, key, value);
}

int map_get_part(struct map *m, const char *key, struct buf *value)
{
	if (m->type->whole) {
		return 0;
	}
	return ask(m, m->type->get_part != NULL ? m->type->get_part : m->type->get, key, value);
}

int map_each(struct map *m, int (*fn)(void *arg, const char *key, const char *value), void *arg)
{
	if (m->type->each == NULL) {
		return map_fail(m, "tables of type %s cannot be listed", m->type->name);
	}
	return m->type->each(m, fn, arg);
}

/* ---- Files ---- */

bool map_file_due(struct map_file *f)
{
	int64_t now = clock_ms();

	if (f->looked != 0 && now - f->looked < param.map_check_interval * 1000) {
		return false;
	}
	f->looked = now;
	return true;
}

bool map_file_missed(struct map_file *f)
{
	if (f->looked == 0 || clock_ms() - f->looked < MISS_MS) {
		return false;
	}
	f->looked = 0;
	return true;
}

bool map_file_note(struct map_file *f, const struct stat *st)
{
	bool same = f->known && f->dev == st->st_dev && f->ino == st->st_ino &&
		f->size == st->st_size && f->mtime.tv_sec == st->st_mtim.tv_sec &&
		f->mtime.tv_nsec == st->st_mtim.tv_nsec;

	f->known = true;
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->size = st->st_size;
	f->mtime = st->st_mtim;
	return !same;
}

/* ---- Lists ---- */

bool map_braced(const char *s, struct slice *inside_r)
{
	struct slice text = slice_trim(slice_of(s));

	if (text.len < 2 || text.ptr[0] != '{' || text.ptr[text.len - 1] != '}') {
		return false;
	}
	*inside_r = slice_trim((struct slice){ text.ptr + 1, text.len - 2 });
	return true;
}

int map_next_item(struct slice *rest, struct slice *item_r)
{
	int level = 0;
	size_t i = 0;

	while (i < rest->len && strchr(", \t\r\n", rest->ptr[i]) != NULL) {
		i++;
	}
	rest->ptr += i;
	rest->len -= i;
	for (i = 0; i < rest->len; i++) {
		char c = rest->ptr[i];

		if (c == '{') {
			level++;
		} else if (c == '}' && --level < 0) {
			return -1;
		} else if (level == 0 && strchr(", \t\r\n", c) != NULL) {
			break;
		}
	}
	*item_r = (struct slice){ rest->ptr, i };
	rest->ptr += i;
	rest->len -= i;
	return level > 0 ? -1 : i > 0;
}

struct slice map_item_text(struct slice item)
{
	if (item.len >= 2 && item.ptr[0] == '{' && item.ptr[item.len - 1] == '}') {
		return slice_trim((struct slice){ item.ptr + 1, item.len - 2 });
	}
	return item;
}
