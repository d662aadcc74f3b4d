/*
 * dns_channel - c-ares on the event loop
 *
 * /etc/hosts and /etc/resolv.conf are looked at once a second at most; when resolv.conf changes,
 * new questions use a new channel and the old one lives until its last answer.
 */
#include "net/dns_channel.h"

#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

enum { QUERY_MS = 3000, QUERY_TRIES = 2 };

static const char *hosts_path(const struct dns *d)
{
	return d->hosts_path != NULL ? d->hosts_path : "/etc/hosts";
}

static void on_dns_ready(struct watch *w, unsigned events)
{
	struct dns_watch *dw = w->owner;
	struct channel *ch = dw->channel;
	int fd = w->fd;

	ares_process_fd(ch->ares, events & (LOOP_READ | LOOP_HANGUP) ? fd : ARES_SOCKET_BAD,
		events & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
	dns_channel_timer(ch);
}

static void on_dns_timer(struct timer *t)
{
	struct channel *ch = t->owner;

	ares_process_fd(ch->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	dns_channel_timer(ch);
}

void dns_channel_timer(struct channel *ch)
{
	struct timeval tv, *left = ares_timeout(ch->ares, NULL, &tv);

	if (left == NULL) {
		loop_untimer(ch->dns->loop, &ch->timer);
	} else {
		loop_timer(ch->dns->loop, &ch->timer,
			(int64_t)left->tv_sec * 1000 + left->tv_usec / 1000 + 1, on_dns_timer, ch);
	}
}

/* on_socket_state - c-ares opens, uses and closes sockets */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct channel *ch = arg;
	struct dns_watch **link = &ch->watches, *dw;
	unsigned events = (readable ? LOOP_READ : 0u) | (writable ? LOOP_WRITE : 0u);

	while (*link != NULL && (*link)->watch.fd != fd) {
		link = &(*link)->next;
	}
	dw = *link;
	if (events == 0) {
		if (dw != NULL) {
			*link = dw->next;
			loop_unwatch(ch->dns->loop, &dw->watch);
			mem_free(dw);
		}
		return;
	}
	if (dw != NULL) {
		loop_want(ch->dns->loop, &dw->watch, events);
		return;
	}
	dw = mem_alloc(sizeof(*dw));
	dw->channel = ch;
	dw->next = ch->watches;
	ch->watches = dw;
	loop_watch(ch->dns->loop, &dw->watch, fd, events, on_dns_ready, dw);
}

static void add_channel(struct dns *d)
{
	struct channel *ch = mem_alloc(sizeof(*ch));
	struct ares_options options;
	char lookups[] = "b";
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
		ARES_OPT_SOCK_STATE_CB;

	memset(&options, 0, sizeof(options));
	options.flags = ARES_FLAG_NOSEARCH; /* mail domains are complete */
	options.timeout = QUERY_MS;
	options.tries = QUERY_TRIES;
	options.lookups = lookups;
	options.sock_state_cb = on_socket_state;
	options.sock_state_cb_data = ch;
	ch->dns = d;
	ch->vouches = -1;
	if (ares_init_options(&ch->ares, &options, mask) != ARES_SUCCESS) {
		mem_free(ch);
		return;
	}
	if (d->servers != NULL) {
		(void)ares_set_servers_ports_csv(ch->ares, d->servers);
	}
	ch->next = d->channels;
	d->channels = ch;
}

void dns_channel_free(struct channel *ch)
{
	loop_untimer(ch->dns->loop, &ch->timer);
	ares_destroy(ch->ares); /* ends its questions; their sockets are reported closed */
	mem_free(ch);
}

/* dns_channel_sweep - retired channels without questions go; not from inside their own callbacks */
void dns_channel_sweep(struct timer *t)
{
	struct dns *d = t->owner;
	struct channel **link = &d->channels;

	while (*link != NULL) {
		struct channel *ch = *link;

		if (ch->retired && ch->pending == 0) {
			*link = ch->next;
			dns_channel_free(ch);
		} else {
			link = &ch->next;
		}
	}
}

static bool changed(const char *path, struct timespec *seen)
{
	struct stat st;
	struct timespec now = { 0, 0 };
	bool differs;

	if (stat(path, &st) == 0) {
		now = st.st_mtim;
	}
	differs = now.tv_sec != seen->tv_sec || now.tv_nsec != seen->tv_nsec;
	*seen = now;
	return differs;
}

void dns_refresh(struct dns *d)
{
	time_t now = time(NULL);

	if (now == d->looked) {
		return;
	}
	d->looked = now;
	if (changed(hosts_path(d), &d->hosts_time)) {
		dns_hosts_read(&d->hosts, hosts_path(d));
	}
	if (changed("/etc/resolv.conf", &d->resolv_time) && d->channels != NULL) {
		d->channels->retired = true;
		if (d->channels->pending == 0) {
			loop_timer(d->loop, &d->sweep, 0, dns_channel_sweep, d);
		}
	}
}

/* dns_channel_current - made with the first question; NULL: c-ares cannot start */
struct channel *dns_channel_current(struct dns *d)
{
	if (d->channels == NULL || d->channels->retired) {
		add_channel(d);
	}
	return d->channels != NULL && !d->channels->retired ? d->channels : NULL;
}
