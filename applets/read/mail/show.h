#ifndef APPLETS_READ_MAIL_SHOW_H
#define APPLETS_READ_MAIL_SHOW_H

#include <stdbool.h>
#include <stdio.h>

struct buf;
struct mail_state;

enum { SHOW_ALL_HEADERS = 1, SHOW_RAW = 2 /* nothing decoded */ };
void show_message(struct mail_state *mail, FILE *out, unsigned n, unsigned how);
/* Each of the list; on a terminal a screenful at a time, and an interrupt leads to the prompt. */
void show_list(struct mail_state *mail, const unsigned *list, unsigned how);
/* Body only, decoded, for a file. False: it is gone, said. */
bool show_text(struct mail_state *mail, struct buf *out, unsigned n);
/* Body only, decoded, each line behind prefix: for replies. */
void show_quoted(struct mail_state *mail, struct buf *out, unsigned n, const char *prefix);

#endif
