#ifndef APPLETS_RECEIVE_SMTPD_DATA_H
#define APPLETS_RECEIVE_SMTPD_DATA_H

#include "base/buf.h"
#include "applets/receive/smtpd/session_state.h"

/* Bytes of message data, ST_DATA and ST_BDAT; consumes from in. */
void data_feed(struct smtpd_session *s, struct buf *in);

#endif
