/* mail.h - a user's mailboxes for the fuzz targets
 *
 * Everything is below fuzz_dir(): INBOX is the file "inbox" or the maildir "Maildir". */
#ifndef TESTS_FUZZ_MAIL_H
#define TESTS_FUZZ_MAIL_H

#include "mail/mailbox.h"
#include "fuzz.h"

enum {
	FUZZ_MAILDIR = 1, /* maildirs, not mbox */
	FUZZ_INDEX = 2    /* index.db on disk, not in memory */
};

/* What this process remembers of mailboxes is forgotten (it keeps them open for the next
 * session). */
void fuzz_forget(void);
/* The user; how: FUZZ_*. Good until the next call. */
const struct mail_user *fuzz_user(unsigned how);
/* Their mail; it must open. */
struct mailstore *fuzz_store(unsigned how);
/* "Maildir/new/NAME" and its like with these bytes, directories made. */
void fuzz_maildir_put(const char *name, const char *data, size_t len);

/* A session of the part before login with this input; its auth server does not answer. */
void fuzz_login(const struct session_class *class, struct slice said);

/* All of a message, which must have as many bytes as mail_size() says. False: it cannot be
 * opened. */
bool fuzz_text(struct mailbox_view *v, uint32_t seq, struct buf *out);

/* Every message of INBOX as it reads, to be compared with a later state. */
struct fuzz_texts {
	struct buf *texts;
	size_t count;
};
void fuzz_texts_read(struct fuzz_texts *t, struct mailbox_view *v);
void fuzz_texts_free(struct fuzz_texts *t);

#endif
