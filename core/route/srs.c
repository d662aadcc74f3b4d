/*
 * srs - senders of forwarded mail, rewritten and turned back
 *
 * The hash is the first four letters of base64(HMAC-SHA1(secret, lower(parts))), of the day, host
 * and user for SRS0, of host and user for SRS1. The secret file has one a line: the first signs,
 * all are believed, so that a new one can be put before the old one.
 */
#include "route/srs.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "address/lookup.h"

enum {
	HASH_LENGTH = 4,
	DAY_SECONDS = 86400,
	DAYS = 1024, /* two letters of 32 each */
	MAX_AGE = 21,
	SECRETS_MAX = 4096,
	LOCAL_MAX = 400 /* senders that would grow above it stay (RFC 5321 4.5.3.1 is stricter) */
};

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static struct {
	char *secrets; /* the file; NULL: nothing is rewritten */
	size_t len;
} compiled;

void srs_free(void)
{
	if (compiled.secrets != NULL) {
		forget(compiled.secrets, compiled.len);
	}
	mem_free(compiled.secrets);
	memset(&compiled, 0, sizeof(compiled));
}

/* next_secret - false: there is no other */
static bool next_secret(struct slice *rest, struct slice *secret)
{
	*secret = slice_word(rest, "\r\n");
	return secret->ptr != NULL;
}

void srs_init(void)
{
	struct slice rest, first;

	srs_free();
	if (*param.srs_domain == '\0' || *param.srs_secret_file == '\0') {
		return;
	}
	compiled.secrets = file_read(param.srs_secret_file, SECRETS_MAX, &compiled.len);
	if (compiled.secrets == NULL) {
		log_warn("srs_secret_file = %s: %s: senders of forwarded mail stay as they are",
			param.srs_secret_file, strerror(errno));
		return;
	}
	rest = (struct slice){ compiled.secrets, compiled.len };
	if (!next_secret(&rest, &first)) {
		log_warn("srs_secret_file = %s: there is no secret in it", param.srs_secret_file);
		srs_free();
	}
}

bool srs_is_on(void)
{
	return compiled.secrets != NULL;
}

/* ---- Parts ---- */

static void put_hash(
	char out[HASH_LENGTH + 1], struct slice secret, const struct slice *parts, size_t count)
{
	unsigned char sum[DIGEST_MAX];
	struct buf text = BUF_INIT, low = BUF_INIT;
	struct slice all;

	for (size_t i = 0; i < count; i++) {
		buf_add(&low, parts[i].ptr, parts[i].len);
	}
	(void)buf_str(&low);
	str_lower(low.data);
	all = (struct slice){ low.data, low.len };
	hmac_of(DIGEST_SHA1, secret.ptr, secret.len, &all, 1, sum);
	base64_encode(&text, sum, digest_size(DIGEST_SHA1));
	memcpy(out, text.data, HASH_LENGTH);
	out[HASH_LENGTH] = '\0';
	buf_free(&text);
	buf_free(&low);
}

/* is_ours - has one of our secrets made this hash? Some hosts on the way change its case */
static bool is_ours(struct slice hash, const struct slice *parts, size_t count)
{
	struct slice rest = { compiled.secrets, compiled.len }, secret;
	char own[HASH_LENGTH + 1];

	while (next_secret(&rest, &secret)) {
		put_hash(own, secret, parts, count);
		if (slice_ieq(hash, own)) {
			return true;
		}
	}
	return false;
}

static unsigned today(void)
{
	return (unsigned)(clock_wall_us() / 1000000 / DAY_SECONDS % DAYS);
}

/* is_recent - two letters for a day of the last MAX_AGE */
static bool is_recent(struct slice day)
{
	unsigned made = 0;

	if (day.len != 2) {
		return false;
	}
	for (size_t i = 0; i < 2; i++) {
		char c = day.ptr[i] >= 'a' && day.ptr[i] <= 'z' ? (char)(day.ptr[i] - 'a' + 'A')
								: day.ptr[i];
		const char *at = memchr(letters, c, sizeof(letters) - 1);

		if (at == NULL) {
			return false;
		}
		made = made * 32 + (unsigned)(at - letters);
	}
	/* A clock that is a day behind is not ours to judge. */
	return (today() + DAYS - made) % DAYS <= MAX_AGE || (made + DAYS - today()) % DAYS <= 1;
}

/* is_srs - SRS0 or SRS1 and a separator */
static bool is_srs(const char *local, char digit)
{
	return str_istarts(local, "SRS") && local[3] == digit && local[4] != '\0' &&
		strchr("=+-", local[4]) != NULL;
}

/* cut - what stands before the next '=' */
static bool cut(struct slice *rest, struct slice *part)
{
	const char *end = memchr(rest->ptr, '=', rest->len);

	if (end == NULL || end == rest->ptr) {
		return false;
	}
	*part = (struct slice){ rest->ptr, (size_t)(end - rest->ptr) };
	rest->len -= part->len + 1;
	rest->ptr = end + 1;
	return true;
}

/* ---- Forward ---- */

/* wrap - SRS1: the host that has made the SRS0 keeps what it needs to turn it back */
static const char *wrap(struct arena *a, struct slice secret, struct slice host, const char *user)
{
	const struct slice parts[] = { host, slice_of(user) };
	char hash[HASH_LENGTH + 1];

	put_hash(hash, secret, parts, 2);
	return arena_printf(a, "SRS1=%s=%.*s=%s", hash, (int)host.len, host.ptr, user);
}

const char *srs_forward(struct arena *a, const char *sender)
{
	struct slice rest = { compiled.secrets, compiled.len }, secret, host;
	const char *domain = address_domain(sender), *local = address_local(a, sender), *made;
	char hash[HASH_LENGTH + 1], day[3] = { letters[today() / 32], letters[today() % 32], '\0' };

	if (compiled.secrets == NULL || !next_secret(&rest, &secret)) {
		return sender;
	}
	if (is_srs(local, '0')) {
		made = wrap(a, secret, slice_of(domain), local + 4);
	} else if (is_srs(local, '1')) {
		rest = slice_of(local + 5);
		if (!cut(&rest, &host) || !cut(&rest, &host)) {
			return sender;
		}
		made = wrap(a, secret, host, rest.ptr);
	} else {
		const struct slice parts[] = { slice_of(day), slice_of(domain), slice_of(local) };

		put_hash(hash, secret, parts, 3);
		made = arena_printf(a, "SRS0=%s=%s=%s=%s", hash, day, domain, local);
	}
	return strlen(made) <= LOCAL_MAX ? address_make(a, made, param.srs_domain) : sender;
}

/* ---- Reverse ---- */

static const char *reverse0(struct arena *a, struct slice rest)
{
	struct slice hash, day, host;
	const char *user;

	if (!cut(&rest, &hash) || !cut(&rest, &day) || !cut(&rest, &host) || rest.len == 0 ||
		!is_recent(day)) {
		return NULL;
	}
	user = arena_strndup(a, rest.ptr, rest.len);
	return is_ours(hash, (const struct slice[]){ day, host, rest }, 3)
		? address_make(a, user, arena_strndup(a, host.ptr, host.len))
		: NULL;
}

static const char *reverse1(struct arena *a, struct slice rest)
{
	struct slice hash, host;

	if (!cut(&rest, &hash) || !cut(&rest, &host) || rest.len < 2 ||
		strchr("=+-", rest.ptr[0]) == NULL) {
		return NULL;
	}
	return is_ours(hash, (const struct slice[]){ host, rest }, 2)
		? address_make(a, arena_printf(a, "SRS0%.*s", (int)rest.len, rest.ptr),
			  arena_strndup(a, host.ptr, host.len))
		: NULL;
}

const char *srs_reverse(struct arena *a, const char *address)
{
	const char *local;

	if (compiled.secrets == NULL || !str_ieq(address_domain(address), param.srs_domain)) {
		return NULL;
	}
	local = address_local(a, address);
	return is_srs(local, '0')    ? reverse0(a, slice_of(local + 5))
		: is_srs(local, '1') ? reverse1(a, slice_of(local + 5))
				     : NULL;
}
