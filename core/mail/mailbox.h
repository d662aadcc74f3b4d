#ifndef MAIL_MAILBOX_H
#define MAIL_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "mail/mail_text.h"
#include "mail/mailbox_change.h"
#include "mail/mailstore.h"

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
 *
 * The world outside includes this header: the others that it needs come with it.
 */
struct mailbox;
struct mailbox_view;

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

#endif
