/*
 * tls_policy - which TLS a next hop gets
 *
 * The level is that of the first row that there is: of smtp_tls_policy_maps for the next hop as the
 * route has it, or, for a plain domain, for the domains above it (".example.com"); without such
 * tables that of the old smtp_tls_per_site for the next hop and the host, whichever is stricter;
 * else smtp_tls_security_level, or what the settings before it say. Trouble with a table never
 * means less TLS: the mail waits.
 *
 * postconf(5), smtp_tls_policy_maps; TLS_README of Postfix.
 */
#include "applets/deliver/smtp/tls_policy.h"

#include <ctype.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "applets/deliver/smtp/tls_policy_impl.h"

enum { SESSIONS_MAX = 256 };

#define CONFIG_PROBLEM "client TLS configuration problem"

/* ---- Of a service ---- */

static void open_client(struct tls_policies *ps)
{
	const struct tls_settings *s = &ps->settings;
	struct tls_server_config own;
	struct tls_client_config config = { .ca_file = s->ca_file,
		.ca_path = s->ca_path,
		.ca_default = param.tls_append_default_CA &&
			(s->ca_file[0] != '\0' || s->ca_path[0] != '\0'),
		.own = tls_settings_own(s, &own) ? &own : NULL,
		.depth = (unsigned)s->depth,
		.several_labels = param.tls_wildcard_matches_multiple_labels,
		.clock_floor = param.tls_clock_floor,
		.sessions = s->session_seconds > 0 ? SESSIONS_MAX : 0,
		.session_seconds = s->session_seconds };
	struct buf error = BUF_INIT;

	ps->client = tls_client_new(&config, &error);
	if (ps->client == NULL) {
		log_warn("%s: mail that has to be encrypted waits", buf_str(&error));
		ps->own_broken = true;
		config.own = NULL;
		ps->client = tls_client_new(&config, &error);
	}
	buf_free(&error);
}

struct tls_policies *tls_policies_open(bool lmtp, struct buf *error)
{
	struct tls_policies *ps = mem_alloc(sizeof(*ps));

	ps->refs = 1;
	tls_settings_load(&ps->settings, lmtp);
	if (!tls_settings_level(&ps->settings, &ps->level)) {
		buf_addf(error, "%s_tls_security_level: invalid TLS level \"%s\"",
			ps->settings.service, ps->settings.level);
		mem_free(ps);
		return NULL;
	}
	ps->policy_maps = maps_open(ps->settings.policy_maps, 0);
	ps->per_site = maps_open(ps->settings.per_site, 0);
	open_client(ps);
	return ps;
}

void tls_policies_close(struct tls_policies *ps)
{
	if (ps != NULL && --ps->refs == 0) {
		maps_close(ps->policy_maps);
		maps_close(ps->per_site);
		tls_client_free(ps->client);
		mem_free(ps);
	}
}

void tls_policies_seen(struct tls_policies *ps, int64_t arrival)
{
	tls_client_seen(ps->client, arrival);
}

enum dns_trust tls_policies_trust(void)
{
	const char *word = param.dnssec_resolver;

	if (str_ieq(word, "any")) {
		return DNS_TRUST_ANY;
	}
	if (!str_ieq(word, "loopback") && !str_ieq(word, "none")) {
		log_warn("dnssec_resolver: \"%s\" is not loopback, any or none: it is none", word);
	}
	return str_ieq(word, "loopback") ? DNS_TRUST_LOOPBACK : DNS_TRUST_NONE;
}

/* ---- Look-up ---- */

/* is_domain - a name that has names above it, and no "[host]", "host:port", path or address */
static bool is_domain(const char *s)
{
	bool letter = false;

	for (const char *p = s; *p != '\0'; p++) {
		letter = letter || isalpha((unsigned char)*p);
		if (!isalnum((unsigned char)*p) && strchr("-_.", *p) == NULL) {
			return false;
		}
	}
	return letter;
}

/* look_up - 1: a row, read into p; 0: none; -1 */
static int look_up(
	struct tls_policy *p, struct maps *maps, const char *key, bool part, struct buf *row)
{
	int rc = part ? maps_get_part(maps, key, row) : maps_get(maps, key, row);

	if (rc < 0 && !map_is_waiting()) {
		log_warn("TLS policy lookup error for %s/%s", p->next_hop, p->host);
	}
	return rc;
}

/* from_policy_maps - 1, 0: no row, -1 */
static int from_policy_maps(struct tls_policy *p, const char *next_hop)
{
	struct buf row = BUF_INIT;
	const char *key = next_hop;
	int rc = 0;

	do {
		rc = look_up(p, p->ps->policy_maps, key, key != next_hop, &row);
		if (rc != 0 || !is_domain(next_hop)) {
			break;
		}
		key = strchr(key + 1, '.');
	} while (key != NULL);
	if (rc > 0) {
		const char *where =
			arena_printf(&p->a, "%s_tls_policy_maps, next-hop destination \"%s\"",
				p->ps->settings.service, key);

		rc = tls_policy_read(p, buf_str(&row), where) ? 1 : -1;
	}
	buf_free(&row);
	return rc;
}

/* per_site_one - strictness of the words: MUST, MUST_NOPEERMATCH, NONE, MAY; level -1: none yet */
static bool per_site_one(struct tls_policy *p, const char *key, int *level)
{
	struct buf row = BUF_INIT;
	int rc = look_up(p, p->ps->per_site, key, false, &row);
	const char *word = buf_str(&row);

	if (rc > 0) {
		if (str_ieq(word, "NONE")) {
			*level = *level <= (int)TLS_LEVEL_MAY ? (int)TLS_LEVEL_NONE : *level;
		} else if (str_ieq(word, "MAY")) {
			*level = *level < (int)TLS_LEVEL_NONE ? (int)TLS_LEVEL_MAY : *level;
		} else if (str_ieq(word, "MUST_NOPEERMATCH")) {
			*level = *level < (int)TLS_LEVEL_ENCRYPT ? (int)TLS_LEVEL_ENCRYPT : *level;
		} else if (str_ieq(word, "MUST")) {
			*level = (int)TLS_LEVEL_VERIFY;
		} else {
			if (!map_is_waiting()) {
				log_warn("%s_tls_per_site: unknown TLS policy '%s' for %s",
					p->ps->settings.service, word, key);
			}
			rc = -1;
		}
	}
	buf_free(&row);
	return rc >= 0;
}

/* from_per_site - the older table; MAY is a wish, and gives way to what is stricter for all */
static int from_per_site(struct tls_policy *p, const char *next_hop)
{
	int level = -1;

	if (!per_site_one(p, next_hop, &level) ||
		(!str_ieq(next_hop, p->host) && !per_site_one(p, p->host, &level))) {
		return -1;
	}
	if (level >= 0 && !(level == (int)TLS_LEVEL_MAY && p->ps->level > TLS_LEVEL_MAY)) {
		p->level = (enum tls_level)level;
	}
	return level >= 0;
}

/* ---- What is left to the settings ---- */

/* without_port - "[host]:port", "host:port" or "[host]": host, small letters, no dot at its end */
static char *without_port(struct arena *a, const char *next_hop)
{
	struct slice s = slice_of(next_hop);
	const char *end;
	char *out;

	if (s.len > 0 && s.ptr[0] == '[' && (end = memchr(s.ptr, ']', s.len)) != NULL) {
		s = (struct slice){ s.ptr + 1, (size_t)(end - s.ptr) - 1 };
		if (str_istarts(s.ptr, "ipv6:")) {
			s = (struct slice){ s.ptr + 5, s.len - 5 };
		}
	} else if (s.len > 0 && s.ptr[0] != '/' && (end = strchr(s.ptr, ':')) != NULL &&
		strchr(end + 1, ':') == NULL) {
		s.len = (size_t)(end - s.ptr);
	}
	if (s.len > 1 && s.ptr[s.len - 1] == '.') {
		s.len--;
	}
	out = arena_strndup(a, s.ptr, s.len);
	str_lower(out);
	return out;
}

static bool set_grade(struct tls_policy *p)
{
	const struct tls_settings *s = &p->ps->settings;
	bool may = p->level == TLS_LEVEL_MAY;

	if (p->grade == NULL) {
		p->grade = may ? s->ciphers : s->mandatory_ciphers;
	}
	if (p->exclude == NULL) {
		p->exclude =
			arena_printf(&p->a, "%s %s", s->exclude, may ? "" : s->mandatory_exclude);
	}
	/* All that we have is of grade high. */
	if (!list_has("export low medium high", p->grade)) {
		if (!map_is_waiting()) {
			log_warn("TLS cipher grade \"%s\" for %s: %s", p->grade, p->next_hop,
				str_ieq(p->grade, "null") ? "there is no such cipher" : "invalid");
		}
		return false;
	}
	return true;
}

static bool set_protocols(struct tls_policy *p)
{
	const struct tls_settings *s = &p->ps->settings;
	const char *text = p->protocols != NULL ? p->protocols
		: p->level == TLS_LEVEL_MAY     ? s->protocols
						: s->mandatory_protocols;
	bool good = tls_versions(text, &p->min_version, &p->max_version);

	if (good && p->min_version <= p->max_version) {
		return true;
	}
	if (!map_is_waiting()) {
		log_warn("TLS protocols \"%s\" for %s: %s", text, p->next_hop,
			good ? "this build has TLSv1, TLSv1.1 and TLSv1.2" : "invalid");
	}
	return false;
}

/* set_match - the default of the level, where the table has no match= */
static bool set_match(struct tls_policy *p)
{
	const struct tls_settings *s = &p->ps->settings;

	if (p->match_count == 0 && p->level == TLS_LEVEL_FINGERPRINT) {
		tls_policy_add(&p->a, &p->match, &p->match_count, s->fingerprints, ", \t\r\n|");
		if (p->match_count == 0) {
			if (!map_is_waiting()) {
				log_warn("nexthop domain %s: configured at fingerprint security "
					 "level, "
					 "but with no fingerprints to match.",
					p->next_hop);
			}
			return false;
		}
	}
	if (p->match_count == 0 && p->level >= TLS_LEVEL_VERIFY) {
		tls_policy_add(&p->a, &p->match, &p->match_count,
			p->level == TLS_LEVEL_VERIFY ? s->verify_match : s->secure_match,
			", \t\r\n:");
	}
	if (p->ca_file_count == 0 && p->level >= TLS_LEVEL_VERIFY) {
		tls_policy_add(&p->a, &p->ca_files, &p->ca_file_count, s->anchors, ", \t\r\n");
	}
	for (size_t i = 0; i < p->match_count && p->level >= TLS_LEVEL_DANE; i++) {
		const char *word = p->match[i];

		p->match[i] = str_ieq(word, "nexthop") ? p->next_hop
			: str_ieq(word, "hostname")    ? p->host
			: str_ieq(word, "dot-nexthop") ? arena_printf(&p->a, ".%s", p->next_hop)
						       : word;
	}
	return true;
}

/* say_wrapper - once: what TLS from the first byte needs, in Postfix's words */
static void say_wrapper(struct tls_policies *ps)
{
	const char *service = ps->settings.service;

	if (!ps->wrapper_said) {
		ps->wrapper_said = true;
		log_warn("SMTPS wrappermode (TCP port 465) requires setting \"%s_tls_wrappermode = "
			 "yes\", "
			 "and \"%s_tls_security_level = encrypt\" (or stronger)",
			service, service);
	}
}

/* settle - a level and what the table said: the rest. False: it cannot be had, which was logged */
static bool settle(struct tls_policy *p, bool local)
{
	struct tls_policies *ps = p->ps;

	if (local && p->level <= TLS_LEVEL_MAY) {
		p->level = TLS_LEVEL_NONE; /* nobody listens in a socket of this host */
	}
	if (ps->settings.wrapper && p->level < TLS_LEVEL_ENCRYPT && !local) {
		say_wrapper(ps);
		p->level = TLS_LEVEL_ENCRYPT;
	}
	if (p->level == TLS_LEVEL_NONE) {
		return true;
	}
	if ((p->level == TLS_LEVEL_DANE || p->level == TLS_LEVEL_DANE_ONLY) && local) {
		log_warn("%s: the \"%s\" security level is invalid for delivery via unix-domain "
			 "sockets",
			p->next_hop, tls_level_name(p->level));
		return false;
	}
	if (p->server_name == NULL) {
		p->server_name =
			ps->settings.server_name[0] != '\0' ? ps->settings.server_name : p->host;
	}
	return set_grade(p) && set_protocols(p) && set_match(p);
}

struct tls_policy *tls_policy_find(struct tls_policies *ps, const char *next_hop, const char *host,
	unsigned port, struct buf *error)
{
	struct tls_policy *p = mem_alloc(sizeof(*p));
	bool local = next_hop[0] == '/' || str_starts(next_hop, "unix:");
	int rc = 0;

	p->ps = ps;
	ps->refs++;
	p->level = ps->level;
	p->next_hop = without_port(&p->a, next_hop);
	p->host = without_port(&p->a, host);
	if (!maps_empty(ps->policy_maps)) {
		rc = from_policy_maps(p, next_hop);
	} else if (!maps_empty(ps->per_site)) {
		rc = from_per_site(p, next_hop);
	}
	if (rc >= 0 && settle(p, local)) {
		if (port == 465 && !ps->settings.wrapper && !map_is_waiting()) {
			say_wrapper(ps);
		}
		tls_policy_set_key(p);
		return p;
	}
	buf_adds(error, CONFIG_PROBLEM);
	tls_policy_free(p);
	return NULL;
}

void tls_policy_free(struct tls_policy *p)
{
	if (p != NULL) {
		tls_policies_close(p->ps);
		arena_free(&p->a);
		mem_free(p);
	}
}
