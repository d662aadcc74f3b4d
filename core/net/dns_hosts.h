#ifndef NET_DNS_HOSTS_H
#define NET_DNS_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

/* Private to dns*.c: /etc/hosts as it was read last. Zeroed: nothing in it. */
struct host_line {
	char *addr;
	char *names; /* separated by single blanks; the first is the canonical one */
};

struct dns_hosts {
	struct host_line *lines;
	size_t count;
};

enum { DNS_VALUES_MAX = 64 }; /* addresses or exchangers of one answer that are used */

/* Instead of what there is: the file at path; one that cannot be read has no lines. */
void dns_hosts_read(struct dns_hosts *h, const char *path);
void dns_hosts_free(struct dns_hosts *h);
/* Canonical name of an address, into name; false: not in the file. */
bool dns_hosts_name(const struct dns_hosts *h, const char *addr, char *name, size_t size);
/* Addresses of a name, of the kinds that are wanted; they are h's. Their number. */
size_t dns_hosts_addrs(const struct dns_hosts *h, const char *name, bool v4, bool v6,
	const char *values[DNS_VALUES_MAX]);
/* The text form in which addresses are compared; false: not an address. */
bool dns_canonical_addr(const char *text, char out[64]);

#endif
