/*
 * local_domain - the domains and addresses that are ours
 *
 * RFC 5321 4.1.3 (address literals).
 */
#include "address/local_domain.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "conf/params.h"
#include "address/match.h"

/* param, compiled: what local_domain_init() makes. */
static struct {
	struct match_list *mydestination, *own, *proxy;
} compiled;

/* interface_addresses - of all interfaces, or of the loopback only, as a list */
static void interface_addresses(struct buf *list, bool loopback_only)
{
	char text[INET6_ADDRSTRLEN];
	struct ifaddrs *all = NULL;

	if (loopback_only || getifaddrs(&all) != 0) {
		buf_adds(list, " 127.0.0.1 [::1]");
		return;
	}
	for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL) {
			continue;
		}
		if (i->ifa_addr->sa_family == AF_INET) {
			struct sockaddr_in sin;

			memcpy(&sin, i->ifa_addr, sizeof(sin));
			buf_addf(
				list, " %s", inet_ntop(AF_INET, &sin.sin_addr, text, sizeof(text)));
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			struct sockaddr_in6 sin6;

			memcpy(&sin6, i->ifa_addr, sizeof(sin6));
			buf_addf(list, " [%s]",
				inet_ntop(AF_INET6, &sin6.sin6_addr, text, sizeof(text)));
		}
	}
	freeifaddrs(all);
}

/* own_addresses - inet_interfaces as a list of addresses */
static struct match_list *own_addresses(void)
{
	struct slice rest = slice_of(param.inet_interfaces), word;
	struct buf list = BUF_INIT;
	struct match_list *l;

	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		if (slice_ieq(word, "all") || slice_ieq(word, "loopback-only")) {
			interface_addresses(&list, slice_ieq(word, "loopback-only"));
		} else {
			buf_addf(&list, " %.*s", (int)word.len, word.ptr);
		}
	}
	l = match_list_new("inet_interfaces", buf_str(&list), 0);
	buf_free(&list);
	return l;
}

void local_domain_free(void)
{
	match_list_free(compiled.mydestination);
	match_list_free(compiled.own);
	match_list_free(compiled.proxy);
	memset(&compiled, 0, sizeof(compiled));
}

void local_domain_init(void)
{
	local_domain_free();
	compiled.mydestination = match_list_new("mydestination", param.mydestination, 0);
	compiled.own = own_addresses();
	compiled.proxy = match_list_new("proxy_interfaces", param.proxy_interfaces, 0);
}

/* literal_address - the address in "[1.2.3.4]" or "[IPv6:::1]", without brackets */
static bool literal_address(const char *domain, char *out, size_t size)
{
	size_t len = strlen(domain);

	if (len < 3 || domain[0] != '[' || domain[len - 1] != ']' || len - 2 >= size) {
		return false;
	}
	memcpy(out, domain + 1, len - 2);
	out[len - 2] = '\0';
	if (str_istarts(out, "IPv6:")) {
		memmove(out, out + 5, strlen(out + 5) + 1);
	}
	return true;
}

int local_domain_match(const char *domain)
{
	char addr[INET6_ADDRSTRLEN + 8];
	int rc;

	if (domain[0] == '\0') {
		return 1;
	}
	rc = match_domain(compiled.mydestination, domain);
	if (rc == 0 && literal_address(domain, addr, sizeof(addr))) {
		rc = match_host(compiled.own, NULL, addr);
		rc = rc == 0 ? match_host(compiled.proxy, NULL, addr) : rc;
	}
	return rc;
}

const char *local_address_setting(const char *addr)
{
	if (match_host(compiled.own, NULL, addr) > 0) {
		return "inet_interfaces";
	}
	return match_host(compiled.proxy, NULL, addr) > 0 ? "proxy_interfaces" : NULL;
}
