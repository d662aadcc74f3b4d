/*
 * fuzz_codec - encodings, character sets, dates and names of hosts, by the first byte: what can be
 * decoded can be encoded again, and the cuts of the input do not matter
 */
#include <string.h>

#include "base/date.h"
#include "base/encode.h"
#include "base/idna.h"
#include "base/mem.h"
#include "mime/charset.h"
#include "proto/imap_mailbox.h"
#include "proto/utf7.h"
#include "ipc/auth_protocol.h"
#include "ipc/handoff.h"
#include "fuzz.h"

static void same(const struct buf *a, struct slice b)
{
	REQUIRE(a->len == b.len && (b.len == 0 || memcmp(a->data, b.ptr, b.len) == 0));
}

static void utf7(struct slice in)
{
	struct buf utf8 = BUF_INIT, back = BUF_INIT;

	if (utf7_decode(&utf8, in.ptr, in.len)) {
		REQUIRE(utf8_valid(buf_str(&utf8), utf8.len));
		REQUIRE(utf7_encode(&back, buf_str(&utf8), utf8.len));
		same(&back, in);
	}
	buf_reset(&utf8);
	buf_reset(&back);
	if (utf7_encode(&utf8, in.ptr, in.len)) {
		REQUIRE(utf7_decode(&back, buf_str(&utf8), utf8.len));
		same(&back, in);
	}
	buf_free(&utf8);
	buf_free(&back);
}

static void codes(struct slice in)
{
	struct buf out = BUF_INIT, back = BUF_INIT;
	char *text = mem_strndup(in.ptr, in.len);

	if (base64_decode(&out, in.ptr, in.len)) {
		base64_encode(&back, out.data, out.len);
		REQUIRE(back.len == in.len);
	}
	buf_reset(&out);
	buf_reset(&back);
	base64_encode(&out, in.ptr, in.len);
	REQUIRE(base64_decode(&back, buf_str(&out), out.len));
	same(&back, in);
	buf_reset(&out);
	buf_reset(&back);
	xtext_encode(&out, text);
	REQUIRE(xtext_decode(&back, buf_str(&out), out.len));
	same(&back, slice_of(text));
	(void)xtext_decode(&back, in.ptr, in.len);
	(void)hex_decode(&back, in.ptr, in.len);
	json_encode(&back, text);
	mem_free(text);
	buf_free(&out);
	buf_free(&back);
}

/* charset - the first line names one; the rest is text of it */
static void charset(struct slice in)
{
	struct slice name = slice_word(&in, "\n");
	char *set = mem_strndup(name.ptr != NULL ? name.ptr : "", name.len);
	struct mime_charset *c = mime_charset_open(set);
	struct buf whole = BUF_INIT, cut = BUF_INIT, out = BUF_INIT;
	bool lost;

	(void)mime_charset_ascii(set);
	/* What the C library's iconv makes of its own names is its own. */
	if (!mime_to_utf8(set, in.ptr, in.len, &whole) || str_ieq(set, "utf-8")) {
		REQUIRE(utf8_valid(buf_str(&whole), whole.len));
	}
	if (c != NULL) {
		for (size_t at = 0, n; at < in.len; at += n) {
			n = 1 + (unsigned char)in.ptr[at] % 5;
			n = n < in.len - at ? n : in.len - at;
			mime_charset_add(c, in.ptr + at, n, &cut);
		}
		mime_charset_end(c, &cut);
		mime_charset_close(c);
		same(&cut, (struct slice){ buf_str(&whole), whole.len });
	}
	(void)mime_from_utf8(set, buf_str(&whole), whole.len, &out, &lost);
	utf8_fold(&out, in.ptr, in.len);
	buf_reset(&out);
	utf8_repair(&out, in.ptr, in.len);
	REQUIRE(utf8_valid(buf_str(&out), out.len));
	mem_free(set);
	buf_free(&whole);
	buf_free(&cut);
	buf_free(&out);
}

/* dates - one that is understood is understood the same way as we write it */
static void dates(struct slice in)
{
	char text[DATE_SIZE];
	time_t when = 0, again = 0;
	int zone;

	if (date_parse_rfc5322(in.ptr, in.len, &when, &zone)) {
		date_rfc5322(text, when, false);
		REQUIRE(date_parse_rfc5322(text, strlen(text), &again, &zone) && again == when);
	}
	if (date_parse_imap(in.ptr, in.len, &when)) {
		date_imap(text, when);
		REQUIRE(date_parse_imap(text, strlen(text), &again) && again == when);
	}
	(void)date_parse_asctime(in.ptr, in.len, &when);
}

/* lines - of the authentication protocol; and a LIST pattern with a name */
static void lines(struct slice in)
{
	struct buf b = BUF_INIT;
	struct auth_line line;
	char *name;

	buf_add(&b, in.ptr, in.len);
	buf_reserve(&b, 1);
	if (auth_line_parse(&line, b.data, b.len)) {
		REQUIRE(line.count > 0 && line.count <= AUTH_FIELDS_MAX);
		(void)auth_line_get(&line, 1, "user");
	}
	buf_free(&b);
	name = mem_strndup(in.ptr, in.len);
	for (char *p = name; *p != '\0'; p++) {
		if (*p == '\n') {
			*p = '\0';
			(void)imap_match(name, p + 1, '/');
			break;
		}
	}
	mem_free(name);
}

static void handoffs(struct slice in)
{
	struct handoff_login login;
	struct handoff_session session;
	struct buf b = BUF_INIT;
	struct wire w;
	size_t size;

	buf_add(&b, in.ptr, in.len);
	while (wire_next(&b, &w, &size) == 1) {
		struct wire again = w;

		(void)handoff_get_login(&w, &login);
		(void)handoff_get_session(&again, &session);
		buf_consume(&b, size);
	}
	buf_free(&b);
}

/* hosts - what a name server is asked for is ASCII and no name of more than 255 bytes */
static void hosts(struct slice in)
{
	char room[IDNA_ROOM], *name = mem_strndup(in.ptr, in.len);
	bool sure;
	const char *ascii = idna_ascii(name, room, &sure);

	REQUIRE(ascii == NULL || ascii == name || strlen(ascii) < IDNA_ROOM);
	for (size_t i = 0; ascii != NULL && ascii[i] != '\0'; i++) {
		REQUIRE((unsigned char)ascii[i] < 128);
	}
	mem_free(name);
}

void fuzz(const char *data, size_t len)
{
	static void (*const targets[])(
		struct slice) = { utf7, codes, charset, dates, lines, handoffs, hosts };

	if (len > 0) {
		targets[(unsigned char)data[0] % ARRAY_LEN(targets)](
			(struct slice){ data + 1, len - 1 });
	}
}
