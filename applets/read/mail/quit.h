#ifndef APPLETS_READ_MAIL_QUIT_H
#define APPLETS_READ_MAIL_QUIT_H

#include <stdbool.h>

struct mail_state;

/* Write back flags, remove what goes; keep_all: nothing at all. */
void folder_quit(struct mail_state *mail, bool keep_all);
/*
 * Quit the open folder for another; false: that one cannot be opened, said, and the first is as it
 * was, with what is marked in it.
 */
bool folder_switch(struct mail_state *mail, const char *path);

#endif
