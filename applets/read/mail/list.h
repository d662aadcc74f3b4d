#ifndef APPLETS_READ_MAIL_LIST_H
#define APPLETS_READ_MAIL_LIST_H

struct arena;
struct buf;
struct mime_address;

/* Append an address list to *list, separated by ", ". */
void list_add(struct buf *list, const char *addresses);
/* Append an address without its name. */
void list_put_address(struct buf *out, const struct mime_address *m);
/* The first address of the text without its name; the text itself when there is none. */
const char *bare_address(struct arena *a, const char *text);

#endif
