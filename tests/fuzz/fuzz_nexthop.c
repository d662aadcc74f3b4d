/*
 * fuzz_nexthop - lists of next hops, by the first byte of SMTP or LMTP: what is taken has a host
 * and a port or a path, and means the same by itself
 */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "applets/deliver/smtp/nexthop.h"
#include "fuzz.h"

/* same - the hop's own text gives the same hop */
static void same(struct arena *a, const struct nexthop *hop, bool lmtp)
{
	struct buf error = BUF_INIT;
	struct nexthop *again;
	size_t count;

	REQUIRE(nexthop_parse(a, hop->text, lmtp, "smtp", &again, &count, &error));
	REQUIRE(count == 1 && again->port == hop->port && again->bracketed == hop->bracketed);
	REQUIRE((hop->host == NULL) == (again->host == NULL) &&
		(hop->host == NULL || strcmp(hop->host, again->host) == 0));
	buf_free(&error);
}

void fuzz(const char *data, size_t len)
{
	struct arena a = ARENA_INIT;
	struct buf error = BUF_INIT;
	bool lmtp = len > 0 && data[0] % 2 == 1;
	char *text = mem_strndup(len > 0 ? data + 1 : "", len > 0 ? len - 1 : 0);
	struct nexthop *list;
	size_t count;

	if (nexthop_parse(&a, text, lmtp, "smtp", &list, &count, &error)) {
		REQUIRE(count > 0 && error.len == 0);
		for (size_t i = 0; i < count; i++) {
			const struct nexthop *hop = &list[i];

			REQUIRE((hop->host != NULL) != (hop->path != NULL));
			REQUIRE(hop->path != NULL
					? lmtp && *hop->path != '\0'
					: *hop->host != '\0' && hop->port > 0 && hop->port < 65536);
			same(&a, hop, lmtp);
		}
	} else {
		REQUIRE(error.len > 0);
	}
	mem_free(text);
	buf_free(&error);
	arena_free(&a);
}
