/*
 * transport_settings - what main.cf says of a transport: NAME_suffix, else default_suffix
 */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "applets/queue/qmgr/transport.h"

enum {
	MAILBOX_WINDOW = 500, /* requests for one mailbox: what local can put under one lock */
	RECIPIENTS_MAX = 1000
};

/* service_value - NAME_suffix of main.cf, or NULL */
static const char *service_value(struct arena *a, const char *name, const char *suffix)
{
	return conf_value(a, arena_printf(a, "%s_%s", name, suffix));
}

/* service_limit - what it says, else what is said for all */
static int64_t service_limit(
	struct arena *a, const char *name, const char *suffix, int64_t least, int64_t fallback)
{
	const char *value = service_value(a, name, suffix);
	int64_t v;

	if (value == NULL || str_to_int(value, least, INT32_MAX, &v)) {
		return value != NULL ? v : fallback;
	}
	log_warn("bad value: %s_%s = %s: not a number from %lld to %lld: using %lld", name, suffix,
		value, (long long)least, (long long)INT32_MAX, (long long)fallback);
	return fallback;
}

/* service_pause - NAME_suffix, a time, else what is said for all; milliseconds */
static int64_t service_pause(
	struct arena *a, const char *name, const char *suffix, int64_t fallback)
{
	const char *value = service_value(a, name, suffix);
	int64_t seconds = fallback;

	if (value != NULL && (!str_to_seconds(value, 's', &seconds) || seconds < 0)) {
		log_warn("bad value: %s_%s = %s: no time: using %lld seconds", name, suffix, value,
			(long long)fallback);
		seconds = fallback;
	}
	return (seconds < INT32_MAX ? seconds : INT32_MAX) * 1000;
}

/* service_feedback - what it says, else what is said for all, else 1 */
static struct feedback service_feedback(
	struct arena *a, const char *name, const char *suffix, const char *fallback)
{
	const char *value = service_value(a, name, suffix);
	struct feedback f;

	if (feedback_parse(&f, value != NULL ? value : fallback)) {
		return f;
	}
	log_warn("bad value: %s_%s = %s: not a share from 0 to 1, or 1/concurrency: using 1", name,
		suffix, value != NULL ? value : fallback);
	return (struct feedback){ .share = 1, .by = FEEDBACK_CONSTANT };
}

void transport_settings(struct transport_settings *s, const char *name)
{
	struct arena a = ARENA_INIT;
	struct dest_limits *d = &s->dest;

	s->recipient_limit = service_limit(&a, name, "destination_recipient_limit", 0,
		param.default_destination_recipient_limit);
	d->most = service_limit(&a, name, "destination_concurrency_limit", 0,
		param.default_destination_concurrency_limit);
	d->initial = service_limit(&a, name, "initial_destination_concurrency", 1,
		param.initial_destination_concurrency);
	d->failed_cohorts = service_limit(&a, name, "destination_concurrency_failed_cohort_limit",
		0, param.default_destination_concurrency_failed_cohort_limit);
	d->up = service_feedback(&a, name, "destination_concurrency_positive_feedback",
		param.default_destination_concurrency_positive_feedback);
	d->down = service_feedback(&a, name, "destination_concurrency_negative_feedback",
		param.default_destination_concurrency_negative_feedback);
	d->dead_ms = param.minimal_backoff_time * 1000;
	/* These take one recipient at a time and batch what comes for the same one. */
	d->fixed = s->recipient_limit == 1 &&
		(strcmp(name, "local") == 0 || strcmp(name, "virtual") == 0);
	if (d->fixed) {
		d->most = MAILBOX_WINDOW;
	}
	s->pause_ms =
		service_pause(&a, name, "transport_rate_delay", param.default_transport_rate_delay);
	d->pause_ms = service_pause(
		&a, name, "destination_rate_delay", param.default_destination_rate_delay);
	if (d->pause_ms > 0) {
		d->most = d->initial = 1;
	}
	if (s->recipient_limit == 0 || s->recipient_limit > RECIPIENTS_MAX) {
		s->recipient_limit = RECIPIENTS_MAX;
	}
	arena_free(&a);
}
