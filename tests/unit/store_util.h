/* store_util.h - mailboxes for the unit tests of the mail store */
#ifndef TESTS_UNIT_STORE_UTIL_H
#define TESTS_UNIT_STORE_UTIL_H

#include "base/buf.h"
#include "mail/mailbox.h"

/*
 * Below the test's directory: "mbox" (INBOX in home/inbox, folders in home/mail), "maildir",
 * "memory" (tests/unit/mail/memory_driver.h); or a mail_location.
 */
struct mailstore *store_open(const char *kind);
/* The file of that name below the test's directory. */
void store_write(const char *name, const char *text, size_t len);
void store_append(const char *name, const char *text);
char *store_read(const char *name, size_t *len_r); /* caller frees; NULL: not there */
const char *store_path(const char *name);          /* good until the next call */
/* Its bytes into b, in place of what is there; REQUIRE: it is there. */
void store_take(struct buf *b, const char *name);
/* The whole message as the store shows it; caller frees. NULL on error. */
char *store_text(struct mailbox_view *v, uint32_t seq, size_t *len_r);
/* "1:subject 3:other ": UIDs and subjects of a view; caller frees. */
char *store_list(struct mailbox_view *v);
/* The folder, opened anew, has these messages (store_list()). */
void store_check(struct mailstore *ms, const char *folder, bool read_only, const char *want);
/* Append one message; its UID, 0 on error. */
uint32_t store_put(struct mailstore *ms, const char *folder, const char *text, unsigned flags);
/* Content of a delivery (struct deliver_item, read): arg is a struct slice. */
int64_t slice_read(void *arg, int64_t offset, void *data, size_t len);
/* From here on this system call fails with EIO in this process (REQUIRE: that can be had). */
void refuse_call(int call);
void refuse_call_on(int call, int fd); /* with this as its first argument */
void refuse_unlink(void);              /* the same, whatever its number is */
/* No shared writable mappings (9p, some FUSE): such an mmap of a file fails with ENODEV. */
void refuse_shared_mmap(void);

#endif
