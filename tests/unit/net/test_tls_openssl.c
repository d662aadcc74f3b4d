/*
 * test_tls_openssl - our client and OpenSSL's server; skipped where there is no openssl
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/tls_client.h"
#include "unit.h"

/*
 * In the test's directory: a root with 4096 bits, an authority below it signed with SHA-512, and
 * what it has signed; chain.pem has that authority behind a stranger and the root.
 */
static const char make_certificates[] =
	"exec >/dev/null 2>&1; cd \"$D\" || exit 1\n"
	"openssl req -x509 -newkey rsa:4096 -sha384 -nodes -keyout root.key -out root.pem -subj "
	"'/O=Test/CN=Root 4096' -days 30 &&\n"
	"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -keyout middle.key -out "
	"middle.csr -subj /CN=Middle "
	"&&\n"
	"echo basicConstraints=critical,CA:TRUE >ca.ext &&\n"
	"openssl x509 -req -in middle.csr -CA root.pem -CAkey root.key -CAcreateserial -sha512 "
	"-days 30 -extfile ca.ext -out middle.pem &&\n"
	"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout server.key -out "
	"server.csr -subj /CN=server &&\n"
	"printf 'subjectAltName=DNS:mx.example,IP:127.0.0.1\\nextendedKeyUsage=serverAuth\\n"
	"keyUsage=critical,digitalSignature\\n' >server.ext &&\n"
	"openssl x509 -req -in server.csr -CA middle.pem -CAkey middle.key -CAcreateserial -sha256 "
	"-days 30 -extfile server.ext -out server.pem &&\n"
	"openssl x509 -req -in server.csr -CA middle.pem -CAkey middle.key -CAcreateserial -sha1 "
	"-days 30 -extfile server.ext -out sha1.pem &&\n"
	"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout stranger.key "
	"-out stranger.pem -subj "
	"/CN=Stranger -days 30 &&\n"
	"cat stranger.pem root.pem middle.pem >chain.pem &&\n"
	"cat stranger.pem stranger.key >own.pem && openssl rehash . \n";

struct openssl {
	char dir[300];
	pid_t pid;
	int port, input;
};

static void make(struct openssl *o)
{
	memset(o, 0, sizeof(*o));
	if (system("command -v openssl >/dev/null 2>&1") != 0) {
		unit_skip("there is no openssl");
	}
	snprintf(o->dir, sizeof(o->dir), "%s", unit_tmpdir());
	setenv("D", o->dir, 1);
	REQUIRE(system(make_certificates) == 0);
}

static int connect_to(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* free_port - one that was free just now */
static int free_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	REQUIRE(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
		getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
	close(fd);
	return ntohs(addr.sin_port);
}

/* serve - s_server, which sends each line back turned round */
static void serve(struct openssl *o, const char *certificate, const char *more)
{
	char command[600];
	int fd = -1;

	o->port = free_port();
	snprintf(command, sizeof(command),
		"cd \"$D\" && exec openssl s_server -quiet -rev -accept 127.0.0.1:%d -cert %s -key "
		"server.key -cert_chain chain.pem %s >server.log 2>&1 </dev/null",
		o->port, certificate, more);
	o->pid = fork();
	if (o->pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 200 && fd < 0; i++) {
		usleep(20000);
		fd = connect_to(o->port);
	}
	REQUIRE(fd >= 0);
	close(fd);
}

static void stop(struct openssl *o)
{
	kill(o->pid, SIGTERM);
	(void)waitpid(o->pid, NULL, 0);
}

struct call {
	struct tls *t;
	int fd, rc;
	struct buf wire_in, wire_out, in, out;
};

/* turn - bytes both ways, until the handshake is done (and, if text, as much came), or it ends */
static void turn(struct call *c, size_t want)
{
	for (int i = 0; i < 200; i++) {
		struct pollfd p = { c->fd, POLLIN, 0 };
		ssize_t n;

		c->rc = tls_process(c->t, &c->wire_in, &c->in, &c->out, &c->wire_out);
		if (buf_unread(&c->wire_out) > 0) {
			n = write(c->fd, buf_head(&c->wire_out), buf_unread(&c->wire_out));
			buf_consume(&c->wire_out, n > 0 ? (size_t)n : 0);
			continue;
		}
		if (c->rc != 1 || (tls_is_up(c->t) && buf_unread(&c->in) >= want)) {
			return;
		}
		if (poll(&p, 1, 5000) <= 0) {
			return;
		}
		n = read(c->fd, buf_reserve(&c->wire_in, 4096), 4096);
		if (n <= 0) {
			c->rc = -1;
			return;
		}
		buf_added(&c->wire_in, (size_t)n);
	}
}

static struct call call(
	struct openssl *o, struct tls_client *client, const struct tls_target *target)
{
	struct call c;
	struct buf error = BUF_INIT;

	memset(&c, 0, sizeof(c));
	c.fd = connect_to(o->port);
	c.t = tls_client_start(client, target, &error);
	REQUIRE(c.fd >= 0 && c.t != NULL);
	turn(&c, 0);
	return c;
}

static void end(struct call *c)
{
	tls_close_notify(c->t, &c->wire_out);
	(void)!write(c->fd, buf_head(&c->wire_out), buf_unread(&c->wire_out));
	buf_free(&c->wire_in);
	buf_free(&c->wire_out);
	buf_free(&c->in);
	buf_free(&c->out);
	tls_free(c->t);
	close(c->fd);
}

static struct tls_client *client_of(const struct openssl *o, const char *file, const char *own)
{
	char path[400], own_path[400];
	struct tls_server_config ours = { .cert_file = own_path };
	struct tls_client_config config = {
		.depth = 9, .several_labels = true, .sessions = 8, .session_seconds = 600
	};
	struct buf error = BUF_INIT;
	struct tls_client *c;

	snprintf(path, sizeof(path), "%s/%s", o->dir, file);
	snprintf(own_path, sizeof(own_path), "%s/%s", o->dir, own);
	if (*file != '\0') {
		config.ca_file = path;
	} else {
		config.ca_path = o->dir;
	}
	config.own = *own != '\0' ? &ours : NULL;
	c = tls_client_new(&config, &error);
	CHECK_STR(buf_str(&error), "");
	REQUIRE(c != NULL);
	return c;
}

static const char *const mx = "mx.example";

static struct tls_target target(void)
{
	return (struct tls_target){ .proof = TLS_PROOF_NAMES,
		.names = &mx,
		.name_count = 1,
		.server_name = mx,
		.min_version = 10,
		.max_version = 12,
		.session = "x" };
}

/* A chain in no order, 4096 bits, SHA-512, P-384; by a file, and by a directory of hashed names. */
TEST(tls_openssl, chain_talk_and_resumption)
{
	struct openssl o;

	make(&o);
	serve(&o, "server.pem", "-tls1_2");
	for (int by_directory = 0; by_directory < 2; by_directory++) {
		struct tls_client *client = client_of(&o, by_directory ? "" : "root.pem", "");
		struct tls_target t = target();

		for (int again = 0; again < 2; again++) {
			struct call c = call(&o, client, &t);

			CHECK_ROW(again ? "again" : "first");
			CHECK_INT(c.rc, 1);
			CHECK_INT(tls_peer(c.t)->status, TLS_PEER_VERIFIED);
			CHECK_STR(tls_peer(c.t)->reason, "");
			CHECK_STR(tls_peer(c.t)->subject, "server");
			CHECK_STR(tls_peer(c.t)->names, "mx.example, 127.0.0.1");
			CHECK_INT(tls_peer(c.t)->resumed, again);
			buf_adds(&c.out, "no bytes are lost\n");
			turn(&c, 18);
			CHECK_STR(buf_str(&c.in), "tsol era setyb on\n");
			end(&c);
		}
		tls_client_free(client);
	}
	stop(&o);
}

static void strangers_and_weak_signatures(struct openssl *o)
{
	struct tls_client *client;
	struct tls_target t = target();
	struct call c;

	serve(o, "server.pem", "-tls1_2");
	client = client_of(o, "stranger.pem", "");
	c = call(o, client, &t);
	CHECK_INT(c.rc, 1); /* the handshake goes on with anybody */
	CHECK_STR(tls_peer(c.t)->reason, "untrusted issuer /O=Test/CN=Root 4096");
	end(&c);
	tls_client_free(client);
	stop(o);
	serve(o, "sha1.pem", "-tls1_2 -cipher DEFAULT@SECLEVEL=0");
	client = client_of(o, "root.pem", "");
	c = call(o, client, &t);
	CHECK_INT(c.rc, 1);
	CHECK_STR(tls_peer(c.t)->reason, "num=68:CA signature digest algorithm too weak");
	end(&c);
	tls_client_free(client);
	stop(o);
}

static void our_certificate_is_shown(struct openssl *o)
{
	struct tls_client *with, *without;
	struct tls_target t = target();
	struct call c;

	serve(o, "server.pem", "-tls1_2 -Verify 2 -verify_return_error -CAfile stranger.pem");
	with = client_of(o, "root.pem", "own.pem");
	without = client_of(o, "root.pem", "");
	t.session = NULL;
	c = call(o, with, &t);
	buf_adds(&c.out, "abc\n");
	turn(&c, 4);
	CHECK_STR(buf_str(&c.in), "cba\n");
	end(&c);
	c = call(o, without, &t);
	buf_adds(&c.out, "abc\n");
	turn(&c, 4);
	CHECK_INT(c.rc, -1);
	CHECK_STR(buf_str(&c.in), "");
	end(&c);
	tls_client_free(with);
	tls_client_free(without);
	stop(o);
}

static void versions_that_are_asked_for(struct openssl *o)
{
	struct tls_client *client;
	struct tls_target t = target();
	struct call c;

	serve(o, "server.pem", "-tls1_3"); /* which we have not */
	client = client_of(o, "root.pem", "");
	t.min_version = 12;
	c = call(o, client, &t);
	CHECK_INT(c.rc, -1);
	CHECK(!tls_is_up(c.t));
	CHECK_INT(tls_peer(c.t)->status, TLS_PEER_ANONYMOUS);
	end(&c);
	tls_client_free(client);
	stop(o);
}

TEST(tls_openssl, who_is_refused_and_what_is_shown)
{
	struct openssl o;

	make(&o);
	strangers_and_weak_signatures(&o);
	our_certificate_is_shown(&o);
	versions_that_are_asked_for(&o);
}
