/*
 * status_filter - ..._delivery_status_filter: a table that changes how a delivery ended
 *
 *	key	"4.7.4 TLS is required, but was not offered"
 *	value	"5.7.4 TLS is required ..." takes its place
 *
 * What was to wait may be bounced and the other way round; success stays success, and nothing else
 * becomes one. A value that says otherwise, or is no status, is refused with a warning.
 */
#include "applets/deliver/agent/status_filter.h"

#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "map/map.h"
#include "proto/dsn_code.h"
#include "applets/deliver/agent/result.h"

struct status_filter {
	struct maps *maps;
};

struct status_filter *status_filter_open(const char *tables)
{
	struct status_filter *f;

	if (tables[strspn(tables, ", \t\r\n")] == '\0') {
		return NULL;
	}
	f = mem_alloc(sizeof(*f));
	f->maps = maps_open(tables, 0);
	/* A delivery is not done again to ask: the answer is waited for, with a bound. */
	map_wait_at_most(MAP_LOOP_WAIT_MS);
	return f;
}

void status_filter_close(struct status_filter *f)
{
	if (f != NULL) {
		maps_close(f->maps);
		mem_free(f);
	}
}

/* take - a value of the table; false: it is none that can be used */
static bool take(struct arena *a, const char *value, struct agent_result *res)
{
	size_t dsn = dsn_code_length(value);
	const char *text = value + dsn + strspn(value + dsn, " \t");

	if (dsn == 0 || (value[0] == '2') != (res->status == DELIVERY_SENT)) {
		return false;
	}
	res->dsn = arena_strndup(a, value, dsn);
	res->text = arena_strdup(a, *text != '\0' ? text : res->text);
	if (res->status != DELIVERY_SENT) {
		res->status = value[0] == '4' ? DELIVERY_DEFERRED : DELIVERY_BOUNCED;
	}
	return true;
}

void status_filter_apply(struct status_filter *f, struct arena *a, struct agent_result *res)
{
	struct buf key = BUF_INIT, value = BUF_INIT;
	int rc;

	if (f == NULL) {
		return;
	}
	buf_addf(&key, "%s %s", res->dsn, res->text);
	rc = maps_get(f->maps, buf_str(&key), &value);
	if (rc < 0) {
		log_warn("delivery status filter: no answer for \"%s\"", buf_str(&key));
	} else if (rc > 0 && !take(a, buf_str(&value), res)) {
		log_warn("delivery status filter: \"%s\" cannot take the place of \"%s\"",
			buf_str(&value), buf_str(&key));
	}
	buf_free(&key);
	buf_free(&value);
}
