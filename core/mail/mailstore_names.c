/*
 * mailstore_names - folder names and where they lie
 *
 *	name		mbox			Maildir++
 *	INBOX		the INBOX file		the maildir itself
 *	Work		ROOT/Work		ROOT/.Work
 *	Work/2011	ROOT/Work/2011
 *	Work.2011				ROOT/.Work.2011
 *
 * On disk names are in modified UTF-7, as Dovecot and Courier write them. No name
 * leads out of ROOT: parts that are empty, begin with a dot or a tilde, or hold
 * control characters are refused.
 */
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "mime/charset.h"
#include "proto/utf7.h"
#include "mail/mail_driver.h"

/* A file's name may have 255 bytes; deeper trees than this are not made. */
enum { PART_MAX = 200, NAME_MAX_BYTES = 1000, DEPTH_MAX = 16 };

char *folder_key(const char *name)
{
	return mem_strdup(str_ieq(name, "INBOX") ? "INBOX" : name);
}

void mailstore_inbox_case(struct mailstore *ms, char *name)
{
	char *path;
	bool there = false, selectable;

	if (!str_istarts(name, "INBOX") || name[5] != ms->store->driver->separator ||
		str_starts(name, "INBOX")) {
		return;
	}
	/* Another program may have made "Inbox.x". */
	path = folder_path(ms, name, true);
	there = path != NULL && ms->store->driver->exists(path, &selectable);
	mem_free(path);
	if (!there) {
		memcpy(name, "INBOX", 5);
	}
	ms->code = MAIL_E_NONE;
}

bool folder_is_hidden(const char *file)
{
	return file[0] == '.' || str_ends(file, ".lock") || str_starts(file, "dovecot") ||
		strchr(file, '\n') != NULL;
}

/* bad_part - why a part of a name cannot be, or NULL */
static const char *bad_part(const char *part, size_t len)
{
	if (len == 0) {
		return "it has an empty part";
	}
	if (len > PART_MAX) {
		return "it is too long";
	}
	if (part[0] == '.' || part[0] == '~') {
		return "a part begins with a dot or a tilde";
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f) {
			return "it has control characters";
		}
	}
	return NULL;
}

/* bad_name - why name cannot be one, or NULL */
static const char *bad_name(const char *name, size_t len, char separator)
{
	const char *why = NULL;
	size_t start = 0, depth = 0;

	if (len == 0) {
		return "it is empty";
	}
	if (len > NAME_MAX_BYTES) {
		return "it is too long";
	}
	if (!utf8_valid(name, len)) {
		return "it is not UTF-8";
	}
	if (separator != '/' && memchr(name, '/', len) != NULL) {
		return "it has a slash";
	}
	for (size_t i = 0; i <= len && why == NULL; i++) {
		if (i == len || name[i] == separator) {
			why = ++depth > DEPTH_MAX ? "it has too many parts"
						  : bad_part(name + start, i - start);
			start = i + 1;
		}
	}
	if (why == NULL && separator == '/' &&
		folder_is_hidden(strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name)) {
		why = "it is a name for other files";
	}
	return why;
}

/* prefer_existing - a folder that another program made may have its name in UTF-8 on disk */
static void prefer_existing(struct buf *path, const struct store *st, const char *name, size_t len)
{
	struct buf raw = BUF_INIT;

	buf_addf(&raw, "%s/%s%.*s", st->root, st->driver->separator == '/' ? "" : ".", (int)len,
		name);
	if (access(buf_str(path), F_OK) != 0 && access(buf_str(&raw), F_OK) == 0) {
		buf_reset(path);
		buf_add(path, raw.data, raw.len);
	}
	buf_free(&raw);
}

char *folder_path(struct mailstore *ms, const char *name, bool directory)
{
	struct store *st = ms->store;
	char separator = st->driver->separator;
	struct buf path = BUF_INIT;
	size_t len = strlen(name);
	const char *why;

	if (str_ieq(name, "INBOX")) {
		return mem_strdup(st->inbox);
	}
	if (directory && len > 0 && name[len - 1] == separator) {
		len--;
	}
	why = bad_name(name, len, separator);
	if (why == NULL) {
		buf_addf(&path, "%s/%s", st->root, separator == '/' ? "" : ".");
		utf7_encode(&path, name, len);
		if (path.len - strlen(st->root) > PART_MAX + 50 && separator != '/') {
			why = "it is too long";
		}
	}
	if (why == NULL && strncmp(buf_str(&path) + path.len - len, name, len) != 0) {
		prefer_existing(&path, st, name, len);
	}
	if (why != NULL) {
		store_fail(ms, MAIL_E_INVALID, "Invalid mailbox name: %s", why);
	} else if (!place_is_own(st, buf_str(&path))) {
		store_fail(
			ms, MAIL_E_PERM, "Permission denied: a link leads out of the mail store");
	} else {
		return buf_steal(&path);
	}
	buf_free(&path);
	return NULL;
}

void folder_list_add(struct folder_list *l, const char *name, bool selectable, bool no_inferiors)
{
	struct buf utf8 = BUF_INIT;

	if (!utf7_decode(&utf8, name, strlen(name))) {
		buf_reset(&utf8);
		if (!utf8_valid(name, strlen(name))) {
			return;
		}
		buf_adds(&utf8, name);
	}
	if (l->count == l->cap) {
		l->cap = l->cap * 2 + 16;
		l->items = mem_realloc(l->items, l->cap * sizeof(*l->items));
	}
	l->items[l->count++] = (struct folder_item){ buf_steal(&utf8), selectable, no_inferiors };
}
