/*
 * host - a delivery agent's process: from its start to its end
 */
#include "base/mem.h"
#include "net/serve.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/agent/client.h"
#include "applets/deliver/agent/orphan.h"
#include "applets/deliver/agent/result.h"
#include "applets/deliver/agent/status_filter.h"
#include "applets/deliver/agent/underway.h"

static void on_stop(struct service *s, bool soon)
{
	struct agent_host *h = s->owner;

	if (soon) {
		h->ending = true;
		if (h->class->may_drop != NULL) {
			agent_drop(h);
		}
		agent_clients_drain(h);
	} else {
		/* What has come is done; a client that has nothing here is let go. */
		underway_publish(h);
		agent_clients_wake(h);
	}
	if (h->class->stop != NULL) {
		h->class->stop(h, soon);
	}
	service_done(s);
}

void agent_host_init(
	struct agent_host *h, const struct agent_class *class, void *owner, const char *filter)
{
	const struct server_config config = {
		.class = &agent_session, .service = h, .in_high = 1 << 20
	};

	h->class = class;
	h->owner = owner;
	h->scratch = mem_alloc(AGENT_CONTENT_KEEP);
	h->filter = status_filter_open(filter);
	h->service.owner = h;
	h->service.on_stop = on_stop;
	underway_init(h, agent_begin);
	h->server = server_new(h->service.loop, &config);
}

int agent_host_run(struct agent_host *h)
{
	int status;

	service_listen(&h->service, h->server);
	status = service_run(&h->service);
	server_free(h->server);
	return status;
}

void agent_host_free(struct agent_host *h)
{
	struct agent_request *q;

	while ((q = underway_any(h)) != NULL) {
		underway_leave(h, q);
		agent_request_spare(h, q);
	}
	loop_untimer(h->service.loop, &h->spare_timer);
	agent_spares_free(h);
	underway_free(h);
	orphans_free(h);
	status_filter_close(h->filter);
	queue_close(h->queue);
	mem_free(h->scratch);
}
