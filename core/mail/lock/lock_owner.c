/*
 * lock_owner - who holds a dotlock: what can be known, and what is done where it cannot
 *
 * A dotlock that nobody alive holds must not keep mail waiting, whatever a crash, a power cut or
 * a clock that begins anew made of its bytes and times. One that a living program holds counts,
 * also without a number in it (Postfix, mutt, Exim, c-client and Python make empty ones, procmail
 * writes "0"). In this order:
 *
 * 1. Ours: the sticky bit, which no other program sets, and which is on the disk with the name
 *    (the bytes may not be); or "pid:host" and a line end, as earlier versions made them. The
 *    owner holds the kernel's lock on the dotlock: whoever gets that knows that it is gone.
 * 2. Older than stale_lock_time, and so is the mailbox: gone. A time to come says nothing.
 * 3. On a file system that other hosts write, too, no more is known than that its process is gone.
 * 4. Somebody has the kernel's lock on the mailbox, or (where we can see that) has it open: held.
 *    All the programs above do while they hold the dotlock.
 * 5. Made before the system was started, or later than now (the clock was set back since): gone.
 * 6. It names a process of this host: gone if that is not there, or was started after it was made.
 * 7. Empty, and half a second old: gone. Whoever made it would be at the mailbox by now.
 * 8. Other text, as of shell scripts with lockfile(1): gone if there is no process of its
 *    maker's that is as old as it is; else held, until 2.
 *
 * When a dotlock was made is its ctime: programs set the other times as they like.
 */
#include "mail/lock/lock_owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "conf/params.h"
#include "mail/lock/lock.h"

enum { OWNER_MAX = 128, PATH_SIZE = 64, STAT_MAX = 1024, PROCESSES_MAX = 32768 };
enum { NS = 1000000000, EMPTY_NS = NS / 2, SLACK_NS = NS };

int lock_fcntl(int fd, short type)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET };
	int rc;

	do {
		rc = fcntl(fd, F_OFD_SETLK, &fl);
		if (rc != 0 && errno == EINVAL) {
			rc = fcntl(fd, F_SETLK, &fl);
		}
	} while (rc != 0 && errno == EINTR);
	if (rc != 0 && errno == EACCES) {
		errno = EAGAIN;
	}
	return rc;
}

/* host_name - of this machine, as written into dotlocks */
static void host_name(char *out, size_t size)
{
	struct utsname u;

	snprintf(out, size, "%.60s", uname(&u) == 0 ? u.nodename : "localhost");
}

void lock_owner_write(int dot_fd)
{
	char text[OWNER_MAX], host[64];
	bool locked = lock_fcntl(dot_fd, F_WRLCK) == 0;
	int n;

	/* Where there are no such locks others may only go by the number. */
	if (locked) {
		(void)fchmod(dot_fd, S_ISVTX | 0600);
	}
	host_name(host, sizeof(host));
	n = snprintf(text, sizeof(text), "%ld:%s%s", (long)getpid(), host, locked ? "\n" : "");
	/* On a full disk it stays empty. */
	(void)!write(dot_fd, text, (size_t)n);
}

/* ---- Times ---- */

static int64_t nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * NS + t->tv_nsec;
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec now = { 0, 0 };

	(void)clock_gettime(id, &now);
	return nanoseconds(&now);
}

/* boot_ns - when the system was started, by the clock as it is now */
static int64_t boot_ns(void)
{
	return clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME);
}

/* is_old - older than stale_lock_time, the mailbox too? */
static bool is_old(const struct stat *dot, int mailbox_fd)
{
	time_t limit = param.stale_lock_time > 0 ? (time_t)param.stale_lock_time : LOCK_STALE;
	time_t now = time(NULL), newest = dot->st_mtime <= now ? dot->st_mtime : dot->st_ctime;
	struct stat box;

	if (fstat(mailbox_fd, &box) == 0 && box.st_mtime > newest && box.st_mtime <= now) {
		newest = box.st_mtime;
	}
	return now - newest > limit;
}

/* was_before - was it made when the system was not up, or by another clock? */
static bool was_before(const struct stat *dot)
{
	int64_t made = nanoseconds(&dot->st_ctim);

	return made < boot_ns() - SLACK_NS || made > clock_ns(CLOCK_REALTIME) + SLACK_NS;
}

/* ---- Processes ---- */

/* started_ns - when the process was started; false: it is not there, or a thread of the kernel */
static bool started_ns(long pid, int64_t *out)
{
	char path[PATH_SIZE], text[STAT_MAX], *p;
	long parent = 0, hertz = sysconf(_SC_CLK_TCK);
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	/* "pid (name) state parent ...": the 22nd is the start; a name may hold anything. */
	p = strrchr(text, ')');
	for (int field = 3; p != NULL && field <= 22; field++) {
		p = strchr(p + 1, ' ');
		if (p != NULL && field == 4) {
			parent = strtol(p, NULL, 10);
		}
	}
	if (p == NULL || parent == 2 || hertz <= 0) {
		return false;
	}
	*out = boot_ns() + (int64_t)strtoll(p, NULL, 10) * (NS / hertz);
	return true;
}

/* was_there - was the process there when the dotlock was made? */
static bool was_there(long pid, const struct stat *dot)
{
	int64_t started;

	return started_ns(pid, &started) && started <= nanoseconds(&dot->st_ctim) + SLACK_NS;
}

/* is_ours - does the process run this program? Ours mark their dotlocks. */
static bool is_ours(long pid)
{
	char path[PATH_SIZE];
	struct stat self, other;

	snprintf(path, sizeof(path), "/proc/%ld/exe", pid);
	return stat("/proc/self/exe", &self) == 0 && stat(path, &other) == 0 &&
		self.st_dev == other.st_dev && self.st_ino == other.st_ino;
}

/* has_open - has the process the file open, as far as we may know? */
static bool has_open(long pid, const struct stat *file)
{
	char path[PATH_SIZE];
	struct dirent *e;
	struct stat st;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	d = opendir(path);
	while (d != NULL && !found && (e = readdir(d)) != NULL) {
		found = e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
			st.st_dev == file->st_dev && st.st_ino == file->st_ino;
	}
	if (d != NULL) {
		closedir(d);
	}
	return found;
}

/* is_owners - does the process belong to whoever made the file? */
static bool is_owners(long pid, const struct stat *file)
{
	char path[PATH_SIZE];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%ld", pid);
	return stat(path, &st) == 0 && st.st_uid == file->st_uid;
}

enum look { LOOK_OPEN /* has it open */, LOOK_OWNER /* its owner's, and as old */ };

/* any_process - is there one of another program; true also when processes cannot be seen */
static bool any_process(enum look what, const struct stat *file)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool found = d == NULL || access("/proc/self/stat", R_OK) != 0;

	for (int i = 0; !found && i < PROCESSES_MAX && (e = readdir(d)) != NULL; i++) {
		long pid = strtol(e->d_name, NULL, 10);

		if (pid <= 0 || pid == (long)getpid() || is_ours(pid)) {
			continue;
		}
		found = what == LOOK_OPEN ? has_open(pid, file)
					  : is_owners(pid, file) && was_there(pid, file);
	}
	if (d != NULL) {
		closedir(d);
	}
	return found;
}

/* ---- What is known of a dotlock ---- */

/* is_shared - do other hosts see this file system, too? */
static bool is_shared(int fd)
{
	static const unsigned long types[] = {
		0x6969, 0xff534d42, 0xfe534d42, 0x517b, /* NFS, CIFS, SMB2, SMB */
		0x5346414f, 0x73757245, 0xc36400,       /* AFS, Coda, Ceph */
		0x01161970, 0x7461636f, 0x01021997,     /* GFS2, OCFS2, 9P */
		0x65735546,                             /* FUSE (sshfs, GlusterFS) */
	};
	struct statfs fs;

	for (size_t i = 0; fstatfs(fd, &fs) == 0 && i < ARRAY_LEN(types); i++) {
		if (((unsigned long)fs.f_type & 0xffffffff) == types[i]) {
			return true;
		}
	}
	return false;
}

/* in_use - is somebody at the mailbox? */
static bool in_use(int mailbox_fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat box;

	if (fcntl(mailbox_fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK) {
		return true;
	}
	return fstat(mailbox_fd, &box) == 0 && access("/proc/self/stat", R_OK) == 0 &&
		any_process(LOOK_OPEN, &box);
}

/* What a dotlock says. */
struct says {
	bool marked; /* by us, with a lock that is held on it */
	bool here;   /* by a process of this host */
	bool empty;
	long pid; /* of this host; 0: none */
};

static void read_dotlock(int fd, const struct stat *dot, struct says *s)
{
	char text[OWNER_MAX] = "", host[64], *end;
	ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : -1;
	bool line = n > 0 && memchr(text, '\n', (size_t)n) != NULL;
	long pid = strtol(text, &end, 10);

	memset(s, 0, sizeof(*s));
	host_name(host, sizeof(host));
	/* Zeros are what a power cut leaves of bytes. */
	s->empty = dot->st_size == 0 || (n > 0 && text[0] == '\0');
	text[strcspn(text, "\n")] = '\0';
	if (pid > 1 && (*end == '\0' || strcmp(end, " ") == 0)) {
		s->pid = pid;
	}
	if (pid > 1 && *end == ':' && strcmp(end + 1, host) == 0) {
		s->pid = pid;
		s->here = true;
		s->marked = line;
	}
	s->marked = s->marked || (dot->st_mode & S_ISVTX) != 0;
}

/* can_lock - does nobody hold the kernel's lock on the dotlock? */
static bool can_lock(int fd)
{
	return fd >= 0 &&
		(lock_fcntl(fd, F_WRLCK) == 0 || (errno == EBADF && lock_fcntl(fd, F_RDLCK) == 0));
}

bool lock_owner_gone(int dot_fd, const struct stat *dot, int mailbox_fd)
{
	struct says s;

	read_dotlock(dot_fd, dot, &s);
	if (s.marked && dot_fd >= 0 && (s.here || !is_shared(mailbox_fd))) {
		return can_lock(dot_fd);
	}
	if (is_old(dot, mailbox_fd)) {
		return true;
	}
	if (is_shared(mailbox_fd)) {
		return s.here && kill((pid_t)s.pid, 0) != 0 && errno == ESRCH;
	}
	if (in_use(mailbox_fd)) {
		return false;
	}
	if (was_before(dot)) {
		return true;
	}
	if (s.pid > 0) {
		return (kill((pid_t)s.pid, 0) != 0 && errno == ESRCH) ||
			(access("/proc/self/stat", R_OK) == 0 && !was_there(s.pid, dot));
	}
	if (s.empty) {
		return clock_ns(CLOCK_REALTIME) - nanoseconds(&dot->st_ctim) >= EMPTY_NS;
	}
	return !any_process(LOOK_OWNER, dot);
}
