#ifndef MAIL_MAILBOX_H
#define MAIL_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"

/*
 * A user's mail: folders of messages, whatever they are stored in (mbox,
 * maildir). index.db (one per user) keeps UIDs, flags, keywords, modseq,
 * sizes, dates and parsed structures; the mailbox files stay readable and
 * writable by other programs, and every sync follows what they did.
 *
 * A struct mailbox is the state of a folder shared by all sessions of this
 * process that have it open; each session has a struct mailbox_view, its own
 * numbering, which changes only in mailbox_view_sync(). Functions return 0 or 1 as
 * said, -1 with mailstore_error() (a text for the client) otherwise.
 */
struct mailstore;
struct mailbox;
struct mailbox_view;

/* No time at all, where 0 is one: mail of clocks that were never set is dated 1970. */
#define MAIL_NOW ((time_t)INT64_MIN)

struct mail_user {
	const char *name;          /* login name */
	const char *home;          /* may be "" */
	const char *mail_location; /* "mbox:~/mail:INBOX=/var/mail/%u", "maildir:~/Maildir"; %u and
				      ~ are expanded here */
	uid_t uid;
	gid_t gid;
};

/* System flags; keywords are names of their own. */
enum {
	MAIL_SEEN = 1,
	MAIL_ANSWERED = 2,
	MAIL_FLAGGED = 4,
	MAIL_DELETED = 8,
	MAIL_DRAFT = 16,
	MAIL_RECENT = 32
};

struct mail_info {
	uint32_t uid;
	unsigned flags;    /* MAIL_*, RECENT is the view's */
	uint64_t keywords; /* bits, see mailbox_keyword() */
	uint64_t modseq;
	time_t received; /* internal date */
	uint64_t size;   /* RFC822.SIZE: with CRLF line ends */
};

struct mailbox_status {
	uint32_t messages, recent, unseen, uid_next, uid_validity;
	uint64_t highest_modseq, size;
};

/* NULL with a text (caller frees). Done as the user (the caller has changed uid). */
struct mailstore *mailstore_open(const struct mail_user *user, char **error_r);
void mailstore_close(struct mailstore *ms);
const char *mailstore_error(const struct mailstore *ms);
/* What kind of failure: for the IMAP response code and exit codes. */
enum mail_error {
	MAIL_E_NONE,
	MAIL_E_NOT_FOUND,
	MAIL_E_EXISTS,
	MAIL_E_PERM,
	MAIL_E_NOSPACE,
	MAIL_E_BUSY,
	MAIL_E_INVALID,
	MAIL_E_INTERNAL
};
enum mail_error mailstore_errno(const struct mailstore *ms);
char mailstore_separator(const struct mailstore *ms); /* '/' for mbox, '.' for Maildir++ */

/*
 * For a mail program of its own with its index in memory: an mbox gets no UIDs, only Status and
 * X-Status of messages whose flags were changed (and in a file with UIDs of a server, these stay).
 */
void mailstore_status_only(struct mailstore *ms);

/* ---- Folders; names are UTF-8 with the separator, "INBOX" in any case ---- */

struct folder_info {
	const char *name;
	bool selectable; /* false: only a directory */
	bool has_children;
	bool no_inferiors; /* an mbox file cannot have children */
	bool subscribed;
};

/* Every folder, sorted, INBOX first. fn's non-zero return stops the walk and is returned. */
int mailstore_list(
	struct mailstore *ms, int (*fn)(void *arg, const struct folder_info *f), void *arg);
int mailstore_create(
	struct mailstore *ms, const char *name); /* a trailing separator makes a directory */
int mailstore_delete(struct mailstore *ms, const char *name);
int mailstore_rename(struct mailstore *ms, const char *from,
	const char *to); /* INBOX: its mail moves, it stays */
int mailstore_subscribe(struct mailstore *ms, const char *name, bool on);
/* Subscribed names, also of folders that are gone. */
int mailstore_subscriptions(
	struct mailstore *ms, int (*fn)(void *arg, const char *name), void *arg);
/*
 * INBOX has no case, and that goes for what is below it: "Inbox/x" becomes "INBOX/x", in place,
 * unless there is a folder of just that name.
 */
void mailstore_inbox_case(struct mailstore *ms, char *name);
/* STATUS without opening a view. */
int mailstore_status(struct mailstore *ms, const char *name, struct mailbox_status *out);

/* ---- A folder, open ---- */

/* NULL: mailstore_errno(). Takes \Recent (unless read_only). */
struct mailbox_view *mailbox_open(struct mailstore *ms, const char *name, bool read_only);
void mailbox_close(struct mailbox_view *v);
const char *mailbox_name(const struct mailbox_view *v);
bool mailbox_read_only(const struct mailbox_view *v);
uint32_t mailbox_uid_validity(const struct mailbox_view *v);
uint32_t mailbox_uid_next(const struct mailbox_view *v);
uint64_t mailbox_highest_modseq(const struct mailbox_view *v);
/* Sequence numbers are 1..mailbox_count(). */
uint32_t mailbox_count(const struct mailbox_view *v);
const struct mail_info *mailbox_info(const struct mailbox_view *v, uint32_t seq);
/* Sequence number of a UID, or 0; with after: of the first UID at or above it, count + 1 when none.
 */
uint32_t mailbox_seq(const struct mailbox_view *v, uint32_t uid, bool after);
bool mailbox_recent(const struct mailbox_view *v, uint32_t seq);

/* Keyword name of a bit, NULL when unused; bit of a name, -1 when unknown (create: made, -1 when
 * all 64 are taken). */
const char *mailbox_keyword(const struct mailbox_view *v, int bit);
int mailbox_keyword_bit(struct mailbox_view *v, const char *name, bool create);

/*
 * Look at the files for outside changes (cheap when nothing changed), then bring
 * the view up to date and tell what changed, in an order an IMAP client can be
 * told: expunged (sequence numbers as they were, from the highest), flags
 * changed (new numbers), then the new count and how many are recent, if either is another than
 * the client would think. Without expunges (during FETCH,
 * STORE, SEARCH) those stay for later.
 */
struct mailbox_changes {
	void (*expunged)(void *arg, uint32_t seq, uint32_t uid);
	void (*flags)(void *arg, uint32_t seq);
	void (*exists)(void *arg, uint32_t count, uint32_t recent);
	void *arg;
};
int mailbox_view_sync(struct mailbox_view *v, bool expunges, const struct mailbox_changes *changes);
/* For the time this view is open no other one may be locked (POP3, RFC 1939 section 4): 0, or -1,
 * MAIL_E_BUSY. */
int mailbox_session_lock(struct mailbox_view *v);
/* A name of the message that stays: a maildir file's base name, an mbox message's fingerprint. */
void mailbox_message_name(const struct mailbox_view *v, uint32_t seq, char *out, size_t size);
/* A descriptor that becomes readable when somebody may have changed the folder (inotify); -1 none.
 * Drain with mailbox_view_sync(). */
int mailbox_notify_fd(struct mailbox_view *v);

/* ---- Messages ---- */

/*
 * The message's bytes, LF or CRLF as stored, starting at its headers: the same that were
 * delivered or appended. Of an mbox neither the From_ line nor other programs' bookkeeping
 * (Status, X-UID ...) is shown, and From-quoting is undone. The bytes are in memory as a
 * whole only for messages up to 1 MiB, else by window. Close it before its view.
 */
struct mail_text;
struct mail_text *mail_open(
	struct mailbox_view *v, uint32_t seq); /* NULL: expunged meanwhile or error */
uint64_t mail_size(const struct mail_text *t); /* bytes, of what mail_bytes() shows */
/* Up to *len_r bytes at offset; pointer valid until the next call. NULL at the end or on error
 * (mailstore_errno). */
const char *mail_bytes(struct mail_text *t, uint64_t offset, size_t *len_r);
void mail_close(struct mail_text *t);

/*
 * A message of an mbox as it stands in the file, from its From_ line to the empty line behind it,
 * bookkeeping and quoting included: up to len bytes from offset on into data. How many, 0 at the
 * end and where the folder is no mbox; -1: mailstore_errno().
 */
int64_t mailbox_stored(
	struct mailbox_view *v, uint32_t seq, uint64_t offset, void *data, size_t len);

enum flag_op { FLAGS_SET, FLAGS_ADD, FLAGS_REMOVE };
/*
 * Change flags of many messages (uids ascending) in one transaction. With
 * unchanged_since (not ~0) messages with a higher modseq are left alone and
 * reported in failed (uids, caller's buffer of count). The views hear of it at
 * their next sync (the caller's too). Written to the files at once or, for mbox, at the
 * latest at close (index.db is durable at once).
 */
int mailbox_store(struct mailbox_view *v, const uint32_t *uids, size_t count, enum flag_op op,
	unsigned flags, uint64_t keywords, uint64_t unchanged_since, uint32_t *failed,
	size_t *failed_count_r);
/*
 * Have an mbox say that the messages were listed ("Status: O"), as other mail programs do when they
 * leave. 0 or -1; a maildir does it by itself.
 */
int mailbox_listed(struct mailbox_view *v, const uint32_t *uids, size_t count);
/*
 * A message was read to its end, and is of this size (with CR LF line ends): if the name of its
 * maildir file said another, the index has the right one from now on. 0 or -1.
 */
int mailbox_correct_size(struct mailbox_view *v, uint32_t uid, uint64_t size);
/* Remove messages from the files. uids NULL: all \Deleted; otherwise those of the list (only
 * \Deleted ones unless force). */
int mailbox_expunge(struct mailbox_view *v, const uint32_t *uids, size_t count, bool force);
/* What becomes of a copy when another session has removed some of its messages meanwhile. */
enum mail_copy {
	MAIL_COPY_ALL,     /* none is copied (RFC 3501 6.4.7) */
	MAIL_COPY_PRESENT, /* the others are (UID COPY, RFC 3501 6.4.8) */
	MAIL_MOVE          /* the others are, and removed here (RFC 6851) */
};
/*
 * UIDs given are in *new_uids_r, in the order of uids, 0 for a message that was not copied (caller
 * frees); uid_validity of the destination. One lock, one fsync. 0, or -1 with mailstore_errno().
 */
int mailbox_copy(struct mailbox_view *v, const uint32_t *uids, size_t count, const char *to,
	enum mail_copy how, uint32_t **new_uids_r, uint32_t *uid_validity_r);

/* Append: begin, write (line ends as they come; CRLF becomes LF in mbox and maildir), end. Several
 * begin before one end for MULTIAPPEND and batches. */
struct mail_append;
struct mail_append *mail_append_begin(
	struct mailstore *ms, const char *folder); /* NULL: mailstore_errno() */
int mail_append_next(struct mail_append *a, unsigned flags, const char *const *keywords,
	size_t keyword_count, time_t received,
	const char *envelope_sender); /* a new message; received MAIL_NOW: now */
int mail_append_write(struct mail_append *a, const void *data, size_t len);
/* Durable: 0; uids in *uids_r (caller frees, may be NULL). The append is gone either way. */
int mail_append_end(
	struct mail_append *a, uint32_t **uids_r, size_t *count_r, uint32_t *uid_validity_r);
void mail_append_abort(struct mail_append *a);

/* Parsed structures, kept in index.db as text: kind is 'E' ENVELOPE, 'B' BODYSTRUCTURE, 'H'
 * selected headers. 1, 0 not cached, -1. */
int mailbox_cache_get(struct mailbox_view *v, uint32_t uid, char kind, struct buf *out);
/* Collected and written with the next sync or close. */
void mailbox_cache_put(
	struct mailbox_view *v, uint32_t uid, char kind, const char *text, size_t len);

#endif
