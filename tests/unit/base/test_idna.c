/*
 * test_idna - names in letters beyond ASCII
 */
#include <string.h>

#include "base/str.h"
#include "base/idna.h"
#include "unit.h"

#define A10 "aaaaaaaaaa"
#define U10 "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
#define U60 U10 U10 U10 U10 U10 U10
#define L60 A10 A10 A10 A10 A10 A10

TEST(idna, names)
{
	static const struct {
		const char *name, *ascii; /* NULL: none */
		bool sure;
	} rows[] = {
		{ "far.example", "far.example", true },
		{ "", "", true },
		{ "b\xc3\xbc"
		  "cher.example",
			"xn--bcher-kva.example", true },
		{ "www.B\xc3\x9c"
		  "CHER.example.",
			"www.xn--BCHER-kva.example.", true },
		{ "stra\xc3\x9f"
		  "e.example",
			"xn--strae-oqa.example", true },
		{ "\xc3\xa4.\xc3\xb6\xe3\x80\x82\xc3\xbc", "xn--4ca.xn--nda.xn--tda", true },
		{ "\xce\xa0\xce\xb1.example", "xn--mxa3a.example", true },
		{ "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd1\x80\xd1\x84",
			"xn--e1afmkfd.xn--p1ai", true },
		{ "\xd0\x9f\xd0\xa0\xd0\x98\xd0\x9c\xd0\x95\xd0\xa0.\xd1\x80\xd1\x84",
			"xn--e1afmkfd.xn--p1ai", true },
		{ "\xe4\xbe\x8b\xe5\xad\x90.example", "xn--fsqu00a.example", true },
		/* RFC 3492 7.1 (B), (L), (S) */
		{ "\xe4\xbb\x96\xe4\xbb\xac\xe4\xb8\xba\xe4\xbb\x80\xe4\xb9\x88\xe4\xb8\x8d"
		  "\xe8\xaf\xb4\xe4\xb8\xad\xe6\x96\x87",
			"xn--ihqwcrb4cv8a8dqg056pqjye", true },
		{ "3\xe5\xb9\xb4"
		  "B\xe7\xb5\x84\xe9\x87\x91\xe5\x85\xab\xe5\x85\x88\xe7\x94\x9f",
			"xn--3B-ww4c5e180e575a65lsy2b", true },
		/* What would have to be brought into another form first. */
		{ "bu\xcc\x88"
		  "cher.example",
			"xn--bucher-xyd.example", false },
		{ "\xef\xbd\x81.example", "xn--mi7c.example", false },
		{ "\xe2\x98\x83.example", "xn--n3h.example", false },
		{ "\xff.example", NULL, true },
		{ "\xc3.example", NULL, true },
		{ U60 "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc", NULL, true },
		{ L60 "\xc3\xbc", NULL, true },
		{ L60 "." L60 "." L60 "." L60 "." A10 ".\xc3\xbc", NULL, true },
	};
	char room[IDNA_ROOM];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool sure;
		const char *ascii = idna_ascii(rows[i].name, room, &sure);

		CHECK_ROW(rows[i].name);
		CHECK(rows[i].ascii == NULL ? ascii == NULL
					    : ascii != NULL && strcmp(ascii, rows[i].ascii) == 0);
		CHECK(rows[i].ascii == NULL || sure == rows[i].sure);
	}
}
