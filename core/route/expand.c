/*
 * expand - a local recipient's aliases and .forward followed to the end
 *
 * Every step knows the steps before it (a chain), so that
 *
 *	a: a, b			an alias that names itself means the user a
 *	~a/.forward: a, x@y	a .forward that names its owner means the mailbox
 *	a: b  b: a		is a loop and bounces
 *
 * A recipient that Delivered-To names already has come back to us: it bounces (5.4.6).
 * Where the same mailbox, command or address is reached twice it counts once.
 *
 * Rights: what a user's .forward says is done as that user, an :include: file's as its owner, an
 * alias' as default_privs.
 */
#include "route/expand.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map.h"
#include "map/map_wait.h"
#include "address/alias.h"
#include "address/forward.h"
#include "address/lookup.h"
#include "address/rewrite.h"
#include "route/mailbox_transport.h"
#include "route/resolve.h"

enum { DEPTH_MAX = 100, TARGETS_MAX = 50000 };

/* alias_maps, opened. */
static struct {
	struct maps *aliases;
	struct hash warned; /* .forward files everybody can read */
	/* all of the tables are root's own: includes are read as root */
	bool trusted;
} compiled;

enum source { FROM_ENVELOPE, FROM_ALIAS, FROM_FORWARD, FROM_INCLUDE, FROM_LUSER };

/* One step of the chain that led to an address. */
struct step {
	enum source source;
	const char *name; /* alias key, user's name or path */
	const struct step *up;
	int depth;
};

struct expander {
	struct arena *a;
	const struct expand_env *env;
	struct expansion *out;
	struct hash seen;   /* what was delivered to: drops duplicates */
	const char *domain; /* of the recipient we began with */
	/* of the file being followed; NULL: default_privs */
	const struct local_user *rights;
	/* With its delimiter: what was no part of the key, and goes on to the addresses; "" none */
	const char *unmatched;
};

/* The address being looked at. */
struct where {
	const char *address;
	const char *local;     /* without quotes, with extension, lower case for aliases */
	const char *bare;      /* without extension */
	const char *extension; /* "" none */
	const char *delimiter;
	const char *domain;
};

static void expand_address(struct expander *x, const char *address, const struct step *step);

void expand_free(void)
{
	maps_close(compiled.aliases);
	hash_free(&compiled.warned, NULL);
	mailbox_transports_close();
	memset(&compiled, 0, sizeof(compiled));
}

void expand_init(void)
{
	expand_free();
	compiled.aliases = maps_open(param.alias_maps, MAP_SOURCE_ALIAS);
	compiled.trusted = alias_tables_trusted(param.alias_maps);
	mailbox_transports_open();
}

/* add - a target unless it is there already (key NULL: always added) */
static struct target *add(struct expander *x, enum target_kind kind, const struct where *w,
	const char *value, const char *key)
{
	struct target *t;

	if (key != NULL) {
		if (hash_get(&x->seen, key) != NULL) {
			return NULL;
		}
		hash_set(&x->seen, key, (void *)1);
	}
	t = arena_alloc(x->a, sizeof(*t));
	t->kind = kind;
	t->address = w->address;
	t->value = value;
	t->dsn = "2.0.0";
	t->local = w->local;
	t->extension = w->extension;
	t->domain = w->domain;
	if (x->out->last != NULL) {
		x->out->last->next = t;
	} else {
		x->out->first = t;
	}
	x->out->last = t;
	x->out->count++;
	return t;
}

static void problem(struct expander *x, enum target_kind kind, const struct where *w,
	const char *dsn, const char *why, bool again)
{
	struct target *t =
		add(x, kind, w, why, arena_printf(x->a, "problem %s %s", w->address, why));

	if (t != NULL) {
		t->dsn = dsn;
		t->again = again;
	}
}

static void add_problem(struct expander *x, enum target_kind kind, const struct where *w,
	const char *dsn, const char *why)
{
	problem(x, kind, w, dsn, why, false);
}

/* add_again - a problem that comes up just so when w->address is a recipient of its own */
static void add_again(struct expander *x, enum target_kind kind, const struct where *w,
	const char *dsn, const char *why)
{
	problem(x, kind, w, dsn, why, true);
}

/* may - does allow_mail_to_files or allow_mail_to_commands name where this comes from? */
static bool may(const char *list, const struct step *step)
{
	switch (step->source) {
	case FROM_ENVELOPE:
		return false;
	case FROM_ALIAS:
	case FROM_LUSER:
		return list_has(list, "alias");
	case FROM_FORWARD:
		return list_has(list, "forward");
	case FROM_INCLUDE:
		return list_has(list, "include");
	}
	return false;
}

/* set_rights - as whom a file or command is delivered to; false: cannot be found out now */
static bool set_rights(struct expander *x, struct target *t)
{
	if (x->rights != NULL) {
		t->user = *x->rights;
		return true;
	}
	if (default_user(x->a, &t->user) > 0) {
		/* Whose mail it is has no home and no shell: a command is told of none. */
		t->user.home = t->user.shell = "";
		return true;
	}
	t->kind = TARGET_DEFER;
	t->dsn = "4.3.0";
	t->value = "there is no default_privs user to deliver as";
	return false;
}

static void add_file(
	struct expander *x, const struct where *w, const char *path, const struct step *step)
{
	struct target *t;

	if (!may(param.allow_mail_to_files, step)) {
		add_problem(x, TARGET_FAIL, w, "5.7.1",
			arena_printf(x->a, "mail to file is restricted"));
		return;
	}
	if (strcmp(path, "/dev/null") == 0) {
		add(x, TARGET_DISCARD, w, "delivered to file: /dev/null", "file /dev/null");
		return;
	}
	t = add(x, TARGET_FILE, w, path, arena_printf(x->a, "file %s", path));
	if (t != NULL) {
		set_rights(x, t);
	}
}

static void add_command(
	struct expander *x, const struct where *w, const char *command, const struct step *step)
{
	uid_t uid = x->rights != NULL ? x->rights->uid : (uid_t)-1;
	struct target *t;

	if (!may(param.allow_mail_to_commands, step)) {
		add_problem(x, TARGET_FAIL, w, "5.7.1",
			arena_printf(x->a, "mail to command is restricted"));
		return;
	}
	t = add(x, TARGET_COMMAND, w, command,
		arena_printf(x->a, "command %ld %s", (long)uid, command));
	if (t != NULL) {
		set_rights(x, t);
	}
}

/*
 * add_remote - an address some other transport delivers to, or what virtual_alias_maps
 * makes of it
 */
static void add_remote(struct expander *x, const struct where *w)
{
	const char **list = NULL;
	size_t count = 0;
	int rc = route_virtual_expand(x->a, w->address, &list, &count);

	if (rc < 0) {
		add_again(x, TARGET_DEFER, w, "4.3.0", "virtual alias table look-up failed");
		return;
	}
	for (size_t i = 0; i < (rc == 0 ? 1 : count); i++) {
		const char *address = rc == 0 ? w->address : list[i];
		char *key = arena_printf(x->a, "remote %s", address);

		str_lower(key);
		add(x, TARGET_REMOTE, w, address, key);
	}
}

/* in_chain - did a step of this kind and name lead here? */
static const struct step *in_chain(const struct step *step, enum source source, const char *name)
{
	for (; step != NULL; step = step->up) {
		if (step->source == source && str_ieq(step->name, name)) {
			return step;
		}
	}
	return NULL;
}

/* add_pass - to another transport, if one is named. True: it is added (or a problem) */
static bool add_pass(
	struct expander *x, const struct where *w, enum mailbox_transport which, bool again)
{
	const char *value = "";
	int rc = mailbox_transport_find(x->a, which, w->bare, &value);
	struct target *t = NULL;

	if (rc < 0) {
		add_again(x, TARGET_DEFER, w, "4.3.0", "mailbox transport look-up failed");
	} else if (rc > 0) {
		t = add(x, TARGET_PASS, w, value, arena_printf(x->a, "pass %s", w->bare));
	}
	if (t != NULL) {
		t->again = again;
	}
	return rc != 0;
}

/* add_mailbox - the user's own: mailbox_command, home_mailbox, mail_spool_directory */
static void add_mailbox(
	struct expander *x, const struct where *w, const struct local_user *u, bool again)
{
	const char *command, *path;
	struct target *t;

	if (add_pass(x, w, MAILBOX_TRANSPORT, again)) {
		return;
	}
	command = mailbox_command_find(x->a, u->name, w->domain);
	if (command == NULL) {
		add_problem(x, TARGET_DEFER, w, "4.3.0", "mailbox_command_maps look-up failed");
		return;
	}
	if (command[0] == '\0' && param.home_mailbox[0] != '\0' && u->home[0] != '/') {
		add_problem(x, TARGET_DEFER, w, "4.2.0",
			arena_printf(x->a, "user %s has no home directory", u->name));
		return;
	}
	if (param.home_mailbox[0] != '\0') {
		path = arena_printf(x->a, "%s/%s", u->home, param.home_mailbox);
	} else {
		size_t len = strlen(param.mail_spool_directory);
		bool maildir = len > 0 && param.mail_spool_directory[len - 1] == '/';

		path = arena_printf(
			x->a, "%s%s%s", param.mail_spool_directory, maildir ? "" : "/", u->name);
		path = maildir ? arena_printf(x->a, "%s/", path) : path;
	}
	t = add(x, command[0] != '\0' ? TARGET_COMMAND : TARGET_MAILBOX, w,
		command[0] != '\0' ? command : path, arena_printf(x->a, "mailbox %s", u->name));
	if (t != NULL) {
		t->user = *u;
		t->spool = param.home_mailbox[0] == '\0';
		t->again = again;
	}
}

/* expand_items - what an alias, .forward, :include: or luser_relay says */
static void expand_items(struct expander *x, const struct where *w, const char *text, size_t len,
	const struct step *step);

/* propagated - the extension that goes on to a list's addresses: it had no part in finding it */
static const char *propagated(
	struct expander *x, const struct where *w, const char *kind, bool matched)
{
	return !matched && w->extension[0] != '\0' &&
			list_has(param.propagate_unmatched_extensions, kind)
		? arena_printf(x->a, "%s%s", w->delimiter, w->extension)
		: "";
}

/* include - an :include: file */
static void include(
	struct expander *x, const struct where *w, const char *path, const struct step *step)
{
	struct step next = { FROM_INCLUDE, path, step, step->depth + 1 };
	const struct local_user *before = x->rights;
	const struct local_user *as = before;
	const char *unmatched = x->unmatched;
	struct local_user *owner = arena_alloc(x->a, sizeof(*owner)), nobody;
	struct buf text = BUF_INIT;
	const char *why = "";
	int rc;

	if (in_chain(step, FROM_INCLUDE, path) != NULL) {
		add_problem(x, TARGET_FAIL, w, "5.4.6",
			arena_printf(x->a, "include file loop for %s", path));
		return;
	}
	if (as == NULL && !compiled.trusted && default_user(x->a, &nobody) > 0) {
		as = &nobody;
	}
	rc = include_read(x->a, path, as, &text, owner, &why);
	if (rc <= 0) {
		add_problem(
			x, rc < 0 ? TARGET_DEFER : TARGET_FAIL, w, rc < 0 ? "4.3.0" : "5.2.4", why);
	} else {
		x->rights = before != NULL ? before : owner;
		if (!list_has(param.propagate_unmatched_extensions, "include")) {
			x->unmatched = "";
		}
		expand_items(x, w, buf_str(&text), text.len, &next);
		x->unmatched = unmatched;
		x->rights = before;
	}
	buf_free(&text);
}

/* own_mailbox - \user: no aliases, no .forward */
static void own_mailbox(struct expander *x, const struct where *w, const char *name)
{
	struct local_user u;
	struct where mine = *w;
	const char *at = address_at(name);
	int rc;

	if (at != NULL) {
		name = arena_strndup(x->a, name, (size_t)(at - name));
	}
	mine.address = address_make(x->a, name, w->domain);
	mine.local = mine.bare = name;
	mine.extension = mine.delimiter = "";
	rc = local_user_find(x->a, name, &u);
	if (rc > 0) {
		add_mailbox(x, &mine, &u, false);
	} else {
		add_problem(x, rc < 0 ? TARGET_DEFER : TARGET_FAIL, &mine,
			rc < 0 ? "4.3.0" : "5.1.1",
			rc < 0 ? "user lookup error"
			       : arena_printf(x->a, "unknown user: \"%s\"", name));
	}
}

/* in_home - "~/file" where somebody's rights are known: a file below that home */
static bool in_home(
	struct expander *x, const struct where *w, const char *text, const struct step *step)
{
	if (!str_starts(text, "~/") || x->rights == NULL || x->rights->home[0] != '/') {
		return false;
	}
	add_file(x, w, arena_printf(x->a, "%s%s", x->rights->home, text + 1), step);
	return true;
}

static void expand_items(struct expander *x, const struct where *w, const char *text, size_t len,
	const struct step *step)
{
	struct alias_item *items;
	size_t n = alias_parse(x->a, text, len, &items);

	/* Of a long list as much as can be asked for at a time; the rest when there are answers. */
	for (size_t i = 0; i < n && !map_is_full(); i++) {
		if (x->out->count >= TARGETS_MAX) {
			add_problem(x, TARGET_FAIL, w, "5.4.6", "alias expansion is too large");
			return;
		}
		switch (items[i].kind) {
		case ALIAS_ADDRESS:
			if (!in_home(x, w, items[i].text, step)) {
				expand_address(x, items[i].text, step);
			}
			break;
		case ALIAS_USER:
			own_mailbox(x, w, items[i].text);
			break;
		case ALIAS_COMMAND:
			add_command(x, w, items[i].text, step);
			break;
		case ALIAS_FILE:
			add_file(x, w, items[i].text, step);
			break;
		case ALIAS_INCLUDE:
			include(x, w, items[i].text, step);
			break;
		}
	}
}

/*
 * first_time - is this alias or .forward followed for the first time? What it leads to is known
 * then; following it again would take forever where many name each other
 */
static bool first_time(struct expander *x, const char *what, const char *name)
{
	char *key = arena_printf(x->a, "%s %s", what, name);

	str_lower(key);
	if (hash_get(&x->seen, key) != NULL) {
		return false;
	}
	hash_set(&x->seen, key, (void *)1);
	return true;
}

/* set_owner - owner-NAME: who hears of problems with this list; the outermost counts */
static void set_owner(struct expander *x, const char *name)
{
	struct buf value = BUF_INIT;
	struct alias_item *items;
	const char *owner;

	if (x->out->owner != NULL || str_istarts(name, "owner-")) {
		return;
	}
	owner = arena_printf(x->a, "owner-%s", name);
	if (maps_get(compiled.aliases, owner, &value) > 0) {
		owner = address_make(x->a, owner, "");
		if (param.expand_owner_alias &&
			alias_parse(x->a, buf_str(&value), value.len, &items) == 1 &&
			items[0].kind == ALIAS_ADDRESS) {
			owner = items[0].text;
		}
		x->out->owner = rewrite_address(x->a, owner, REWRITE_LOCAL);
	}
	buf_free(&value);
}

/* try_alias - is there an alias of this name? True: expanded (or a problem added) */
static bool try_alias(
	struct expander *x, const struct where *w, const char *name, const struct step *step)
{
	struct step next = { FROM_ALIAS, name, step, step->depth + 1 };
	const struct local_user *before = x->rights;
	struct buf value = BUF_INIT;
	size_t had = x->out->count;
	int rc;

	/* a: a, b */
	if (step->source == FROM_ALIAS && str_ieq(step->name, name)) {
		return false;
	}
	rc = maps_get(compiled.aliases, name, &value);
	if (rc < 0) {
		add_again(x, TARGET_DEFER, w, "4.3.0", "alias database unavailable");
	} else if (rc > 0 &&
		(in_chain(step, FROM_ALIAS, name) != NULL || step->depth > DEPTH_MAX)) {
		if (!map_is_waiting()) {
			log_warn("possible alias database loop for %s", name);
		}
		add_problem(x, TARGET_FAIL, w, "5.4.6",
			arena_printf(x->a, "possible alias database loop for %s", name));
	} else if (rc > 0 && first_time(x, "alias", name)) {
		set_owner(x, name);
		x->rights = NULL;
		x->unmatched = propagated(x, w, "alias", name == w->local);
		expand_items(x, w, buf_str(&value), value.len, &next);
		x->unmatched = "";
		x->rights = before;
		if (x->out->count == had && value.len == strspn(buf_str(&value), " \t,")) {
			if (!map_is_waiting()) {
				log_warn("alias %s has no destination", name);
			}
			add_problem(x, TARGET_FAIL, w, "5.3.5",
				arena_printf(x->a, "alias %s has no destination", name));
		}
	}
	buf_free(&value);
	return rc != 0;
}

/* try_forward - the user's .forward. True: it was followed (or a problem added) */
static bool try_forward(struct expander *x, const struct where *w, const struct local_user *u,
	const struct step *step)
{
	struct step next = { FROM_FORWARD, u->name, step, step->depth + 1 };
	struct forward_names names = { u, w->address, w->local, w->domain, w->extension,
		w->delimiter, &compiled.warned };
	const struct local_user *before = x->rights;
	const char *path = "", *why = "";
	struct buf text = BUF_INIT;
	struct alias_item *items;
	int rc = forward_read(x->a, &names, &text, &path, &why);

	if (rc > 0 && alias_parse(x->a, buf_str(&text), text.len, &items) == 0) {
		rc = 0;
	}
	if (rc < 0) {
		add_problem(x, TARGET_DEFER, w, "4.3.0", why);
	} else if (rc > 0 && first_time(x, "forward", u->name)) {
		x->rights = u;
		x->unmatched = propagated(x, w, "forward",
			strstr(path, arena_printf(x->a, "%s%s", w->delimiter, w->extension)) !=
				NULL);
		expand_items(x, w, buf_str(&text), text.len, &next);
		x->unmatched = "";
		x->rights = before;
	}
	buf_free(&text);
	return rc != 0;
}

/* unknown - neither alias nor user: luser_relay, or it bounces */
static void unknown(struct expander *x, const struct where *w, const struct step *step)
{
	const struct local_user bare = { .name = w->bare, .home = NULL, .shell = NULL };
	struct forward_names names = { &bare, w->address, w->local, w->domain, w->extension,
		w->delimiter, &compiled.warned };
	struct step next = { FROM_LUSER, "luser_relay", step, step->depth + 1 };
	const char *relay;

	if (param.luser_relay[0] == '\0' || in_chain(step, FROM_LUSER, "luser_relay") != NULL) {
		add_again(x, TARGET_FAIL, w, "5.1.1",
			arena_printf(x->a, "unknown user: \"%s\"", w->bare));
		return;
	}
	relay = param.luser_relay;
	if (relay[0] != '|') {
		relay = forward_expand(x->a, relay, &names);
	}
	expand_items(x, w, relay, strlen(relay), &next);
}

/* expand_user - a local part that is no alias */
static void expand_user(struct expander *x, const struct where *w, const struct step *step)
{
	const struct step *own;
	struct local_user *u = arena_alloc(x->a, sizeof(*u));
	int rc = local_user_find(x->a, w->bare, u);

	if (rc < 0) {
		add_again(x, TARGET_DEFER, w, "4.3.0", "user lookup error");
		return;
	}
	if (rc == 0) {
		if (!add_pass(x, w, MAILBOX_TRANSPORT, true) &&
			!add_pass(x, w, FALLBACK_TRANSPORT, true)) {
			unknown(x, w, step);
		}
		return;
	}
	if (param.require_home_directory && access(u->home, F_OK) != 0) {
		add_again(x, TARGET_DEFER, w, "4.3.0",
			arena_printf(x->a, "cannot access home directory of user %s", u->name));
		return;
	}
	own = in_chain(step, FROM_FORWARD, u->name);
	if (own != NULL && own != step) {
		add_problem(x, TARGET_FAIL, w, "5.4.6",
			arena_printf(x->a, "mail forwarding loop for %s", w->address));
		return;
	}
	if (own != NULL || !try_forward(x, w, u, step)) {
		/* a: a, b: as a recipient of its own, a would mean b too. */
		add_mailbox(x, w, u,
			own == NULL &&
				!(step->source == FROM_ALIAS &&
					(str_ieq(step->name, w->local) ||
						str_ieq(step->name, w->bare))));
	}
}

/* take_apart - an address of ours */
static void take_apart(struct expander *x, const char *address, struct where *w)
{
	const char *ext;
	char *local = address_local(x->a, address);

	w->address = address;
	w->domain = address_domain(address);
	w->local = w->bare = local;
	w->extension = w->delimiter = "";
	ext = address_extension(local);
	if (ext != NULL) {
		w->bare = arena_strndup(x->a, local, (size_t)(ext - local));
		w->extension = ext + 1;
		w->delimiter = w->extension[0] != '\0' ? arena_strndup(x->a, ext, 1) : "";
	}
}

/* is_local - is the address delivered by us? 1, 0, -1 */
static int is_local(struct expander *x, const char *address)
{
	struct route r;
	int rc = route_resolve(x->a, "", address, &r);

	if (rc < 0) {
		return -1;
	}
	return r.class == ROUTE_LOCAL && rc == 1 && strcmp(r.transport, "local") == 0;
}

static void expand_address(struct expander *x, const char *address, const struct step *step)
{
	struct where w;
	bool first = step->source == FROM_ENVELOPE;
	int rc = 1;

	/* A bare name in a file of ours is a user here, whatever myorigin says. */
	if (!first && address_at(address) == NULL) {
		address = strpbrk(address, "!%") == NULL
			? arena_printf(x->a, "%s%s%s", address, x->domain[0] != '\0' ? "@" : "",
				  x->domain)
			: rewrite_address(x->a, address, REWRITE_LOCAL);
	} else if (!first) {
		address = rewrite_address(x->a, address, REWRITE_LOCAL);
	}
	if (!first && x->unmatched[0] != '\0') {
		address = address_make(x->a,
			arena_printf(x->a, "%s%s", address_local(x->a, address), x->unmatched),
			address_domain(address));
	}
	take_apart(x, address, &w);
	if (!first && !str_ieq(w.domain, x->domain)) {
		rc = is_local(x, address);
	}
	if (rc < 0) {
		add_problem(x, TARGET_DEFER, &w, "4.3.0", "address resolver failure");
	} else if (rc == 0 || (!first && strpbrk(w.local, "@%!") != NULL)) {
		/* u%host@here is for the queue manager to take apart. */
		add_remote(x, &w);
	} else if (x->env->delivered != NULL && x->env->delivered(x->env->arg, address)) {
		add_problem(x, TARGET_FAIL, &w, "5.4.6",
			arena_printf(x->a, "mail forwarding loop for %s", address));
	} else if (step->depth > DEPTH_MAX) {
		add_problem(x, TARGET_FAIL, &w, "5.4.6",
			arena_printf(x->a, "too many aliases on the way to %s", address));
	} else if (!try_alias(x, &w, w.local, step) &&
		(w.extension[0] == '\0' || !try_alias(x, &w, w.bare, step))) {
		expand_user(x, &w, step);
	}
}

void expand_recipient(
	struct arena *a, const struct expand_env *env, const char *address, struct expansion *out)
{
	struct expander x = {
		.a = a, .env = env, .out = out, .domain = address_domain(address), .unmatched = ""
	};
	const struct step start = { FROM_ENVELOPE, "", NULL, 0 };

	memset(out, 0, sizeof(*out));
	expand_address(&x, address, &start);
	if (out->count == 0) {
		struct where w;

		/* An empty :include: file. Without a target nobody would ever answer. */
		take_apart(&x, address, &w);
		add(&x, TARGET_DISCARD, &w, "nobody is on the list", NULL);
	}
	hash_free(&x.seen, NULL);
}
