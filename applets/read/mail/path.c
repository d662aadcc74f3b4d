/*
 * path - the files that names stand for: % own mailbox, # previous, & mbox, + folder, ~ home
 */
#include "applets/read/mail/path.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/vars.h"

/* home_of - the home of a user, "" own; NULL: no such user */
static const char *home_of(struct mail_state *mail, const char *user, size_t len)
{
	char name[64];
	struct passwd *pw;

	if (len == 0) {
		return mail->home;
	}
	if (len >= sizeof(name)) {
		return NULL;
	}
	memcpy(name, user, len);
	name[len] = '\0';
	pw = getpwnam(name);
	return pw != NULL ? pw->pw_dir : NULL;
}

/* put_folder - where names with a + are: the variable folder, from the home directory */
static void put_folder(struct mail_state *mail, struct buf *out)
{
	const char *folder = var_get(mail, "folder");

	if (folder == NULL || folder[0] == '\0') {
		folder = "mail";
	}
	if (folder[0] != '/') {
		buf_addf(out, "%s/", mail->home);
	}
	buf_addf(out, "%s/", folder);
}

char *path_of_folder(struct mail_state *mail, const char *name)
{
	struct buf out = BUF_INIT;

	/* First, for the variable may hold any of the others. */
	if (strcmp(name, "&") == 0) {
		const char *mbox = var_get(mail, "MBOX");

		name = mbox != NULL && mbox[0] != '\0' ? mbox : "~/mbox";
	}
	if (strcmp(name, "%") == 0) {
		return NULL;
	}
	if (strcmp(name, "#") == 0 && mail->previous_path != NULL) {
		return mem_strdup(mail->previous_path);
	}
	if (name[0] == '+') {
		put_folder(mail, &out);
		name++;
	} else if (name[0] == '~') {
		size_t len = strcspn(name + 1, "/");
		const char *home = home_of(mail, name + 1, len);

		if (home != NULL) {
			buf_adds(&out, home);
			name += 1 + len;
		}
	}
	buf_adds(&out, name);
	return buf_steal(&out);
}

char *path_of_file(struct mail_state *mail, const char *name)
{
	char *path = path_of_folder(mail, name);

	if (path == NULL) {
		fprintf(stderr, "%s: names your own mailbox, and no file\n", name);
		mail->exit_status = 1;
	}
	return path;
}
