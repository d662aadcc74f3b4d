/*
 * journey - show a mail's way in, and out by POP3, IMAP and `mail`
 *
 * For images without a shell or any client: init runs it and the console (or
 * scripts/bootvm) reads one line a step,
 *
 *	initramfs: ok STEP
 *	initramfs: not ok STEP: what was said instead
 *
 * The image has a user JOURNEY_USER, whose password is JOURNEY_PASSWORD, and
 * an alias that gives him root's mail. One mail is sent by `mail`, one by
 * SMTP; both are looked for by POP3, by IMAP and by `mail`. A dialogue is a
 * table of lines to send and of how the last line of the answer begins. */
#include "config/features.h"

#if FEATURE_INIT

#include "applets/image/journey.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

#define JOURNEY_USER "tester"
#define JOURNEY_PASSWORD "pass"
#define MARK_MAIL "by-mail-8f41"
#define MARK_SMTP "by-smtp-27c9"
#define LOG_FILE "/var/log/mail.log"

#define WAIT_SECONDS 30        /* for the server to answer, for mail to arrive */
#define REPLY_SECONDS 10       /* for one line of a dialogue */
#define REPLY_MAX (256 * 1024) /* bytes of one dialogue's answers */
#define LOG_TAIL 8192          /* bytes of the log shown after a failure */

enum { PORT_SMTP = 25, PORT_POP3 = 110, PORT_IMAP = 143 };

/* One exchange: a line to send (NULL: none) and the beginning of the line that
 * ends the answer. */
struct exchange {
	const char *send;
	const char *expect;
};

static struct G {
	int passed;
	int failed;
	bool down; /* the server never answered: waiting again is in vain */
} G;

static const struct exchange smtp_script[] = {
	{ NULL, "220 " },
	{ "EHLO journey.localdomain", "250 " },
	{ "MAIL FROM:<root@localhost>", "250 " },
	{ "RCPT TO:<root@localhost>", "250 " },
	{ "DATA", "354 " },
	{ "Subject: the second letter\r\n\r\n" MARK_SMTP "\r\n.", "250 " },
	{ "QUIT", "221 " },
};

static const struct exchange pop3_script[] = {
	{ NULL, "+OK" },
	{ "USER " JOURNEY_USER, "+OK" },
	{ "PASS " JOURNEY_PASSWORD, "+OK" },
	{ "STAT", "+OK 2 " },
	{ "RETR 1", "." },
	{ "RETR 2", "." },
	{ "QUIT", "+OK" },
};

static const struct exchange imap_script[] = {
	{ NULL, "* OK" },
	{ "a1 LOGIN " JOURNEY_USER " " JOURNEY_PASSWORD, "a1 OK" },
	{ "a2 SELECT INBOX", "a2 OK" },
	{ "a3 FETCH 1:2 (FLAGS BODY.PEEK[])", "a3 OK" },
	{ "a4 LOGOUT", "a4 OK" },
};

int journey_step(const char *name, const char *error)
{
	if (error == NULL) {
		printf("initramfs: ok %s\n", name);
		G.passed++;
	} else {
		printf("initramfs: not ok %s: %s\n", name, error);
		G.failed++;
	}
	fflush(stdout);
	return error != NULL;
}

void journey_summary(void)
{
	char text[LOG_TAIL];
	ssize_t n;
	int fd;

	if (G.failed > 0 && (fd = open(LOG_FILE, O_RDONLY | O_CLOEXEC)) >= 0) {
		if (lseek(fd, -(off_t)sizeof(text), SEEK_END) < 0) {
			lseek(fd, 0, SEEK_SET);
		}
		n = read(fd, text, sizeof(text));
		if (n > 0) {
			printf("the end of %s:\n%.*s", LOG_FILE, (int)n, text);
		}
		close(fd);
	}
	printf("initramfs: %d passed, %d failed\n", G.passed, G.failed);
	fflush(stdout);
}

/* dial - connect to a port of this host; descriptor or -1 */
static int dial(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct timeval limit = { .tv_sec = REPLY_SECONDS };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -1;
	}
	address.sin_port = htons((uint16_t)port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* dial_patiently - dial until the server is there; descriptor or -1 */
static int dial_patiently(int port)
{
	int fd = dial(port);

	for (int tick = 0; fd < 0 && !G.down && tick < WAIT_SECONDS * 50; tick++) {
		usleep(20000);
		fd = dial(port);
	}
	return fd;
}

/* refusal - whether a line of POP3, IMAP or SMTP says no */
static bool refusal(const char *line)
{
	return str_starts(line, "-ERR") ||
		((line[0] == '4' || line[0] == '5') && strspn(line, "0123456789") == 3) ||
		(line[0] == 'a' && (str_starts(line + 2, " NO") || str_starts(line + 2, " BAD")));
}

/* await_line - read lines into heard until one begins with expect: true; false
 * on a refusal, the end or the time limit. heard's cursor is behind that line. */
static bool await_line(int fd, struct buf *heard, const char *expect)
{
	for (;;) {
		const char *end = memchr(buf_head(heard), '\n', buf_unread(heard));

		if (end != NULL) {
			const char *line = heard->data + heard->pos;
			bool hit = str_starts(line, expect);

			if (!hit && refusal(line)) {
				return false;
			}
			heard->pos = (size_t)(end + 1 - heard->data);
			if (hit && (expect[1] != '\0' || line[1] == '\r' || line[1] == '\n')) {
				return true;
			}
			continue;
		}
		if (heard->len > REPLY_MAX) {
			return false;
		}
		ssize_t n = read(fd, buf_reserve(heard, 4096), 4096);

		if (n <= 0) {
			return false;
		}
		buf_added(heard, (size_t)n);
	}
}

/* send_line - the line and CR LF */
static bool send_line(int fd, const char *line)
{
	struct buf out = BUF_INIT;
	size_t sent = 0;
	ssize_t n = 0;

	buf_addf(&out, "%s\r\n", line);
	while (sent < out.len && (n = write(fd, out.data + sent, out.len - sent)) > 0) {
		sent += (size_t)n;
	}
	buf_free(&out);
	return n > 0;
}

/* last_line - what was heard last, for the error text */
static const char *last_line(struct buf *heard)
{
	char *line;

	while (heard->len > 0 && strchr("\r\n", heard->data[heard->len - 1]) != NULL) {
		buf_truncate(heard, heard->len - 1);
	}
	line = heard->len > 0 ? strrchr(heard->data, '\n') : NULL;
	return line != NULL ? line + 1 : buf_str(heard);
}

/* converse - one dialogue; all that was heard is left in heard. False and a
 * text in error when it did not go as written. */
static bool converse(
	int port, const struct exchange *script, size_t count, struct buf *heard, struct buf *error)
{
	int fd = dial_patiently(port);
	bool good = fd >= 0;

	buf_reset(heard);
	if (!good) {
		buf_addf(error, "port %d does not answer", port);
	}
	for (size_t i = 0; good && i < count; i++) {
		good = (script[i].send == NULL || send_line(fd, script[i].send)) &&
			await_line(fd, heard, script[i].expect);
		if (!good) {
			buf_addf(error, "after \"%.40s\" not \"%s\" but \"%.200s\"",
				script[i].send != NULL ? script[i].send : "connecting",
				script[i].expect, last_line(heard));
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	return good;
}

/* both_marks - whether the bodies of both mails are in text */
static bool both_marks(const struct buf *text, struct buf *error)
{
	if (strstr(buf_str(text), MARK_MAIL) != NULL && strstr(buf_str(text), MARK_SMTP) != NULL) {
		return true;
	}
	buf_adds(error, "a mail's text is missing");
	return false;
}

/* become - the rights and the environment of a user; false if that fails */
static bool become(const char *user)
{
	struct passwd *entry = getpwnam(user);

	if (entry == NULL) {
		return false;
	}
	setenv("HOME", entry->pw_dir, 1);
	setenv("USER", user, 1);
	setenv("LOGNAME", user, 1);
	unsetenv("MAIL");
	return getuid() != 0 ||
		(initgroups(user, entry->pw_gid) == 0 && setgid(entry->pw_gid) == 0 &&
			setuid(entry->pw_uid) == 0);
}

/* start_applet - fork and run an applet with a descriptor as input and output;
 * pid or -1 */
static pid_t start_applet(char *const argv[], const char *user, int in, int out)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid != 0) {
		return pid;
	}
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	if (user != NULL && !become(user)) {
		_exit(126);
	}
	execv("/proc/self/exe", argv);
	_exit(127);
}

/* run_applet - run one with input as its stdin; its output is left in heard.
 * The exit status, or -1. Input and output fit into a pipe and a temporary file. */
static int run_applet(char *const argv[], const char *user, const char *input, struct buf *heard)
{
	int in[2], status = -1;
	char name[] = "/tmp/journey.XXXXXX";
	int out = mkostemp(name, O_CLOEXEC);
	pid_t pid;
	ssize_t n;

	if (out < 0) {
		return -1;
	}
	unlink(name);
	if (pipe2(in, O_CLOEXEC) != 0) {
		close(out);
		return -1;
	}
	n = write(in[1], input, strlen(input));
	close(in[1]);
	pid = n >= 0 ? start_applet(argv, user, in[0], out) : -1;
	close(in[0]);
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))) {
		status = -1;
	}
	buf_reset(heard);
	lseek(out, 0, SEEK_SET);
	while (heard->len < REPLY_MAX && (n = read(out, buf_reserve(heard, 4096), 4096)) > 0) {
		buf_added(heard, (size_t)n);
	}
	close(out);
	return status >= 0 ? WEXITSTATUS(status) : -1;
}

/* finish - the line of a step; 1 if it failed */
static int finish(const char *name, struct buf *error)
{
	int failed = journey_step(name, error->len > 0 ? buf_str(error) : NULL);

	buf_reset(error);
	return failed;
}

/* step_submit - root writes to root with `mail` */
static int step_submit(struct buf *heard, struct buf *error)
{
	char *argv[] = { "mail", "-s", "the first letter", "root", NULL };
	int status = run_applet(argv, NULL, MARK_MAIL "\n", heard);

	if (status != 0) {
		buf_addf(error, "exit status %d: %.200s", status, last_line(heard));
	}
	return finish("mail-send", error);
}

/* step_arrive - wait until the mailbox holds both mails, by POP3's STAT */
static int step_arrive(struct buf *heard, struct buf *error)
{
	static const struct exchange stat_script[] = {
		{ NULL, "+OK" },
		{ "USER " JOURNEY_USER, "+OK" },
		{ "PASS " JOURNEY_PASSWORD, "+OK" },
		{ "STAT", "+OK " },
		{ "QUIT", "+OK" },
	};
	bool arrived = false;

	for (int tick = 0; !arrived && tick < (G.down ? 1 : WAIT_SECONDS * 5); tick++) {
		buf_reset(error);
		if (converse(PORT_POP3, stat_script, ARRAY_LEN(stat_script), heard, error)) {
			arrived = strstr(buf_str(heard), "\n+OK 2 ") != NULL;
		}
		if (!arrived) {
			usleep(200000);
		}
	}
	if (!arrived && error->len == 0) {
		buf_addf(error, "the mailbox has not 2 mails after %d seconds", WAIT_SECONDS);
	}
	return finish("delivery", error);
}

/* step_dialogue - a scripted session that must show both mails */
static int step_dialogue(const char *name, int port, const struct exchange *script, size_t count,
	struct buf *heard, struct buf *error)
{
	if (converse(port, script, count, heard, error) && port != PORT_SMTP) {
		both_marks(heard, error);
	}
	return finish(name, error);
}

/* step_mail - the user reads both with `mail`, and leaves them */
static int step_mail(struct buf *heard, struct buf *error)
{
	char *argv[] = { "mail", NULL };
	int status = run_applet(argv, JOURNEY_USER, "h\np 1\np 2\nx\n", heard);

	if (status != 0) {
		buf_addf(error, "exit status %d: %.200s", status, last_line(heard));
	} else {
		both_marks(heard, error);
	}
	return finish("mail-read", error);
}

/* step_queue - mailq says that nothing is left */
static int step_queue(struct buf *heard, struct buf *error)
{
	char *argv[] = { "mailq", NULL };
	int status = run_applet(argv, NULL, "", heard);

	if (status != 0 || strstr(buf_str(heard), "Mail queue is empty") == NULL) {
		buf_addf(error, "exit status %d: %.200s", status, last_line(heard));
	}
	return finish("mailq", error);
}

/* show_memory - what the kernel has left once the server is up, as a note */
static void show_memory(void)
{
	char line[128];
	FILE *file = fopen("/proc/meminfo", "re");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (str_starts(line, "MemTotal:") || str_starts(line, "MemAvailable:")) {
			printf("initramfs: note %s", line);
		}
	}
	if (file != NULL) {
		fclose(file);
	}
}

int journey_run(void)
{
	struct buf heard = BUF_INIT, error = BUF_INIT;
	int failed, fd;

	signal(SIGPIPE, SIG_IGN);
	fd = dial_patiently(PORT_SMTP);
	show_memory();
	G.down = fd < 0;
	failed = journey_step("server", fd >= 0 ? NULL : "nobody listens on port 25");
	if (fd >= 0) {
		close(fd);
	}
	failed += step_submit(&heard, &error);
	failed += step_dialogue(
		"smtp", PORT_SMTP, smtp_script, ARRAY_LEN(smtp_script), &heard, &error);
	failed += step_arrive(&heard, &error);
	failed += step_dialogue(
		"pop3", PORT_POP3, pop3_script, ARRAY_LEN(pop3_script), &heard, &error);
	failed += step_dialogue(
		"imap", PORT_IMAP, imap_script, ARRAY_LEN(imap_script), &heard, &error);
	failed += step_mail(&heard, &error);
	failed += step_queue(&heard, &error);
	buf_free(&heard);
	buf_free(&error);
	return failed;
}

#endif
