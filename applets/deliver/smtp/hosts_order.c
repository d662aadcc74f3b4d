/*
 * hosts_order - which address is tried first, and which not at all
 */
#include "applets/deliver/smtp/hosts_order.h"

#include <stdint.h>

#include "base/crypto.h"
#include "base/str.h"

/* shuffle - each order is as likely as any other */
static void shuffle(struct smtp_host *list, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		struct smtp_host last = list[i - 1];
		uint32_t any;

		random_bytes(&any, sizeof(any));
		list[i - 1] = list[any % i];
		list[any % i] = last;
	}
}

/* rank - what is less is tried first; v6: which family is preferred, -1 none */
static int64_t rank(const struct smtp_host *h, int v6)
{
	return (int64_t)h->preference * 2 + (v6 >= 0 && h->v6 != (v6 == 1));
}

/* sort - what is equal keeps its order */
static void sort(struct smtp_host *list, size_t count, int v6)
{
	for (size_t i = 1; i < count; i++) {
		struct smtp_host h = list[i];
		size_t at = i;

		for (; at > 0 && rank(&list[at - 1], v6) > rank(&h, v6); at--) {
			list[at] = list[at - 1];
		}
		list[at] = h;
	}
}

/* balance - so many of each family that limit of them have both; the order stays */
static size_t balance(struct smtp_host *list, size_t count, size_t limit)
{
	size_t v6 = 0, v4, left = 0;

	for (size_t i = 0; i < count; i++) {
		v6 += list[i].v6;
	}
	v4 = count - v6;
	if (v4 == 0 || v6 == 0 || count <= limit) {
		return count;
	}
	if (v6 <= limit / 2) {
		v4 = limit - v6;
	} else if (v4 <= limit / 2) {
		v6 = limit - v4;
	} else {
		v4 = (limit + !list[0].v6) / 2;
		v6 = limit - v4;
	}
	for (size_t i = 0; i < count; i++) {
		size_t *room = list[i].v6 ? &v6 : &v4;

		if (*room > 0) {
			--*room;
			list[left++] = list[i];
		}
	}
	return left;
}

size_t hosts_order(struct smtp_host *list, size_t count, const struct smtp_settings *s)
{
	int v6 = str_ieq(s->address_preference, "ipv6")  ? 1
		: str_ieq(s->address_preference, "ipv4") ? 0
							 : -1;

	if (s->randomize_addresses) {
		shuffle(list, count);
	}
	sort(list, count, v6);
	if (s->balance_inet_protocols && s->mx_address_limit > 0) {
		count = balance(list, count, (size_t)s->mx_address_limit);
	}
	return count;
}
