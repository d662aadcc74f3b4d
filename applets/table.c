/*
 * table - the applets by name: where their links go, as whom they run, their usage
 *
 * What an applet needs to know of the others is here, so that none of them needs
 * main.c, which holds the functions they begin with and passes one in to call them.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "applets/applets.h"

static struct {
	applet_call_fn *call;
} G;

static const struct applet table[] = {
#define APPLET(name, main, dir, run, summary, usage) \
	{ name, APPLET_##dir, APPLET_##run, NULL, summary, usage },
#define ALIAS(name, main, dir, of) { name, APPLET_##dir, APPLET_CALLER, of, NULL, NULL },
#include "applets/applets.def"
#undef APPLET
#undef ALIAS
};

const struct applet *applet_table(size_t *count_r)
{
	*count_r = ARRAY_LEN(table);
	return table;
}

const struct applet *applet_find(const char *name)
{
	size_t low = 0, high = ARRAY_LEN(table);

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(name, table[mid].name);

		if (order == 0) {
			return &table[mid];
		}
		if (order < 0) {
			high = mid;
		} else {
			low = mid + 1;
		}
	}
	return NULL;
}

const char *applet_dir_path(enum applet_dir dir)
{
	switch (dir) {
	case APPLET_NONE:
		return NULL;
	case APPLET_BIN:
		return "bin";
	case APPLET_SBIN:
		return "sbin";
	case APPLET_LIBEXEC:
		return "libexec/postfix";
	}
	return NULL;
}

/* applet_print_usage - an applet's usage; an alias shows its applet's under its name */
void applet_print_usage(FILE *out, const struct applet *applet)
{
	const struct applet *real = applet->of != NULL ? applet_find(applet->of) : applet;

	if (real == NULL) {
		real = applet;
	}
	fprintf(out, "Usage: %s %s", applet->name, real->usage != NULL ? real->usage : "\n");
	if (real->summary != NULL) {
		fprintf(out, "\n%s%s%s\n", real->summary, applet->of != NULL ? "; stands for " : "",
			applet->of != NULL ? applet->of : "");
	}
}

int applet_usage(const char *name)
{
	const struct applet *applet = applet_find(name);

	if (applet != NULL) {
		applet_print_usage(stderr, applet);
	}
	return 1;
}

void applet_set_call(applet_call_fn *call)
{
	G.call = call;
}

int applet_call(const struct applet *applet, int argc, char **argv)
{
	return G.call(applet, argc, argv);
}
