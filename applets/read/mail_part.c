/*
 * mail_part - what pop3d and imapd do once somebody has logged in
 *
 * Started by the supervisor for each uid (-M); connections come over the
 * control socket and end here. All sessions of the uid share this process and
 * its loop. Without sessions for a while it asks the supervisor whether it may end, so
 * that none is sent to a process that is about to go. After a reload it is told so unasked, and
 * ends with its last session.
 *
 * With -S the same sessions run on standard input and output, for whoever started us.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "net/serve.h"
#include "ipc/handoff.h"
#include "applets/read/login_parts.h"

enum { IDLE_MS = 30000, MAIL_IN_HIGH = 128 * 1024, GROUPS_MAX = 256 };

/* One session: what the protocol's mail class is given, and what the limit counts. */
struct guest {
	struct guest *next, *prev;
	struct mail_service service;
	char *user, *home, *mail, *tag, *rip;
	struct session_io *io;
	void *inner;
};

static struct {
	struct service service;
	const struct login_protocol *proto;
	struct server *server;
	struct guest *guests;
	uint64_t received; /* sessions we were sent, ever */
	bool ending;       /* none will be sent any more */
	struct timer idle;
	const char *user; /* -u */
	const char *ids;  /* -U */
	uid_t uid;
	gid_t gid;
} G;

/* ---- Sessions ---- */

static struct guest *new_guest(const struct handoff_session *m)
{
	struct guest *g = mem_alloc(sizeof(*g));

	g->user = mem_strdup(m->user);
	g->home = mem_strdup(m->home);
	g->mail = mem_strdup(m->mail);
	g->tag = mem_strdup(m->tag);
	g->rip = mem_strdup(m->rip);
	g->service.user.name = g->user;
	g->service.user.home = g->home;
	g->service.user.mail_location = g->mail;
	g->service.user.uid = (uid_t)m->uid;
	g->service.user.gid = (gid_t)m->gid;
	g->service.tag = g->tag;
	g->next = G.guests;
	if (G.guests != NULL) {
		G.guests->prev = g;
	}
	G.guests = g;
	return g;
}

static void on_idle(struct timer *t)
{
	struct buf b = BUF_INIT;
	size_t mark;

	(void)t;
	if (G.guests != NULL) {
		return;
	}
	mark = wire_begin(&b);
	wire_put_int(&b, SERVICE_MSG_IDLE);
	wire_put_int(&b, G.received);
	wire_end(&b, mark);
	(void)service_tell(&G.service, &b, -1);
	buf_free(&b);
	/* Asked again when the answer was no because a session is on its way. */
	loop_timer(G.service.loop, &G.idle, IDLE_MS, on_idle, NULL);
}

static void free_guest(struct guest *g)
{
	if (g->prev != NULL) {
		g->prev->next = g->next;
	} else {
		G.guests = g->next;
	}
	if (g->next != NULL) {
		g->next->prev = g->prev;
	}
	mem_free(g->user);
	mem_free(g->home);
	mem_free(g->mail);
	mem_free(g->tag);
	mem_free(g->rip);
	mem_free(g);
	if (G.guests == NULL && G.ending) {
		service_done(&G.service);
	} else if (G.guests == NULL && !G.service.stdio) {
		loop_timer(G.service.loop, &G.idle, IDLE_MS, on_idle, NULL);
	}
}

/* The layer: a guest is freed with its session, and the peer is the client even behind a relay. */
static void *guest_open(struct session_io *io, void *service, struct buf *out)
{
	struct guest *g = service;

	g->io = io;
	if (g->rip[0] != '\0') {
		(void)str_copy(io->peer.addr, sizeof(io->peer.addr), g->rip);
	}
	g->inner = G.proto->mail->open(io, &g->service, out);
	if (g->inner == NULL) {
		free_guest(g);
		return NULL;
	}
	return g;
}

static enum session_want guest_feed(void *session, struct buf *in, struct buf *out)
{
	struct guest *g = session;

	return G.proto->mail->feed(g->inner, in, out);
}

static enum session_want guest_event(void *session, enum session_event event, struct buf *out)
{
	struct guest *g = session;

	return G.proto->mail->event(g->inner, event, out);
}

static void guest_close(void *session)
{
	struct guest *g = session;

	G.proto->mail->close(g->inner);
	free_guest(g);
}

static const struct session_class guest_class = { "mail", guest_open, guest_feed, guest_event,
	guest_close };

/* too_many - mail_max_userip_connections */
static bool too_many(const struct handoff_session *m)
{
	int64_t count = 0;

	if (setting.mail_max_userip_connections <= 0 || m->rip[0] == '\0') {
		return false;
	}
	for (const struct guest *g = G.guests; g != NULL; g = g->next) {
		if (strcmp(g->user, m->user) == 0 && strcmp(g->rip, m->rip) == 0) {
			count++;
		}
	}
	return count >= setting.mail_max_userip_connections;
}

static void refuse_too_many(int fd, const struct handoff_session *m)
{
	struct buf b = BUF_INIT, text = BUF_INIT;

	buf_addf(&text,
		"Maximum number of connections from user+IP exceeded "
		"(mail_max_userip_connections=%lld)",
		(long long)setting.mail_max_userip_connections);
	login_refusal(&b, G.proto, m->tag, "LIMIT", buf_str(&text));
	log_info("%s(%s)<%s>: Info: %s, rip=%s", G.proto->name, m->user, m->session, buf_str(&text),
		m->rip);
	(void)!write(fd, b.data, b.len);
	close(fd);
	buf_free(&b);
	buf_free(&text);
}

static void on_message(struct service *s, int kind, struct wire *w, int fd)
{
	struct handoff_session m;

	if (kind == SERVICE_MSG_END) {
		G.ending = true;
		if (G.guests == NULL) {
			service_done(s);
		}
	} else if (kind == SERVICE_MSG_SESSION && fd >= 0 && handoff_get_session(w, &m)) {
		G.received++;
		loop_untimer(s->loop, &G.idle);
		if (too_many(&m)) {
			refuse_too_many(fd, &m);
		} else {
			server_adopt_with(G.server, fd, m.unread, m.unread_len, new_guest(&m));
		}
		return;
	}
	if (fd >= 0) {
		close(fd);
	}
}

/* ---- -S ---- */

/* stdio_guest - whoever runs us, or -u */
static struct guest *stdio_guest(void)
{
	const struct passwd *pw = G.user != NULL ? getpwnam(G.user) : getpwuid(geteuid());
	const char *home = getenv("HOME");
	struct handoff_session m = { .user = G.user,
		.home = home != NULL ? home : "",
		.mail = setting.mail_location,
		.uid = geteuid(),
		.gid = getegid(),
		.rip = "",
		.session = "",
		.tag = "" };
	struct guest *g;

	if (pw != NULL && pw->pw_uid == geteuid()) {
		m.home = G.user != NULL || home == NULL ? pw->pw_dir : home;
		m.user = pw->pw_name;
	}
	if (m.user == NULL) {
		log_fatal("user %d has no name: give one with -u", (int)geteuid());
	}
	g = new_guest(&m);
	g->service.preauth = true;
	return g;
}

/* ---- Identity ---- */

/* group_of - of mail_access_groups or mail_privileged_group; (gid_t)-1: there is no such group */
static gid_t group_of(const char *setting_name, const char *name)
{
	const struct group *gr = getgrnam(name);
	int64_t gid;

	if (gr != NULL) {
		return gr->gr_gid;
	}
	if (str_to_int(name, 0, UINT32_MAX - 1, &gid)) {
		return (gid_t)gid;
	}
	log_warn("%s: there is no group %s", setting_name, name);
	return (gid_t)-1;
}

/* take_groups - the user's own and mail_access_groups; how many */
static size_t take_groups(gid_t *groups, size_t max)
{
	const struct passwd *pw = getpwuid(G.uid);
	struct slice rest = slice_of(setting.mail_access_groups), word;
	int count = (int)max;
	char name[64];
	gid_t gid;

	if (pw == NULL || getgrouplist(pw->pw_name, G.gid, groups, &count) < 0) {
		groups[0] = G.gid;
		count = 1;
	}
	while ((word = slice_word(&rest, " ,\t")).ptr != NULL && (size_t)count < max) {
		if (word.len >= sizeof(name)) {
			continue;
		}
		memcpy(name, word.ptr, word.len);
		name[word.len] = '\0';
		gid = group_of("mail_access_groups", name);
		if (gid != (gid_t)-1) {
			groups[count++] = gid;
		}
	}
	return (size_t)count;
}

/* become_user - the one whose mail it is (-U); with -S -u, as root, the one named */
static void become_user(struct service *s)
{
	gid_t groups[GROUPS_MAX];
	struct identity who = { .groups = groups, .lock_group = (gid_t)-1, .name = G.ids };

	if (s->stdio) {
		if (G.user != NULL && geteuid() == 0 && getpwnam(G.user) != NULL) {
			service_drop_privileges(PROCESS_MAIL, G.user);
		}
		return;
	}
	if (G.ids != NULL && geteuid() == 0) {
		who.uid = G.uid;
		who.gid = G.gid;
		who.group_count = take_groups(groups, GROUPS_MAX);
		if (setting.mail_privileged_group[0] != '\0') {
			who.lock_group =
				group_of("mail_privileged_group", setting.mail_privileged_group);
		}
	} else if (geteuid() == 0) {
		log_fatal("started as root without -U: there is nobody to become");
	}
	privileges_take(PROCESS_MAIL, &who);
}

/* take_ids - -U uid:gid; false: they are none */
static bool take_ids(const char *text)
{
	char *end;
	unsigned long uid = strtoul(text, &end, 10), gid;

	if (end == text || *end != ':' || uid >= UINT32_MAX) {
		return false;
	}
	text = end + 1;
	gid = strtoul(text, &end, 10);
	if (end == text || *end != '\0' || gid >= UINT32_MAX) {
		return false;
	}
	G.uid = (uid_t)uid;
	G.gid = (gid_t)gid;
	return true;
}

static bool option(struct service *s, int opt, const char *arg)
{
	(void)s;
	if (opt == 'u') {
		G.user = arg;
	} else if (opt == 'U') {
		G.ids = arg;
		return take_ids(arg);
	}
	return true;
}

int mail_part_main(const struct login_protocol *proto, int argc, char **argv)
{
	static const struct service_info info = { .options = "Mu:U:",
		.option = option,
		.flags = SERVICE_DOVECOT | SERVICE_ROOT | SERVICE_RELAYED,
		.prepare = become_user };
	struct server_config config = { .class = &guest_class, .in_high = MAIL_IN_HIGH };

	G.proto = proto;
	service_init(&G.service, &info, argc, argv);
	G.service.idle_seconds = 0;
	if (G.service.stdio) {
		config.service = stdio_guest();
		G.server = server_new(G.service.loop, &config);
		server_stdio(G.server, 0, 1);
	} else {
		G.server = server_new(G.service.loop, &config);
		service_attach(&G.service, G.server);
		G.service.on_message = on_message;
		loop_timer(G.service.loop, &G.idle, IDLE_MS, on_idle, NULL);
	}
	return service_run(&G.service);
}
