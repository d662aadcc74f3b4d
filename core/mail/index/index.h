#ifndef MAIL_INDEX_INDEX_H
#define MAIL_INDEX_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * index.db: what is known of a user's folders. A folder is one row and a
 * few pages; a page is a packed list of the messages whose UIDs share uid >> 7,
 * because ten thousand rows of their own take ten times as long to read
 * (measured: 200,000 messages in 3 ms instead of 150). Each change of a folder
 * raises its gen, and each page carries the gen it was written with, so that
 * another process reads again only what changed.
 *
 * Functions return 0 or 1 as said, -1 with index_error().
 */
struct index;

enum { INDEX_PAGE_SHIFT = 7, INDEX_SIG = 5 };

struct index_folder {
	int64_t id;
	uint32_t uid_validity, uid_next;
	uint32_t first_recent; /* UIDs from here on are \Recent for the next session */
	uint64_t modseq;       /* highest */
	int64_t gen;
	int64_t sig[INDEX_SIG]; /* the files as they were last seen: the driver's own */
	unsigned state;         /* the driver's own */
	uint32_t messages, unseen;
	uint64_t bytes; /* sum of RFC822.SIZE */
	char *keywords; /* names, in the order of their bits, each followed by a blank; or NULL */
};

/*
 * path NULL: in memory, as where the disk is so full that it cannot be opened. NULL with a text
 * (caller frees); a damaged file is set aside and said.
 */
struct index *index_open(const char *path, char **error_r);
void index_close(struct index *ix);
const char *index_error(const struct index *ix);
bool index_is_full(const struct index *ix);
bool index_in_memory(const struct index *ix);
const char *index_path(const struct index *ix); /* NULL in memory */

/*
 * One transaction at a time. durable: on disk when index_commit() returns (else within seconds, in
 * order).
 */
int index_begin(struct index *ix, bool durable);
/* Several reads that see one state; ends with index_rollback(). */
int index_begin_read(struct index *ix);
int index_commit(struct index *ix);
void index_rollback(struct index *ix);
/* A number that changes when another process has committed. */
int64_t index_version(struct index *ix);

/*
 * The disk is full, or nearly: give up the room that was kept for this (index.reserve) and begin
 * the log anew. True: something was given up. Not within a transaction: then only the first.
 */
bool index_make_room(struct index *ix);
/* Mail has gone: if there is room again, keep some of it for the next time. */
void index_keep_room(struct index *ix);
/* Is there next to no room where the index is? Then few messages go into one transaction. */
bool index_is_low(const struct index *ix);

/* ---- Folders ---- */

/* 1 found, 0 not. f->keywords is the caller's to free (index_folder_clear). */
int index_folder_get(struct index *ix, const char *name, struct index_folder *f);
int index_folder_reload(struct index *ix, struct index_folder *f); /* by id */
int index_folder_name(struct index *ix, int64_t id, struct buf *out);
void index_folder_clear(struct index_folder *f);
/*
 * A new folder: gives id; uid_validity too when that is 0: one that was never used in this index.
 */
int index_folder_add(struct index *ix, const char *name, struct index_folder *f);
int index_folder_save(struct index *ix, const struct index_folder *f);
int index_folder_rename(struct index *ix, const char *from, const char *to);
int index_folder_remove(struct index *ix, int64_t id);

/* ---- Messages ---- */

/* Pages written after gen, in order. fn's non-zero return stops the walk and is returned. */
int index_pages(struct index *ix, int64_t folder, int64_t gen,
	int (*fn)(void *arg, uint32_t page, const void *data, size_t len), void *arg);
int index_page_put(
	struct index *ix, int64_t folder, uint32_t page, int64_t gen, const void *data, size_t len);

/* Parsed structures; kind is 'E', 'B' or 'H'. */
struct index_cached {
	uint32_t uid;
	const char *text[3]; /* envelope, body, headers; NULL: none */
	size_t len[3];
};
/* Those of the UIDs from..to that have any, in order, until fn returns non-zero, which is returned.
 */
int index_cache_read(struct index *ix, int64_t folder, uint32_t from, uint32_t to,
	int (*fn)(void *arg, const struct index_cached *c), void *arg);
int index_cache_put(
	struct index *ix, int64_t folder, uint32_t uid, char kind, const void *text, size_t len);
int index_cache_slot(char kind); /* index of kind in text */
/* The message is gone: its structures too, and modseq and uid are remembered (RFC 7162). */
int index_expunged(struct index *ix, int64_t folder, uint64_t modseq, uint32_t uid);

#endif
