#ifndef IPC_VERIFY_H
#define IPC_VERIFY_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/wire.h"

/*
 * Does an address take mail? The queue manager knows from its cache, or finds out by a probe: a
 * message that goes through the queue as far as RCPT. It is asked over DIR/public/qmgr:
 *
 *	QMGR_VERIFY, serial, milliseconds, address  ->  serial, status, enhanced code, text
 *
 * Answers come in any order; that the address is not known yet is said when the milliseconds are
 * over. What a failed probe has found out may be known from one of days ago.
 */
enum verify_status {
	VERIFY_OK,
	VERIFY_DEFER,  /* later, says its next host, or it cannot be reached */
	VERIFY_BOUNCE, /* there is no such address */
	VERIFY_PENDING /* the probe is on its way */
};

struct verify_answer {
	enum verify_status status;
	const char *dsn;  /* "5.1.1"; "" for VERIFY_PENDING */
	const char *text; /* what the next host said, or we */
};

void verify_put_answer(struct buf *b, uint64_t serial, const struct verify_answer *r);

/* Who asks: one connection, made when there is something to ask. */
struct verify_client;

/* dir is queue_directory. An answer is waited for so long that a probe may take wait_ms. */
struct verify_client *verify_client_new(const char *dir, int64_t wait_ms);
void verify_client_free(struct verify_client *c); /* NULL is fine; no question may be under way */
/*
 * For the computation that is under way (map/map_wait.h): 1 and *r, its texts in a; 0: it is
 * waited for; -1: nobody answers, or there is no loop to wait in.
 */
int verify_ask(
	struct verify_client *c, struct arena *a, const char *address, struct verify_answer *r);

#endif
