#ifndef QUEUE_QUEUE_INTERNAL_H
#define QUEUE_QUEUE_INTERNAL_H

#include <sys/types.h>

#include "base/str.h"
#include "db/db_open.h"
#include "queue/queue.h"

/* What the files queue*.c share; nobody else includes this. */

/* Statements of queue_sql.c, run by number. */
enum {
	Q_BEGIN,
	Q_BEGIN_READ,
	Q_COMMIT,
	Q_MESSAGE_ADD,
	Q_RECIPIENT_ADD,
	Q_CHUNK_ADD,
	Q_CHUNK_COUNT,
	Q_PARTIAL_ADD,
	Q_PARTIAL_DEL,
	Q_PARTIAL_OLD,
	Q_MESSAGE_EXISTS,
	Q_MESSAGE_DEL,
	Q_RECIPIENT_DEL,
	Q_CHUNK_DEL,
	Q_RECIPIENT_DONE,
	Q_RECIPIENT_DEFER,
	Q_DEFER,
	Q_STATE,
	Q_FLAGS,
	Q_GET,
	Q_NEXT,
	Q_BEFORE,
	Q_SCAN,
	Q_LIST,
	Q_DUE,
	Q_DUE_FIRST,
	Q_RECIPIENTS,
	Q_RECIPIENT_COUNT,
	Q_RECIPIENT_LAST,
	Q_CHUNK,
	Q_TOTALS,
	Q_LAST_ID,
	Q_SET_LAST_ID,
	Q_SOURCE_ADD,
	Q_SOURCE_GET,
	Q_SOURCE_DEL,
	Q_COUNT
};

extern const char *const queue_sql[Q_COUNT];
extern const struct db_migration queue_migrations[];
extern const size_t queue_migration_count;

/* Key of chunk n of a message; n in 0 .. QUEUE_CHUNKS_MAX - 1. */
enum { QUEUE_CHUNK_BITS = 13, QUEUE_CHUNKS_MAX = 1 << QUEUE_CHUNK_BITS };

/* Buffers kept, and the largest that is: 256 KB at most. */
enum { QUEUE_POOL = 32, QUEUE_POOLED_MAX = 8192 + 64 };

static inline int64_t queue_chunk_key(queue_id id, int64_t n)
{
	return (int64_t)(id << QUEUE_CHUNK_BITS) | n;
}

/* A full chunk that waits for a transaction. */
struct queue_chunk {
	struct queue_chunk *next;
	struct queue_message *message;
	int64_t key;
	struct buf data;
};

struct queue_message {
	struct queue *q;
	struct queue_message *next; /* among the ended */
	struct arena arena;
	struct queue_envelope env;          /* texts in arena */
	struct queue_recipient *recipients; /* array, texts in arena */
	size_t recipient_count, recipient_cap;
	struct buf data;    /* the chunk being filled */
	const char *source; /* in arena, or NULL */
	int64_t size;
	int64_t chunks; /* full ones, handed to q->chunks or stored */
	bool stored;    /* some chunk is in the database already */
	bool failed;    /* a chunk could not be stored */
	void (*done)(void *arg, bool ok);
	void *arg;
};

enum queue_op {
	OP_DONE,
	OP_RECIPIENT_DEFER,
	OP_APPEND,
	OP_DEFER,
	OP_STATE,
	OP_FLAGS,
	OP_REMOVE,
	OP_DROP_PARTIAL,
	OP_DROP_SOURCE
};

struct queue_change {
	struct queue_change *next;
	enum queue_op op;
	queue_id id;
	int64_t n;                         /* recipient, state or flags */
	int64_t when;                      /* next_try */
	const char *dsn, *reason;          /* OP_DROP_SOURCE: reason is the source */
	struct queue_recipient *recipient; /* OP_APPEND */
};

struct queue {
	struct db *db;
	char *dir, *path;
	enum queue_open_mode mode;
	int lock_fd; /* DIR/queue.lock: writers' turns (flock), the last id (bytes 0-7), qmgr's
			claim (byte 8) */
	bool locked;
	bool keep_turn; /* queue_unlock() does nothing: more is to come */
	char *kept_log; /* a damaged log that is to be looked through, or NULL */
	dev_t dev;      /* of the database we have open */
	ino_t ino;
	struct buf error;
	bool full, broken, keep_failed;
	bool damaged; /* known to be: errors are expected and not marked */

	struct queue_message *ended, **ended_tail;
	struct queue_chunk *chunks, **chunks_tail;
	size_t chunk_bytes;
	struct queue_change *changes, **changes_tail;
	struct arena change_arena;
	queue_id *committed;
	size_t committed_count, committed_cap;

	queue_id last_id;            /* given by this process */
	queue_id block_end;          /* up to here ids are its own */
	struct buf pool[QUEUE_POOL]; /* memory of small messages, kept for the next ones */
	int pooled;
	bool clock_wrong; /* an id had to be above what the clock says: keep it in the database */

	bool reading;       /* between queue_read_begin() and queue_read_end() */
	queue_id cached_id; /* whose chunk cached_n is in cache */
	int64_t cached_n;
	struct buf cache;
};

/* ---- queue_handle.c ---- */

/* The turn without a look at the file. */
void queue_take_turn(struct queue *q);
/* Take and leave the writers' turn. lock: 0, or -1 with the error set (also: the file was
 * replaced). */
int queue_lock(struct queue *q);
void queue_unlock(struct queue *q);
/* The error of q->db becomes q's; corruption is marked for the next process. -1. */
int queue_set_error(struct queue *q);
int queue_set_error_text(struct queue *q, const char *text);
/* queue_lock() and BEGIN; COMMIT and unlock; ROLLBACK and unlock. 0, or -1. */
int queue_begin_write(struct queue *q);
int queue_commit_write(struct queue *q);
void queue_rollback_write(struct queue *q);

void queue_mark(const struct queue *q);
void queue_unmark(const struct queue *q);
/* An empty file of mode 0600, its owner DIR's, when there is none. 0, or -1 with errno. */
int queue_make_file(const char *dir, const char *path);

/* queue.c: a handle, with nothing open yet; path is its own from here. */
struct queue *queue_new(const char *dir, char *path, enum queue_open_mode mode);
/* queue.c: one that could not be opened: NULL, with its error. */
struct queue *queue_give_up(struct queue *q, char **error_r);

/* queue_write.c: drop all that waits for a commit; ended messages are told ok = false. */
void queue_forget(struct queue *q);

/* queue_change.c: carry out all that was collected, inside a transaction. 0, or -1. */
int queue_apply_changes(struct queue *q);
void queue_forget_changes(struct queue *q);
struct queue_change *queue_add_change(struct queue *q, enum queue_op op, queue_id id);
/* queue_recipient.c: copies with texts owned by a. */
const char *queue_copy_text(struct arena *a, const char *s); /* NULL gives "" */
void queue_copy_recipient(
	struct arena *a, struct queue_recipient *to, const struct queue_recipient *from);
/* Rows of a message (queue_recipient.c, queue_change.c); inside a transaction. 0, or -1. */
int queue_insert_recipient(struct queue *q, queue_id id, const struct queue_recipient *r);
int queue_delete_rows(struct queue *q, queue_id id);

/* queue_id.c */
void queue_id_load(struct queue *q); /* after opening, under the lock */
int queue_id_save(
	struct queue *q); /* inside a transaction: only where the clock cannot be trusted */

/* queue_aside.c: move DIR/queue.db and its companions away, under the lock. 0, or -1 with the error
 * set. */
int queue_set_aside(struct queue *q, const char *why);
/* The same, to a path that was chosen before. */
int queue_move_aside(struct queue *q, const char *to);
/* queue_reserve.c: pages of the log after which it is copied back. */
int queue_log_pages(const struct queue *q);
/* queue_aside.c: note that a file is set aside. */
void queue_rescue_later(const struct queue *q, const char *path);
/* Before opening, under the lock: complete a move that a crash interrupted, so that a database and
 * its log stay together. */
void queue_finish_aside(struct queue *q);
/* queue.c: the damaged file at path, to read what is left of it, with its log (db_open_mended()).
 * NULL with a text (caller frees). */
struct queue *queue_open_damaged(
	const char *path, const char *wal, const unsigned char *first_page, char **error_r);
/* As queue_next(), downwards. */
int queue_before(struct queue *q, queue_id before, struct arena *a, struct queue_envelope *env);

/* queue_damage.c, before opening for writing, in our turn: what SQLite would misunderstand is set
 * aside. 0, or -1 with the error set */
int queue_check_files(struct queue *q);
/* Commits behind damage in the log, which SQLite would overwrite: said, and the log kept. */
void queue_check_log(struct queue *q);
/* queue_rescue.c: after opening, still in our turn: mail out of a log that was kept. */
void queue_rescue_log(struct queue *q);
/* queue_aside.c: a free name for what is to be kept beside the database. */
bool queue_free_name(const struct queue *q, char out[4096]);
/* queue_aside.c: the list of what is set aside. */
enum { QUEUE_LIST_MAX = 65536 };
void queue_list_name(const struct queue *q, char out[4096]);
/*
 * The file beside the database that a line of it names, for the caller to free; NULL: none.
 * Earlier lists have whole paths, and the directory may have moved since.
 */
char *queue_listed_path(const struct queue *q, struct slice line);

#endif
