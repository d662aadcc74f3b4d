/*
 * log - lines to stderr, syslog or maillog_file
 *
 * Servers write many lines for each mail, so an event loop may hold them
 * back and write once a turn (log_set_buffered). A log that cannot be written
 * must never stop the mail: no write waits, and lines that find no room are
 * dropped and counted (log_hold.c); the count is said when the log goes on.
 *
 * RFC 3164 (the datagram that /dev/log takes).
 */
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/log_hold.h"
#include "base/utf8.h"

enum { LOG_LINE_MAX = 2000, FACILITY_MAIL = 2 << 3 };

enum severity {
	SEV_PANIC = 2,
	SEV_FATAL = 3,
	SEV_ERROR = 4,
	SEV_WARN = 5,
	SEV_INFO = 6,
	SEV_DEBUG = 7
};

/* The one mutable global of logging; see DESIGN: config and log are the exceptions. */
static struct {
	char tag[64];
	void (*listener)(const char *severity, const char *text);
	char host[64];
	enum log_target target;
	int fd; /* file or syslog socket; -1 none */
	void (*sink)(void *arg, const char *lines, size_t len);
	void *sink_arg;
	int verbose;
	int buffered;
	time_t stamp_time; /* the second that stamp shows */
	time_t asked;      /* when /dev/log was last connected to */
	char stamp[24];
} logger = { .fd = -1, .tag = "pillarbox" };

void log_set_tag(const char *tag)
{
	snprintf(logger.tag, sizeof(logger.tag), "%s", tag);
}

const char *log_tag(void)
{
	return logger.tag;
}

/* syslog_connect - a datagram socket to /dev/log, or -1 */
static int syslog_connect(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void log_open(const char *tag, enum log_target target)
{
	struct utsname name;

	log_set_tag(tag);
	if (uname(&name) == 0) {
		snprintf(logger.host, sizeof(logger.host), "%.63s", name.nodename);
		logger.host[strcspn(logger.host, ".")] = '\0';
	}
	if (logger.target == LOG_TO_FILE && target != LOG_TO_FILE) {
		log_flush();
		logger.fd = -1; /* a file is not ours to close here: it may be inherited and set
				   again */
	}
	logger.target = target;
	if (target == LOG_TO_SYSLOG && logger.fd < 0) {
		logger.fd = syslog_connect();
	}
}

void log_set_fd(int fd)
{
	log_flush();
	if (logger.fd > 2 && logger.fd != fd) {
		close(logger.fd);
	}
	logger.fd = fd;
	logger.target = LOG_TO_FILE;
}

int log_fd(void)
{
	return logger.target == LOG_TO_FILE ? logger.fd : -1;
}

void log_set_listener(void (*fn)(const char *severity, const char *text))
{
	logger.listener = fn;
}

void log_set_verbose(int level)
{
	logger.verbose = level;
}

int log_verbose(void)
{
	return logger.verbose;
}

void log_set_buffered(int on)
{
	log_flush();
	logger.buffered = on;
}

void log_set_sink(void (*fn)(void *arg, const char *lines, size_t len), void *arg)
{
	log_flush();
	logger.sink = fn;
	logger.sink_arg = arg;
	logger.target = LOG_TO_SINK;
}

/* stamp_now - "Aug 10 02:41:01", made once a second */
static const char *stamp_now(void)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != logger.stamp_time || logger.stamp[0] == '\0') {
		localtime_r(&now, &tm);
		strftime(logger.stamp, sizeof(logger.stamp), "%b %e %H:%M:%S", &tm);
		logger.stamp_time = now;
	}
	return logger.stamp;
}

static const char *severity_text(enum severity sev)
{
	switch (sev) {
	case SEV_PANIC:
		return "panic: ";
	case SEV_FATAL:
		return "fatal: ";
	case SEV_ERROR:
		return "error: ";
	case SEV_WARN:
		return "warning: ";
	case SEV_INFO:
	case SEV_DEBUG:
		break;
	}
	return "";
}

/* format_lost - the word on lines that were dropped */
static void format_lost(char *out, size_t size)
{
	unsigned long lost = log_hold_lost();

	snprintf(out, size, "%lu line%s of the log could not be written", lost,
		lost == 1 ? "" : "s");
}

void log_flush(void)
{
	char lost[100], line[400];
	int n;

	if (logger.target == LOG_TO_SINK) {
		log_hold_give(logger.sink, logger.sink_arg);
	}
	if (logger.target != LOG_TO_FILE || !log_hold_flush(logger.fd) || log_hold_lost() == 0) {
		return;
	}
	format_lost(lost, sizeof(lost));
	n = snprintf(line, sizeof(line), "%s %s %s[%d]: warning: %s\n", stamp_now(), logger.host,
		logger.tag, (int)getpid(), lost);
	if (log_hold_add(logger.fd, line, (size_t)n)) {
		log_hold_said();
		(void)log_hold_flush(logger.fd);
	}
}

void log_trim(void)
{
	log_hold_trim();
}

bool log_is_stuck(void)
{
	return logger.target == LOG_TO_FILE && log_hold_is_stuck();
}

static void write_line(const char *line, size_t len)
{
	if (logger.target == LOG_TO_SINK && !log_hold_has_room(len)) {
		log_flush();
	}
	(void)log_hold_add(logger.fd, line, len);
	if (!logger.buffered) {
		log_flush();
	}
}

/* send_syslog - one datagram, after the word on those that were dropped before it */
static bool send_syslog(pid_t pid, enum severity sev, const char *text)
{
	char line[LOG_LINE_MAX + 200];
	int level = sev == SEV_PANIC ? 0
		: sev == SEV_FATAL   ? 2
		: sev == SEV_ERROR   ? 3
		: sev == SEV_WARN    ? 4
		: sev == SEV_INFO    ? 6
				     : 7;
	int n = snprintf(line, sizeof(line), "<%d>%s %s[%d]: %s%s", FACILITY_MAIL | level,
		stamp_now(), logger.tag, (int)pid, severity_text(sev), text);

	return send(logger.fd, line, (size_t)n, MSG_NOSIGNAL) >= 0;
}

/* try_syslog - false: it is not connected, or no more */
static bool try_syslog(pid_t pid, enum severity sev, const char *text)
{
	char lost[100];

	if (logger.fd < 0) {
		return false;
	}
	if (log_hold_lost() > 0) {
		format_lost(lost, sizeof(lost));
		if (send_syslog(getpid(), SEV_WARN, lost)) {
			log_hold_said();
		}
	}
	if (send_syslog(pid, sev, text)) {
		return true;
	}
	if (errno != EAGAIN && errno != ENOBUFS) {
		return false;
	}
	log_hold_lose();
	return true;
}

/* emit_syslog - a daemon that went away is asked for again once */
static void emit_syslog(pid_t pid, enum severity sev, const char *text)
{
	if (try_syslog(pid, sev, text)) {
		return;
	}
	if (logger.fd >= 0) {
		close(logger.fd);
		logger.fd = -1;
	} else if (logger.asked == logger.stamp_time) {
		return; /* no daemon listens: asked for at most once a second */
	}
	logger.asked = logger.stamp_time;
	logger.fd = syslog_connect();
	(void)try_syslog(pid, sev, text);
}

/* emit - a line of process pid */
static void emit(pid_t pid, enum severity sev, const char *text)
{
	char line[LOG_LINE_MAX + 200];
	int n;

	if (logger.target == LOG_TO_STDERR) {
		const char *base = strrchr(logger.tag, '/');

		n = snprintf(line, sizeof(line), "%s: %s%s\n", base != NULL ? base + 1 : logger.tag,
			severity_text(sev), text);
		(void)!write(2, line, (size_t)n);
		return;
	}
	if (logger.target == LOG_TO_SYSLOG) {
		emit_syslog(pid, sev, text);
		return;
	}
	if (logger.target == LOG_TO_SINK) {
		n = snprintf(line, sizeof(line), "%d%s\n", (int)sev, text);
		write_line(line, (size_t)n);
		return;
	}
	n = snprintf(line, sizeof(line), "%s %s %s[%d]: %s%s\n", stamp_now(), logger.host,
		logger.tag, (int)pid, severity_text(sev), text);
	if (logger.fd >= 0) {
		write_line(line, (size_t)n);
	}
}

static void emit_format(enum severity sev, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX];
	int saved = errno;

	vsnprintf(text, sizeof(text), fmt, ap);
	utf8_printable(text, strlen(text)); /* so that nobody else writes our lines */
	if (logger.listener != NULL && sev <= SEV_WARN) {
		logger.listener(severity_text(sev), text);
	}
	emit(getpid(), sev, text);
	errno = saved;
}

void log_relayed(pid_t pid, const char *label, const char *line, size_t len)
{
	char text[LOG_LINE_MAX];
	enum severity sev = SEV_INFO;

	if (len > 0 && line[0] >= '0' + SEV_PANIC && line[0] <= '0' + SEV_DEBUG) {
		/* syslog shows a panic to everybody at once: that is not for others to say. */
		sev = line[0] == '0' + SEV_PANIC ? SEV_FATAL : (enum severity)(line[0] - '0');
		line++;
		len--;
	}
	snprintf(text, sizeof(text), "%s%.*s", label,
		(int)(len < LOG_LINE_MAX ? len : LOG_LINE_MAX), line);
	utf8_printable(text, strlen(text));
	emit(pid, sev, text);
}

#define EMIT(sev)                          \
	do {                               \
		va_list ap;                \
		va_start(ap, fmt);         \
		emit_format(sev, fmt, ap); \
		va_end(ap);                \
	} while (0)

void log_debug(int level, const char *fmt, ...)
{
	if (level <= logger.verbose) {
		EMIT(SEV_DEBUG);
	}
}

void log_info(const char *fmt, ...)
{
	EMIT(SEV_INFO);
}

void log_warn(const char *fmt, ...)
{
	EMIT(SEV_WARN);
}

void log_error(const char *fmt, ...)
{
	EMIT(SEV_ERROR);
}

void log_fatal(const char *fmt, ...)
{
	EMIT(SEV_FATAL);
	log_flush();
	exit(1);
}

void log_fatal_status(int status, const char *fmt, ...)
{
	EMIT(SEV_FATAL);
	log_flush();
	exit(status);
}

void log_panic(const char *fmt, ...)
{
	EMIT(SEV_PANIC);
	log_flush();
	abort();
}
