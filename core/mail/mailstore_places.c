/*
 * mailstore_places - no link leads a session out of its user's own places
 *
 * Own is what lies below the home or the folders' directory, the INBOX, and what belongs to the
 * user wherever it lies. Anything else that a link among the folders names is refused, as
 * no permission to it would have been: a session may have groups that its user has not
 * (mail_access_groups), and users that share a uid are told apart by their places alone.
 * mail_full_filesystem_access = yes is for set-ups that share folders by links.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/dovecot/dovecot_conf.h"
#include "mail/folder.h"

/* is_below - path is dir or something in it */
static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return len > 0 && strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* below_real - real is below where dir really is; "/" is nobody's own */
static bool below_real(const char *real, const char *dir)
{
	char *place = dir[0] == '/' ? realpath(dir, NULL) : NULL;
	bool yes = place != NULL && place[1] != '\0' && is_below(real, place);

	free(place);
	return yes;
}

/* target_is_own - may what the link at path leads to be used? A dead link leads nowhere. */
static bool target_is_own(const struct store *st, const char *path, bool is_root)
{
	char *real = realpath(path, NULL);
	struct stat s;
	bool own;

	if (real == NULL) {
		return errno == ENOENT;
	}
	own = below_real(real, st->home) || (!is_root && below_real(real, st->root)) ||
		(!is_root && below_real(real, st->inbox)) ||
		(lstat(real, &s) == 0 && s.st_uid == geteuid());
	free(real);
	return own;
}

bool place_is_own(const struct store *st, const char *path)
{
	/* Where the administrator put it needs no look; below the home the user makes links. */
	size_t root = strlen(st->root);
	size_t n = is_below(st->root, st->home) ? strlen(st->home) : root;
	char *part = mem_strdup(path);
	bool own = true;
	struct stat s;

	if (setting.mail_full_filesystem_access || strncmp(path, st->root, root) != 0) {
		mem_free(part);
		return true;
	}
	while (own && part[n] != '\0') {
		size_t next = n + 1 + strcspn(part + n + 1, "/");
		char end = part[next];

		part[next] = '\0';
		if (lstat(part, &s) != 0) {
			break;
		}
		own = !S_ISLNK(s.st_mode) || target_is_own(st, part, next <= root);
		part[next] = end;
		n = next;
	}
	mem_free(part);
	return own;
}
