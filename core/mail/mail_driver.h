#ifndef MAIL_MAIL_DRIVER_H
#define MAIL_MAIL_DRIVER_H

#include "mail/folder.h"
#include "mail/mailbox_append.h"
#include "mail/mailbox_page.h"
#include "mail/mailbox_text.h"

/*
 * What a kind of mailbox can do. A new one is a folder below core/mail with a table of this type,
 * and a row in drivers.c. Its structs of messages, folders and texts begin with struct msg, struct
 * mailbox and struct mail_text; what is behind these is its own, zero at first.
 *
 * Functions return 0, or -1 with the error in mb->ms (store_fail()), but where it says otherwise.
 * Those marked with a star may be NULL.
 */
struct mail_driver {
	/* ---- mail_location ---- */
	const char *name;             /* the word before the first ':' */
	const char *default_root;     /* of the folders, where mail_location does not say */
	const char *default_location; /* * what is chosen where there is no mail_location */
	const char *index_name;       /* directory of the index, below the root */
	char separator;
	/*
	 * No INBOX was given: where it is with this root, which may be another then; both are owned
	 * by the caller.
	 */
	void (*place_inbox)(char **root, char **inbox_r);
	/* * The index at this path was opened: what changes left that were killed can go. */
	void (*sweep)(const char *index_path);

	/* ---- What is its own ---- */
	size_t msg_size, mailbox_size, text_size;
	/* * mb is new. */
	void (*setup)(struct mailbox *mb);
	/* Columns of a message in the index, behind the common ones: mailbox_page.h. */
	void (*pack)(struct buf *out, const struct msg *m);
	void (*unpack)(struct mailbox *mb, struct page_reader *r, struct msg *m);
	/* * All messages are about to be unpacked again. */
	void (*unload)(struct mailbox *mb);
	/* * Messages were unpacked: what the index does not keep of them. */
	void (*loaded)(struct mailbox *mb);
	/* mailbox_message_name() */
	void (*message_name)(const struct msg *m, char *out, size_t size);
	bool size_of_name; /* a size may be what a name says: mailbox_correct_size() */

	/* ---- Messages ---- */
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
	/* * mailbox_listed(), marks as with write_flags. */
	int (*listed)(struct mailbox *mb, const uint8_t *marks);
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
	/* t: ms, mb, uid are set. size is wanted. */
	int (*open_text)(struct mailbox *mb, uint32_t uid, struct mail_text *t);
	/* Fill the window of t from shown offset on, which is less than its size. */
	int (*fill_text)(struct mail_text *t, uint64_t offset);
	/* * Also after an open_text() that failed. */
	void (*close_text)(struct mail_text *t);
	/* * mailbox_stored() */
	int64_t (*stored)(
		struct mailbox *mb, uint32_t uid, uint64_t offset, void *data, size_t len);
	/* * Put inotify watches on the files; again whenever one told something. */
	void (*watch)(struct mailbox *mb, int inotify_fd);

	/* ---- Folders; path is as of folder_path() ---- */
	bool (*exists)(const char *path, bool *selectable_r);
	int (*create)(struct mailstore *ms, const char *path, bool directory);
	int (*remove)(struct mailstore *ms, const char *path);
	int (*move)(struct mailstore *ms, const char *from, const char *to);
	/* All but INBOX, in any order. */
	int (*list)(struct mailstore *ms, struct folder_list *out);
};

#endif
