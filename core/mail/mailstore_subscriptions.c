/*
 * mailstore_subscriptions - which folders a user wants to see
 *
 * In the file where Dovecot has it, as Dovecot writes it, so that both can be
 * used: .subscriptions beside mbox folders, subscriptions in a maildir. One name a
 * line in modified UTF-7; version 2 begins "V<TAB>2" and an empty line, and has
 * tabs for separators. The file is replaced as a whole; the index's write lock
 * keeps processes from doing so at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "mime/charset.h"
#include "proto/utf7.h"
#include "mail/mail_driver.h"

enum { FILE_MAX = 4 * 1024 * 1024 };

static char *file_path(const struct mailstore *ms)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s/%ssubscriptions", ms->store->root,
		ms->store->driver->separator == '/' ? "." : "");
	return buf_steal(&b);
}

static void add_name(struct subscription_list *l, const char *utf8)
{
	if (l->count == l->cap) {
		l->cap = l->cap * 2 + 16;
		l->names = mem_realloc(l->names, l->cap * sizeof(*l->names));
	}
	l->names[l->count++] = folder_key(utf8);
}

/* take_line - a name as it stands in the file */
static void take_line(struct subscription_list *l, char *line, char separator)
{
	struct buf utf8 = BUF_INIT;

	if (l->version2) {
		for (char *p = line; *p != '\0'; p++) {
			*p = *p == '\t' ? separator : *p;
		}
	}
	if (utf7_decode(&utf8, line, strlen(line))) {
		add_name(l, buf_str(&utf8));
	} else if (utf8_valid(line, strlen(line))) {
		add_name(l, line);
	}
	buf_free(&utf8);
}

int subscriptions_read(struct mailstore *ms, struct subscription_list *l)
{
	char *path = file_path(ms), *text, *next;
	size_t len;

	memset(l, 0, sizeof(*l));
	text = file_read(path, FILE_MAX, &len);
	if (text == NULL && errno != ENOENT && errno != ENOTDIR) {
		store_fail_sys(ms, path, "read", "read");
		mem_free(path);
		return -1;
	}
	mem_free(path);
	for (char *line = text; line != NULL && *line != '\0'; line = next) {
		next = line + strcspn(line, "\n");
		if (*next != '\0') {
			*next++ = '\0';
		}
		if (line == text && strncmp(line, "V\t", 2) == 0) {
			l->version2 = true;
		} else if (*line != '\0') {
			take_line(l, line, ms->store->driver->separator);
		}
	}
	mem_free(text);
	return 0;
}

void subscriptions_free(struct subscription_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		mem_free(l->names[i]);
	}
	mem_free(l->names);
}

bool subscriptions_has(const struct subscription_list *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++) {
		if (strcmp(l->names[i], name) == 0) {
			return true;
		}
	}
	return false;
}

/* write_file - the list in place of the file there is; 0 or -1 */
static int write_file(struct mailstore *ms, const struct subscription_list *l)
{
	char separator = ms->store->driver->separator, *path = file_path(ms);
	struct buf text = BUF_INIT, temp = BUF_INIT;
	int fd, rc = -1;

	if (l->version2) {
		buf_adds(&text, "V\t2\n\n");
	}
	for (size_t i = 0; i < l->count; i++) {
		size_t from = text.len;

		utf7_encode(&text, l->names[i], strlen(l->names[i]));
		for (size_t k = from; l->version2 && k < text.len; k++) {
			text.data[k] = text.data[k] == separator ? '\t' : text.data[k];
		}
		buf_addc(&text, '\n');
	}
	buf_addf(&temp, "%s.new", path);
	if (dir_make(ms->store->root, 0700) == 0 || errno == EEXIST) {
		unlink(buf_str(&temp));
		fd = open(
			buf_str(&temp), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0) {
			rc = fd_write_all(fd, text.data, text.len) == 0 && fsync(fd) == 0 ? 0 : -1;
			close(fd);
		}
	}
	if (rc == 0) {
		rc = rename(buf_str(&temp), path);
	}
	if (rc != 0) {
		store_fail_sys(ms, path, "write", "write");
	}
	buf_free(&text);
	buf_free(&temp);
	mem_free(path);
	return rc;
}

/* change - add or remove name; 1 changed, 0 not */
static int change(struct subscription_list *l, const char *name, bool on)
{
	size_t kept = 0, before = l->count;

	if (on) {
		if (subscriptions_has(l, name)) {
			return 0;
		}
		add_name(l, name);
		return 1;
	}
	for (size_t i = 0; i < before; i++) {
		if (strcmp(l->names[i], name) == 0) {
			mem_free(l->names[i]);
		} else {
			l->names[kept++] = l->names[i];
		}
	}
	l->count = kept;
	return kept != before;
}

int mailstore_subscribe(struct mailstore *ms, const char *name, bool on)
{
	char *path = folder_path(ms, name, true), *key;
	struct subscription_list l;
	size_t len = strlen(name);
	int rc;

	ms->code = path != NULL ? MAIL_E_NONE : ms->code;
	if (path == NULL) {
		return -1;
	}
	mem_free(path);
	if (index_begin(ms->store->index, false) != 0) {
		return store_fail_index(ms);
	}
	key = folder_key(name);
	if (len > 1 && key[len - 1] == ms->store->driver->separator) {
		key[len - 1] = '\0';
	}
	rc = subscriptions_read(ms, &l);
	if (rc == 0) {
		if (change(&l, key, on) > 0) {
			rc = write_file(ms, &l);
		}
		subscriptions_free(&l);
	}
	index_rollback(ms->store->index);
	mem_free(key);
	return rc;
}

int mailstore_subscriptions(struct mailstore *ms, int (*fn)(void *arg, const char *name), void *arg)
{
	struct subscription_list l;
	int rc = subscriptions_read(ms, &l);

	if (rc != 0) {
		return -1;
	}
	for (size_t i = 0; i < l.count && rc == 0; i++) {
		rc = fn(arg, l.names[i]);
	}
	subscriptions_free(&l);
	return rc;
}
