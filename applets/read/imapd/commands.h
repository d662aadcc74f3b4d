#ifndef APPLETS_READ_IMAPD_COMMANDS_H
#define APPLETS_READ_IMAPD_COMMANDS_H

#include "base/buf.h"
#include "applets/read/imapd/imapd.h"

/* The commands, of cmd_*.c and status.c: each a row of the table in imap_session.c. */

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

/* APPEND's literals: the reader announced one of the command in s->reader.text (cmd_append.c). */
enum cmd_result append_literal(struct imapd *s, struct buf *in, struct buf *out);
/* A further line of an APPEND under way. */
enum cmd_result append_line(struct imapd *s, struct buf *out);
/* An APPEND waits for its next line or literal. */
bool append_under_way(const struct imapd *s);

#endif
