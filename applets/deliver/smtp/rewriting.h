#ifndef APPLETS_SMTP_REWRITING_H
#define APPLETS_SMTP_REWRITING_H

#include <stdbool.h>

#include "base/arena.h"
#include "mime/filter.h"
#include "applets/deliver/smtp/settings.h"

/*
 * What is changed on the way out: smtp_generic_maps, smtp_header_checks and their kin,
 * smtp_reply_filter.
 */
struct rewriting;

struct rewriting *rewriting_new(const struct smtp_settings *settings);
void rewriting_free(struct rewriting *r); /* NULL is fine */

/* One message as it passes. */
struct rewriting_mail {
	struct rewriting *rewriting;
	const char *id;
	/* A table did not answer: what was sent is not to be ended by a dot. */
	bool failed;
};

/* m lives as long as the hooks are used. They are empty where nothing is to be changed. */
void rewriting_hooks(
	struct rewriting *r, struct rewriting_mail *m, struct mime_filter_hooks *hooks);
/* An address of the envelope: itself, or what smtp_generic_maps has (in a). 0, or -1 temporary. */
int rewriting_address(struct rewriting *r, struct arena *a, const char *address, const char **out);
/* A line of a reply, for smtp_client_config. arg is the rewriting. */
void rewriting_reply(void *arg, struct buf *line);
bool rewriting_has_reply_filter(const struct rewriting *r);

#endif
