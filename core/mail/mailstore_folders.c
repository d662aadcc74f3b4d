/*
 * mailstore_folders - list, create, delete, rename, status
 *
 * The folders are what is on the disk; the index only remembers what it knows of
 * each, by name. A folder deleted and made again here gets a new UIDVALIDITY; one that
 * another program replaced goes on with higher UIDs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/mail_driver.h"
#include "mail/mailbox_move.h"

/* ---- Listing ---- */

/* Sorted as a tree: children right behind their parent. */
static int compare_items(const struct folder_item *a, const struct folder_item *b, char separator)
{
	const char *x = a->name, *y = b->name;

	while (*x != '\0' && *x == *y) {
		x++;
		y++;
	}
	if (*x == separator || *y == separator) {
		return *x == '\0' ? -1 : *y == '\0' ? 1 : *x == separator ? -1 : 1;
	}
	return (unsigned char)*x - (unsigned char)*y;
}

static int compare_slash(const void *a, const void *b)
{
	return compare_items(a, b, '/');
}

static int compare_dot(const void *a, const void *b)
{
	return compare_items(a, b, '.');
}

static void sort_items(struct folder_list *l, char separator)
{
	if (l->count > 1) {
		qsort(l->items, l->count, sizeof(*l->items),
			separator == '/' ? compare_slash : compare_dot);
	}
}

static bool is_child(const char *name, const char *parent, char separator)
{
	size_t n = strlen(parent);

	return strncmp(name, parent, n) == 0 && name[n] == separator;
}

/* add_parents - "A.B" without an "A" means there is an "A" that cannot be selected */
static void add_parents(struct folder_list *l, char separator)
{
	size_t count = l->count;

	for (size_t i = 0; i < count; i++) {
		const char *name = l->items[i].name;

		for (size_t n = 0; name[n] != '\0'; n++) {
			const char *before = i > 0 ? l->items[i - 1].name : "";

			if (name[n] != separator || n == 0) {
				continue;
			}
			/* It was added for the one before, or is that one, or an ancestor of it. */
			if (strncmp(before, name, n) == 0 &&
				(before[n] == separator || before[n] == '\0')) {
				continue;
			}
			if (l->count == l->cap) {
				l->cap = l->cap * 2;
				l->items = mem_realloc(l->items, l->cap * sizeof(*l->items));
			}
			l->items[l->count++] =
				(struct folder_item){ mem_strndup(name, n), false, false };
		}
	}
}

/*
 * folder_list_read - all folders but INBOX, sorted, each that only its children show included.
 * 0 or -1; folder_list_free() either way
 */
static int folder_list_read(struct mailstore *ms, struct folder_list *l)
{
	char separator = ms->store->driver->separator;

	memset(l, 0, sizeof(*l));
	if (!place_is_own(ms->store, ms->store->root)) {
		return store_fail(
			ms, MAIL_E_PERM, "Permission denied: a link leads out of the mail store");
	}
	if (ms->store->driver->list(ms, l) != 0) {
		return -1;
	}
	sort_items(l, separator);
	add_parents(l, separator);
	sort_items(l, separator);
	return 0;
}

static void folder_list_free(struct folder_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		mem_free(l->items[i].name);
	}
	mem_free(l->items);
}

int mailstore_list(
	struct mailstore *ms, int (*fn)(void *arg, const struct folder_info *f), void *arg)
{
	struct folder_info inbox = { .name = "INBOX", .selectable = true };
	char separator = ms->store->driver->separator;
	struct subscription_list subscribed;
	struct folder_list l;
	int rc = folder_list_read(ms, &l);

	if (rc == 0) {
		rc = subscriptions_read(ms, &subscribed);
	}
	if (rc != 0) {
		folder_list_free(&l);
		return -1;
	}
	inbox.subscribed = subscriptions_has(&subscribed, "INBOX");
	for (size_t i = 0; i < l.count && !inbox.has_children; i++) {
		inbox.has_children = is_child(l.items[i].name, "INBOX", separator);
	}
	rc = fn(arg, &inbox);
	for (size_t i = 0; i < l.count && rc == 0; i++) {
		struct folder_info f = { .name = l.items[i].name,
			.selectable = l.items[i].selectable,
			.no_inferiors = l.items[i].no_inferiors };

		/* A directory INBOX/ holds its children; the folder itself was listed. */
		if (str_ieq(f.name, "INBOX")) {
			continue;
		}
		f.has_children =
			i + 1 < l.count && is_child(l.items[i + 1].name, f.name, separator);
		f.subscribed = subscriptions_has(&subscribed, f.name);
		rc = fn(arg, &f);
	}
	subscriptions_free(&subscribed);
	folder_list_free(&l);
	return rc;
}

/* ---- Making and removing ---- */

/*
 * sync_names - a folder's name, and the directories on the way to it, outlive a power cut: mail
 * that is moved there leaves where it was. Too late to fail, but it is said.
 */
static void sync_names(const struct mailstore *ms, const char *path)
{
	size_t root = strlen(ms->store->root);
	char *name = mem_strdup(path), *slash;
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && dir_sync(path, -1) != 0) {
		log_warn("%s: cannot sync it: %m", path);
	}
	while (strlen(name) >= root && strncmp(name, ms->store->root, root) == 0) {
		if (file_sync_name(name, -1) != 0) {
			log_warn("%s: cannot sync its directory: %m", name);
		}
		slash = strrchr(name, '/');
		if (slash == NULL || slash == name) {
			break;
		}
		*slash = '\0';
	}
	mem_free(name);
}

int mailstore_create(struct mailstore *ms, const char *name)
{
	size_t len = strlen(name);
	bool directory = len > 0 && name[len - 1] == ms->store->driver->separator;
	char *path;
	int rc;

	ms->code = MAIL_E_NONE;
	if (str_ieq(name, "INBOX")) {
		return store_fail(ms, MAIL_E_EXISTS, "Mailbox already exists");
	}
	path = folder_path(ms, name, true);
	if (path == NULL) {
		return -1;
	}
	rc = ms->store->driver->create(ms, path, directory);
	if (rc != 0 && ms->code == MAIL_E_EXISTS) {
		store_fail(ms, MAIL_E_EXISTS, "Mailbox already exists");
	}
	if (rc == 0) {
		sync_names(ms, path);
	}
	mem_free(path);
	return rc;
}

/* forget_folder - the index's memory of it, and this process's; 0 or -1 */
static int forget_folder(struct mailstore *ms, const char *key)
{
	struct index *ix = ms->store->index;
	struct index_folder f = { 0 };
	struct mailbox *mb;
	int rc = index_begin(ix, false);

	if (rc == 0) {
		rc = index_folder_get(ix, key, &f);
		if (rc > 0) {
			move_note_remove(ms, f.id);
			rc = index_folder_remove(ix, f.id);
		}
		if (rc == 0) {
			rc = index_commit(ix);
		}
		index_rollback(ix);
		index_folder_clear(&f);
	}
	if (rc != 0) {
		return store_fail_index(ms);
	}
	for (mb = ms->store->open; mb != NULL && strcmp(mb->name, key) != 0; mb = mb->next) {
		;
	}
	if (mb == NULL) {
		return 0;
	}
	/*
	 * Sessions that have it open hear so at their next sync; nobody finds it by its name any
	 * more.
	 */
	mb->loaded = false;
	mb->name[0] = '\0';
	mailbox_wake(mb, NULL);
	if (mb->refs == 0) {
		mailbox_forget(mb);
	}
	return 0;
}

int mailstore_delete(struct mailstore *ms, const char *name)
{
	bool selectable;
	char *path, *key;
	int rc;

	ms->code = MAIL_E_NONE;
	if (str_ieq(name, "INBOX")) {
		return store_fail(ms, MAIL_E_PERM, "INBOX can't be deleted.");
	}
	path = folder_path(ms, name, true);
	if (path == NULL) {
		return -1;
	}
	key = folder_key(name);
	if (!ms->store->driver->exists(path, &selectable)) {
		rc = store_fail(ms, MAIL_E_NOT_FOUND, "Mailbox doesn't exist: %s", name);
	} else {
		rc = ms->store->driver->remove(ms, path);
	}
	if (rc == 0) {
		rc = forget_folder(ms, key);
	} else if (ms->code == MAIL_E_EXISTS) {
		store_fail(ms, MAIL_E_EXISTS, "Mailbox has children, delete them first");
	}
	mem_free(key);
	mem_free(path);
	return rc;
}

/* ---- Renaming ---- */

/* rename_open - folders that this process has open under the old name, and below it */
static void rename_open(struct mailstore *ms, const char *from, const char *to)
{
	for (struct mailbox *mb = ms->store->open; mb != NULL; mb = mb->next) {
		struct buf name = BUF_INIT;
		char *path;

		if (strcmp(mb->name, from) != 0 &&
			!is_child(mb->name, from, ms->store->driver->separator)) {
			continue;
		}
		buf_addf(&name, "%s%s", to, mb->name + strlen(from));
		path = folder_path(ms, buf_str(&name), false);
		if (path == NULL) {
			buf_free(&name);
			continue;
		}
		mem_free(mb->path);
		mb->path = path;
		mem_free(mb->name);
		mb->name = buf_steal(&name);
		mb->f.sig[0] = -1;
	}
}

/* rename_one - a folder's files (unless they went along with a directory) and its row; 0 or -1 */
static int rename_one(struct mailstore *ms, const char *from, const char *to, bool files)
{
	char *old = folder_path(ms, from, false),
	     *new = old != NULL ? folder_path(ms, to, false) : NULL;
	int rc = new != NULL ? 0 : -1;

	if (rc == 0 && files) {
		rc = ms->store->driver->move(ms, old, new);
	}
	if (rc == 0 && files) {
		sync_names(ms, new);
		sync_names(ms, old);
	}
	if (rc == 0 && index_folder_rename(ms->store->index, from, to) != 0) {
		rc = store_fail_index(ms);
	}
	mem_free(old);
	mem_free(new);
	return rc;
}

/* rename_tree - the folder and all below it; 0 or -1 */
static int rename_tree(struct mailstore *ms, const char *from, const char *to)
{
	char separator = ms->store->driver->separator;
	bool flat = separator == '.';
	struct folder_list l;
	int rc = folder_list_read(ms, &l);
	bool selectable, exists;
	char *path = folder_path(ms, from, false);

	exists = path != NULL && ms->store->driver->exists(path, &selectable);
	mem_free(path);
	if (rc == 0 && (exists || !flat)) {
		rc = rename_one(ms, from, to, true);
	}
	for (size_t i = 0; i < l.count && rc == 0; i++) {
		struct buf new = BUF_INIT;

		if (!is_child(l.items[i].name, from, separator)) {
			continue;
		}
		buf_addf(&new, "%s%s", to, l.items[i].name + strlen(from));
		rc = rename_one(ms, l.items[i].name, buf_str(&new), flat && l.items[i].selectable);
		buf_free(&new);
	}
	folder_list_free(&l);
	return rc;
}

/* rename_inbox - its mail moves, it stays (RFC 3501 6.3.5) */
static int rename_inbox(struct mailstore *ms, const char *to)
{
	struct mailbox_view *v;
	uint32_t *uids, *new_uids, validity, count;
	int rc;

	if (mailstore_create(ms, to) != 0) {
		return -1;
	}
	v = mailbox_open(ms, "INBOX", false);
	if (v == NULL) {
		return -1;
	}
	count = mailbox_count(v);
	uids = mem_calloc((size_t)count + 1, sizeof(*uids));
	for (uint32_t seq = 1; seq <= count; seq++) {
		uids[seq - 1] = mailbox_info(v, seq)->uid;
	}
	rc = mailbox_copy(v, uids, count, to, MAIL_MOVE, &new_uids, &validity);
	if (rc == 0) {
		mem_free(new_uids);
	}
	mem_free(uids);
	mailbox_close(v);
	return rc == 0 ? 0 : -1;
}

/* known_folder - is there a folder, or one that its children imply? */
static bool known_folder(struct mailstore *ms, const char *name)
{
	struct folder_list l;
	bool found = false;

	if (folder_list_read(ms, &l) == 0) {
		for (size_t i = 0; i < l.count && !found; i++) {
			found = strcmp(l.items[i].name, name) == 0;
		}
	}
	folder_list_free(&l);
	return found;
}

int mailstore_rename(struct mailstore *ms, const char *from, const char *to)
{
	struct index *ix = ms->store->index;
	struct index_folder stale = { 0 };
	char *path;
	int rc;

	ms->code = MAIL_E_NONE;
	path = folder_path(ms, to, false);
	if (path == NULL) {
		return -1;
	}
	mem_free(path);
	if (str_ieq(from, "INBOX")) {
		return rename_inbox(ms, to);
	}
	if (!known_folder(ms, from)) {
		return store_fail(ms, MAIL_E_NOT_FOUND, "Mailbox doesn't exist: %s", from);
	}
	if (str_ieq(to, "INBOX") || known_folder(ms, to)) {
		return store_fail(ms, MAIL_E_EXISTS, "Mailbox already exists");
	}
	if (is_child(to, from, ms->store->driver->separator)) {
		return store_fail(ms, MAIL_E_INVALID, "Can't rename a mailbox under itself");
	}
	if (index_begin(ix, true) != 0) {
		return store_fail_index(ms);
	}
	/* What the index remembers of a folder of the new name that is gone. */
	rc = index_folder_get(ix, to, &stale);
	if (rc > 0) {
		move_note_remove(ms, stale.id);
		rc = index_folder_remove(ix, stale.id);
	}
	index_folder_clear(&stale);
	rc = rc != 0 ? store_fail_index(ms) : rename_tree(ms, from, to);
	if (rc == 0 && index_commit(ix) != 0) {
		rc = store_fail_index(ms);
	}
	index_rollback(ix);
	if (rc == 0) {
		rename_open(ms, from, to);
	}
	return rc;
}

/* ---- STATUS ---- */

int mailstore_status(struct mailstore *ms, const char *name, struct mailbox_status *out)
{
	struct mailbox *mb = mailbox_get(ms, name);
	int rc;

	ms->code = mb != NULL ? MAIL_E_NONE : ms->code;
	if (mb == NULL) {
		return -1;
	}
	rc = mb->store->driver->sync(mb, false);
	/* Locked by another program: what is known has to do. */
	if (rc != 0 && ms->code == MAIL_E_BUSY && mb->f.gen > 0) {
		rc = 0;
	}
	if (rc == 0) {
		rc = mailbox_refresh(mb);
	}
	if (rc == 0) {
		memset(out, 0, sizeof(*out));
		out->messages = mb->count;
		out->recent = mb->count - mailbox_lower(mb, mb->f.first_recent);
		for (uint32_t i = 0; i < mb->count; i++) {
			out->unseen += !(mailbox_msg(mb, i)->info.flags & MAIL_SEEN);
			out->size += mailbox_msg(mb, i)->info.size;
		}
		out->uid_next = mb->f.uid_next;
		out->uid_validity = mb->f.uid_validity;
		out->highest_modseq = mb->f.modseq;
	}
	mailbox_put(mb);
	return rc;
}
