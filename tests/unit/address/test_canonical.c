/*
 * test_canonical - addresses put in the place of others
 */
#include <stdio.h>

#include "base/str.h"
#include "address/canonical.h"
#include "address/local_domain.h"
#include "conf_util.h"
#include "unit.h"

TEST(canonical, places)
{
	static const struct {
		const char *main, *address;
		enum canonical_place place;
		const char *expected; /* NULL: no answer */
	} rows[] = {
		{ "", "a@b.example", CANONICAL_HEADER_SENDER, "a@b.example" },
		{ "canonical_maps = inline:{a@b.example=c@d.example}\n", "a@b.example",
			CANONICAL_ENVELOPE_RECIPIENT, "c@d.example" },
		{ "canonical_maps = inline:{a@b.example=c@d.example}\n"
		  "canonical_classes = header_sender\n",
			"a@b.example", CANONICAL_ENVELOPE_RECIPIENT, "a@b.example" },
		{ "canonical_maps = inline:{a@b.example=c}\nrecipient_delimiter = +\n",
			"a+x@b.example", CANONICAL_ENVELOPE_SENDER, "c+x@origin.example" },
		{ "sender_canonical_maps = inline:{@b.example=@c.example}\n", "a@b.example",
			CANONICAL_HEADER_SENDER, "a@c.example" },
		{ "sender_canonical_maps = inline:{@b.example=@c.example}\n", "a@b.example",
			CANONICAL_HEADER_RECIPIENT, "a@b.example" },
		{ "recipient_canonical_maps = inline:{a@b.example=b@b.example,"
		  "b@b.example=c@b.example}\n",
			"a@b.example", CANONICAL_HEADER_RECIPIENT, "c@b.example" },
		/* A circle has no end: the mail waits until somebody mends it. */
		{ "canonical_maps = inline:{a@b.example=b@b.example,b@b.example=a@b.example}\n",
			"a@b.example", CANONICAL_HEADER_RECIPIENT, NULL },
		{ "canonical_maps = fail:no\n", "a@b.example", CANONICAL_HEADER_SENDER, NULL },
		{ "canonical_maps = fail:no\n", "", CANONICAL_ENVELOPE_SENDER, "" },
		{ "masquerade_domains = b.example\n", "a@h.b.example", CANONICAL_ENVELOPE_SENDER,
			"a@b.example" },
		{ "masquerade_domains = b.example\n", "a@h.b.example", CANONICAL_ENVELOPE_RECIPIENT,
			"a@h.b.example" },
		{ "masquerade_domains = b.example\n", "a@hb.example", CANONICAL_HEADER_SENDER,
			"a@hb.example" },
		{ "masquerade_domains = !h.b.example, b.example\n", "a@x.h.b.example",
			CANONICAL_HEADER_SENDER, "a@x.h.b.example" },
		{ "masquerade_domains = b.example\nmasquerade_exceptions = root, a\n",
			"A@h.b.example", CANONICAL_HEADER_SENDER, "A@h.b.example" },
		{ "masquerade_domains = B.example\n", "\"a b\"@h.b.example",
			CANONICAL_HEADER_SENDER, "\"a b\"@B.example" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = ARENA_INIT;
		char text[400];
		const char *to;

		snprintf(text, sizeof(text), "myorigin = origin.example\n%s", rows[i].main);
		conf_util_load(text);
		local_domain_init();
		canonical_init();
		CHECK_ROW(rows[i].main);
		to = canonical_address(&a, rows[i].address, rows[i].place);
		if (rows[i].expected == NULL) {
			CHECK(to == NULL);
		} else {
			CHECK_STR(to != NULL ? to : "(none)", rows[i].expected);
		}
		arena_free(&a);
	}
	canonical_free();
	local_domain_free();
}
