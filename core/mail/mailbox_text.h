#ifndef MAIL_MAILBOX_TEXT_H
#define MAIL_MAILBOX_TEXT_H

#include "mail/mailbox_state.h"

enum { TEXT_WINDOW = 64 * 1024, TEXT_WHOLE = 1024 * 1024 };

/* A message that is being read. Drivers have structs of their own that begin with this one. */
struct mail_text {
	struct mailstore *ms;
	struct mailbox *mb;
	uint32_t uid;
	uint64_t size;
	struct buf window; /* shown bytes from window_at on */
	uint64_t window_at;
};

/* Message uid, which need not be in any view; mb->ms is who reads. NULL: gone, or an error. */
struct mail_text *text_open(struct mailbox *mb, uint32_t uid);

#endif
