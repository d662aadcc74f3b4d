#ifndef APPLETS_PIPE_PIPE_SPEC_H
#define APPLETS_PIPE_PIPE_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"

/* flags= of a pipe service. */
enum {
	PIPE_BLANK = 1,     /* B: an empty line at the end */
	PIPE_DELIVERED = 2, /* D: Delivered-To, and loops are found by it */
	PIPE_FROM = 4,      /* F: a From_ line */
	PIPE_ORIGINAL = 8,  /* O: X-Original-To */
	PIPE_RETURN = 16,   /* R: Return-Path */
	PIPE_FINAL = 32,    /* X: final delivery, for reports of success */
	PIPE_FOLD_HOST = 64,
	PIPE_QUOTE = 128,
	PIPE_FOLD_USER = 256,
	PIPE_DOT = 512,       /* .: lines that begin with one get another */
	PIPE_FROM_LINE = 1024 /* >: before lines that begin with "From " */
};

/* The attributes of a row in master.cf. */
struct pipe_spec {
	const char *user, *group; /* names; group NULL: the user's */
	const char *directory, *chroot;
	const char *eol;
	const char *null_sender;
	int64_t size; /* 0: no limit */
	unsigned flags;
	char *const *argv; /* with macros */
};

/* The words of master.cf behind the options. False: *error says why (of a). */
bool pipe_spec_parse(struct arena *a, char *const *words, struct pipe_spec *s, const char **error);

/* What the macros of argv stand for. */
struct pipe_recipient {
	const char *address, *original;
};

struct pipe_values {
	const char *service; /* for warnings */
	const char *sender, *nexthop, *queue_id;
	const char *client_address, *client_helo, *client_hostname, *client_port, *client_protocol;
	const char *sasl_method, *sasl_sender, *sasl_username, *envid;
	int64_t size;
	const struct pipe_recipient *rcpts;
	size_t rcpt_count;
};

/* Is every macro of argv known? Else its name. */
const char *pipe_argv_unknown(struct arena *a, char *const *argv);
/* argv with its macros expanded; NULL: nothing is left to be executed. */
char **pipe_argv(struct arena *a, const struct pipe_spec *s, const struct pipe_values *v);

/* The content on its way to the command, as flags and eol want it. */
struct pipe_content {
	const struct pipe_spec *spec;
	size_t from; /* bytes of "From " that the line has begun with; they are not out yet */
	bool inside; /* of a line */
};

/* The lines above it. recipient, original: "" none. */
void pipe_head(struct buf *out, const struct pipe_spec *s, const char *sender,
	const char *recipient, const char *original);
/* The next bytes (LF line ends); len 0: the end. */
void pipe_convert(struct pipe_content *c, struct buf *out, const char *data, size_t len);

#endif
