#ifndef MAIL_FOLDER_H
#define MAIL_FOLDER_H

#include "mail/store.h"

/* Folders: their names, their places, which there are, and which are subscribed. */

/* Folders as a driver finds them. */
struct folder_item {
	char *name; /* UTF-8 with the separator */
	bool selectable, no_inferiors;
};

struct folder_list {
	struct folder_item *items;
	size_t count, cap;
};
/*
 * name: as on disk (modified UTF-7, or UTF-8 when it is not that); one that is neither is left out.
 */
void folder_list_add(struct folder_list *l, const char *name, bool selectable, bool no_inferiors);

/* ---- Names and places ---- */

/* Path of a folder (caller frees), NULL: not a name or a place that may be. INBOX in any case is
 * INBOX. */
char *folder_path(struct mailstore *ms, const char *name, bool directory);
/* Does no link on the way to path, which is in the folders' directory, lead to what is not the
 * user's? */
bool place_is_own(const struct store *st, const char *path);
struct subscription_list {
	char **names; /* UTF-8 */
	size_t count, cap;
	bool version2;
};
/* 0 or -1 (then nothing is to be freed). */
int subscriptions_read(struct mailstore *ms, struct subscription_list *l);
void subscriptions_free(struct subscription_list *l);
bool subscriptions_has(const struct subscription_list *l, const char *name);
/* Files of ours and of Dovecot's among the folders. */
bool folder_is_hidden(const char *file);
/* The name as the index knows it: "INBOX" for any case of it; caller frees. */
char *folder_key(const char *name);

#endif
