#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * queue.db: every message between acceptance and its last recipient.
 *
 *	 new -> (write)* -> end -> COMMIT --> incoming -> active -> gone
 *				 "safe from here"   ^	   |  \
 *						    |	   |   -> deferred (next_try) -> active ...
 *						    +- hold <-+   corrupt
 *
 * "active" lives in qmgr's memory only; in the database such a message is
 * still incoming or deferred, so a crash changes nothing.
 *
 * A queue id is 50 bits of microseconds since 2024-01-01, made unique within
 * and between processes, shown as upper-case hex (at least 10 digits); it is the
 * primary key. Content is in rows of about 64 KB keyed id << 13 | n.
 *
 * Writers take turns at a lock of their own (DIR/queue.lock), in which the
 * kernel keeps the order; SQLite's busy polling never comes into play.
 *
 * Messages are written (queue_write.h), read (queue_read.h) and changed (queue_change.h).
 *
 * Errors: -1 and queue_error(); a full disk is queue_is_full(). After
 * queue_is_broken() nothing more can be done with the handle: log the error and
 * end the process; the next one to open the queue sets the database aside.
 * Whoever forks opens after the fork. Not for threads.
 */
struct queue;
struct queue_message; /* being written */

typedef uint64_t queue_id;

enum { QUEUE_CHUNK = 64 * 1024, QUEUE_ID_TEXT = 20 };

enum queue_state { QUEUE_INCOMING, QUEUE_DEFERRED, QUEUE_HOLD, QUEUE_CORRUPT };

enum queue_open_mode { QUEUE_READ, QUEUE_WRITE, QUEUE_CREATE };

/* The directory below queue_directory that queue.db and all that belongs to it is in, mail_owner's
 * alone. */
#define QUEUE_SUBDIR "queue"
/* In it: names, a line each, of files there whose mail waits to be taken into queue.db. */
#define QUEUE_RESCUE "queue.db.rescue"

/*
 * DIR/queue.db. A database that SQLite calls corrupt or that is no database
 * is set aside as queue.db.corrupt-<time> (never deleted), that is logged as an
 * error, and (QUEUE_CREATE) a new one is begun (see queue_rescue). A schema newer than ours is
 * refused. NULL with a text (caller frees). Never called with root's rights in a directory that
 * is another's.
 */
struct queue *queue_open(const char *dir, enum queue_open_mode mode, char **error_r);
/* The same in queue_directory's QUEUE_SUBDIR, which QUEUE_CREATE makes where it may. */
struct queue *queue_open_below(
	const char *queue_directory, enum queue_open_mode mode, char **error_r);
/*
 * The n-th of the names in DIR that the queue's files have or may have, from 0 on (for who settles
 * their owner); NULL behind the last.
 */
const char *queue_file_name(size_t n);
/* The newest schema (user_version) of queue.db that this program knows. */
int64_t queue_schema(void);
void queue_close(struct queue *q); /* NULL is fine; what was not committed is told ok = false */
const char *queue_error(const struct queue *q);
bool queue_is_full(const struct queue *q);   /* the last error was disk full or quota */
bool queue_is_broken(const struct queue *q); /* corrupt, or the file was replaced under us */
/* Some process met damage: to be opened anew, which looks closely and sets it aside if it is so. */
bool queue_is_marked(const struct queue *q);
/*
 * With on, a failed queue_commit() keeps what it was to write, and the next one
 * tries again (qmgr: what agents did cannot be undone). done() comes with success only.
 */
void queue_keep_failed(struct queue *q, bool on);

void queue_id_text(queue_id id, char out[QUEUE_ID_TEXT]);
/* When it was given, in seconds since 1970: where the clock was right. */
int64_t queue_id_time(queue_id id);
bool queue_id_parse(const char *text, queue_id *id_r);
/*
 * There is one queue manager: true from now to queue_close() or queue_unclaim() when no other
 * process is it. (QUEUE_WRITE or QUEUE_CREATE.) See queue/queue_hold.h.
 */
bool queue_claim(struct queue *q);

/* Never the same twice, whichever process asks and wherever the clock jumps; rises with time. */
queue_id queue_id_new(struct queue *q);

/* ---- Care ---- */

/* Chunks without a message, older than age seconds (crashed writers): removed, now. Count or -1. */
int queue_clean(struct queue *q, int64_t age);
/*
 * DIR/queue.reserve keeps some room on the disk for the commits that empty the queue: made where
 * there is plenty; given up when it is full (false: there is none).
 */
void queue_keep_reserve(struct queue *q);
bool queue_use_reserve(struct queue *q);
/* Messages that one commit should settle at most, so that the reserve has room for it. */
int queue_batch(const struct queue *q);
/*
 * Take what can be read whole out of databases that were set aside since the last call, and log
 * how much it was. By the queue manager when it starts; commits.
 */
void queue_rescue(struct queue *q);
/* Sums for mailq's trailer and health: 0 or -1. */
int queue_totals(struct queue *q, int64_t *count_r, int64_t *bytes_r);

#endif
