#ifndef CONF_PARAM_TABLE_H
#define CONF_PARAM_TABLE_H

#include <stddef.h>
#include <stdint.h>

/*
 * config/params.def as data, for conf.c and postconf: rows 0 .. count - 1,
 * those we act on and the guards first (sorted), then the others (sorted).
 */
enum param_type {
	PARAM_TYPE_STR,
	PARAM_TYPE_RAW,
	PARAM_TYPE_INT,
	PARAM_TYPE_TIME,
	PARAM_TYPE_BOOL,
	PARAM_TYPE_GUARD,
	PARAM_TYPE_OTHER
};

struct param_row {
	int32_t min, max;   /* INT32_MAX: no upper bound */
	uint16_t name, def; /* offsets into the texts: param_name(), param_default() */
	uint16_t field;     /* offset in struct params */
	uint8_t type;       /* enum param_type */
	char unit;          /* PARAM_TYPE_TIME: s m h d w */
};

size_t param_count(void);
const struct param_row *param_row(size_t n);
const char *param_name(size_t n);
const char *param_default(size_t n); /* as written in params.def */
/* Of a PARAM_TYPE_GUARD row: the words of conf_guard_harmless() (conf_info.h). */
const char *param_harmless(size_t n);
/* Row of a name, or -1. */
int param_find(const char *name);

#endif
