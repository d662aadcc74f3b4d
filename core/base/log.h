#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The log: five words and no more. fatal means the environment is wrong (the
 * process ends with status 1), panic means the program is wrong (abort).
 * Lines look as syslog would write them: "Aug 10 02:41:01 host tag[pid]: text",
 * with "warning: ", "error: ", "fatal: ", "panic: " before the text. What is not
 * printable UTF-8 in the text becomes '?', so that a peer cannot forge or spoil a line.
 * errno is available as %m.
 */
enum log_target {
	LOG_TO_STDERR, /* tools run by hand: "postmap: warning: text" */
	LOG_TO_SYSLOG, /* /dev/log, facility mail; stderr too when there is none */
	LOG_TO_FILE,   /* maillog_file */
	LOG_TO_SINK    /* another process writes our lines: log_set_sink() */
};

/* tag is what stands before [pid]: "postfix/smtpd", "imap-login". Copied. */
void log_open(const char *tag, enum log_target target);
/* Only the tag changes ("postfix/submission/smtpd"). */
void log_set_tag(const char *tag);
const char *log_tag(void);
/*
 * Also set LOG_TO_FILE. "/dev/stdout" and "/dev/stderr" mean the inherited
 * descriptor, never re-opened. 0, or -1 with errno.
 */
int log_open_file(const char *path);
/* A descriptor that is a log already (inherited from the master). */
void log_set_fd(int fd);
int log_fd(void);
/*
 * Lines go to fn, which hands them to a process that writes them by log_relayed(): a process that
 * becomes a user has no descriptor of the log. Each is a digit of severity, the text, a line end.
 */
void log_set_sink(void (*fn)(void *arg, const char *lines, size_t len), void *arg);
/* A line (without its end) that process pid has handed to us; label goes before its text. */
void log_relayed(pid_t pid, const char *label, const char *line, size_t len);
/* Besides, fn gets each warning and worse ("warning: ", the text) until it is set to NULL. */
void log_set_listener(void (*fn)(const char *severity, const char *text));
void log_set_verbose(int level); /* -v: 0 to 9 */
int log_verbose(void);
/* Hold lines back until log_flush(); event loops write once a turn. */
void log_set_buffered(int on);
void log_flush(void);
void log_trim(void); /* give back memory; mem_trim() calls it */
/*
 * Lines wait because the log takes none now (its reader stopped reading, the disk is full), or some
 * were dropped and that could not be said yet: log_flush() should be called from time to time.
 */
bool log_is_stuck(void);

void log_debug(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void log_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same with another exit status (sysexits.h), for commands. */
_Noreturn void log_fatal_status(int status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
_Noreturn void log_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
