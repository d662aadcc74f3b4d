#ifndef ADDRESS_MATCH_H
#define ADDRESS_MATCH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Lists that name domains, hosts or networks: mydestination, relay_domains,
 * mynetworks, debug_peer_list ... Items are split at commas and blanks; the
 * first that matches decides.
 *
 *	name		this name (case does not matter)
 *	.name		every name below it; with MATCH_PARENT also plain `name` does that
 *	1.2.3.0/24	a network; [2001:db8::]/32 and 2001:db8::/32; each for its family only
 *	1.2.3.4		an address
 *	/file		items of a file, one or more a line, # comments
 *	type:table	the name (address) is a key there, or a parent (not for tables of patterns)
 *	!item		matches: the answer is no
 *	other/text	bad: 1.2.3.0/33
 */
struct match_list;

enum {
	MATCH_PARENT = 1, /* a domain stands for its subdomains too */
	MATCH_USER = 2    /* user@domain keys are allowed: a full address may be asked for */
};

/*
 * name is the parameter's, for warnings. A bad item or a file that cannot be
 * read is warned of; a look-up that comes to it answers -1. Never NULL.
 */
struct match_list *match_list_new(const char *name, const char *text, unsigned flags);
void match_list_free(struct match_list *l);
/*
 * 1 matches, 0 does not, -1 temporary (table or file trouble). domain may be user@domain
 * with MATCH_USER.
 */
int match_domain(struct match_list *l, const char *domain);
/*
 * addr is an IP address without brackets ("::ffff:1.2.3.4" counts as 1.2.3.4); name the
 * client's name or NULL.
 */
int match_host(struct match_list *l, const char *name, const char *addr);

/* Is param.parent_domain_matches_subdomains set for this parameter? Gives MATCH_PARENT or 0. */
unsigned match_parent_flag(const char *name);

#endif
