#ifndef APPLETS_RECEIVE_SMTPD_RESTRICTIONS_H
#define APPLETS_RECEIVE_SMTPD_RESTRICTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/restrict.h"
#include "applets/receive/smtpd/session_state.h"

enum check_stage {
	CHECK_CONNECT,
	CHECK_HELO,
	CHECK_MAIL,
	CHECK_RCPT,
	CHECK_VRFY,
	CHECK_DATA,
	CHECK_END,
	CHECK_ETRN
};

/* What the lists of a stage have found. */
typedef void checked_fn(struct smtpd_session *s, bool permitted, struct restrict_run *run);

struct check {
	struct restrict_query query;
	struct restrict_run run;
	enum check_stage stage;
	const enum restrict_list_name *lists;
	size_t list_count, list_at;
	checked_fn *then;
	const char *helo, *recipient, *recipient_full, *etrn;
};

/*
 * Run the lists of a stage; then() is called at once, or after a wait in ST_CHECK. A rejection is
 * logged and replied before then(false). what: the HELO name, recipient or ETRN domain.
 */
void check_stage(
	struct smtpd_session *s, enum check_stage stage, const char *what, checked_fn *then);
/* "ID: reject: RCPT from ...: reply; from=<> to=<> proto= helo=<>" (verb: "reject") */
void check_log(struct smtpd_session *s, const char *verb, const char *where, const char *recipient,
	const char *reply);
/* Log and reply. */
void check_refuse(
	struct smtpd_session *s, const char *where, const char *recipient, const char *reply);
/* May headers of this client be completed (local_header_rewrite_clients)? */
bool check_local_client(const struct smtpd_session *s);
/* Is there room for a mail (queue_minfree, 1.5 x message_size_limit)? */
bool check_space(struct smtpd_session *s);

#endif
