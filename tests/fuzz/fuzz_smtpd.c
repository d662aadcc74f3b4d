/*
 * fuzz_smtpd - whole SMTP and LMTP sessions over a real queue in memory
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/params.h"
#include "route/resolve.h"
#include "applets/receive/smtpd/smtpd.h"
#include "fuzz.h"

enum { SESSIONS_PER_QUEUE = 2000 };

static struct smtpd server;
static char dir[64];

static void clear_queue(void)
{
	static const char *const names[] = { "queue.db", "queue.db-wal", "queue.db-shm",
		"queue.lock" };
	char path[128];

	queue_close(server.queue);
	server.queue = NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
}

static void end(void)
{
	clear_queue();
	rmdir(dir);
}

/* configure - once: a server that knows two users and lets the client relay nowhere */
static void configure(void)
{
	static const char *const settings[] = {
		"compatibility_level=3.6",
		"myhostname=mx.example",
		"smtpd_forbid_unauth_pipelining=no", /* a seed is a whole conversation */
		"mydomain=example",
		"mydestination=example",
		"mynetworks=192.0.2.1",
		"alias_maps=",
		"local_recipient_maps=inline:{root=x, tester=x}",
		"message_size_limit=10000",
		"smtpd_hard_error_limit=1000000",
		"smtpd_error_sleep_time=0",
		"smtpd_junk_command_limit=1000000",
		"smtpd_client_restrictions=check_client_access inline:{10=OK}",
		"smtpd_helo_restrictions=reject_invalid_helo_hostname",
		"smtpd_sender_restrictions=check_sender_access inline:{a.example=HOLD, "
		"b.example=DISCARD,"
		" {c.example = 450 later}}, reject_non_fqdn_sender",
	};
	char setting[128], *error = NULL;

	snprintf(dir, sizeof(dir), "%s/pillarbox-smtpd.%d",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
	REQUIRE(mkdir(dir, 0700) == 0);
	atexit(end);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		REQUIRE(conf_override(settings[i]));
	}
	snprintf(setting, sizeof(setting), "queue_directory=%s", dir);
	REQUIRE(conf_override(setting) && conf_load("/nonexistent", true, &error) == 0);
	route_init();
	server.restrictions = restrict_set_new(&error);
	REQUIRE(server.restrictions != NULL);
	server.bare_lf_ok = match_list_new("a", "192.0.2.1", 0);
	server.sasl_exceptions = match_list_new("b", "", 0);
	server.mechanisms = match_list_new("m", "static:all", 0);
	server.flush_domains = match_list_new("c", "example", 0);
	server.unlimited = match_list_new("d", "", 0);
	server.service_name = "smtp";
}

void fuzz(const char *data, size_t len)
{
	static int sessions;
	char *error = NULL;

	if (dir[0] == '\0') {
		configure();
	}
	if (sessions++ % SESSIONS_PER_QUEUE == 0) {
		clear_queue();
		server.queue = queue_open(dir, QUEUE_CREATE, &error);
		REQUIRE(server.queue != NULL);
	}
	if (len == 0) {
		return;
	}
	server.lmtp = data[0] % 4 == 0;
	fuzz_session(&smtpd_class, &server, data + 1, len - 1);
	REQUIRE(server.transactions == 0 && server.waiting == 0 && server.clients.count == 0);
}
