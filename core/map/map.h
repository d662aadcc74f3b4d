#ifndef MAP_MAP_H
#define MAP_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Lookup tables, "type:name". hash, btree, lmdb, cdb, dbm all mean an SQLite
 * file name.db beside the source. Tables that changed on disk are picked up at
 * the next lookup (looked at once a second). Keys are folded to lower case
 * unless MAP_EXACT; regexp and pcre tables get the key as it is.
 */
struct map;
struct maps; /* a list of tables, searched in order */

enum { MAP_EXACT = 1, MAP_SOURCE_ALIAS = 2 /* source is aliases(5) text */ };

/*
 * NULL only for a text that names no known type (error_r, caller frees); a table that cannot be
 * opened answers -1 with a warning.
 */
struct map *map_open(const char *spec, unsigned flags, char **error_r);
void map_close(struct map *m);
const char *map_spec(const struct map *m); /* "hash:/etc/aliases" */
/*
 * 1 found, value appended to *value; 0 not found; -1 temporary error (map_error()), or, inside
 * map_wait_enter(), a server's answer that is still to come (map/map_wait.h).
 */
int map_get(struct map *m, const char *key, struct buf *value);
/*
 * As map_get(), for a key that is a part of what is looked up (a parent domain, user@, @domain, a
 * network): tables that are asked with the whole only (regexp, pcre, cidr, tcp, socketmap, randmap)
 * are not asked, 0. A rule for whole addresses would otherwise match parts of others.
 */
int map_get_part(struct map *m, const char *key, struct buf *value);
const char *map_error(const struct map *m);
/* Walk an indexed table: 1 and key, value; 0 end; -1. */
int map_each(struct map *m, int (*fn)(void *arg, const char *key, const char *value), void *arg);

/* "hash:/a, regexp:/b, inline:{...}". Never NULL; unknown types answer -1. */
struct maps *maps_open(const char *list, unsigned flags);
void maps_close(struct maps *ms);
int maps_get(struct maps *ms, const char *key, struct buf *value); /* *value is reset first */
/* map_get_part() over the list. */
int maps_get_part(struct maps *ms, const char *key, struct buf *value);
bool maps_empty(const struct maps *ms);

/*
 * For a process whose clients wait while it asks a server (tcp, socketmap): an answer that takes
 * longer is a temporary error. 10 s where nobody says so.
 */
enum { MAP_LOOP_WAIT_MS = 2000 };
void map_wait_at_most(int milliseconds);

/* ---- Building name.db (postmap, postalias) ---- */

struct map_builder;
enum { MAP_INCREMENTAL = 1, MAP_WARN_DUP = 2, MAP_REPLACE_DUP = 4, MAP_IGNORE_DUP = 8 };
/*
 * A new file beside path.db; readers see it only after map_build_commit(). MAP_INCREMENTAL begins
 * with the rows of the present path.db, if there is one. NULL with text (caller frees).
 */
struct map_builder *map_build_begin(const char *path, unsigned flags, char **error_r);
/* 1 added; 0 duplicate: the first one stays, with a warning unless the flags say otherwise; -1. */
int map_build_put(struct map_builder *b, const char *key, const char *value);
/* 1, 0 not there, -1. */
int map_build_del(struct map_builder *b, const char *key);
const char *map_build_error(const struct map_builder *b);
/*
 * Write the file, durable, and rename it into its place. Made by root it belongs to the source's
 * owner and the group of mail_owner with mode 0640; else its mode is the source's, masked to
 * 0640. 0 or -1 with map_build_error(); the file that was there is then intact.
 */
int map_build_commit(struct map_builder *b);
/* Release b, after a commit as well as without one. */
void map_build_abort(struct map_builder *b);

/* Name of the n-th type, sorted, for postconf -m; NULL behind the last. */
const char *map_type_name(size_t n);
bool map_type_is_indexed(const char *type);

#endif
