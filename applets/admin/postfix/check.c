/*
 * check - is everything in place? (postfix check, and before each start)
 *
 *	configuration	main.cf and master.cf can be read, values make sense together
 *	permissions	configuration and aliases cannot be written by others
 *	directories	those of the queue are there (made if not), with owner and mode
 *	ports		-v: those that should be open, and whether somebody listens
 *	tables		check_tables.c: each is of a known type, there, newer than its source,
 *			readable by mail_owner
 *	lists		check_lists.c: networks, domains, restrictions
 *	names		check_names.c: parameters that nobody knows
 *	certificates	check_tls.c: and the rest of dovecot.conf
 *
 * Faults that keep the system from starting are "fatal", others warnings. A start makes the tables
 * that are missing, another program's (a hash: of Berkeley DB) or closed to mail_owner, from their
 * sources.
 */
#include "applets/admin/postfix/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/identity.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/dovecot/dovecot_conf.h"
#include "conf/master_cf.h"
#include "conf/param_table.h"
#include "conf/params.h"
#include "queue/queue.h"
#include "applets/daemon/supervise.h"
#include "applets/admin/dovecot/dovecot.h"
#include "applets/admin/master/layout.h"
#include "applets/admin/master/master.h"
#include "applets/applets.h"

static struct {
	uid_t owner;
	gid_t group;
} G;

/* ---- Configuration ---- */

static void check_owner(void)
{
	const struct passwd *pw = getpwnam(param.mail_owner);

	G.owner = geteuid();
	G.group = getegid();
	if (geteuid() != 0) {
		return;
	}
	if (pw == NULL) {
		fatal("mail_owner = %s: there is no such user: make it (useradd -r %s), or set "
		      "mail_owner",
			param.mail_owner, param.mail_owner);
		return;
	}
	G.owner = pw->pw_uid;
	G.group = pw->pw_gid;
	pw = getpwnam(param.default_privs);
	if (pw != NULL && pw->pw_uid == G.owner) {
		fatal("%s/main.cf: parameters default_privs and mail_owner specify the same user "
		      "%s: commands of aliases could read the queue",
			conf_loaded_dir(), param.mail_owner);
	}
}

static void check_main_cf(void)
{
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/main.cf", conf_loaded_dir());
	script_check_file(buf_str(&path));
	buf_free(&path);
	if (param.mailbox_size_limit != 0 && param.mailbox_size_limit < param.message_size_limit) {
		fatal("%s/main.cf: mailbox_size_limit is smaller than message_size_limit",
			conf_loaded_dir());
	}
	if (strchr(param.myhostname, '.') == NULL) {
		warning("myhostname = %s is not a fully qualified name: set it in %s/main.cf",
			param.myhostname, conf_loaded_dir());
	}
}

/* check_services - what a start would stumble over; then master says it itself */
static void check_services(void)
{
	struct sv_config config;
	char *error = NULL;

	memset(&config, 0, sizeof(config));
	if (!script_is_quiet() && master_services(conf_loaded_dir(), &config, &error) != 0) {
		fatal("%s", error);
		mem_free(error);
	}
	arena_free(&config.arena);
}

static void check_master_cf(void)
{
	struct buf path = BUF_INIT;
	struct master_cf cf;
	char *error = NULL;

	buf_addf(&path, "%s/master.cf", conf_loaded_dir());
	script_check_file(buf_str(&path));
	memset(&cf, 0, sizeof(cf));
	if (master_cf_read(buf_str(&path), &cf, &error) != 0) {
		fatal("%s", error);
		mem_free(error);
	} else {
		master_cf_free(&cf);
		check_services();
	}
	buf_free(&path);
}

/* check_log - said at start too: without a log every other fault stays unseen */
static void check_log(void)
{
	if (*param.maillog_file == '\0' && access("/dev/log", F_OK) != 0) {
		script_warn("there is no /dev/log: nothing is logged until a syslog daemon runs, "
			    "or set maillog_file (for example /var/log/maillog)");
		(void)script_fault(1);
	}
}

/* ---- Directories ---- */

/* check_mode - of one directory of the queue */
static void check_mode(const struct layout_dir *dir, const struct stat *st)
{
	const char *slash = dir->name[0] != '\0' ? "/" : "";
	uid_t uid = dir->owned ? G.owner : geteuid();

	if (st->st_uid != uid) {
		warning("not owned by %s: %s%s%s (the next start sets it)",
			dir->owned ? param.mail_owner : "root", param.queue_directory, slash,
			dir->name);
	}
	if (st->st_mode & dir->forbidden) {
		warning("bad mode of %s%s%s: %04o, should be %04o", param.queue_directory, slash,
			dir->name, (unsigned)st->st_mode & 07777, (unsigned)dir->mode);
	}
	if ((st->st_mode & dir->mode & 0700) != (dir->mode & 0700)) {
		fatal("bad mode of %s%s%s: %04o, should be %04o", param.queue_directory, slash,
			dir->name, (unsigned)st->st_mode & 07777, (unsigned)dir->mode);
	}
}

/* check_queue_schema - by the file's head (user_version): opening it here would change its owner */
static void check_queue_schema(int dir)
{
	unsigned char head[100];
	int fd = openat(dir, queue_file_name(0), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int64_t version;

	if (fd < 0) {
		return;
	}
	if (pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
		memcmp(head, "SQLite format 3", 16) == 0) {
		version = (int64_t)head[60] << 24 | head[61] << 16 | head[62] << 8 | head[63];
		if (version > queue_schema()) {
			fatal("%s/%s/%s is of a newer program (schema %lld, this one knows %lld)",
				param.queue_directory, QUEUE_SUBDIR, queue_file_name(0),
				(long long)version, (long long)queue_schema());
		}
	}
	close(fd);
}

/* check_queue_files - a start gives queue.db to mail_owner only together with its directory */
static void check_queue_files(int dir)
{
	const char *name;
	struct stat st;

	check_queue_schema(dir);
	if (fstat(dir, &st) != 0 || st.st_uid != G.owner) {
		return;
	}
	for (size_t i = 0; (name = queue_file_name(i)) != NULL; i++) {
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid != G.owner) {
			fatal("not owned by %s: %s/%s/%s: run chown %s %s/%s/*", param.mail_owner,
				param.queue_directory, QUEUE_SUBDIR, name, param.mail_owner,
				param.queue_directory, QUEUE_SUBDIR);
			break;
		}
	}
}

static void check_dir(const struct layout_dir *dir)
{
	int fd = layout_open(dir, G.owner, G.group);
	struct stat st;

	if (fd < 0) {
		fatal("%s/%s: %s", param.queue_directory, dir->name, strerror(errno));
		return;
	}
	if (fstat(fd, &st) == 0) {
		check_mode(dir, &st);
	}
	if (strcmp(dir->name, QUEUE_SUBDIR) == 0) {
		check_queue_files(fd);
	}
	close(fd);
}

/* queue_is_anothers - who is not root needs a queue directory of their own, or of their group */
static bool queue_is_anothers(void)
{
	struct stat st;

	if (geteuid() == 0 || stat(param.queue_directory, &st) != 0 ||
		eaccess(param.queue_directory, W_OK) == 0) {
		return false;
	}
	fatal("queue_directory = %s belongs to uid %u: be root, or give it to uid %u",
		param.queue_directory, (unsigned)st.st_uid, (unsigned)geteuid());
	return true;
}

/*
 * place_is_anothers - root does nothing by path where somebody else can exchange a name on the way
 * (base/identity.h): no socket could be made there. queue_directory itself is given to root.
 */
static bool place_is_anothers(void)
{
	struct buf parent = BUF_INIT;
	uid_t uid = 0;
	gid_t gid;

	if (geteuid() == 0) {
		buf_adds(&parent, param.queue_directory);
		while (parent.len > 1 && parent.data[parent.len - 1] == '/') {
			parent.data[--parent.len] = '\0';
		}
		while (parent.len > 1 && parent.data[parent.len - 1] != '/') {
			parent.data[--parent.len] = '\0';
		}
		if (path_owner(buf_str(&parent), &uid, &gid) == 0 && uid != 0) {
			fatal("queue_directory = %s lies in a directory of uid %u, who could "
			      "exchange it: give that to root, or move queue_directory",
				param.queue_directory, (unsigned)uid);
		}
		buf_free(&parent);
	}
	return uid != 0;
}

static void check_directories(void)
{
	char *error = NULL;
	int made;

	if (queue_is_anothers() || place_is_anothers()) {
		return;
	}
	for (size_t i = 0; i < layout_dir_count; i++) {
		check_dir(&layout_dirs[i]);
	}
	if (layout_make_dir(param.data_directory, 0700, G.owner, G.group) != 0) {
		warning("data_directory = %s: %s", param.data_directory, strerror(errno));
	}
	if (layout_make_memory(G.owner, G.group, &error) != 0) {
		fatal("%s", error);
		mem_free(error);
	}
	made = layout_make_spool();
	if (made > 0) {
		script_info(
			"mail_spool_directory = %s was missing: made", param.mail_spool_directory);
	} else if (made < 0) {
		warning("mail_spool_directory = %s: %s", param.mail_spool_directory,
			strerror(errno));
	}
}

/* ---- Ports ---- */

/* answers - somebody takes connections there */
static bool answers(const struct sv_endpoint *ep)
{
	const char *address = ep->address[0] != '\0' ? ep->address : ep->v4 ? "127.0.0.1" : "::1";
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)ep->port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)ep->port) };
	bool is6 = strchr(address, ':') != NULL, open;
	int fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (is6) {
		open = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1 &&
			connect(fd, (struct sockaddr *)&v6, sizeof(v6)) == 0;
	} else {
		open = inet_pton(AF_INET, address, &v4.sin_addr) == 1 &&
			connect(fd, (struct sockaddr *)&v4, sizeof(v4)) == 0;
	}
	if (fd >= 0) {
		close(fd);
	}
	return open;
}

static void list_endpoints(struct sv_config *c)
{
	for (size_t i = 0; i < c->count; i++) {
		for (size_t j = 0; j < c->specs[i].endpoint_count; j++) {
			const struct sv_endpoint *ep = &c->specs[i].endpoints[j];

			if (ep->path == NULL) {
				script_info("port %d, %s: %s (%s; %s)", ep->port,
					ep->address[0] != '\0' ? ep->address : "all addresses",
					answers(ep) ? "open" : "closed", c->specs[i].command,
					ep->set_by);
			}
		}
	}
	arena_free(&c->arena);
}

/* list_ports - those that master.cf and dovecot.conf name, and whether somebody is there */
static void list_ports(void)
{
	struct sv_config config;
	char *error = NULL;

	memset(&config, 0, sizeof(config));
	if (master_services(conf_loaded_dir(), &config, &error) != 0) {
		warning("%s", error);
		mem_free(error);
	}
	list_endpoints(&config);
	if (param.dovecot_config_file[0] == '\0') {
		return;
	}
	memset(&config, 0, sizeof(config));
	if (dovecot_conf_load(param.dovecot_config_file, false, &error) != 0 ||
		dovecot_services(&config, param.dovecot_config_file, true, 0, &error) != 0) {
		warning("%s", error);
		mem_free(error);
	}
	list_endpoints(&config);
}

/* list_classes - words of notify_classes that have no effect */
static void list_classes(void)
{
	struct slice rest = slice_of(param.notify_classes), word;

	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		if (slice_ieq(word, "data")) {
			script_info(
				"notify_classes: data has no effect: no error is of that class");
		} else if (!list_has_slice("bounce, 2bounce, delay, policy, protocol, resource, "
					   "software",
				   word)) {
			script_info("notify_classes: %.*s is no class", (int)word.len, word.ptr);
		}
	}
}

int check_system(bool warnings, bool verbose)
{
	script_count(!warnings);
	check_owner();
	check_main_cf();
	check_master_cf();
	check_log();
	if (script_worst() < 2) {
		check_directories();
	}
	check_dovecot_conf(!warnings);
	if (warnings) {
		check_certificates();
		check_tables(G.owner, G.group, false);
		check_lists();
		check_names();
	}
	if (check_unused(verbose ? UNUSED_LIST : warnings ? UNUSED_REFUSED : UNUSED_COUNT) > 0) {
		(void)script_fault(2);
	}
	if (verbose) {
		script_info("TLS: versions 1.0 to 1.2 (there is no TLS 1.3 in this build)");
		script_info("AUTH: smtpd_sasl_mechanism_filter allows %s",
			param.smtpd_sasl_mechanism_filter);
		list_classes();
		if (script_worst() < 2) {
			list_ports();
		}
	}
	return script_worst();
}

void check_build_tables(void)
{
	check_tables(G.owner, G.group, true);
}
