/*
 * tls_names - TLS errors, cipher suites and versions in words
 *
 * Suites carry the names OpenSSL gives them, because those stand in
 * everybody's logs and Received: headers. Errors say what happened, not the name
 * of a constant; a fatal alert from the peer is named as RFC 5246 7.2 does.
 */
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "net/tls.h"
#include "cert/tls_pem.h"

/*
 * Lists of (code, bits, text) that become one run of bytes each: code (two bytes), bits / 8, text
 * and its end. No pointers, which would make a page of it each process's own, and no padding.
 */
#define SUITES(ROW)                                                                             \
	ROW(BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, 256, "ECDHE-RSA-CHACHA20-POLY1305") \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 256,                              \
		"ECDHE-ECDSA-CHACHA20-POLY1305")                                                \
	ROW(BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 128, "ECDHE-RSA-AES128-GCM-SHA256")       \
	ROW(BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, 256, "ECDHE-RSA-AES256-GCM-SHA384")       \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 128, "ECDHE-ECDSA-AES128-GCM-SHA256")   \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, 256, "ECDHE-ECDSA-AES256-GCM-SHA384")   \
	ROW(BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, 128, "ECDHE-RSA-AES128-SHA256")           \
	ROW(BR_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384, 256, "ECDHE-RSA-AES256-SHA384")           \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, 128, "ECDHE-ECDSA-AES128-SHA256")       \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384, 256, "ECDHE-ECDSA-AES256-SHA384")       \
	ROW(BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, 128, "ECDHE-RSA-AES128-SHA")                 \
	ROW(BR_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, 256, "ECDHE-RSA-AES256-SHA")                 \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, 128, "ECDHE-ECDSA-AES128-SHA")             \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, 256, "ECDHE-ECDSA-AES256-SHA")             \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_AES_128_CCM, 128, "ECDHE-ECDSA-AES128-CCM")                 \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_AES_256_CCM, 256, "ECDHE-ECDSA-AES256-CCM")                 \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, 128, "ECDHE-ECDSA-AES128-CCM8")              \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8, 256, "ECDHE-ECDSA-AES256-CCM8")              \
	ROW(BR_TLS_RSA_WITH_AES_128_GCM_SHA256, 128, "AES128-GCM-SHA256")                       \
	ROW(BR_TLS_RSA_WITH_AES_256_GCM_SHA384, 256, "AES256-GCM-SHA384")                       \
	ROW(BR_TLS_RSA_WITH_AES_128_CCM, 128, "AES128-CCM")                                     \
	ROW(BR_TLS_RSA_WITH_AES_256_CCM, 256, "AES256-CCM")                                     \
	ROW(BR_TLS_RSA_WITH_AES_128_CCM_8, 128, "AES128-CCM8")                                  \
	ROW(BR_TLS_RSA_WITH_AES_256_CCM_8, 256, "AES256-CCM8")                                  \
	ROW(BR_TLS_RSA_WITH_AES_128_CBC_SHA256, 128, "AES128-SHA256")                           \
	ROW(BR_TLS_RSA_WITH_AES_256_CBC_SHA256, 256, "AES256-SHA256")                           \
	ROW(BR_TLS_RSA_WITH_AES_128_CBC_SHA, 128, "AES128-SHA")                                 \
	ROW(BR_TLS_RSA_WITH_AES_256_CBC_SHA, 256, "AES256-SHA")                                 \
	ROW(BR_TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, 112, "ECDHE-RSA-DES-CBC3-SHA")              \
	ROW(BR_TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA, 112, "ECDHE-ECDSA-DES-CBC3-SHA")          \
	ROW(BR_TLS_RSA_WITH_3DES_EDE_CBC_SHA, 112, "DES-CBC3-SHA")

#define ERRORS(ROW)                                                                             \
	ROW(BR_ERR_BAD_PARAM, 0, "bad parameter")                                               \
	ROW(BR_ERR_BAD_STATE, 0, "bad state")                                                   \
	ROW(BR_ERR_UNSUPPORTED_VERSION, 0, "unsupported protocol")                              \
	ROW(BR_ERR_BAD_VERSION, 0, "wrong version number")                                      \
	ROW(BR_ERR_BAD_LENGTH, 0, "bad record length (not TLS?)")                               \
	ROW(BR_ERR_TOO_LARGE, 0, "record too large")                                            \
	ROW(BR_ERR_BAD_MAC, 0, "decryption failed or bad record mac")                           \
	ROW(BR_ERR_NO_RANDOM, 0, "no random numbers available")                                 \
	ROW(BR_ERR_UNKNOWN_TYPE, 0, "unknown record type (not TLS?)")                           \
	ROW(BR_ERR_UNEXPECTED, 0, "unexpected message")                                         \
	ROW(BR_ERR_BAD_CCS, 0, "bad change cipher spec")                                        \
	ROW(BR_ERR_BAD_ALERT, 0, "bad alert")                                                   \
	ROW(BR_ERR_BAD_HANDSHAKE, 0, "bad handshake message")                                   \
	ROW(BR_ERR_OVERSIZED_ID, 0, "session id too long")                                      \
	ROW(BR_ERR_BAD_CIPHER_SUITE, 0, "no shared cipher")                                     \
	ROW(BR_ERR_BAD_COMPRESSION, 0, "no shared compression")                                 \
	ROW(BR_ERR_BAD_FRAGLEN, 0, "bad fragment length")                                       \
	ROW(BR_ERR_BAD_SECRENEG, 0, "bad secure renegotiation")                                 \
	ROW(BR_ERR_EXTRA_EXTENSION, 0, "unexpected extension")                                  \
	ROW(BR_ERR_BAD_SNI, 0, "bad server name")                                               \
	ROW(BR_ERR_BAD_HELLO_DONE, 0, "bad hello done")                                         \
	ROW(BR_ERR_LIMIT_EXCEEDED, 0, "limit exceeded")                                         \
	ROW(BR_ERR_BAD_FINISHED, 0, "bad finished message")                                     \
	ROW(BR_ERR_RESUME_MISMATCH, 0, "resumed session does not match")                        \
	ROW(BR_ERR_INVALID_ALGORITHM, 0, "no shared signature algorithm")                       \
	ROW(BR_ERR_BAD_SIGNATURE, 0, "bad signature")                                           \
	ROW(BR_ERR_WRONG_KEY_USAGE, 0, "wrong key usage")                                       \
	ROW(BR_ERR_NO_CLIENT_AUTH, 0, "no client certificate")                                  \
	ROW(BR_ERR_IO, 0, "input/output error")                                                 \
	ROW(BR_ERR_X509_EMPTY_CHAIN, 0, "the peer sent no certificate")                         \
	ROW(BR_ERR_X509_TRUNCATED, 0, "certificate is truncated")                               \
	ROW(BR_ERR_X509_LIMIT_EXCEEDED, 0, "certificate or key is too large")                   \
	ROW(BR_ERR_X509_WRONG_KEY_TYPE, 0, "wrong certificate key type")                        \
	ROW(BR_ERR_X509_BAD_SIGNATURE, 0, "certificate signature failure")                      \
	ROW(BR_ERR_X509_TIME_UNKNOWN, 0, "the time is not known")                               \
	ROW(BR_ERR_X509_EXPIRED, 0, "certificate has expired or is not yet valid")              \
	ROW(BR_ERR_X509_DN_MISMATCH, 0, "certificate chain is broken")                          \
	ROW(BR_ERR_X509_BAD_SERVER_NAME, 0, "certificate is for another name")                  \
	ROW(BR_ERR_X509_CRITICAL_EXTENSION, 0, "certificate has an unknown critical extension") \
	ROW(BR_ERR_X509_NOT_CA, 0, "certificate chain holds a certificate that is no CA")       \
	ROW(BR_ERR_X509_FORBIDDEN_KEY_USAGE, 0, "certificate forbids this use of its key")      \
	ROW(BR_ERR_X509_WEAK_PUBLIC_KEY, 0, "certificate key is too weak")                      \
	ROW(BR_ERR_X509_NOT_TRUSTED, 0, "certificate is not trusted")

/* RFC 5246 7.2.2, RFC 6066 9, RFC 7301 3.2. */
#define ALERTS(ROW)                           \
	ROW(0, 0, "close notify")             \
	ROW(10, 0, "unexpected message")      \
	ROW(20, 0, "bad record mac")          \
	ROW(21, 0, "decryption failed")       \
	ROW(22, 0, "record overflow")         \
	ROW(30, 0, "decompression failure")   \
	ROW(40, 0, "handshake failure")       \
	ROW(42, 0, "bad certificate")         \
	ROW(43, 0, "unsupported certificate") \
	ROW(44, 0, "certificate revoked")     \
	ROW(45, 0, "certificate expired")     \
	ROW(46, 0, "certificate unknown")     \
	ROW(47, 0, "illegal parameter")       \
	ROW(48, 0, "unknown ca")              \
	ROW(49, 0, "access denied")           \
	ROW(50, 0, "decode error")            \
	ROW(51, 0, "decrypt error")           \
	ROW(70, 0, "protocol version")        \
	ROW(71, 0, "insufficient security")   \
	ROW(80, 0, "internal error")          \
	ROW(86, 0, "inappropriate fallback")  \
	ROW(90, 0, "user canceled")           \
	ROW(100, 0, "no renegotiation")       \
	ROW(110, 0, "unsupported extension")  \
	ROW(112, 0, "unrecognized name")      \
	ROW(120, 0, "no application protocol")

#define TYPE(code, bits, text)           \
	struct {                         \
		unsigned char head[3];   \
		char name[sizeof(text)]; \
	} row_##code;
#define VALUE(code, bits, text) { { (code) >> 8, (code)&0xff, (bits) / 8 }, text },

static const struct {
	SUITES(TYPE)
} suites = { SUITES(VALUE) };
static const struct {
	ERRORS(TYPE)
} errors = { ERRORS(VALUE) };
static const struct {
	ALERTS(TYPE)
} alerts = { ALERTS(VALUE) };

/* find - the text of a code in a list; its bits / 8 are the byte before. NULL: none */
static const char *find(const void *list, size_t size, unsigned code)
{
	const char *row = list, *end = row + size;

	while (row < end) {
		const unsigned char *head = (const unsigned char *)row;

		if ((unsigned)(head[0] << 8 | head[1]) == code) {
			return row + 3;
		}
		row += 3 + strlen(row + 3) + 1;
	}
	return NULL;
}

const char *tls_error_name(int code)
{
	const char *name;

	if (code >= BR_ERR_SEND_FATAL_ALERT) {
		name = find(&alerts, sizeof(alerts), (unsigned)(code - BR_ERR_SEND_FATAL_ALERT));
	} else if (code >= BR_ERR_RECV_FATAL_ALERT) {
		/* Said by the peer, as OpenSSL names it, so that fail2ban and people know it. */
		code -= BR_ERR_RECV_FATAL_ALERT;
		name = find(&alerts, sizeof(alerts), (unsigned)code);
	} else {
		name = find(&errors, sizeof(errors), (unsigned)code);
		if (name == NULL && code >= BR_ERR_X509_INVALID_VALUE &&
			code <= BR_ERR_X509_UNSUPPORTED) {
			return "malformed certificate";
		}
	}
	return name != NULL ? name : "unknown error";
}

const char *tls_suite_name(unsigned suite)
{
	const char *name = find(&suites, sizeof(suites), suite);

	return name != NULL ? name : "unknown";
}

int tls_suite_bits(unsigned suite)
{
	const char *name = find(&suites, sizeof(suites), suite);

	return name != NULL ? (unsigned char)name[-1] * 8 : 0;
}

/* has_kind - what OpenSSL's cipher strings call the kinds of a suite, besides parts of its name */
static bool has_kind(const char *name, struct slice word)
{
	bool ecdhe = str_starts(name, "ECDHE-");

	if (slice_ieq(word, "kRSA") || slice_ieq(word, "RSA")) {
		return !ecdhe;
	}
	if (slice_ieq(word, "aECDSA")) {
		return str_starts(name, "ECDHE-ECDSA-");
	}
	if (slice_ieq(word, "aRSA")) {
		return !str_starts(name, "ECDHE-ECDSA-");
	}
	if (slice_ieq(word, "kECDHE") || slice_ieq(word, "EECDH") || slice_ieq(word, "kEECDH")) {
		return ecdhe;
	}
	if (slice_ieq(word, "AES")) {
		return strstr(name, "AES") != NULL;
	}
	if (slice_ieq(word, "AESGCM")) {
		return strstr(name, "-GCM-") != NULL;
	}
	if (slice_ieq(word, "AESCCM")) {
		return strstr(name, "-CCM") != NULL;
	}
	return (slice_ieq(word, "SHA1") || slice_ieq(word, "SHA")) && str_ends(name, "-SHA");
}

bool tls_suite_in(unsigned suite, const char *list)
{
	const char *name = tls_suite_name(suite);
	struct slice rest = slice_of(list), word;

	while ((word = slice_word(&rest, ", :\t\r\n")).ptr != NULL) {
		struct slice parts = slice_of(name), part;

		if (slice_ieq(word, name) || has_kind(name, word)) {
			return true;
		}
		while ((part = slice_word(&parts, "-")).ptr != NULL) {
			if (part.len == word.len &&
				strncasecmp(part.ptr, word.ptr, word.len) == 0 &&
				!slice_ieq(word, "RSA") && !slice_ieq(word, "SHA")) {
				return true;
			}
		}
	}
	return false;
}

/* ---- Versions ---- */

/* version_of - 0: none that we know */
static int version_of(struct slice word)
{
	static const struct {
		char name[8];
		int version;
	} rows[] = {
		{ "SSLv2", 8 },
		{ "SSLv3", 9 },
		{ "TLSv1", 10 },
		{ "TLSv1.0", 10 },
		{ "TLSv1.1", 11 },
		{ "TLSv1.2", 12 },
		{ "TLSv1.3", 13 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (slice_ieq(word, rows[i].name)) {
			return rows[i].version;
		}
	}
	return 0;
}

/* take_word - ">=X", "<=X", "!X", "X"; false: none of these */
static bool take_word(
	struct slice word, int *least, int *most, unsigned *listed, unsigned *excluded)
{
	bool bound = word.len > 2 && word.ptr[1] == '=';
	size_t skip = bound ? 2 : word.ptr[0] == '!' ? 1 : 0;
	int version = version_of((struct slice){ word.ptr + skip, word.len - skip });

	if (version == 0) {
		return false;
	}
	if (!bound) {
		*(skip == 1 ? excluded : listed) |= 1u << version;
	} else if (word.ptr[0] == '>') {
		*least = version;
	} else if (word.ptr[0] == '<') {
		*most = version;
	} else {
		return false;
	}
	return true;
}

bool tls_versions(const char *protocols, int *min, int *max)
{
	struct slice rest = slice_of(protocols), word;
	unsigned listed = 0, excluded = 0;
	int least = 10, most = 12;

	while ((word = slice_word(&rest, ", :\t\r\n")).ptr != NULL) {
		if (!take_word(word, &least, &most, &listed, &excluded)) {
			return false;
		}
	}
	excluded |= listed != 0 ? ~listed : 0;
	*max = most < 12 ? most : 12;
	while (*max >= 10 && (excluded >> *max & 1)) {
		--*max;
	}
	/* What we offer has no holes: from the newest down. */
	*min = *max;
	least = least > 10 ? least : 10;
	while (*min > least && !(excluded >> (*min - 1) & 1)) {
		--*min;
	}
	if (*max < least) {
		*min = *max + 1;
	}
	return true;
}
