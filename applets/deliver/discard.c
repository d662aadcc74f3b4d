/*
 * discard - the agent that delivers nowhere: the next hop is the reason in the log
 *
 *	discard:2.7.1 not wanted	dsn=2.7.1, status=sent (not wanted)
 *
 * Manual: Postfix's discard(8).
 */
#include <string.h>

#include "base/mem.h"
#include "conf/params.h"
#include "proto/dsn_code.h"
#include "applets/applets.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/agent/result.h"

static void begin(struct agent_request *q)
{
	const char *text = q->r.nexthop;
	size_t dsn = dsn_code_length(text);
	size_t count = q->r.recipient_count;
	struct agent_result res = { .status = DELIVERY_SENT, .dsn = "2.0.0" };

	if (dsn > 0) {
		if (text[0] == '2') {
			res.dsn = arena_strndup(&q->arena, text, dsn);
		}
		text += dsn + strspn(text + dsn, " \t");
	}
	res.text = *text != '\0' ? text : "silently discarded";
	for (size_t i = 0; i < count; i++) {
		res.relay = "none";
		agent_answer(q, &q->r.recipients[i], &res);
	}
}

int discard_main(int argc, char **argv)
{
	static const struct service_info info = { .flags = 0 };
	static const struct agent_class class = { .size = sizeof(struct agent_request),
		.begin = begin };
	struct agent_host *h = mem_alloc(sizeof(*h));
	int status;

	service_init(&h->service, &info, argc, argv);
	agent_host_init(h, &class, h, "");
	status = agent_host_run(h);
	agent_host_free(h);
	service_free(&h->service);
	mem_free(h);
	return status;
}
