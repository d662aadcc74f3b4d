#ifndef MAIL_MAIL_TEXT_H
#define MAIL_MAIL_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"

/* A message's bytes, out and in, and what was parsed of them. */
struct mailstore;
struct mailbox_view;

/* No time at all, where 0 is one: mail of clocks that were never set is dated 1970. */
#define MAIL_NOW ((time_t)INT64_MIN)

/* ---- Out ---- */

/*
 * The message's bytes, LF or CRLF as stored, starting at its headers: the same that were
 * delivered or appended. Of an mbox neither the From_ line nor other programs' bookkeeping
 * (Status, X-UID ...) is shown, and From-quoting is undone. The bytes are in memory as a
 * whole only for messages up to 1 MiB, else by window. Close it before its view.
 */
struct mail_text;
struct mail_text *mail_open(
	struct mailbox_view *v, uint32_t seq); /* NULL: expunged meanwhile or error */
uint64_t mail_size(const struct mail_text *t); /* bytes, of what mail_bytes() shows */
/* Up to *len_r bytes at offset; pointer valid until the next call. NULL at the end or on error
 * (mailstore_errno). */
const char *mail_bytes(struct mail_text *t, uint64_t offset, size_t *len_r);
void mail_close(struct mail_text *t);

/*
 * A message of an mbox as it stands in the file, from its From_ line to the empty line behind it,
 * bookkeeping and quoting included: up to len bytes from offset on into data. How many, 0 at the
 * end and where the folder is no mbox; -1: mailstore_errno().
 */
int64_t mailbox_stored(
	struct mailbox_view *v, uint32_t seq, uint64_t offset, void *data, size_t len);

/* ---- In ---- */

/* Append: begin, write (line ends as they come; CRLF becomes LF in mbox and maildir), end. Several
 * begin before one end for MULTIAPPEND and batches. */
struct mail_append;
struct mail_append *mail_append_begin(
	struct mailstore *ms, const char *folder); /* NULL: mailstore_errno() */
int mail_append_next(struct mail_append *a, unsigned flags, const char *const *keywords,
	size_t keyword_count, time_t received,
	const char *envelope_sender); /* a new message; received MAIL_NOW: now */
int mail_append_write(struct mail_append *a, const void *data, size_t len);
/* Durable: 0; uids in *uids_r (caller frees, may be NULL). The append is gone either way. */
int mail_append_end(
	struct mail_append *a, uint32_t **uids_r, size_t *count_r, uint32_t *uid_validity_r);
void mail_append_abort(struct mail_append *a);

/* ---- Parsed ---- */

/* Parsed structures, kept in index.db as text: kind is 'E' ENVELOPE, 'B' BODYSTRUCTURE, 'H'
 * selected headers. 1, 0 not cached, -1. */
int mailbox_cache_get(struct mailbox_view *v, uint32_t uid, char kind, struct buf *out);
/* Collected and written with the next sync or close. */
void mailbox_cache_put(
	struct mailbox_view *v, uint32_t uid, char kind, const char *text, size_t len);

#endif
