/*
 * smtp_path - paths and addresses of MAIL, RCPT and VRFY
 *
 *	"<" [ "@" domain *( "," "@" domain ) ":" ] local-part [ "@" domain ] ">"
 *
 * Local parts: dot-atoms, quoted strings, words of both mixed ("a b".c), with
 * quoted pairs anywhere (RFC 821), empty atoms (.a, a..b) and '@' inside as
 * the world writes them: the last '@' outside quotes divides. The result is
 * written anew from what was understood, so that two parsers further on can
 * never see two different addresses. A missing domain is left missing.
 *
 * RFC 5321 4.1.2, 4.1.3; RFC 6531 3.3 (UTF-8).
 */
#include <arpa/inet.h>
#include <string.h>

#include "proto/smtp.h"

enum { LOCAL_MAX = 512, DOMAIN_MAX = 255, LABEL_MAX = 63, ROUTE_MAX = 100 };

static bool is_alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* is_atext - bytes a local part may hold unquoted; RFC 5321 atext and UTF-8 */
static bool is_atext(unsigned char c)
{
	return is_alnum(c) || c >= 0x80 || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

bool smtp_valid_hostname(struct slice name)
{
	size_t label = 0;

	if (name.len == 0 || name.len > DOMAIN_MAX) {
		return false;
	}
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];

		if (c == '.') {
			if (label == 0 || name.ptr[i - 1] == '-') {
				return false;
			}
			label = 0;
		} else if (is_alnum(c) || c == '_' || c >= 0x80 || (c == '-' && label > 0)) {
			if (++label > LABEL_MAX) {
				return false;
			}
		} else {
			return false;
		}
	}
	return label > 0 && name.ptr[name.len - 1] != '-';
}

/* is_numeric - nothing but digits and dots: an address, not a name */
static bool is_numeric(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] != '.' && !(name.ptr[i] >= '0' && name.ptr[i] <= '9')) {
			return false;
		}
	}
	return true;
}

bool smtp_is_fqdn(struct slice name)
{
	return name.len > 0 && memchr(name.ptr, '.', name.len) != NULL && !is_numeric(name) &&
		smtp_valid_hostname(name);
}

bool smtp_valid_literal(struct slice text, char addr_r[64])
{
	unsigned char raw[16];
	char addr[64];
	bool v6;

	if (text.len < 3 || text.len > 60 || text.ptr[0] != '[' || text.ptr[text.len - 1] != ']') {
		return false;
	}
	text.ptr++;
	text.len -= 2;
	v6 = text.len > 5 && slice_ieq((struct slice){ text.ptr, 5 }, "IPv6:");
	if (v6) {
		text.ptr += 5;
		text.len -= 5;
	}
	memcpy(addr, text.ptr, text.len);
	addr[text.len] = '\0';
	if (strlen(addr) != text.len || inet_pton(v6 ? AF_INET6 : AF_INET, addr, raw) != 1) {
		return false;
	}
	if (addr_r != NULL) {
		memcpy(addr_r, addr, text.len + 1);
	}
	return true;
}

/* next_char - the byte at i, with a quoted pair resolved; 0 at the end */
static size_t next_char(struct slice s, size_t i, char *c_r, bool *pair_r)
{
	*pair_r = s.ptr[i] == '\\';
	if (*pair_r) {
		if (i + 1 >= s.len) {
			return 0;
		}
		*c_r = s.ptr[i + 1];
		return 2;
	}
	*c_r = s.ptr[i];
	return 1;
}

/*
 * path_end - where a path ends: at the '>' (or the first blank for a bare
 * one) outside quotes. s.len when there is none.
 */
static size_t path_end(struct slice s, bool bare)
{
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '\\') {
			i++;
		} else if (c == '"') {
			quoted = !quoted;
		} else if (!quoted && (bare ? c == ' ' || c == '\t' : c == '>')) {
			return i;
		}
	}
	return s.len;
}

/* last_at - index of the '@' that divides, or s.len */
static size_t last_at(struct slice s)
{
	size_t at = s.len;
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\') {
			i++;
		} else if (s.ptr[i] == '"') {
			quoted = !quoted;
		} else if (s.ptr[i] == '@' && !quoted) {
			at = i;
		}
	}
	return at;
}

/* skip_route - "@a,@b:" at the head is dropped; false: malformed. RFC 5321 appendix C */
static bool skip_route(struct slice *s)
{
	size_t start = 1, count = 0;

	if (s->len == 0 || s->ptr[0] != '@') {
		return true;
	}
	for (size_t i = 1; i < s->len && count < ROUTE_MAX; i++) {
		char c = s->ptr[i];
		struct slice host = { s->ptr + start, i - start };

		if (c != ',' && c != ':') {
			continue;
		}
		if (c == ':' && host.len > 0 && host.ptr[0] == '[' &&
			host.ptr[host.len - 1] != ']') {
			continue; /* the colon of [IPv6:...] */
		}
		if (!smtp_valid_hostname(host) && !smtp_valid_literal(host, NULL)) {
			return false;
		}
		if (c == ':') {
			s->ptr += i + 1;
			s->len -= i + 1;
			return true;
		}
		if (i + 1 >= s->len || s->ptr[i + 1] != '@') {
			return false;
		}
		start = i + 2;
		count++;
		i++;
	}
	return false;
}

/*
 * read_local - the local part without its quotes into raw (LOCAL_MAX bytes): its length, 0
 * malformed or empty
 */
static size_t read_local(struct slice s, char *raw)
{
	size_t n = 0, i = 0;
	bool quoted = false;

	while (i < s.len && n < LOCAL_MAX) {
		bool pair;
		char c;
		size_t used = next_char(s, i, &c, &pair);
		unsigned char u = (unsigned char)c;

		if (used == 0 || u < 0x20 || u == 0x7f) {
			return 0;
		}
		i += used;
		if (c == '"' && !pair) {
			quoted = !quoted;
			continue;
		}
		if (!quoted && !pair && !is_atext(u) && c != '.' && c != '@') {
			return 0;
		}
		raw[n++] = c;
	}
	return quoted || i < s.len ? 0 : n;
}

/* valid_domain - name or literal; *domain loses a trailing dot */
static bool valid_domain(struct slice *domain)
{
	if (domain->len > 0 && domain->ptr[0] == '[') {
		return smtp_valid_literal(*domain, NULL);
	}
	if (domain->len > 1 && domain->ptr[domain->len - 1] == '.') {
		domain->len--;
	}
	/* RFC 5321 4.1.3: an address without brackets is no domain. */
	return !is_numeric(*domain) && smtp_valid_hostname(*domain);
}

/* is_dot_string - atoms between single dots; RFC 5321 wants quotes around anything else */
static bool is_dot_string(const char *raw, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (raw[i] == '.' ? i == 0 || i + 1 == n || raw[i - 1] == '.'
				  : !is_atext((unsigned char)raw[i])) {
			return false;
		}
	}
	return n > 0;
}

const char *smtp_plain_address(struct arena *a, struct slice text)
{
	char raw[LOCAL_MAX];
	struct slice local = text, domain = { NULL, 0 };
	char *address, *p;
	size_t at, n;
	bool plain;

	if (!skip_route(&local)) {
		return NULL;
	}
	at = last_at(local);
	if (at < local.len) {
		domain = (struct slice){ local.ptr + at + 1, local.len - at - 1 };
		local.len = at;
		if (!valid_domain(&domain)) {
			return NULL;
		}
	}
	n = read_local(local, raw);
	if (n == 0) {
		return NULL;
	}
	plain = is_dot_string(raw, n);
	p = address = arena_alloc(a, n * 2 + domain.len + 4);
	if (!plain) {
		*p++ = '"';
	}
	for (size_t i = 0; i < n; i++) {
		if (raw[i] == '"' || raw[i] == '\\') {
			*p++ = '\\';
		}
		*p++ = raw[i];
	}
	if (!plain) {
		*p++ = '"';
	}
	if (domain.ptr != NULL) {
		*p++ = '@';
		memcpy(p, domain.ptr, domain.len);
	}
	return address;
}

bool smtp_parse_path(struct arena *a, struct slice *rest, unsigned flags, struct smtp_path *out)
{
	struct slice s = *rest, inner;
	bool bare = s.len == 0 || s.ptr[0] != '<';
	size_t end;

	if (s.len == 0 || (bare && (flags & SMTP_PATH_STRICT) != 0)) {
		return false;
	}
	if (!bare) {
		s.ptr++;
		s.len--;
	}
	end = path_end(s, bare);
	if (!bare && end == s.len) {
		return false; /* no '>' */
	}
	inner = slice_trim((struct slice){ s.ptr, end });
	s.ptr += end + (bare ? 0 : 1);
	s.len -= end + (bare ? 0 : 1);
	if (s.len > 0 && *s.ptr != ' ' && *s.ptr != '\t') {
		return false;
	}
	while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t')) {
		s.ptr++;
		s.len--;
	}
	if (inner.len == 0) {
		if (bare || (flags & SMTP_PATH_NULL) == 0) {
			return false;
		}
		out->address = "";
	} else {
		out->address = smtp_plain_address(a, inner);
	}
	if (out->address == NULL) {
		return false;
	}
	out->utf8 = smtp_has_8bit(slice_of(out->address));
	out->utf8_domain = out->utf8 && strrchr(out->address, '@') != NULL &&
		smtp_has_8bit(slice_of(strrchr(out->address, '@')));
	*rest = s;
	return true;
}
