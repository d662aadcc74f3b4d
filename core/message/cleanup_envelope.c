/*
 * cleanup_envelope - envelope addresses of new messages, and what is logged of them
 */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "proto/smtp.h"
#include "queue/queue_write.h"
#include "address/canonical.h"
#include "address/rewrite.h"
#include "route/resolve.h"
#include "route/srs.h"
#include "message/cleanup.h"

const char *cleanup_address(struct arena *a, const char *address)
{
	struct slice text = slice_trim(slice_of(address));
	const char *plain;

	if (text.len > 1 && text.ptr[0] == '<' && text.ptr[text.len - 1] == '>') {
		text.ptr++;
		text.len -= 2;
	}
	if (text.len == 0) {
		return "";
	}
	/* What is no address by the grammar stays as it is: whoever delivers it says why not. */
	plain = smtp_plain_address(a, text);
	return rewrite_address(
		a, plain != NULL ? plain : arena_strndup(a, text.ptr, text.len), REWRITE_LOCAL);
}

/*
 * is_new - was the address, in whatever case, not seen yet? It is from now on; above
 * duplicate_filter_limit nothing is remembered
 */
static bool is_new(struct hash *seen, const char *address)
{
	char *key = mem_strdup(address);
	bool new;

	str_lower(key);
	new = hash_get(seen, key) == NULL;
	if (new && (int64_t)seen->count < param.duplicate_filter_limit) {
		(void)hash_set(seen, key, seen);
	}
	mem_free(key);
	return new;
}

/* add_once - unless it is there; seen NULL: whatever is there */
static void add_once(struct queue_message *m, struct hash *seen, const struct queue_recipient *r)
{
	if (*r->address != '\0' && (seen == NULL || is_new(seen, r->address))) {
		queue_add_recipient(m, r);
	}
}

/*
 * add_expanded - a row that says that others stand in its place, for a sender who asked to be told
 * of success; RFC 3461 5.2.7.2. They do not report theirs then
 */
static void add_expanded(struct queue_message *m, const struct queue_recipient *r)
{
	struct queue_recipient told = *r;

	told.dsn = "2.0.0";
	told.reason = "alias expanded";
	told.notify = DSN_SUCCESS;
	queue_add_recipient(m, &told);
}

bool cleanup_add_recipient(
	struct queue_message *m, struct hash *seen, const struct queue_recipient *r)
{
	struct queue_recipient to = *r;
	struct arena a = ARENA_INIT;
	const char **list = NULL, *address;
	size_t count = 0;
	int rc = -1;

	address = srs_reverse(&a, r->address);
	address = canonical_address(
		&a, address != NULL ? address : r->address, CANONICAL_ENVELOPE_RECIPIENT);
	if (address != NULL) {
		rc = route_virtual_expand(&a, address, &list, &count);
	}
	if (rc == 0) {
		to.address = address;
		if (strcmp(address, r->address) != 0 &&
			(to.original == NULL || *to.original == '\0')) {
			to.original = r->address;
		}
		add_once(m, seen, &to);
	} else if (rc > 0 && (to.original == NULL || *to.original == '\0')) {
		to.original = r->address;
	}
	if (rc > 0 && (to.notify & DSN_SUCCESS) != 0) {
		add_expanded(m, r);
		to.notify &= ~(unsigned)DSN_SUCCESS;
		to.notify = to.notify != 0 ? to.notify : DSN_NEVER;
	}
	for (size_t i = 0; rc > 0 && i < count; i++) {
		to.address = list[i];
		add_once(m, seen, &to);
	}
	arena_free(&a);
	return rc >= 0;
}

void cleanup_ask_recipient(const char *address)
{
	struct arena a = ARENA_INIT;
	const char **list;
	size_t count;

	address = canonical_address(&a, address, CANONICAL_ENVELOPE_RECIPIENT);
	if (address != NULL) {
		(void)route_virtual_expand(&a, address, &list, &count);
	}
	arena_free(&a);
}

int cleanup_sender(struct arena *a, const char **sender)
{
	const char *to = canonical_address(a, *sender, CANONICAL_ENVELOPE_SENDER);

	if (to == NULL) {
		return map_is_waiting() ? 0 : -1;
	}
	*sender = to;
	return 1;
}

bool cleanup_add_bcc(struct queue_message *m, struct hash *seen)
{
	struct arena a = ARENA_INIT;
	struct queue_recipient bcc = { .original = "", .orcpt = "", .notify = DSN_NEVER };
	bool ok = true;

	if (*param.always_bcc != '\0') {
		bcc.address = cleanup_address(&a, param.always_bcc);
		ok = cleanup_add_recipient(m, seen, &bcc);
		arena_free(&a);
	}
	return ok;
}

void cleanup_log_message_id(const struct cleanup *c, const char *id)
{
	char own[64], tag[64];

	(void)str_copy(own, sizeof(own), log_tag());
	snprintf(tag, sizeof(tag), "%.40s/cleanup", param.syslog_name);
	log_set_tag(tag);
	log_info("%s: message-id=%s", id,
		*cleanup_message_id(c) != '\0' ? cleanup_message_id(c) : "<>");
	log_set_tag(own);
}
