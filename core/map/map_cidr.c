/*
 * map_cidr - rules with networks (cidr_table(5))
 *
 *	192.168.0.0/16 result
 *	2001:db8::/32 result
 *	10.1.2.3 result
 *
 * A key that is no address matches nothing, not even "!10.0.0.0/8", and an IPv6
 * address neither matches nor fails to match an IPv4 network.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "map/map_rules.h"

struct network {
	int family;
	int bits;
	unsigned char address[16];
};

static int parse_address(const char *text, unsigned char *out)
{
	if (inet_pton(AF_INET, text, out) == 1) {
		return AF_INET;
	}
	return inet_pton(AF_INET6, text, out) == 1 ? AF_INET6 : 0;
}

/* mask - clear what is behind bits */
static void mask(unsigned char *address, size_t len, int bits)
{
	for (size_t i = 0; i < len; i++) {
		int keep = bits - (int)i * 8;

		if (keep <= 0) {
			address[i] = 0;
		} else if (keep < 8) {
			address[i] &= (unsigned char)(0xff << (8 - keep));
		}
	}
}

static int parse_network(struct rule *r, const char **text, struct buf *why)
{
	size_t n = strcspn(*text, " \t");
	struct network net = { .family = 0 }, clean;
	char word[64], shown[INET6_ADDRSTRLEN], *slash;
	int64_t bits;
	size_t len;

	if (n == 0 || n >= sizeof(word)) {
		buf_adds(why, n == 0 ? "no address pattern" : "address pattern too long");
		return -1;
	}
	memcpy(word, *text, n);
	word[n] = '\0';
	*text += n;
	slash = strchr(word, '/');
	if (slash != NULL) {
		*slash++ = '\0';
	}
	net.family = parse_address(word, net.address);
	if (net.family == 0) {
		buf_addf(why, "malformed address \"%s\"", word);
		return -1;
	}
	len = net.family == AF_INET ? 4 : 16;
	bits = (int64_t)len * 8;
	if (slash != NULL && !str_to_int(slash, 0, bits, &bits)) {
		buf_addf(why, "bad net/mask pattern: \"%s/%s\"", word, slash);
		return -1;
	}
	net.bits = (int)bits;
	clean = net;
	mask(clean.address, len, clean.bits);
	if (memcmp(clean.address, net.address, len) != 0) {
		inet_ntop(net.family, clean.address, shown, sizeof(shown));
		buf_addf(why,
			"non-null host address bits in \"%s/%d\", perhaps you should use \"%s/%d\" "
			"instead",
			word, net.bits, shown, net.bits);
		return -1;
	}
	r->pattern = mem_alloc(sizeof(net));
	memcpy(r->pattern, &net, sizeof(net));
	return 0;
}

static bool prepare_address(struct rule_match *match)
{
	match->family = parse_address(match->key, match->address);
	return match->family != 0;
}

static int match_network(const struct rule *r, struct rule_match *match, struct buf *why)
{
	const struct network *net = r->pattern;
	unsigned char address[16];

	(void)why;
	/* Neither matched nor "not matched": a rule says nothing of the other family. */
	if (net->family != match->family) {
		return r->negated;
	}
	memcpy(address, match->address, sizeof(address));
	mask(address, net->family == AF_INET ? 4 : 16, net->bits);
	return memcmp(address, net->address, net->family == AF_INET ? 4 : 16) == 0;
}

static void release_network(struct rule *r)
{
	mem_free(r->pattern);
}

static const struct rule_kind kind = {
	.parse = parse_network,
	.prepare = prepare_address,
	.match = match_network,
	.release = release_network,
};

static int open_cidr(struct map *m)
{
	return rules_open(m, &kind);
}

const struct map_type map_type_cidr = {
	.name = "cidr",
	.whole = true,
	.exact = true,
	.open = open_cidr,
	.get = rules_get,
	.close = rules_close,
};
