/*
 * cleanup_envelope - envelope addresses of new messages, and what is logged of them
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "proto/smtp.h"
#include "route/cleanup.h"
#include "route/rewrite.h"

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
	return rewrite_address(a, plain != NULL ? plain : arena_strndup(a, text.ptr, text.len),
		REWRITE_LOCAL);
}

void cleanup_add_bcc(struct queue_message *m)
{
	struct arena a = ARENA_INIT;
	struct queue_recipient bcc = { .original = "", .orcpt = "", .notify = DSN_NEVER };

	if (*param.always_bcc != '\0') {
		bcc.address = cleanup_address(&a, param.always_bcc);
		queue_add_recipient(m, &bcc);
		arena_free(&a);
	}
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
