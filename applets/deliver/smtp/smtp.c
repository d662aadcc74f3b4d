/*
 * smtp - the agent that hands mail to other hosts, by SMTP or (as lmtp) by LMTP
 *
 *	qmgr --> request --> next hops -> hosts -> connection --> transaction --> answers
 *
 * One process with one event loop has all sessions. How many there may be is what master.cf says of
 * the service's processes.
 *
 * Manual: Postfix's smtp(8); RFC 5321, RFC 2033.
 */
#include "applets/deliver/smtp/smtp.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "map/map.h"
#include "address/local_domain.h"
#include "applets/applets.h"
#include "applets/deliver/smtp/account.h"
#include "applets/deliver/smtp/ladder.h"
#include "applets/deliver/smtp/tls_policy.h"

enum { LINKS_MAX = 1000 }; /* where master.cf sets no limit */

/* prepare - what only root may be able to read: passwords, and our certificate's key */
static void prepare(struct service *s)
{
	struct smtp_agent *g = (struct smtp_agent *)s;
	struct buf error = BUF_INIT;

	g->lmtp = strcmp(s->command, "lmtp") == 0;
	smtp_settings_load(&g->settings, g->lmtp);
	g->tls = tls_policies_open(g->lmtp, &error);
	g->accounts = g->tls != NULL ? accounts_new(&g->settings, &error) : NULL;
	if (g->accounts == NULL) {
		log_fatal("%s", buf_str(&error));
	}
	buf_free(&error);
}

/* processes - how many of this service there may be, by master.cf; 0: any number */
static int64_t processes(const struct service *s)
{
	struct buf path = BUF_INIT;
	struct master_cf cf = { NULL, 0 };
	int64_t most = param.default_process_limit;
	char *error = NULL;

	buf_addf(&path, "%s/master.cf", conf_dir(s->conf_path));
	if (s->by_master && master_cf_read(buf_str(&path), &cf, &error) == 0) {
		for (size_t i = 0; i < cf.count; i++) {
			const struct master_service *row = &cf.services[i];

			if (strcmp(row->name, s->name) == 0 && row->type == SERVICE_UNIX &&
				!row->max_procs_default) {
				most = row->max_procs;
			}
		}
		master_cf_free(&cf);
	}
	mem_free(error);
	buf_free(&path);
	return most;
}

/*
 * own_address - where we listen on one address alone (of the family), mail comes from it, too;
 * "": any
 */
static const char *own_address(struct smtp_agent *g, int family)
{
	struct slice rest = slice_of(param.inet_interfaces), word;
	const char *own = "";
	unsigned char raw[16];

	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		const char *text = arena_strndup(&g->texts, word.ptr, word.len);
		bool v6 = inet_pton(AF_INET6, text, raw) == 1;

		if (!v6 && inet_pton(AF_INET, text, raw) != 1) {
			return ""; /* a name, or all of them */
		}
		if (v6 != (family == AF_INET6)) {
			continue;
		}
		if (*own != '\0' || str_starts(text, "127.") || strcmp(text, "::1") == 0) {
			return "";
		}
		own = text;
	}
	return own;
}

static void set_up(struct smtp_agent *g)
{
	struct loop *loop = g->host.service.loop;
	int64_t most = processes(&g->host.service);

	map_wait_at_most(MAP_LOOP_WAIT_MS);
	local_domain_init();
	g->links_max = most > 0 ? (size_t)most : LINKS_MAX;
	g->links = (struct links){
		.loop = loop, .settings = &g->settings, .freed = ladder_link_freed, .owner = g
	};
	link_cache_init(&g->cache, loop, &g->settings);
	g->bind_v4 = *g->settings.bind_address != '\0' ? g->settings.bind_address
						       : own_address(g, AF_INET);
	g->bind_v6 = *g->settings.bind_address6 != '\0' ? g->settings.bind_address6
							: own_address(g, AF_INET6);
	g->discard = maps_open(g->settings.discard_keyword_maps, 0);
	g->rewriting = rewriting_new(&g->settings);
	g->hosts = hosts_new(loop, &g->settings, g->lmtp);
	dns_trust_resolver(hosts_dns(g->hosts), tls_policies_trust());
	g->next = ladder_next;
	g->offer = ladder_offer;
	g->wait_tail = &g->wait_first;
}

static void tear_down(struct smtp_agent *g)
{
	link_cache_free(&g->cache);
	while (g->links.first != NULL) {
		link_free(g->links.first);
	}
	loop_unhook(g->links.loop, &g->wake);
	hosts_free(g->hosts);
	rewriting_free(g->rewriting);
	maps_close(g->discard);
	arena_free(&g->texts);
	accounts_free(g->accounts);
	tls_policies_close(g->tls);
	local_domain_free();
}

int smtp_main(int argc, char **argv)
{
	static const struct service_info info = { .prepare = prepare };
	static const struct agent_class class = { .size = sizeof(struct delivery),
		.begin = ladder_begin,
		.end = ladder_end,
		.may_drop = ladder_may_drop,
		.repeats = true };
	struct smtp_agent *g = mem_alloc(sizeof(*g));
	int status;

	service_init(&g->host.service, &info, argc, argv);
	agent_host_init(&g->host, &class, g,
		g->lmtp ? param.lmtp_delivery_status_filter : param.smtp_delivery_status_filter);
	set_up(g);
	status = agent_host_run(&g->host);
	agent_host_free(&g->host);
	tear_down(g);
	service_free(&g->host.service);
	mem_free(g);
	return status;
}
