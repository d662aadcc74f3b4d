#ifndef APPLETS_READ_MAIL_SAVE_H
#define APPLETS_READ_MAIL_SAVE_H

#include <stdbool.h>

struct buf;
struct mail_state;

/*
 * Append messages to an mbox file: all of them and on disk, or none (said). headers false: w,
 * texts only, decoded. Unless quiet, prints "file" [New file] lines/bytes.
 */
bool save_messages(
	struct mail_state *mail, const char *path, const unsigned *list, bool headers, bool quiet);
/* Append one more, that is in none of our mailboxes; false: said. */
bool save_letter(const char *path, const char *from_line, const struct buf *text);
bool pipe_messages(struct mail_state *mail, const char *command, const unsigned *list);

#endif
