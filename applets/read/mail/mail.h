#ifndef APPLETS_READ_MAIL_MAIL_H
#define APPLETS_READ_MAIL_MAIL_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "mail/mailbox.h"

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
 *   compose.c   headers and text from the terminal; escape.c lines that begin with ~
 *   draft.c     the letter that is written; draft_reply.c what answers begin with
 *   send.c      the message that goes to sendmail, with attachments
 *   recipients.c, list.c  address lists, with their aliases replaced
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
	MARK_SAVED = 4,   /* s wrote it to another file: goes on quit */
	MARK_HELD = 8,    /* hold: stays whatever else */
	MARK_MBOX = 16,   /* touch or mbox: goes to ~/mbox on quit */
	MARK_UNREAD = 32, /* unread: shown again as unread */
	MARK_CHANGED = 64 /* flags to be written */
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
	/* show.c */
	struct mime_encoder *terminal; /* into the terminal's set, named: */
	char *terminal_set;
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
	int told;      /* interrupts that were answered */
	bool catching; /* a line is read from a terminal: interrupts count */
	struct sigaction before_catching;
	int eof_count;       /* ends of input that ignoreeof forgave */
	int rc_depth;        /* rc files that are being read */
	bool quit, exit_now; /* q; x */
	bool moved;          /* the dot was set by n or a number: n shows it first */
};

/* ---- vars.c ---- */
const char *var_get(struct mail_state *mail,
	const char *name); /* NULL unset; environment counts for names in capitals */
bool var_on(struct mail_state *mail, const char *name);
void var_set(struct mail_state *mail, const char *name, const char *value);
/* Expand ~, ~user, %, #, &, +name into a path; mem-allocated. */
char *path_expand(struct mail_state *mail, const char *name);
/* One rc or typed command of those that only concern variables: true when it was one. */
bool vars_command(struct mail_state *mail, const char *name, size_t name_len, const char *args);

/* ---- rc.c ---- */
/* Run the commands of a file (rc); missing is fine when quiet. False: cannot be read. */
bool rc_read(struct mail_state *mail, const char *path, bool quiet);
/* Whether the next line belongs to this one: a backslash at its end, which becomes a blank. */
bool line_continues(struct buf *line);

/* ---- folder.c ---- */
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
/* The dot moves to the next message that is left. */
void folder_leave_deleted(struct mail_state *mail);
/* Header field decoded to UTF-8, "" when absent; owned by a. */
const char *message_field(struct mail_state *mail, struct arena *a, unsigned n, const char *name);
/* Raw header field, folds undone. */
const char *message_raw_field(
	struct mail_state *mail, struct arena *a, unsigned n, const char *name);
/* Whole text as stored, LF line ends; mem-allocated in out. False: gone, and said. */
bool message_text(struct mail_state *mail, unsigned n, struct buf *out);
/* "From sender date", as the mbox has it, without a line end; owned by a. */
const char *message_from_line(struct mail_state *mail, struct arena *a, unsigned n);
/* Count of lines and bytes, of an mbox as they stand in the file. */
void message_size(struct mail_state *mail, unsigned n, unsigned long *lines, unsigned long *bytes);
/* Display address of the sender ("Alice <a@x>" or "a@x"), and the bare address. */
const char *message_from(struct mail_state *mail, struct arena *a, unsigned n, bool bare);

/* ---- quit.c ---- */
/* Write back flags, remove what goes; keep_all: nothing at all. */
void folder_quit(struct mail_state *mail, bool keep_all);
/*
 * Quit the open folder for another; false: that one cannot be opened, said, and the first is as it
 * was, with what is marked in it.
 */
bool folder_switch(struct mail_state *mail, const char *path);

/* ---- msglist.c ---- */
/*
 * Numbers of the messages a list names, in order, 0-terminated, mem-allocated; NULL: said what is
 * wrong. An empty list means the dot (or, for undelete, the next deleted one: deleted set).
 */
unsigned *msglist_parse(struct mail_state *mail, const char *text, bool deleted);
/*
 * "list word": the word (a file, an address) is the last one, it may be quoted; everything before
 * names messages. The list or NULL (said); *word_r is mem-allocated, "" when there is none.
 */
unsigned *msglist_split(struct mail_state *mail, const char *args, char **word_r);

/* ---- headers.c ---- */
void headers_window(
	struct mail_state *mail, unsigned around); /* a screenful that holds the message */
void headers_list(struct mail_state *mail, const unsigned *list);
void headers_all(struct mail_state *mail);
void headers_scroll(struct mail_state *mail, int screens);

/* ---- show.c ---- */
enum { SHOW_ALL_HEADERS = 1, SHOW_NO_HEADERS = 2, SHOW_RAW = 4 /* nothing decoded */ };
void show_message(struct mail_state *mail, FILE *out, unsigned n, unsigned how);
/* Each of the list; on a terminal a screenful at a time, and an interrupt leads to the prompt. */
void show_list(struct mail_state *mail, const unsigned *list, unsigned how);
/* Body only, decoded, for a file. False: it is gone, said. */
bool show_text(struct mail_state *mail, struct buf *out, unsigned n);
/* Body only, decoded, each line behind prefix: for replies. */
void show_quoted(struct mail_state *mail, struct buf *out, unsigned n, const char *prefix);

/* ---- terminal.c ---- */
/* Of the screen; of what is no terminal 24 and 80. */
void terminal_size(unsigned *rows, unsigned *columns);
/* May the character be sent to a terminal? (line ends and tabs: the caller's decision) */
bool terminal_safe(int32_t code);
/* Text without what drives a terminal; bytes that are not UTF-8 become ?, too. */
void terminal_put_safe(struct buf *out, const char *text, size_t len);
/* UTF-8 to where it is read, in the terminal's character set. */
void terminal_write(struct mail_state *mail, FILE *to, const char *text, size_t len);
/* The same of anybody's text, so that it cannot drive the terminal: control characters as ?. */
void terminal_say(struct mail_state *mail, FILE *to, const char *text);
/* A text to the terminal by screenfuls; without a pager, or when it cannot be run, as it is. */
void terminal_page(struct mail_state *mail, const struct buf *text);
/* Text that was typed, to UTF-8. */
void terminal_text(struct mail_state *mail, struct buf *text);
/*
 * One line without its end; false at the end of input, or when interrupted (the terminal throws
 * away what was typed of it).
 */
bool read_line(struct mail_state *mail, FILE *in, struct buf *line);
/* On the terminal: an interrupt is counted and ends nothing, or as before. */
void interrupts_catch(struct mail_state *mail, bool on);
/* Did one come that was not taken? */
bool interrupts_pending(struct mail_state *mail);
/* How many came since they were forgotten, if one of them was not taken yet; 0: none. */
int interrupts_take(struct mail_state *mail);
void interrupts_forget(struct mail_state *mail);
/* A hangup is noted and ends the reading of a line, until it is released. */
void hangup_catch(struct sigaction *before);
void hangup_release(const struct sigaction *before);
/* Did one come since they were caught? */
bool hangup_came(void);

/* ---- attach.c ---- */
/*
 * Write the attachments of messages to files: asked for by name on a terminal, else those that have
 * a name, in the current directory; a file that is there is never written over. False: said.
 */
bool attachments_save(struct mail_state *mail, const unsigned *list);
/* The name of a part's file, as its header has it: decoded, empty when it has none. */
struct mime_part;
struct slice;
void attachment_name(struct buf *out, const struct mime_part *p, struct slice header);

/* ---- html.c ---- */
/* What an HTML part says, in lines of text. */
void html_text(struct buf *out, const char *html, size_t len);

/* ---- draft.c ---- */
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

/* ---- escape.c ---- */
enum progress { LETTER_GOES_ON, LETTER_ENDS, LETTER_GIVEN_UP };
/* Do what a line says that begins with ~ and another character. */
enum progress escape_run(struct mail_state *mail, struct draft *d, const char *line);

/* ---- compose.c ---- */
/* Ask for what is missing, read the text (dot, ~escapes on a terminal), send. 0 sent, 1 not. */
int compose(struct mail_state *mail, struct draft *d, bool ask_subject);

/* ---- draft_reply.c ---- */
/* Called for several messages: they are answered in one. */
void draft_reply(struct mail_state *mail, struct draft *d, unsigned n, bool all);
void draft_forward(struct mail_state *mail, struct draft *d, unsigned n);

/* ---- send.c ---- */
/* 0, or 1 and the text is in ~/dead.letter (said). */
int send_draft(struct mail_state *mail, struct draft *d);
/* Send a ready message to the recipients of d, aliases replaced; as send_draft(). */
int send_to_list(struct mail_state *mail, const struct buf *message, struct draft *d);

/* ---- list.c ---- */
/* Append an address list to *list, separated by ", ". */
void list_add(struct buf *list, const char *addresses);
/* Append an address without its name. */
struct mime_address;
void list_put_address(struct buf *out, const struct mime_address *m);
/* The first address of the text without its name; the text itself when there is none. */
const char *bare_address(struct arena *a, const char *text);

/* ---- recipients.c ---- */
/*
 * Replace a list by what it stands for: aliases by their members, nobody twice, names encoded.
 * False: something in it is no address (said).
 */
bool recipients_expand(struct mail_state *mail, struct buf *list);
/* Append an address or a list with the names encoded; what is no address is said, and left out. */
void recipients_encode(struct mail_state *mail, struct buf *out, const char *text);

/* ---- save.c ---- */
/*
 * Append messages to an mbox file: all of them and on disk, or none (said). headers false: w,
 * texts only, decoded. Unless quiet, prints "file" [New file] lines/bytes.
 */
bool save_messages(
	struct mail_state *mail, const char *path, const unsigned *list, bool headers, bool quiet);
bool pipe_messages(struct mail_state *mail, const char *command, const unsigned *list);

/* ---- shell.c ---- */
/* NULL: the shell itself. The status as waitpid() has it, -1: said. */
int shell_run(struct mail_state *mail, const char *command);
/* The text in $EDITOR or another variable's program, and back. False: not changed (said). */
bool shell_edit(
	struct mail_state *mail, struct buf *text, const char *variable, const char *fallback);

/* ---- command_read.c, command_file.c, command_send.c ---- */
/* What a command does; args: what stands behind its name, list: of a command that takes one. */
typedef void command_fn(struct mail_state *mail, const char *args, const unsigned *list);

command_fn command_type, command_Type, command_show, command_top, command_number, command_size;
command_fn command_next, command_previous, command_headers, command_scroll, command_from;
command_fn command_edit, command_visual;
command_fn command_delete, command_undelete, command_dp, command_unread, command_touch;
command_fn command_hold, command_mbox, command_flag, command_unflag, command_answered;

command_fn command_save, command_copy, command_Save, command_Copy, command_move, command_write;
command_fn command_file, command_folders, command_pipe, command_cd;

command_fn command_reply, command_Reply, command_replyall, command_mail, command_forward;
command_fn command_resend;

/* ---- command.c ---- */
void commands_run(struct mail_state *mail);
/* One command line; in an rc file, source names it. */
void command_line(struct mail_state *mail, char *line, bool in_rc);

#endif
