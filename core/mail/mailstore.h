#ifndef MAIL_MAILSTORE_H
#define MAIL_MAILSTORE_H

#include "base/arena.h"
#include "base/buf.h"
#include "mail/index.h"
#include "mail/mailbox.h"

/*
 * What the files of the mail store share: mailbox*.c are the common part
 * (views, numbering, flags), mbox*.c and maildir*.c the two drivers,
 * index.c the memory. The world outside includes mailbox.h.
 *
 * Order of locks, always: the mailbox file's, then the index's.
 */

enum msg_bits {
	MSG_HIDDEN = 1, /* mbox: the header has lines of ours and other programs' bookkeeping, not
			   shown */
	MSG_QUOTED = 2, /* mbox: has lines that were quoted as ">From " */
	MSG_DIRTY = 4,  /* mbox: flags are newer here than in the file */
	MSG_SAVED_UID = 8, /* mbox: the file has the UID */
	MSG_NEW = 16,      /* maildir: in new/ */
	MSG_LATE = 32      /* mbox: dirty, and not worth rewriting the file for */
};

struct msg {
	struct mail_info info;
	uint32_t bits;
	uint32_t from_len; /* mbox: the From_ line */
	uint32_t head_len; /* mbox: header with its empty line, as stored */
	uint32_t tail_len; /* mbox: the separating empty line, 0 to 2 */
	uint32_t cut;      /* mbox: bytes not shown (bookkeeping, quoting) */
	uint64_t len;      /* mbox: From_ line to separator; maildir: the file's size */
	uint64_t offset;   /* mbox: of the From_ line; not kept in the index */
	int64_t gap; /* mbox: offset less the end of the message before; not 0 when other programs
			reordered */
	union {
		uint64_t print;   /* mbox: fingerprint of header and body */
		const char *name; /* maildir: file name, owned by mailbox.names */
	};
};

struct mailbox;
struct mail_append;
struct mail_text;

/* Folders as a driver finds them. */
struct folder_item {
	char *name; /* UTF-8 with the separator */
	bool selectable, no_inferiors;
};

struct folder_list {
	struct folder_item *items;
	size_t count, cap;
};
/*
 * name: as on disk (modified UTF-7, or UTF-8 when it is not that); one that is neither is left out.
 */
void folder_list_add(struct folder_list *l, const char *name, bool selectable, bool no_inferiors);

struct mail_driver {
	char separator;
	/*
	 * Bring mb up to date with its files; full: also where only a look at everything would show
	 * it. 0 or -1.
	 */
	int (*sync)(struct mailbox *mb, bool full);
	/*
	 * Flags of messages changed (bit set in marks, by index of mb->msgs): into the files, now
	 * or later.
	 */
	int (*write_flags)(struct mailbox *mb, const uint8_t *marks);
	/* Nobody has the folder open any more. */
	int (*flush)(struct mailbox *mb);
	void (*close)(struct mailbox *mb);
	/*
	 * Before files are changed: no other program may, and mb is up to date. unlock: afterwards.
	 */
	int (*lock)(struct mailbox *mb);
	void (*unlock)(struct mailbox *mb);
	/*
	 * Within a change, locked. Remove the messages marked from the files; may unmark what
	 * cannot be.
	 */
	int (*expunge)(struct mailbox *mb, uint8_t *marks);
	/*
	 * Within a change, locked. Put a's messages into the files, durably, and into mb, at its
	 * end.
	 */
	int (*append)(struct mailbox *mb, struct mail_append *a);
	/* Within a change, locked: the files as they are now are what is known. */
	int (*settle)(struct mailbox *mb);
	/* t: ms, mb, uid are set. */
	int (*open_text)(struct mailbox *mb, uint32_t uid, struct mail_text *t);
	void (*watch)(struct mailbox *mb, int inotify_fd);
	/* Folders. path is as of folder_path(). */
	bool (*exists)(const char *path, bool *selectable_r);
	int (*create)(struct mailstore *ms, const char *path, bool directory);
	int (*remove)(struct mailstore *ms, const char *path);
	int (*move)(struct mailstore *ms, const char *from, const char *to);
	/* All but INBOX, in any order. */
	int (*list)(struct mailstore *ms, struct folder_list *out);
};
extern const struct mail_driver mbox_driver, maildir_driver;

/* One user's mail, shared by all sessions of this process. */
struct store {
	struct store *next;
	int refs;
	char *key;        /* name, home and location */
	char *home;       /* "" none */
	char *root;       /* folders: ~/mail or ~/Maildir */
	char *inbox;      /* the file, or the maildir */
	bool status_only; /* mailstore_status_only() */
	const struct mail_driver *driver;
	struct index *index;
	struct mailbox *open; /* folders that are open, and the one kept */
	struct mailbox *kept; /* closed last, refs 0: opened again it need not be loaded */
};

struct mailstore {
	struct store *store;
	enum mail_error code;
	struct buf error;
};

struct mail_ghost { /* gone, but some view still counts it */
	struct mail_info info;
};

struct mailbox {
	struct mailbox *next;
	struct store *store;
	struct mailstore *ms; /* the session on whose behalf work is done: gets the errors */
	int refs;
	char *name, *path;
	struct index_folder f;
	struct msg *msgs; /* UIDs ascending */
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
	unsigned layout; /* raised when offsets changed */
	int inotify;     /* -1 none */
	/* mbox; f.sig is device, inode, size, mtime (ns), bytes before the first From_ line */
	int fd; /* -1 none */
	bool fd_writable;
	int64_t fd_dev, fd_ino; /* which file fd is */
	struct mailbox_lock *lock;
	int64_t checked_ms; /* when the file was last looked at */
	/* maildir; f.sig is device, inode, times of new and cur (ns), 0 */
	struct arena names;
	char *letters[26];    /* keywords of dovecot-keywords */
	int64_t letters_time; /* of that file, ns */
	bool clean; /* the directories are as f.sig has them, and what we change is all that changes
		     */
};

struct uid_range {
	uint32_t first, last;
};

struct mailbox_view {
	struct mailbox_view *next;
	struct mailstore *ms;
	struct mailbox *mb;
	bool read_only;
	uint32_t count;  /* messages the session knows */
	uint32_t *uids;  /* theirs; NULL: they are the first of mb->msgs */
	uint64_t modseq; /* flag changes are told up to here */
	struct uid_range *recent;
	size_t recent_count;
	uint32_t told_recent;
	int notify; /* epoll of event and mb->inotify, -1 none */
	int event;
	int session_lock;         /* -1 none */
	bool locked;              /* by mailbox_session_lock() */
	struct cache_item *cache; /* structures to be written, newest first */
	size_t cache_size;
	/* Structures read ahead, of the UIDs first to last. */
	struct arena ahead;
	struct index_cached *ahead_rows;
	size_t ahead_count;
	uint32_t ahead_first, ahead_last, asked_last;
};

/* ---- Errors: -1 for the caller to return ---- */

int store_fail(struct mailstore *ms, enum mail_error code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * A system call on path failed with errno; need: what would be needed ("read and write"), for
 * EACCES.
 */
int store_fail_sys(struct mailstore *ms, const char *path, const char *what, const char *need);
int store_fail_index(struct mailstore *ms);

/* ---- Folders ---- */

/* Path of a folder (caller frees), NULL: not a name or a place that may be. INBOX in any case is
 * INBOX. */
char *folder_path(struct mailstore *ms, const char *name, bool directory);
/* Does no link on the way to path, which is in the folders' directory, lead to what is not the
 * user's? */
bool place_is_own(const struct store *st, const char *path);
/*
 * All folders but INBOX, sorted, each that only its children show included. 0 or -1;
 * folder_list_free() either way.
 */
int folder_list_read(struct mailstore *ms, struct folder_list *l);
void folder_list_free(struct folder_list *l);
struct subscription_list {
	char **names; /* UTF-8 */
	size_t count, cap;
	bool version2;
};
/* 0 or -1 (then nothing is to be freed). */
int subscriptions_read(struct mailstore *ms, struct subscription_list *l);
void subscriptions_free(struct subscription_list *l);
bool subscriptions_has(const struct subscription_list *l, const char *name);
/* Files of ours and of Dovecot's among the folders. */
bool folder_is_hidden(const char *file);
/* The name as the index knows it: "INBOX" for any case of it; caller frees. */
char *folder_key(const char *name);

/* ---- A folder's state ---- */

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
/* The index's write lock; then up to date with it. 0 or -1. */
int mailbox_begin(struct mailbox *mb, bool durable);
int mailbox_commit(struct mailbox *mb);
void mailbox_rollback(struct mailbox *mb);
/* Message i is about to be changed or was added: its page is written; told: views hear of it. */
void mailbox_touch(struct mailbox *mb, uint32_t i, bool told);
/* Room for n more; the first of them. Not counted before mailbox_added(). */
struct msg *mailbox_room(struct mailbox *mb, uint32_t n);
/* The n messages in the room get UIDs (unless they have one, above all others), and pages. */
void mailbox_added(struct mailbox *mb, uint32_t n);
/* The message added last was seen by another program before. */
void mailbox_not_recent(struct mailbox *mb);
/* Messages marked (one byte each) leave; within a change also from the index. 0 or -1. */
int mailbox_drop(struct mailbox *mb, const uint8_t *marks);
/* Offsets from gaps and lengths. */
void mailbox_layout(struct mailbox *mb);
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

/* Write the structures that were put: 0 or -1. Forget those read ahead. */
int view_cache_flush(struct mailbox_view *v);
void view_cache_forget(struct mailbox_view *v);

/* ---- Pages of the index ---- */

/* Messages from..to (their UIDs share a page) packed. */
void page_pack(struct buf *out, const struct mailbox *mb, uint32_t from, uint32_t to);
/* Unpack into room (at most 1 << INDEX_PAGE_SHIFT); how many, or -1: damaged. */
int page_unpack(struct mailbox *mb, uint32_t page, const void *data, size_t len, struct msg *room);

/* ---- Appending ---- */

struct append_item {
	uint64_t offset, len; /* within the spool, LF line ends */
	unsigned flags;
	char *keywords; /* names, blank-separated; NULL none */
	time_t received;
	char *sender;
};

struct mail_append {
	struct mailstore *ms;
	struct mailbox *mb;
	struct append_item *items;
	size_t count, cap;
	bool last_cr;      /* a CR was seen, not known what follows */
	struct buf memory; /* the spool, or when it got large: */
	int fd;            /* a nameless file, -1 none */
	uint64_t spooled;
};

/* Bytes of the spool; fewer than len only at its end. -1 on error. */
int64_t append_read(struct mail_append *a, uint64_t offset, void *data, size_t len);

/* ---- Moving (mailbox_move.c) ---- */

struct mail_moved {
	const uint32_t *uids; /* ascending */
	size_t count;
};
/*
 * Note down, durably, that these are about to be copied to the other folder and then removed. A
 * descriptor for move_note_end(), once they are (or are not to be); -1: there is no note, and a
 * crash may leave them in both.
 */
int move_note_begin(struct mailbox_view *v, struct mailbox *to, const struct mail_moved *moved);
void move_note_end(int fd);
/* Finish what a note says that somebody left who is no more. Before a view of mb is made. */
void move_finish(struct mailstore *ms, struct mailbox *mb);

/* ---- Reading ---- */

enum { TEXT_WINDOW = 64 * 1024, TEXT_WHOLE = 1024 * 1024, TEXT_PIECES = 66 };

struct text_piece { /* shown bytes that follow each other in the file */
	uint64_t shown, stored, len;
};

struct mail_text {
	struct mailstore *ms;
	struct mailbox *mb;
	uint32_t uid;
	int fd; /* maildir: its own; mbox: -1 */
	uint64_t size;
	struct buf window; /* shown bytes from window_at on */
	uint64_t window_at;
	/* mbox */
	unsigned layout;     /* mb->layout the rest is of */
	bool quoted;         /* lines have to be unquoted on the way */
	bool filtered;       /* not all stored bytes are shown as they are */
	uint64_t start, end; /* in the file, header to end of body */
	struct text_piece pieces[TEXT_PIECES];
	size_t piece_count;
	uint64_t scan_shown, scan_stored; /* unquoting goes on from here, */
	size_t scan_piece;                /* in this piece, */
	bool scan_inside;                 /* within a line */
};

/* mbox: fill the window from shown offset on. 0 or -1. */
int mbox_text_fill(struct mail_text *t, uint64_t offset);

#endif
