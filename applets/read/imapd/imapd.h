#ifndef APPLETS_READ_IMAPD_IMAPD_H
#define APPLETS_READ_IMAPD_IMAPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/loop.h"
#include "net/session.h"
#include "proto/imap_parse.h"
#include "proto/imap_read.h"
#include "proto/imap_set.h"
#include "mail/mailbox.h"
#include "applets/read/login.h"

/*
 * imapd's mail part: one struct imapd a session.
 *
 *	bytes --> reader --> command --> table row --> handler
 *						 |  CMD_DONE: reply is set
 *						 |  CMD_MORE: go_on() continues later
 *						 v
 *	bytes <-- tagged reply <-- changes of the mailbox (sync) <--
 *
 * Everything a command allocates lives in arena and is gone when it has ended; an idle
 * session owns this struct, its view and nothing else.
 */
struct imapd;

enum cmd_result {
	CMD_DONE, /* the reply is set */
	CMD_MORE, /* go_on is set: it is called when output has drained or its turn comes */
	CMD_WAIT, /* like CMD_MORE, but only input or an event can bring it on */
	CMD_CLOSE /* the reply is set; close after it */
};

enum {
	IMAPD_BAD_MAX = 20,          /* bad commands in a row that end a session */
	IMAPD_LOGIN_LINE_MAX = 8192, /* bytes of a command before login */
	IMAPD_TIMEOUT = 30 * 60,     /* RFC 3501 5.4: at least 30 minutes */
	IMAPD_SLICE_MS = 10          /* of work before other sessions get their turn */
};
/* The largest message APPEND takes; larger literals are refused unread. */
#define IMAPD_APPEND_MAX ((uint64_t)1 << 30)

/* When a command may be used, and what follows it. */
enum {
	CMD_SELECTED = 1, /* only with a mailbox open */
	CMD_UID = 2,      /* "UID name" exists too */
	CMD_KEEPS_NUMBERS =
		4,    /* no EXPUNGE during it, unless it is the UID form (RFC 3501 7.4.1) */
	CMD_QUIET = 8 /* the mailbox is not looked at after it */
};

struct imapd_command {
	const char *name;
	enum cmd_result (*run)(struct imapd *s, struct imap_args *a, struct buf *out);
	unsigned flags;
};

struct imapd {
	struct session_io *io;
	struct mailstore *store;
	struct mailbox_view *view; /* the mailbox selected, or NULL */
	char *user;

	/* The command under way. */
	struct imap_reader reader;
	struct arena arena;
	const struct imapd_command *command; /* NULL: none */
	char tag[65];                        /* longer ones are BAD */
	bool uid;                            /* the UID form */
	struct buf reply;                    /* "OK text": what follows the tag */
	enum cmd_result (*go_on)(struct imapd *s, struct buf *in, struct buf *out);
	void (*abandon)(struct imapd *s); /* lets go of what state holds outside the arena */
	void *state;                      /* the command's own */
	struct timer turn;                /* continue after others had their turn */
	bool closing;                     /* after what is under way */

	/* What the client was told and wants to be told. */
	uint64_t keywords_told; /* of the mailbox, by FLAGS */
	bool condstore;         /* MODSEQ goes with flags: a command enabled it */
	const uint32_t *quiet;  /* UIDs (ascending) whose flags are not told in this sync */
	size_t quiet_count;
	bool quiet_follows;  /* ... nor is their MODSEQ: both go out behind it */
	bool uid_with_flags; /* flags are told with UID */
	unsigned bad;        /* bad commands in a row */
	bool auto_made;      /* mailboxes of auto = create were looked after */

	/* IDLE. */
	struct watch notify;
	struct timer still_here, look;
	bool still_due; /* its line is to be written */

	/* What was fetched last, see fetch_text.h. */
	struct fetch_place *place;

	/* For the log. */
	uint64_t expunged, deleted, header_count, header_bytes, body_count, body_bytes;
	const char *why; /* the session ended */
};

/* ---- Replies (reply.c) ---- */

/* Set the reply; text as printf. ok(s, "[CODE x] Text."). They return CMD_DONE. */
enum cmd_result cmd_ok(struct imapd *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum cmd_result cmd_no(struct imapd *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum cmd_result cmd_bad(struct imapd *s, const char *why);
/* NO with the store's error and the response code that belongs to it. create: a missing mailbox is
 * [TRYCREATE]. */
enum cmd_result cmd_store_error(struct imapd *s, bool create);
/* Text of that reply, of the session's arena. */
const char *store_error_text(struct imapd *s, bool create);
/* BAD for what the grammar missed. */
enum cmd_result cmd_args_error(struct imapd *s, const struct imap_args *a);
/* The capabilities after login, without a command name. */
void put_capabilities(struct buf *out);
/* Flags and keywords of a message as a list in parentheses. */
void put_flags(struct imapd *s, struct buf *out, unsigned flags, uint64_t keywords);

/* ---- The mailbox's changes (sync.c) ---- */

/* Tell what changed since the last time; expunges only when they may be told. */
void imapd_sync(struct imapd *s, struct buf *out, bool expunges);
/* "* FLAGS" and PERMANENTFLAGS when there are keywords the client does not know; force: always. */
void tell_keywords(struct imapd *s, struct buf *out, bool force);
/*
 * A command that enables CONDSTORE: from here on to the end of the connection; the first time the
 * client hears of the mailbox's HIGHESTMODSEQ (RFC 7162 3.1).
 */
void imapd_condstore(struct imapd *s, struct buf *out);
/* "* n FETCH (FLAGS ...)". */
void tell_flags_of(struct imapd *s, struct buf *out, uint32_t seq);

/* ---- Help for commands (session.c) ---- */

/* True when the command should stop here and return imapd_yield(): enough output or time. started:
 * from imapd_clock(). */
bool imapd_pause(struct imapd *s, const struct buf *out, int64_t started);
int64_t imapd_clock(void);
/* Arrange to be continued; returns CMD_MORE. */
enum cmd_result imapd_yield(struct imapd *s, const struct buf *out);
/* The same after so many milliseconds. Not without a loop. */
enum cmd_result imapd_wait(struct imapd *s, int ms);
/*
 * The UIDs (ascending) of the messages of a set, in the arena; false: a sequence number
 * that does not exist (the reply is set).
 */
bool imapd_uids(struct imapd *s, struct imap_set *set, uint32_t **uids_r, size_t *count_r);
/* Resolve '*' and check sequence numbers; false: the reply is set. */
bool imapd_resolve(struct imapd *s, struct imap_set *set);
/* Next sequence number of a resolved set (of UIDs or numbers as s->uid says) after seq; 0: no more.
 */
uint32_t imapd_next_seq(struct imapd *s, const struct imap_set *set, uint32_t seq);
/* A mailbox name as argument: UTF-8 in the arena; NULL: the reply is set (or a grammar error). */
const char *imapd_mailbox_arg(struct imapd *s, struct imap_args *a);
/* Close the mailbox that is selected, if any. */
void imapd_unselect(struct imapd *s);

/* ---- Mailboxes of dovecot.conf (cmd_list.c) ---- */

/* Make what mailbox { auto = create } names, once a session. */
void imapd_auto_create(struct imapd *s);

/* ---- Commands ---- */

#define COMMAND(fn) enum cmd_result fn(struct imapd *s, struct imap_args *a, struct buf *out)
COMMAND(cmd_capability);
COMMAND(cmd_noop);
COMMAND(cmd_logout);
COMMAND(cmd_id);
COMMAND(cmd_enable);
COMMAND(cmd_namespace);
COMMAND(cmd_check);
COMMAND(cmd_select);
COMMAND(cmd_examine);
COMMAND(cmd_close);
COMMAND(cmd_unselect);
COMMAND(cmd_status);
COMMAND(cmd_create);
COMMAND(cmd_delete);
COMMAND(cmd_rename);
COMMAND(cmd_subscribe);
COMMAND(cmd_unsubscribe);
COMMAND(cmd_list);
COMMAND(cmd_lsub);
COMMAND(cmd_append);
COMMAND(cmd_expunge);
COMMAND(cmd_copy);
COMMAND(cmd_move);
COMMAND(cmd_store);
COMMAND(cmd_fetch);
COMMAND(cmd_search);
COMMAND(cmd_idle);
#undef COMMAND

/* STATUS items, also of LIST ... RETURN (STATUS ...): parse "(MESSAGES ...)", write "* STATUS". */
bool status_items(struct imap_args *a, unsigned *items_r);
int put_status(struct imapd *s, struct buf *out, const char *name, unsigned items);

/* APPEND's literals: the reader announced one of the command in s->reader.text (cmd_append.c). */
enum cmd_result append_literal(struct imapd *s, struct buf *in, struct buf *out);
/* A further line of an APPEND under way. */
enum cmd_result append_line(struct imapd *s, struct buf *out);
/* An APPEND waits for its next line or literal. */
bool append_under_way(const struct imapd *s);

/* ---- ID, for both parts (id.c) ---- */

/* "* ID (...)" */
void id_put(struct buf *out);

extern const struct session_class imapd_login_class, imapd_mail_class;

#endif
