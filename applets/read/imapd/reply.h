#ifndef APPLETS_READ_IMAPD_REPLY_H
#define APPLETS_READ_IMAPD_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "applets/read/imapd/imapd.h"

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

#endif
