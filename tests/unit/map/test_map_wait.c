/*
 * test_map_wait - look-ups that wait for a server: answers at every split, restarts, cancelling, a
 * server that goes away, many at a time, a database that is locked
 *
 * The server is a unix socket of our own in the same loop. Its answer to "name KEY" is "OK <KEY>",
 * to keys with '-' in front "NOTFOUND ", to those with '!' "TEMP why".
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stream.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "db/db_open.h"
#include "map/map.h"
#include "map/map_wait.h"
#include "unit.h"

enum { PEERS_MAX = 64, MANY = 200, TURNS_MAX = 4000 };

struct peer {
	struct stream s;
	char key[100]; /* asked for, not answered; "": none */
};

static struct {
	struct loop *loop;
	struct watch watch;
	char path[512], spec[600];
	struct peer peers[PEERS_MAX];
	size_t peer_count;
	size_t asked;
	bool hold;    /* answers are given by give_all() */
	size_t split; /* so many bytes of the answer first; 0: all */
	int die;      /* so many questions are answered by hanging up */
} S;

/* ---- The server ---- */

static void give(struct peer *p)
{
	char text[200], answer[220];
	size_t len, first;

	snprintf(text, sizeof(text), "%s%s%s",
		p->key[0] == '-'           ? "NOTFOUND "
			: p->key[0] == '!' ? "TEMP why"
					   : "OK <",
		strchr("-!", p->key[0]) != NULL ? "" : p->key,
		strchr("-!", p->key[0]) != NULL ? "" : ">");
	len = (size_t)snprintf(answer, sizeof(answer), "%zu:%s,", strlen(text), text);
	first = S.split > 0 && S.split < len ? S.split : len;
	p->key[0] = '\0';
	REQUIRE(write(p->s.fd, answer, first) == (ssize_t)first);
	for (int i = 0; i < 3 && first < len; i++) {
		loop_turn(S.loop, 1); /* it is read, and is no answer yet */
	}
	if (first < len) {
		REQUIRE(write(p->s.fd, answer + first, len - first) == (ssize_t)(len - first));
	}
}

static bool on_request(struct stream *s, struct buf *in)
{
	struct peer *p = s->owner;
	const char *text = strstr(buf_head(in), ":name ");

	if (text == NULL || buf_head(in)[buf_unread(in) - 1] != ',') {
		return true;
	}
	CHECK_STR(p->key, ""); /* one question at a time */
	(void)str_copy(p->key, sizeof(p->key), text + 6);
	p->key[strlen(p->key) - 1] = '\0';
	buf_consume(in, buf_unread(in));
	S.asked++;
	if (S.die > 0) {
		S.die--;
		p->key[0] = '\0';
		stream_close(s);
	} else if (!S.hold && S.split == 0) {
		give(p);
	}
	return true;
}

static const struct stream_class peer_class = {
	.data = on_request, .read_size = 512, .in_max = 512
};

static void on_accept(struct watch *w, unsigned events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	REQUIRE(fd >= 0 && S.peer_count < PEERS_MAX);
	stream_init(&S.peers[S.peer_count].s, S.loop, &peer_class, &S.peers[S.peer_count]);
	stream_open(&S.peers[S.peer_count++].s, fd);
}

static void give_all(void)
{
	for (size_t i = 0; i < S.peer_count; i++) {
		if (S.peers[i].s.fd >= 0 && S.peers[i].key[0] != '\0') {
			give(&S.peers[i]);
		}
	}
}

/* peer_of - the connection over which that was asked */
static struct peer *peer_of(const char *key)
{
	for (size_t i = 0; i < S.peer_count; i++) {
		if (S.peers[i].s.fd >= 0 && strcmp(S.peers[i].key, key) == 0) {
			return &S.peers[i];
		}
	}
	REQUIRE(!"nobody was asked that");
	return NULL;
}

static void close_all(void)
{
	for (size_t i = 0; i < S.peer_count; i++) {
		S.peers[i].key[0] = '\0';
		stream_close(&S.peers[i].s);
	}
}

static void start(void)
{
	int fd;

	S.loop = loop_new();
	snprintf(S.path, sizeof(S.path), "%s/table", unit_tmpdir());
	snprintf(S.spec, sizeof(S.spec), "socketmap:unix:%s:name", S.path);
	fd = unix_listen(S.path, 0600);
	REQUIRE(fd >= 0);
	S.watch.fd = -1;
	loop_watch(S.loop, &S.watch, fd, LOOP_READ, on_accept, NULL);
}

/* stop - the server is gone, its socket too */
static void stop(void)
{
	int fd = S.watch.fd;

	close_all();
	loop_unwatch(S.loop, &S.watch);
	close(fd);
	(void)unlink(S.path);
}

/* ---- Who asks ---- */

struct asker {
	struct map_wait wait;
	struct map *m;
	const char *key;
	char value[100]; /* "(none)", "(error)"; "": not there yet */
	int called, computed;
};

/* compute - the look-up, anew whenever there is news */
static void compute(struct asker *a)
{
	struct buf value = BUF_INIT;
	int rc;

	a->computed++;
	map_wait_enter(&a->wait);
	rc = map_get(a->m, a->key, &value);
	CHECK(!map_is_waiting() || rc < 0);
	if (!map_wait_leave(&a->wait)) {
		(void)str_copy(a->value, sizeof(a->value),
			rc > 0            ? buf_str(&value)
				: rc == 0 ? "(none)"
					  : "(error)");
	}
	buf_free(&value);
}

static void on_answer(void *arg)
{
	struct asker *a = arg;

	a->called++;
	compute(a);
}

static void ask(struct asker *a, struct map *m, const char *key)
{
	memset(a, 0, sizeof(*a));
	map_wait_init(&a->wait, S.loop, on_answer, a);
	a->m = m;
	a->key = key;
	compute(a);
	CHECK_STR(a->value, "");
}

static void settle(const struct asker *a)
{
	for (int i = 0; i < TURNS_MAX && a->value[0] == '\0'; i++) {
		loop_turn(S.loop, 2);
	}
}

/* expect - a look-up from its question to its answer */
static void expect(struct map *m, const char *key, const char *value)
{
	struct asker a;

	ask(&a, m, key);
	settle(&a);
	CHECK_STR(a.value, value);
	CHECK_INT(a.called, 1);
	map_wait_end(&a.wait);
}

static void turns(int n)
{
	while (n-- > 0) {
		loop_turn(S.loop, 2);
	}
}

/* finish - with the table, the server and the loop */
static void finish(struct map *m)
{
	map_close(m);
	stop();
	loop_free(S.loop);
}

static struct map *open_table(const char *spec)
{
	char *error = NULL;
	struct map *m = map_open(spec, 0, &error);

	REQUIRE(m != NULL);
	return m;
}

/* ---- The tests ---- */

TEST(map_wait, answers_at_every_split)
{
	struct asker a;
	struct map *m;

	start();
	m = open_table(S.spec);
	for (size_t split = 1; split < 11; split++) {
		S.split = split;
		ask(&a, m, "key");
		turns(4);
		CHECK_INT(a.called, 0);
		give_all();
		settle(&a);
		CHECK_STR(a.value, "<key>");
		CHECK_INT(a.called, 1);
		CHECK_INT(a.computed, 2);
		map_wait_end(&a.wait);
	}
	S.split = 0;
	expect(m, "-nobody", "(none)");
	expect(m, "!", "(error)");
	CHECK_STR(map_error(m), "TEMP why");
	CHECK_INT((long long)S.peer_count, 1); /* one connection for all of it */
	finish(m);
}

/* Tables of tables: each answer brings the computation one step on. */
TEST(map_wait, tables_of_tables)
{
	char spec[2000];
	struct asker a;
	struct map *m;

	start();
	snprintf(spec, sizeof(spec), "pipemap:{%s, unionmap:{inline:{<k>=x}, %s}, %s}", S.spec,
		S.spec, S.spec);
	m = open_table(spec);
	ask(&a, m, "k");
	settle(&a);
	CHECK_STR(a.value, "<x,<<k>>>");
	CHECK_INT((long long)S.asked, 3);
	CHECK_INT(a.computed, 4);
	/* What it knows it does not ask again, until it forgets. */
	a.value[0] = '\0';
	compute(&a);
	CHECK_STR(a.value, "<x,<<k>>>");
	map_wait_forget(&a.wait);
	a.value[0] = '\0';
	compute(&a);
	CHECK_STR(a.value, "");
	settle(&a);
	CHECK_STR(a.value, "<x,<<k>>>");
	CHECK_INT((long long)S.asked, 6);
	map_wait_end(&a.wait);
	finish(m);
}

/* Whoever goes away at whatever moment gets nothing, and the next one gets his own answer. */
TEST(map_wait, cancelled_at_any_moment)
{
	struct asker gone, next;
	struct peer *asked;
	struct map *m;

	start();
	m = open_table(S.spec);
	S.hold = true;
	for (int moment = 0; moment < 12; moment++) {
		ask(&gone, m, "gone");
		turns(moment);
		map_wait_end(&gone.wait);
		ask(&next, m, "next");
		turns(2);
		for (int i = 0; i < 100 && next.value[0] == '\0'; i++) {
			give_all();
			turns(2);
		}
		CHECK_STR(next.value, "<next>");
		CHECK_INT(gone.called, 0);
		map_wait_end(&next.wait);
	}
	/* In the middle of an answer. */
	S.split = 5;
	ask(&gone, m, "gone");
	turns(10);
	asked = peer_of(
		"gone"); /* there may be more than one connection, after so many questions */
	REQUIRE(write(asked->s.fd, "8:OK <go", 8) == 8);
	turns(4);
	map_wait_end(&gone.wait);
	asked->key[0] = '\0';
	ask(&next, m, "next");
	turns(4);
	REQUIRE(write(asked->s.fd, "ne>,", 4) == 4);
	for (int i = 0; i < 100 && next.value[0] == '\0'; i++) {
		give_all();
		turns(2);
	}
	CHECK_STR(next.value, "<next>");
	map_wait_end(&next.wait);
	finish(m);
}

TEST(map_wait, the_server_goes_away)
{
	struct map *m;

	start();
	m = open_table(S.spec);
	S.die = 1;
	expect(m, "first", "(error)"); /* a new connection that breaks is an error */
	expect(m, "second", "<second>");
	S.die = 1;
	expect(m, "third", "<third>"); /* a kept one may have been closed: once more */
	S.die = 2;
	expect(m, "fourth", "(error)");
	stop();
	expect(m, "fifth", "(error)"); /* nobody listens */
	CHECK(*map_error(m) != '\0');
	map_close(m);
	loop_free(S.loop);
}

/* The table is closed while somebody waits: no answer, and nobody waits for ever. */
TEST(map_wait, the_table_is_closed)
{
	struct asker a;

	for (int moment = 0; moment < 6; moment++) {
		struct map *m;

		memset(&S, 0, sizeof(S));
		start();
		m = open_table(S.spec);
		S.hold = true;
		ask(&a, m, "key");
		turns(moment);
		a.m = open_table("inline:{key=other}");
		map_close(m);
		CHECK_INT(a.called, 1);
		CHECK_STR(a.value, "other");
		map_wait_end(&a.wait);
		map_close(a.m);
		stop();
		loop_free(S.loop);
	}
}

/* The one who is told so turns to another table of the same server, which nobody has asked yet. */
TEST(map_wait, a_table_is_closed_and_another_asked)
{
	struct asker a;
	struct map *m;

	start();
	m = open_table(S.spec);
	S.hold = true;
	ask(&a, m, "key");
	turns(4);
	a.m = open_table(S.spec);
	map_close(m);
	CHECK_STR(a.value, "(error)");
	map_wait_end(&a.wait);
	S.hold = false;
	expect(a.m, "next", "<next>");
	map_close(a.m);
	stop();
	loop_free(S.loop);
}

/* A server that is slow is asked by many at a time, and each gets what he asked for. */
TEST(map_wait, many_at_a_time)
{
	static struct asker askers[MANY];
	char keys[MANY][20];
	struct map *m;
	size_t most = 0;

	start();
	m = open_table(S.spec);
	S.hold = true;
	for (size_t i = 0; i < MANY; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key%zu", i);
		ask(&askers[i], m, keys[i]);
	}
	for (int i = 0; i < 1000; i++) {
		size_t done = 0;

		turns(2);
		if (i % 100 == 99) {
			give_all();
		}
		for (size_t k = 0; k < MANY; k++) {
			done += askers[k].value[0] != '\0';
		}
		if (done == MANY) {
			break;
		}
	}
	for (size_t i = 0; i < MANY; i++) {
		char want[40];

		snprintf(want, sizeof(want), "<%.20s>", keys[i]);
		CHECK_STR(askers[i].value, want);
		CHECK_INT(askers[i].called, 1);
		map_wait_end(&askers[i].wait);
	}
	for (size_t i = 0; i < S.peer_count; i++) {
		most += S.peers[i].s.fd >= 0;
	}
	CHECK(most > 10 && most <= 50);
	finish(m);
}

/* Who has no loop blocks, and not for longer than it may. */
TEST(map_wait, without_a_loop_it_blocks)
{
	struct asker a;
	struct buf value = BUF_INIT;
	struct map *m;
	int64_t begun;

	start();
	m = open_table(S.spec);
	map_wait_at_most(200);
	begun = clock_ms();
	CHECK_INT(map_get(m, "key", &value), -1); /* its connection waits in the backlog */
	CHECK(clock_ms() - begun >= 190 && clock_ms() - begun < 2000);
	begun = clock_ms();
	CHECK_INT(map_get(m, "key", &value), -1); /* and now it rests */
	CHECK(clock_ms() - begun < 100);
	map_close(m);
	/* Another's: entered, but with a loop of none. */
	memset(&a, 0, sizeof(a));
	map_wait_init(&a.wait, NULL, NULL, NULL);
	m = open_table(S.spec);
	map_wait_enter(&a.wait);
	CHECK_INT(map_get(m, "key", &value), -1);
	CHECK(!map_wait_leave(&a.wait));
	map_close(m);
	buf_free(&value);
	stop();
	loop_free(S.loop);
}

/* deaf_server - its backlog is full: who connects hears nothing until it is closed. Its socket */
static int deaf_server(int fillers[3])
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	REQUIRE(listen(fd, 0) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	snprintf(S.spec, sizeof(S.spec), "tcp:127.0.0.1:%d", ntohs(at.sin_port));
	for (int i = 0; i < 3; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fillers[i], (struct sockaddr *)&at, sizeof(at));
	}
	return fd;
}

/* One that cannot be reached, which takes its time, is not dialled for each question anew. */
TEST(map_wait, dialling_takes_long)
{
	struct buf value = BUF_INIT;
	struct asker a, next;
	struct map *m;
	int fillers[3], fd = deaf_server(fillers);
	int64_t begun = clock_ms();

	S.loop = loop_new();
	m = open_table(S.spec);
	map_wait_at_most(200);
	CHECK_INT(map_get(m, "key", &value), -1);
	CHECK(clock_ms() - begun >= 190 && clock_ms() - begun < 2000);
	begun = clock_ms();
	CHECK_INT(map_get(m, "key", &value), -1);
	CHECK(clock_ms() - begun < 100);
	/* Not by the deadline, but refused in the end (the next try comes after 3 s). */
	begun = clock_ms();
	ask(&a, m, "key");
	while (a.value[0] == '\0' && clock_ms() - begun < 9000) {
		loop_turn(S.loop, 10);
		if (fd >= 0 && clock_ms() - begun > 2100) {
			close(fd);
			fd = -1;
		}
	}
	CHECK_STR(a.value, "(error)");
	CHECK(strstr(map_error(m), "refused") != NULL);
	memset(&next, 0, sizeof(next));
	map_wait_init(&next.wait, S.loop, on_answer, &next);
	next.m = m;
	next.key = "other";
	compute(&next);
	CHECK_STR(next.value, "(error)"); /* at once */
	CHECK_INT(next.called, 0);
	map_wait_end(&next.wait);
	map_wait_end(&a.wait);
	for (int i = 0; i < 3; i++) {
		close(fillers[i]);
	}
	map_close(m);
	buf_free(&value);
	loop_free(S.loop);
}

/* expect_now - a look-up that has to wait for nothing */
static void expect_now(struct map *m, const char *key, const char *value)
{
	struct asker a = { .m = m, .key = key };

	map_wait_init(&a.wait, S.loop, on_answer, &a);
	compute(&a);
	CHECK_STR(a.value, value);
	map_wait_end(&a.wait);
}

/* ---- A database that another process keeps locked (sqlite) ---- */

/* exec - in a connection of its own */
static struct db *exec(const char *sql)
{
	char path[4096], *error = NULL;
	struct db *db;

	snprintf(path, sizeof(path), "%s/users.sqlite", unit_tmpdir());
	db = db_open(path, DB_CREATE, NULL, NULL, 0, NULL, &error);
	REQUIRE(db != NULL && db_exec(db, sql) == 0);
	return db;
}

static void remove_users(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/users.sqlite", unit_tmpdir());
	REQUIRE(unlink(path) == 0);
}

/* lock - another process has the lock from now on, until it is killed */
static pid_t lock(void)
{
	int ready[2];
	char c;
	pid_t pid;

	REQUIRE(pipe(ready) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		(void)exec("BEGIN EXCLUSIVE; INSERT INTO alias VALUES ('new', 'x')");
		REQUIRE(write(ready[1], "x", 1) == 1);
		for (;;) {
			pause();
		}
	}
	REQUIRE(read(ready[0], &c, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void unlock(pid_t pid)
{
	REQUIRE(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

/* open_users - sqlite: with one alias */
static struct map *open_users(void)
{
	char path[4096], spec[4200];
	FILE *f;

	db_close(exec("CREATE TABLE alias (address, target);"
		      "INSERT INTO alias VALUES ('u', 'there')"));
	snprintf(path, sizeof(path), "%s/users.cf", unit_tmpdir());
	f = fopen(path, "w");
	REQUIRE(f != NULL);
	fprintf(f,
		"dbpath = %s/users.sqlite\nquery = SELECT target FROM alias WHERE address = "
		"'%%s'\n",
		unit_tmpdir());
	fclose(f);
	snprintf(spec, sizeof(spec), "sqlite:%s", path);
	memset(&S, 0, sizeof(S));
	S.loop = loop_new();
	return open_table(spec);
}

TEST(map_wait, a_locked_database_holds_nobody)
{
	/* From the first look-up on, and in a table that is open. */
	for (int opened = 0; opened < 2; opened++) {
		struct map *m = open_users();
		struct asker a, gone;
		pid_t pid;

		if (opened) {
			expect_now(m, "u", "there");
		}
		pid = lock();
		ask(&a, m, "u");
		ask(&gone, m, "u");
		CHECK_INT((long long)a.wait.open, 1); /* it did not wait in there */
		turns(3);
		map_wait_end(&gone.wait);
		turns(10);
		CHECK_STR(a.value, "");
		CHECK(a.computed > 1);
		unlock(pid);
		settle(&a);
		CHECK_STR(a.value, "there");
		CHECK_INT(gone.value[0], 0);
		map_wait_end(&a.wait);
		expect_now(m, "nobody", "(none)");
		map_close(m);
		loop_free(S.loop);
		remove_users();
	}
}

TEST(map_wait, a_database_locked_for_ever)
{
	struct map *m = open_users();
	struct asker a;
	char spec[4200];
	pid_t pid = lock();

	ask(&a, m, "u");
	for (int i = 0; i < 20 && a.value[0] == '\0'; i++) {
		settle(&a);
	}
	CHECK_STR(a.value, "(error)");
	CHECK(strstr(map_error(m), "locked") != NULL);
	CHECK(a.computed < 15);
	map_wait_end(&a.wait);
	/* Who asks in the next seconds need not wait as long. */
	expect_now(m, "u", "(error)");
	unlock(pid);
	expect_now(m, "u", "(error)");
	map_close(m);
	snprintf(spec, sizeof(spec), "sqlite:%s/users.cf", unit_tmpdir());
	m = open_table(spec);
	expect_now(m, "u", "there");
	/* The table goes while somebody waits. */
	pid = lock();
	ask(&a, m, "u");
	map_close(m);
	map_wait_end(&a.wait);
	turns(5);
	CHECK_INT(a.called, 0);
	unlock(pid);
	loop_free(S.loop);
}
