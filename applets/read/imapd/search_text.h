#ifndef APPLETS_READ_IMAPD_SEARCH_TEXT_H
#define APPLETS_READ_IMAPD_SEARCH_TEXT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"
#include "proto/imap_search.h"
#include "mail/mailbox.h"

/*
 * The keys of a search that look into messages: HEADER, SENT*, BODY, TEXT. For each
 * message: begin, then header, then (only if that decides nothing) open and body until it is
 * done; known says what is known of each key.
 */
enum known { UNKNOWN, HIT, MISS };

struct search_text;

/* Of a program; lives in arena (and what else it owns goes with search_text_free()). */
struct search_text *search_text_new(struct arena *arena, const struct imap_search *program);
void search_text_free(struct search_text *st);
/* By key id. */
const enum known *search_text_known(const struct search_text *st);

/* Nothing is known of the next message. */
void search_text_begin(struct search_text *st);
/* Its bytes; mail stays the caller's. */
void search_text_open(struct search_text *st, struct mail_text *mail);
/* Can HEADER and SENT* keys be decided by fields that header_cache.h keeps? */
bool search_text_light(const struct search_text *st);
/* Decide them by this header, or (NULL) the message's, which is returned. */
struct slice search_text_header(struct search_text *st, const struct slice *header);
/* Go on with BODY and TEXT keys for a slice of work; true: all is known. */
bool search_text_body(struct search_text *st);

#endif
