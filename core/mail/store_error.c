/*
 * store_error - what went wrong, in words for the client and as a kind for its server
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "mail/store.h"

const char *mailstore_error(const struct mailstore *ms)
{
	return buf_str(&ms->error);
}

enum mail_error mailstore_errno(const struct mailstore *ms)
{
	return ms->code;
}

int store_fail(struct mailstore *ms, enum mail_error code, const char *fmt, ...)
{
	va_list ap;

	ms->code = code;
	buf_reset(&ms->error);
	va_start(ap, fmt);
	buf_addvf(&ms->error, fmt, ap);
	va_end(ap);
	return -1;
}

/* say_permission - who may what with path, and what would be needed */
static void say_permission(struct buf *b, const char *path, const char *need)
{
	struct stat st;
	const struct passwd *pw;
	const struct group *gr;

	if (stat(path, &st) != 0) {
		return;
	}
	pw = getpwuid(st.st_uid);
	buf_addf(b, ": it has mode %04o and owner %s", (unsigned)st.st_mode & 07777,
		pw != NULL ? pw->pw_name : "");
	if (pw == NULL) {
		buf_addf(b, "%ld", (long)st.st_uid);
	}
	gr = getgrgid(st.st_gid);
	if (gr != NULL) {
		buf_addf(b, ":%s", gr->gr_name);
	} else {
		buf_addf(b, ":%ld", (long)st.st_gid);
	}
	buf_addf(b, ", uid %ld needs to %s it (mode 0600 as its owner, 0660 in its group, or 0666)",
		(long)geteuid(), need);
}

int store_fail_sys(struct mailstore *ms, const char *path, const char *what, const char *need)
{
	int error = errno;
	enum mail_error code = MAIL_E_INTERNAL;

	switch (error) {
	case ENOENT:
	case ENOTDIR:
		code = MAIL_E_NOT_FOUND;
		break;
	case EEXIST:
	case ENOTEMPTY:
		code = MAIL_E_EXISTS;
		break;
	case EACCES:
	case EPERM:
	case EROFS:
		code = MAIL_E_PERM;
		break;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		code = MAIL_E_NOSPACE;
		break;
	case EAGAIN:
		code = MAIL_E_BUSY;
		break;
	}
	store_fail(ms, code, "cannot %s %s: %s", what, path,
		error == EAGAIN ? "another program has it locked" : strerror(error));
	if (error == EACCES) {
		say_permission(&ms->error, path, need);
	}
	/* Clients are told in short by their server; whoever can mend it reads the log. */
	if (code != MAIL_E_EXISTS) {
		log_error("%s", buf_str(&ms->error));
	}
	return -1;
}

int store_fail_index(struct mailstore *ms)
{
	struct index *ix = ms->store->index;

	store_fail(ms, index_is_full(ix) ? MAIL_E_NOSPACE : MAIL_E_INTERNAL, "%s", index_error(ix));
	log_error("%s", buf_str(&ms->error));
	return -1;
}
