/*
 * list - lists of addresses as text, separated by ", "
 */
#include "applets/read/mail/list.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "mime/address.h"

/* list_add - behind ", " where something is there */
void list_add(struct buf *list, const char *addresses)
{
	struct slice trimmed = slice_trim(slice_of(addresses));

	if (trimmed.len > 0) {
		if (list->len > 0) {
			buf_adds(list, ", ");
		}
		buf_add(list, trimmed.ptr, trimmed.len);
	}
}

void list_put_address(struct buf *out, const struct mime_address *m)
{
	if (m->domain != NULL && m->domain[0] != '\0') {
		mime_address_put(out, m);
	} else {
		buf_adds(out, m->mailbox);
	}
}

/* bare_address - of the first element */
const char *bare_address(struct arena *a, const char *text)
{
	const struct mime_address *m = mime_addresses(a, slice_of(text));
	struct buf one = BUF_INIT;
	const char *result;

	if (m == NULL || m->mailbox == NULL || m->mailbox[0] == '\0' || m->domain == NULL) {
		return text;
	}
	list_put_address(&one, m);
	result = arena_strdup(a, buf_str(&one));
	buf_free(&one);
	return result;
}
