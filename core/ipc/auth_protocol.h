#ifndef IPC_AUTH_PROTOCOL_H
#define IPC_AUTH_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Lines of Dovecot's authentication protocol (client and master side, v1.x):
 * fields separated by TAB, ended by LF; inside a field 0x01 introduces "0" NUL, "1" 0x01, "t" TAB,
 * "r" CR, "n" LF. The first field is the command.
 */
enum { AUTH_PROTO_MAJOR = 1, AUTH_PROTO_MINOR = 2, AUTH_FIELDS_MAX = 64, AUTH_LINE_MAX = 16384 };

struct auth_line {
	const char *field[AUTH_FIELDS_MAX];
	size_t count;
};

/*
 * Split and unescape in place a line of len bytes without its LF; text[len] is overwritten with
 * NUL. False: too many fields, a NUL, or an escape that is none.
 */
bool auth_line_parse(struct auth_line *line, char *text, size_t len);
/* The field's text, "" when there are fewer. */
const char *auth_line_at(const struct auth_line *line, size_t i);
/* Value of "name=value" from field `from` on, "" of a bare "name", NULL: not there. */
const char *auth_line_get(const struct auth_line *line, size_t from, const char *name);

/* A whole line: auth_put(b, "FAIL"), fields, auth_end(b). */
void auth_put(struct buf *b, const char *command);
void auth_put_field(struct buf *b, const char *text);
void auth_put_number(struct buf *b, unsigned long n);
void auth_put_pair(struct buf *b, const char *name, const char *value);
void auth_end(struct buf *b);

#endif
