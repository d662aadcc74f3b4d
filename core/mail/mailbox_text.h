#ifndef MAIL_MAILBOX_TEXT_H
#define MAIL_MAILBOX_TEXT_H

#include "mail/mailbox_state.h"

enum { TEXT_HEAD = 16 * 1024, TEXT_WINDOW = 64 * 1024, TEXT_WHOLE = 1024 * 1024 };

/* A message that is being read. Drivers have structs of their own that begin with this one. */
struct mail_text {
	struct mailstore *ms;
	struct mailbox *mb;
	uint32_t uid;
	uint64_t size;
	bool head;         /* only its beginning is wanted */
	struct buf window; /* shown bytes from window_at on */
	uint64_t window_at;
};

/* Up to this size a message is read as a whole. */
static inline size_t text_whole(const struct mail_text *t)
{
	return t->head ? TEXT_HEAD : TEXT_WHOLE;
}

/* As long are the windows of larger ones. */
static inline size_t text_window(const struct mail_text *t)
{
	return t->head ? TEXT_HEAD : TEXT_WINDOW;
}

/*
 * Message uid, which need not be in any view, to read its first TEXT_HEAD bytes; mb->ms is who
 * reads. Where another program may have changed the files meanwhile it can be another message.
 * NULL: gone, or an error.
 */
struct mail_text *text_open_head(struct mailbox *mb, uint32_t uid);

#endif
