/*
 * postconf - show and change main.cf, show master.cf
 *
 *	postconf [-nd] [-hH] [-x] [-f] [-C CLASS] [NAME]...
 *	postconf -e NAME=VALUE... | -X NAME... | -# NAME...
 *	postconf -M | -P | -F [SERVICE/TYPE[/NAME]]...
 *	postconf -m | -l | -a | -A
 *
 * Shows what is written, also when it could not be used: nothing is converted
 * here. Warnings go to standard error, so that scripts get only what they
 * asked for.
 */
#include "applets/admin/postconf/postconf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/params.h"
#include "map/map.h"
#include "applets/applets.h"

/* What is to be done; one of these. */
enum action {
	LIST,
	SERVICES,
	SERVICE_PARAMS,
	SERVICE_FIELDS,
	MAP_TYPES,
	LOCK_TYPES,
	SERVER_SASL,
	CLIENT_SASL,
	VERSION
};

static struct G {
	struct postconf pc;
	enum action action;
	bool edit_given;
	enum edit_mode edit;
	const char *dash_c;
	const char *version_of;
	bool overridden; /* -o */
	int verbose;
} G;

/* In the order in which the manual names them. */
static const struct {
	char letter;
	enum action action;
} actions[] = {
	{ 'a', SERVER_SASL },
	{ 'A', CLIENT_SASL },
	{ 'F', SERVICE_FIELDS },
	{ 'l', LOCK_TYPES },
	{ 'm', MAP_TYPES },
	{ 'M', SERVICES },
	{ 'P', SERVICE_PARAMS },
	{ 'T', VERSION },
};

static void set_action(enum action action)
{
	char both[2];
	size_t n = 0;

	if (G.action != LIST && G.action != action) {
		for (size_t i = 0; i < ARRAY_LEN(actions) && n < sizeof(both); i++) {
			if (actions[i].action == action || actions[i].action == G.action) {
				both[n++] = actions[i].letter;
			}
		}
		log_fatal("specify one of -%c -%c", both[0], both[1]);
	}
	G.action = action;
}

static void set_edit(enum edit_mode mode)
{
	static const char letters[] = {
		[EDIT_SET] = 'e', [EDIT_REMOVE] = 'X', [EDIT_COMMENT] = '#'
	};

	if (G.edit_given && G.edit != mode) {
		log_fatal("specify one of -%c -%c", letters[mode < G.edit ? mode : G.edit],
			letters[mode < G.edit ? G.edit : mode]);
	}
	G.edit_given = true;
	G.edit = mode;
}

static void add_class(const char *text)
{
	static const struct {
		const char *name;
		int class;
	} classes[] = {
		{ "all", CLASS_ALL },
		{ "builtin", CLASS_BUILTIN },
		{ "service", CLASS_SERVICE },
		{ "user", CLASS_USER },
	};
	struct slice rest = slice_of(text), word;

	while ((word = slice_word(&rest, ", \t")).ptr != NULL) {
		size_t i = 0;

		while (i < ARRAY_LEN(classes) && !slice_ieq(word, classes[i].name)) {
			i++;
		}
		if (i == ARRAY_LEN(classes)) {
			log_fatal("unknown -C option value \"%.*s\" in \"%s\"", (int)word.len,
				word.ptr, text);
		}
		G.pc.classes |= classes[i].class;
	}
}

/* take_form - options that say how things are shown; false: none of them */
static bool take_form(int opt)
{
	switch (opt) {
	case 'd':
		G.pc.defaults = true;
		return true;
	case 'f':
		G.pc.fold = true;
		return true;
	case 'h':
		G.pc.no_names = true;
		return true;
	case 'H':
		G.pc.no_values = true;
		return true;
	case 'j':
		G.pc.json = true;
		return true;
	case 'n':
		G.pc.set_only = true;
		return true;
	case 'q':
		G.pc.quiet = true;
		return true;
	case 'x':
		G.pc.expand = true;
		return true;
	case 'p':
		/* main.cf, as opposed to -M and -P: what is done anyway. */
		return true;
	default:
		return false;
	}
}

/* take_option - false: unknown */
static bool take_option(int opt)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (actions[i].letter == opt) {
			set_action(actions[i].action);
			G.version_of = optarg;
			return true;
		}
	}
	switch (opt) {
	case 'C':
		add_class(optarg);
		return true;
	case 'X':
		set_edit(EDIT_REMOVE);
		return true;
	case '#':
		set_edit(EDIT_COMMENT);
		return true;
	case 'e':
		set_edit(EDIT_SET);
		return true;
	case 'c':
		G.dash_c = optarg;
		return true;
	case 'o':
		if (!conf_override(optarg)) {
			log_fatal("-o %s: name=value is wanted", optarg);
		}
		G.overridden = true;
		return true;
	case 'v':
		log_set_verbose(++G.verbose);
		return true;
	default:
		return take_form(opt);
	}
}

static void print_words(const char *const *words)
{
	for (; *words != NULL; words++) {
		puts(*words);
	}
}

static void print_map_types(void)
{
	const char *name;

	for (size_t n = 0; (name = map_type_name(n)) != NULL; n++) {
		puts(name);
	}
}

/* print_version - -T: what we are built with */
static int print_version(const char *what)
{
	if (strcmp(what, "compile-version") == 0 || strcmp(what, "run-version") == 0) {
		puts("BearSSL 0.6");
	} else if (strcmp(what, "public-key-algorithms") == 0) {
		puts("RSA\nECDSA");
	} else {
		log_warn("unknown 'postconf -T' mode: %s", what);
	}
	return 0;
}

static void load(void)
{
	const char *env = getenv("MAIL_CONFIG");
	char *error = NULL;

	G.pc.dir = conf_dir(G.dash_c);
	G.pc.show_dir = G.dash_c != NULL || (env != NULL && *env != '\0');
	/* Defaults do not depend on the file. */
	if (!G.pc.defaults && conf_read(G.pc.dir, false, &error) != 0) {
		log_fatal("%s", error);
	}
}

/* edits - is there something to change behind that option? */
static bool edits(enum action action)
{
	return action == LIST || action == SERVICES || action == SERVICE_PARAMS ||
		action == SERVICE_FIELDS;
}

static int edit_master(enum master_part part, char **args)
{
	G.pc.dir = conf_dir(G.dash_c);
	return postconf_edit_master(&G.pc, part, G.edit, args);
}

static int run(char **args)
{
	static const char *const lock_types[] = { "fcntl", "dotlock", NULL };
	static const char *const server_sasl[] = { "cyrus", "dovecot", NULL };
	static const char *const client_sasl[] = { "cyrus", NULL };
	int rc;

	switch (G.action) {
	case MAP_TYPES:
		print_map_types();
		return 0;
	case LOCK_TYPES:
		print_words(lock_types);
		return 0;
	case SERVER_SASL:
		print_words(server_sasl);
		return 0;
	case CLIENT_SASL:
		print_words(client_sasl);
		return 0;
	case VERSION:
		return print_version(G.version_of);
	case SERVICES:
		if (G.edit_given) {
			return edit_master(PART_ROW, args);
		}
		load();
		rc = postconf_services(&G.pc, args);
		postconf_check_names(&G.pc);
		return rc;
	case SERVICE_PARAMS:
		if (G.edit_given) {
			return edit_master(PART_PARAM, args);
		}
		load();
		rc = postconf_service_params(&G.pc, args);
		postconf_check_names(&G.pc);
		return rc;
	case SERVICE_FIELDS:
		if (G.edit_given) {
			return edit_master(PART_FIELD, args);
		}
		load();
		rc = postconf_service_fields(&G.pc, args);
		postconf_check_names(&G.pc);
		return rc;
	case LIST:
		if (G.edit_given) {
			G.pc.dir = conf_dir(G.dash_c);
			return postconf_edit(&G.pc, G.edit, args);
		}
		break;
	}
	load();
	return postconf_list(&G.pc, args);
}

int postconf_main(int argc, char **argv)
{
	int opt, rc;

	log_open("postconf", LOG_TO_STDERR);
	while ((opt = getopt(argc, argv, "aAbc:C:deEfFhHjlmMno:pPqtT:vxX#")) > 0) {
		if (!take_option(opt)) {
			return applet_usage("postconf");
		}
	}
	if (G.pc.defaults && G.pc.set_only) {
		log_fatal("specify one of -d -n");
	}
	if (G.pc.defaults && G.overridden) {
		log_fatal("specify one of -d -o");
	}
	/* A name=value argument edits, with or without -e. */
	if (edits(G.action) && (!G.edit_given || G.action != LIST) && argv[optind] != NULL &&
		strchr(argv[optind], '=') != NULL) {
		set_edit(EDIT_SET);
	}
	if (G.edit_given && !edits(G.action)) {
		log_fatal("-e, -X and -# are for parameters, -M, -F and -P");
	}
	if (G.pc.classes == 0) {
		G.pc.classes = CLASS_ALL;
	}
	rc = run(argv + optind);
	if (fflush(stdout) != 0) {
		log_fatal("write: %s", strerror(errno));
	}
	return rc;
}
