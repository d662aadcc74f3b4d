#ifndef QUEUE_QUEUE_REPAIR_H
#define QUEUE_QUEUE_REPAIR_H

#include <stdbool.h>

#include "base/str.h"
#include "queue/queue_internal.h"

/* What is damaged: set aside, looked through, kept room for. */

/* queue_aside.c: move DIR/queue.db and its companions away, under the lock. 0, or -1 with the error
 * set. */
int queue_set_aside(struct queue *q, const char *why);
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
