/*
 * login - what pop3d and imapd do before anybody has logged in
 *
 * The protocol's login class is wrapped: the wrapper counts attempts, keeps
 * what the log lines need and writes them when the connection ends or leaves.
 *
 *	imap-login: Info: Login: user=<u>, method=PLAIN, rip=.., lip=.., mpid=.., TLS, session=<..>
 *	imap-login: Info: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs):
 *		user=<u>, ...
 *
 * The Login line is written by the supervisor, which alone knows the mail part's pid; we send it
 * along. applets/read/mail_part.c has the other half, applets/admin/dovecot/login_handoff.c the way
 * between. Started by the supervisor we see no files and make no connections: it looks at the
 * certificate's files for us, and hands auth the other end of a socket pair.
 */
#include "applets/read/login.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "net/serve.h"
#include "net/tls.h"
#include "address/match.h"
#include "ipc/handoff.h"
#include "applets/daemon/certificate.h"
#include "applets/read/login_parts.h"

enum {
	LOGIN_IN_HIGH = 16384,
	LOGIN_NAME_MAX = 256,
	LOGIN_ELEMENTS_MAX = 40,
	LOGIN_SESSIONS_FACTOR = 20
};

static struct {
	struct service service;
	const struct login_protocol *proto;
	struct login_service login;
	struct server *plain, *tls_first;
	struct tls_context *tls;
	struct match_list *trusted;
	bool certificate_same; /* the supervisor said so since it was asked last */
	struct watch closed[SERVICE_LISTEN_MAX]; /* TLS ports without a certificate */
} G;

/* One connection: the layer between driver and protocol. */
struct visitor {
	struct session_io *io;
	void *inner;
	time_t since;
	int attempts;              /* failed */
	char user[LOGIN_NAME_MAX]; /* of the last attempt */
	char mech[24];
	char session[20];
	const char *why; /* how it ended */
	bool refused_plain;
	/* set by login_handoff() */
	bool leaving;
	unsigned request;
	unsigned long auth_pid;
	char cookie[64];
	char *tag;
};

/* ---- Log lines ---- */

/* put_name - what a client said, made safe for a log line */
static void put_name(struct buf *b, const char *name)
{
	for (; *name != '\0'; name++) {
		unsigned char c = (unsigned char)*name;

		buf_addc(b, c < 0x20 || c == 0x7f || c == '<' || c == '>' ? '?' : *name);
	}
}

/* put_variable - %u, %m ...; true: it was not empty */
static bool put_variable(
	struct buf *b, const struct visitor *v, const char *name, size_t len, const char *mpid)
{
	size_t before = b->len;

	if (len == 1 && *name == 'u') {
		put_name(b, v->user);
		return true; /* user=<> is written as well */
	}
	if (len == 1 && *name == 'm') {
		buf_adds(b, v->mech);
	} else if (len == 1 && *name == 'r') {
		buf_adds(b, v->io->peer.addr);
	} else if (len == 1 && *name == 'l') {
		buf_adds(b, v->io->local.addr);
	} else if (len == 1 && *name == 'a') {
		buf_addf(b, "%d", v->io->local.port);
	} else if (len == 1 && *name == 'b') {
		buf_addf(b, "%d", v->io->peer.port);
	} else if (len == 1 && *name == 's') {
		buf_adds(b, G.proto->name);
	} else if (len == 1 && *name == 'e') {
		buf_adds(b, mpid);
	} else if (len == 1 && *name == 'c') {
		buf_adds(b,
			v->io->tls ? "TLS"
				: login_plaintext_ok(v->io) && setting.disable_plaintext_auth
				? "secured"
				: "");
	} else if (len == 1 && *name == 'k' && v->io->tls) {
		buf_addf(b, "%s with cipher %s (%d/%d bits)", v->io->tls_version, v->io->tls_cipher,
			v->io->tls_bits, v->io->tls_bits);
	} else if (len == 7 && strncmp(name, "session", 7) == 0) {
		buf_adds(b, v->session);
	}
	return b->len > before;
}

/* put_element - one word of login_log_format_elements; left out when its variables are empty */
static void put_element(
	struct buf *out, const struct visitor *v, struct slice word, const char *mpid)
{
	struct buf b = BUF_INIT;
	bool any = false, variables = false;

	for (size_t i = 0; i < word.len; i++) {
		const char *p = word.ptr + i;

		if (*p != '%' || i + 1 >= word.len) {
			buf_addc(&b, *p);
			continue;
		}
		variables = true;
		if (p[1] == '{') {
			const char *close = memchr(p, '}', word.len - i);

			if (close == NULL) {
				break;
			}
			any = put_variable(&b, v, p + 2, (size_t)(close - p) - 2, mpid) || any;
			i += (size_t)(close - p);
		} else {
			any = put_variable(&b, v, p + 1, 1, mpid) || any;
			i++;
		}
	}
	if (any || !variables) {
		buf_addf(out, "%s%s", out->len > 0 ? ", " : "", buf_str(&b));
	}
	buf_free(&b);
}

/* log_line - by login_log_format (%$ the text, %s the elements); the caller frees */
static char *log_line(const struct visitor *v, const char *text, const char *mpid)
{
	struct slice rest = slice_of(setting.login_log_format_elements), word;
	struct buf elements = BUF_INIT, out = BUF_INIT;
	const char *p;
	int count = 0;

	while ((word = slice_word(&rest, " ")).ptr != NULL && count++ < LOGIN_ELEMENTS_MAX) {
		put_element(&elements, v, word, mpid);
	}
	buf_addf(&out, "%s-login: Info: ", G.proto->name);
	for (p = setting.login_log_format; *p != '\0'; p++) {
		if (p[0] == '%' && p[1] == '$') {
			buf_adds(&out, text);
			p++;
		} else if (p[0] == '%' && p[1] == 's') {
			buf_adds(&out, buf_str(&elements));
			p++;
		} else {
			buf_addc(&out, *p);
		}
	}
	buf_free(&elements);
	return buf_steal(&out);
}

/* log_end - "Disconnected: ..." with what was tried */
static void log_end(const struct visitor *v)
{
	struct buf text = BUF_INIT;
	long seconds = (long)(time(NULL) - v->since);
	char *line;

	buf_addf(&text, "Disconnected: %s ", v->why);
	if (v->attempts > 0) {
		buf_addf(&text, "(auth failed, %d attempts in %ld secs)", v->attempts, seconds);
	} else if (v->refused_plain) {
		buf_adds(&text, "(tried to use disallowed plaintext auth)");
	} else {
		buf_addf(&text, "(no auth attempts in %ld secs)", seconds);
	}
	line = log_line(v, buf_str(&text), "");
	log_info("%s", line);
	mem_free(line);
	buf_free(&text);
}

/* ---- For the protocols ---- */

static bool is_trusted(const struct session_io *io)
{
	return G.trusted != NULL && io->peer.addr[0] != '\0' &&
		match_host(G.trusted, NULL, io->peer.addr) == 1;
}

static bool is_local(const struct session_io *io)
{
	return io->peer.addr[0] == '\0' || strcmp(io->peer.addr, io->local.addr) == 0 ||
		str_starts(io->peer.addr, "127.") || strcmp(io->peer.addr, "::1") == 0;
}

bool login_plaintext_ok(const struct session_io *io)
{
	struct visitor *v = io->layer;
	bool ok = io->tls || is_local(io) || is_trusted(io) ||
		(!setting.disable_plaintext_auth && strcmp(setting.ssl, "required") != 0);

	if (!ok && v != NULL) {
		v->refused_plain = true;
	}
	return ok;
}

void login_auth_params(const struct session_io *io, struct auth_params *p)
{
	p->remote_ip = io->peer.addr;
	p->local_ip = io->local.addr;
	p->remote_port = io->peer.port;
	p->local_port = io->local.port;
	p->trusted = is_trusted(io);
	p->secured = io->tls || is_local(io) || is_trusted(io);
}

static void set_names(struct visitor *v, const char *user, const char *mech)
{
	(void)str_copy(v->user, sizeof(v->user), user != NULL ? user : "");
	(void)str_copy(v->mech, sizeof(v->mech), mech != NULL ? mech : "");
}

void login_handoff(
	struct session_io *io, const struct auth_reply *ok, const char *mech, const char *tag)
{
	struct visitor *v = io->layer;

	if (v != NULL) {
		set_names(v, ok->user, mech);
		v->leaving = true;
		v->request = ok->request_id;
		v->auth_pid = ok->server_pid;
		(void)str_copy(v->cookie, sizeof(v->cookie), ok->cookie);
		mem_free(v->tag);
		v->tag = mem_strdup(tag);
	}
}

int login_failed(struct session_io *io, const char *user, const char *mech, const char *reason)
{
	struct visitor *v = io->layer;

	if (v == NULL) {
		return 0;
	}
	set_names(v, user, mech);
	v->attempts++;
	log_debug(1, "%s-login: %s: %s", G.proto->name, v->user, reason);
	/* The auth process has waited already (auth_failure_delay); guessing on gets slower and
	 * slower. */
	return v->attempts < 2 ? 0 : v->attempts < 8 ? v->attempts : 8;
}

/* ---- The layer ---- */

static void *visitor_open(struct session_io *io, void *service, struct buf *out)
{
	struct visitor *v = mem_alloc(sizeof(*v));
	unsigned char noise[12];
	struct buf text = BUF_INIT;

	v->io = io;
	v->since = time(NULL);
	v->why = "Aborted login by logging out";
	random_bytes(noise, sizeof(noise));
	base64_encode(&text, noise, sizeof(noise));
	(void)str_copy(v->session, sizeof(v->session), buf_str(&text));
	buf_free(&text);
	io->layer = v;
	v->inner = G.proto->login->open(io, service, out);
	if (v->inner == NULL) {
		io->layer = NULL;
		mem_free(v);
		return NULL;
	}
	return v;
}

static enum session_want visitor_feed(void *session, struct buf *in, struct buf *out)
{
	struct visitor *v = session;

	return G.proto->login->feed(v->inner, in, out);
}

static enum session_want visitor_event(void *session, enum session_event event, struct buf *out)
{
	struct visitor *v = session;

	switch (event) {
	case SESSION_EV_TIMEOUT:
		v->why = "Inactivity";
		break;
	case SESSION_EV_EOF:
	case SESSION_EV_ERROR:
		v->why = "Connection closed";
		break;
	case SESSION_EV_TLS_FAILED:
		v->why = "TLS handshaking failed";
		log_info("%s-login: Info: TLS handshake with %s: %s", G.proto->name,
			v->io->peer.addr, v->io->error);
		break;
	case SESSION_EV_NO_MEMORY:
		v->why = "Out of memory";
		break;
	case SESSION_EV_SHUTDOWN:
		v->why = "Shutting down";
		break;
	case SESSION_EV_TLS_UP:
	case SESSION_EV_DRAINED:
		break;
	}
	return G.proto->login->event(v->inner, event, out);
}

static void visitor_close(void *session)
{
	struct visitor *v = session;

	if (!v->leaving) {
		log_end(v);
	}
	G.proto->login->close(v->inner);
	v->io->layer = NULL;
	mem_free(v->tag);
	mem_free(v);
}

static const struct session_class visitor_class = { "login", visitor_open, visitor_feed,
	visitor_event, visitor_close };

/* ---- Leaving ---- */

/* leave - the connection goes to the supervisor with the proof that its user logged in */
static void leave(struct server *s, struct session_io *io, int fd, struct buf *unread)
{
	struct visitor *v = io->layer;
	struct buf refusal = BUF_INIT, msg = BUF_INIT;
	char *line = log_line(v, "Login", HANDOFF_MPID);
	struct handoff_login m = { .service = G.proto->name,
		.client_pid = (uint64_t)getpid(),
		.request = v->request,
		.server_pid = v->auth_pid,
		.cookie = v->cookie,
		.user = v->user,
		.line = line,
		.rip = io->peer.addr,
		.session = v->session,
		.tag = v->tag != NULL ? v->tag : "",
		.unread = buf_head(unread),
		.unread_len = buf_unread(unread) };

	(void)s;
	login_refusal(&refusal, G.proto, m.tag, "UNAVAILABLE",
		"Internal login failure. Refer to server log for more information.");
	m.refusal = buf_str(&refusal);
	handoff_put_login(&msg, &m);
	if (!v->leaving || !service_tell(&G.service, &msg, fd)) {
		log_error("%s-login: the supervisor does not take a login of user %s",
			G.proto->name, v->user);
		(void)!write(fd, refusal.data, refusal.len);
	}
	close(fd);
	buf_free(&msg);
	buf_free(&refusal);
	mem_free(line);
}

/* ---- The login part's main ---- */

static int min_version(const char *name)
{
	if (str_ieq(name, "TLSv1") || str_ieq(name, "TLSv1.0") || str_ieq(name, "ANY") ||
		str_ieq(name, "SSLv3")) {
		return 10;
	}
	if (str_ieq(name, "TLSv1.3")) {
		log_warn("ssl_min_protocol = TLSv1.3: TLS 1.2 is the newest of this build, and "
			 "used");
	}
	return str_ieq(name, "TLSv1.1") ? 11 : 12;
}

/* load_tls - while root can still read the key */
static void load_tls(struct service *s)
{
	struct tls_server_config config = {
		.min_version = min_version(setting.ssl_min_protocol),
		.server_order = setting.ssl_prefer_server_ciphers,
	};
	char *error = NULL;

	if (!certificate_of_dovecot(&config)) {
		return;
	}
	G.tls = tls_server_context(&config, &error);
	if (G.tls == NULL && s->successor) {
		log_fatal("%s-login: ssl_cert, ssl_key: %s", G.proto->name, error);
	}
	if (G.tls == NULL) {
		log_error(
			"%s-login: Error: TLS is off: ssl_cert, ssl_key: %s", G.proto->name, error);
		mem_free(error);
	}
}

/* ask_about_certificate - the supervisor sees the files; what it says comes as a message */
static void ask_about_certificate(void *arg)
{
	char stamp[TLS_STAMP_SIZE];
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b);

	tls_context_stamp(G.tls, stamp);
	wire_put_int(&b, SERVICE_MSG_CERTIFICATE);
	wire_put_str(&b, stamp);
	wire_end(&b, mark);
	(void)service_tell(arg, &b, -1);
	buf_free(&b);
}

static void on_message(struct service *s, int kind, struct wire *w, int fd)
{
	(void)s;
	if (kind == SERVICE_MSG_CERTIFICATE && G.tls != NULL) {
		bool changed = wire_get_int(w) != 0;

		tls_context_set_outdated(G.tls, changed);
		G.certificate_same = !changed;
	}
	if (fd >= 0) {
		close(fd);
	}
}

/* may_end - when idle: not while only this process has a good certificate */
static bool may_end(struct service *s)
{
	bool same = G.certificate_same;

	if (G.tls == NULL || !s->by_master) {
		return certificate_may_end(s, G.tls);
	}
	/* The answer has come when we are asked again. */
	G.certificate_same = false;
	ask_about_certificate(s);
	return same;
}

/* open_auth - a connection to auth that the supervisor hands to it; -1: not now */
static int open_auth(const char *name, void *arg)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b);
	int ends[2];
	bool sent;

	(void)name;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
		return -1;
	}
	wire_put_int(&b, SERVICE_MSG_AUTH);
	wire_end(&b, mark);
	sent = service_tell(arg, &b, ends[1]);
	buf_free(&b);
	close(ends[1]);
	if (!sent) {
		close(ends[0]);
		errno = EAGAIN;
		return -1;
	}
	return ends[0];
}

/* refuse - a TLS port without a certificate: better no connection than one that says nothing */
static void refuse(struct watch *w, unsigned events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0) {
		log_error("%s-login: Error: connection to a TLS port closed: there is no "
			  "certificate",
			G.proto->name);
		close(fd);
	}
}

/* on_stop - a TLS port without a certificate is the successor's, which may have one */
static void on_stop(struct service *s, bool soon)
{
	(void)soon;
	for (size_t i = 0; i < s->listen_count; i++) {
		if (G.closed[i].fd > 0) {
			int fd = G.closed[i].fd;

			loop_unwatch(s->loop, &G.closed[i]);
			close(fd);
		}
	}
	service_done(s);
}

static struct server *new_server(bool tls_first)
{
	struct server_config config = {
		.class = &visitor_class,
		.service = &G.login,
		.tls = G.tls,
		.tls_denied = G.service.by_master ? ask_about_certificate : service_replace,
		.tls_denied_arg = &G.service,
		.tls_first = tls_first,
		/* TLS connections stay here after the login, too (net/relay.c). */
		.max_sessions = (int)setting.default_client_limit * LOGIN_SESSIONS_FACTOR,
		.in_high = LOGIN_IN_HIGH,
		.handoff = leave,
	};
	struct server *s = server_new(G.service.loop, &config);

	service_attach(&G.service, s);
	return s;
}

/* login_part - the process that strangers talk to, until its end */
static int login_part(const struct login_protocol *proto, int argc, char **argv)
{
	static const struct service_info info = {
		.flags = SERVICE_DOVECOT | SERVICE_LOGIN | SERVICE_RELAYED, .prepare = load_tls
	};
	struct buf path = BUF_INIT;

	G.proto = proto;
	service_init(&G.service, &info, argc, argv);
	if (G.service.listen_count == 0) {
		log_fatal("nothing to listen on: %s is started by dovecot, by hand with -p PORT, "
			  "or with -S for a "
			  "session without login on standard input",
			G.service.command);
	}
	G.trusted = match_list_new("login_trusted_networks", setting.login_trusted_networks, 0);
	buf_addf(&path, "%s/login", setting.base_dir);
	G.login.auth = G.service.by_master
		? auth_client_new_by(G.service.loop, buf_str(&path), open_auth, &G.service)
		: auth_client_new(G.service.loop, buf_str(&path));
	buf_free(&path);
	G.login.tls_available = G.tls != NULL;
	G.login.greeting = setting.login_greeting;
	G.service.on_idle = may_end;
	G.service.on_message = on_message;
	if (G.tls != NULL && G.service.by_master) {
		tls_context_hand_over(G.tls);
	}
	G.service.on_stop = on_stop;
	G.plain = new_server(false);
	G.tls_first = G.tls != NULL ? new_server(true) : NULL;
	for (size_t i = 0; i < G.service.listen_count; i++) {
		bool ssl = strcmp(G.service.listen[i].label, "ssl") == 0;

		if (!ssl) {
			server_listen(G.plain, G.service.listen[i].fd);
		} else if (G.tls_first != NULL) {
			server_listen(G.tls_first, G.service.listen[i].fd);
		} else {
			loop_watch(G.service.loop, &G.closed[i], G.service.listen[i].fd, LOOP_READ,
				refuse, NULL);
		}
	}
	if (G.service.by_master) {
		privileges_seal(PROCESS_LOGIN);
	}
	return service_run(&G.service);
}

int login_main(const struct login_protocol *proto, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-M") == 0 || strcmp(argv[i], "-S") == 0) {
			return mail_part_main(proto, argc, argv);
		}
	}
	return login_part(proto, argc, argv);
}
