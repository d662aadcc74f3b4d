#ifndef DELIVER_DELIVER_H
#define DELIVER_DELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "mail/delivered.h"

/*
 * Local delivery into mailbox files: a batch of messages for one mailbox under
 * one lock with one fsync. Runs as the recipient. Does not use index.db; the index
 * notices. A message that may have been delivered before (suspect: an earlier
 * attempt ended without an answer) is looked for by its queue id and recipient
 * and its bytes; a torn tail of it is cut off first.
 */
enum deliver_status {
	DELIVER_NONE, /* not decided yet (what the caller sets) */
	DELIVER_OK,
	DELIVER_DUPLICATE, /* was there already: counts as delivered */
	DELIVER_DEFER,
	DELIVER_FAIL
};

struct deliver_item {
	const char *queue_id;
	const char *sender;    /* Return-Path and From_ line; "" null */
	const char *recipient; /* Delivered-To, "" none */
	const char *original;  /* X-Original-To, "" none */
	/* May have been delivered before; also a result, where it was not decided. */
	bool suspect;
	/*
	 * Only cut this message off if it is the mailbox's torn tail; sender, recipient and
	 * original do not matter. Nothing is added.
	 */
	bool repair;
	/* The content, LF line ends: bytes put into data, 0 at the end, -1. */
	int64_t (*read)(void *arg, int64_t offset, void *data, size_t len);
	void *read_arg;
	/* Results. */
	enum deliver_status status;
	char dsn[12];   /* "2.0.0", "4.2.2" */
	char text[256]; /* why, for the log and the bounce */
};

struct deliver_how {
	int64_t size_limit; /* mailbox_size_limit; 0 none */
	int lock_ms;        /* how long to wait for the lock */
	/* The recipient's; what was taken out is written down there (mail/removed.c). NULL: none */
	const char *home;
	/* the file may belong to another user (deliveries to /file) */
	bool any_owner;
	bool parents; /* directories above a maildir are made */
	/*
	 * Asked when the lock is held: does anybody wait for this delivery still? When not, every
	 * item is DELIVER_DEFER: by now another process may be asked for the same. NULL: yes.
	 */
	bool (*wanted)(void *arg);
	void *wanted_arg;
};

/*
 * path ending in '/' is a maildir, else an mbox (created mode 0600 when
 * missing). Every item gets a status; when it returns, what is
 * DELIVER_OK or DELIVER_DUPLICATE is fsynced. A mailbox somebody else holds locked: all are
 * DELIVER_DEFER, and 1 is returned (worth trying again soon); else 0.
 */
int deliver_to_mailbox(
	const char *path, const struct deliver_how *how, struct deliver_item *items, size_t count);

struct buf;
/*
 * What stands above the content: the From_ line if wanted, Return-Path, X-Original-To,
 * Delivered-To.
 */
void deliver_head(struct buf *out, const struct deliver_item *it, bool from_line);

enum { DELIVER_ID_SIZE = DELIVERED_ID_SIZE };

/*
 * Look at the end of an mbox that an earlier process of ours may have left in the middle
 * of a write: NULs after a power cut and the beginning of a message too short to
 * name its queue id are cut off. 1: the last message came with the queue id in
 * id (give it as a repair item if it still is in the queue), 0 nothing to
 * do, -1 cannot be looked at now (errno EAGAIN: locked).
 */
int deliver_probe(const char *path, const struct deliver_how *how, char id[DELIVER_ID_SIZE]);

#endif
