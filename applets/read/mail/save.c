/*
 * save - messages appended to mbox files, given to commands
 *
 * A save locks the file as delivery does and is on disk before it is called done: what s saved
 * disappears from the system mailbox on quit.
 */
#include "mail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/date.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "store/lock.h"

enum { LOCK_WAIT_MS = 30000 };

/* put_mbox - the message as an mbox holds it: From_ line, From-quoting, a blank line behind */
static void put_mbox(struct buf *out, unsigned n, const struct buf *text)
{
	struct arena a = ARENA_INIT;
	char date[DATE_SIZE];
	const char *from = message_from(&a, n, true);
	bool header = true;

	date_asctime(date, mailbox_info(G.view, n)->received);
	buf_addf(out, "From %.*s %s\n", (int)(from[0] != '\0' ? strcspn(from, " \t") : 13),
		from[0] != '\0' ? from : "MAILER-DAEMON", date);
	for (const char *line = buf_str(text), *end = line + text->len; line < end; ) {
		const char *nl = memchr(line, '\n', (size_t)(end - line));
		size_t len = nl != NULL ? (size_t)(nl - line) : (size_t)(end - line);
		size_t marks = strspn(line, ">");

		if (header && len == 0) {
			buf_addf(out, "Status: %s\n", folder_unread(n) ? "O" : "RO");
			header = false;
		}
		if (!(header && (str_istarts(line, "Status:") || str_istarts(line, "X-Status:")))) {
			if (!header && strncmp(line + marks, "From ", 5) == 0) {
				buf_addc(out, '>');
			}
			buf_add(out, line, len);
			buf_addc(out, '\n');
		}
		line += len + (nl != NULL);
	}
	buf_addc(out, '\n');
	arena_free(&a);
}

/* put_body - what follows the blank line: for w */
static void put_body(struct buf *out, const struct buf *text)
{
	const char *body = strstr(buf_str(text), "\n\n");

	if (body != NULL) {
		buf_add(out, body + 2, text->len - (size_t)(body + 2 - buf_str(text)));
	}
}

/* append_locked - all of data at the end of the file and on disk, or nothing */
static bool append_locked(const char *path, const struct buf *data)
{
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	struct mailbox_lock *lock = fd >= 0 ? mailbox_lock(path, fd, true, LOCK_WAIT_MS) : NULL;
	struct stat st;
	bool ok = false;

	if (lock != NULL && fstat(fd, &st) == 0) {
		ok = fd_write_all(fd, buf_str(data), data->len) == 0 && fsync(fd) == 0;
		if (!ok) {
			int saved = errno;

			(void)!ftruncate(fd, st.st_size);
			errno = saved;
		}
	}
	if (!ok) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		G.exit_status = 1;
	}
	if (lock != NULL) {
		mailbox_unlock(lock);
	}
	if (fd >= 0) {
		close(fd);
	}
	return ok;
}

bool save_messages(const char *path, const unsigned *list, bool headers)
{
	struct buf out = BUF_INIT, text = BUF_INIT;
	unsigned long lines = 0;
	struct stat st;
	bool fresh = stat(path, &st) != 0, ok = true;

	for (; *list != 0 && ok; list++) {
		buf_reset(&text);
		ok = message_text(*list, &text);
		if (ok && headers) {
			put_mbox(&out, *list, &text);
		} else if (ok) {
			put_body(&out, &text);
		}
	}
	ok = ok && append_locked(path, &out);
	for (size_t i = 0; i < out.len; i++) {
		lines += out.data[i] == '\n';
	}
	if (ok) {
		printf("\"%s\" %s %lu/%zu\n", path, fresh ? "[New file]" : "[Appended]", lines,
			out.len);
	}
	buf_free(&out);
	buf_free(&text);
	return ok;
}

int shell_run(const char *command)
{
	const char *shell = var_get("SHELL");
	pid_t pid;
	int status = 0;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (shell == NULL || shell[0] == '\0') {
			shell = "/bin/sh";
		}
		if (command != NULL) {
			execl(shell, shell, "-c", command, (char *)NULL);
		} else {
			execl(shell, shell, (char *)NULL);
		}
		fprintf(stderr, "%s: %s\n", shell, strerror(errno));
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		perror("fork");
		return -1;
	}
	return status;
}

bool pipe_messages(const char *command, const unsigned *list)
{
	FILE *to;

	fflush(stdout);
	to = popen(command, "w");
	if (to == NULL) {
		perror(command);
		return false;
	}
	for (; *list != 0; list++) {
		show_message(to, *list, 0);
	}
	return pclose(to) == 0;
}
