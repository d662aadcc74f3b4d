#ifndef ADDRESS_LOCAL_DOMAIN_H
#define ADDRESS_LOCAL_DOMAIN_H

/*
 * Which domains are ours: mydestination, and address literals of inet_interfaces and
 * proxy_interfaces, in a compiled form. route_init() makes it from param, route_free() frees it.
 */
void local_domain_init(void);
void local_domain_free(void);
/* Is the domain local? "" is; "[1.2.3.4]" is an address literal. 1, 0, -1 temporary. */
int local_domain_match(const char *domain);
/*
 * The parameter that makes an address ("192.0.2.1", "::1") one of ours: inet_interfaces or
 * proxy_interfaces; NULL: it is another's.
 */
const char *local_address_setting(const char *addr);

#endif
