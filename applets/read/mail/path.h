#ifndef APPLETS_READ_MAIL_PATH_H
#define APPLETS_READ_MAIL_PATH_H

struct mail_state;

/*
 * What a name of a mailbox stands for: ~, ~user, %, #, &, +name; mem-allocated. NULL: the user's
 * own mailbox (%), as folder_open() has it.
 */
char *path_of_folder(struct mail_state *mail, const char *name);
/* The same as a file, which the own mailbox is not: NULL, and said. */
char *path_of_file(struct mail_state *mail, const char *name);

#endif
