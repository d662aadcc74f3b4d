#ifndef MIME_PARAM_H
#define MIME_PARAM_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

enum { MIME_PARAM_MAX = 200 }; /* parameters of one field */

/*
 * A parameter of Content-Type or Content-Disposition. Pieces of a long value
 * (RFC 2231 3: name*0, name*1 ...) are joined already; a value with a character
 * set (RFC 2231 4) keeps its form charset'lang'%xx under the name with '*' at the
 * end, as BODYSTRUCTURE shows it: mime_param_text() decodes it.
 */
struct mime_param {
	struct mime_param *next;
	const char *name;  /* as written */
	const char *value; /* quotes and escapes undone */
};

/*
 * "type/subtype; name=value ..." (RFC 2045 5.1) or "disposition; name=value ..." (RFC 2183).
 * *main_r is what comes before the first ';' (NULL when that is malformed).
 */
struct mime_param *mime_params(struct arena *a, struct slice value, const char **main_r);
/* Raw value of a parameter (name in any case), NULL none. */
const char *mime_param(const struct mime_param *list, const char *name);
/* Value as UTF-8: RFC 2231 forms and, since people write them, encoded words. False: no such
 * parameter. */
bool mime_param_text(const struct mime_param *list, const char *name, struct buf *out);

#endif
