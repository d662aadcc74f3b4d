/*
 * structure - ENVELOPE, BODY and BODYSTRUCTURE as text
 *
 * What is not in the message is NIL. Texts are as they stand in the header, encoded
 * words and all; in subjects and names runs of white space are one blank. Parts of
 * an address that are missing are named as Dovecot names them, so that no
 * client meets a NIL where it expects a string.
 *
 * RFC 3501 7.4.2, 9
 */
#include "mime/structure.h"

#include <string.h>

#include "mime/address.h"

void imap_put_string(struct buf *out, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x80 || c == '"' || c == '\\' || c == '\r' || c == '\n' || c == '\0') {
			buf_addf(out, "{%zu}\r\n", len);
			buf_add(out, s, len);
			return;
		}
	}
	buf_addc(out, '"');
	buf_add(out, s, len);
	buf_addc(out, '"');
}

static void imap_put_nstring(struct buf *out, const char *s)
{
	if (s == NULL) {
		buf_adds(out, "NIL");
	} else {
		imap_put_string(out, s, strlen(s));
	}
}

/* put_squeezed - a string with runs of white space made one blank, none at the ends; NULL: NIL */
static void put_squeezed(struct buf *out, const char *s)
{
	struct buf b = BUF_INIT;
	bool gap = false;

	if (s == NULL) {
		buf_adds(out, "NIL");
		return;
	}
	for (; *s != '\0'; s++) {
		if (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n') {
			gap = b.len > 0;
			continue;
		}
		if (gap) {
			buf_addc(&b, ' ');
		}
		gap = false;
		buf_addc(&b, *s);
	}
	imap_put_string(out, buf_str(&b), b.len);
	buf_free(&b);
}

/* put_addresses - ((name route mailbox host) ...), false when there is none */
static bool put_addresses(struct buf *out, const char *field)
{
	struct arena a = ARENA_INIT;
	struct mime_address *m = field != NULL ? mime_addresses(&a, slice_of(field)) : NULL;
	bool any = m != NULL;

	if (any) {
		buf_addc(out, '(');
	}
	for (; m != NULL; m = m->next) {
		bool group = m->domain == NULL;

		buf_addc(out, '(');
		put_squeezed(out, m->name != NULL && *m->name != '\0' ? m->name : NULL);
		buf_addc(out, ' ');
		imap_put_nstring(out, m->route);
		buf_addc(out, ' ');
		imap_put_nstring(
			out, !group && *m->mailbox == '\0' ? "MISSING_MAILBOX" : m->mailbox);
		buf_addc(out, ' ');
		imap_put_nstring(out, !group && *m->domain == '\0' ? "MISSING_DOMAIN" : m->domain);
		buf_addc(out, ')');
	}
	if (any) {
		buf_addc(out, ')');
	}
	arena_free(&a);
	return any;
}

void mime_envelope_put(struct buf *out, const struct mime_part *p)
{
	static const enum mime_known lists[] = { MIME_F_FROM, MIME_F_SENDER, MIME_F_REPLY_TO,
		MIME_F_TO, MIME_F_CC, MIME_F_BCC };
	size_t i;

	buf_addc(out, '(');
	imap_put_nstring(out, p->field[MIME_F_DATE]);
	buf_addc(out, ' ');
	put_squeezed(out, p->field[MIME_F_SUBJECT]);
	for (i = 0; i < ARRAY_LEN(lists); i++) {
		/* RFC 3501 7.4.2: without Sender or Reply-To the server takes From. */
		bool by_from = lists[i] == MIME_F_SENDER || lists[i] == MIME_F_REPLY_TO;

		buf_addc(out, ' ');
		if (!put_addresses(out, p->field[lists[i]]) &&
			!(by_from && put_addresses(out, p->field[MIME_F_FROM]))) {
			buf_adds(out, "NIL");
		}
	}
	buf_addc(out, ' ');
	imap_put_nstring(out, p->field[MIME_F_IN_REPLY_TO]);
	buf_addc(out, ' ');
	imap_put_nstring(out, p->field[MIME_F_MESSAGE_ID]);
	buf_addc(out, ')');
}

/* put_params - ("name" "value" ...) or NIL; text without a charset has the default one */
static void put_params(struct buf *out, const struct mime_param *list, bool text)
{
	const struct mime_param *m;
	bool any = false;

	if (text && mime_param(list, "charset") != NULL) {
		text = false;
	}
	if (list == NULL && !text) {
		buf_adds(out, "NIL");
		return;
	}
	buf_addc(out, '(');
	for (m = list; m != NULL; m = m->next) {
		buf_adds(out, any ? " " : "");
		imap_put_nstring(out, m->name);
		buf_addc(out, ' ');
		imap_put_nstring(out, m->value);
		any = true;
	}
	if (text) {
		buf_adds(out, any ? " " : "");
		buf_adds(out, "\"charset\" \"us-ascii\"");
	}
	buf_addc(out, ')');
}

/* put_extension - disposition, language, location: the end of every extended structure */
static void put_extension(struct buf *out, const struct mime_part *p)
{
	struct arena a = ARENA_INIT;
	const char *value = p->field[MIME_F_DISPOSITION], *kind = NULL;
	struct mime_param *params = value != NULL ? mime_params(&a, slice_of(value), &kind) : NULL;
	struct slice rest, word;
	bool any = false;

	if (kind != NULL) {
		buf_adds(out, " (");
		imap_put_nstring(out, kind);
		buf_addc(out, ' ');
		put_params(out, params, false);
		buf_addc(out, ')');
	} else {
		buf_adds(out, " NIL");
	}
	rest = slice_of(p->field[MIME_F_LANGUAGE] != NULL ? p->field[MIME_F_LANGUAGE] : "");
	rest.len = strcspn(rest.ptr, ";"); /* parameters there are none (RFC 3282 2) */
	while ((word = slice_word(&rest, ", \t")).ptr != NULL) {
		buf_adds(out, any ? " " : " (");
		imap_put_string(out, word.ptr, word.len);
		any = true;
	}
	buf_adds(out, any ? ") " : " NIL ");
	imap_put_nstring(out, p->field[MIME_F_LOCATION]);
	arena_free(&a);
}

/* put_encoding - the first word of Content-Transfer-Encoding as written */
static void put_encoding(struct buf *out, const struct mime_part *p)
{
	struct slice rest =
		slice_of(p->field[MIME_F_ENCODING] != NULL ? p->field[MIME_F_ENCODING] : "");
	struct slice word = slice_word(&rest, " \t;(");

	if (word.len == 0) {
		buf_adds(out, "\"7bit\"");
	} else {
		imap_put_string(out, word.ptr, word.len);
	}
}

/* put_multipart - (children "subtype" ...) */
static void put_multipart(struct buf *out, const struct mime_part *p, bool extended)
{
	const struct mime_part *child;

	buf_addc(out, '(');
	for (child = p->child; child != NULL; child = child->next) {
		mime_structure_put(out, child, extended);
	}
	if (p->child == NULL) { /* the grammar wants at least one */
		buf_adds(
			out, "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0");
		buf_adds(out, extended ? " NIL NIL NIL NIL)" : ")");
	}
	buf_addc(out, ' ');
	imap_put_nstring(out, p->subtype);
	if (extended) {
		buf_addc(out, ' ');
		put_params(out, p->params, false);
		put_extension(out, p);
	}
	buf_addc(out, ')');
}

void mime_structure_put(struct buf *out, const struct mime_part *p, bool extended)
{
	bool text = mime_part_is(p, "text", NULL);
	/* A multipart or message that is not looked into (see MIME_DEPTH_MAX) has no structure to
	 * show. */
	bool opaque = p->kind == MIME_LEAF &&
		(mime_part_is(p, "multipart", NULL) || mime_part_is(p, "message", "rfc822"));

	const char *type = p->type, *subtype = p->subtype;

	if (p->kind == MIME_MULTIPART) {
		put_multipart(out, p, extended);
		return;
	}
	if (opaque) {
		type = "application";
		subtype = "octet-stream";
	} else if (p->kind == MIME_MESSAGE) { /* clients compare with just this */
		type = "message";
		subtype = "rfc822";
	}
	buf_addc(out, '(');
	imap_put_nstring(out, type);
	buf_addc(out, ' ');
	imap_put_nstring(out, subtype);
	buf_addc(out, ' ');
	put_params(out, p->params, text);
	buf_addc(out, ' ');
	imap_put_nstring(out, p->field[MIME_F_ID]);
	buf_addc(out, ' ');
	imap_put_nstring(out, p->field[MIME_F_DESCRIPTION]);
	buf_addc(out, ' ');
	put_encoding(out, p);
	buf_addf(out, " %llu", (unsigned long long)(p->end.wire - p->body.wire));
	if (p->kind == MIME_MESSAGE) {
		buf_addc(out, ' ');
		mime_envelope_put(out, p->child);
		buf_addc(out, ' ');
		mime_structure_put(out, p->child, extended);
	}
	if (text || p->kind == MIME_MESSAGE) {
		buf_addf(out, " %llu", (unsigned long long)p->lines);
	}
	if (extended) {
		buf_addc(out, ' ');
		imap_put_nstring(out, p->field[MIME_F_MD5]);
		put_extension(out, p);
	}
	buf_addc(out, ')');
}
