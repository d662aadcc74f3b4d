/*
 * canonical - addresses put in the place of others, in envelopes and headers
 *
 *	sender: sender_canonical_maps, recipient: recipient_canonical_maps
 *	-> canonical_maps
 *	-> masquerade_domains: user@host.example.com becomes user@example.com
 *
 * Each as often as it changes something, up to ROUNDS. Postfix canonical(5), postconf(5).
 */
#include "address/canonical.h"

#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map.h"
#include "map/map_wait.h"
#include "address/lookup.h"
#include "address/rewrite.h"

enum { ROUNDS = 10 };

enum table { TABLE_SENDER, TABLE_RECIPIENT, TABLE_COMMON, TABLES };

static const char *const place_names[CANONICAL_PLACES] = { "envelope_sender", "envelope_recipient",
	"header_sender", "header_recipient" };
static const char *const table_names[TABLES] = { "sender_canonical_maps",
	"recipient_canonical_maps", "canonical_maps" };

/* param, compiled: what canonical_init() makes and canonical_free() takes. */
static struct {
	struct maps *maps[TABLES];
	bool applies[TABLES][CANONICAL_PLACES];
	bool masquerade[CANONICAL_PLACES];
} compiled;

void canonical_free(void)
{
	for (int t = 0; t < TABLES; t++) {
		maps_close(compiled.maps[t]);
	}
	memset(&compiled, 0, sizeof(compiled));
}

void canonical_init(void)
{
	const char *const maps[TABLES] = { param.sender_canonical_maps,
		param.recipient_canonical_maps, param.canonical_maps };
	const char *const classes[TABLES] = { param.sender_canonical_classes,
		param.recipient_canonical_classes, param.canonical_classes };

	canonical_free();
	for (int t = 0; t < TABLES; t++) {
		compiled.maps[t] = maps_open(maps[t], 0);
		for (int p = 0; p < CANONICAL_PLACES; p++) {
			compiled.applies[t][p] = !maps_empty(compiled.maps[t]) &&
				list_has(classes[t], place_names[p]);
		}
	}
	for (int p = 0; p < CANONICAL_PLACES; p++) {
		compiled.masquerade[p] = *param.masquerade_domains != '\0' &&
			list_has(param.masquerade_classes, place_names[p]);
	}
}

bool canonical_changes(enum canonical_place place)
{
	return compiled.applies[TABLE_SENDER][place] || compiled.applies[TABLE_RECIPIENT][place] ||
		compiled.applies[TABLE_COMMON][place] || compiled.masquerade[place];
}

/* map_once - 1 and the other address, 0 none, -1 */
static int map_once(struct arena *a, enum table t, const char *address, const char **to)
{
	struct buf value = BUF_INIT;
	const char *ext;
	int rc = lookup_address(a, compiled.maps[t], address, LOOKUP_ALL, &value, &ext, NULL);

	if (rc > 0) {
		const char *text = arena_strdup(a, buf_str(&value));

		*to = rewrite_address(
			a, rewrite_result(a, text, address, ext, "canonical"), REWRITE_LOCAL);
	}
	buf_free(&value);
	return rc;
}

/* map_address - until nothing changes any more; NULL: no answer, or a circle */
static const char *map_address(struct arena *a, enum table t, const char *address)
{
	for (int i = 0; i < ROUNDS; i++) {
		const char *to = address;
		int rc = map_once(a, t, address, &to);

		if (rc < 0) {
			if (!map_is_waiting()) {
				log_warn("%s: %s: look-up failed", table_names[t], address);
			}
			return NULL;
		}
		if (rc == 0 || str_ieq(to, address)) {
			return to;
		}
		address = to;
	}
	log_warn("%s: %s: unreasonable nesting", table_names[t], address);
	return NULL;
}

/*
 * masquerade - the domain without what stands before one of masquerade_domains; the first that fits
 * decides, and "!domain" says that it stays
 */
static const char *masquerade(struct arena *a, const char *address)
{
	const char *domain = address_domain(address);
	struct slice rest = slice_of(param.masquerade_domains), word;
	size_t len = strlen(domain);

	if (len == 0 || list_has(param.masquerade_exceptions, address_local(a, address))) {
		return address;
	}
	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		bool cut = true;
		const char *tail;

		while (word.len > 0 && word.ptr[0] == '!') {
			cut = !cut;
			word.ptr++;
			word.len--;
		}
		if (word.len == 0 || word.len > len) {
			continue;
		}
		tail = domain + len - word.len;
		if (!slice_ieq(word, tail) || (tail > domain && tail[-1] != '.')) {
			continue;
		}
		return cut && tail > domain ? address_make(a, address_local(a, address),
						      arena_strndup(a, word.ptr, word.len))
					    : address;
	}
	return address;
}

const char *canonical_address(struct arena *a, const char *address, enum canonical_place place)
{
	if (*address == '\0') {
		return address;
	}
	for (int t = 0; t < TABLES && address != NULL; t++) {
		if (compiled.applies[t][place]) {
			address = map_address(a, (enum table)t, address);
		}
	}
	return address != NULL && compiled.masquerade[place] ? masquerade(a, address) : address;
}
