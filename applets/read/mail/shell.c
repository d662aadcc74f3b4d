/*
 * shell - programs that the user has started
 */
#include "applets/read/mail/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "applets/read/mail/vars.h"

enum { EDITED_MAX = 1 << 28 };

/* shell_run - in a child, and wait for it */
int shell_run(struct mail_state *mail, const char *command)
{
	const char *shell = var_get(mail, "SHELL");
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

/* shell_edit - in a temporary file */
bool shell_edit(
	struct mail_state *mail, struct buf *text, const char *variable, const char *fallback)
{
	char path[] = "/tmp/mail.XXXXXX";
	const char *editor = var_get(mail, variable);
	struct buf command = BUF_INIT;
	int fd = mkostemp(path, O_CLOEXEC);
	size_t len = 0;
	char *data = NULL;

	if (fd < 0 || fd_write_all(fd, buf_str(text), text->len) != 0) {
		perror(path);
		if (fd >= 0) {
			close(fd);
			unlink(path);
		}
		return false;
	}
	close(fd);
	buf_addf(&command, "%s %s", editor != NULL && editor[0] != '\0' ? editor : fallback, path);
	if (shell_run(mail, buf_str(&command)) == 0 &&
		(data = file_read(path, EDITED_MAX, &len)) != NULL) {
		buf_reset(text);
		buf_add(text, data, len);
	} else {
		printf("%s failed: the text stays as it was\n", buf_str(&command));
	}
	unlink(path);
	buf_free(&command);
	mem_free(data);
	return data != NULL;
}
