#ifndef MAIL_MAILSTORE_H
#define MAIL_MAILSTORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A user's mail: where it is, and its folders by name. Functions return 0 or 1 as said, -1 with
 * mailstore_error() (a text for the client) otherwise.
 */
struct mailstore;
struct mail_driver;

struct mail_user {
	const char *name;          /* login name */
	const char *home;          /* may be "" */
	const char *mail_location; /* "mbox:~/mail:INBOX=/var/mail/%u", "maildir:~/Maildir"; %u and
				      ~ are expanded here */
	uid_t uid;
	gid_t gid;
	/* One more that mail_location may name, besides those of drivers.h; NULL: none. */
	const struct mail_driver *driver;
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
/* Between the parts of a folder's name: '/' or '.', as the driver has it. */
char mailstore_separator(const struct mailstore *ms);

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

struct mailbox_status {
	uint32_t messages, recent, unseen, uid_next, uid_validity;
	uint64_t highest_modseq, size;
};
/* STATUS without opening a view. */
int mailstore_status(struct mailstore *ms, const char *name, struct mailbox_status *out);

#endif
