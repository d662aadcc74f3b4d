/*
 * lookup - addresses taken apart and looked up by their parts
 *
 * Keys are external addresses without quotes, as the tables of other MTAs
 * have them: "a b"@example is looked up as `a b@example'.
 *
 * RFC 5321 4.1.2 (Mailbox), RFC 5233 (subaddress).
 */
#include "address/lookup.h"

#include <string.h>

#include "base/str.h"
#include "conf/params.h"
#include "address/local_domain.h"

const char *address_at(const char *address)
{
	const char *at = NULL;
	bool quoted = false;

	for (const char *p = address; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0') {
			p++;
		} else if (*p == '"') {
			quoted = !quoted;
		} else if (*p == '@' && !quoted) {
			at = p;
		}
	}
	return at;
}

const char *address_domain(const char *address)
{
	const char *at = address_at(address);

	return at != NULL ? at + 1 : address + strlen(address);
}

char *address_local(struct arena *a, const char *address)
{
	const char *at = address_at(address);
	size_t len = at != NULL ? (size_t)(at - address) : strlen(address);
	char *out = arena_strndup(a, address, len), *to = out;
	bool quoted = false;

	for (const char *p = out; *p != '\0'; p++) {
		if (*p == '"') {
			quoted = !quoted;
		} else {
			if (*p == '\\' && p[1] != '\0') {
				p++;
			}
			*to++ = *p;
		}
	}
	*to = '\0';
	return out;
}

/* needs_quotes - is this no dot-string of RFC 5321? */
static bool needs_quotes(const char *local)
{
	char last = '.';

	for (; *local != '\0'; local++) {
		unsigned char c = (unsigned char)*local;

		if (c <= 0x20 || c == 0x7f || strchr("()<>[]:;@\\,\"", c) != NULL ||
			(c == '.' && last == '.')) {
			return true;
		}
		last = (char)c;
	}
	return last == '.';
}

char *address_make(struct arena *a, const char *local, const char *domain)
{
	struct buf b = BUF_INIT;
	char *out;

	if (needs_quotes(local)) {
		buf_addc(&b, '"');
		for (; *local != '\0'; local++) {
			if (*local == '"' || *local == '\\') {
				buf_addc(&b, '\\');
			}
			buf_addc(&b, *local);
		}
		buf_addc(&b, '"');
	} else {
		buf_adds(&b, local);
	}
	if (domain[0] != '\0') {
		buf_addf(&b, "@%s", domain);
	}
	out = arena_strndup(a, buf_str(&b), b.len);
	buf_free(&b);
	return out;
}

const char *address_extension(const char *local)
{
	size_t n;

	if (param.recipient_delimiter[0] == '\0' || str_ieq(local, "postmaster") ||
		str_ieq(local, "mailer-daemon") || str_ieq(local, param.double_bounce_sender)) {
		return NULL;
	}
	if (param.owner_request_special && strchr(param.recipient_delimiter, '-') != NULL) {
		size_t len = strlen(local);

		if (str_istarts(local, "owner-") ||
			(len > 8 && str_ieq(local + len - 8, "-request"))) {
			return NULL;
		}
	}
	n = strcspn(local, param.recipient_delimiter);
	return n > 0 && local[n] != '\0' ? local + n : NULL;
}

/* A look-up under way. */
struct finder {
	struct arena *a;
	struct maps *maps;
	struct buf *value;
	const char *key;
};

/* try_key - user[@domain]; domain NULL: the bare user. What is not whole is a part */
static int try_key(struct finder *f, const char *user, const char *domain, bool whole)
{
	f->key = domain != NULL ? arena_printf(f->a, "%s@%s", user, domain) : user;
	return (whole ? maps_get : maps_get_part)(f->maps, f->key, f->value);
}

/* bare_wanted - are keys without a domain looked up? 1, 0, -1 */
static int bare_wanted(const char *domain, unsigned how)
{
	if ((how & LOOKUP_BARE) != 0 || domain[0] == '\0') {
		return 1;
	}
	if ((how & LOOKUP_LOCAL) == 0) {
		return 0;
	}
	return str_ieq(domain, param.myorigin) ? 1 : local_domain_match(domain);
}

int lookup_address(struct arena *a, struct maps *maps, const char *address, unsigned how,
	struct buf *value, const char **ext_r, const char **key_r)
{
	struct finder f = { .a = a, .maps = maps, .value = value };
	const char *local = address_local(a, address), *domain = address_domain(address);
	const char *ext = address_extension(local), *left = NULL;
	const char *users[2] = { local, NULL };
	int bare, rc = 0;

	if (maps_empty(maps)) {
		return 0;
	}
	if (ext != NULL) {
		users[1] = arena_strndup(a, local, (size_t)(ext - local));
	}
	for (int i = 0; i < 2 && rc == 0 && (how & LOOKUP_FULL) != 0 && domain[0] != '\0'; i++) {
		rc = users[i] != NULL ? try_key(&f, users[i], domain, i == 0) : 0;
		left = i == 1 ? ext : NULL;
	}
	bare = rc == 0 ? bare_wanted(domain, how) : 0;
	for (int i = 0; i < 2 && rc == 0 && bare != 0; i++) {
		bool whole = i == 0 && (domain[0] == '\0' || (how & LOOKUP_FULL) == 0);

		rc = bare < 0 ? -1 : users[i] != NULL ? try_key(&f, users[i], NULL, whole) : 0;
		left = i == 1 ? ext : NULL;
	}
	if (rc == 0 && (how & LOOKUP_DOMAIN) != 0 && domain[0] != '\0') {
		left = NULL;
		rc = try_key(&f, "", domain, false);
	}
	if (ext_r != NULL) {
		*ext_r = rc > 0 ? left : NULL;
	}
	if (key_r != NULL) {
		*key_r = rc > 0 ? f.key : NULL;
	}
	return rc;
}
