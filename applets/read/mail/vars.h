#ifndef APPLETS_READ_MAIL_VARS_H
#define APPLETS_READ_MAIL_VARS_H

#include <stdbool.h>
#include <stddef.h>

struct mail_state;

const char *var_get(struct mail_state *mail,
	const char *name); /* NULL unset; environment counts for names in capitals */
bool var_on(struct mail_state *mail, const char *name);
void var_set(struct mail_state *mail, const char *name, const char *value);
/* One rc or typed command of those that only concern variables: true when it was one. */
bool vars_command(struct mail_state *mail, const char *name, size_t name_len, const char *args);

#endif
