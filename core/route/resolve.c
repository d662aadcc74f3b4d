/*
 * resolve - the class of a domain, the transport and next hop of a recipient
 *
 *	address -> strip what routes through us (u%d@here, "u@d"@here)
 *	        -> class of the domain: local, alias, virtual, relay, other
 *	        -> transport and next hop of the class
 *	        -> transport_maps has the last word
 *	        -> error: and retry: become an answer
 *
 * The classes are looked at in that order; a domain should be in one only.
 *
 * RFC 3463 (status codes).
 */
#include "route/resolve.h"

#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map.h"
#include "address/canonical.h"
#include "address/local_domain.h"
#include "address/lookup.h"
#include "address/match.h"
#include "address/user.h"
#include "route/route_tables.h"
#include "route/srs.h"

enum { STRIP_MAX = 50, DOMAIN_MAX = 255, LABEL_MAX = 63 };

/* What decides where mail goes: that of mail, and (address_verify_...) that of probes. */
struct ways {
	const char *local_transport, *virtual_transport, *relay_transport, *default_transport;
	const char *relayhost;
	struct maps *transport, *sender_relayhost, *sender_transport;
};

/* param, compiled: what route_init() makes and route_free() takes. */
static struct {
	struct match_list *alias, *mailbox, *relay, *mynetworks;
	struct maps *tables[TABLE_COUNT];
	struct ways mail, probe;
} compiled;

struct maps *route_table(enum route_table t)
{
	return compiled.tables[t];
}

/* close_probe - a table of probes, unless it is that of mail */
static void close_probe(struct maps *probe, const struct maps *mail)
{
	if (probe != mail) {
		maps_close(probe);
	}
}

/* open_probe - a table of probes: nearly always that of mail */
static struct maps *open_probe(const char *probe, const char *mail, struct maps *opened)
{
	return strcmp(probe, mail) == 0 ? opened : maps_open(probe, 0);
}

/* set_ways - with the tables of mail open */
static void set_ways(void)
{
	struct ways *mail = &compiled.mail;

	*mail = (struct ways){ param.local_transport, param.virtual_transport,
		param.relay_transport, param.default_transport, param.relayhost,
		compiled.tables[TABLE_TRANSPORT], compiled.tables[TABLE_SENDER_RELAYHOST],
		compiled.tables[TABLE_SENDER_TRANSPORT] };
	compiled.probe = (struct ways){ param.address_verify_local_transport,
		param.address_verify_virtual_transport, param.address_verify_relay_transport,
		param.address_verify_default_transport, param.address_verify_relayhost,
		open_probe(
			param.address_verify_transport_maps, param.transport_maps, mail->transport),
		open_probe(param.address_verify_sender_dependent_relayhost_maps,
			param.sender_dependent_relayhost_maps, mail->sender_relayhost),
		open_probe(param.address_verify_sender_dependent_default_transport_maps,
			param.sender_dependent_default_transport_maps, mail->sender_transport) };
}

void route_free(void)
{
	local_domain_free();
	canonical_free();
	srs_free();
	match_list_free(compiled.alias);
	match_list_free(compiled.mailbox);
	match_list_free(compiled.relay);
	match_list_free(compiled.mynetworks);
	close_probe(compiled.probe.transport, compiled.mail.transport);
	close_probe(compiled.probe.sender_relayhost, compiled.mail.sender_relayhost);
	close_probe(compiled.probe.sender_transport, compiled.mail.sender_transport);
	for (int i = 0; i < TABLE_COUNT; i++) {
		maps_close(compiled.tables[i]);
	}
	memset(&compiled, 0, sizeof(compiled));
}

void route_init(void)
{
	const char *const lists[TABLE_COUNT] = {
		[TABLE_TRANSPORT] = param.transport_maps,
		[TABLE_RELOCATED] = param.relocated_maps,
		[TABLE_LOCAL] = param.local_recipient_maps,
		[TABLE_VIRTUAL_ALIAS] = param.virtual_alias_maps,
		[TABLE_VIRTUAL_MAILBOX] = param.virtual_mailbox_maps,
		[TABLE_RELAY] = param.relay_recipient_maps,
		[TABLE_CANONICAL] = param.canonical_maps,
		[TABLE_RECIPIENT_CANONICAL] = param.recipient_canonical_maps,
		[TABLE_SENDER_RELAYHOST] = param.sender_dependent_relayhost_maps,
		[TABLE_SENDER_TRANSPORT] = param.sender_dependent_default_transport_maps,
	};

	route_free();
	local_domain_init();
	canonical_init();
	compiled.alias = match_list_new("virtual_alias_domains", param.virtual_alias_domains, 0);
	compiled.mailbox =
		match_list_new("virtual_mailbox_domains", param.virtual_mailbox_domains, 0);
	compiled.relay = match_list_new(
		"relay_domains", param.relay_domains, match_parent_flag("relay_domains"));
	compiled.mynetworks =
		match_list_new("mynetworks", param.mynetworks, match_parent_flag("mynetworks"));
	for (int i = 0; i < TABLE_COUNT; i++) {
		compiled.tables[i] = maps_open(lists[i], 0);
	}
	set_ways();
	srs_init();
}

int route_class_of(const char *domain, enum route_class *class_r)
{
	struct match_list *const lists[] = { compiled.alias, compiled.mailbox, compiled.relay };
	static const enum route_class classes[] = { ROUTE_ALIAS, ROUTE_VIRTUAL, ROUTE_RELAY };
	int rc = local_domain_match(domain);

	*class_r = ROUTE_LOCAL;
	for (size_t i = 0; i < ARRAY_LEN(lists) && rc == 0; i++) {
		rc = match_domain(lists[i], domain);
		*class_r = classes[i];
	}
	if (rc == 0) {
		*class_r = ROUTE_OTHER;
	}
	return rc < 0 ? -1 : 0;
}

int route_mynetworks_match(const char *addr)
{
	return match_host(compiled.mynetworks, NULL, addr);
}

/* ---- Where a recipient goes ---- */

/* reject - an undeliverable address: 0, for route_resolve() to return */
static int reject(struct route *r, const char *dsn, const char *text)
{
	r->transport = "error";
	r->nexthop = "";
	r->dsn = dsn;
	r->text = text;
	return 0;
}

static int defer(struct route *r, const char *dsn, const char *text)
{
	r->transport = "retry";
	r->nexthop = "";
	r->dsn = dsn;
	r->text = text;
	return -1;
}

/* valid_domain - could this be a host name? Literals and internationalised names too */
static bool valid_domain(const char *domain)
{
	size_t len = strlen(domain), label = 0;

	if (domain[0] == '[') {
		return len > 2 && domain[len - 1] == ']';
	}
	if (len > DOMAIN_MAX) {
		return false;
	}
	for (const char *p = domain; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c <= 0x20 || c == 0x7f || strchr("()<>,;:\"\\[]/@", c) != NULL) {
			return false;
		}
		if (c == '-' && (label == 0 || p[1] == '.' || p[1] == '\0')) {
			return false;
		}
		if (c == '.') {
			if (label == 0) {
				return false;
			}
			label = 0;
		} else if (++label > LABEL_MAX) {
			return false;
		}
	}
	return label > 0;
}

/*
 * strip_local - a domain of ours says nothing about where u%d@here goes: look at what
 * stands before it. 1 something was stripped, 0 no, -1 temporary
 */
static int strip_local(struct arena *a, const char **address)
{
	const char *domain = address_domain(*address), *local, *next;
	int rc = domain[0] != '\0' ? local_domain_match(domain) : 0;
	char *at;

	if (rc <= 0) {
		return rc;
	}
	/* "postmaster" and "" must not be taken apart; quotes only go when asked for. */
	local = address_local(a, *address);
	if (!param.resolve_dequoted_address && (*address)[0] == '"') {
		return 0;
	}
	if ((at = strrchr(local, '@')) != NULL && at > local && at[1] != '\0') {
		*at = '\0';
		*address = address_make(a, local, at + 1);
		return 1;
	}
	if (param.swap_bangpath && (next = strchr(local, '!')) != NULL && next > local &&
		next[1] != '\0') {
		*address =
			address_make(a, next + 1, arena_strndup(a, local, (size_t)(next - local)));
		return 1;
	}
	if (param.allow_percent_hack && (at = strrchr(local, '%')) != NULL && at > local &&
		at[1] != '\0') {
		*at = '\0';
		*address = address_make(a, local, at + 1);
		return 1;
	}
	return 0;
}

/* is_refuser - is a transport (with or without a next hop) one of those that take no mail? */
static bool is_refuser(const char *transport)
{
	size_t n = strcspn(transport, ":");

	return n == 5 && (memcmp(transport, "error", n) == 0 || memcmp(transport, "retry", n) == 0);
}

/* set_transport - "transport:nexthop" of a parameter or table; empty parts leave *r as it is */
static void set_transport(struct arena *a, struct route *r, const char *text, const char *domain)
{
	const char *colon = strchr(text, ':'), *hop = colon != NULL ? colon + 1 : "";
	size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
	struct slice name = slice_trim((struct slice){ text, len });

	hop += strspn(hop, " \t");
	if (name.len > 0) {
		r->transport = arena_strndup(a, name.ptr, name.len);
		r->nexthop = is_refuser(r->transport) ? "" : domain;
	}
	if (hop[0] != '\0') {
		r->nexthop = arena_strdup(a, hop);
	}
}

/* sender_lookup - a table of the sender: 1 and the value, 0, -1 */
static int sender_lookup(
	struct arena *a, struct maps *maps, const char *sender, const char **value_r)
{
	struct buf value = BUF_INIT;
	int rc;

	if (maps_empty(maps)) {
		return 0;
	}
	rc = lookup_address(a, maps, sender[0] != '\0' ? sender : "<>",
		LOOKUP_FULL | LOOKUP_DOMAIN | (sender[0] == '\0' ? LOOKUP_BARE : 0), &value, NULL,
		NULL);
	if (rc > 0) {
		*value_r = arena_strdup(a, buf_str(&value));
	}
	buf_free(&value);
	return rc;
}

/* route_away - relay_domains and the rest: relayhost, sender-dependent next hops; 1 or -1 */
static int route_away(struct arena *a, const struct ways *w, const char *sender, const char *domain,
	struct route *r)
{
	const char *hop = domain,
		   *transport = r->class == ROUTE_RELAY ? w->relay_transport : w->default_transport;
	int rc = sender_lookup(a, w->sender_relayhost, sender, &hop);

	if (rc == 0 || (rc > 0 && str_ieq(hop, "DUNNO"))) {
		hop = w->relayhost[0] != '\0' ? w->relayhost : domain;
	}
	if (rc >= 0 && r->class == ROUTE_OTHER) {
		const char *other = "";

		rc = sender_lookup(a, w->sender_transport, sender, &other);
		if (rc > 0 && !str_ieq(other, "DUNNO")) {
			transport = other;
		}
	}
	if (rc < 0) {
		return defer(r, "4.3.0", "sender-dependent table look-up failed");
	}
	set_transport(a, r, transport, hop);
	return 1;
}

/* route_by_class - transport and next hop before transport_maps: 1, 0, -1 */
static int route_by_class(struct arena *a, const struct ways *w, const char *sender,
	const char *domain, struct route *r)
{
	switch (r->class) {
	case ROUTE_LOCAL:
		set_transport(a, r, w->local_transport, domain);
		return 1;
	case ROUTE_ALIAS:
		return reject(r, "5.1.1", "User unknown in virtual alias table");
	case ROUTE_VIRTUAL:
		set_transport(a, r, w->virtual_transport, domain);
		return 1;
	case ROUTE_RELAY:
	case ROUTE_OTHER:
		return route_away(a, w, sender, domain, r);
	}
	return reject(r, "5.3.0", "no such class");
}

/* transport_lookup - transport(5): the address, the domain, what is above it, "*" */
static int transport_lookup(struct arena *a, struct maps *maps, const char *address,
	const char *domain, struct buf *value)
{
	bool parent = match_parent_flag("transport_maps") != 0;
	int rc = lookup_address(a, maps, address, LOOKUP_FULL, value, NULL, NULL);
	const char *dot = domain;

	if (rc == 0) {
		rc = maps_get_part(maps, domain, value);
	}
	while (rc == 0 && domain[0] != '[' && (dot = strchr(dot + 1, '.')) != NULL &&
		dot[1] != '\0') {
		rc = maps_get_part(maps, dot + parent, value);
	}
	return rc != 0 ? rc : maps_get(maps, "*", value);
}

/* apply_transport_maps - 1, or -1 */
static int apply_transport_maps(struct arena *a, const struct ways *w, const char *address,
	const char *domain, struct route *r)
{
	struct buf value = BUF_INIT;
	int rc;

	if (maps_empty(w->transport) || domain[0] == '\0') {
		return 1;
	}
	rc = transport_lookup(a, w->transport, address, domain, &value);
	if (rc > 0) {
		const char *text = arena_strdup(a, buf_str(&value));

		/* ":" changes nothing: relayhost and the class's transport stay. */
		set_transport(a, r, text, domain);
	}
	buf_free(&value);
	return rc < 0 ? defer(r, "4.3.0", "transport table look-up failed") : 1;
}

/* dsn_length - of the code that a text begins with, 5.1.1 (RFC 3463 2), or 0 */
static size_t dsn_length(const char *text)
{
	size_t n = 1;

	if (text[0] == '\0' || strchr("245", text[0]) == NULL) {
		return 0;
	}
	for (int part = 0; part < 2; part++) {
		size_t digits = text[n] == '.' ? strspn(text + n + 1, "0123456789") : 0;

		if (digits == 0 || digits > 3) {
			return 0;
		}
		n += 1 + digits;
	}
	return text[n] == '\0' || text[n] == ' ' || text[n] == '\t' ? n : 0;
}

/*
 * split_dsn - "5.1.1 text" into its parts; def when there is no code, or one that says otherwise:
 * error:4.1.2 does not make it wait
 */
static const char *split_dsn(struct arena *a, const char *text, const char *def, const char **dsn_r)
{
	size_t n;

	text += strspn(text, " \t");
	n = dsn_length(text);
	*dsn_r = n > 0 && text[0] == def[0] ? arena_strndup(a, text, n) : def;
	text += n;
	text += strspn(text, " \t");
	return *text != '\0' ? text : "Address is undeliverable";
}

/* answer - the error and retry transports become what they stand for */
static int answer(struct arena *a, struct route *r)
{
	const char *dsn, *text;

	if (strcmp(r->transport, "error") == 0) {
		text = split_dsn(a, r->nexthop, "5.0.0", &dsn);
		return reject(r, dsn, text);
	}
	if (strcmp(r->transport, "retry") == 0) {
		text = split_dsn(a, r->nexthop, "4.0.0", &dsn);
		return defer(r, dsn, text);
	}
	return 1;
}

/* no_recipient - an address without a local part, or with none behind its '@' */
static bool no_recipient(const char *address)
{
	const char *at = address_at(address);

	return address[0] == '@' || address[0] == '\0' || (at != NULL && at[1] == '\0');
}

/* apply_relocated - relocated_maps have the last word, whatever the domain is; rc, 1 or -1 */
static int apply_relocated(struct arena *a, const char *address, int rc, struct route *r)
{
	struct buf value = BUF_INIT;
	int found = 0;

	if (!maps_empty(compiled.tables[TABLE_RELOCATED])) {
		found = lookup_address(a, compiled.tables[TABLE_RELOCATED], address, LOOKUP_ALL,
			&value, NULL, NULL);
	}
	if (found > 0) {
		r->transport = "error";
		r->nexthop = arena_printf(a, "5.1.6 User has moved to %s", buf_str(&value));
		rc = 1;
	} else if (found < 0) {
		rc = defer(r, "4.3.0", "relocated table look-up failed");
	}
	buf_free(&value);
	return rc;
}

/* find_route - route_resolve(), with the error and retry transports as they were written */
static int find_route(struct arena *a, const struct ways *w, const char *sender,
	const char *address, struct route *r)
{
	const char *domain;
	int rc = 1;

	memset(r, 0, sizeof(*r));
	r->class = ROUTE_OTHER;
	r->recipient = address;
	if (address[0] == '\0') {
		address = param.empty_address_recipient;
	}
	for (int i = 0; i < STRIP_MAX && rc == 1; i++) {
		rc = strip_local(a, &address);
		r->routed = r->routed || rc == 1;
	}
	r->recipient = address = arena_strdup(a, address);
	domain = address_domain(address);
	if (rc < 0 || (rc == 0 && route_class_of(domain, &r->class) != 0)) {
		return defer(r, "4.3.0", "address resolver failure: a table does not answer");
	}
	if (rc == 1 || no_recipient(address) || (domain[0] != '\0' && !valid_domain(domain))) {
		return reject(r, "5.1.3", "bad address syntax");
	}
	rc = route_by_class(a, w, sender, domain, r);
	/* transport_maps may say where even an address without a table entry goes. */
	if (rc >= 0 && r->class != ROUTE_ALIAS) {
		rc = apply_transport_maps(a, w, address, domain, r);
	}
	return rc >= 0 ? apply_relocated(a, address, rc, r) : rc;
}

int route_resolve(struct arena *a, const char *sender, const char *address, struct route *r)
{
	int rc = find_route(a, &compiled.mail, sender, address, r);

	return rc == 1 ? answer(a, r) : rc;
}

int route_resolve_probe(struct arena *a, const char *sender, const char *address, struct route *r)
{
	int rc = find_route(a, &compiled.probe, sender, address, r);

	return rc == 1 ? answer(a, r) : rc;
}

/* ---- Which recipients exist ---- */

/* listed - is the address in a table? LOOKUP_* as it is for this kind of table; 1, 0, -1 */
static int listed(struct arena *a, enum route_table t, const char *address, unsigned how)
{
	struct buf value = BUF_INIT;
	int rc = lookup_address(a, compiled.tables[t], address, how, &value, NULL, NULL);

	buf_free(&value);
	return rc;
}

/* listed_or_open - without a table every address exists */
static int listed_or_open(struct arena *a, enum route_table t, const char *address)
{
	return maps_empty(compiled.tables[t]) ? 1
					      : listed(a, t, address, LOOKUP_FULL | LOOKUP_DOMAIN);
}

/* local_exists - local_passwd_file, which costs nothing to ask, then the tables */
static int local_exists(struct arena *a, const char *address)
{
	const char *local, *ext;
	struct local_user u;

	if (maps_empty(compiled.tables[TABLE_LOCAL])) {
		return 1;
	}
	if (param.local_passwd_file[0] != '\0') {
		local = address_local(a, address);
		ext = address_extension(local);
		if (ext != NULL) {
			local = arena_strndup(a, local, (size_t)(ext - local));
		}
		if (local_user_find(a, local, &u) > 0) {
			return 1;
		}
	}
	return listed(a, TABLE_LOCAL, address, LOOKUP_ALL | LOOKUP_BARE);
}

int route_local_recipient_exists(const char *local)
{
	struct arena a = ARENA_INIT;
	int rc = local_exists(&a, address_make(&a, local, ""));

	arena_free(&a);
	return rc;
}

/* renamed - is it in the tables that put another address in its place? 1, 0, -1 */
static int renamed(struct arena *a, const char *address)
{
	static const enum route_table tables[] = { TABLE_RECIPIENT_CANONICAL, TABLE_CANONICAL,
		TABLE_VIRTUAL_ALIAS };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(tables) && rc == 0; i++) {
		rc = listed(a, tables[i], address, LOOKUP_ALL);
	}
	return rc;
}

const char *route_refusal(struct arena *a, const char *address)
{
	struct route r;

	/* Nearly nobody has such a thing: then there is nothing to look for. */
	if (maps_empty(compiled.tables[TABLE_TRANSPORT]) &&
		maps_empty(compiled.tables[TABLE_RELOCATED]) &&
		!is_refuser(param.local_transport) && !is_refuser(param.virtual_transport) &&
		!is_refuser(param.relay_transport) && !is_refuser(param.default_transport)) {
		return NULL;
	}
	if (find_route(a, &compiled.mail, "", address, &r) != 1 || !is_refuser(r.transport) ||
		renamed(a, address) != 0) {
		return NULL;
	}
	return arena_printf(a, "%s:%s", r.transport, r.nexthop);
}

/* exists - with the class known */
static int exists(struct arena *a, const char *address, enum route_class class)
{
	int rc = renamed(a, address);

	if (rc != 0) {
		return rc;
	}
	switch (class) {
	case ROUTE_LOCAL:
		return local_exists(a, address);
	case ROUTE_ALIAS:
		return 0;
	case ROUTE_VIRTUAL:
		return listed_or_open(a, TABLE_VIRTUAL_MAILBOX, address);
	case ROUTE_RELAY:
		return listed_or_open(a, TABLE_RELAY, address);
	case ROUTE_OTHER:
		return 1;
	}
	return 1;
}

int route_recipient_exists(const char *address, enum route_class *class_r)
{
	struct arena a = ARENA_INIT;
	enum route_class class = ROUTE_OTHER;
	int rc = 1;

	bool sender = srs_reverse(&a, address) != NULL; /* bounces come back to it */

	/* user%elsewhere@here exists when the rest of its way does. */
	for (int i = 0; i < STRIP_MAX && rc == 1 && !sender; i++) {
		rc = strip_local(&a, &address);
	}
	if (rc >= 0) {
		rc = route_class_of(address_domain(address), &class);
	}
	if (rc == 0) {
		rc = sender ? 1 : exists(&a, address, class);
	}
	if (class_r != NULL) {
		*class_r = class;
	}
	arena_free(&a);
	return rc;
}

const char *route_unknown_text(enum route_class c)
{
	switch (c) {
	case ROUTE_LOCAL:
		return "User unknown in local recipient table";
	case ROUTE_ALIAS:
		return "User unknown in virtual alias table";
	case ROUTE_VIRTUAL:
		return "User unknown in virtual mailbox table";
	case ROUTE_RELAY:
		return "User unknown in relay recipient table";
	case ROUTE_OTHER:
		break;
	}
	return "Address is not listed";
}
