/*
 * fuzz_tls_policy - rows of smtp_tls_policy_maps, lists of TLS versions, names of certificates
 *
 * The input: a row, "%%", a name of a certificate, "%%", the name that is wanted. What a row says
 * has a level that can have it; a name that matches is equal, or stands for its ending.
 */
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "cert/tls_match.h"
#include "applets/deliver/smtp/tls_policy_impl.h"
#include "fuzz.h"

static void check_row(const char *row)
{
	struct tls_policies ps = { .refs = 1 };
	struct tls_policy p = { .ps = &ps };
	int min = 0, max = 0;

	if (tls_policy_read(&p, row, "row")) {
		enum tls_level level;

		REQUIRE(tls_level_parse(tls_level_name(p.level), &level) && level == p.level);
		REQUIRE(p.match_count == 0 || p.level > TLS_LEVEL_ENCRYPT);
		REQUIRE(p.ca_file_count == 0 || p.level >= TLS_LEVEL_VERIFY);
		REQUIRE(p.grade == NULL || p.grade[0] != '\0');
		for (size_t i = 0; i < p.match_count; i++) {
			REQUIRE(p.match[i][0] != '\0' && strpbrk(p.match[i], " ,\t") == NULL);
		}
	}
	if (tls_versions(row, &min, &max)) {
		REQUIRE(max <= 12 && min >= 8 && (min > max || min >= 10));
	}
	arena_free(&p.a);
}

static void check_names(const char *host, const char *want)
{
	size_t len = strlen(host), want_len = strlen(want);

	for (int several = 0; several < 2; several++) {
		if (!tls_host_matches(host, want, several != 0)) {
			REQUIRE(strchr(host, '*') != NULL || want[0] == '.' ||
				!str_ieq(host, want));
			continue;
		}
		if (want[0] == '.') {
			REQUIRE(len > want_len && str_ieq(host + len - want_len, want));
		} else if (host[0] == '*') {
			/* At least two labels behind it, and at least one byte for it. */
			REQUIRE(host[1] == '.' && strchr(host + 2, '.') != NULL && want_len >= len);
			REQUIRE(str_ieq(want + want_len - (len - 1), host + 1));
		} else {
			REQUIRE(str_ieq(host, want));
		}
	}
}

void fuzz(const char *data, size_t len)
{
	struct slice rest = { data, len }, part;
	char *texts[3];

	for (size_t i = 0; i < 3; i++) {
		part = fuzz_part(&rest);
		if (part.len > 0 && part.ptr[part.len - 1] == '\n') {
			part.len--;
		}
		texts[i] = mem_strndup(part.ptr, part.len);
	}
	check_row(texts[0]);
	check_names(texts[1], texts[2]);
	for (size_t i = 0; i < 3; i++) {
		mem_free(texts[i]);
	}
}
