#ifndef APPLETS_READ_MAIL_COMPOSE_COMPOSE_H
#define APPLETS_READ_MAIL_COMPOSE_COMPOSE_H

#include <stdbool.h>

struct draft;
struct mail_state;

/* Ask for what is missing, read the text (dot, ~escapes on a terminal), send. 0 sent, 1 not. */
int compose(struct mail_state *mail, struct draft *d, bool ask_subject);

#endif
