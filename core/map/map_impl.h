#ifndef MAP_MAP_IMPL_H
#define MAP_MAP_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/str.h"
#include "map/map.h"

/* What the kinds of tables share; not for others. */

struct map_type {
	const char *name;
	bool indexed; /* built by postmap: name.db */
	bool exact;   /* keys are never folded */
	bool whole;   /* not asked with parts of a key: map_get_part() */
	/* Take the name apart, no I/O. 0, or -1 with map_fail(). */
	int (*open)(struct map *m);
	int (*get)(struct map *m, const char *key, struct buf *value);
	/* The same with a part of a key; NULL: get, unless whole. */
	int (*get_part)(struct map *m, const char *key, struct buf *value);
	/* NULL: this kind cannot be walked. */
	int (*each)(
		struct map *m, int (*fn)(void *arg, const char *key, const char *value), void *arg);
	void (*close)(struct map *m);
};

typedef struct map *map_open_fn(const char *spec, unsigned flags, char **error_r);

struct map {
	const struct map_type *type;
	char *spec;       /* "hash:/etc/aliases" */
	const char *name; /* in spec, behind the colon */
	unsigned flags;
	struct buf error;
	struct buf logged; /* the error that was logged last */
	struct buf key;    /* folded */
	bool opened;       /* map_open() is done: errors are logged from now on */
	/* map_open(): for the tables that this one is made of */
	map_open_fn *open_part;
	void *state; /* the kind's own */
};

extern const struct map_type map_type_db[], map_type_texthash, map_type_inline, map_type_static,
	map_type_environ, map_type_unix, map_type_fail, map_type_internal, map_type_regexp,
	map_type_pcre, map_type_cidr, map_type_union, map_type_pipe, map_type_rand, map_type_proxy,
	map_type_tcp, map_type_socketmap, map_type_sqlite;

/* Set the error, log it as a warning unless it was the last one logged; -1. */
int map_fail(struct map *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Its server has not answered yet, the look-up is done again (map/map_wait.h); -1. */
int map_later(struct map *m);

/* The error of a table that m is made of, which was logged under its own name; -1. */
int map_pass(struct map *m, const struct map *from);

/* maps_open(), with what opens a table. */
struct maps *maps_open_by(map_open_fn *open, const char *list, unsigned flags);

/* ---- Files that may change ---- */

struct map_file {
	bool known; /* was there when last looked at */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
	int64_t looked; /* milliseconds, monotonic */
};
/* Is it time to look at the file again (map_check_interval)? */
bool map_file_due(struct map_file *f);
/*
 * A key was not found: true when the file is to be looked at now, whatever map_check_interval, and
 * the key asked for again. What was added a moment ago (newaliases, then mail) is no unknown user.
 */
bool map_file_missed(struct map_file *f);
/* Take note of what is there. True: it differs from what was noted before. */
bool map_file_note(struct map_file *f, const struct stat *st);

/* ---- Names that hold a list: "{ a, {b c} }" ---- */

/* The inside of "{...}", trimmed; false when s has no braces around it. */
bool map_braced(const char *s, struct slice *inside_r);
/*
 * Next item of *rest, separated by commas and blanks outside of braces, braces kept. 1, 0, -1
 * unbalanced.
 */
int map_next_item(struct slice *rest, struct slice *item_r);
/* An item without the braces around it. */
struct slice map_item_text(struct slice item);

#endif
