#ifndef APPLETS_READ_MAIL_MSGLIST_H
#define APPLETS_READ_MAIL_MSGLIST_H

#include <stdbool.h>

struct mail_state;

/*
 * Numbers of the messages a list names, in order, 0-terminated, mem-allocated; NULL: said what is
 * wrong. An empty list means the dot (or, for undelete, the next deleted one: deleted set).
 */
unsigned *msglist_parse(struct mail_state *mail, const char *text, bool deleted);
/*
 * "list word": the word (a file, an address) is the last one, it may be quoted; everything before
 * names messages. The list or NULL (said); *word_r is mem-allocated, "" when there is none.
 */
unsigned *msglist_split(struct mail_state *mail, const char *args, char **word_r);

#endif
