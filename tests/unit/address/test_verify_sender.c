/*
 * test_verify_sender - the envelope sender of address probes
 */
#include <string.h>

#include "address/local_domain.h"
#include "address/verify_sender.h"
#include "conf_util.h"
#include "unit.h"

static const char *with(struct arena *a, const char *lines)
{
	conf_util_load(lines);
	return verify_sender(a);
}

TEST(verify_sender, fixed)
{
	struct arena a = ARENA_INIT;

	CHECK_STR(with(&a, "myorigin = o.example\n"), "double-bounce@o.example");
	CHECK(verify_sender_is(&a, "Double-Bounce@O.example"));
	CHECK(verify_sender_is(&a, "double-bounce"));
	CHECK(!verify_sender_is(&a, "double-bounce@other.example"));
	CHECK(!verify_sender_is(&a, ""));
	CHECK_STR(with(&a, "address_verify_sender = p@q.example\n"), "p@q.example");
	CHECK_STR(with(&a, "address_verify_sender = <>\n"), "");
	CHECK(!verify_sender_is(&a, ""));
	CHECK_STR(with(&a, "address_verify_sender =\n"), "");
	arena_free(&a);
}

TEST(verify_sender, changes)
{
	struct arena a = ARENA_INIT;
	const char *now = with(&a, "myorigin = o.example\naddress_verify_sender_ttl = 86400s\n");
	char *other = arena_strdup(&a, now), *at = strchr(other, '@');

	CHECK_MEM(now, 13, "double-bounce", 13);
	CHECK_STR(at, "@o.example");
	CHECK_INT(at - other, 13 + 3); /* some 20,000 days; 31 to the third is 29,791 */
	CHECK(verify_sender_is(&a, now));
	other[13] = other[13] == '0' ? '1' : '0';
	CHECK(!verify_sender_is(&a, other));
	CHECK(!verify_sender_is(&a, "double-bounce@o.example"));
	arena_free(&a);
}
