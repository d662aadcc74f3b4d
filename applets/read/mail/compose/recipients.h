#ifndef APPLETS_READ_MAIL_COMPOSE_RECIPIENTS_H
#define APPLETS_READ_MAIL_COMPOSE_RECIPIENTS_H

#include <stdbool.h>

struct buf;
struct mail_state;

/*
 * Replace a list by what it stands for: aliases by their members, nobody twice, names encoded.
 * False: something in it is no address (said).
 */
bool recipients_expand(struct mail_state *mail, struct buf *list);
/* Append an address or a list with the names encoded; what is no address is said, and left out. */
void recipients_encode(struct mail_state *mail, struct buf *out, const char *text);

#endif
