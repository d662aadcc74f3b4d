/*
 * test_route - lists, rewriting, look-ups by parts, classes, transports, who exists
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map.h"
#include "address/local_domain.h"
#include "address/lookup.h"
#include "address/match.h"
#include "address/rewrite.h"
#include "address/user.h"
#include "route/resolve.h"
#include "unit.h"

/* put_text - a file of the test's directory */
static void put_text(const char *name, const char *text)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", unit_tmpdir(), name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	REQUIRE(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0);
	close(fd);
}

/* load - main.cf with this text ("DIR" stands for the test's directory) on top of plain names */
static void load(const char *text)
{
	struct buf b = BUF_INIT;
	char *error = NULL;

	buf_adds(&b,
		"compatibility_level = 3.6\nmyhostname = mx.test.example\nmydomain = test.example\n"
		"myorigin = test.example\nmydestination = test.example, mx.test.example, "
		"localhost\n"
		"inet_interfaces = 192.0.2.1, [2001:db8::1]\nlocal_recipient_maps =\n");
	for (const char *p = text; *p != '\0'; p++) {
		if (str_starts(p, "DIR/")) {
			buf_addf(&b, "%s", unit_tmpdir());
			p += 2;
		} else {
			buf_addc(&b, *p);
		}
	}
	put_text("main.cf", buf_str(&b));
	if (conf_load(unit_tmpdir(), false, &error) != 0) {
		printf("%s\n", error);
		unit_abort();
	}
	route_init();
	buf_free(&b);
}

TEST(match, hosts)
{
	static const struct {
		const char *list, *addr;
		int want;
	} rows[] = {
		{ "127.0.0.0/8, 192.168.100.0/24", "127.1.2.3", 1 },
		{ "127.0.0.0/8, 192.168.100.0/24", "192.168.100.255", 1 },
		{ "127.0.0.0/8, 192.168.100.0/24", "192.168.101.1", 0 },
		{ "127.0.0.0/8 [::]/128", "::", 1 },
		{ "127.0.0.0/8 [::]/128", "::1", 0 },
		{ "[::1]/128 [fe80::]/64", "fe80::1:2", 1 },
		{ "[2001:db8:1::]/48", "2001:db8:2::1", 0 },
		{ "2001:db8::/33", "2001:db8:7fff::1", 1 },
		{ "2001:db8::/33", "2001:db8:8000::1", 0 },
		{ "192.0.2.7", "192.0.2.7", 1 },
		{ "192.0.2.7", "::ffff:192.0.2.7", 1 },
		{ "192.0.2.7", "192.0.2.70", 0 },
		{ "!192.0.2.66, 192.0.2.0/24", "192.0.2.66", 0 },
		{ "!192.0.2.66, 192.0.2.0/24", "192.0.2.67", 1 },
		{ "!!192.0.2.66", "192.0.2.66", 1 },
		{ "192.0.2.0/24, !192.0.2.66", "192.0.2.66", 1 },
		{ "192.0.2.9/24", "192.0.2.200", 1 },
		{ "0.0.0.0/0", "203.0.113.9", 1 },
		{ "0.0.0.0/0", "2001:db8::1", 0 },
		{ "[::]/0", "203.0.113.9", 0 },
		{ "[::]/0", "::ffff:203.0.113.9", 0 },
		{ "[::]/0", "2001:db8::1", 1 },
		{ "[::ffff:0:0]/96", "203.0.113.9", 0 },
		{ "::ffff:203.0.113.9", "203.0.113.9", 0 },
		{ "[::]/1", "203.0.113.9", 0 },
		{ "192.0.2.0/33", "203.0.113.9", -1 },
		{ "203.0.113.9, 192.0.2.0/33", "203.0.113.9", 1 },
		{ "192.0.2", "192.0.2.1", 0 },
		{ "texthash:DIR/table", "192.0.2.50", 1 },
		{ "texthash:DIR/table", "192.0.2.51", 0 },
		{ "!texthash:DIR/table, 192.0.2.0/24", "192.0.2.50", 0 },
		{ "DIR/file", "10.1.2.3", 1 },
		{ "DIR/file", "10.2.0.1", 0 },
		{ "DIR/file", "10.3.0.1", 1 },
		{ "!DIR/file, 10.0.0.0/8", "10.1.0.1", 0 },
		{ "!DIR/file, 10.0.0.0/8", "10.2.0.1", 1 },
		{ "DIR/missing", "10.2.0.1", -1 },
		{ "10.2.0.1, DIR/missing", "10.2.0.1", 1 },
		{ "", "127.0.0.1", 0 },
		{ "127.0.0.1", "no address", 0 },
	};

	put_text("table", "192.0.2.50 yes\n");
	put_text("file", "# networks\n10.1.0.0/16, 10.3.0.1\n\n!10.2.0.1\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf list = BUF_INIT;

		buf_adds(&list, "mynetworks = ");
		buf_adds(&list, rows[i].list);
		buf_adds(&list, "\n");
		load(buf_str(&list));
		CHECK_ROW(rows[i].list);
		CHECK_INT(route_mynetworks_match(rows[i].addr), rows[i].want);
		buf_free(&list);
	}
}

TEST(match, domains)
{
	static const struct {
		const char *list, *domain;
		unsigned flags;
		int want;
	} rows[] = {
		{ "a.example b.example", "B.Example", 0, 1 },
		{ "a.example", "x.a.example", 0, 0 },
		{ "a.example", "x.a.example", MATCH_PARENT, 1 },
		{ "a.example", "xa.example", MATCH_PARENT, 0 },
		{ ".a.example", "x.y.a.example", 0, 1 },
		{ ".a.example", "a.example", 0, 0 },
		{ "!x.a.example, .a.example", "x.a.example", 0, 0 },
		{ "!x.a.example, .a.example", "y.a.example", 0, 1 },
		{ "texthash:DIR/domains", "t.example", 0, 1 },
		{ "texthash:DIR/domains", "x.t.example", 0, 0 },
		{ "texthash:DIR/domains", "x.t.example", MATCH_PARENT, 1 },
		{ "texthash:DIR/domains", "x.y.s.example", 0, 1 },
		{ "texthash:DIR/domains", "s.example", 0, 0 },
		{ "inline:{ {q.example=x}, {r.example=y} }, z.example", "r.example", 0, 1 },
		{ "inline:{ {q.example=x}, {r.example=y} }, z.example", "z.example", 0, 1 },
		{ "nosuchtype:x", "a.example", 0, -1 },
		{ "regexp:{ {/^t.example$/ x} }", "t.example", 0, 1 },
		{ "regexp:{ {/^t.example$/ x} }", "x.t.example", MATCH_PARENT, 0 },
		{ "regexp:{ {!/^x/ x} }", "x.t.example", MATCH_PARENT, 0 },
		{ "unionmap:{inline:{t.example=x}, regexp:{ {/^s.example$/ x} }}", "x.t.example",
			MATCH_PARENT, 1 },
		{ "unionmap:{inline:{t.example=x}, regexp:{ {/^s.example$/ x} }}", "x.s.example",
			MATCH_PARENT, 0 },
		{ "user@u.example v.example", "user@u.example", MATCH_USER, 1 },
		{ "user@u.example v.example", "other@u.example", MATCH_USER, 0 },
		{ "user@u.example v.example", "any@v.example", MATCH_USER, 1 },
	};

	put_text("domains", "t.example x\n.s.example x\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct match_list *l;
		char list[400];
		const char *dir = strstr(rows[i].list, "DIR");

		if (dir != NULL) {
			snprintf(list, sizeof(list), "%.*s%s%s", (int)(dir - rows[i].list),
				rows[i].list, unit_tmpdir(), dir + 3);
		} else {
			snprintf(list, sizeof(list), "%s", rows[i].list);
		}
		CHECK_ROW(rows[i].list);
		l = match_list_new("test", list, rows[i].flags);
		CHECK_INT(match_domain(l, rows[i].domain), rows[i].want);
		match_list_free(l);
	}
}

TEST(rewrite, addresses)
{
	static const struct {
		const char *main, *in, *want;
	} rows[] = {
		{ "", "user", "user@test.example" },
		{ "", "user@host", "user@host.test.example" },
		{ "append_dot_mydomain = yes\n", "user@host", "user@host.test.example" },
		{ "append_dot_mydomain = no\n", "user@host", "user@host" },
		{ "append_at_myorigin = no\n", "user", "user" },
		{ "", "user@host.example.", "user@host.example" },
		{ "", "user@[192.0.2.1]", "user@[192.0.2.1]" },
		{ "", "@a.example,@b.example:user@c.example", "user@c.example" },
		{ "", "@a.example:user", "user@test.example" },
		{ "", "host.example!user", "user@host.example" },
		{ "", "a!b!user", "b!user@a.test.example" },
		{ "swap_bangpath = no\n", "a!user", "a!user@test.example" },
		{ "", "user%host.example", "user@host.example" },
		{ "allow_percent_hack = no\n", "user%h.example", "user%h.example@test.example" },
		{ "", "\"a@b\"", "\"a@b\"@test.example" },
		{ "", "\"a!b\"@c.example", "\"a!b\"@c.example" },
		{ "", "a!b@c.example", "a!b@c.example" },
		{ "", "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = ARENA_INIT;
		char main[200];

		snprintf(main, sizeof(main), "%s%s",
			strstr(rows[i].main, "append_dot") == NULL ? "append_dot_mydomain = yes\n"
								   : "",
			rows[i].main);
		load(main);
		CHECK_ROW(rows[i].in);
		CHECK_STR(rewrite_address(&a, rows[i].in, REWRITE_LOCAL), rows[i].want);
		CHECK_STR(rewrite_address(&a, rows[i].in, REWRITE_REMOTE), rows[i].in);
		arena_free(&a);
	}
}

TEST(lookup, parts)
{
	static const struct {
		const char *address, *local, *domain, *made;
	} rows[] = {
		{ "user@host.example", "user", "host.example", "user@host.example" },
		{ "user", "user", "", "user" },
		{ "\"a b\"@x", "a b", "x", "\"a b\"@x" },
		{ "\"a@b\"@x", "a@b", "x", "\"a@b\"@x" },
		{ "\"plain\"@x", "plain", "x", "plain@x" },
		{ "\"q\\\"q\"@x", "q\"q", "x", "\"q\\\"q\"@x" },
		{ "a@b@x", "a@b", "x", "\"a@b\"@x" },
		{ ".dot.@x", ".dot.", "x", "\".dot.\"@x" },
		{ "@x", "", "x", "\"\"@x" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = ARENA_INIT;

		CHECK_ROW(rows[i].address);
		CHECK_STR(address_local(&a, rows[i].address), rows[i].local);
		CHECK_STR(address_domain(rows[i].address), rows[i].domain);
		CHECK_STR(address_make(&a, rows[i].local, rows[i].domain), rows[i].made);
		arena_free(&a);
	}
}

TEST(lookup, extensions)
{
	static const struct {
		const char *delimiter, *local, *ext;
	} rows[] = {
		{ "+", "user+a", "+a" },
		{ "+", "user", NULL },
		{ "+", "+a", NULL },
		{ "+", "user+", "+" },
		{ "", "user+a", NULL },
		{ "+-", "user-a+b", "-a+b" },
		{ "-", "owner-list", NULL },
		{ "-", "list-request", NULL },
		{ "-", "list-x", "-x" },
		{ "-", "mailer-daemon", NULL },
		{ "-", "double-bounce", NULL },
		{ "+", "PostMaster", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char main[100];
		const char *ext;

		snprintf(main, sizeof(main), "recipient_delimiter = %s\n", rows[i].delimiter);
		load(main);
		CHECK_ROW(rows[i].local);
		ext = address_extension(rows[i].local);
		CHECK_STR(ext, rows[i].ext);
	}
}

/* A pattern that fits a part of the address, or everything but the address, is no answer. */
TEST(lookup, patterns_see_the_whole)
{
	static const struct {
		const char *table, *address;
		int want;
	} rows[] = {
		{ "regexp:{ {/^u.e@test.example$/ x} }", "u+e@test.example", 1 },
		{ "regexp:{ {/^u@test.example$/ x} }", "u+e@test.example", 0 },
		{ "regexp:{ {/^u$/ x} }", "u@test.example", 0 },
		{ "regexp:{ {/^@test/ x} }", "u@test.example", 0 },
		{ "regexp:{ {!/^u.e@test.example$/ x} }", "u+e@test.example", 0 },
		{ "regexp:{ {/^u$/ x} }", "u", 1 },
		{ "proxy:regexp:{ {/^@test/ x} }", "u@test.example", 0 },
		{ "unionmap:{regexp:{ {/^@test/ x} }, inline:{@test.example=x}}", "u@test.example",
			1 },
		{ "unionmap:{regexp:{ {/^@test/ x} }, inline:{a=x}}", "u@test.example", 0 },
		{ "pipemap:{inline:{@test.example=x}, regexp:{ {/^x$/ y} }}", "u@test.example", 1 },
		{ "pipemap:{regexp:{ {/^@test/ x} }, inline:{x=y}}", "u@test.example", 0 },
		{ "static:x", "u@test.example", 1 },
	};
	struct arena a = ARENA_INIT;
	struct buf value = BUF_INIT;

	load("recipient_delimiter = +\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct maps *maps = maps_open(rows[i].table, 0);

		CHECK_ROW(rows[i].table);
		CHECK_INT(lookup_address(&a, maps, rows[i].address, LOOKUP_ALL, &value, NULL, NULL),
			rows[i].want);
		maps_close(maps);
	}
	buf_free(&value);
	arena_free(&a);
}

TEST(lookup, keys_in_order)
{
	static const char *const order[] = { "u+e@test.example", "u@test.example", "u+e", "u",
		"@test.example" };
	struct arena a = ARENA_INIT;
	struct buf value = BUF_INIT, text = BUF_INIT;

	load("recipient_delimiter = +\n");
	for (size_t first = ARRAY_LEN(order); first-- > 0;) {
		struct maps *maps;
		char spec[300];
		const char *ext, *key;

		buf_addf(&text, "%s %zu\n", order[first], first);
		put_text("keys", buf_str(&text));
		snprintf(spec, sizeof(spec), "texthash:%s/keys", unit_tmpdir());
		maps = maps_open(spec, 0);
		CHECK_ROW(order[first]);
		CHECK_INT(lookup_address(
				  &a, maps, "U+e@test.example", LOOKUP_ALL, &value, &ext, &key),
			1);
		CHECK_INT(strtol(buf_str(&value), NULL, 10), (long)first);
		CHECK_STR(ext, first == 1 || first == 3 ? "+e" : NULL);
		/* Not ours: keys without a domain do not count, except when asked for. */
		CHECK_INT(lookup_address(&a, maps, "u@far.example", LOOKUP_ALL, &value, NULL, NULL),
			0);
		CHECK_INT(
			lookup_address(&a, maps, "u@far.example", LOOKUP_BARE, &value, NULL, NULL),
			first <= 3);
		maps_close(maps);
	}
	buf_free(&text);
	buf_free(&value);
	arena_free(&a);
}

static const char routes[] =
	"recipient_delimiter = +\n"
	"virtual_alias_domains = alias.example\nvirtual_alias_maps = texthash:DIR/virtual\n"
	"virtual_mailbox_domains = vbox.example\nvirtual_mailbox_maps = texthash:DIR/vbox\n"
	"virtual_transport = lmtp:unix:private/dovecot-lmtp\n"
	"relay_domains = relay.example, parent.example\nrelay_recipient_maps = texthash:DIR/relay\n"
	"parent_domain_matches_subdomains = relay_domains\n"
	"transport_maps = texthash:DIR/transport\n";

static void load_routes(const char *more)
{
	char text[2000];

	put_text("virtual",
		"a@alias.example u1, far@far.example\nb@alias.example a@alias.example\n"
		"c@alias.example c2@alias.example\nc2@alias.example c@alias.example\n"
		"@moved.example @far.example\nself@test.example self@test.example, u2\n"
		"d@alias.example d-to@far.example\n");
	put_text("vbox", "v@vbox.example v/\n");
	put_text("relay", "r@relay.example x\n@parent.example x\n");
	put_text("transport",
		"t.example smtp:[10.0.0.1]:2525\n.sub.example relay:hub.example\nuser@t.example "
		"error:gone\n"
		"slow.example retry:4.7.1 not now\ndefault.example :\nhop.example :[10.9.9.9]\n"
		"bad.example smtp\nerr.example error:5.1.6 has moved\nx.relay.example discard:\n"
		"local@test.example lmtp:[127.0.0.1]\n");
	snprintf(text, sizeof(text), "%s%s", routes, more);
	load(text);
}

TEST(resolve, table)
{
	static const struct {
		const char *main, *address;
		int want;
		enum route_class class;
		const char *transport, *nexthop, *dsn_or_recipient;
	} rows[] = {
		{ "", "u@test.example", 1, ROUTE_LOCAL, "local", "mx.test.example",
			"u@test.example" },
		{ "", "u@TEST.Example", 1, ROUTE_LOCAL, "local", "mx.test.example",
			"u@TEST.Example" },
		{ "", "u", 1, ROUTE_LOCAL, "local", "mx.test.example", "u" },
		{ "", "u@[192.0.2.1]", 1, ROUTE_LOCAL, "local", "mx.test.example",
			"u@[192.0.2.1]" },
		{ "", "u@[IPv6:2001:db8:0::1]", 1, ROUTE_LOCAL, "local", "mx.test.example",
			"u@[IPv6:2001:db8:0::1]" },
		{ "proxy_interfaces = 198.51.100.7\n", "u@[198.51.100.7]", 1, ROUTE_LOCAL, "local",
			"mx.test.example", "u@[198.51.100.7]" },
		{ "", "u@[192.0.2.2]", 1, ROUTE_OTHER, "smtp", "[192.0.2.2]", "u@[192.0.2.2]" },
		{ "", "u@far.example", 1, ROUTE_OTHER, "smtp", "far.example", "u@far.example" },
		{ "relayhost = [hub.example]:587\n", "u@far.example", 1, ROUTE_OTHER, "smtp",
			"[hub.example]:587", "u@far.example" },
		{ "relayhost = [hub.example]:587\n", "u@test.example", 1, ROUTE_LOCAL, "local",
			"mx.test.example", "u@test.example" },
		{ "default_transport = smtp:[out.example]\nrelayhost = [hub.example]\n",
			"u@far.example", 1, ROUTE_OTHER, "smtp", "[out.example]", "u@far.example" },
		{ "", "u@relay.example", 1, ROUTE_RELAY, "relay", "relay.example",
			"u@relay.example" },
		{ "", "u@a.parent.example", 1, ROUTE_RELAY, "relay", "a.parent.example",
			"u@a.parent.example" },
		{ "", "v@vbox.example", 1, ROUTE_VIRTUAL, "lmtp", "unix:private/dovecot-lmtp",
			"v@vbox.example" },
		{ "", "nosuch@alias.example", 0, ROUTE_ALIAS, "error", "", "5.1.1" },
		{ "", "u%far.example@test.example", 1, ROUTE_OTHER, "smtp", "far.example",
			"u@far.example" },
		{ "", "\"u@far.example\"@test.example", 1, ROUTE_OTHER, "smtp", "far.example",
			"u@far.example" },
		{ "", "far.example!u@test.example", 1, ROUTE_OTHER, "smtp", "far.example",
			"u@far.example" },
		{ "allow_percent_hack = no\n", "u%far.example@test.example", 1, ROUTE_LOCAL,
			"local", "mx.test.example", "u%far.example@test.example" },
		{ "", "u%far.example@else.example", 1, ROUTE_OTHER, "smtp", "else.example",
			"u%far.example@else.example" },
		{ "", "u@t.example", 1, ROUTE_OTHER, "smtp", "[10.0.0.1]:2525", "u@t.example" },
		{ "", "user+x@t.example", 0, ROUTE_OTHER, "error", "", "5.0.0" },
		{ "", "u@a.sub.example", 1, ROUTE_OTHER, "relay", "hub.example",
			"u@a.sub.example" },
		{ "", "u@sub.example", 1, ROUTE_OTHER, "smtp", "sub.example", "u@sub.example" },
		{ "relayhost = [hub.example]\n", "u@default.example", 1, ROUTE_OTHER, "smtp",
			"[hub.example]", "u@default.example" },
		{ "", "u@hop.example", 1, ROUTE_OTHER, "smtp", "[10.9.9.9]", "u@hop.example" },
		{ "", "u@bad.example", 1, ROUTE_OTHER, "smtp", "bad.example", "u@bad.example" },
		{ "relocated_maps = inline:{ u@far.example=n@new.example }\n", "u+x@far.example", 0,
			ROUTE_OTHER, "error", "", "5.1.6" },
		{ "relocated_maps = inline:{ {nosuch@alias.example=gone away} }\n",
			"nosuch@alias.example", 0, ROUTE_ALIAS, "error", "", "5.1.6" },
		{ "relocated_maps = inline:{ u=elsewhere }\n", "u@test.example", 0, ROUTE_LOCAL,
			"error", "", "5.1.6" },
		{ "relocated_maps = DIR/nosuch\n", "u@far.example", -1, ROUTE_OTHER, "retry", "",
			"4.3.0" },
		{ "", "u@-far.example", 0, ROUTE_OTHER, "error", "", "5.1.3" },
		{ "", "u@far-.example", 0, ROUTE_OTHER, "error", "", "5.1.3" },
		{ "", "u@err.example", 0, ROUTE_OTHER, "error", "", "5.1.6" },
		{ "", "u@slow.example", -1, ROUTE_OTHER, "retry", "", "4.7.1" },
		{ "", "u@x.relay.example", 1, ROUTE_RELAY, "discard", "x.relay.example",
			"u@x.relay.example" },
		{ "", "local@test.example", 1, ROUTE_LOCAL, "lmtp", "[127.0.0.1]",
			"local@test.example" },
		{ "transport_maps = regexp:{ {/^t.example$$/ error:no} {/^.sub/ error:no} }\n",
			"u@t.example", 1, ROUTE_OTHER, "smtp", "t.example", "u@t.example" },
		{ "transport_maps = regexp:{ {/^u@t.example$$/ smtp:h} }\n", "u@t.example", 1,
			ROUTE_OTHER, "smtp", "h", "u@t.example" },
		{ "transport_maps = regexp:{ {/^u@t.example$$/ smtp:h} }\n", "u+x@t.example", 1,
			ROUTE_OTHER, "smtp", "t.example", "u+x@t.example" },
		{ "transport_maps = regexp:{ {/^\\*$$/ smtp:star} }\n", "u@t.example", 1,
			ROUTE_OTHER, "smtp", "star", "u@t.example" },
		{ "local_transport = error: local delivery disabled\n", "u@test.example", 0,
			ROUTE_LOCAL, "error", "", "5.0.0" },
		{ "mydestination =\n", "u@test.example", 1, ROUTE_OTHER, "smtp", "test.example",
			"u@test.example" },
		{ "mydestination = DIR/virtual nosuch:x\n", "u@far.example", -1, ROUTE_OTHER,
			"retry", "", "4.3.0" },
		{ "", "u@bad..domain", 0, ROUTE_OTHER, "error", "", "5.1.3" },
		{ "", "u@a b.example", 0, ROUTE_OTHER, "error", "", "5.1.3" },
		{ "", "u@-.example.", 0, ROUTE_OTHER, "error", "", "5.1.3" },
		{ "", "@far.example", 0, ROUTE_OTHER, "error", "", "5.1.3" },
		{ "", "", 1, ROUTE_LOCAL, "local", "mx.test.example", "MAILER-DAEMON" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = ARENA_INIT;
		struct route r;

		load_routes(rows[i].main);
		CHECK_ROW(rows[i].address);
		CHECK_INT(route_resolve(&a, "s@far.example", rows[i].address, &r), rows[i].want);
		CHECK_INT(r.class, rows[i].class);
		CHECK_STR(r.transport, rows[i].transport);
		CHECK_STR(r.nexthop, rows[i].nexthop);
		CHECK_STR(rows[i].want == 1 ? r.recipient : r.dsn, rows[i].dsn_or_recipient);
		CHECK_INT(r.text != NULL, rows[i].want != 1);
		CHECK_INT(r.routed,
			strpbrk(rows[i].address, "%!\"") != NULL && r.class == ROUTE_OTHER &&
				strstr(rows[i].address, "else") == NULL);
		arena_free(&a);
	}
}

TEST(resolve, by_sender)
{
	struct arena a = ARENA_INIT;
	struct route r;

	put_text("hosts",
		"s@one.example [one-hub.example]\n@two.example [two-hub.example]\n<> "
		"[null.example]\n");
	load_routes("sender_dependent_relayhost_maps = texthash:DIR/hosts\nrelayhost = "
		    "[hub.example]\n");
	CHECK_INT(route_resolve(&a, "s@one.example", "u@far.example", &r), 1);
	CHECK_STR(r.nexthop, "[one-hub.example]");
	CHECK_INT(route_resolve(&a, "x@two.example", "u@far.example", &r), 1);
	CHECK_STR(r.nexthop, "[two-hub.example]");
	CHECK_INT(route_resolve(&a, "x@three.example", "u@far.example", &r), 1);
	CHECK_STR(r.nexthop, "[hub.example]");
	CHECK_INT(route_resolve(&a, "", "u@far.example", &r), 1);
	CHECK_STR(r.nexthop, "[null.example]");
	CHECK_INT(route_resolve(&a, "s@one.example", "u@test.example", &r), 1);
	CHECK_STR(r.transport, "local");
	arena_free(&a);
}

TEST(resolve, who_exists)
{
	static const struct {
		const char *address;
		int want;
		enum route_class class;
	} rows[] = {
		{ "ann@test.example", 1, ROUTE_LOCAL },
		{ "ANN+list@test.example", 1, ROUTE_LOCAL },
		{ "bob@test.example", 1, ROUTE_LOCAL },
		{ "bob+x@[192.0.2.1]", 1, ROUTE_LOCAL },
		{ "nosuch@test.example", 0, ROUTE_LOCAL },
		{ "ann%far.example@test.example", 1, ROUTE_OTHER },
		{ "self@test.example", 1, ROUTE_LOCAL },
		{ "a@alias.example", 1, ROUTE_ALIAS },
		{ "a+x@alias.example", 1, ROUTE_ALIAS },
		{ "zz@alias.example", 0, ROUTE_ALIAS },
		{ "v@vbox.example", 1, ROUTE_VIRTUAL },
		{ "w@vbox.example", 0, ROUTE_VIRTUAL },
		{ "r@relay.example", 1, ROUTE_RELAY },
		{ "s@relay.example", 0, ROUTE_RELAY },
		{ "any@parent.example", 1, ROUTE_RELAY },
		{ "any@far.example", 1, ROUTE_OTHER },
		{ "x@moved.example", 1, ROUTE_OTHER },
	};

	put_text("users",
		"# local users\nbob:x:1001:1001:Bob:/home/bob:/bin/sh\neve:x:::Eve:/home/eve\n");
	put_text("names", "ann x\n");
	load_routes("local_recipient_maps = texthash:DIR/names\nlocal_passwd_file = DIR/users\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum route_class class;

		CHECK_ROW(rows[i].address);
		CHECK_INT(route_recipient_exists(rows[i].address, &class), rows[i].want);
		CHECK_INT(class, rows[i].class);
	}
	CHECK_ROW(NULL);
	CHECK_INT(route_local_recipient_exists("ann"), 1);
	CHECK_INT(route_local_recipient_exists("eve"), 1);
	CHECK_INT(route_local_recipient_exists("mallory"), 0);
	CHECK_INT(local_domain_match("localhost"), 1);
	load_routes("");
	CHECK_INT(route_local_recipient_exists("mallory"), 1); /* no tables: nobody is refused */
	load_routes("local_recipient_maps = fail:x\n");
	CHECK_INT(route_local_recipient_exists("mallory"), -1);
}

TEST(resolve, virtual_aliases)
{
	static const struct {
		const char *address;
		int want;
		const char *list;
	} rows[] = {
		{ "a@alias.example", 1, "u1@test.example far@far.example" },
		{ "b@alias.example", 1, "u1@test.example far@far.example" },
		{ "d+tag@alias.example", 1, "d-to+tag@far.example" },
		{ "any@moved.example", 1, "any@far.example" },
		{ "any+x@moved.example", 1, "any+x@far.example" },
		{ "self@test.example", 1, "self@test.example u2@test.example" },
		{ "other@test.example", 0, NULL },
		{ "c@alias.example", -1, NULL },
	};

	load_routes("virtual_alias_recursion_limit = 50\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = ARENA_INIT;
		struct buf got = BUF_INIT;
		const char **list;
		size_t count;

		CHECK_ROW(rows[i].address);
		CHECK_INT(route_virtual_expand(&a, rows[i].address, &list, &count), rows[i].want);
		if (rows[i].want == 1) {
			for (size_t k = 0; k < count; k++) {
				buf_addf(&got, "%s%s", k > 0 ? " " : "", list[k]);
			}
			CHECK_STR(buf_str(&got), rows[i].list);
		}
		buf_free(&got);
		arena_free(&a);
	}
}

TEST(user, passwd_file)
{
	struct arena a = ARENA_INIT;
	struct local_user u;

	put_text("users",
		"#x:y\nann:x:1001:1002:Ann:/home/ann:/bin/sh\nbob:::::/home/bob\n"
		"dov@test.example:{PLAIN}p:5:6::/home/dov::extra=1\nbad:x:minus:0::/\nann:x:1:1::/"
		"second:\n");
	load("local_passwd_file = DIR/users\n");
	CHECK_INT(local_user_find(&a, "ann", &u), 1);
	CHECK(u.uid == 1001 && u.gid == 1002);
	CHECK_STR(u.home, "/home/ann");
	CHECK_STR(u.shell, "/bin/sh");
	CHECK_INT(local_user_find(&a, "Ann", &u), 1);
	CHECK_STR(u.name, "ann");
	CHECK_INT(local_user_find(&a, "bob", &u), 1);
	CHECK(u.uid == getuid() && u.gid == getgid());
	CHECK_INT(local_user_find(&a, "dov@test.example", &u), 1);
	CHECK_STR(u.home, "/home/dov");
	CHECK_INT(local_user_find(&a, "bad", &u), 0);
	CHECK_INT(local_user_find(&a, "../ann", &u), 0);
	CHECK_INT(local_user_find(&a, "", &u), 0);
	CHECK_INT(local_user_find(&a, "no-such-user-here", &u), 0);
	CHECK_INT(local_user_find(&a, "root", &u), 1); /* the system's */
	put_text("users", "carl:x:1003:1003::/home/carl:\n");
	sleep(1); /* it is looked at once a second */
	CHECK_INT(local_user_find(&a, "carl", &u), 1);
	CHECK_INT(local_user_find(&a, "ann", &u), 0);
	load("local_passwd_file = DIR/missing\n");
	CHECK_INT(local_user_find(&a, "carl", &u), -1);
	arena_free(&a);
}
