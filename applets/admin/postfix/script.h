#ifndef APPLETS_ADMIN_POSTFIX_SCRIPT_H
#define APPLETS_ADMIN_POSTFIX_SCRIPT_H

#include <stdbool.h>

/* From now on warnings of what is read are kept for the log, or said. */
void script_begin(void);
/* main.cf is loaded, or as much of it as says where the log is. */
void script_open_log(void);

/* A line to standard error and to the log. script_fatal() returns 1. */
void script_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void script_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int script_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Begin to count faults; quiet: only what stands in the way is said. */
void script_count(bool quiet);
bool script_is_quiet(void);
/* A fault was found, 1 a warning, 2 one that stands in the way; whether to say it now. */
bool script_fault(int severity);
/* The worst since script_count(); 0 none. */
int script_worst(void);

#define warning(...) (script_fault(1) ? script_warn(__VA_ARGS__) : (void)0)
#define fatal(...) ((void)script_fault(2), (void)script_fatal(__VA_ARGS__))

/* Warn when others than its owner (root, or us) may write a file that we believe. */
void script_check_file(const char *path);

#endif
