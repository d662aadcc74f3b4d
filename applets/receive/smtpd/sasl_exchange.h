#ifndef APPLETS_RECEIVE_SMTPD_SASL_EXCHANGE_H
#define APPLETS_RECEIVE_SMTPD_SASL_EXCHANGE_H

#include "base/str.h"
#include "applets/receive/smtpd/session_state.h"

/* A line while a SASL exchange is under way. */
void auth_response(struct smtpd_session *s, struct slice line);
/* Forget a request that is under way and who was logged in. */
void auth_reset(struct smtpd_session *s);
/* The text of the AUTH line in EHLO, or NULL: not offered. In scratch. */
const char *auth_offer(struct smtpd_session *s);
void tls_started(struct smtpd_session *s);

#endif
