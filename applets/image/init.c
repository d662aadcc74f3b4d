/*
 * init - first process of an initramfs or a bare image
 *
 * The kernel starts it as /init, with a file system that holds pillarbox and
 * its configuration and nothing else: no shell, no other tool. It mounts what
 * the kernel offers, makes the host known to itself, brings the loopback
 * interface up, builds the alias table and becomes master in the foreground,
 * which goes on as process 1 and reaps what it must. With -d (the kernel hands
 * it over after "--" on its command line) master is a child instead: the
 * journey of a mail through the server is shown, one line a step (journey.c),
 * and the machine is switched off.
 *
 * Outside a new machine there is nothing to mount and nothing to switch off:
 * only process 1 does either, so `init -d` can be tried by hand. */
#include "config/features.h"

#if FEATURE_INIT

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"

#include "applets/image/journey.h"
#include "applets/applets.h"

#define STOP_SECONDS 10

struct mount_row {
	const char *type;
	const char *path;
	mode_t mode; /* of the directory, made where it is missing */
	unsigned long flags;
	const char *options;
};

static const struct mount_row mounts[] = {
	{ "proc", "/proc", 0555, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "sysfs", "/sys", 0555, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "devtmpfs", "/dev", 0755, MS_NOSUID | MS_NOEXEC, "mode=0755" },
	{ "tmpfs", "/run", 0755, MS_NOSUID | MS_NODEV, "mode=0755" },
	{ "tmpfs", "/tmp", 01777, MS_NOSUID | MS_NODEV, "mode=1777" },
};

/* mount_all - what can be mounted is; EBUSY means somebody has done it */
static void mount_all(void)
{
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		const struct mount_row *row = &mounts[i];

		mkdir(row->path, row->mode);
		if (mount(row->type, row->path, row->type, row->flags, row->options) != 0 &&
			errno != EBUSY) {
			fprintf(stderr, "init: cannot mount %s: %s\n", row->path, strerror(errno));
		}
	}
}

/* open_console - descriptors 0 to 2, where the kernel could not give them */
static void open_console(void)
{
	int fd;

	do {
		fd = open("/dev/console", O_RDWR | O_NOCTTY);
	} while (fd >= 0 && fd < 2);
	if (fd > 2) {
		close(fd);
	}
}

/* set_hostname - the first line of /etc/hostname, if there is one */
static void set_hostname(void)
{
	char name[65] = "";
	FILE *file = fopen("/etc/hostname", "re");

	if (file == NULL) {
		return;
	}
	if (fgets(name, sizeof(name), file) != NULL) {
		name[strcspn(name, " \t\r\n")] = '\0';
		if (name[0] != '\0') {
			sethostname(name, strlen(name));
		}
	}
	fclose(file);
}

/* loopback_up - "lo" exists from the start, but is down: 0, or -1 and errno */
static int loopback_up(void)
{
	struct ifreq request;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0) {
		return -1;
	}
	memset(&request, 0, sizeof(request));
	str_copy(request.ifr_name, sizeof(request.ifr_name), "lo");
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	rc = ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return rc;
}

/* become_master - the same binary under another name; returns on error only */
static void become_master(int foreground)
{
	char *argv[] = { "master", foreground ? "-i" : "-d", NULL };

	execv("/proc/self/exe", argv);
	fprintf(stderr, "init: cannot start master: %s\n", strerror(errno));
}

/* build_aliases - run newaliases: an image comes with the text file only */
static void build_aliases(void)
{
	char *argv[] = { "newaliases", NULL };
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "init: newaliases failed\n");
	}
}

/* reap_until - wait at most seconds for a child of ours, reaping all others */
static int reap_until(pid_t pid, int seconds)
{
	for (int tick = 0; tick < seconds * 20; tick++) {
		pid_t gone = waitpid(-1, NULL, WNOHANG);

		if (gone == pid || (gone < 0 && errno == ECHILD)) {
			return 0;
		}
		if (gone <= 0) {
			usleep(50000);
		}
	}
	return -1;
}

/* demonstrate - master as a child, the journey, then stop it; exit status */
static int demonstrate(void)
{
	pid_t pid;
	int failed;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		fprintf(stderr, "init: cannot fork: %s\n", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		become_master(0);
		_exit(1);
	}
	failed = journey_run();
	if (waitpid(pid, NULL, WNOHANG) != 0) {
		failed += journey_step("stop", "master had ended before it was told to");
	} else if (kill(pid, SIGTERM) != 0 || reap_until(pid, STOP_SECONDS) != 0) {
		failed += journey_step("stop", "master did not end after SIGTERM");
	} else {
		failed += journey_step("stop", NULL);
	}
	journey_summary();
	return failed > 0;
}

int init_main(int argc, char **argv)
{
	int demo = 0, status = 1, first = getpid() == 1;

	/* The kernel passes on every word of its command line that it does not
	 * know: all but -d is ignored. */
	for (int i = 1; i < argc; i++) {
		demo |= strcmp(argv[i], "-d") == 0;
	}
	if (first) {
		mount_all();
		open_console();
		set_hostname();
		if (loopback_up() != 0) {
			fprintf(stderr, "init: cannot bring lo up: %s\n", strerror(errno));
		}
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
		build_aliases();
	}
	if (demo) {
		status = demonstrate();
	} else {
		become_master(1);
	}
	fflush(stdout);
	if (first) {
		/* Process 1 must not end: the kernel would panic. */
		sync();
		reboot(RB_POWER_OFF);
	}
	return status;
}

#endif
