#ifndef MESSAGE_VERP_H
#define MESSAGE_VERP_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/*
 * Variable envelope return paths: list@us becomes list+user=their.example@us for the recipient
 * user@their.example, so that what bounces says who it was for. The two delimiters are kept among
 * the envelope's flags (QUEUE_VERP).
 */

/* Delimiters as a client gives them ("" default_verp_delimiters): the flags, or 0: not permitted by
 * verp_delimiter_filter. */
unsigned verp_flags(struct slice delimiters);
/* The sender of the message for this recipient (original: "" or NULL, the same); in a. */
const char *verp_sender(struct arena *a, unsigned flags, const char *sender, const char *recipient,
	const char *original);

#endif
