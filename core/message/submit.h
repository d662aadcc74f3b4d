#ifndef MESSAGE_SUBMIT_H
#define MESSAGE_SUBMIT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Mail from a program on this host into the queue, whoever runs it and
 * whether the server runs or not; for sendmail, mail and smtpd -S:
 *
 *	1. the socket public/pickup: pickup answers after the commit
 *	2. queue.db itself, when nobody answers there and the caller may write it
 *	3. a file in the maildrop: written, fsynced, renamed; pickup takes it later
 *
 * SUBMIT_OK means that the message is on the disk. As long as the end was
 * not sent, a way that breaks down is left for the next one (content up to 1 MiB is kept for
 * that). Blocking; not for event loops with other sessions.
 */
struct submit;

enum submit_result {
	SUBMIT_OK,
	SUBMIT_RETRY,  /* nothing was queued: try again later (EX_TEMPFAIL) */
	SUBMIT_REFUSED /* never (EX_UNAVAILABLE, EX_DATAERR) */
};

struct submit *submit_new(void);
/*
 * First. sender "" is the null sender; a bare user is completed. Texts are copied; envid
 * and full_name may be NULL.
 */
void submit_envelope(struct submit *s, const char *sender, const char *full_name, const char *envid,
	unsigned flags);
/* Then each recipient; notify are DSN_* bits, orcpt "" or NULL none. */
void submit_recipient(struct submit *s, const char *address, unsigned notify, const char *orcpt);
/* Then the content, LF line ends. 0, or -1: no way is left (submit_end() says why). */
int submit_write(struct submit *s, const void *data, size_t len);
enum submit_result submit_end(struct submit *s);
const char *submit_error(const struct submit *s);
/* Queue id, "" when it went into the maildrop. */
const char *submit_id(const struct submit *s);
/* Also gives up a message that was not ended. NULL is fine. */
void submit_free(struct submit *s);

#endif
