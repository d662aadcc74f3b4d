/*
 * restrict_rules - the restrictions themselves, one function a row
 *
 * A row without a function is a name of Postfix's that is accepted in the lists and
 * not acted on. A rule that lacks what it asks about (no HELO, no MAIL yet) has no
 * opinion.
 *
 * RFC 5321 4.1.1.1 and 4.1.3 (HELO names), 4.5.5 (null sender), 3461; postconf(5).
 */
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "proto/smtp.h"
#include "address/lookup.h"
#include "route/resolve.h"
#include "policy/restrict_internal.h"

/* ---- Decisions without a question ---- */

static enum restrict_verdict rule_permit(struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)run, (void)rule;
	return RESTRICT_OK;
}

static enum restrict_verdict rule_reject(struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return restrict_reject(run, (int)param.reject_code, "5.7.1",
		"<%s>: %s rejected: Access denied", run->name, run->class_name);
}

static enum restrict_verdict rule_defer(struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return restrict_reject(run, (int)param.defer_code, "4.3.2",
		"<%s>: %s rejected: Try again later", run->name, run->class_name);
}

static enum restrict_verdict rule_defer_if_permit(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	if (run->defer_if_permit == NULL) {
		run->defer_if_permit = arena_printf(run->arena,
			"450 4.7.0 <%s>: %s rejected: defer_if_permit requested", run->name,
			run->class_name);
	}
	return RESTRICT_DUNNO;
}

static enum restrict_verdict rule_defer_if_reject(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	if (run->defer_if_reject == NULL) {
		run->defer_if_reject = arena_printf(run->arena,
			"450 4.7.0 <%s>: %s rejected: defer_if_reject requested", run->name,
			run->class_name);
	}
	return RESTRICT_DUNNO;
}

/* ---- Who the client is ---- */

static enum restrict_verdict rule_permit_mynetworks(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	int rc = route_mynetworks_match(run->query->client_addr);

	(void)rule;
	if (rc < 0) {
		return restrict_reject(
			run, 451, "4.3.0", "<%s>: Temporary lookup failure", run->name);
	}
	return rc > 0 ? RESTRICT_OK : RESTRICT_DUNNO;
}

/* rule_permit_inet_interfaces - the client's address is one of ours: it is this host */
static enum restrict_verdict rule_permit_inet_interfaces(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	const char *addr = run->query->client_addr;

	(void)rule;
	return strcmp(addr, "127.0.0.1") == 0 || strcmp(addr, "::1") == 0 ||
			(*addr != '\0' && strcmp(addr, run->query->local_addr) == 0)
		? RESTRICT_OK
		: RESTRICT_DUNNO;
}

static enum restrict_verdict rule_permit_sasl_authenticated(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return run->query->sasl_user != NULL ? RESTRICT_OK : RESTRICT_DUNNO;
}

static enum restrict_verdict rule_reject_plaintext_session(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return run->query->tls ? RESTRICT_DUNNO
			       : restrict_reject(run, (int)param.plaintext_reject_code, "5.7.1",
					 "Session encryption is required");
}

static enum restrict_verdict rule_reject_unauth_pipelining(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return run->query->pipelined
		? restrict_reject(run, 503, "5.5.0",
			  "<%s>: %s rejected: Improper use of SMTP command pipelining", run->name,
			  run->class_name)
		: RESTRICT_DUNNO;
}

/* ---- HELO ---- */

static enum restrict_verdict rule_reject_invalid_helo(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	struct slice helo = slice_of(run->query->helo);

	(void)rule;
	if (helo.len > 1 && helo.ptr[helo.len - 1] == '.') {
		helo.len--;
	}
	if (helo.len == 0 || smtp_valid_hostname(helo) || smtp_valid_literal(helo, NULL)) {
		return RESTRICT_DUNNO;
	}
	return restrict_reject(run, (int)param.invalid_hostname_reject_code, "5.5.2",
		"<%s>: Helo command rejected: %s", run->query->helo,
		*helo.ptr == '[' ? "invalid ip address" : "Invalid name");
}

static enum restrict_verdict rule_reject_non_fqdn_helo(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	struct slice helo = slice_of(run->query->helo);

	(void)rule;
	if (helo.len > 1 && helo.ptr[helo.len - 1] == '.') {
		helo.len--;
	}
	if (helo.len > 0 && *helo.ptr == '[' && !smtp_valid_literal(helo, NULL)) {
		return rule_reject_invalid_helo(run, rule);
	}
	if (helo.len == 0 || smtp_is_fqdn(helo) || smtp_valid_literal(helo, NULL)) {
		return RESTRICT_DUNNO;
	}
	return restrict_reject(run, (int)param.non_fqdn_reject_code, "5.5.2",
		"<%s>: Helo command rejected: need fully-qualified hostname", run->query->helo);
}

/* ---- Addresses ---- */

/* non_fqdn - the domain as the client gave it has to be whole */
static enum restrict_verdict non_fqdn(
	struct restrict_run *run, const char *address, const char *class_name)
{
	const char *domain;

	if (address == NULL || *address == '\0') {
		return RESTRICT_DUNNO;
	}
	domain = address_domain(address);
	if (smtp_is_fqdn(slice_of(domain)) || *domain == '[') {
		return RESTRICT_DUNNO;
	}
	return restrict_reject(run, (int)param.non_fqdn_reject_code, "5.5.2",
		"<%s>: %s rejected: need fully-qualified address", address, class_name);
}

static enum restrict_verdict rule_reject_non_fqdn_sender(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return non_fqdn(run, run->query->sender, "Sender address");
}

static enum restrict_verdict rule_reject_non_fqdn_recipient(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	/* RFC 5321 4.5.1: postmaster needs no domain. */
	if (run->query->recipient != NULL && str_ieq(run->query->recipient, "postmaster")) {
		return RESTRICT_DUNNO;
	}
	return non_fqdn(run, run->query->recipient, "Recipient address");
}

/* unlisted_code - reply code by the kind of domain */
static int unlisted_code(enum route_class class)
{
	switch (class) {
	case ROUTE_LOCAL:
		return (int)param.unknown_local_recipient_reject_code;
	case ROUTE_ALIAS:
		return (int)param.unknown_virtual_alias_reject_code;
	case ROUTE_VIRTUAL:
		return (int)param.unknown_virtual_mailbox_reject_code;
	case ROUTE_RELAY:
		return (int)param.unknown_relay_recipient_reject_code;
	case ROUTE_OTHER:
		break;
	}
	return 550;
}

/*
 * is_everywhere - users that exist in every local domain: postmaster (RFC 5321 4.5.1), and those
 * our own notices come from, which people answer
 */
static bool is_everywhere(const char *address)
{
	const char *at = address_at(address);
	const struct slice user = { address,
		at != NULL ? (size_t)(at - address) : strlen(address) };

	return slice_ieq(user, "postmaster") || slice_ieq(user, "MAILER-DAEMON") ||
		slice_ieq(user, param.double_bounce_sender);
}

/* refused_by_route - the error or retry transport is where mail for it goes */
static enum restrict_verdict refused_by_route(struct restrict_run *run, const char *address,
	const char *full, const char *dsn, const char *class_name)
{
	const char *text = route_refusal(run->arena, full);
	bool later;

	if (text == NULL) {
		return RESTRICT_DUNNO;
	}
	later = str_istarts(text, "retry:");
	text = strchr(text, ':') + 1;
	dsn = restrict_split_dsn(run, &text, dsn);
	return restrict_reject(
		run, later ? 450 : 550, dsn, "<%s>: %s rejected: %s", address, class_name, text);
}

/* unlisted - nobody of that name here */
static enum restrict_verdict unlisted(struct restrict_run *run, const char *address,
	const char *full, const char *dsn, const char *class_name)
{
	enum route_class class = ROUTE_OTHER;
	int rc = route_recipient_exists(full, &class);

	if (rc > 0) {
		return refused_by_route(run, address, full, dsn, class_name);
	}
	if (rc < 0) {
		return restrict_no_answer(run, address);
	}
	if (class == ROUTE_LOCAL && is_everywhere(full)) {
		return RESTRICT_DUNNO;
	}
	return restrict_reject(run, unlisted_code(class), dsn, "<%s>: %s rejected: %s", address,
		class_name,
		param.show_user_unknown_table_name ? route_unknown_text(class) : "User unknown");
}

static enum restrict_verdict restrict_unlisted_recipient(struct restrict_run *run)
{
	enum restrict_verdict verdict;

	if (run->query->recipient == NULL) {
		return RESTRICT_DUNNO;
	}
	verdict = unlisted(run, run->query->recipient, run->query->recipient_full, "5.1.1",
		"Recipient address");
	if (map_is_waiting()) {
		return RESTRICT_PENDING;
	}
	run->unlisted_checked = true;
	return verdict;
}

static enum restrict_verdict rule_reject_unlisted_recipient(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return restrict_unlisted_recipient(run);
}

static enum restrict_verdict restrict_unlisted_sender(struct restrict_run *run)
{
	enum restrict_verdict verdict;

	if (run->query->sender == NULL || *run->query->sender == '\0') {
		return RESTRICT_DUNNO;
	}
	verdict = unlisted(
		run, run->query->sender, run->query->sender_full, "5.1.0", "Sender address");
	if (map_is_waiting()) {
		return RESTRICT_PENDING;
	}
	run->unlisted_sender_checked = true;
	return verdict;
}

static enum restrict_verdict rule_reject_unlisted_sender(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return restrict_unlisted_sender(run);
}

static enum restrict_verdict rule_reject_multi_recipient_bounce(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	const struct restrict_query *q = run->query;

	(void)rule;
	/* At DATA the one that is asked about is among those that were accepted. */
	if (q->sender == NULL || *q->sender != '\0' ||
		q->recipient_count + (q->recipient != NULL && run->list < RESTRICT_DATA ? 1 : 0) <
			2) {
		return RESTRICT_DUNNO;
	}
	return restrict_reject(run, (int)param.multi_recipient_bounce_reject_code, "5.5.3",
		"<%s>: %s rejected: Multi-recipient bounce", run->name, run->class_name);
}

enum restrict_verdict restrict_end(struct restrict_run *run, bool recipient)
{
	enum restrict_verdict verdict = RESTRICT_DUNNO;

	if (run->discard) {
		return RESTRICT_OK;
	}
	if (run->defer_if_permit != NULL) {
		run->reply = run->defer_if_permit;
		return RESTRICT_REJECT;
	}
	run->defer_if_reject = NULL; /* what nobody has is refused for good */
	if (recipient && param.smtpd_reject_unlisted_sender && !run->unlisted_sender_checked) {
		verdict = restrict_unlisted_sender(run);
	}
	if (verdict == RESTRICT_DUNNO && recipient && param.smtpd_reject_unlisted_recipient &&
		!run->unlisted_checked) {
		verdict = restrict_unlisted_recipient(run);
	}
	return verdict == RESTRICT_DUNNO ? RESTRICT_OK : verdict;
}

/* ---- Relaying ---- */

/*
 * is_routed - does the local part name a further host (a%b, b!a, a@b)? Then a stranger
 * relays through us.
 */
static bool is_routed(struct arena *a, const char *address)
{
	/* Whether we would act on it or not: the next host might. */
	return strpbrk(address_local(a, address), "@%!") != NULL;
}

/* authorized - 1 we are a destination for the recipient, 0 not, -1 a table does not answer */
static int authorized(struct restrict_run *run)
{
	const char *address = run->query->recipient_full;
	enum route_class class;
	struct route route;

	if (address == NULL) {
		return 1;
	}
	if (route_class_of(address_domain(address), &class) != 0) {
		return -1;
	}
	if (class == ROUTE_OTHER || !is_routed(run->arena, address)) {
		return class != ROUTE_OTHER;
	}
	if (!param.allow_untrusted_routing) {
		return 0;
	}
	/* Where it names a further host through us, that host has to be ours as well. */
	return route_resolve(run->arena, "", address, &route) < 0 ? -1 : route.class != ROUTE_OTHER;
}

/* refuse_relay - by code: 454 or 554 */
static enum restrict_verdict refuse_relay(struct restrict_run *run, int code)
{
	int rc = authorized(run);

	if (rc < 0) {
		return restrict_no_answer(run, run->query->recipient);
	}
	return rc > 0 ? RESTRICT_DUNNO
		      : restrict_reject(run, code, "5.7.1", "<%s>: Relay access denied",
				run->query->recipient);
}

static enum restrict_verdict rule_reject_unauth_destination(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return refuse_relay(run, (int)param.relay_domains_reject_code);
}

static enum restrict_verdict rule_defer_unauth_destination(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return refuse_relay(run, (int)(param.relay_domains_reject_code - 100));
}

static enum restrict_verdict rule_permit_auth_destination(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	int rc = authorized(run);

	(void)rule;
	if (rc < 0) {
		return restrict_no_answer(run, run->query->recipient);
	}
	return rc > 0 && run->query->recipient != NULL ? RESTRICT_OK : RESTRICT_DUNNO;
}

/* ---- Which login may use which sender (smtpd_sender_login_maps) ---- */

/* sender_owned - 1 by user, 0 by somebody else, 2 by nobody in the table, -1 */
static int sender_owned(struct restrict_run *run, const char *user)
{
	struct buf owners = BUF_INIT;
	int rc = lookup_address(run->arena, run->set->login_maps, run->query->sender_full,
		LOOKUP_ALL, &owners, NULL, NULL);
	struct slice rest = { buf_str(&owners), owners.len }, word;
	int answer = rc < 0 ? -1 : rc == 0 ? 2 : 0;

	while (rc > 0 && user != NULL && (word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		if (slice_ieq(word, user)) {
			answer = 1;
			break;
		}
	}
	buf_free(&owners);
	return answer;
}

/* login_mismatch - authenticated and known: which cases are looked at */
static enum restrict_verdict login_mismatch(
	struct restrict_run *run, bool authenticated, bool unauthenticated, bool known_only)
{
	const struct restrict_query *q = run->query;
	int rc;

	/* Where nobody can log in this would keep known senders out for good. */
	if (!param.smtpd_sasl_auth_enable || q->sender == NULL || *q->sender == '\0' ||
		(q->sasl_user != NULL ? !authenticated : !unauthenticated)) {
		return RESTRICT_DUNNO;
	}
	rc = sender_owned(run, q->sasl_user);
	if (rc < 0) {
		return restrict_no_answer(run, q->sender);
	}
	if (q->sasl_user == NULL) {
		return rc == 2 ? RESTRICT_DUNNO
			       : restrict_reject(run, 553, "5.7.1",
					 "<%s>: Sender address rejected: not logged in", q->sender);
	}
	if (rc == 1 || (rc == 2 && known_only)) {
		return RESTRICT_DUNNO;
	}
	return restrict_reject(run, 553, "5.7.1",
		"<%s>: Sender address rejected: not owned by user %s", q->sender, q->sasl_user);
}

static enum restrict_verdict rule_sender_login_mismatch(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return login_mismatch(run, true, true, false);
}

static enum restrict_verdict rule_auth_login_mismatch(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return login_mismatch(run, true, false, false);
}

static enum restrict_verdict rule_known_login_mismatch(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return login_mismatch(run, true, true, true);
}

static enum restrict_verdict rule_unauth_login_mismatch(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	(void)rule;
	return login_mismatch(run, false, true, false);
}

/* ---- The table ---- */

#define ARG RULE_ARG
#define TABLE (RULE_ARG | RULE_TABLE)
#define GUARD RULE_GUARD

const struct restrict_row restrict_rows[] = {
	{ "check_ccert_access", TABLE, NULL },
	{ "check_client_a_access", TABLE, NULL },
	{ "check_client_access", TABLE, restrict_client_access },
	{ "check_client_mx_access", TABLE, NULL },
	{ "check_client_ns_access", TABLE, NULL },
	{ "check_etrn_access", TABLE, restrict_etrn_access },
	{ "check_helo_a_access", TABLE, NULL },
	{ "check_helo_access", TABLE, restrict_helo_access },
	{ "check_helo_mx_access", TABLE, NULL },
	{ "check_helo_ns_access", TABLE, NULL },
	{ "check_policy_service", ARG, NULL },
	{ "check_recipient_a_access", TABLE, NULL },
	{ "check_recipient_access", TABLE, restrict_recipient_access },
	{ "check_recipient_maps", 0, rule_reject_unlisted_recipient },
	{ "check_recipient_mx_access", TABLE, NULL },
	{ "check_recipient_ns_access", TABLE, NULL },
	{ "check_relay_domains", GUARD, rule_reject_unauth_destination },
	{ "check_reverse_client_hostname_a_access", TABLE, NULL },
	{ "check_reverse_client_hostname_access", TABLE, NULL },
	{ "check_reverse_client_hostname_mx_access", TABLE, NULL },
	{ "check_reverse_client_hostname_ns_access", TABLE, NULL },
	{ "check_sasl_access", TABLE, restrict_sasl_access },
	{ "check_sender_a_access", TABLE, NULL },
	{ "check_sender_access", TABLE, restrict_sender_access },
	{ "check_sender_mx_access", TABLE, NULL },
	{ "check_sender_ns_access", TABLE, NULL },
	{ "defer", GUARD, rule_defer },
	{ "defer_if_permit", GUARD, rule_defer_if_permit },
	{ "defer_if_reject", 0, rule_defer_if_reject },
	{ "defer_unauth_destination", GUARD, rule_defer_unauth_destination },
	{ "permit", 0, rule_permit },
	{ "permit_auth_destination", 0, rule_permit_auth_destination },
	{ "permit_dnswl_client", ARG, NULL },
	{ "permit_inet_interfaces", 0, rule_permit_inet_interfaces },
	{ "permit_mx_backup", 0, NULL },
	{ "permit_mynetworks", 0, rule_permit_mynetworks },
	{ "permit_naked_ip_address", 0, NULL },
	{ "permit_rhswl_client", ARG, NULL },
	{ "permit_sasl_authenticated", 0, rule_permit_sasl_authenticated },
	{ "permit_tls_all_clientcerts", 0, NULL },
	{ "permit_tls_clientcerts", 0, NULL },
	{ "reject", GUARD, rule_reject },
	{ "reject_authenticated_sender_login_mismatch", 0, rule_auth_login_mismatch },
	{ "reject_invalid_helo_hostname", 0, rule_reject_invalid_helo },
	{ "reject_invalid_hostname", 0, rule_reject_invalid_helo },
	{ "reject_known_sender_login_mismatch", 0, rule_known_login_mismatch },
	{ "reject_maps_rbl", 0, NULL },
	{ "reject_multi_recipient_bounce", 0, rule_reject_multi_recipient_bounce },
	{ "reject_non_fqdn_helo_hostname", 0, rule_reject_non_fqdn_helo },
	{ "reject_non_fqdn_hostname", 0, rule_reject_non_fqdn_helo },
	{ "reject_non_fqdn_recipient", 0, rule_reject_non_fqdn_recipient },
	{ "reject_non_fqdn_sender", 0, rule_reject_non_fqdn_sender },
	{ "reject_plaintext_session", 0, rule_reject_plaintext_session },
	{ "reject_rbl_client", ARG, NULL },
	{ "reject_rhsbl_client", ARG, NULL },
	{ "reject_rhsbl_helo", ARG, NULL },
	{ "reject_rhsbl_recipient", ARG, NULL },
	{ "reject_rhsbl_reverse_client", ARG, NULL },
	{ "reject_rhsbl_sender", ARG, NULL },
	{ "reject_sender_login_mismatch", 0, rule_sender_login_mismatch },
	{ "reject_unauth_destination", GUARD, rule_reject_unauth_destination },
	{ "reject_unauth_pipelining", 0, rule_reject_unauth_pipelining },
	{ "reject_unauthenticated_sender_login_mismatch", 0, rule_unauth_login_mismatch },
	{ "reject_unknown_address", 0, NULL },
	{ "reject_unknown_client", 0, NULL },
	{ "reject_unknown_client_hostname", 0, NULL },
	{ "reject_unknown_forward_client_hostname", 0, NULL },
	{ "reject_unknown_helo_hostname", 0, NULL },
	{ "reject_unknown_hostname", 0, NULL },
	{ "reject_unknown_recipient_domain", 0, NULL },
	{ "reject_unknown_reverse_client_hostname", 0, NULL },
	{ "reject_unknown_sender_domain", 0, NULL },
	{ "reject_unlisted_recipient", 0, rule_reject_unlisted_recipient },
	{ "reject_unlisted_sender", 0, rule_reject_unlisted_sender },
	{ "reject_unverified_recipient", 0, restrict_unverified_recipient },
	{ "reject_unverified_sender", 0, restrict_unverified_sender },
	{ "sleep", ARG, NULL },
};

const size_t restrict_row_count = ARRAY_LEN(restrict_rows);
