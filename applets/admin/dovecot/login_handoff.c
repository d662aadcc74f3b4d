/*
 * login_handoff - from the login part to the user's mail part
 *
 *	login part --LOGIN, fd--> here --REQUEST--> auth --USER uid home mail--> here
 *		--SESSION, fd--> mail part of (service, uid), started when there is none
 *
 * Several auth processes may live at a time (a reload): the one that granted the login is asked,
 * over a socket pair that it was sent when it was first needed. A reload leaves mail parts to the
 * sessions they have; later logins get a new one, with the new settings.
 *
 * The login part is not believed: what counts is what auth granted to that process,
 * request and cookie. Nor is what children hand us for the log: a line stands there under the
 * name of the process that it is of. A mail part that has been idle asks to end; it may when
 * no session was sent to it that it has not counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/stream.h"
#include "conf/dovecot/dovecot_conf.h"
#include "ipc/auth_protocol.h"
#include "ipc/control.h"
#include "ipc/handoff.h"
#include "applets/admin/dovecot/dovecot.h"

enum {
	PARTS_MAX = 2000,
	PENDING_MAX = 2000,
	ANSWER_MS = 30000,
	READ_SIZE = 4096,
	GUESTS_MAX = 1000
};

/* Somebody whose sessions a mail part has had. */
struct guest_name {
	struct guest_name *next;
	char name[];
};

/* A mail part. */
struct part {
	struct part *next;
	struct sv_child *child;
	char service[8];
	uid_t uid;
	uint64_t sent;
	struct guest_name *guests;
	size_t guest_count;
};

/* Our connection to an auth process of ours. */
struct auth_peer {
	struct auth_peer *next;
	pid_t pid;
	struct stream s;
};

/* A login that waits for auth. */
struct pending {
	struct pending *next;
	struct auth_peer *peer;
	unsigned long id;
	struct buf message;         /* the login part's, whole */
	struct handoff_login login; /* points into it */
	int fd;
	int64_t until;
};

static struct {
	struct supervisor *sv;
	const char *file;
	int verbose;
	struct part *parts;
	size_t part_count;
	struct pending *pending;
	size_t pending_count;
	unsigned long last_id;
	struct auth_peer *peers;
	struct timer timeout;
} G;

void handoff_start(struct supervisor *sv, const char *file, int verbose)
{
	G.sv = sv;
	G.file = file;
	G.verbose = verbose;
}

/* ---- Pending logins ---- */

static void free_pending(struct pending *p)
{
	struct pending **link = &G.pending;

	while (*link != NULL && *link != p) {
		link = &(*link)->next;
	}
	if (*link == p) {
		*link = p->next;
		G.pending_count--;
	}
	if (p->fd >= 0) {
		close(p->fd);
	}
	buf_free(&p->message);
	mem_free(p);
}

static void refuse(struct pending *p, const char *why)
{
	log_error("%s-login: Error: user=<%s>, rip=%s: %s", p->login.service, p->login.user,
		p->login.rip, why);
	(void)!write(p->fd, p->login.refusal, strlen(p->login.refusal));
	free_pending(p);
}

/* ---- Mail parts ---- */

static struct part *find_part(const char *service, uid_t uid)
{
	for (struct part *p = G.parts; p != NULL; p = p->next) {
		if (p->uid == uid && strcmp(p->service, service) == 0 && !p->child->leaving) {
			return p;
		}
	}
	return NULL;
}

/* start_part - it becomes the user by itself, before it is given anything of the user's */
static struct part *start_part(const char *service, uid_t uid, gid_t gid)
{
	const char *command = strcmp(service, "imap") == 0 ? "imapd" : "pop3d";
	char ids[48];
	const char *argv[16] = { command, "-M", "-U", ids, "-n", service, "-c", G.file };
	struct sv_start start = { .argv = argv, .relayed = true };
	struct part *p;
	struct sv_child *child;

	snprintf(ids, sizeof(ids), "%lu:%lu", (unsigned long)uid, (unsigned long)gid);
	for (int i = 0; i < G.verbose && i < 7; i++) {
		argv[8 + i] = "-v";
	}
	child = G.part_count < PARTS_MAX ? sv_spawn(G.sv, command, &start) : NULL;
	if (child == NULL) {
		return NULL;
	}
	p = mem_alloc(sizeof(*p));
	p->child = child;
	child->owner = p;
	p->uid = uid;
	(void)str_copy(p->service, sizeof(p->service), service);
	p->next = G.parts;
	G.parts = p;
	G.part_count++;
	return p;
}

static void free_part(struct part *p)
{
	struct part **link = &G.parts;

	while (*link != NULL && *link != p) {
		link = &(*link)->next;
	}
	if (*link == p) {
		*link = p->next;
		G.part_count--;
	}
	while (p->guests != NULL) {
		struct guest_name *next = p->guests->next;

		mem_free(p->guests);
		p->guests = next;
	}
	p->child->owner = NULL;
	mem_free(p);
}

/* end_part - it gets no session any more */
static void end_part(struct sv_child *child)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b);

	child->leaving = true;
	wire_put_int(&b, SERVICE_MSG_END);
	wire_end(&b, mark);
	(void)sv_tell(child, &b, -1);
	buf_free(&b);
}

void handoff_renew(void)
{
	for (struct part *p = G.parts; p != NULL; p = p->next) {
		end_part(p->child);
	}
}

void handoff_ended(struct supervisor *sv, struct sv_child *child)
{
	(void)sv;
	if (child->owner != NULL) {
		free_part(child->owner);
	}
}

/* log_login - the login part's line with the pid in its place */
static void log_login(const struct pending *p, pid_t pid)
{
	const char *mark = strstr(p->login.line, HANDOFF_MPID);

	if (mark == NULL) {
		log_info("%s", p->login.line);
	} else {
		log_info("%.*s%d%s", (int)(mark - p->login.line), p->login.line, (int)pid,
			mark + strlen(HANDOFF_MPID));
	}
}

static bool knows_guest(const struct part *part, const char *name, size_t len)
{
	for (const struct guest_name *g = part->guests; g != NULL; g = g->next) {
		if (strlen(g->name) == len && memcmp(g->name, name, len) == 0) {
			return true;
		}
	}
	return false;
}

/* add_guest - the part may write log lines under that name from now on */
static void add_guest(struct part *part, const char *name)
{
	size_t size = strlen(name) + 1;
	struct guest_name *g;

	if (part->guest_count >= GUESTS_MAX || knows_guest(part, name, size - 1)) {
		return;
	}
	g = mem_alloc(sizeof(*g) + size);
	memcpy(g->name, name, size);
	g->next = part->guests;
	part->guests = g;
	part->guest_count++;
}

/* send_session - to the part; true: the descriptor is on its way */
static bool send_session(struct part *part, const struct pending *p, const struct auth_line *user)
{
	const char *mail = auth_line_get(user, 3, "mail"), *home = auth_line_get(user, 3, "home");
	struct handoff_session m = { .user = auth_line_at(user, 2),
		.home = home != NULL ? home : "",
		.mail = mail != NULL && mail[0] != '\0'
			? mail
			: conf_protocol_setting(p->login.service, "mail_location"),
		.uid = part->uid,
		.rip = p->login.rip,
		.session = p->login.session,
		.tag = p->login.tag,
		.refusal = p->login.refusal,
		.unread = p->login.unread,
		.unread_len = p->login.unread_len };
	struct buf b = BUF_INIT;
	const char *gid = auth_line_get(user, 3, "gid");
	int64_t n;
	bool sent;

	m.gid = gid != NULL && str_to_int(gid, 0, UINT32_MAX, &n) ? (uint64_t)n : part->uid;
	handoff_put_session(&b, &m);
	sent = sv_tell(part->child, &b, p->fd);
	buf_free(&b);
	if (sent) {
		part->sent++;
		add_guest(part, m.user);
	}
	return sent;
}

/* take_in - auth has said who it is */
static void take_in(struct pending *p, const struct auth_line *user)
{
	const char *uid_text = auth_line_get(user, 3, "uid"),
		   *gid_text = auth_line_get(user, 3, "gid");
	struct part *part;
	int64_t uid, gid;

	if (uid_text == NULL || gid_text == NULL ||
		!str_to_int(uid_text, 0, UINT32_MAX - 1, &uid) ||
		!str_to_int(gid_text, 0, UINT32_MAX - 1, &gid) || (geteuid() == 0 && uid == 0)) {
		refuse(p, "auth names no usable uid and gid");
		return;
	}
	part = find_part(p->login.service, (uid_t)uid);
	if (part == NULL) {
		part = start_part(p->login.service, (uid_t)uid, (gid_t)gid);
	}
	if (part == NULL || !send_session(part, p, user)) {
		refuse(p, "the mail process cannot be reached");
		return;
	}
	log_login(p, part->child->pid);
	free_pending(p);
}

/* may_end - an idle part has counted as many sessions as we have sent */
static void may_end(struct sv_child *child, uint64_t counted)
{
	const struct part *p = child->owner;

	if (p != NULL && p->sent == counted) {
		end_part(child);
	}
}

/* ---- auth ---- */

/* auth_lost - the peer is gone, and its pending logins with it */
static void auth_lost(struct auth_peer *peer, const char *why)
{
	struct auth_peer **link = &G.peers;
	struct pending *p = G.pending;

	while (*link != peer) {
		link = &(*link)->next;
	}
	*link = peer->next;
	stream_close(&peer->s);
	while (p != NULL) {
		struct pending *next = p->next;

		if (p->peer == peer) {
			refuse(p, why);
		}
		p = next;
	}
	mem_free(peer);
}

static struct pending *find_pending(const char *id_text)
{
	int64_t id;

	if (str_to_int(id_text, 0, INT64_MAX, &id)) {
		for (struct pending *p = G.pending; p != NULL; p = p->next) {
			if (p->id == (unsigned long)id) {
				return p;
			}
		}
	}
	return NULL;
}

static bool on_line(struct stream *s, char *text, size_t len)
{
	struct auth_line line;
	struct pending *p;
	const char *why;

	(void)s;
	if (!auth_line_parse(&line, text, len)) {
		return true;
	}
	if (strcmp(line.field[0], "USER") != 0 && strcmp(line.field[0], "FAIL") != 0 &&
		strcmp(line.field[0], "NOTFOUND") != 0) {
		return true;
	}
	p = find_pending(auth_line_at(&line, 1));
	if (p == NULL) {
		return true;
	}
	if (strcmp(line.field[0], "USER") == 0) {
		take_in(p, &line);
		return true;
	}
	why = auth_line_get(&line, 2, "reason");
	refuse(p,
		why != NULL                                  ? why
			: strcmp(line.field[0], "FAIL") == 0 ? "auth refuses the hand-off"
							     : "userdb does not know the user");
	return true;
}

static void on_closed(struct stream *s, enum stream_end why)
{
	auth_lost(s->owner,
		why == STREAM_TOO_LONG ? "the auth process does not speak its protocol"
				       : "the auth process went away");
}

static const struct stream_class auth_class = {
	.line = on_line, .closed = on_closed, .read_size = READ_SIZE, .in_max = AUTH_LINE_MAX
};

/* find_auth - one of our auth processes; NULL: no such, or it has ended */
static struct sv_child *find_auth(uint64_t pid)
{
	struct sv_child *c = G.sv->children;

	while (c != NULL && ((uint64_t)c->pid != pid || strcmp(c->command, "auth") != 0)) {
		c = c->next;
	}
	return c;
}

/* connect_auth - one end of a socket pair goes to the process; -1: it cannot be reached */
static int connect_auth(struct sv_child *child)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b);
	int ends[2];
	bool sent;

	wire_put_int(&b, SERVICE_MSG_MASTER);
	wire_end(&b, mark);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
		buf_free(&b);
		return -1;
	}
	sent = sv_tell(child, &b, ends[1]);
	close(ends[1]);
	buf_free(&b);
	if (!sent) {
		close(ends[0]);
	}
	return sent ? ends[0] : -1;
}

/* get_peer - the connection to the auth process that granted a login; NULL: it is gone */
static struct auth_peer *get_peer(uint64_t pid)
{
	struct auth_peer *peer = G.peers;
	struct sv_child *child;
	int fd;

	while (peer != NULL && (uint64_t)peer->pid != pid) {
		peer = peer->next;
	}
	if (peer != NULL) {
		return peer;
	}
	child = find_auth(pid);
	fd = child != NULL ? connect_auth(child) : -1;
	if (fd < 0) {
		return NULL;
	}
	peer = mem_alloc(sizeof(*peer));
	peer->pid = child->pid;
	stream_init(&peer->s, G.sv->loop, &auth_class, peer);
	stream_open(&peer->s, fd);
	peer->next = G.peers;
	G.peers = peer;
	return peer;
}

/* ask_auth - REQUEST; lines are short, and the socket takes them whole or auth is ill */
static void ask_auth(struct pending *p)
{
	struct buf b = BUF_INIT;
	ssize_t sent;

	p->peer = get_peer(p->login.server_pid);
	if (p->peer == NULL) {
		refuse(p, "the auth process that it logged in with is gone");
		return;
	}
	auth_put(&b, "REQUEST");
	auth_put_number(&b, p->id);
	auth_put_number(&b, (unsigned long)p->login.client_pid);
	auth_put_number(&b, (unsigned long)p->login.request);
	auth_put_field(&b, p->login.cookie);
	auth_end(&b);
	sent = stream_send(&p->peer->s, b.data, b.len);
	/* When it is gone, what it said to others is read first: on_closed() refuses this. */
	if (sent >= 0 && (size_t)sent < b.len) {
		auth_lost(p->peer, "the auth process cannot be reached");
	}
	buf_free(&b);
}

static void on_timeout(struct timer *t)
{
	int64_t now = loop_now(G.sv->loop);
	struct pending *next;

	for (struct pending *p = G.pending; p != NULL; p = next) {
		next = p->next;
		if (p->until <= now) {
			refuse(p, "the auth process does not answer");
		}
	}
	if (G.pending != NULL) {
		loop_timer(G.sv->loop, t, 1000, on_timeout, NULL);
	}
}

/* ---- Messages of children ---- */

/* copy_login - the message outlives its buffer here */
static bool copy_login(struct pending *p, const struct wire *w)
{
	struct wire copy = { .left = w->left };

	buf_add(&p->message, w->ptr, w->left);
	copy.ptr = buf_str(&p->message);
	return handoff_get_login(&copy, &p->login);
}

static void got_login(struct sv_child *child, struct wire *w, int fd)
{
	struct pending *p = mem_alloc(sizeof(*p));

	p->fd = fd;
	p->id = ++G.last_id;
	p->until = loop_now(G.sv->loop) + ANSWER_MS;
	p->next = G.pending;
	G.pending = p;
	G.pending_count++;
	if (!copy_login(p, w) ||
		(strcmp(p->login.service, "imap") != 0 && strcmp(p->login.service, "pop3") != 0)) {
		log_error("process %d sent a malformed hand-off", (int)child->pid);
		free_pending(p);
		return;
	}
	/* Grants belong to processes: one login process cannot use another's. */
	if (p->login.client_pid != (uint64_t)child->pid) {
		refuse(p, "the hand-off is another process's");
	} else if (G.pending_count > PENDING_MAX) {
		refuse(p, "too many logins at once");
	} else {
		ask_auth(p);
	}
	if (G.pending != NULL && G.timeout.slot == 0) {
		loop_timer(G.sv->loop, &G.timeout, 1000, on_timeout, NULL);
	}
}

/* pass_to_auth - a login part's connection; when that cannot be it sees its end and tries again */
static void pass_to_auth(int fd)
{
	struct sv_child *auth = sv_running(G.sv, "auth");
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b);

	wire_put_int(&b, SERVICE_MSG_AUTH);
	wire_end(&b, mark);
	if (auth != NULL) {
		(void)sv_tell(auth, &b, fd);
	}
	buf_free(&b);
}

/* starts_with - line is not terminated */
static bool starts_with(const char *line, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len >= n && memcmp(line, word, n) == 0;
}

/*
 * label_of - what has to stand before a line that child hands us ("" when it says so itself):
 * nobody writes under another's name, as what bans addresses by the log would believe it
 */
static void label_of(const struct sv_child *child, const char *text, size_t len, char out[64])
{
	const struct part *part = child->owner;
	char prefix[24];
	const char *end;

	out[0] = '\0';
	if (part == NULL) {
		snprintf(prefix, sizeof(prefix),
			"%s-login: ", strcmp(child->command, "imapd") == 0 ? "imap" : "pop3");
		if (!starts_with(text, len, prefix)) {
			snprintf(out, 64, "%s", prefix);
		}
		return;
	}
	snprintf(prefix, sizeof(prefix), "%s(", part->service);
	if (starts_with(text, len, prefix)) {
		text += strlen(prefix);
		len -= strlen(prefix);
		end = memchr(text, ')', len);
		if (end != NULL && knows_guest(part, text, (size_t)(end - text))) {
			return;
		}
	}
	snprintf(out, 64, "%s(uid %lu): ", part->service, (unsigned long)part->uid);
}

/* got_log - lines of a child that has no log of its own */
static void got_log(const struct sv_child *child, struct wire *w)
{
	unsigned long lost = (unsigned long)wire_get_int(w);
	size_t left = 0;
	const char *line = wire_get_bytes(w, &left), *end;
	char label[64];

	if (!wire_ok(w)) {
		return;
	}
	if (lost > 0) {
		log_warn("process %d could not hand on %lu log lines", (int)child->pid, lost);
	}
	for (; left > 0 && (end = memchr(line, '\n', left)) != NULL; line = end + 1) {
		size_t len = (size_t)(end - line);

		left -= len + 1;
		if (len > 0) {
			label_of(child, line + 1, len - 1, label);
			log_relayed(child->pid, label, line, len);
		}
	}
}

void handoff_message(
	struct supervisor *sv, struct sv_child *child, int kind, struct wire *w, int fd)
{
	bool reader = child->relayed, part = child->owner != NULL;

	(void)sv;
	if (kind == SERVICE_MSG_LOGIN && fd >= 0 && reader && !part) {
		got_login(child, w, fd);
		return;
	}
	if (kind == SERVICE_MSG_LOG && reader) {
		got_log(child, w);
	} else if (kind == SERVICE_MSG_AUTH && fd >= 0 && reader && !part) {
		pass_to_auth(fd);
	} else if (kind == SERVICE_MSG_CERTIFICATE && reader && !part) {
		certificate_message(child, wire_get_str(w));
	} else if (kind == SERVICE_MSG_IDLE && part) {
		may_end(child, wire_get_int(w));
	}
	if (fd >= 0) {
		close(fd);
	}
}
