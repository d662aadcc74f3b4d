#ifndef APPLETS_ADMIN_AUTH_SCHEME_H
#define APPLETS_ADMIN_AUTH_SCHEME_H

#include <stdbool.h>

/* Stored passwords. */

enum scheme_result { SCHEME_MATCH, SCHEME_MISMATCH, SCHEME_ERROR };

/* Does checking it take milliseconds or more (a job for another process)? */
bool scheme_is_costly(const char *stored, const char *default_scheme);
/* stored: "{SCHEME}hash" or "hash" of default_scheme. SCHEME_ERROR: *error_r says why (static
 * text). */
enum scheme_result scheme_check(
	const char *stored, const char *default_scheme, const char *password, const char **error_r);
/* The password itself or the SCRAM keys, for mechanisms that need them; NULL: it is stored
 * otherwise. */
const char *scheme_plain(const char *stored, const char *default_scheme);
const char *scheme_scram(const char *stored, const char *default_scheme, const char *scheme);

#endif
