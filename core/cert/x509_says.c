/*
 * x509_says - dates, names and purpose of a certificate, for logs and to be matched
 *
 * BearSSL tells whether a chain holds; it does not tell who the server is. What is shown is made
 * printable here, and a name that is no host name (a NUL in it, say) is nobody's.
 *
 * RFC 5280 4.1.2.4 (names), 4.1.2.5 (dates), 4.2.1.6 (subjectAltName), 4.2.1.12 (extended key
 * usage), RFC 6125 6.4.4 (common names).
 */
#include "cert/x509_says.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/date.h"
#include "base/utf8.h"
#include "cert/der.h"

enum { TEXT_MAX = 300 }; /* of one part of a name that is shown */

struct attribute {
	char oid[11], name[23];
	unsigned char len;
};

/* Those that occur, with OpenSSL's short names. */
static const struct attribute attributes[] = {
	{ "\x55\x04\x03", "CN", 3 },
	{ "\x55\x04\x0a", "O", 3 },
	{ "\x55\x04\x0b", "OU", 3 },
	{ "\x55\x04\x06", "C", 3 },
	{ "\x55\x04\x08", "ST", 3 },
	{ "\x55\x04\x07", "L", 3 },
	{ "\x55\x04\x05", "serialNumber", 3 },
	{ "\x55\x04\x61", "organizationIdentifier", 3 },
	{ "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", "emailAddress", 9 },
	{ "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC", 10 },
};

/* ---- Dates ---- */

/* digits - the number in two of them; -1: they are none */
static int digits(const char *p)
{
	return isdigit((unsigned char)p[0]) && isdigit((unsigned char)p[1])
		? (p[0] - '0') * 10 + (p[1] - '0')
		: -1;
}

/* take_time - "261130120000Z" or "20261130120000Z" */
static bool take_time(struct slice *in, int64_t *out)
{
	struct slice text;
	unsigned tag;
	int part[7], year;
	size_t count;

	if (!der_next(in, &tag, &text) || (tag != DER_UTC_TIME && tag != DER_TIME)) {
		return false;
	}
	count = tag == DER_TIME ? 7 : 6;
	if (text.len != count * 2 + 1 || text.ptr[text.len - 1] != 'Z') {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		part[i] = digits(text.ptr + 2 * i);
		if (part[i] < 0) {
			return false;
		}
	}
	year = count == 7 ? part[0] * 100 + part[1] : part[0] + (part[0] < 50 ? 2000 : 1900);
	memmove(part, part + (count - 5), 5 * sizeof(part[0]));
	if (part[0] < 1 || part[0] > 12 || part[1] < 1 || part[1] > 31 || part[2] > 23 ||
		part[3] > 59 || part[4] > 60) {
		return false;
	}
	*out = date_days(year, part[0], part[1]) * 86400 + part[2] * 3600 + part[3] * 60 + part[4];
	return true;
}

bool x509_dates(const struct x509_names *c, int64_t *from, int64_t *until)
{
	struct slice in = c->dates;

	return take_time(&in, from) && take_time(&in, until);
}

/* ---- Names ---- */

static void add_char(struct buf *out, unsigned c)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
	} else {
		if (c < 0x800) {
			buf_addc(out, (char)(0xc0 | c >> 6));
		} else {
			buf_addc(out, (char)(0xe0 | c >> 12));
			buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		}
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

/* add_value - a string of whatever kind, as UTF-8 that can be shown */
static void add_value(struct buf *out, unsigned tag, struct slice value)
{
	size_t before = out->len, step = tag == DER_BMP ? 2 : 1;

	if (tag == DER_UTF8) {
		buf_add(out, value.ptr, value.len < TEXT_MAX ? value.len : TEXT_MAX);
	} else {
		for (size_t i = 0; i + step <= value.len && i < TEXT_MAX; i += step) {
			const unsigned char *p = (const unsigned char *)value.ptr + i;

			add_char(out, step == 2 ? (unsigned)(p[0] << 8 | p[1]) : p[0]);
		}
	}
	if (out->len > before) {
		utf8_printable(out->data + before, out->len - before);
	}
}

static const char *attribute_name(struct slice oid)
{
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		if (oid.len == attributes[i].len &&
			memcmp(oid.ptr, attributes[i].oid, oid.len) == 0) {
			return attributes[i].name;
		}
	}
	return "?";
}

/* next_part - of a name: SEQUENCE OF SET OF SEQUENCE { OID, value } */
static bool next_part(struct slice *sets, struct slice *set, const char **name, unsigned *tag,
	struct slice *value)
{
	struct slice pair, oid;

	if (set->len == 0 && !der_take(sets, DER_SET, set)) {
		return false;
	}
	if (!der_take(set, DER_SEQUENCE, &pair) || !der_take(&pair, DER_OID, &oid) ||
		!der_next(&pair, tag, value)) {
		return false;
	}
	*name = attribute_name(oid);
	return true;
}

void x509_name_text(struct buf *out, struct slice name)
{
	struct slice sets, set = { NULL, 0 }, value;
	const char *part;
	unsigned tag;

	if (!der_take(&name, DER_SEQUENCE, &sets)) {
		return;
	}
	while (out->len < 4 * TEXT_MAX && next_part(&sets, &set, &part, &tag, &value)) {
		buf_addf(out, "/%s=", part);
		add_value(out, tag, value);
	}
}

/* each_part - call fn for each part of this kind */
static bool each_part(
	struct slice name, const char *kind, bool (*fn)(void *arg, const char *text), void *arg)
{
	struct slice sets, set = { NULL, 0 }, value;
	struct buf text = BUF_INIT;
	const char *part;
	unsigned tag;
	bool ended = false;

	if (!der_take(&name, DER_SEQUENCE, &sets)) {
		return false;
	}
	while (!ended && next_part(&sets, &set, &part, &tag, &value)) {
		if (strcmp(part, kind) == 0) {
			buf_reset(&text);
			add_value(&text, tag, value);
			ended = fn(arg, buf_str(&text));
		}
	}
	buf_free(&text);
	return ended;
}

static bool take_first(void *arg, const char *text)
{
	buf_adds(arg, text);
	return true;
}

void x509_name_short(struct buf *out, struct slice name)
{
	if (!each_part(name, "CN", take_first, out)) {
		(void)each_part(name, "O", take_first, out);
	}
}

/* ---- Extensions ---- */

/* find_extension - the content of the one that has this number under 2.5.29 */
static bool find_extension(const struct x509_names *c, char number, struct slice *content)
{
	struct slice list = c->extensions, one, oid, critical;

	while (list.ptr != NULL && der_take(&list, DER_SEQUENCE, &one)) {
		if (!der_take(&one, DER_OID, &oid) || oid.len != 3 || oid.ptr[0] != '\x55' ||
			oid.ptr[1] != '\x1d' || oid.ptr[2] != number) {
			continue;
		}
		if (der_peek(one) == DER_BOOLEAN) {
			(void)der_take(&one, DER_BOOLEAN, &critical);
		}
		return der_take(&one, DER_OCTETS, content);
	}
	return false;
}

/* host_name - what can be one, maybe with a wildcard */
static bool host_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!isalnum((unsigned char)s.ptr[i]) && strchr("-_.*", s.ptr[i]) == NULL) {
			return false;
		}
		if (s.ptr[i] == '\0') {
			return false;
		}
	}
	return s.len > 0 && s.len < 254;
}

struct host_call {
	bool (*fn)(void *arg, const char *host);
	void *arg;
};

static bool common_name(void *arg, const char *text)
{
	const struct host_call *call = arg;

	return host_name(slice_of(text)) && call->fn(call->arg, text);
}

/* alt_name - one of subjectAltName; *has_names: it is a host name, whatever is in it */
static bool alt_name(
	const struct host_call *call, unsigned tag, struct slice value, bool *has_names)
{
	char text[256];

	if (tag == 0x82) {
		*has_names = true;
		if (!host_name(value)) {
			return false;
		}
		memcpy(text, value.ptr, value.len);
		text[value.len] = '\0';
		return call->fn(call->arg, text);
	}
	if (tag == 0x87 && (value.len == 4 || value.len == 16) &&
		inet_ntop(value.len == 4 ? AF_INET : AF_INET6, value.ptr, text, sizeof(text))) {
		return call->fn(call->arg, text);
	}
	return false;
}

bool x509_each_host(const struct x509_names *c, bool (*fn)(void *arg, const char *host), void *arg)
{
	struct host_call call = { fn, arg };
	struct slice content, names, value;
	bool has_names = false;
	unsigned tag;

	if (find_extension(c, 17, &content) && der_take(&content, DER_SEQUENCE, &names)) {
		while (der_next(&names, &tag, &value)) {
			if (alt_name(&call, tag, value, &has_names)) {
				return true;
			}
		}
	}
	return !has_names && each_part(c->subject, "CN", common_name, &call);
}

bool x509_not_for_servers(const struct x509_names *c)
{
	static const char server[] = "\x2b\x06\x01\x05\x05\x07\x03\x01", any[] = "\x55\x1d\x25\x00";
	struct slice content, purposes, oid;

	if (!find_extension(c, 37, &content) || !der_take(&content, DER_SEQUENCE, &purposes)) {
		return false;
	}
	while (der_take(&purposes, DER_OID, &oid)) {
		if ((oid.len == 8 && memcmp(oid.ptr, server, 8) == 0) ||
			(oid.len == 4 && memcmp(oid.ptr, any, 4) == 0)) {
			return false;
		}
	}
	return true;
}
