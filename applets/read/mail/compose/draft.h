#ifndef APPLETS_READ_MAIL_COMPOSE_DRAFT_H
#define APPLETS_READ_MAIL_COMPOSE_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/*
 * A message that is written, and who needs whom in this folder:
 *
 *   compose.c     headers and text from the terminal; escape.c lines that begin with ~
 *   draft.c       the letter itself; draft_reply.c what answers begin with
 *   send.c        the message that goes to sendmail, with attachments
 *   recipients.c  whom it goes to
 */
struct mail_state;

struct attachment {
	struct attachment *next;
	char *path;
};

struct draft {
	struct buf to, cc, bcc, subject; /* lists separated by ", " */
	struct buf in_reply_to, references;
	struct buf text;
	struct attachment *attachments;
	char *from; /* -r; NULL */
};

void draft_free(struct draft *d);
/* The file is read when the letter is sent; the draft owns path. */
void draft_attach(struct draft *d, char *path);
/* "name" lines/bytes */
void draft_say_counts(const char *name, const char *data, size_t len);
/* Append the text to a file, and say so. */
void draft_write(struct mail_state *mail, const struct draft *d, const char *name, mode_t mode);
/* The text given up goes to ~/dead.letter, if the variables want that. */
void draft_keep_dead(struct mail_state *mail, const struct draft *d);
/* One header line asked for on the terminal; false: interrupted twice. */
bool draft_ask(struct mail_state *mail, const char *prompt, struct buf *into);
/*
 * Was it an interrupt that ended the reading of a line? The first one only warns, the second one
 * with no line between them kills the letter: *kill_r. With the variable ignore none does.
 */
bool draft_interrupted(struct mail_state *mail, bool *kill_r);

#endif
