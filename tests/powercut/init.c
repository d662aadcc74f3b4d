/*
 * init - what runs first in the machine of scripts/powercut
 *
 * Loads the kernel modules that /powercut/modules names, puts what is to survive on the disk
 * (/dev/vda, ext4), brings the network card up and becomes pillarbox' own init. With "nosync" on
 * the kernel's command line no sync reaches the disk from then on: a filter answers the calls with
 * 0, so that the script can prove that it notices a server that forgets them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* fail - there is nobody but the console to tell; the end of process 1 is the end of the machine */
static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "powercut: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void load_modules(void)
{
	char line[256];
	FILE *list = fopen("/powercut/modules", "re");

	if (list == NULL) {
		fail("/powercut/modules");
	}
	while (fgets(line, sizeof(line), list) != NULL) {
		int fd;

		line[strcspn(line, "\n")] = '\0';
		fd = open(line, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) {
			fail(line);
		}
		close(fd);
	}
	fclose(list);
}

static void mount_disk(void)
{
	for (int i = 0; mount("/dev/vda", "/disk", "ext4", 0, NULL) != 0; i++) {
		if (i == 100) {
			fail("mount /dev/vda");
		}
		usleep(50000);
	}
}

/* keep_on_disk - path is on the disk from now on, with the rights it has */
static void keep_on_disk(const char *path, const char *on_disk)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		fail(path);
	}
	if (mkdir(on_disk, st.st_mode & 07777) == 0 &&
		(chown(on_disk, st.st_uid, st.st_gid) != 0 ||
			chmod(on_disk, st.st_mode & 07777) != 0)) {
		fail(on_disk);
	}
	if (mount(on_disk, path, NULL, MS_BIND, NULL) != 0) {
		fail(on_disk);
	}
}

static void make_homes(void)
{
	const struct passwd *user;

	while ((user = getpwent()) != NULL) {
		if (user->pw_uid >= 1000 && user->pw_uid < 60000 &&
			mkdir(user->pw_dir, 0700) == 0 &&
			chown(user->pw_dir, user->pw_uid, user->pw_gid) != 0) {
			fail(user->pw_dir);
		}
	}
}

/* network_up - the address that qemu's user network forwards to */
static void network_up(void)
{
	struct ifreq request = { .ifr_name = "eth0" };
	struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	address->sin_family = AF_INET;
	address->sin_addr.s_addr = inet_addr("10.0.2.15");
	if (fd < 0 || ioctl(fd, SIOCSIFADDR, &request) != 0) {
		fail("eth0");
	}
	address->sin_addr.s_addr = inet_addr("255.255.255.0");
	(void)ioctl(fd, SIOCSIFNETMASK, &request);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) {
		fail("eth0 up");
	}
	close(fd);
}

static bool has_word(const char *word)
{
	char line[2048] = "";
	FILE *f = fopen("/proc/cmdline", "re");

	if (f == NULL || fgets(line, sizeof(line), f) == NULL) {
		fail("/proc/cmdline");
	}
	fclose(f);
	return strstr(line, word) != NULL;
}

#define ANSWER_0(call)                                   \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 0)

static void forget_syncs(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ANSWER_0(SYS_fsync),
		ANSWER_0(SYS_fdatasync),
		ANSWER_0(SYS_syncfs),
		ANSWER_0(SYS_sync),
		ANSWER_0(SYS_sync_file_range),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		fail("seccomp");
	}
}

int main(void)
{
	char *argv[] = { "init", NULL };

	mkdir("/disk", 0755);
	(void)mount("proc", "/proc", "proc", 0, NULL);
	(void)mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	load_modules();
	mount_disk();
	keep_on_disk("/var/spool/postfix", "/disk/spool");
	keep_on_disk("/var/lib/postfix", "/disk/data");
	keep_on_disk("/var/mail", "/disk/mail");
	keep_on_disk("/home", "/disk/home");
	make_homes();
	network_up();
	if (has_word("nosync")) {
		forget_syncs();
	}
	execv("/usr/bin/pillarbox", argv);
	fail("/usr/bin/pillarbox");
}
