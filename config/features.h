/* features.h - what is compiled in: every switch is 0 or 1
 *
 * Code tests them with #if or if (), never with #ifdef, so that a misspelt
 * name is a warning (-Wundef). Defaults are the full profile; a profile in
 * config/profiles overrides rows, as does FEATURES="FEATURE_X=0" on make's
 * command line. The sizes are of the static x86-64 binary. */
#ifndef CONFIG_FEATURES_H
#define CONFIG_FEATURES_H

/* pcre: maps, by the PCRE2 library (about 200 KB) */
#ifndef FEATURE_PCRE
#define FEATURE_PCRE 1
#endif

/* yescrypt, scrypt and the other hashes of libxcrypt in passwd-files and
 * /etc/shadow (about 80 KB); without it SHA-512, SHA-256 and MD5 */
#ifndef FEATURE_YESCRYPT
#define FEATURE_YESCRYPT 1
#endif

/* all of SQL for sqlite: maps of databases that others made (about 110 KB);
 * without it a database with views, triggers, foreign keys, generated columns
 * or UTF-16 text, queries with them or with WITH, and `postqueue --sql' are
 * errors */
#ifndef FEATURE_SQL
#define FEATURE_SQL 1
#endif

/* the character sets of iconv in searches and in what `mail` shows (about
 * 155 KB, most of it for East Asia); without it UTF-8, ASCII, ISO-8859-1,
 * ISO-8859-15 and windows-1252 */
#ifndef FEATURE_CHARSETS
#define FEATURE_CHARSETS 1
#endif

/* parameters of main.cf that Postfix has and we do not act on, with their
 * defaults for postconf (config/params_other.def; 20 KB); without it they are
 * unknown names, which are accepted all the same */
#ifndef FEATURE_OTHER_PARAMS
#define FEATURE_OTHER_PARAMS 1
#endif

/* the applet init, which brings up an image that holds nothing else, and the
 * journey that it shows (8 KB) */
#ifndef FEATURE_INIT
#define FEATURE_INIT 1
#endif

/* the unit tests and the applet that runs them; only in test builds */
#ifndef FEATURE_UNIT
#define FEATURE_UNIT 0
#endif

#endif
