#ifndef APPLETS_READ_MAIL_STATE_H
#define APPLETS_READ_MAIL_STATE_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/hash.h"

struct mailbox_view;
struct mailstore;
struct mime_encoder;

/*
 * mail (mailx): the pieces and who needs whom.
 *
 *   mail.c      options, rc files, start and end
 *   command.c   the table of commands and the loop that reads them
 *   command_read.c, command_file.c, command_send.c  what they do
 *   rc.c        files of commands
 *   folder.c    the open folder: messages, marks
 *   quit.c      what leaving it does to its file
 *   msglist.c   message lists: 1 3-5 $ * :n /text name
 *   headers.c   the header list
 *   show.c      a message on the screen, MIME decoded
 *   attach.c    attachments written to files
 *   html.c      the text of an HTML part
 *   compose/    a message that is written: see compose/draft.h
 *   list.c      address lists, with their aliases replaced
 *   save.c      messages appended to mbox files, pipes
 *   shell.c     programs of the user
 *   terminal.c  the screen and the keyboard
 *   vars.c      set, unset, alias, ignore
 *
 * Each message of the folder has marks of this session; the file changes only
 * on quit (and not at all on exit), as users of mailx expect.
 */
enum {
	MARK_READ = 1, /* shown in this session */
	MARK_DELETED = 2,
	MARK_SAVED = 4,  /* s wrote it to another file: goes on quit */
	MARK_HELD = 8,   /* hold: stays whatever else */
	MARK_MBOX = 16,  /* touch or mbox: goes to ~/mbox on quit */
	MARK_UNREAD = 32 /* unread: shown again as unread */
};

struct message {
	unsigned marks;
	bool old; /* not new: the file says that it was listed before */
};

struct mail_state {
	/* vars.c */
	struct hash vars;              /* name -> char *; "" for a flag */
	struct hash aliases;           /* name -> char *: members separated by blanks */
	struct hash ignored, retained; /* lower-case header names */
	/* folder.c */
	struct mailstore *store;
	struct mailbox_view *view;
	char *folder_path;        /* as shown: "/var/spool/mail/root" */
	char *previous_path;      /* what # means */
	struct message *messages; /* count of them */
	unsigned count;
	unsigned current;           /* 1.., 0 none; the dot */
	bool read_only, system_box; /* not -f: hold and mbox apply */
	/* mail.c */
	bool interactive; /* stdin is a terminal */
	bool sending;     /* called to send: if s */
	char *user, *home;
	FILE *in;
	int exit_status;
	/* One command line; in_rc: of an rc file. For those that command.c itself calls. */
	void (*run_line)(struct mail_state *mail, char *line, bool in_rc);
	int conf; /* main.cf: 0 not asked for, 1 read, -1 cannot be */
	/* terminal.c */
	struct mime_encoder *terminal; /* into the terminal's set, named: */
	char *terminal_set;
	int told;      /* interrupts that were answered */
	bool catching; /* a line is read from a terminal: interrupts count */
	struct sigaction before_catching;
	int eof_count;       /* ends of input that ignoreeof forgave */
	int rc_depth;        /* rc files that are being read */
	bool quit, exit_now; /* q; x */
	bool moved;          /* the dot was set by n or a number: n shows it first */
};

/* What the state holds, but for the folder (folder_close()) and the input. */
void state_free(struct mail_state *mail);

#endif
