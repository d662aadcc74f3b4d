/*
 * test_dsn_code - which texts begin with an enhanced status code
 */
#include "base/str.h"
#include "proto/dsn_code.h"
#include "unit.h"

TEST(dsn_code, length)
{
	static const struct {
		const char *text;
		size_t length;
	} rows[] = {
		{ "5.2.2 over quota", 5 },
		{ "4.7.0", 5 },
		{ "2.0.0\tfine", 5 },
		{ "5.123.123 long", 9 },
		{ "5.1.1\nuser", 5 },
		{ "3.1.1 no such class", 0 },
		{ "5.1234.1 subject", 0 },
		{ "5.1.1234 detail", 0 },
		{ "5.1.1x", 0 },
		{ "5.1.1.1 address", 0 },
		{ "5..1 x", 0 },
		{ "5.1. x", 0 },
		{ "5.1", 0 },
		{ "5", 0 },
		{ "", 0 },
		{ " 5.1.1", 0 },
		{ "55.1.1", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_ROW(rows[i].text);
		CHECK_INT((long)dsn_code_length(rows[i].text), (long)rows[i].length);
	}
}
