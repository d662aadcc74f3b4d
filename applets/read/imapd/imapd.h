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
struct imapd_command;

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

/* ---- ID, for both parts (id.c) ---- */

/* "* ID (...)" */
void id_put(struct buf *out);

extern const struct session_class imapd_login_class, imapd_mail_class;

#endif
