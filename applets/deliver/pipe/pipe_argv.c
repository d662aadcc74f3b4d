/*
 * pipe_argv - the macros in the command of a pipe service
 *
 * A word with a macro about recipients becomes as many words as there are recipients. One whose
 * ${user} is empty ("@domain") is left out. Nothing is expanded twice: a value that holds a
 * '$' stays as it is, and no shell is in between.
 *
 * Manual: Postfix's pipe(8).
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/macro.h"
#include "conf/params.h"
#include "address/lookup.h"
#include "applets/deliver/pipe/pipe_spec.h"

enum part {
	PART_NONE,
	PART_ADDRESS,
	PART_ORIGINAL,
	PART_USER,
	PART_EXTENSION,
	PART_MAILBOX,
	PART_DOMAIN
};

/* Macros about recipients; the others are in value_of(). */
static const struct {
	const char *name;
	enum part part;
} parts[] = {
	{ "recipient", PART_ADDRESS },
	{ "original_recipient", PART_ORIGINAL },
	{ "user", PART_USER },
	{ "extension", PART_EXTENSION },
	{ "mailbox", PART_MAILBOX },
	{ "domain", PART_DOMAIN },
};

/* One word, on its way. */
struct expansion_of {
	struct arena *a;
	const struct pipe_spec *spec;
	const struct pipe_values *v;       /* NULL: only looked at */
	const struct pipe_recipient *rcpt; /* the one of this turn */
	bool each;                         /* a macro about recipients was met */
	bool empty;                        /* ${user} was */
	const char *unknown;
};

static enum part part_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (strcmp(parts[i].name, name) == 0) {
			return parts[i].part;
		}
	}
	return PART_NONE;
}

static char *lower(char *text)
{
	str_lower(text);
	return text;
}

/* folded - host or domain, as the flag h wants it */
static const char *folded(const struct expansion_of *x, const char *host)
{
	return x->spec->flags & PIPE_FOLD_HOST ? lower(arena_strdup(x->a, host)) : host;
}

/* local_of - without quotes, as the flag u wants it */
static char *local_of(const struct expansion_of *x, const char *address)
{
	char *local = address_local(x->a, address);

	return x->spec->flags & PIPE_FOLD_USER ? lower(local) : local;
}

/* whole - a recipient's address as h, q and u want it */
static const char *whole(const struct expansion_of *x, const char *address)
{
	const char *local = local_of(x, address);
	const char *domain = folded(x, address_domain(address));

	if (x->spec->flags & PIPE_QUOTE) {
		return address_make(x->a, local, domain);
	}
	return address_at(address) == NULL ? local : arena_printf(x->a, "%s@%s", local, domain);
}

/* sender_of - the null sender has a name of its own */
static const char *sender_of(const struct expansion_of *x)
{
	const char *sender = x->v->sender;
	const char *domain;

	if (sender[0] == '\0') {
		sender = x->spec->null_sender;
	}
	if (sender[0] == '\0') {
		return "";
	}
	domain = address_domain(sender);
	if (x->spec->flags & PIPE_QUOTE) {
		return address_make(x->a, address_local(x->a, sender), domain);
	}
	return address_at(sender) == NULL
		? address_local(x->a, sender)
		: arena_printf(x->a, "%s@%s", address_local(x->a, sender), domain);
}

/* rcpt_value - a macro about the recipient of this turn */
static const char *rcpt_value(struct expansion_of *x, enum part part)
{
	const char *address = x->rcpt->address, *ext;
	char *local;

	if (part == PART_ADDRESS || part == PART_ORIGINAL) {
		return whole(x, part == PART_ADDRESS ? address : x->rcpt->original);
	}
	if (part == PART_DOMAIN) {
		return folded(x, address_domain(address));
	}
	local = local_of(x, address);
	if (part == PART_MAILBOX) {
		return local;
	}
	ext = address_extension(local);
	if (part == PART_EXTENSION) {
		return ext != NULL ? ext + 1 : "";
	}
	x->empty = x->empty || local[0] == '\0';
	return ext != NULL ? arena_strndup(x->a, local, (size_t)(ext - local)) : local;
}

/* value_of - a macro that is the same for all recipients; NULL: there is none of that name */
static const char *value_of(struct expansion_of *x, const char *name)
{
	static const struct pipe_values none = { "", "", "", "", "", "", "", "", "", "", "", "", "",
		0, NULL, 0 };
	const struct pipe_values *v = x->v != NULL ? x->v : &none;
	const struct {
		const char *name, *value;
	} rows[] = {
		{ "client_address", v->client_address },
		{ "client_helo", v->client_helo },
		{ "client_hostname", v->client_hostname },
		{ "client_port", v->client_port },
		{ "client_protocol", v->client_protocol },
		{ "envid", v->envid },
		{ "queue_id", v->queue_id },
		{ "sasl_method", v->sasl_method },
		{ "sasl_sender", v->sasl_sender },
		{ "sasl_username", v->sasl_username },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].name, name) == 0) {
			return rows[i].value;
		}
	}
	if (strcmp(name, "sender") == 0) {
		return x->v != NULL ? sender_of(x) : "";
	}
	if (strcmp(name, "nexthop") == 0) {
		return folded(x, v->nexthop);
	}
	if (strcmp(name, "size") == 0) {
		return arena_printf(x->a, "%lld", (long long)v->size);
	}
	return NULL;
}

static const char *on_name(void *arg, const char *name)
{
	struct expansion_of *x = arg;
	enum part part = part_of(name);
	const char *value;

	if (part != PART_NONE) {
		x->each = true;
		return x->v != NULL && x->rcpt != NULL ? rcpt_value(x, part) : "";
	}
	value = value_of(x, name);
	if (value == NULL && x->unknown == NULL) {
		x->unknown = arena_strdup(x->a, name);
	}
	return value;
}

/* expand_word - with the values of x; in x->a */
static char *expand_word(struct expansion_of *x, const char *word)
{
	const struct expand e = { .lookup = on_name, .arg = x };
	struct buf out = BUF_INIT;
	char *error = NULL, *text;

	if (expand_text(&e, &out, word, &error) != 0) {
		if (x->unknown == NULL) {
			x->unknown = arena_strdup(x->a, word);
		}
		mem_free(error);
	}
	text = arena_strdup(x->a, buf_str(&out));
	buf_free(&out);
	return text;
}

const char *pipe_argv_unknown(struct arena *a, char *const *argv)
{
	static const struct pipe_spec spec = { .null_sender = "" };
	struct expansion_of x = { .a = a, .spec = &spec };

	for (; *argv != NULL && x.unknown == NULL; argv++) {
		(void)expand_word(&x, *argv);
	}
	return x.unknown;
}

char **pipe_argv(struct arena *a, const struct pipe_spec *s, const struct pipe_values *v)
{
	size_t words = 0, n = 0;
	char **out;

	while (s->argv[words] != NULL) {
		words++;
	}
	out = arena_alloc(a, (words * (v->rcpt_count + 1) + 1) * sizeof(*out));
	for (size_t i = 0; i < words; i++) {
		struct expansion_of look = { .a = a, .spec = s, .v = v };
		char *word = expand_word(&look, s->argv[i]);

		if (!look.each) {
			out[n++] = word;
		}
		for (size_t k = 0; look.each && k < v->rcpt_count; k++) {
			struct expansion_of x = { .a = a, .spec = s, .v = v, .rcpt = &v->rcpts[k] };

			word = expand_word(&x, s->argv[i]);
			if (!x.empty) {
				out[n++] = word;
			}
		}
	}
	out[n] = NULL;
	return n > 0 && out[0][0] != '\0' ? out : NULL;
}
