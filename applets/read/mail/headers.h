#ifndef APPLETS_READ_MAIL_HEADERS_H
#define APPLETS_READ_MAIL_HEADERS_H

struct mail_state;

void headers_window(
	struct mail_state *mail, unsigned around); /* a screenful that holds the message */
void headers_list(struct mail_state *mail, const unsigned *list);
void headers_all(struct mail_state *mail);
void headers_scroll(struct mail_state *mail, int screens);

#endif
