/*
 * privileges - what each kind of process may do, and how it gives up the rest
 *
 * One table: privileges_take() goes by it, and privileges_print() prints it, so that what
 * `postfix check -v` says is what happens.
 *
 * capabilities(7), credentials(7), prctl(2).
 */
#include "applets/daemon/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/lock_group.h"
#include "base/log.h"

enum { CAPABILITY_MAX = 63, CAPABILITY_VERSION = 0x20080522, OLD_KERNEL_MAX = 1024 };

#define DAC_READ_SEARCH (UINT64_C(1) << 2)
#define ALL (~UINT64_C(0)) /* root, as it was started */

/* Whose groups a process has besides. */
#define OWN "its user's"

static const struct {
	const char *kind;
	enum process_user user;
	const char *groups, *root, *holds;
	uint64_t capabilities;
} rows[PROCESS_KINDS] = {
	[PROCESS_SUPERVISOR] = { "master, dovecot", USER_ROOT, "as started", "/",
		"log, listening sockets, control sockets of children", ALL },
	[PROCESS_LOCAL] = { "local, virtual, pipe", USER_ROOT, "as started", "/",
		"log, control socket", ALL },
	[PROCESS_DELIVERY] = { "local (delivery)", USER_OF_MAIL, "one, the spool's", "/",
		"a socket to local or virtual", 0 },
	[PROCESS_COMMAND] = { "local (command)", USER_OF_MAIL, OWN, "/", "its standard input", 0 },
	[PROCESS_KEEPER] = { "local (keeper)", USER_ROOT, "as started", "/",
		"pipes to its agent and to a command", ALL },
	[PROCESS_QUEUE] = { "smtpd, lmtpd, qmgr, pickup, discard, smtp, lmtp", USER_QUEUE, OWN, "/",
		"log, control socket, queue.db", 0 },
	[PROCESS_LOGIN] = { "imap-login, pop3-login", USER_LOGIN, OWN, "empty",
		"control socket, certificate's key", 0 },
	[PROCESS_MAIL] = { "imap, pop3", USER_OF_MAIL, OWN ", mail_access_groups", "/",
		"control socket", 0 },
	[PROCESS_AUTH] = { "auth", USER_INTERNAL, OWN, "/",
		"log, control socket, a socket to its reader", 0 },
	[PROCESS_READER] = { "auth (reader)", USER_ROOT, "none", "/", "a socket to auth",
		DAC_READ_SEARCH },
};

static _Noreturn void cannot(const struct identity *who)
{
	log_fatal("cannot become user %s: %m", who->name);
}

/* limit_bounding - nothing that is executed later gets others than these either */
static void limit_bounding(uint64_t capabilities)
{
	for (int i = 0; i <= CAPABILITY_MAX; i++) {
		/* EINVAL: this kernel has fewer. EPERM: a container without CAP_SETPCAP, where
		 * no_new_privs has to do. */
		if (!(capabilities >> i & 1) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0) {
			break;
		}
	}
}

/* limit_capabilities - to these, of those that we have; also those that exec would hand on */
static void limit_capabilities(uint64_t capabilities)
{
	struct {
		uint32_t version;
		int pid;
	} head = { CAPABILITY_VERSION, 0 };
	struct {
		uint32_t effective, permitted, inheritable;
	} now[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	(void)syscall(SYS_capget, &head, now);
	for (int i = 0; i < 2; i++) {
		now[i].permitted &= (uint32_t)(capabilities >> (32 * i));
		now[i].effective = now[i].permitted;
		now[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, now) != 0) {
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

/* enter_root - what is outside of that directory is not seen any more */
static void enter_root(const char *root)
{
	if (chroot(root) != 0) {
		/* A container without CAP_SYS_CHROOT: the other limits stay. */
		log_warn("%s: cannot be made the root directory: %m", root);
	} else if (chdir("/") != 0) {
		log_fatal("chdir / in %s: %m", root);
	}
}

void privileges_take(enum process_kind kind, const struct identity *who)
{
	uint64_t capabilities = rows[kind].capabilities;

	if (capabilities == ALL) {
		return;
	}
	if (geteuid() == 0) {
		if (who->root != NULL) {
			enter_root(who->root);
		}
		limit_bounding(capabilities);
		change_ids(who);
		limit_capabilities(capabilities);
		/* Others of that uid neither look into the process nor take its descriptors. */
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	}
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void privileges_seal(enum process_kind kind)
{
	if (privileges_filter_there(kind)) {
		privileges_filter(kind);
	}
}

/* close_range_of - first to last */
static void close_range_of(unsigned first, unsigned last)
{
	if (first <= last && syscall(SYS_close_range, first, last, 0) != 0) {
		/* Linux before 5.9: one by one, those that programs really leave open. */
		for (unsigned fd = first; fd <= last && fd < OLD_KERNEL_MAX; fd++) {
			(void)close((int)fd);
		}
	}
}

void privileges_keep_only(const int *fds, size_t count)
{
	unsigned from = 3, next;

	/* The lowest that is kept, again and again. */
	do {
		next = UINT_MAX;
		for (size_t i = 0; i < count; i++) {
			if (fds[i] >= (int)from && (unsigned)fds[i] < next) {
				next = (unsigned)fds[i];
			}
		}
		if (next > from) {
			close_range_of(from, next == UINT_MAX ? UINT_MAX : next - 1);
		}
		from = next + 1;
	} while (next != UINT_MAX);
}

static const char *capabilities_text(uint64_t capabilities)
{
	return capabilities == ALL ? "all" : capabilities == 0 ? "none" : "dac_read_search";
}

void privileges_print(struct buf *out, const char *const users[PROCESS_USERS])
{
	static const char form[] = "%-36s  %-14s  %-31s  %-15s  %-5s  %-6s  %-12s  %s\n";

	buf_addf(out, form, "process", "user", "groups", "capabilities", "root", "filter",
		"no_new_privs", "holds");
	for (size_t i = 0; i < PROCESS_KINDS; i++) {
		uint64_t capabilities = rows[i].capabilities;

		buf_addf(out, form, rows[i].kind, users[rows[i].user], rows[i].groups,
			capabilities_text(capabilities), rows[i].root,
			privileges_filter_there((enum process_kind)i) ? "yes" : "none",
			capabilities == ALL || i == PROCESS_COMMAND ? "no" : "yes", rows[i].holds);
	}
}

#ifdef __SANITIZE_ADDRESS__
int __lsan_is_turned_off(void);

/*
 * The search for leaks at a process's end needs /proc and a few descriptors: in an empty root, or
 * at the limit of descriptors, it would never end.
 */
int __lsan_is_turned_off(void)
{
	int task = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int more = task >= 0 ? dup(task) : -1, last = more >= 0 ? dup(more) : -1;

	if (last >= 0) {
		close(last);
	}
	if (more >= 0) {
		close(more);
	}
	if (task >= 0) {
		close(task);
	}
	return last < 0;
}
#endif
