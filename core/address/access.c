/*
 * access - access(5) tables and their partial keys
 *
 * One table is asked with several keys, from the most exact to the widest; the
 * first answer counts. The tables themselves fold the case of keys.
 *
 * access(5) of Postfix; RFC 5321 4.1.2 for what an address is.
 */
#include "address/access.h"

#include <string.h>

#include "base/arena.h"
#include "conf/params.h"
#include "address/lookup.h"
#include "address/match.h"

enum { KEY_MAX = 1024, PARENTS_MAX = 128 };

int access_find_key(struct maps *table, const char *key, struct buf *value)
{
	return *key == '\0' || strlen(key) > KEY_MAX ? 0 : maps_get(table, key, value);
}

/* find_part - a key that is a part of what is looked up */
static int find_part(struct maps *table, const char *key, struct buf *value)
{
	return *key == '\0' || strlen(key) > KEY_MAX ? 0 : maps_get_part(table, key, value);
}

/* find_parents - the domains above name */
static int find_parents(struct maps *table, const char *name, struct buf *value)
{
	const bool plain = match_parent_flag("smtpd_access_maps") != 0;
	const char *p = name;
	int rc = 0;

	/* An address literal or a bare IP address has no parents. */
	if (*name == '[' || name[strspn(name, "0123456789.")] == '\0') {
		return 0;
	}
	for (int n = 0; rc == 0 && n < PARENTS_MAX; n++) {
		p = strchr(p, '.');
		if (p == NULL) {
			break;
		}
		rc = find_part(table, plain ? p + 1 : p, value);
		p++;
	}
	return rc;
}

int access_find_domain(struct maps *table, const char *name, struct buf *value)
{
	int rc = access_find_key(table, name, value);

	return rc == 0 ? find_parents(table, name, value) : rc;
}

int access_find_address(struct maps *table, const char *addr, struct buf *value)
{
	const char mark = strchr(addr, ':') != NULL ? ':' : '.';
	char key[64];
	size_t len = strlen(addr);
	int rc;

	if (len >= sizeof(key)) {
		return 0;
	}
	memcpy(key, addr, len + 1);
	rc = access_find_key(table, key, value);
	while (rc == 0) {
		char *end = strrchr(key, mark);

		if (end == NULL || end == key) {
			break;
		}
		*end = '\0';
		rc = find_part(table, key, value);
	}
	return rc;
}

int access_find_client(struct maps *table, const char *name, const char *addr, struct buf *value)
{
	int rc = access_find_domain(table, name, value);

	return rc == 0 ? access_find_address(table, addr, value) : rc;
}

/* find_user - "user@" in the plain form, with the extension first */
static int find_user(struct maps *table, const char *local, struct arena *a, struct buf *value)
{
	const char *ext = address_extension(local);
	int rc = find_part(table, arena_printf(a, "%s@", local), value);

	if (rc == 0 && ext != NULL) {
		rc = find_part(table, arena_printf(a, "%.*s@", (int)(ext - local), local), value);
	}
	return rc;
}

int access_find_mail(struct maps *table, const char *address, struct buf *value)
{
	struct arena a = ARENA_INIT;
	const char *local, *domain, *ext;
	int rc;

	if (*address == '\0') {
		return access_find_key(table, param.smtpd_null_access_lookup_key, value);
	}
	local = address_local(&a, address);
	domain = address_domain(address);
	ext = address_extension(local);
	rc = access_find_key(table, address, value);
	if (rc == 0 && ext != NULL && *domain != '\0') {
		const char *user = arena_strndup(&a, local, (size_t)(ext - local));

		rc = find_part(table, address_make(&a, user, domain), value);
	}
	if (rc == 0 && *domain != '\0') {
		rc = find_part(table, domain, value);
		rc = rc == 0 ? find_parents(table, domain, value) : rc;
	}
	if (rc == 0) {
		rc = find_user(table, local, &a, value);
	}
	arena_free(&a);
	return rc;
}
