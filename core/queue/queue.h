#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"

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
bool queue_id_parse(const char *text, queue_id *id_r);
/*
 * There is one queue manager: true from now to queue_close() or queue_unclaim() when no other
 * process is it. (QUEUE_WRITE or QUEUE_CREATE.) See queue/queue_hold.h.
 */
bool queue_claim(struct queue *q);

/* Never the same twice, whichever process asks and wherever the clock jumps; rises with time. */
queue_id queue_id_new(struct queue *q);
int64_t queue_id_time(queue_id id); /* microseconds since 1970 it stands for */

/* Envelope flags. */
enum {
	QUEUE_F_8BIT = 1, /* BODY=8BITMIME */
	QUEUE_F_SMTPUTF8 = 2,
	QUEUE_F_BOUNCE = 4,    /* a notification of ours: never bounced again */
	QUEUE_F_LOCAL = 8,     /* submitted on this host (sendmail, pickup) */
	QUEUE_F_RET_FULL = 16, /* RFC 3461 RET=FULL */
	QUEUE_F_RET_HDRS = 32,
	QUEUE_F_HOLD = 64,    /* begin in hold */
	QUEUE_F_EXPIRE = 128, /* forced expire (postsuper -e) */
	QUEUE_F_WARNED = 256  /* the delay notice was sent */
};

/* RFC 3461 NOTIFY bits; 0: not given. */
enum { DSN_NEVER = 1, DSN_SUCCESS = 2, DSN_FAILURE = 4, DSN_DELAY = 8 };

struct queue_envelope {
	queue_id id;
	int64_t arrival;        /* microseconds since 1970 */
	int64_t size;           /* bytes of content, as stored (LF line ends) */
	enum queue_state state; /* a new one is incoming, or with QUEUE_F_HOLD in hold */
	int64_t next_try;       /* seconds since 1970; 0: at once */
	int attempts;           /* delivery attempts so far */
	unsigned flags;
	const char *sender;                                   /* "" is the null sender */
	const char *envid;                                    /* RFC 3461 ENVID, decoded, or "" */
	const char *full_name;                                /* of a local submitter, or "" */
	const char *client_name, *client_addr, *helo, *proto; /* "" when local */
	const char *sasl_user;
	const char *reason; /* why the message as a whole waits, or "" */
};

struct queue_recipient {
	int64_t n;                /* number within the message, from 0 */
	const char *address;      /* where it goes */
	const char *original;     /* as given at RCPT; "" when the same */
	const char *orcpt;        /* RFC 3461 ORCPT "type;address" or "" */
	unsigned notify;          /* DSN_* */
	bool done;                /* delivered or bounced; kept until the message goes */
	const char *dsn, *reason; /* of the last deferral, or "" */
};

/* ---- Writing: many messages at once, group commit ---- */

/* A new message; envelope's texts are copied; id and arrival are made when 0. */
struct queue_message *queue_begin(struct queue *q, const struct queue_envelope *env);
queue_id queue_message_id(const struct queue_message *m);
/* Change the envelope until queue_end() (size is counted, id stays). */
void queue_set_envelope(struct queue_message *m, const struct queue_envelope *env);
void queue_add_recipient(struct queue_message *m, const struct queue_recipient *r);
size_t queue_recipient_count(const struct queue_message *m);
/*
 * Content, LF line ends. At most QUEUE_CHUNK bytes are held in memory; full
 * chunks leave with the next commit, or at once when many wait. 0, or -1.
 */
int queue_write(struct queue_message *m, const void *data, size_t len);
int64_t queue_written(const struct queue_message *m);
/*
 * The message is whole. It becomes durable with the next queue_commit(), which
 * then calls done(arg, ok) and forgets m. Not to be aborted after this.
 */
void queue_end(struct queue_message *m, void (*done)(void *arg, bool ok), void *arg);
/*
 * A name that is kept with the message in the same commit and stays when the
 * message goes: whoever took it from somewhere can find out after a crash that
 * he did (maildrop files). At most one a message.
 */
void queue_set_source(struct queue_message *m, const char *name);
int queue_has_source(struct queue *q, const char *name);   /* 1, 0, -1 */
void queue_drop_source(struct queue *q, const char *name); /* with the next commit */
/* Forget a message that was not ended; chunks already written are removed. */
void queue_abort(struct queue_message *m);
/* Is there anything that a commit would make durable? */
bool queue_pending(const struct queue *q); /* an ended message or a change */
/* One transaction, one fsync. From its return on the mail is safe. 0, or -1: every ended message is
 * told ok = false. */
int queue_commit(struct queue *q);
/* Ids that were committed by the last queue_commit(): for telling qmgr. */
const queue_id *queue_committed(const struct queue *q, size_t *count_r);

/* ---- Reading ---- */

/* 1 found, 0 no such message, -1. Texts are owned by a. */
int queue_get(struct queue *q, queue_id id, struct arena *a, struct queue_envelope *env);
/*
 * Many reads from here to queue_read_end() see one state of the queue and share
 * its locks. Short: a log that somebody reads cannot be begun anew. 0, or -1.
 */
int queue_read_begin(struct queue *q);
void queue_read_end(struct queue *q);
/* Walk messages after id (0: the first) in id order; as queue_get. */
int queue_next(struct queue *q, queue_id after, struct arena *a, struct queue_envelope *env);

/* A message as the walks below give it. */
struct queue_entry {
	queue_id id;
	int64_t next_try;
	enum queue_state state;
};
/* The next messages after id in id order, in any state: count up to max, or -1. */
int queue_scan(struct queue *q, queue_id after, struct queue_entry *out, int max);
/*
 * Deferred messages due at now in the order of (next_try, id), those after
 * *after (zeroed: from the first): count up to max, or -1.
 */
int queue_due(struct queue *q, int64_t now, const struct queue_entry *after,
	struct queue_entry *out, int max);
/* Seconds since 1970 of the earliest next_try of a deferred message after *after; 0 none; -1 error.
 */
int64_t queue_next_due(struct queue *q, const struct queue_entry *after);
/* Number of recipients that are not done, or -1; *last_r (may be NULL) the highest number given. */
int64_t queue_count_recipients(struct queue *q, queue_id id, int64_t *last_r);
/*
 * For lists: (message, recipient not done) pairs after (after, after_n), n -1: all of the
 * message's, in that order. fn gets id, state, next_try, flags, arrival, size, sender and reason of
 * env; texts are good during the call. Count up to max, or -1.
 */
int queue_list(struct queue *q, queue_id after, int64_t after_n, int max,
	void (*fn)(void *arg, const struct queue_envelope *env, const struct queue_recipient *r),
	void *arg);
/* Recipients from number n on, not done ones only when undone; count up to max, or -1. */
int queue_recipients(struct queue *q, queue_id id, int64_t from, bool undone, struct arena *a,
	struct queue_recipient *out, int max);
/* Content from offset on: bytes copied (0 at the end), or -1. Offsets within one chunk's row cost
 * one look-up. */
int64_t queue_read(struct queue *q, queue_id id, int64_t offset, void *data, size_t len);

/* ---- Changing: collected like writes, carried out by queue_commit() ---- */

void queue_recipient_done(struct queue *q, queue_id id, int64_t n);
void queue_recipient_deferred(
	struct queue *q, queue_id id, int64_t n, const char *dsn, const char *reason);
/* One more recipient of a message that is in the queue; r->n is the caller's to choose. */
void queue_recipient_append(struct queue *q, queue_id id, const struct queue_recipient *r);
/* Deferred until next_try; attempts is raised by one. reason "" clears it. */
void queue_defer(struct queue *q, queue_id id, int64_t next_try, const char *reason);
void queue_set_state(struct queue *q, queue_id id, enum queue_state state, int64_t next_try);
void queue_set_flags(struct queue *q, queue_id id, unsigned flags); /* added to those it has */
void queue_remove(struct queue *q, queue_id id);
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
