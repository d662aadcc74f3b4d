/*
 * restrict_verify - reject_unverified_sender and reject_unverified_recipient
 *
 * The queue manager is asked (ipc/verify.h), and the client waits as long as a probe may take. What
 * its next host refuses for good is refused with unverified_..._reject_code; what is not known, or
 * put off, is put off. ADDRESS_VERIFICATION_README of Postfix.
 */
#include "base/log.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "ipc/verify.h"
#include "policy/restrict_internal.h"

enum { TEXT_MAX = 250 };

/* One of the two addresses, and what main.cf says of it. */
struct subject {
	const char *name; /* as the client gave it */
	const char *full; /* rewritten */
	const char *class_name, *dsn;
	int defer_code, reject_code;
	const char *reason, *action;
};

/* verifier - who asks for this set of lists */
static struct verify_client *verifier(struct restrict_set *set)
{
	if (set->verify == NULL) {
		set->verify = verify_client_new(param.queue_directory,
			(param.address_verify_poll_count - 1) * param.address_verify_poll_delay *
				1000);
	}
	return set->verify;
}

/*
 * put_off - with 4xx: at once, or (unverified_..._tempfail_action = defer_if_permit) if nothing
 * else in the lists refuses it
 */
static enum restrict_verdict put_off(
	struct restrict_run *run, const struct subject *s, int code, const char *text)
{
	if (str_ieq(s->action, "defer_if_permit") && !run->warn_if_reject) {
		if (run->defer_if_permit == NULL) {
			run->defer_if_permit =
				arena_printf(run->arena, "%d %s <%s>: %s rejected: %.*s", code,
					s->dsn, s->name, s->class_name, TEXT_MAX, text);
		}
		return RESTRICT_DUNNO;
	}
	return restrict_reject(run, code, s->dsn, "<%s>: %s rejected: %.*s", s->name, s->class_name,
		TEXT_MAX, text);
}

/*
 * refuse - by what is known of it. The code is about the address, whatever its host has said
 */
static enum restrict_verdict refuse(
	struct restrict_run *run, const struct subject *s, const struct verify_answer *r)
{
	int code = r->status == VERIFY_BOUNCE ? s->reject_code : s->defer_code;
	const char *text = arena_printf(run->arena, "%s address: %s",
		code / 100 == 4 ? "unverified" : "undeliverable",
		*s->reason != '\0' ? s->reason : r->text);

	if (code / 100 == 4) {
		return put_off(run, s, code, text);
	}
	return code / 100 == 5 ? restrict_reject(run, code, s->dsn, "<%s>: %s rejected: %.*s",
					 s->name, s->class_name, TEXT_MAX, text)
			       : RESTRICT_DUNNO;
}

static enum restrict_verdict unverified(struct restrict_run *run, const struct subject *s)
{
	struct verify_answer r;
	int rc;

	if (s->name == NULL || *s->name == '\0') {
		return RESTRICT_DUNNO; /* bounces have no sender to ask about */
	}
	rc = verify_ask(verifier(run->set), run->arena, s->full, &r);
	if (rc == 0 || map_is_waiting()) {
		return RESTRICT_PENDING;
	}
	if (rc < 0) {
		log_warn("verify service failure");
		return put_off(run, s, 450, "address verification problem");
	}
	return r.status == VERIFY_OK ? RESTRICT_DUNNO : refuse(run, s, &r);
}

enum restrict_verdict restrict_unverified_sender(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	const struct subject s = { .name = run->query->sender,
		.full = run->query->sender_full,
		.class_name = "Sender address",
		.dsn = "4.1.7",
		.defer_code = (int)param.unverified_sender_defer_code,
		.reject_code = (int)param.unverified_sender_reject_code,
		.reason = param.unverified_sender_reject_reason,
		.action = param.unverified_sender_tempfail_action };

	(void)rule;
	return unverified(run, &s);
}

enum restrict_verdict restrict_unverified_recipient(
	struct restrict_run *run, const struct restrict_rule *rule)
{
	const struct subject s = { .name = run->query->recipient,
		.full = run->query->recipient_full,
		.class_name = "Recipient address",
		.dsn = "4.1.1",
		.defer_code = (int)param.unverified_recipient_defer_code,
		.reject_code = (int)param.unverified_recipient_reject_code,
		.reason = param.unverified_recipient_reject_reason,
		.action = param.unverified_recipient_tempfail_action };

	(void)rule;
	return unverified(run, &s);
}
