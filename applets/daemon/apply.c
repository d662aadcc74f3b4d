/*
 * apply - from the services that run to those that a configuration wants
 *
 * A reload must not close a port that is still wanted, nor leave one closed because something
 * went wrong. Sockets are compared by what they are (address, family, port; the file of a unix
 * socket), not by the words of the configuration, and pass from the old services to the new in
 * this order:
 *
 *	1	what is open already and still wanted is taken over as it is
 *	2	what is missing is opened, while all the old ones are still open: 127.0.0.1:25
 *		beside 0.0.0.0:25 (SO_REUSEPORT for that moment)
 *	3	where that failed, the old sockets of the port, else of the service, stay, and the
 *		log says so
 *	4	the old children finish, and what is left of the old sockets is closed
 *
 * A connection that waits in the backlog of a socket that goes is accepted by the old child
 * before it lets go (core/net/serve.c).
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "applets/daemon/engine.h"
#include "applets/daemon/sockets.h"

/* ---- Specs ---- */

struct sv_spec *sv_config_add(struct sv_config *c)
{
	if (c->count == c->room) {
		size_t room = c->room ? c->room * 2 : 16;
		struct sv_spec *more = arena_alloc(&c->arena, room * sizeof(*more));

		if (c->count > 0) {
			memcpy(more, c->specs, c->count * sizeof(*more));
		}
		c->specs = more;
		c->room = room;
	}
	return &c->specs[c->count++];
}

struct sv_endpoint *sv_spec_add(struct sv_config *c, struct sv_spec *spec)
{
	struct sv_endpoint *more =
		arena_alloc(&c->arena, (spec->endpoint_count + 1) * sizeof(*more));

	if (spec->endpoint_count > 0) {
		memcpy(more, spec->endpoints, spec->endpoint_count * sizeof(*more));
	}
	spec->endpoints = more;
	more += spec->endpoint_count++;
	more->uid = (uid_t)-1;
	more->gid = (gid_t)-1;
	more->mode = 0666;
	more->v4 = more->v6 = true;
	more->label = "";
	more->address = "";
	more->set_by = "";
	return more;
}

/* ---- Services ---- */

/* remove_path - the file of a unix socket, unless another process's stands there by now */
static void remove_path(const struct sv_listener *l)
{
	struct stat st;

	if (l->path != NULL && lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
		st.st_ino == l->ino) {
		(void)unlink(l->path);
	}
}

void sv_free_service(struct sv_service *s, bool unlink_paths)
{
	sv_watch_listeners(s, false);
	loop_untimer(s->sv->loop, &s->rest);
	loop_untimer(s->sv->loop, &s->wakeup_timer);
	for (size_t i = 0; i < s->listener_count; i++) {
		struct sv_listener *l = &s->listeners[i];

		if (l->fd >= 0) {
			if (unlink_paths) {
				remove_path(l);
			}
			close(l->fd);
		}
		mem_free(l->label);
		mem_free(l->path);
	}
	for (struct sv_child *c = s->sv->children; c != NULL; c = c->next) {
		if (c->service == s) {
			sv_detach(c);
		}
	}
	mem_free(s->listeners);
	mem_free(s->name);
	mem_free(s->command);
	mem_free(s->argv);
	mem_free(s->argv_text);
	mem_free(s);
}

/* copy_argv - into one block, because the configuration's arena goes away */
static void copy_argv(struct sv_service *s, const char *const *argv)
{
	struct buf text = BUF_INIT;
	size_t count = 0;
	char *p;

	for (; argv[count] != NULL; count++) {
		buf_add(&text, argv[count], strlen(argv[count]) + 1);
	}
	s->argv_text = buf_steal(&text);
	s->argv = mem_calloc(count + 1, sizeof(*s->argv));
	p = s->argv_text;
	for (size_t i = 0; i < count; i++) {
		s->argv[i] = p;
		p += strlen(p) + 1;
	}
}

/* new_service - with room for listeners: those of the spec, and `more` */
static struct sv_service *new_service(
	struct supervisor *sv, const struct sv_spec *spec, size_t more)
{
	struct sv_service *s = mem_alloc(sizeof(*s));

	s->sv = sv;
	s->name = mem_strdup(spec->name);
	s->command = mem_strdup(spec->command);
	copy_argv(s, spec->argv);
	s->listeners = mem_calloc(spec->endpoint_count + more + 1, sizeof(*s->listeners));
	s->wakeup = spec->wakeup;
	s->wakeup_if_used = spec->wakeup_if_used;
	s->at_once = spec->at_once;
	s->single = spec->single;
	s->may_end = spec->may_end;
	s->reloads = spec->reloads;
	s->relayed = spec->relayed;
	return s;
}

static bool same_service(const struct sv_service *a, const struct sv_service *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->command, b->command) == 0;
}

/* ---- Listeners ---- */

/* add_listener - a place for an open socket, which watches nothing yet */
static struct sv_listener *add_listener(struct sv_service *s, int fd, const char *label)
{
	struct sv_listener *l = &s->listeners[s->listener_count++];

	l->watch.fd = -1;
	l->fd = fd;
	l->label = mem_strdup(label);
	return l;
}

/* move_listener - an old service's socket goes over to a new one */
static void move_listener(
	struct sv_service *to, struct sv_service *from, struct sv_listener *l, const char *label)
{
	struct sv_listener *n = &to->listeners[to->listener_count++];

	loop_unwatch(from->sv->loop, &l->watch);
	*n = *l;
	n->label = mem_strdup(label);
	l->path = NULL;
	l->fd = -1;
}

/* is_unix_wanted - with another owner or mode it is made anew, at the same path */
static bool is_unix_wanted(const struct sv_listener *l, const struct sv_endpoint *ep)
{
	struct stat st;

	return strcmp(l->path, ep->path) == 0 && l->mode == ep->mode && l->uid == ep->uid &&
		l->gid == ep->gid && lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
		st.st_ino == l->ino;
}

static bool is_wanted(const struct sv_listener *l, const struct sv_endpoint *ep)
{
	if (l->fd < 0 || (l->path == NULL) != (ep->path == NULL)) {
		return false;
	}
	return ep->path != NULL ? is_unix_wanted(l, ep) : endpoint_is(ep, l->fd);
}

/* take_over - step 1; false: there is no such socket among the old ones */
static bool take_over(struct sv_service *s, const struct sv_endpoint *ep, struct sv_service *old)
{
	for (; old != NULL; old = old->next) {
		for (size_t i = 0; i < old->listener_count; i++) {
			struct sv_listener *l = &old->listeners[i];

			if (is_wanted(l, ep)) {
				move_listener(s, old, l, ep->label);
				return true;
			}
		}
	}
	return false;
}

/* share_port - may the old sockets of this port have another one beside them? */
static void share_port(struct sv_service *old, int port, bool on)
{
	for (; old != NULL; old = old->next) {
		for (size_t i = 0; i < old->listener_count; i++) {
			const struct sv_listener *l = &old->listeners[i];

			if (l->fd >= 0 && l->path == NULL && endpoint_port(l->fd) == port) {
				endpoint_share(l->fd, on);
			}
		}
	}
}

/* open_missing - step 2; false: an error with a text, or none (passed over) with NULL */
static bool open_missing(
	struct sv_service *s, const struct sv_endpoint *ep, struct sv_service *old, char **error_r)
{
	struct sv_listener *l;
	struct stat st;
	int fd;

	share_port(old, ep->port, true);
	fd = endpoint_open(ep, old != NULL, error_r);
	share_port(old, ep->port, false);
	if (fd < 0) {
		return false;
	}
	l = add_listener(s, fd, ep->label);
	if (ep->path != NULL) {
		l->path = mem_strdup(ep->path);
		l->mode = ep->mode;
		l->uid = ep->uid;
		l->gid = ep->gid;
		if (lstat(ep->path, &st) == 0) {
			l->dev = st.st_dev;
			l->ino = st.st_ino;
		}
	}
	return true;
}

/* keep - of the old TCP sockets those on the port (0: those of the same service); how many */
static size_t keep(struct sv_service *s, struct sv_service *old, int port)
{
	size_t count = 0;

	for (; old != NULL; old = old->next) {
		if (port == 0 && !same_service(old, s)) {
			continue;
		}
		for (size_t i = 0; i < old->listener_count; i++) {
			struct sv_listener *l = &old->listeners[i];

			if (l->fd >= 0 && l->path == NULL &&
				(port == 0 || endpoint_port(l->fd) == port)) {
				move_listener(s, old, l, l->label);
				count++;
			}
		}
	}
	return count;
}

/* keep_old - step 3 */
static void keep_old(struct sv_service *s, const struct sv_endpoint *ep, struct sv_service *old,
	const char *error)
{
	bool kept = ep->path == NULL && (keep(s, old, ep->port) > 0 || keep(s, old, 0) > 0);

	log_error("%s%s", error, kept ? ": what listened before the reload stays" : "");
}

/* ---- From the old to the new ---- */

/* hand_down - the successor of a single service waits for the child; one that reloads by itself
 * keeps it */
static void hand_down(struct supervisor *sv, struct sv_child *c, const struct sv_service *from)
{
	for (struct sv_service *n = sv->services; n != NULL; n = n->next) {
		if (!n->single || !same_service(n, from)) {
			continue;
		}
		c->service = n;
		if (n->reloads && !c->leaving) {
			n->child = c;
			n->up = from->up;
			return;
		}
		n->old = c;
	}
	c->leaving = true;
}

/* leave_old - the old services' children finish; single ones are waited for by their successors */
static void leave_old(struct supervisor *sv, struct sv_service *old)
{
	while (old != NULL) {
		struct sv_service *s = old;

		old = s->next;
		for (struct sv_child *c = sv->children; c != NULL; c = c->next) {
			if (c->service != s) {
				continue;
			}
			if (!c->leaving) {
				sv_signal(c, SIGHUP);
			}
			sv_detach(c);
			hand_down(sv, c, s);
		}
		sv_free_service(s, true);
	}
}

static size_t count_listeners(const struct sv_service *s)
{
	size_t count = 0;

	for (; s != NULL; s = s->next) {
		count += s->listener_count;
	}
	return count;
}

/* What became of an endpoint of the new configuration. */
struct want {
	struct sv_service *service;
	const struct sv_endpoint *ep;
	bool missing;
	char *error; /* it could not be opened */
};

static size_t count_endpoints(const struct sv_config *config)
{
	size_t count = 0;

	for (size_t i = 0; i < config->count; i++) {
		count += config->specs[i].endpoint_count;
	}
	return count;
}

/* make_services - the new ones, with the sockets that stay */
static void make_services(struct supervisor *sv, const struct sv_config *config,
	struct sv_service *old, struct want *want)
{
	struct sv_service **last = &sv->services;
	size_t room = count_listeners(old);

	sv->services = NULL;
	for (size_t i = 0; i < config->count; i++) {
		const struct sv_spec *spec = &config->specs[i];
		struct sv_service *s = new_service(sv, spec, room);

		*last = s;
		last = &s->next;
		for (size_t j = 0; j < spec->endpoint_count; j++, want++) {
			want->service = s;
			want->ep = &spec->endpoints[j];
			want->missing = !take_over(s, want->ep, old);
		}
	}
}

/* settle_wants - steps 2 and 3. When first, an error is the caller's: 0, -1 with a text */
static int settle_wants(
	struct want *want, size_t count, struct sv_service *old, bool first, char **error_r)
{
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++) {
		if (want[i].missing &&
			!open_missing(want[i].service, want[i].ep, old, &want[i].error) && first &&
			want[i].error != NULL) {
			*error_r = want[i].error;
			want[i].error = NULL;
			rc = -1;
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (want[i].error != NULL) {
			keep_old(want[i].service, want[i].ep, old, want[i].error);
			mem_free(want[i].error);
		}
	}
	return rc;
}

int sv_apply(struct supervisor *sv, struct sv_config *config, bool first, char **error_r)
{
	struct sv_service *old = sv->services;
	size_t count = count_endpoints(config);
	struct want *want = mem_calloc(count + 1, sizeof(*want));
	int rc;

	sv->reloaded = !first;
	make_services(sv, config, old, want);
	rc = settle_wants(want, count, old, first, error_r);
	mem_free(want);
	leave_old(sv, old);
	arena_free(&config->arena);
	if (!first) {
		sv_start_services(sv);
	}
	return rc;
}
