#ifndef QUEUE_QUEUE_HANDLE_H
#define QUEUE_QUEUE_HANDLE_H

#include <stdbool.h>

#include "queue/queue_internal.h"

/* What a handle does for the files queue*.c. */

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
	struct queue *part;       /* the one that has the message, found out by each commit */
	bool safe;                /* that part is committed */
	int64_t n;                /* recipient, state or flags */
	int64_t when;             /* next_try */
	const char *dsn, *reason; /* OP_DROP_SOURCE: reason is the source */
	struct queue_recipient *recipient; /* OP_APPEND */
};

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
/* queue_open.c: as queue_open(); in_memory: the part that is (queue_parts.h). */
struct queue *queue_open_part(
	const char *dir, enum queue_open_mode mode, bool in_memory, char **error_r);
/* queue.c: one that could not be opened: NULL, with its error. */
struct queue *queue_give_up(struct queue *q, char **error_r);

/* queue_write.c: drop all that waits for a commit; ended messages are told ok = false. */
void queue_forget(struct queue *q);

/* queue_change.c: carry out all that was collected, inside a transaction. 0, or -1. */
int queue_apply_changes(struct queue *q);
/* All rows of a message; inside a transaction. 0, or -1. */
int queue_delete_rows(struct queue *q, queue_id id);
void queue_forget_changes(struct queue *q);
struct queue_change *queue_add_change(struct queue *q, enum queue_op op, queue_id id);
/* queue_recipient.c: copies with texts owned by a. */
const char *queue_copy_text(struct arena *a, const char *s); /* NULL gives "" */
void queue_copy_recipient(
	struct arena *a, struct queue_recipient *to, const struct queue_recipient *from);
/* A row of a message (queue_recipient.c); inside a transaction. 0, or -1. */
int queue_insert_recipient(struct queue *q, queue_id id, const struct queue_recipient *r);

/* queue_wear.c: in the turn, after a commit. */
void queue_wear_add(struct queue *q);

/* queue_id.c */
void queue_id_load(struct queue *q); /* after opening, under the lock */
/* Ids of q are above all that the other part knows. */
void queue_id_above(struct queue *q, struct queue *other);
/* Inside a transaction: only where the clock cannot be trusted. 0, or -1 with the error set. */
int queue_id_save(struct queue *q);
/* Will that want a transaction of the part on the disk? */
bool queue_id_must_reserve(const struct queue *q);

#endif
