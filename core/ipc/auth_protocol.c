/*
 * auth_protocol - lines of Dovecot's authentication protocol
 *
 * The protocol is spoken by smtpd and the login processes to auth, by the
 * supervisor to auth's master socket, and by other programs (Postfix, Exim)
 * to our sockets. This file has no I/O: it splits and makes lines.
 *
 * Dovecot: doc/auth-protocol.txt.
 */
#include "ipc/auth_protocol.h"

#include <string.h>

static char unescape(char c)
{
	switch (c) {
	case '0':
		return '\0';
	case '1':
		return '\001';
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case 'n':
		return '\n';
	default:
		return 'x';
	}
}

bool auth_line_parse(struct auth_line *line, char *text, size_t len)
{
	char *out = text;

	memset(line, 0, sizeof(*line));
	line->field[line->count++] = text;
	text[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\0') {
			return false;
		}
		if (c == '\t') {
			*out++ = '\0';
			if (line->count == AUTH_FIELDS_MAX) {
				return false;
			}
			line->field[line->count++] = out;
			continue;
		}
		if (c == '\001') {
			c = i + 1 < len ? unescape(text[++i]) : 'x';
			if (c == 'x' || c == '\0') {
				return false;
			}
		}
		*out++ = c;
	}
	*out = '\0';
	return true;
}

const char *auth_line_at(const struct auth_line *line, size_t i)
{
	return i < line->count ? line->field[i] : "";
}

const char *auth_line_get(const struct auth_line *line, size_t from, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = from; i < line->count; i++) {
		if (strncmp(line->field[i], name, len) == 0) {
			if (line->field[i][len] == '=') {
				return line->field[i] + len + 1;
			}
			if (line->field[i][len] == '\0') {
				return "";
			}
		}
	}
	return NULL;
}

static void add_escaped(struct buf *b, const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '\001':
			buf_adds(b, "\0011");
			break;
		case '\t':
			buf_adds(b, "\001t");
			break;
		case '\r':
			buf_adds(b, "\001r");
			break;
		case '\n':
			buf_adds(b, "\001n");
			break;
		default:
			buf_addc(b, *text);
		}
	}
}

void auth_put(struct buf *b, const char *command)
{
	buf_adds(b, command);
}

void auth_put_field(struct buf *b, const char *text)
{
	buf_addc(b, '\t');
	add_escaped(b, text);
}

void auth_put_number(struct buf *b, unsigned long n)
{
	buf_addf(b, "\t%lu", n);
}

void auth_put_pair(struct buf *b, const char *name, const char *value)
{
	buf_addf(b, "\t%s=", name);
	add_escaped(b, value);
}

void auth_end(struct buf *b)
{
	buf_addc(b, '\n');
}
