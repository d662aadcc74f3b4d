/*
 * verp - variable envelope return paths, Postfix's VERP_README
 */
#include "message/verp.h"

#include <string.h>

#include "conf/params.h"
#include "queue/queue_message.h"
#include "address/lookup.h"

unsigned verp_flags(struct slice delimiters)
{
	if (delimiters.len == 0) {
		delimiters = slice_of(param.default_verp_delimiters);
	}
	if (delimiters.len != 2) {
		return 0;
	}
	for (size_t i = 0; i < 2; i++) {
		unsigned char c = (unsigned char)delimiters.ptr[i];

		if (c <= ' ' || c >= 0x7f || strchr(param.verp_delimiter_filter, c) == NULL) {
			return 0;
		}
	}
	return QUEUE_VERP((unsigned char)delimiters.ptr[0], (unsigned char)delimiters.ptr[1]);
}

const char *verp_sender(struct arena *a, unsigned flags, const char *sender, const char *recipient,
	const char *original)
{
	const char *to = original != NULL && *original != '\0' ? original : recipient;
	const char *from_at = address_at(sender), *to_at = address_at(to);

	if (QUEUE_VERP_FIRST(flags) == '\0' || *sender == '\0') {
		return sender;
	}
	return arena_printf(a, "%.*s%c%.*s%c%s%s",
		(int)(from_at != NULL ? (size_t)(from_at - sender) : strlen(sender)), sender,
		QUEUE_VERP_FIRST(flags), (int)(to_at != NULL ? (size_t)(to_at - to) : strlen(to)),
		to, QUEUE_VERP_SECOND(flags), to_at != NULL ? to_at + 1 : param.myorigin,
		from_at != NULL ? from_at : "");
}
