/*
 * test_scheme - stored passwords: the right one is taken, everything near it is not
 */
#include <stdio.h>
#include <string.h>

#include "config/features.h"
#include "base/crypto.h"
#include "applets/admin/auth/scheme.h"
#include "trace.h"
#include "unit.h"

/* All of "secret"; the hashes by `doveadm pw' of Dovecot 2.3.19. */
static const char *const stored[] = {
	"secret",
	"{PLAIN}secret",
	"{cleartext}secret",
	"{PLAIN.HEX}736563726574",
	"{PLAIN.b64}c2VjcmV0",
	"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
	"{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=",
	"{SHA512}vSsar3708Jvp9Szi2NWZZ02Bqp1qRCFpbcTZPdBhnWgs5WtNZKnvCXdhztmeD2cmW192CF5bDufK"
	"RpayrW/isg==",
	"{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69",
	"{LDAP-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==",
	"{SMD5}XenpKt1FXHR2Omp3bquKHyJWX5o=",
	"{SSHA}E1q1l72OYn4P1yRf1cX2QhE0HayKu7ls",
	"{SSHA256}RdaP/fjG9HmKgkGAmi0fsBKwzEtjDfjeGEz39+PEARUZVCsl",
	"{SSHA512}SIjGOGcF84+cM16gkKhNouycSIwQfF1Gcl7xQ2uwk3NoO6QGGZdmdAeFKPtgz+QVwawKFsDBVqx/"
	"OhtpNXmatZ/YXts=",
	"{SCRAM-SHA-1}4096,Xs7sTywgHA+DRuCfuI7V5g==,rWRVxG/Dx5j8JP40ICPpIDt/tBE=,"
	"cX5mGfk12swQp72GBxntstHOaXY=",
	"{SCRAM-SHA-256}4096,PJIgq+kGmwE512nZ0Hn69w==,"
	"GfQrzPfb+nH24zJvy7x1Fcg7bA+kLZYSPxq2Kb0VVcc=,NU8ALFbHYiQF5jBbehXRvSYgVYykIiwqo0f3++6KInY=",
	"{PBKDF2}$1$XawkMvJYzgpHktMj$5000$12c76e234086e87e0a466e32d2895924ebb5b229",
	"{MD5-CRYPT}$1$cH5oh8rz$CyEuKPjEBw.rX0/hVe5Ra/",
	"{SHA256-CRYPT}$5$8Ozn.I2yDWuCfyG9$thiNX8u4xzLqSHlNMvbdMFdyTjwTsgX9W5UZlkfTQkC",
	"{CRYPT}$6$2y/KXarV1kp5MB82$yoqu/Bn9a5krVhTOT8/ICYhg01WXe6imXA5bRhYF1WA4cugLzze8aF3kiEsS"
	"3acD.NygHCw8GH3KViXTqVj6k/",
};

TEST(scheme, right_password_alone)
{
	static const char *const wrong[] = { "", "s", "secre", "secret1", "secrets", "Secret",
		"xecret", "secrex", "secretsecret", " secret", "secret ", "{PLAIN}secret" };
	const char *error;

	for (size_t i = 0; i < ARRAY_LEN(stored); i++) {
		CHECK_ROW(stored[i]);
		CHECK_INT(scheme_check(stored[i], "PLAIN", "secret", &error), SCHEME_MATCH);
		for (size_t k = 0; k < ARRAY_LEN(wrong); k++) {
			CHECK_INT(scheme_check(stored[i], "PLAIN", wrong[k], &error),
				SCHEME_MISMATCH);
		}
		/* The hash itself is no password. */
		if (strchr(stored[i], '}') != NULL) {
			CHECK_INT(scheme_check(stored[i], "PLAIN", stored[i], &error),
				SCHEME_MISMATCH);
		}
	}
	CHECK_ROW(NULL);
}

/* What no password opens: locked accounts, nothing stored, hashes cut short. */
TEST(scheme, no_password_at_all)
{
	static const char *const none[] = { "{CRYPT}", "{CRYPT}*", "{CRYPT}!", "{CRYPT}!$6$x$y",
		"{CRYPT}x", "{CRYPT}$6$", "{CRYPT}$6$2y/KXarV1kp5MB82$", "{SHA}", "{SHA256}K7gN",
		"{SSHA}", "{SMD5}", "{PLAIN-MD5}5ebe", "{SCRAM-SHA-1}", "{PBKDF2}$1$x$1$",
		"{NOSUCH}secret", "{SCRAM-SHA-256}4096,,,", "{}secret", "{PLAIN}", "" };
	static const char *const tried[] = { "", "secret", "*", "!", "x" };
	const char *error;

	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		CHECK_ROW(none[i]);
		for (size_t k = 0; k < ARRAY_LEN(tried); k++) {
			CHECK(scheme_check(none[i], "CRYPT", tried[k], &error) != SCHEME_MATCH);
		}
	}
	CHECK_ROW(NULL);
}

static unsigned char secret[64], guess[64];
static bool answer;

static void compare(void)
{
	answer = equal_secret(secret, guess, sizeof(secret));
}

/* equal_secret - every byte counts, and it takes as many instructions wherever they differ */
TEST(crypto, equal_secret_looks_at_all)
{
	int64_t steps;

	memset(secret, 'a', sizeof(secret));
	memset(guess, 'a', sizeof(guess));
	compare();
	CHECK(answer);
	steps = trace_instructions(compare);
	CHECK(steps > (int64_t)sizeof(secret));
	for (size_t i = 0; i < sizeof(guess); i++) {
		guess[i] ^= 0x80;
		compare();
		CHECK(!answer);
		if (i % 21 == 0) {
			CHECK_INT(trace_instructions(compare), steps);
		}
		guess[i] ^= 0x80;
	}
}
