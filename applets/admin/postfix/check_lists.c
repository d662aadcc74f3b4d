/*
 * check_lists - lists of domains, networks and restrictions
 *
 * They are read as smtpd reads them: what that warns of (a network of /33, a file or a table that
 * is not there, a restriction that nobody knows, a class without a definition) is what is wrong.
 * Besides: a domain in two classes, and mynetworks that take in everybody.
 */
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/params.h"
#include "address/match.h"
#include "policy/restrict.h"
#include "applets/admin/postfix/check.h"

static bool is_list(const char *name)
{
	return str_ends(name, "_domains") || str_ends(name, "_networks") ||
		str_ends(name, "_hosts") || str_ends(name, "_exceptions") ||
		str_ends(name, "_exclusions") || strcmp(name, "mydestination") == 0 ||
		strcmp(name, "mynetworks") == 0;
}

/* check_open - addresses of documentation (RFC 5737, RFC 3849) are nobody's network */
static void check_open(void)
{
	struct match_list *l = match_list_new("mynetworks", param.mynetworks, 0);

	if (match_host(l, NULL, "192.0.2.77") == 1 && match_host(l, NULL, "198.51.100.77") == 1 &&
		match_host(l, NULL, "203.0.113.77") == 1) {
		warning("mynetworks holds every IPv4 address: whoever connects may relay "
			"(permit_mynetworks)");
	}
	if (match_host(l, NULL, "2001:db8::77") == 1 && match_host(l, NULL, "3fff::77") == 1) {
		warning("mynetworks holds every IPv6 address: whoever connects may relay "
			"(permit_mynetworks)");
	}
	match_list_free(l);
}

/* check_pair - names that stand in the first list and match in the second */
static void check_pair(const char *first, const char *list, const char *second, const char *other)
{
	struct slice rest = slice_of(list), word;
	struct match_list *l = match_list_new(second, other, 0);

	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		char *domain = mem_strndup(word.ptr, word.len);

		if (strpbrk(domain, "/:!{}") == NULL && match_domain(l, domain) == 1) {
			warning("do not list domain %s in BOTH %s and %s", domain, first, second);
		}
		mem_free(domain);
	}
	match_list_free(l);
}

static void check_classes(void)
{
	const struct {
		const char *name, *list;
	} classes[] = {
		{ "mydestination", param.mydestination },
		{ "virtual_alias_domains", param.virtual_alias_domains },
		{ "virtual_mailbox_domains", param.virtual_mailbox_domains },
		{ "relay_domains", param.relay_domains },
	};

	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		for (size_t j = i + 1; j < ARRAY_LEN(classes); j++) {
			/* relay_domains may be $mydestination, as it was by default. */
			if (i > 0 || j + 1 < ARRAY_LEN(classes)) {
				check_pair(classes[i].name, classes[i].list, classes[j].name,
					classes[j].list);
			}
		}
	}
}

void check_lists(void)
{
	struct arena a = ARENA_INIT;
	size_t count;
	const char **names = conf_set_names(&a, &count);
	struct restrict_set *set;
	char *error = NULL;

	for (size_t i = 0; i < count; i++) {
		const char *value = is_list(names[i]) ? conf_value(&a, names[i]) : NULL;

		if (value != NULL) {
			match_list_free(match_list_new(names[i], value, 0));
		}
	}
	check_open();
	check_classes();
	set = restrict_set_new(&error);
	if (set == NULL) {
		fatal("%s", error);
		mem_free(error);
	}
	restrict_set_free(set);
	arena_free(&a);
}
