/*
 * pipe - the agent that gives mail to a command
 *
 *	qmgr --> request --> waiting --> command --> the same answer for all its recipients
 *
 * A request is one run of the command, with all its recipients. What a command has taken before its
 * answer was lost is known by its note, and not given again.
 *
 * Manual: Postfix's pipe(8).
 */
#include "applets/deliver/pipe/pipe.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_read.h"
#include "applets/applets.h"
#include "applets/deliver/agent/delivered_to.h"
#include "applets/deliver/agent/result.h"

static void begin_commands(struct pipe *g);

/* ---- Answers ---- */

/* answer_all - the recipients that are left; the request may be gone afterwards */
static void answer_all(struct pipe_request *q, const struct agent_result *res)
{
	struct agent_request *aq = &q->q;
	size_t count = q->work.rcpt_count;

	agent_keep(aq);
	for (size_t i = 0; i < count; i++) {
		agent_answer(aq, q->rcpts[i], res);
	}
	agent_release(aq);
}

static void fail_all(
	struct pipe_request *q, enum delivery_status status, const char *dsn, const char *text)
{
	const struct agent_result res = {
		.status = status, .dsn = dsn, .text = text, .relay = q->q.host->service.name
	};

	answer_all(q, &res);
}

/* success - a command has taken it, or would */
static struct agent_result success(const struct pipe *g, const char *text)
{
	return (struct agent_result){ .status = DELIVERY_SENT,
		.dsn = "2.0.0",
		.text = text,
		.relay = g->host.service.name,
		.reach = (g->spec.flags & PIPE_FINAL) != 0 ? DELIVERY_FINAL : DELIVERY_RELAYED };
}

static const char *success_text(struct agent_request *q, const char *output)
{
	return arena_printf(&q->arena, "delivered via %s service%s%.100s%s", q->host->service.name,
		output[0] != '\0' ? " (" : "", output, output[0] != '\0' ? ")" : "");
}

static void on_done(struct command_work *w, const struct command_end *end)
{
	struct pipe_request *q = w->owner;
	struct pipe *g = q->q.host->owner;
	struct agent_result res = { .status = end->status,
		.dsn = end->dsn,
		.text = end->text,
		.relay = g->host.service.name,
		.diagnostic_type = "x-unix",
		.diagnostic = end->output[0] != '\0' ? end->output : end->text };

	if (end->status == DELIVERY_SENT) {
		res = success(g, success_text(&q->q, end->output));
	}
	answer_all(q, &res);
	begin_commands(g);
}

static void convert(struct command_work *w, struct buf *out, const char *data, size_t len)
{
	struct pipe_request *q = w->owner;

	pipe_convert(&q->content, out, data, len);
}

static const struct command_class class = { .name = "pipe-command",
	.prepare = pipe_prepare,
	.run = pipe_run,
	.convert = convert,
	.done = on_done };

/* ---- The command line ---- */

static const char *original_of(const struct delivery_recipient *r)
{
	return r->original[0] != '\0' ? r->original : r->address;
}

/* expand - the command line of a request; false: there is none */
static bool expand(struct pipe *g, struct pipe_request *q, const struct queue_envelope *env)
{
	struct arena *a = &q->q.arena;
	size_t count = q->work.rcpt_count;
	struct pipe_recipient *rcpts = arena_alloc(a, (count + 1) * sizeof(*rcpts));
	struct pipe_values v = { .service = g->host.service.name,
		.sender = q->q.r.sender,
		.nexthop = q->q.r.nexthop,
		.queue_id = q->q.id,
		.client_address = env->client_addr,
		.client_helo = env->helo,
		.client_hostname = env->client_name,
		.client_port = "",
		.client_protocol = env->proto,
		.sasl_method = "",
		.sasl_sender = "",
		.sasl_username = env->sasl_user,
		.envid = q->q.r.envid,
		.size = q->q.r.size,
		.rcpts = rcpts,
		.rcpt_count = count };

	for (size_t i = 0; i < count; i++) {
		rcpts[i].address = q->rcpts[i]->address;
		rcpts[i].original = original_of(q->rcpts[i]);
	}
	q->argv = pipe_argv(a, &g->spec, &v);
	return q->argv != NULL;
}

/* ---- Running ---- */

static void unlink_waiting(struct pipe *g, struct pipe_request *q)
{
	*(q->prev != NULL ? &q->prev->next : &g->first) = q->next;
	*(q->next != NULL ? &q->next->prev : &g->last) = q->prev;
	q->prev = q->next = NULL;
	q->waiting = false;
}

/* run - its turn has come */
static void run(struct pipe *g, struct pipe_request *q)
{
	struct queue *queue = agent_queue(&g->host);
	const struct delivery_recipient *first = q->rcpts[0];
	struct queue_envelope env;
	struct buf head = BUF_INIT;

	if (queue == NULL || queue_get(queue, q->q.r.id, &q->q.arena, &env) != 1) {
		fail_all(q, DELIVERY_DEFERRED, "4.3.0", "cannot read the message from the queue");
		return;
	}
	if (!expand(g, q, &env)) {
		fail_all(q, DELIVERY_DEFERRED, "4.3.5", "mail system configuration error");
		return;
	}
	q->work.shown = q->argv[0];
	q->content.spec = &g->spec;
	pipe_head(&head, &g->spec, q->q.r.sender, first->address, original_of(first));
	if (!command_start(&g->commands, &q->work, &head)) {
		log_warn("cannot start command: %m");
		fail_all(q, DELIVERY_DEFERRED, "4.3.0", "cannot start a process");
	}
}

/* begin_commands - as many as may run */
static void begin_commands(struct pipe *g)
{
	while (g->first != NULL && (g->most == 0 || (int64_t)g->commands.count < g->most)) {
		struct pipe_request *q = g->first;

		unlink_waiting(g, q);
		if (agent_is_wanted(&q->q)) {
			run(g, q);
		} else {
			fail_all(q, DELIVERY_DEFERRED, "4.3.0", "the queue manager went away");
		}
	}
}

/* ---- Requests ---- */

/* key_of - of the command as master.cf has it: what it expands to is the recipient's */
static uint64_t key_of(const struct pipe *g)
{
	uint64_t sum = command_key(0, g->host.service.name);

	for (char *const *word = g->spec.argv; *word != NULL; word++) {
		sum = command_key(sum, *word);
	}
	return sum;
}

/* take_rcpts - those that the command has not taken before; the others are answered */
static void take_rcpts(struct pipe *g, struct pipe_request *q)
{
	struct agent_request *aq = &q->q;
	size_t count = aq->r.recipient_count, n = 0;

	q->rcpts = arena_alloc(&aq->arena, (count + 1) * sizeof(*q->rcpts));
	for (size_t i = 0; i < count; i++) {
		const struct delivery_recipient *r = &aq->r.recipients[i];

		if ((r->flags & DELIVERY_SUSPECT) != 0 && command_was_done(aq, r, q->work.key)) {
			const struct agent_result res = success(g, success_text(aq, ""));

			agent_answer(aq, r, &res);
		} else {
			q->rcpts[n++] = r;
		}
	}
	q->work.rcpts = q->rcpts;
	q->work.rcpt_count = n;
}

/* loops - has it been delivered to its recipient before? -1: the message cannot be read */
static int loops(struct pipe_request *q)
{
	struct agent_request *aq = &q->q;
	struct delivered_to d = { NULL, 0 };
	int64_t len = agent_read_first(aq);

	if (len < 0) {
		return -1;
	}
	delivered_to_find(&d, &aq->arena, aq->host->scratch, (size_t)len);
	return delivered_to_has(&d, q->rcpts[0]->address);
}

/* refuse - what needs no command; true: it is answered */
static bool refuse(struct pipe *g, struct pipe_request *q)
{
	struct agent_request *aq = &q->q;
	unsigned alone = g->spec.flags & (PIPE_DELIVERED | PIPE_ORIGINAL);
	int loop;

	if (alone != 0 && q->work.rcpt_count > 1) {
		log_warn("pipe flag `%c' requires %s_destination_recipient_limit = 1",
			(alone & PIPE_DELIVERED) != 0 ? 'D' : 'O', g->host.service.name);
		fail_all(q, DELIVERY_DEFERRED, "4.3.5", "mail system configuration error");
		return true;
	}
	if (g->spec.size > 0 && aq->r.size > g->spec.size) {
		fail_all(q, DELIVERY_BOUNCED, "5.2.3", "message too large");
		return true;
	}
	loop = (g->spec.flags & PIPE_DELIVERED) != 0 ? loops(q) : 0;
	if (loop != 0) {
		fail_all(q, loop > 0 ? DELIVERY_BOUNCED : DELIVERY_DEFERRED,
			loop > 0 ? "5.4.6" : "4.3.0",
			loop > 0 ? arena_printf(&aq->arena, "mail forwarding loop for %s",
					   q->rcpts[0]->address)
				 : "cannot read the message from the queue");
		return true;
	}
	if ((aq->r.env_flags & QUEUE_F_VERIFY) != 0) {
		const struct agent_result res = success(
			g, arena_printf(&aq->arena, "delivers to command: %s", g->spec.argv[0]));

		answer_all(q, &res);
		return true;
	}
	return false;
}

static void begin(struct agent_request *aq)
{
	struct pipe_request *q = (struct pipe_request *)aq;
	struct pipe *g = aq->host->owner;

	q->work = (struct command_work){ .class = &class,
		.request = aq,
		.key = key_of(g),
		.user = g->user,
		.time_limit = g->time_limit,
		.owner = q };
	take_rcpts(g, q);
	if (q->work.rcpt_count == 0 || refuse(g, q)) {
		return;
	}
	q->waiting = true;
	q->prev = g->last;
	*(g->last != NULL ? &g->last->next : &g->first) = q;
	g->last = q;
	begin_commands(g);
}

static void end(struct agent_request *aq)
{
	struct pipe_request *q = (struct pipe_request *)aq;

	if (q->waiting) {
		unlink_waiting(aq->host->owner, q);
	}
}

/* ---- The process ---- */

static void on_child(int signo, void *owner)
{
	struct pipe *g = owner;
	pid_t pid;
	int status;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		(void)command_ended(&g->commands, pid, status);
	}
}

/* option - -m: commands at once, what master.cf has for processes */
static bool option(struct service *s, int opt, const char *arg)
{
	struct pipe *g = (struct pipe *)s;

	return opt == 'm' && str_to_int(arg, 0, INT32_MAX, &g->most);
}

/* configure - from master.cf's words and main.cf; ends the process when they cannot be used */
static void configure(struct pipe *g)
{
	const char *name = g->host.service.name, *error, *limit;

	if (!pipe_spec_parse(&g->arena, g->host.service.words, &g->spec, &error)) {
		log_fatal("%s: %s", name, error);
	}
	error = pipe_argv_unknown(&g->arena, g->spec.argv);
	if (error != NULL) {
		log_fatal("%s: unknown macro name: \"%s\"", name, error);
	}
	pipe_find_user(g);
	g->time_limit = param.command_time_limit;
	limit = conf_value(&g->arena, arena_printf(&g->arena, "%s_time_limit", name));
	if (limit != NULL && (!str_to_seconds(limit, 's', &g->time_limit) || g->time_limit < 1)) {
		log_fatal("bad value: %s_time_limit = %s: not a time", name, limit);
	}
}

int pipe_main(int argc, char **argv)
{
	static const struct service_info info = {
		.flags = SERVICE_ROOT | SERVICE_WORDS, .options = "m:", .option = option
	};
	static const struct agent_class agent = {
		.size = sizeof(struct pipe_request), .begin = begin, .end = end
	};
	struct pipe *g = mem_alloc(sizeof(*g));
	int status;

	service_init(&g->host.service, &info, argc, argv);
	configure(g);
	agent_host_init(&g->host, &agent, g, param.pipe_delivery_status_filter);
	loop_signal(g->host.service.loop, SIGCHLD, on_child, g);
	commands_init(&g->commands, &g->host);
	status = agent_host_run(&g->host);
	commands_free(&g->commands);
	agent_host_free(&g->host);
	service_free(&g->host.service);
	arena_free(&g->arena);
	mem_free(g);
	return status;
}
