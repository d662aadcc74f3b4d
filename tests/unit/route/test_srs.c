/*
 * test_srs - senders of forwarded mail, rewritten and turned back
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/str.h"
#include "route/srs.h"
#include "conf_util.h"
#include "unit.h"

static void load(const char *secrets)
{
	char path[4200], text[4500];
	FILE *file;

	log_open("unit", LOG_TO_FILE);
	snprintf(path, sizeof(path), "%s/secret", unit_tmpdir());
	file = fopen(path, "w");
	REQUIRE(file != NULL);
	fputs(secrets, file);
	fclose(file);
	snprintf(text, sizeof(text), "srs_domain = here.example\nsrs_secret_file = %s\n", path);
	conf_util_load(text);
	srs_init();
}

/* day_of - the two letters of a day so many before today */
static const char *day_of(int ago)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	static char day[3];
	int64_t n = (clock_wall_us() / 1000000 / 86400 - ago) % 1024;

	day[0] = letters[n / 32];
	day[1] = letters[n % 32];
	return day;
}

/* signed_with - "HHHH" of the lower-case text that the parts make together */
static const char *signed_with(const char *secret, const char *text)
{
	static char hash[5];
	unsigned char sum[DIGEST_MAX];
	const struct slice part = slice_of(text);
	struct buf b = BUF_INIT;

	hmac_of(DIGEST_SHA1, secret, strlen(secret), &part, 1, sum);
	base64_encode(&b, sum, 20);
	snprintf(hash, sizeof(hash), "%.4s", buf_str(&b));
	buf_free(&b);
	return hash;
}

static const char *srs0(struct arena *a, const char *secret, int ago)
{
	char *text = arena_printf(a, "%sfrom.exampleuser", day_of(ago));

	str_lower(text);
	return arena_printf(a, "SRS0=%s=%s=from.example=User@here.example",
		signed_with(secret, text), day_of(ago));
}

TEST(srs, there_and_back)
{
	struct arena a = ARENA_INIT;
	const char *once, *twice, *again;

	load("tops3cret\nolder\n");
	once = srs_forward(&a, "User@from.example");
	CHECK_STR(once, srs0(&a, "tops3cret", 0));
	CHECK_STR(srs_reverse(&a, once), "User@from.example");
	/* An SRS0 of another host: it is asked to turn its part back. */
	twice = srs_forward(&a, "SRS0=abcd=XY=from.example=user@first.example");
	CHECK_STR(twice,
		arena_printf(&a, "SRS1=%s=first.example==abcd=XY=from.example=user@here.example",
			signed_with("tops3cret", "first.example=abcd=xy=from.example=user")));
	CHECK_STR(srs_reverse(&a, twice), "SRS0=abcd=XY=from.example=user@first.example");
	/* An SRS1 stays as long as it is. */
	again = srs_forward(
		&a, "SRS1=efgh=first.example==abcd=XY=from.example=user@second.example");
	CHECK_STR(again, twice);
	CHECK_STR(srs_reverse(&a, srs_forward(&a, "\"odd user=x\"@from.example")),
		"\"odd user=x\"@from.example");
	arena_free(&a);
	srs_free();
}

TEST(srs, is_believed)
{
	static const char *const strange[] = { "SRS0=abcd=AA=from.example=user@here.example",
		"SRS0=@here.example", "SRS0=a@here.example", "SRS0=a=b@here.example",
		"SRS0=a=b=c@here.example", "SRS0=a=b=c=@here.example", "SRS0@here.example",
		"SRS1=a=b@here.example", "SRS1=a=b=@here.example", "SRS1=a=b==c@here.example",
		"SRS2=a=b=c=d@here.example", "user@here.example", "SRS", "" };
	struct arena a = ARENA_INIT;
	char *other;

	load("tops3cret\nolder\n");
	CHECK_STR(srs_reverse(&a, srs0(&a, "older", 0)), "User@from.example");
	CHECK(srs_reverse(&a, srs0(&a, "another", 0)) == NULL);
	CHECK(srs_reverse(&a, srs0(&a, "tops3cret", 21)) != NULL);
	CHECK(srs_reverse(&a, srs0(&a, "tops3cret", 22)) == NULL);
	CHECK(srs_reverse(&a, srs0(&a, "tops3cret", -3)) == NULL);
	other = arena_strdup(&a, srs0(&a, "tops3cret", 0));
	str_lower(other); /* hosts on the way may do so */
	CHECK_STR(srs_reverse(&a, other), "user@from.example");
	CHECK(srs_reverse(&a,
		      arena_printf(&a, "%.*s@there.example", (int)(strchr(other, '@') - other),
			      other)) == NULL);
	for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
		CHECK_ROW(strange[i]);
		CHECK(srs_reverse(&a, strange[i]) == NULL);
	}
	CHECK_ROW(NULL);
	load("\n\n");
	CHECK(!srs_is_on());
	CHECK_STR(srs_forward(&a, "u@from.example"), "u@from.example");
	CHECK(srs_reverse(&a, srs0(&a, "tops3cret", 0)) == NULL);
	arena_free(&a);
	srs_free();
}
