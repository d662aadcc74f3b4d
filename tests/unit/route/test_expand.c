/*
 * test_expand - destinations taken apart; aliases and .forward followed to the end
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "address/alias.h"
#include "address/forward.h"
#include "route/expand.h"
#include "route/resolve.h"
#include "unit.h"

TEST(alias, parse)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "root", "a:root" },
		{ "kelly,Li", "a:kelly a:Li" },
		{ "a, b ,\tc", "a:a a:b a:c" },
		{ "a b", "a:a a:b" },
		{ " ,, a ,", "a:a" },
		{ "", "" },
		{ "u@h.example", "a:u@h.example" },
		{ "Full Name <u@h.example>, b", "a:u@h.example a:b" },
		{ "\"Name, Full\" <u@h.example>", "a:u@h.example" },
		{ "u@h.example (a (nested) comment), b", "a:u@h.example a:b" },
		{ "\"a b\"@h.example", "a:\"a b\"@h.example" },
		{ "\"a,b\"@h.example, c", "a:\"a,b\"@h.example a:c" },
		{ "\\user", "u:user" },
		{ "\\user, x@y", "u:user a:x@y" },
		{ "|/bin/cat", "c:/bin/cat" },
		{ "| /bin/cat -n  , b", "c:/bin/cat -n a:b" },
		{ "\"|/bin/prog a, b\", c", "c:/bin/prog a, b a:c" },
		{ "\"|IFS=' ' && exec /usr/bin/procmail -f- || exit 75 #user\"",
			"c:IFS=' ' && exec /usr/bin/procmail -f- || exit 75 #user" },
		{ "\"|echo \\\"x\\\" \\\\n\"", "c:echo \"x\" \\n" },
		{ "/var/mail/x", "f:/var/mail/x" },
		{ "\"/a file\"", "f:/a file" },
		{ "/home/u/Maildir/", "f:/home/u/Maildir/" },
		{ ":include:/etc/list", "i:/etc/list" },
		{ "\":include:/etc/my list\"", "i:/etc/my list" },
		{ ":INCLUDE: /x", "i: f:/x" },
		{ "# comment\na\n#b\nc,\n d", "a:a a:c a:d" },
		{ "a #b", "a:a a:#b" },
		{ "a\r\nb\r\n", "a:a a:b" },
		{ "\"unclosed", "a:\"unclosed" },
		{ "<unclosed", "a:unclosed" },
		{ "(unclosed", "" },
		{ "\\", "u:" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = ARENA_INIT;
		struct buf got = BUF_INIT;
		struct alias_item *items;
		size_t n = alias_parse(&a, rows[i].text, strlen(rows[i].text), &items);

		for (size_t k = 0; k < n; k++) {
			buf_addf(&got, "%s%c:%s", k > 0 ? " " : "", "aucfi"[items[k].kind],
				items[k].text);
		}
		CHECK_ROW(rows[i].text);
		CHECK_STR(buf_str(&got), rows[i].want);
		buf_free(&got);
		arena_free(&a);
	}
}

/* path_of - a file of the test's directory */
static const char *path_of(const char *name)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/%s", unit_tmpdir(), name);
	return path;
}

/* with_dir - "DIR" replaced by the test's directory */
static char *with_dir(const char *text)
{
	struct buf b = BUF_INIT;

	for (; *text != '\0'; text++) {
		if (str_starts(text, "DIR/")) {
			buf_addf(&b, "%s", unit_tmpdir());
			text += 2;
		} else {
			buf_addc(&b, *text);
		}
	}
	return buf_steal(&b);
}

static void put_text(const char *name, const char *text, mode_t mode)
{
	char *full = with_dir(text);
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	REQUIRE(fd >= 0 && fd_write_all(fd, full, strlen(full)) == 0 && fchmod(fd, mode) == 0);
	close(fd);
	mem_free(full);
}

static const char aliases[] = "postmaster: root\n"
			      "root: ann\n"
			      "team: ann, bob\n"
			      "twice: ann, team, ANN, bob@mx.test.example\n"
			      "far: x@far.example, ann\n"
			      "bob: bob, eve\n"
			      "loop1: loop2\nloop2: loop3\nloop3: loop1\n"
			      "tag+ext: eve\n"
			      "tag: ann\n"
			      "file: DIR/out, /dev/null\n"
			      "cmd: \"|/bin/prog arg\"\n"
			      "inc: :include:DIR/list\n"
			      "incbad: :include:DIR/bad\n"
			      "increl: :include:list\n"
			      "incnone: :include:DIR/none\n"
			      "incloop: :include:DIR/looplist\n"
			      "list: ann, x@far.example\n"
			      "owner-list: eve\n"
			      "outer: inner\nowner-outer: bob\ninner: eve\nowner-inner: ann\n"
			      "empty: ,\n"
			      "virt: v@alias.example\n"
			      "unknown: nobody-here, ann\n"
			      "direct: \\bob\n"
			      "Mixed.Case: eve\n";

/* load - the aliases, three users with homes, and further lines of main.cf */
static void load(const char *more)
{
	static const char *const users[] = { "ann", "bob", "eve", "fwd", "cyc1", "cyc2", "open",
		"self" };
	struct buf b = BUF_INIT;
	char *error = NULL, *main;

	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		(void)mkdir(path_of(users[i]), 0700);
		buf_addf(&b, "%s:x:%ld:%ld::%s:/bin/sh\n", users[i], (long)geteuid(),
			(long)getegid(), path_of(users[i]));
	}
	buf_addf(&b, "homeless:x:%ld:%ld::/nowhere:\n", (long)geteuid(), (long)getegid());
	put_text("users", buf_str(&b), 0600);
	buf_free(&b);
	put_text("aliases", aliases, 0600);
	put_text("list", "# members\nann\nx@far.example, fwd\n", 0600);
	put_text("bad", "ann\n", 0666);
	put_text("looplist", "ann, :include:DIR/looplist\n", 0600);
	put_text("virtual", "v@alias.example bob, w@far.example\n", 0600);
	put_text("fwd/.forward", "\\fwd, y@far.example, \"|prog\", DIR/fwd/box\n", 0600);
	put_text("fwd/.forward+lists", "lists@far.example\n", 0600);
	put_text("cyc1/.forward", "cyc2\n", 0600);
	put_text("cyc2/.forward", "cyc1\n", 0600);
	put_text("open/.forward", "z@far.example\n", 0622);
	put_text("self/.forward", "self, ann\n", 0600);
	main = with_dir(
		"compatibility_level = 3.6\nmyhostname = mx.test.example\nmydomain = test.example\n"
		"myorigin = test.example\nmydestination = test.example, mx.test.example\n"
		"inet_interfaces = 127.0.0.1\nrecipient_delimiter = +\nlocal_passwd_file = "
		"DIR/users\n"
		"virtual_alias_domains = alias.example\nvirtual_alias_maps = texthash:DIR/virtual\n"
		"alias_maps = texthash:DIR/aliases\nmail_spool_directory = /spool\n");
	buf_adds(&b, main);
	mem_free(main);
	buf_adds(&b, more);
	put_text("main.cf", buf_str(&b), 0600);
	if (conf_load(unit_tmpdir(), false, &error) != 0) {
		printf("%s\n", error);
		unit_abort();
	}
	route_init();
	expand_init();
	buf_free(&b);
}

static bool delivered(void *arg, const char *address)
{
	return str_ieq(arg, address);
}

/* show - the targets as text, the test's directory as "DIR" */
static void show(struct buf *out, const struct expansion *e)
{
	static const char *const kinds[] = { "box", "file", "cmd", "pass", "to", "discard", "fail",
		"defer" };
	size_t n = strlen(unit_tmpdir());

	for (const struct target *t = e->first; t != NULL; t = t->next) {
		const char *p;

		buf_addf(out, "%s%s ", out->len > 0 ? "; " : "", kinds[t->kind]);
		if (t->kind >= TARGET_FAIL) {
			buf_addf(out, "%s ", t->dsn);
		}
		while ((p = strstr(t->value, unit_tmpdir())) != NULL) {
			buf_addf(out, "%.*sDIR", (int)(p - t->value), t->value);
			((struct target *)t)->value = p + n;
		}
		buf_adds(out, t->value);
		if (t->kind == TARGET_MAILBOX && t->again) {
			buf_adds(out, "*");
		}
	}
	if (e->owner != NULL) {
		buf_addf(out, " owner %s", e->owner);
	}
}

/* "*": a member that can be a recipient of its own */
static const struct row {
	const char *main, *address, *want;
} table[] = {
	{ "", "ann@test.example", "box /spool/ann*" },
	{ "", "Ann+tag@test.example", "box /spool/ann*" },
	{ "", "postmaster@test.example", "box /spool/ann*" },
	{ "", "team@test.example", "box /spool/ann*; box /spool/bob; box /spool/eve*" },
	{ "", "twice@test.example", "box /spool/ann*; box /spool/bob; box /spool/eve*" },
	{ "", "bob@test.example", "box /spool/bob; box /spool/eve*" },
	{ "", "far@test.example", "to x@far.example; box /spool/ann*" },
	{ "", "loop1@test.example", "fail 5.4.6 possible alias database loop for loop1" },
	{ "", "tag+ext@test.example", "box /spool/eve*" },
	{ "", "tag+other@test.example", "box /spool/ann*" },
	{ "", "MIXED.case@test.example", "box /spool/eve*" },
	{ "", "file@test.example", "file DIR/out; discard delivered to file: /dev/null" },
	{ "allow_mail_to_files = forward\n", "file@test.example",
		"fail 5.7.1 mail to file is restricted" },
	{ "", "cmd@test.example", "cmd /bin/prog arg" },
	{ "mailbox_transport = lmtp:unix:x\n", "ann+tag@test.example", "pass lmtp:unix:x" },
	{ "mailbox_transport = lmtp:x\n", "nobody.here@test.example", "pass lmtp:x" },
	{ "mailbox_transport_maps = inline:{ann=a:b}\n", "team@test.example",
		"pass a:b; box /spool/bob; box /spool/eve*" },
	{ "mailbox_transport_maps = fail:x\n", "ann@test.example",
		"defer 4.3.0 mailbox transport look-up failed" },
	{ "fallback_transport = store:\n", "nobody.here@test.example", "pass store:" },
	{ "fallback_transport = store:\n", "ann@test.example", "box /spool/ann*" },
	{ "fallback_transport_maps = inline:{stranger=a}\nluser_relay = ann\n",
		"stranger+ext@test.example", "pass a" },
	{ "fallback_transport_maps = inline:{other=a}\nluser_relay = ann\n",
		"nobody.here@test.example", "box /spool/ann*" },
	{ "allow_mail_to_commands =\n", "cmd@test.example",
		"fail 5.7.1 mail to command is restricted" },
	{ "", "inc@test.example",
		"box /spool/ann*; to x@far.example; box /spool/fwd; to y@far.example; cmd prog; "
		"file DIR/fwd/box" },
	{ "", "incbad@test.example", "fail 5.2.4 include file DIR/bad is world writable" },
	{ "", "increl@test.example", "fail 5.2.4 :include:list uses a relative path" },
	{ "", "incnone@test.example",
		"defer 4.3.0 cannot open include file DIR/none: No such file or directory" },
	{ "", "incloop@test.example",
		"box /spool/ann*; fail 5.4.6 include file loop for DIR/looplist" },
	{ "", "list@test.example",
		"box /spool/ann*; to x@far.example owner owner-list@test.example" },
	{ "expand_owner_alias = yes\n", "list@test.example",
		"box /spool/ann*; to x@far.example owner eve@test.example" },
	{ "", "outer@test.example", "box /spool/eve* owner owner-outer@test.example" },
	{ "", "owner-list@test.example", "box /spool/eve*" },
	{ "", "empty@test.example", "fail 5.3.5 alias empty has no destination" },
	{ "", "virt@test.example", "to bob@test.example; to w@far.example" },
	{ "", "unknown@test.example", "fail 5.1.1 unknown user: \"nobody-here\"; box /spool/ann*" },
	{ "", "direct@test.example", "box /spool/bob" },
	{ "", "nosuch@test.example", "fail 5.1.1 unknown user: \"nosuch\"" },
	{ "", "nosuch+x@test.example", "fail 5.1.1 unknown user: \"nosuch\"" },
	{ "", "\"../ann\"@test.example", "fail 5.1.1 unknown user: \"../ann\"" },
	{ "", "\\ann@test.example", "box /spool/ann*" },
	{ "", "fwd@test.example", "box /spool/fwd; to y@far.example; cmd prog; file DIR/fwd/box" },
	{ "forward_path =\n", "fwd@test.example", "box /spool/fwd*" },
	{ "", "fwd+lists@test.example", "to lists@far.example" },
	{ "", "fwd+../lists@test.example",
		"box /spool/fwd; to y@far.example; cmd prog; file DIR/fwd/box" },
	{ "", "cyc1@test.example", "fail 5.4.6 mail forwarding loop for cyc1@test.example" },
	{ "", "open@test.example", "box /spool/open*" },
	{ "", "self@test.example", "box /spool/self; box /spool/ann*" },
	{ "", "eve@test.example", "fail 5.4.6 mail forwarding loop for eve@test.example" },
	{ "home_mailbox = Maildir/\n", "ann@test.example", "box DIR/ann/Maildir/*" },
	{ "mail_spool_directory = /spool/\n", "ann@test.example", "box /spool/ann/*" },
	{ "mailbox_command = /usr/bin/procmail -a \"$EXTENSION\"\n", "ann@test.example",
		"cmd /usr/bin/procmail -a \"$EXTENSION\"" },
	{ "mailbox_command_maps = inline:{ {ann = /bin/special} }\n", "team@test.example",
		"cmd /bin/special; box /spool/bob; box /spool/eve*" },
	{ "luser_relay = catch+$user@far.example\n", "who@test.example",
		"to catch+who@far.example" },
	{ "luser_relay = ann\n", "who@test.example", "box /spool/ann*" },
	{ "luser_relay = also-unknown\n", "who@test.example",
		"fail 5.1.1 unknown user: \"also-unknown\"" },
	{ "require_home_directory = yes\n", "ann@test.example", "box /spool/ann*" },
	{ "require_home_directory = yes\n", "homeless@test.example",
		"defer 4.3.0 cannot access home directory of user homeless" },
	{ "alias_maps = fail:x\n", "ann@test.example", "defer 4.3.0 alias database unavailable" },
	{ "alias_maps =\n", "root@test.example", "box /spool/root*" },
	/* What was no part of the key goes on, where it is to. */
	{ "propagate_unmatched_extensions = alias\n", "far+ext@test.example",
		"to x+ext@far.example; box /spool/ann*" },
	{ "propagate_unmatched_extensions = alias\n", "tag+ext@test.example", "box /spool/eve*" },
	{ "propagate_unmatched_extensions = forward\n", "far+ext@test.example",
		"to x@far.example; box /spool/ann*" },
	{ "propagate_unmatched_extensions = forward\n", "fwd+other@test.example",
		"box /spool/fwd; to y+other@far.example; cmd prog; file DIR/fwd/box" },
	{ "propagate_unmatched_extensions = forward\n", "fwd+lists@test.example",
		"to lists@far.example" },
	{ "propagate_unmatched_extensions = alias\n", "fwd+other@test.example",
		"box /spool/fwd; to y@far.example; cmd prog; file DIR/fwd/box" },
	{ "propagate_unmatched_extensions = alias, include\n", "inc+e@test.example",
		"box /spool/ann*; to x+e@far.example; box /spool/fwd; to y@far.example; cmd prog; "
		"file DIR/fwd/box" },
	{ "propagate_unmatched_extensions = alias\n", "inc+e@test.example",
		"box /spool/ann*; to x@far.example; box /spool/fwd; to y@far.example; cmd prog; "
		"file DIR/fwd/box" },
	{ "propagate_unmatched_extensions = alias\n", "twice+e@test.example",
		"box /spool/ann*; box /spool/bob; box /spool/eve*" },
};

TEST(expand, table)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct expand_env env = { delivered, "eve@test.example" };
		struct arena a = ARENA_INIT;
		struct buf got = BUF_INIT;
		struct expansion e;

		load(table[i].main);
		/* Only the row that asks for it has been delivered to before. */
		if (strstr(table[i].want, "loop for eve") == NULL) {
			env.delivered = NULL;
		}
		expand_recipient(&a, &env, table[i].address, &e);
		show(&got, &e);
		CHECK_ROW(table[i].address);
		CHECK_STR(buf_str(&got), table[i].want);
		buf_free(&got);
		arena_free(&a);
	}
}

/* forward_as - what forward_read() says of ann's file to a user of this id */
static int forward_as(uid_t uid)
{
	const struct local_user user = {
		.name = "ann", .uid = uid, .gid = getegid(), .home = path_of("ann"), .shell = ""
	};
	const struct forward_names names = { .user = &user,
		.recipient = "ann@test.example",
		.local = "ann",
		.domain = "test.example",
		.extension = "",
		.delimiter = "" };
	struct arena a = ARENA_INIT;
	struct buf text = BUF_INIT;
	const char *path, *error = "";
	int rc = forward_read(&a, &names, &text, &path, &error);

	CHECK_STR(error, "");
	if (rc == 1) {
		CHECK_STR(buf_str(&text), "x@far.example\n");
	}
	buf_free(&text);
	arena_free(&a);
	return rc;
}

/* A file that anybody may read is believed when it is the user's own or root's, nobody else's. */
TEST(forward, owner)
{
	uid_t owner = geteuid() != 0 ? geteuid() : 60001;

	load("");
	REQUIRE(chmod(unit_tmpdir(), 0755) == 0 && chmod(path_of("ann"), 0755) == 0);
	put_text("ann/.forward", "x@far.example\n", 0644);
	if (geteuid() == 0) {
		CHECK_INT(forward_as(owner), 1);
		REQUIRE(chown(path_of("ann/.forward"), owner, (gid_t)-1) == 0);
	}
	CHECK_INT(forward_as(owner), 1);
	CHECK_INT(forward_as(owner + 1), 0);
}

/* An alias of very many addresses ends; nested doubling is cut off. */
TEST(expand, bounded)
{
	struct buf b = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct expand_env env = { NULL, NULL };
	struct expansion e;

	for (int i = 0; i < 99; i++) {
		buf_addf(&b, "x%d: x%d, y%d\ny%d: x%d, y%d\n", i, i + 1, i + 1, i, i + 1, i + 1);
	}
	load("");
	put_text("aliases", buf_str(&b), 0600);
	expand_init();
	expand_recipient(&a, &env, "x0@test.example", &e);
	CHECK(e.count >= 1);
	arena_free(&a);
	buf_reset(&b);
	buf_adds(&b, "big: ann");
	for (int i = 0; i < 5000; i++) {
		buf_addf(&b, ", m%d@far.example", i);
	}
	buf_adds(&b, "\n");
	put_text("aliases", buf_str(&b), 0600);
	expand_init();
	expand_recipient(&a, &env, "big@test.example", &e);
	CHECK_INT(e.count, 5001);
	arena_free(&a);
	buf_free(&b);
}

static void never(void *arg)
{
	(void)arg;
	CHECK(false);
}

/* A long list whose members a server is asked for is computed anew whenever that has answered. */
TEST(expand, computes_no_more_than_it_can_ask)
{
	struct buf b = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct expand_env env = { NULL, NULL };
	struct expansion e;
	struct map_wait w;
	struct loop *loop = loop_new();
	char *more = with_dir("alias_maps = texthash:DIR/aliases socketmap:unix:DIR/table:name\n");
	size_t items;

	load(more);
	for (int i = 0; i < 5000; i++) {
		buf_addf(&b, "m%d\n", i);
	}
	put_text("list", buf_str(&b), 0600);
	map_wait_init(&w, loop, never, NULL);
	map_wait_enter(&w);
	expand_recipient(&a, &env, "inc@test.example", &e);
	CHECK(map_is_full());
	CHECK(map_wait_leave(&w));
	CHECK(!map_is_full());
	items = a.total;
	arena_reset(&a);
	CHECK(alias_parse(&a, buf_str(&b), b.len, &(struct alias_item *){ NULL }) == 5000);
	CHECK(items < a.total + 50000); /* the text, and of 32 members what they mean */
	map_wait_end(&w);
	arena_free(&a);
	expand_free();
	route_free();
	buf_free(&b);
	mem_free(more);
	loop_free(loop);
}
