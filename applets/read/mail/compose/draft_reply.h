#ifndef APPLETS_READ_MAIL_COMPOSE_DRAFT_REPLY_H
#define APPLETS_READ_MAIL_COMPOSE_DRAFT_REPLY_H

#include <stdbool.h>

struct draft;
struct mail_state;

/* Called for several messages: they are answered in one. */
void draft_reply(struct mail_state *mail, struct draft *d, unsigned n, bool all);
void draft_forward(struct mail_state *mail, struct draft *d, unsigned n);

#endif
