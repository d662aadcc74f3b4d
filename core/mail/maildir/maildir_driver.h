#ifndef MAIL_MAILDIR_MAILDIR_DRIVER_H
#define MAIL_MAILDIR_MAILDIR_DRIVER_H

#include "base/arena.h"
#include "mail/mail_driver.h"

/* What the files of the maildir driver share. */

enum maildir_state {
	MAILDIR_INDEXED = 1, /* the folder was read once */
	MAILDIR_UNVERIFIED =
		2 /* changed by us since it was read: others may have come in between */
};

enum maildir_bits {
	MSG_NEW = 16 /* in new/ */
};

struct maildir_msg {
	struct msg msg;
	uint64_t len;     /* the file's size */
	const char *name; /* file name, owned by the folder's names */
};

/* mb.f.sig is device, inode, times of new and cur (ns), 0. */
struct maildir_box {
	struct mailbox mb;
	struct arena names;
	char *letters[26];    /* keywords of dovecot-keywords */
	int64_t letters_time; /* of that file, ns */
	bool swept;           /* maildir_sweep() was here */
	bool clean; /* the directories are as f.sig has them, and what we change is all that changes
		     */
};

struct maildir_text {
	struct mail_text text;
	int fd; /* -1 none */
};

static inline struct maildir_box *maildir_box(const struct mailbox *mb)
{
	return (struct maildir_box *)mb;
}

/* Message i of mb. */
static inline struct maildir_msg *maildir_msg(const struct mailbox *mb, uint32_t i)
{
	return (struct maildir_msg *)mb->msgs + i;
}

/* Flags and keywords that a file's name has ("...:2,FS"). */
void maildir_name_flags(
	struct mailbox *mb, const char *name, bool in_new, unsigned *flags_r, uint64_t *keywords_r);
/* Length of the part of name that stays the same. */
size_t maildir_base_len(const char *name);
/* The name m is to have in cur/, after its flags; appended to out. */
void maildir_name_make(struct buf *out, struct mailbox *mb, const struct maildir_msg *m);
/* Read dovecot-keywords again if it changed. */
void maildir_letters_read(struct mailbox *mb);
/* Bits of the keywords that have letters. */
uint64_t maildir_letters_bits(const struct mailbox *mb);
/* All keywords of the bits get letters, as far as there are any left. */
void maildir_letters_want(struct mailbox *mb, uint64_t bits);
void maildir_letters_free(struct mailbox *mb);

/* "PATH/new/NAME" or cur of m, caller frees. */
char *maildir_file(const struct mailbox *mb, const struct maildir_msg *m);

/* What another server knew of the folder: UIDs by base name. */
struct uidlist {
	char *text;
	uint32_t uid_validity, uid_next; /* 0: none */
	struct uidlist_row {
		uint32_t uid;
		const char *base;
		size_t len;
	} * rows; /* sorted by base */
	size_t count, cap;
};
void uidlist_read(struct uidlist *l, const char *maildir);
uint32_t uidlist_get(const struct uidlist *l, const char *name); /* 0 none */
void uidlist_free(struct uidlist *l);

/*
 * Once for each folder that is opened: what deliveries left in tmp/ that were killed, a day and a
 * half ago or more (as maildir(5) has it), goes.
 */
void maildir_sweep(struct mailbox *mb, time_t now);
/* The driver's functions (mail/mail_driver.h). */
int maildir_sync(struct mailbox *mb, bool full);
/* Before we change the directories, and after: the next sync need not read them for that. */
void maildir_before(struct mailbox *mb);
void maildir_after(struct mailbox *mb);
int maildir_make(struct mailstore *ms, const char *path);
bool maildir_exists(const char *path, bool *selectable_r);
int maildir_create(struct mailstore *ms, const char *path, bool directory);
int maildir_remove(struct mailstore *ms, const char *path);
int maildir_move(struct mailstore *ms, const char *from, const char *to);
int maildir_list(struct mailstore *ms, struct folder_list *out);
int maildir_write_flags(struct mailbox *mb, const uint8_t *marks);
int maildir_expunge(struct mailbox *mb, uint8_t *marks);
int maildir_append(struct mailbox *mb, struct mail_append *a);
int maildir_open_text(struct mailbox *mb, uint32_t uid, struct mail_text *text);
int maildir_fill_text(struct mail_text *t, uint64_t offset);
void maildir_close_text(struct mail_text *text);

#endif
