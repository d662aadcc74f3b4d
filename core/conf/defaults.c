/*
 * defaults - myhostname, mydomain and mynetworks when main.cf is silent
 *
 * mynetworks follows from the interfaces that are up and that inet_interfaces
 * lets us listen on, by mynetworks_style: host (each address alone), subnet
 * (with its netmask), class (IPv4 networks of class A, B, C; IPv6 as subnet).
 * A machine that tells us of no interface still trusts its own loopback.
 */
#include "conf/defaults.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

enum { MAX_NETWORKS = 256 };

enum style { STYLE_HOST, STYLE_SUBNET, STYLE_CLASS };

struct network {
	int family;
	unsigned char addr[16];
	int bits;
};

struct networks {
	struct network list[MAX_NETWORKS];
	size_t count;
};

void default_myhostname(struct buf *out, const char *domain)
{
	char name[256];

	if (gethostname(name, sizeof(name)) != 0 || name[0] == '\0' || name[0] == '(') {
		str_copy(name, sizeof(name), "localhost");
	}
	name[sizeof(name) - 1] = '\0';
	buf_adds(out, name);
	if (strchr(name, '.') == NULL) {
		buf_addc(out, '.');
		buf_adds(out, domain);
	}
}

void default_mydomain(struct buf *out, const char *myhostname)
{
	const char *dot = strchr(myhostname, '.');

	buf_adds(out, dot != NULL && dot[1] != '\0' ? dot + 1 : "localdomain");
}

/* address_bytes - where the address is in a socket address, and how long */
static const unsigned char *address_bytes(const struct sockaddr *sa, size_t *len_r)
{
	if (sa->sa_family == AF_INET) {
		*len_r = 4;
		return (const unsigned char *)&((const struct sockaddr_in *)sa)->sin_addr;
	}
	*len_r = 16;
	return (const unsigned char *)&((const struct sockaddr_in6 *)sa)->sin6_addr;
}

static int count_bits(const unsigned char *mask, size_t len)
{
	int bits = 0;

	for (size_t i = 0; i < len * 8 && (mask[i / 8] & (0x80 >> (i % 8))); i++) {
		bits++;
	}
	return bits;
}

static int class_bits(const unsigned char *addr)
{
	if (addr[0] < 128) {
		return 8;
	}
	if (addr[0] < 192) {
		return 16;
	}
	return addr[0] < 224 ? 24 : 32;
}

/* add_network - unless it is there */
static void add_network(
	struct networks *nets, int family, const unsigned char *addr, size_t len, int bits)
{
	struct network n = { .family = family, .bits = bits };

	for (size_t i = 0; i < len * 8 && i < (size_t)bits; i++) {
		n.addr[i / 8] |= addr[i / 8] & (0x80 >> (i % 8));
	}
	for (size_t i = 0; i < nets->count; i++) {
		if (memcmp(&nets->list[i], &n, sizeof(n)) == 0) {
			return;
		}
	}
	if (nets->count < MAX_NETWORKS) {
		nets->list[nets->count++] = n;
	}
}

/* name_is - does a host name or address of inet_interfaces mean this address? */
static bool name_is(struct slice word, int family, const unsigned char *addr, size_t len)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM }, *list, *ai;
	char name[256];
	bool found = false;

	if (word.len > 2 && word.ptr[0] == '[' && word.ptr[word.len - 1] == ']') {
		word = (struct slice){ word.ptr + 1, word.len - 2 };
	}
	if (word.len >= sizeof(name)) {
		return false;
	}
	memcpy(name, word.ptr, word.len);
	name[word.len] = '\0';
	if (getaddrinfo(name, NULL, &hints, &list) != 0) {
		return false;
	}
	for (ai = list; ai != NULL && !found; ai = ai->ai_next) {
		size_t n;
		const unsigned char *a = address_bytes(ai->ai_addr, &n);

		found = ai->ai_family == family && n == len && memcmp(a, addr, len) == 0;
	}
	freeaddrinfo(list);
	return found;
}

/* listened_on - does inet_interfaces include this address? */
static bool listened_on(
	const char *interfaces, const struct ifaddrs *ifa, const unsigned char *addr, size_t len)
{
	struct slice rest = slice_of(interfaces), word;

	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		if (slice_ieq(word, "all")) {
			return true;
		}
		if (slice_ieq(word, "loopback-only")) {
			if (ifa->ifa_flags & IFF_LOOPBACK) {
				return true;
			}
		} else if (name_is(word, ifa->ifa_addr->sa_family, addr, len)) {
			return true;
		}
	}
	return false;
}

/* collect - the networks of one family */
static void collect(struct networks *nets, const struct ifaddrs *list, int family,
	const char *interfaces, enum style style)
{
	for (const struct ifaddrs *ifa = list; ifa != NULL; ifa = ifa->ifa_next) {
		const unsigned char *addr;
		size_t len;
		int bits;

		if (ifa->ifa_addr == NULL || ifa->ifa_addr->sa_family != family ||
			!(ifa->ifa_flags & IFF_UP)) {
			continue;
		}
		addr = address_bytes(ifa->ifa_addr, &len);
		if (!listened_on(interfaces, ifa, addr, len)) {
			continue;
		}
		bits = (int)len * 8;
		if (style == STYLE_CLASS && family == AF_INET) {
			bits = class_bits(addr);
		} else if (style != STYLE_HOST && ifa->ifa_netmask != NULL) {
			bits = count_bits(address_bytes(ifa->ifa_netmask, &(size_t){ 0 }), len);
		}
		add_network(nets, family, addr, len, bits);
	}
}

static void print_networks(struct buf *out, const struct networks *nets)
{
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < nets->count; i++) {
		const struct network *n = &nets->list[i];

		inet_ntop(n->family, n->addr, text, sizeof(text));
		buf_addf(out, n->family == AF_INET ? "%s%s/%d" : "%s[%s]/%d", i > 0 ? " " : "",
			text, n->bits);
	}
}

int default_mynetworks(
	struct buf *out, const char *interfaces, const char *protocols, const char *style)
{
	enum style how = str_ieq(style, "class") ? STYLE_CLASS
		: str_ieq(style, "subnet")       ? STYLE_SUBNET
						 : STYLE_HOST;
	const bool all = list_has(protocols, "all");
	struct networks nets = { .count = 0 };
	struct ifaddrs *list;

	if (getifaddrs(&list) != 0) {
		buf_adds(out, "127.0.0.0/8 [::1]/128");
	} else {
		if (all || list_has(protocols, "ipv4")) {
			collect(&nets, list, AF_INET, interfaces, how);
		}
		if (all || list_has(protocols, "ipv6")) {
			collect(&nets, list, AF_INET6, interfaces, how);
		}
		if (list == NULL) {
			buf_adds(out, "127.0.0.0/8 [::1]/128");
		}
		freeifaddrs(list);
		print_networks(out, &nets);
	}
	return how != STYLE_HOST || str_ieq(style, "host") ? 0 : -1;
}
