#ifndef APPLETS_SMTP_ATTEMPT_H
#define APPLETS_SMTP_ATTEMPT_H

#include "applets/deliver/smtp/smtp.h"

/*
 * Try d->link for what is left of d: its stream is open, or it was at rest. When it is over
 * g->next() is called; d->link is NULL then.
 */
void attempt_start(struct delivery *d);
/* Tables have answered what it asked in d->wait. */
void attempt_resume(struct delivery *d);
/* Nothing of it goes on. */
void attempt_cancel(struct delivery *d);

#endif
