/*
 * rewrite - addresses brought into the form user@full.domain
 *
 * The text is taken apart only as far as the rules need it: what stands in quotes is
 * never touched here (resolve_dequoted_address is the resolver's business).
 *
 * RFC 5321 4.1.2 and appendix C (source routes: accepted, ignored).
 */
#include "address/rewrite.h"

#include <string.h>

#include "base/str.h"
#include "conf/params.h"
#include "address/lookup.h"

/* after_route - behind "@a,@b:", or address itself */
static const char *after_route(const char *address)
{
	const char *colon;

	if (address[0] != '@') {
		return address;
	}
	colon = strchr(address, ':');
	/* "@[IPv6:::1]" is no route. */
	return colon != NULL && memchr(address, '[', (size_t)(colon - address)) == NULL ? colon + 1
											: address;
}

/* find_unquoted - the first (or last) c outside quotes, or NULL */
static const char *find_unquoted(const char *text, char c, bool last)
{
	const char *found = NULL;
	bool quoted = false;

	for (; *text != '\0'; text++) {
		if (*text == '\\' && text[1] != '\0') {
			text++;
		} else if (*text == '"') {
			quoted = !quoted;
		} else if (*text == c && !quoted) {
			found = text;
			if (!last) {
				break;
			}
		}
	}
	return found;
}

/* turn_round - site!user and user%site to user@site; NULL: neither */
static const char *turn_round(struct arena *a, const char *address)
{
	const char *p = find_unquoted(address, '!', false);

	if (p != NULL && param.swap_bangpath && p > address && p[1] != '\0') {
		return arena_printf(a, "%s@%.*s", p + 1, (int)(p - address), address);
	}
	p = find_unquoted(address, '%', true);
	if (p != NULL && param.allow_percent_hack && p > address && p[1] != '\0') {
		return arena_printf(a, "%.*s@%s", (int)(p - address), address, p + 1);
	}
	return NULL;
}

/* add_dot - mydomain to a host without a dot */
static const char *add_dot(struct arena *a, const char *address, const char *domain)
{
	const char *host = address_domain(address);
	size_t len = strlen(host);

	if (len > 1 && host[len - 1] == '.' && host[0] != '[') {
		return arena_strndup(a, address, strlen(address) - 1);
	}
	if (len == 0 || host[0] == '[' || strchr(host, '.') != NULL || domain[0] == '\0') {
		return address;
	}
	return arena_printf(a, "%s.%s", address, domain);
}

const char *rewrite_address(struct arena *a, const char *address, enum rewrite_context context)
{
	const char *origin = param.myorigin, *domain = param.mydomain, *turned;

	if (context == REWRITE_REMOTE) {
		if (param.remote_header_rewrite_domain[0] == '\0') {
			return arena_strdup(a, address);
		}
		origin = domain = param.remote_header_rewrite_domain;
	}
	address = after_route(address);
	if (address[0] == '\0') {
		return "";
	}
	if (address_at(address) == NULL && (turned = turn_round(a, address)) != NULL) {
		address = turned;
	}
	if (address_at(address) == NULL && param.append_at_myorigin && origin[0] != '\0') {
		address = arena_printf(a, "%s@%s", address, origin);
	}
	if (!param.append_dot_mydomain) {
		domain = "";
	}
	return arena_strdup(a, add_dot(a, address, domain));
}

const char *rewrite_result(
	struct arena *a, const char *result, const char *address, const char *ext, const char *kind)
{
	const char *local;

	if (result[0] == '@') {
		return address_make(a, address_local(a, address), result + 1);
	}
	local = address_local(a, result);
	if (ext == NULL || !list_has(param.propagate_unmatched_extensions, kind) ||
		address_extension(local) != NULL) {
		return result;
	}
	return address_make(a, arena_printf(a, "%s%s", local, ext), address_domain(result));
}
