#ifndef MAIL_MAILBOX_VIEW_H
#define MAIL_MAILBOX_VIEW_H

#include "base/arena.h"
#include "mail/mailbox_state.h"

/* A session's numbering of a folder. */

struct mail_ghost { /* gone, but some view still counts it */
	struct mail_info info;
};

struct uid_range {
	uint32_t first, last;
};

struct mailbox_view {
	struct mailbox_view *next;
	struct mailstore *ms;
	struct mailbox *mb;
	bool read_only;
	uint32_t count;  /* messages the session knows */
	uint32_t *uids;  /* theirs; NULL: they are the first of mb->msgs */
	uint64_t modseq; /* flag changes are told up to here */
	struct uid_range *recent;
	size_t recent_count;
	uint32_t told_recent;
	int notify; /* epoll of event and mb->inotify, -1 none */
	int event;
	int session_lock;         /* -1 none */
	bool locked;              /* by mailbox_session_lock() */
	struct cache_item *cache; /* structures to be written, newest first */
	size_t cache_size;
	/* Structures read ahead, of the UIDs first to last. */
	struct arena ahead;
	struct index_cached *ahead_rows;
	size_t ahead_count;
	uint32_t ahead_first, ahead_last, asked_last;
};

/* mailbox_open() (mailbox_open.c) without a look for a move that was interrupted. */
struct mailbox_view *view_open(struct mailstore *ms, const char *name, bool read_only);
/* Before a change: 0, or -1 where the view is read-only. */
int mailbox_writable(struct mailbox_view *v);
/* Write the structures that were put: 0 or -1. Forget those read ahead. */
int view_cache_flush(struct mailbox_view *v);
void view_cache_forget(struct mailbox_view *v);

#endif
