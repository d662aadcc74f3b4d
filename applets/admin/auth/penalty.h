#ifndef APPLETS_ADMIN_AUTH_PENALTY_H
#define APPLETS_ADMIN_AUTH_PENALTY_H

#include <stdint.h>

/*
 * How long a guess at a password waits, by the address that it comes from: all login processes and
 * smtpd ask one auth process, so parallel connections share what one of them has earned.
 *
 * PENALTY_FREE failures cost nothing; then each guess waits before it is looked at, 1 to 15
 * seconds, the longer the more failures there were. Guesses under way count as failures until they
 * are decided. More than PENALTY_WAITING of an address at a time are refused unseen. A failure is
 * forgiven after PENALTY_FORGIVE_MS. A user who has logged in from there lately does not wait for
 * others' failures, only for his own.
 *
 * An IPv6 address stands for its /64, which is what one customer has. No address: no penalty.
 */
enum { PENALTY_FREE = 10, PENALTY_WAITING = 30, PENALTY_FORGIVE_MS = 10000, PENALTY_REFUSED = -1 };

enum penalty_outcome { PENALTY_FAILED, PENALTY_SUCCEEDED, PENALTY_UNDECIDED };

struct penalties;

struct penalties *penalties_new(void);
void penalties_free(struct penalties *p);
/*
 * A guess at user's password comes from address: milliseconds to wait before it is looked at, or
 * PENALTY_REFUSED. Unless refused it has to be left again. now is of a monotonic clock, in
 * milliseconds.
 */
int penalty_enter(struct penalties *p, const char *address, const char *user, int64_t now);
void penalty_leave(struct penalties *p, const char *address, const char *user, int64_t now,
	enum penalty_outcome outcome);

#endif
