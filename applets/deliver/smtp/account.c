/*
 * account - who we are at a server
 *
 *	sender (where it counts), host, next hop, host:port -> "user:password"
 *	the same keys in smtp_sasl_token_maps -> "file:PATH": an OAuth 2.0 token, read each time
 *
 * Manual: Postfix's SASL_README, smtp_sasl_password_maps; RFC 7628 for tokens.
 */
#include "applets/deliver/smtp/account.h"

#include <errno.h>
#include <string.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map.h"
#include "address/lookup.h"
#include "address/match.h"

enum { TOKEN_MAX = 64 * 1024 };

struct accounts {
	const struct smtp_settings *settings;
	struct maps *passwords, *tokens;
	struct match_list *filter;     /* NULL: all mechanisms */
	unsigned plain, tls, verified; /* SASL_OPT_* of connections */
};

/* parse_options - false, and *error: a word is unknown */
static bool parse_options(const char *text, unsigned *out, struct buf *error)
{
	struct slice bad;

	if (sasl_client_options(text, out, &bad)) {
		return true;
	}
	buf_addf(error, "unknown SASL security option: %.*s", (int)bad.len, bad.ptr);
	return false;
}

struct accounts *accounts_new(const struct smtp_settings *settings, struct buf *error)
{
	struct accounts *as = mem_alloc(sizeof(*as));

	as->settings = settings;
	if (!parse_options(settings->sasl_security_options, &as->plain, error) ||
		!parse_options(settings->sasl_tls_security_options, &as->tls, error) ||
		!parse_options(
			settings->sasl_tls_verified_security_options, &as->verified, error)) {
		mem_free(as);
		return NULL;
	}
	as->passwords = maps_open(settings->sasl_password_maps, 0);
	as->tokens = maps_open(param.smtp_sasl_token_maps, 0);
	if (settings->sasl_mechanism_filter[0] != '\0') {
		as->filter = match_list_new(
			"smtp_sasl_mechanism_filter", settings->sasl_mechanism_filter, 0);
	}
	return as;
}

void accounts_free(struct accounts *as)
{
	if (as == NULL) {
		return;
	}
	maps_close(as->passwords);
	maps_close(as->tokens);
	match_list_free(as->filter);
	mem_free(as);
}

/* look_up - the first key of the place that is in the tables: 1, 0, -1 */
static int look_up(const struct accounts *as, struct arena *a, struct maps *maps,
	const struct account_place *place, struct buf *value)
{
	const char *keys[] = { place->host, place->hop,
		arena_printf(a, "%s:%d", place->host, place->port) };
	int rc = 0;

	if (maps_empty(maps)) {
		return 0;
	}
	if (as->settings->sender_dependent_authentication && place->sender[0] != '\0') {
		rc = lookup_address(a, maps, place->sender, LOOKUP_ALL, value, NULL, NULL);
	}
	for (size_t i = 0; i < ARRAY_LEN(keys) && rc == 0; i++) {
		rc = maps_get(maps, keys[i], value);
	}
	return rc;
}

/* read_token - the first word of a file */
static int read_token(struct arena *a, const char *source, const char **token_r, struct buf *error)
{
	bool is_file = str_starts(source, "file:");
	size_t len = 0;
	char *text = is_file ? file_read(source + strlen("file:"), TOKEN_MAX, &len) : NULL;
	struct slice rest, word;

	if (text == NULL) {
		buf_addf(error, "SASL authentication failed; cannot read the token of %s: %s",
			source, is_file ? strerror(errno) : "it does not begin with file:");
		return -1;
	}
	rest = (struct slice){ text, len };
	word = slice_word(&rest, " \t\r\n");
	*token_r = arena_strndup(a, word.ptr != NULL ? word.ptr : "", word.len);
	forget(text, len);
	mem_free(text);
	return 1;
}

int account_find(const struct accounts *as, struct arena *a, const struct account_place *place,
	struct sasl_account *account, struct buf *error)
{
	struct buf value = BUF_INIT;
	int rc = look_up(as, a, as->passwords, place, &value);
	char *colon;

	memset(account, 0, sizeof(*account));
	if (rc > 0) {
		account->host = place->host;
		account->port = place->port;
		account->user = arena_strdup(a, buf_str(&value));
		colon = strchr(account->user, ':');
		account->password = colon != NULL ? colon + 1 : "";
		if (colon != NULL) {
			*colon = '\0';
		}
		forget(value.data, value.len);
		rc = look_up(as, a, as->tokens, place, &value);
		rc = rc > 0 ? read_token(a, buf_str(&value), &account->token, error)
			    : rc + (rc == 0);
	}
	if (rc < 0 && error->len == 0) {
		buf_adds(error, "Temporary lookup error");
	}
	buf_free(&value);
	return rc;
}

static void wipe(const char *text)
{
	if (text != NULL) {
		forget((char *)(uintptr_t)text, strlen(text));
	}
}

void account_forget(struct sasl_account *account)
{
	wipe(account->password);
	wipe(account->token);
	memset(account, 0, sizeof(*account));
}

static bool is_allowed(void *arg, const char *name)
{
	return match_domain(arg, name) > 0;
}

void account_choice(
	const struct accounts *as, bool tls, bool verified, struct sasl_client_choice *choice)
{
	*choice = (struct sasl_client_choice){ .options = !tls ? as->plain
			: verified                             ? as->verified
							       : as->tls,
		.allowed = as->filter != NULL ? is_allowed : NULL,
		.arg = as->filter };
}
