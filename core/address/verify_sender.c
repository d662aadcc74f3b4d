/*
 * verify_sender - the envelope sender of address probes
 *
 * As verify(8) has it: with a time to live the number of the period, to the base of 31, stands
 * behind the local part.
 */
#include "address/verify_sender.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "conf/params.h"
#include "address/lookup.h"
#include "address/rewrite.h"

enum { BASE = 31, DIGITS = 16 };

/* digits - n to the base of 31, without vowels, as Postfix writes it */
static const char *digits(char out[DIGITS], int64_t n)
{
	static const char set[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
	size_t at = DIGITS;

	out[--at] = '\0';
	do {
		out[--at] = set[n % BASE];
		n /= BASE;
	} while (n > 0);
	return out + at;
}

/* sender_of - the one of a period; "" */
static const char *sender_of(struct arena *a, int64_t period)
{
	const char *plain = param.address_verify_sender, *at;
	char text[DIGITS];

	if (*plain == '\0' || strcmp(plain, "<>") == 0) {
		return "";
	}
	at = strrchr(plain, '@');
	if (param.address_verify_sender_ttl > 0) {
		plain = arena_printf(a, "%.*s%s%s",
			(int)(at != NULL ? (size_t)(at - plain) : strlen(plain)), plain,
			digits(text, period), at != NULL ? at : "");
	}
	return rewrite_address(a, plain, REWRITE_LOCAL);
}

static int64_t period_now(void)
{
	return param.address_verify_sender_ttl > 0
		? clock_wall_us() / 1000000 / param.address_verify_sender_ttl
		: 0;
}

const char *verify_sender(struct arena *a)
{
	return sender_of(a, period_now());
}

bool verify_sender_is(struct arena *a, const char *address)
{
	int64_t now = period_now();
	const char *full = *address != '\0' ? rewrite_address(a, address, REWRITE_LOCAL) : "";

	for (int64_t period = now > 0 ? now - 1 : 0; *full != '\0' && period <= now + 1; period++) {
		if (str_ieq(sender_of(a, period), full)) {
			return true;
		}
	}
	return false;
}
