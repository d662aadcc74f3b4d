/*
 * mailstore - where a user's mail is, and what all his sessions share
 *
 * mail_location names the format, the folders' place and the INBOX:
 *
 *	mbox:~/mail:INBOX=/var/mail/%u		maildir:~/Maildir
 *	    :INDEX=/var/index/%u		INDEX=MEMORY: none is kept
 *
 * Without one, what is there decides: ~/Maildir, or else mbox folders in
 * ~/mail and the INBOX in /var/mail. A relative path is below the home.
 *
 * index.db lies in .pillarbox below the folders (pillarbox in a maildir, where a
 * leading dot would make it a folder), or in the home when there is no room for it
 * there. Where neither can be written it is in memory, and that is said.
 */
#include "mail/mailstore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/lock_group.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "mail/drivers.h"
#include "mail/mailbox_state.h"

/* The stores that sessions of this process have open: what they share is found here. */
static struct G {
	struct store *stores;
} G;

/* ---- mail_location ---- */

struct location {
	const struct mail_driver *driver;
	char *root, *inbox, *index; /* NULL: not given */
};

/* expand - %variables and ~, below the home when relative; NULL with a text */
static char *expand(const struct mail_user *user, struct slice text, char **error_r)
{
	char *raw = mem_strndup(text.ptr, text.len);
	char *path = dovecot_expand(raw, user->name, user->home, "");
	bool tilde = path[0] == '~' && (path[1] == '/' || path[1] == '\0');
	struct buf b = BUF_INIT;

	if (path[0] == '/') {
		buf_adds(&b, path);
	} else if (user->home[0] != '\0') {
		buf_addf(&b, "%s%s%s", user->home, tilde ? "" : "/", path + tilde);
	} else {
		buf_addf(
			&b, "mail_location: user %s has no home directory for %s", user->name, raw);
		*error_r = buf_steal(&b);
	}
	mem_free(raw);
	mem_free(path);
	if (b.len == 0) {
		return NULL;
	}
	while (b.len > 1 && b.data[b.len - 1] == '/') {
		buf_truncate(&b, b.len - 1);
	}
	return buf_steal(&b);
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* guess_location - of the last driver whose folders are there, else of the first */
static const char *guess_location(const struct mail_user *user)
{
	const char *location = NULL;

	for (const struct mail_driver *const *d = mail_drivers; *d != NULL; d++) {
		struct buf b = BUF_INIT;

		buf_addf(&b, "%s%s", user->home, (*d)->default_root + 1);
		if (location == NULL || (user->home[0] != '\0' && is_directory(buf_str(&b)))) {
			location = (*d)->default_location;
		}
		buf_free(&b);
	}
	return location;
}

static void free_location(struct location *l)
{
	mem_free(l->root);
	mem_free(l->inbox);
	mem_free(l->index);
}

/* find_driver - by the name that mail_location begins with; NULL with a text */
static const struct mail_driver *find_driver(
	const struct mail_user *user, struct slice name, char **error_r)
{
	struct buf e = BUF_INIT;

	if (user->driver != NULL && slice_ieq(name, user->driver->name)) {
		return user->driver;
	}
	for (const struct mail_driver *const *d = mail_drivers; *d != NULL; d++) {
		if (slice_ieq(name, (*d)->name)) {
			return *d;
		}
	}
	buf_addf(&e, "mail_location: unknown mailbox format \"%.*s\" (", (int)name.len, name.ptr);
	for (size_t i = 0; mail_drivers[i] != NULL; i++) {
		const char *before = i == 0 ? "" : mail_drivers[i + 1] != NULL ? ", " : " and ";

		buf_addf(&e, "%s%s", before, mail_drivers[i]->name);
	}
	buf_adds(&e, " are known)");
	*error_r = buf_steal(&e);
	return NULL;
}

/* parse_location - 0, or -1 with a text */
static int parse_location(const struct mail_user *user, struct location *l, char **error_r)
{
	struct slice rest = slice_of(user->mail_location != NULL && user->mail_location[0] != '\0'
			? user->mail_location
			: guess_location(user));
	struct slice word = slice_word(&rest, ":");

	l->driver = find_driver(user, word, error_r);
	if (l->driver == NULL) {
		return -1;
	}
	word = slice_word(&rest, ":");
	l->root =
		expand(user, word.ptr != NULL ? word : slice_of(l->driver->default_root), error_r);
	if (l->root == NULL) {
		return -1;
	}
	for (word = slice_word(&rest, ":"); word.ptr != NULL; word = slice_word(&rest, ":")) {
		static const char *const names[] = { "INBOX=", "INDEX=" };
		char **places[] = { &l->inbox, &l->index };

		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			size_t n = strlen(names[i]);

			if (word.len < n || strncasecmp(word.ptr, names[i], n) != 0) {
				continue;
			}
			mem_free(*places[i]);
			*places[i] = NULL;
			word = (struct slice){ word.ptr + n, word.len - n };
			*places[i] = slice_eq(word, "MEMORY") ? mem_strdup("")
							      : expand(user, word, error_r);
			if (*places[i] == NULL) {
				return -1;
			}
			break;
		}
	}
	if (l->inbox == NULL) {
		l->driver->place_inbox(&l->root, &l->inbox);
	}
	return 0;
}

/* ---- Opening ---- */

/* index_dir - the directory, made when it can be; false: it cannot */
static bool index_dir(struct buf *path, const char *base, const char *name)
{
	buf_reset(path);
	buf_addf(path, "%s%s%s", base, *name != '\0' ? "/" : "", name);
	if (base[0] == '\0' || (dir_make(buf_str(path), 0700) != 0 && errno != EEXIST) ||
		access(buf_str(path), W_OK | X_OK) != 0) {
		return false;
	}
	buf_adds(path, "/index.db");
	return true;
}

/* open_index - in its place or in memory; NULL with a text */
static struct index *open_index(const struct location *l, const char *home, char **error_r)
{
	struct buf path = BUF_INIT;
	struct index *ix;
	bool found;

	if (l->index != NULL && l->index[0] == '\0') {
		ix = index_open(NULL, error_r);
	} else {
		found = l->index != NULL ? index_dir(&path, l->index, "")
					 : index_dir(&path, l->root, l->driver->index_name) ||
				index_dir(&path, home, ".pillarbox");
		if (!found) {
			log_warn("%s: no directory for index.db can be written: %s; it is kept in "
				 "memory, and "
				 "flags are in the mailbox files only",
				l->index != NULL ? l->index : l->root, strerror(errno));
		}
		ix = index_open(found ? buf_str(&path) : NULL, error_r);
		if (found && l->driver->sweep != NULL) {
			l->driver->sweep(buf_str(&path));
		}
	}
	buf_free(&path);
	return ix;
}

static void close_store(struct store *st)
{
	struct store **link = &G.stores;

	while (*link != NULL && *link != st) {
		link = &(*link)->next;
	}
	if (*link == st) {
		*link = st->next;
	}
	if (st->kept != NULL) {
		mailbox_forget(st->kept);
	}
	index_close(st->index);
	mem_free(st->key);
	mem_free(st->home);
	mem_free(st->root);
	mem_free(st->inbox);
	mem_free(st);
}

/*
 * A store that no session uses stays until another is opened: a mail process serves
 * one user, who logs in again and again, and opening index.db takes as long as
 * everything else of a short session together.
 */
static void close_unused(void)
{
	struct store *st = G.stores, *next;

	for (; st != NULL; st = next) {
		next = st->next;
		if (st->refs == 0) {
			close_store(st);
		}
	}
}

/* new_store - NULL with a text */
static struct store *new_store(const struct mail_user *user, const char *key, char **error_r)
{
	struct location l = { 0 };
	struct index *ix = NULL;
	struct store *st;

	if (parse_location(user, &l, error_r) == 0) {
		ix = open_index(&l, user->home, error_r);
	}
	if (ix == NULL) {
		free_location(&l);
		return NULL;
	}
	st = mem_alloc(sizeof(*st));
	st->key = mem_strdup(key);
	st->home = mem_strdup(user->home);
	st->root = l.root;
	st->inbox = l.inbox;
	st->driver = l.driver;
	st->index = ix;
	st->next = G.stores;
	G.stores = st;
	mem_free(l.index);
	return st;
}

struct mailstore *mailstore_open(const struct mail_user *user, char **error_r)
{
	struct buf key = BUF_INIT;
	struct mailstore *ms;
	struct store *st;

	buf_addf(&key, "%s\n%s\n%s", user->name, user->home,
		user->mail_location != NULL ? user->mail_location : "");
	for (st = G.stores; st != NULL && strcmp(st->key, buf_str(&key)) != 0; st = st->next) {
		;
	}
	if (st == NULL) {
		close_unused();
		st = new_store(user, buf_str(&key), error_r);
	}
	buf_free(&key);
	if (st == NULL) {
		return NULL;
	}
	st->refs++;
	ms = mem_alloc(sizeof(*ms));
	ms->store = st;
	return ms;
}

void mailstore_close(struct mailstore *ms)
{
	if (ms == NULL) {
		return;
	}
	for (struct mailbox *mb = ms->store->open; mb != NULL; mb = mb->next) {
		mailbox_let_go(mb);
	}
	/* As much for what is of no folder that is open. */
	index_rollback(ms->store->index);
	lock_group_use(false);
	/* The store itself stays, see close_unused(). */
	ms->store->refs--;
	buf_free(&ms->error);
	mem_free(ms);
}

void mailstore_status_only(struct mailstore *ms)
{
	ms->store->status_only = true;
}

char mailstore_separator(const struct mailstore *ms)
{
	return ms->store->driver->separator;
}
