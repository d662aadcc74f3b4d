#ifndef APPLETS_READ_MAIL_HTML_H
#define APPLETS_READ_MAIL_HTML_H

#include <stddef.h>

struct buf;

/* What an HTML part says, in lines of text. */
void html_text(struct buf *out, const char *html, size_t len);

#endif
