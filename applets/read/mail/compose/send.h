#ifndef APPLETS_READ_MAIL_COMPOSE_SEND_H
#define APPLETS_READ_MAIL_COMPOSE_SEND_H

struct buf;
struct draft;
struct mail_state;

/* 0, or 1 and the text is in ~/dead.letter (said). */
int send_draft(struct mail_state *mail, struct draft *d);
/* Send a ready message to the recipients of d, aliases replaced; as send_draft(). */
int send_to_list(struct mail_state *mail, const struct buf *message, struct draft *d);

#endif
