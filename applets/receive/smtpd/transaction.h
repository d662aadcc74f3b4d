#ifndef APPLETS_RECEIVE_SMTPD_TRANSACTION_H
#define APPLETS_RECEIVE_SMTPD_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "proto/smtp_data.h"
#include "queue/queue_message.h"
#include "message/pipeline.h"
#include "policy/restrict.h"

/* Why message data that was taken cannot become a message. */
enum data_error {
	DATA_OK,
	DATA_TOO_BIG,
	DATA_REFUSED, /* by a stage: tx.refusal */
	DATA_WRITE,   /* queue trouble; disk full is asked for at the end */
	DATA_BARE_LF,
	DATA_NO_MEMORY
};

struct intake;

/* An accepted recipient; it joins the message at the end, when REDIRECT is known. */
struct rcpt {
	struct rcpt *next;
	const char *address;      /* as given */
	struct queue_recipient r; /* address rewritten */
	bool silent;              /* added by us (BCC): no LMTP reply */
};

/* From MAIL to the end of the message. */
struct transaction {
	struct arena arena;      /* owns the texts */
	bool open;               /* MAIL was accepted */
	const char *sender;      /* as given */
	const char *sender_full; /* rewritten */
	unsigned flags;          /* QUEUE_F_* */
	const char *envid;
	uint64_t size; /* SIZE=, 0 not given */
	unsigned rcpt_count, rcpt_overshoot;
	struct rcpt *rcpts, **rcpts_tail;
	bool hold, discard;
	const char *redirect;
	struct restrict_header *prepend;
	struct intake *intake;     /* from the first accepted recipient on */
	struct pipeline *pipeline; /* from the first byte of content on */
	const char *refusal;       /* the reply of DATA_REFUSED */
	struct smtp_data data;
	uint64_t received; /* bytes of content as sent */
	uint64_t stored;   /* the same with LF line ends */
	enum data_error error;
	uint64_t chunk_size, chunk_left; /* BDAT */
	bool chunk_last;
	bool drop_chunk;         /* it was refused: its bytes are read and dropped */
	bool bdat, chunk_failed; /* a BDAT was seen, and refused */
};

#endif
