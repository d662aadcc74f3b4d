#ifndef APPLETS_READ_IMAPD_SELECTED_H
#define APPLETS_READ_IMAPD_SELECTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "applets/read/imapd/imapd.h"

/* Help for commands: their turn, and arguments that several take. */

/* True when the command should stop here and return imapd_yield(): enough output or time. started:
 * from clock_ms(). */
bool imapd_pause(struct imapd *s, const struct buf *out, int64_t started);
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

#endif
