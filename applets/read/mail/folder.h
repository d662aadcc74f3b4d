#ifndef APPLETS_READ_MAIL_FOLDER_H
#define APPLETS_READ_MAIL_FOLDER_H

#include <stdbool.h>

#include "mail/mailbox.h"

struct arena;
struct buf;
struct mail_state;

/* path NULL: the user's own mailbox. 0, 1 no such mailbox or empty and said, -1 error and said. */
int folder_open(struct mail_state *mail, const char *path, const char *user, bool read_only);
/* Whether main.cf could be read (at the first call): then `param' holds it. */
bool main_cf_known(struct mail_state *mail);
/* Whether folder_open() for reading can be expected to work; false: said why not. */
bool folder_can_open(struct mail_state *mail, const char *path);
void folder_banner(struct mail_state *mail); /* "path": N messages M new */
void folder_close(struct mail_state *mail);
/* Take in what arrived since; how many. */
unsigned folder_follow(struct mail_state *mail);
bool folder_new(struct mail_state *mail, unsigned n); /* arrived since last time */
bool folder_unread(struct mail_state *mail, unsigned n);
/* The first message after n (by -1: before it) that is not deleted, 0 none. */
unsigned folder_next(struct mail_state *mail, unsigned n, int by);
/* Change marks of a list; the dot is at its last. */
void folder_mark(struct mail_state *mail, const unsigned *list, unsigned set, unsigned clear);
/* Change flags of the mailbox itself, at once; the dot is at the last of the list. */
void folder_flag(struct mail_state *mail, const unsigned *list, enum flag_op op, unsigned flag);
/* The dot moves to the next message that is left. */
void folder_leave_deleted(struct mail_state *mail);
/* Header field decoded to UTF-8, "" when absent; owned by a. */
const char *message_field(struct mail_state *mail, struct arena *a, unsigned n, const char *name);
/* Raw header field, folds undone. */
const char *message_raw_field(
	struct mail_state *mail, struct arena *a, unsigned n, const char *name);
/* Whole text as stored, LF line ends; mem-allocated in out. False: gone, and said. */
bool message_text(struct mail_state *mail, unsigned n, struct buf *out);
/*
 * "From sender date", as the mbox has it if that has a date, without a line end; owned by a.
 */
const char *message_from_line(struct mail_state *mail, struct arena *a, unsigned n);
/* Count of lines and bytes, of an mbox as they stand in the file. */
void message_size(struct mail_state *mail, unsigned n, unsigned long *lines, unsigned long *bytes);
/* Display address of the sender ("Alice <a@x>" or "a@x"), and the bare address. */
const char *message_from(struct mail_state *mail, struct arena *a, unsigned n, bool bare);

#endif
