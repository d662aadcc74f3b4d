/*
 * main - the multi-call shell: which applet is meant, and start it
 *
 * The applet is named by argv[0] (a link: /usr/sbin/sendmail -> pillarbox) or
 * by the first argument (pillarbox sendmail -t). Where nothing else is said
 * the habits are busybox's:
 *
 *	pillarbox                       what it is and the list of applets
 *	pillarbox --list                names, one a line
 *	pillarbox --list-full           the paths --install makes, below the prefix
 *	pillarbox --install [-s] [DIR]  hard (-s: symbolic) links: all in DIR, or
 *	                                without DIR each in its own directory
 *	pillarbox --help APPLET         also: pillarbox APPLET --help
 *	pillarbox --features            the switches of config/features.h, as built
 *
 * An unknown applet is exit status 127 and "applet not found".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/features.h"
#include "base/date.h"
#include "base/str.h"
#include "applets/applets.h"

#define EXIT_NOT_FOUND 127
#define LIST_COLUMNS 79

static applet_main_fn *const mains[] = {
#define APPLET(name, main, dir, run, summary, usage) main,
#define ALIAS(name, main, dir, of) main,
#include "applets/applets.def"
#undef APPLET
#undef ALIAS
};

/* call - the main of a row of the table */
static int call(const struct applet *applet, int argc, char **argv)
{
	size_t count;

	return mains[applet - applet_table(&count)](argc, argv);
}

/* print_about - what is said when nothing was asked */
static void print_about(void)
{
	size_t column = 0, count;
	const struct applet *table = applet_table(&count);

	printf("pillarbox: a whole mail server in one binary\n\n"
	       "Usage: pillarbox APPLET [ARGUMENTS]...\n"
	       "   or: pillarbox --list | --list-full | --features | --help APPLET\n"
	       "   or: pillarbox --install [-s] [DIR]\n"
	       "   or: APPLET [ARGUMENTS]...   (by a link of that name)\n\n"
	       "Applets:\n");
	for (size_t i = 0; i < count; i++) {
		size_t width = strlen(table[i].name) + 2;

		if (column == 0 || column + width > LIST_COLUMNS) {
			column = 8;
			printf("%s\t%s", i == 0 ? "" : ",\n", table[i].name);
		} else {
			printf(", %s", table[i].name);
		}
		column += width;
	}
	printf("\n");
}

/* print_features - --features: what a profile left out is 0 */
static void print_features(void)
{
	static const struct {
		const char *name;
		int on;
	} rows[] = {
		{ "FEATURE_PCRE", FEATURE_PCRE },
		{ "FEATURE_YESCRYPT", FEATURE_YESCRYPT },
		{ "FEATURE_SQL", FEATURE_SQL },
		{ "FEATURE_CHARSETS", FEATURE_CHARSETS },
		{ "FEATURE_OTHER_PARAMS", FEATURE_OTHER_PARAMS },
		{ "FEATURE_INIT", FEATURE_INIT },
		{ "FEATURE_UNIT", FEATURE_UNIT },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		printf("%s=%d\n", rows[i].name, rows[i].on);
	}
}

/* print_list - --list and --list-full */
static void print_list(int full)
{
	size_t count;
	const struct applet *table = applet_table(&count);

	for (size_t i = 0; i < count; i++) {
		const char *dir = applet_dir_path(table[i].dir);

		if (!full) {
			printf("%s\n", table[i].name);
		} else if (dir != NULL) {
			printf("%s/%s\n", dir, table[i].name);
		}
	}
}

/* self_path - the path of the running binary, from the kernel */
static int self_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	if (n <= 0) {
		return -1;
	}
	path[n] = '\0';
	return 0;
}

/* replace_link - make link point to self, replacing an older link; a file or
 * directory of that name that is no link of ours is left and reported */
static int replace_link(const char *self, const char *path, int symbolic)
{
	struct stat st, own;
	int rc;

	if (lstat(path, &st) == 0) {
		int ours = S_ISLNK(st.st_mode) ||
			(stat(self, &own) == 0 && own.st_dev == st.st_dev &&
				own.st_ino == st.st_ino);

		if (!ours || unlink(path) != 0) {
			fprintf(stderr, "pillarbox: %s: %s\n", path,
				ours ? strerror(errno) : "is there and no link, left alone");
			return -1;
		}
	}
	rc = symbolic ? symlink(self, path) : link(self, path);
	if (rc != 0) {
		fprintf(stderr, "pillarbox: %s: %s\n", path, strerror(errno));
	}
	return rc;
}

/* install_links - --install [-s] [DIR]; exit status */
static int install_links(int argc, char **argv)
{
	char self[4096], path[4608];
	int symbolic = 0, failed = 0, arg = 2;
	size_t count;
	const struct applet *table = applet_table(&count);

	if (arg < argc && strcmp(argv[arg], "-s") == 0) {
		symbolic = 1;
		arg++;
	}
	if (self_path(self, sizeof(self)) != 0) {
		fprintf(stderr, "pillarbox: cannot find the binary: /proc is not mounted\n");
		return 1;
	}
	for (size_t i = 0; i < count; i++) {
		const char *dir = applet_dir_path(table[i].dir);

		if (dir == NULL) {
			continue;
		}
		if (arg < argc) {
			snprintf(path, sizeof(path), "%s/%s", argv[arg], table[i].name);
		} else {
			snprintf(path, sizeof(path), "/usr/%s/%s", dir, table[i].name);
		}
		if (strcmp(path, self) != 0 && replace_link(self, path, symbolic) != 0) {
			failed = 1;
		}
	}
	return failed;
}

/* not_found - the message and status for a name that is no applet */
static int not_found(const char *name)
{
	fprintf(stderr, "%s: applet not found\n", name);
	return EXIT_NOT_FOUND;
}

/* run_applet - start it; a lone --help is answered here for all of them */
static int run_applet(const struct applet *applet, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		applet_print_usage(stdout, applet);
		return 0;
	}
	return call(applet, argc, argv);
}

/* run_self - called by our own name: options, or the applet in argv[1] */
static int run_self(int argc, char **argv)
{
	const struct applet *applet;

	if (argc < 2 || (argc == 2 && strcmp(argv[1], "--help") == 0)) {
		print_about();
		return 0;
	}
	if (strcmp(argv[1], "--list") == 0 || strcmp(argv[1], "--list-full") == 0) {
		print_list(argv[1][6] != '\0');
		return 0;
	}
	if (strcmp(argv[1], "--features") == 0) {
		print_features();
		return 0;
	}
	if (strcmp(argv[1], "--install") == 0) {
		return install_links(argc, argv);
	}
	if (strcmp(argv[1], "--help") == 0) {
		applet = applet_find(argv[2]);
		if (applet == NULL) {
			return not_found(argv[2]);
		}
		applet_print_usage(stdout, applet);
		return 0;
	}
	applet = applet_find(argv[1]);
	return applet != NULL ? run_applet(applet, argc - 1, argv + 1) : not_found(argv[1]);
}

/*
 * hold_standard - who starts us may have closed standard input, output or error: the next file that
 * is opened would get that number, and messages would be written into it. Process 1 is left alone:
 * init opens the console when the kernel could not.
 */
static void hold_standard(void)
{
	for (int fd = getpid() == 1 ? 3 : 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) {
			(void)open("/", O_PATH);
		}
	}
}

int main(int argc, char **argv)
{
	const struct applet *applet;
	const char *name;

	if (argc < 1) {
		return EXIT_NOT_FOUND;
	}
	hold_standard();
	/* One binary is every applet: a setuid bit on it would be on all of them. */
	if (getuid() != geteuid() || getgid() != getegid()) {
		fprintf(stderr, "pillarbox: refusing to run setuid or setgid: remove that bit\n");
		return 1;
	}
	applet_set_call(call);
	date_find_zone();
	/* A file at its limit (ulimit -f) is an error of that write, not the end of a server. */
	signal(SIGXFSZ, SIG_IGN);
	name = strrchr(argv[0], '/');
	name = name != NULL ? name + 1 : argv[0];
	if (*name == '-') {
		name++;
	}
	applet = applet_find(name);
	if (applet != NULL) {
		return run_applet(applet, argc, argv);
	}
	if (strncmp(name, "pillarbox", 9) == 0 || strcmp(name, "exe") == 0) {
		return run_self(argc, argv);
	}
	return not_found(name);
}
