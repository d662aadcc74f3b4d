/*
 * privileges - what each kind of process may do, and how it gives up the rest
 *
 * One table: privileges_take() goes by it, and privileges_print() prints it, so that what
 * `postfix check -v` says is what happens.
 *
 * capabilities(7), credentials(7), prctl(2).
 */
#include "applets/privileges.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/lock_group.h"
#include "base/log.h"

enum { CAPABILITY_MAX = 63, CAPABILITY_VERSION = 0x20080522 };

/* What a row leaves a process. */
enum {
	MAY_ALL = 1,			/* root, as it was started */
	MAY_EXEC = 2			/* programs that are given more rights (no no_new_privs) */
};

static const struct {
	const char *kind, *user, *groups, *root, *holds;
	unsigned may;
} rows[PROCESS_KINDS] = {
	[PROCESS_SUPERVISOR] = { "master, dovecot", "root", "as started", "/",
		"log, listening sockets, control sockets of children", MAY_ALL | MAY_EXEC },
	[PROCESS_LOCAL] = { "local", "root", "as started", "/", "log, control socket, queue.db",
		MAY_ALL | MAY_EXEC },
	[PROCESS_DELIVERY] = { "local (delivery)", "the recipient", "his, of the spool", "/",
		"log, a socket to local", 0 },
	[PROCESS_QUEUE] = { "smtpd, qmgr, pickup", "mail_owner", "mail_owner's", "/",
		"log, control socket, queue.db", 0 },
	[PROCESS_LOGIN] = { "imap-login, pop3-login", "default_login_user", "his", "/",
		"log, control socket, certificate's key", 0 },
	[PROCESS_MAIL] = { "imap, pop3", "the mail's owner", "his, mail_access_groups", "/",
		"log, control socket", 0 },
	[PROCESS_AUTH] = { "auth", "root", "as started", "/", "log, control socket",
		MAY_ALL | MAY_EXEC },
};

static _Noreturn void cannot(const struct identity *who)
{
	log_fatal("cannot become user %s: %m", who->name);
}

/* drop_bounding - nothing that is executed later gets capabilities either */
static void drop_bounding(void)
{
	for (int i = 0; i <= CAPABILITY_MAX; i++) {
		/* EINVAL: this kernel has fewer. EPERM: a container without CAP_SETPCAP, where
		 * no_new_privs has to do. */
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0) {
			break;
		}
	}
}

/* drop_capabilities - setuid(2) has taken them; also those that exec would hand on */
static void drop_capabilities(void)
{
	struct {
		uint32_t version;
		int pid;
	} head = { CAPABILITY_VERSION, 0 };
	struct {
		uint32_t effective, permitted, inheritable;
	} none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	if (syscall(SYS_capset, &head, none) != 0) {
		log_fatal("cannot give up capabilities: %m");
	}
}

/* change_ids - and make sure that there is no way back */
static void change_ids(const struct identity *who)
{
	gid_t saved = who->lock_group != (gid_t)-1 ? who->lock_group : who->gid;

	if (setgroups(who->group_count, who->groups) != 0 ||
		setresgid(who->gid, who->gid, saved) != 0 ||
		setresuid(who->uid, who->uid, who->uid) != 0) {
		cannot(who);
	}
	if (who->uid != 0 && setuid(0) == 0) {
		log_fatal("still root after becoming user %s", who->name);
	}
	if (saved != who->gid) {
		lock_group_set(saved);
	}
}

void privileges_take(enum process_kind kind, const struct identity *who)
{
	if (rows[kind].may & MAY_ALL) {
		return;
	}
	if (geteuid() == 0) {
		if (who->uid != 0) {
			drop_bounding();
		}
		change_ids(who);
		if (who->uid != 0) {
			drop_capabilities();
		}
		/* Others of that uid neither look into the process nor take its descriptors. */
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	}
	if (!(rows[kind].may & MAY_EXEC)) {
		(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	}
}

void privileges_print(struct buf *out, const char *before)
{
	static const char form[] = "%s%-24s %-20s %-24s %-4s %-7s %s\n";

	buf_addf(out, form, before, "process", "user", "groups", "caps", "root", "holds");
	for (size_t i = 0; i < PROCESS_KINDS; i++) {
		buf_addf(out, form, before, rows[i].kind, rows[i].user, rows[i].groups,
			rows[i].may & MAY_ALL ? "all" : "none", rows[i].root, rows[i].holds);
	}
}
