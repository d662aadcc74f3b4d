/*
 * virtual_place - where a virtual mailbox is, and with whose rights it is written
 *
 *	virtual_mailbox_maps	path below virtual_mailbox_base; '/' at its end: a maildir
 *	virtual_uid_maps	a number, at least virtual_minimum_uid
 *	virtual_gid_maps	a number
 *
 * Each is asked for user+extension@domain, user@domain, @domain. A path does not lead upward
 * ("..") whatever a pattern has made of an address.
 */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "address/lookup.h"
#include "applets/deliver/virtual/virtual.h"

void virtual_tables_open(struct virtual_tables *t)
{
	t->mailboxes = maps_open(param.virtual_mailbox_maps, 0);
	t->uids = maps_open(param.virtual_uid_maps, 0);
	t->gids = maps_open(param.virtual_gid_maps, 0);
}

void virtual_tables_free(struct virtual_tables *t)
{
	maps_close(t->mailboxes);
	maps_close(t->uids);
	maps_close(t->gids);
}

static bool refuse(
	struct virtual_refusal *why, enum delivery_status status, const char *dsn, const char *text)
{
	*why = (struct virtual_refusal){ status, dsn, text };
	return false;
}

/* not_configured - it is ours to mend: the mail waits */
static bool not_configured(struct virtual_refusal *why)
{
	return refuse(why, DELIVERY_DEFERRED, "4.3.5", "mail system configuration error");
}

static int look_up(struct arena *a, struct maps *maps, const char *address, struct buf *value)
{
	return lookup_address(a, maps, address, LOOKUP_FULL | LOOKUP_DOMAIN, value, NULL, NULL);
}

/* find_id - a number of at least least in a table; false: why not, said in the log */
static bool find_id(struct arena *a, struct maps *maps, const char *name, const char *address,
	int64_t least, int64_t *id, struct virtual_refusal *why)
{
	struct buf value = BUF_INIT;
	int rc = look_up(a, maps, address, &value);
	bool good = rc > 0 && str_to_int(buf_str(&value), least, UINT32_MAX - 1, id);

	if (rc < 0) {
		(void)refuse(why, DELIVERY_DEFERRED, "4.3.5", "mail system configuration error");
	} else if (!good) {
		if (rc == 0) {
			log_warn("recipient %s: not found in %s", address, name);
		} else {
			log_warn(
				"recipient %s: bad value %s in %s", address, buf_str(&value), name);
		}
		(void)not_configured(why);
	}
	buf_free(&value);
	return good;
}

/* leads_up - is one of the path's parts ".."? */
static bool leads_up(const char *path)
{
	for (; *path != '\0'; path += strcspn(path, "/"), path += *path == '/') {
		if (strcspn(path, "/") == 2 && path[0] == '.' && path[1] == '.') {
			return true;
		}
	}
	return false;
}

static const char *path_of(struct arena *a, const char *value)
{
	return param.virtual_mailbox_base[0] != '\0'
		? arena_printf(a, "%s/%s", param.virtual_mailbox_base, value)
		: arena_strdup(a, value);
}

bool virtual_place(const struct virtual_tables *t, struct arena *a, const char *address,
	struct box_place *place, struct virtual_refusal *why)
{
	struct buf value = BUF_INIT;
	int rc = look_up(a, t->mailboxes, address, &value);
	const char *path = arena_strdup(a, buf_str(&value));
	int64_t uid, gid;

	buf_free(&value);
	if (rc < 0) {
		return not_configured(why);
	}
	if (rc == 0) {
		return refuse(why, DELIVERY_BOUNCED, "5.1.1",
			arena_printf(a, "unknown user: \"%s\"", address));
	}
	if (path[0] == '\0' || leads_up(path)) {
		log_warn("recipient %s: bad path \"%s\" in virtual_mailbox_maps", address, path);
		return not_configured(why);
	}
	if (!find_id(a, t->uids, "virtual_uid_maps", address, param.virtual_minimum_uid, &uid,
		    why) ||
		!find_id(a, t->gids, "virtual_gid_maps", address, 1, &gid, why)) {
		return false;
	}
	*place = (struct box_place){ .path = path_of(a, path),
		.user = { .name = arena_printf(a, "uid %lld", (long long)uid),
			.uid = (uid_t)uid,
			.gid = (gid_t)gid,
			.home = "",
			.shell = "" },
		.any_owner = !param.strict_mailbox_ownership,
		.no_user = true,
		.parents = true };
	return true;
}
