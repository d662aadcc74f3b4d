#ifndef MAIL_MAILBOX_STATE_H
#define MAIL_MAILBOX_STATE_H

#include "mail/store.h"

/*
 * A folder's messages in memory, in step with the index. Drivers have structs of their own that
 * begin with these two (mail_driver.h: msg_size, mailbox_size).
 */
struct msg {
	struct mail_info info;
	uint32_t bits; /* the driver's own, kept in the index */
};

/* Owned by the store; made by mailbox_get(). f.sig and f.state are the driver's. */
struct mailbox {
	struct mailbox *next;
	struct store *store;
	struct mailstore *ms; /* the session on whose behalf work is done: gets the errors */
	int refs;
	char *name, *path;
	struct index_folder f;
	void *msgs;      /* of msg_size bytes each, UIDs ascending: mailbox_msg() */
	size_t msg_size; /* the driver's */
	uint32_t count, cap;
	int64_t version;        /* index_version() that f and msgs are of */
	bool loaded;            /* f and msgs are as of version; false: read all again */
	bool reading;           /* what changes was changed by others */
	bool changed;           /* since mailbox_begin() */
	bool in_change;         /* between mailbox_begin() and _commit() */
	uint64_t change_modseq; /* of this transaction, 0: nothing changed so far */
	uint32_t *dirty;        /* pages to write, unsorted, each once */
	size_t dirty_count, dirty_cap;
	char *keywords[64];
	struct mailbox_view *views;
	struct mail_ghost *ghosts;
	size_t ghost_count;
	int inotify; /* -1 none */
	int note;    /* of a move that this process is making (mailbox_move.c), -1 none */
};

/* Message i, which has to be less than count. */
static inline struct msg *mailbox_msg(const struct mailbox *mb, uint32_t i)
{
	return (struct msg *)((char *)mb->msgs + (size_t)i * mb->msg_size);
}

/*
 * Opened or the one that is open already; its row in the index is made when it has none. NULL on
 * error.
 */
struct mailbox *mailbox_get(struct mailstore *ms, const char *name);
void mailbox_put(struct mailbox *mb);
/* The one that is kept although nobody has it open. */
void mailbox_forget(struct mailbox *mb);
/* Read what other processes committed. 0 or -1. */
int mailbox_refresh(struct mailbox *mb);
/* A session may have run out of memory in the middle of a change: nothing of it counts. */
void mailbox_unstick(struct mailbox *mb);
/*
 * The note of a move is closed as it stands, for the next one to finish. A move is made in one go,
 * so between two of them a note that is open is of one that ran out of memory.
 */
void mailbox_drop_note(struct mailbox *mb);
/*
 * A session ends: what it locked, changed and noted if it ran out of memory in the middle. All of
 * that is had within one call, so between two of them nobody else's is let go.
 */
void mailbox_let_go(struct mailbox *mb);
/* The index's write lock; then up to date with it. 0 or -1. */
int mailbox_begin(struct mailbox *mb, bool durable);
int mailbox_commit(struct mailbox *mb);
void mailbox_rollback(struct mailbox *mb);
/* Message i is about to be changed or was added: its page is written; told: views hear of it. */
void mailbox_touch(struct mailbox *mb, uint32_t i, bool told);
/* Room for n more; the first of them, a message of the driver's kind. Not counted before
 * mailbox_added(). */
void *mailbox_room(struct mailbox *mb, uint32_t n);
/* The n messages in the room get UIDs (unless they have one, above all others), and pages. */
void mailbox_added(struct mailbox *mb, uint32_t n);
/* The message added last was seen by another program before. */
void mailbox_not_recent(struct mailbox *mb);
/* Messages marked (one byte each) leave; within a change also from the index. 0 or -1. */
int mailbox_drop(struct mailbox *mb, const uint8_t *marks);
/* Index of a UID in mb->msgs, or -1. */
int64_t mailbox_find(const struct mailbox *mb, uint32_t uid);
/* First index with a UID not below uid. */
uint32_t mailbox_lower(const struct mailbox *mb, uint32_t uid);
/* Bit of a keyword name of len bytes, made when create; -1. */
int keyword_bit(struct mailbox *mb, const char *name, size_t len, bool create);
/* Bits of blank-separated names (NULL none), made when they are new. */
uint64_t keyword_bits(struct mailbox *mb, const char *names);
/* Wake the sessions that wait for changes, but not v. */
void mailbox_wake(struct mailbox *mb, const struct mailbox_view *v);

#endif
