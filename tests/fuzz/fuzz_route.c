/*
 * fuzz_route - aliases, .forward, :include: and tables of addresses, followed to the end
 *
 * The input, in parts divided by "%%": aliases, the .forward file of root, a list, a virtual
 * alias table, a transport table, and recipients, a line each.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "conf/params.h"
#include "address/rewrite.h"
#include "route/expand.h"
#include "route/resolve.h"
#include "fuzz.h"

enum { RECIPIENTS = 4 };

static void configure(void)
{
	static const char *const settings[] = {
		"compatibility_level=3.6",
		"myhostname=mx.example",
		"mydomain=example",
		"mydestination=example",
		"recipient_delimiter=+-",
		"virtual_alias_domains=v.example",
		"relay_domains=r.example",
		"relayhost=[relay.example]:587",
		"owner_request_special=yes",
		"swap_bangpath=yes",
		"allow_percent_hack=yes",
		"allow_mail_to_files=alias,forward,include",
		"allow_mail_to_commands=alias,forward,include",
		"luser_relay=$local+$extension@[relay.example]",
		"local_passwd_file=inline",
		"map_check_interval=0",
	};
	static const struct {
		const char *name, *value;
	} files[] = {
		{ "alias_maps=texthash:", "aliases" },
		{ "forward_path=", "forward" },
		{ "virtual_alias_maps=texthash:", "virtual" },
		{ "transport_maps=texthash:", "transport" },
		{ "local_passwd_file=", "users" },
	};
	char setting[600], *error = NULL;

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		(void)conf_override(settings[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(
			setting, sizeof(setting), "%s%s", files[i].name, fuzz_path(files[i].value));
		REQUIRE(conf_override(setting));
	}
	snprintf(setting, sizeof(setting), "u:x:::x:%s:/bin/sh\nv:x:::x:/nonexistent:\n",
		fuzz_dir());
	fuzz_put("users", setting, strlen(setting));
	REQUIRE(conf_load("/nonexistent", true, &error) == 0);
}

static void follow(const char *recipient)
{
	struct arena a = ARENA_INIT;
	struct expand_env env = { NULL, NULL };
	struct expansion out;
	struct route r;
	const char *address = rewrite_address(&a, recipient, REWRITE_LOCAL);
	size_t count = 0;

	REQUIRE(address != NULL);
	if (route_resolve(&a, "", address, &r) == 1) {
		REQUIRE(r.transport[0] != '\0' && r.nexthop != NULL && r.recipient != NULL);
	} else {
		REQUIRE(r.dsn != NULL && r.text != NULL && r.text[0] != '\0');
	}
	(void)route_recipient_exists(address, NULL);
	expand_recipient(&a, &env, address, &out);
	for (const struct target *t = out.first; t != NULL; t = t->next) {
		REQUIRE(t->value != NULL && t->dsn != NULL && t->address != NULL);
		count++;
	}
	REQUIRE(count == out.count && count > 0);
	arena_free(&a);
}

void fuzz(const char *data, size_t len)
{
	static const char *const names[] = { "aliases", "forward", "list", "virtual", "transport" };
	static bool configured;
	struct slice rest = { data, len }, line;

	if (!configured) {
		configure();
	}
	configured = true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct slice part = fuzz_part(&rest);

		fuzz_put(names[i], part.ptr, part.len);
	}
	route_init();
	expand_init();
	for (int i = 0; i < RECIPIENTS && (line = slice_word(&rest, "\n")).ptr != NULL; i++) {
		char *recipient = mem_strndup(line.ptr, line.len);

		follow(recipient);
		mem_free(recipient);
	}
	expand_free();
	route_free();
}
