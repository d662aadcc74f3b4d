/*
 * draft - a letter that is being written: its fields, and what interrupts do to it
 */
#include "applets/read/mail/compose/draft.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "applets/read/mail/path.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"
#include "applets/read/mail/vars.h"

/* draft_free - what it holds; it may be used again */
void draft_free(struct draft *d)
{
	buf_free(&d->to);
	buf_free(&d->cc);
	buf_free(&d->bcc);
	buf_free(&d->subject);
	buf_free(&d->in_reply_to);
	buf_free(&d->references);
	buf_free(&d->text);
	while (d->attachments != NULL) {
		struct attachment *next = d->attachments->next;

		mem_free(d->attachments->path);
		mem_free(d->attachments);
		d->attachments = next;
	}
	mem_free(d->from);
	memset(d, 0, sizeof(*d));
}

/* draft_interrupted - what SIGINT does to a letter */
bool draft_interrupted(struct mail_state *mail, bool *kill_r)
{
	int count = interrupts_take(mail);

	*kill_r = false;
	if (count == 0) {
		return false;
	}
	if (var_on(mail, "ignore")) {
		printf("\n@\n");
		interrupts_forget(mail);
	} else if (count > 1) {
		printf("\n");
		*kill_r = true;
	} else {
		printf("\n(Interrupt -- one more to kill letter)\n");
	}
	fflush(stdout);
	return true;
}

/* draft_ask - one header line */
bool draft_ask(struct mail_state *mail, const char *prompt, struct buf *into)
{
	struct buf line = BUF_INIT;
	bool killed = false, got;

	do {
		printf("%s", prompt);
		terminal_say(mail, stdout, buf_str(into));
		fflush(stdout);
		got = read_line(mail, mail->in, &line);
	} while (!got && draft_interrupted(mail, &killed) && !killed);
	if (got) {
		interrupts_forget(mail);
		terminal_text(mail, &line);
		buf_adds(into, buf_str(&line));
	}
	buf_free(&line);
	return !killed;
}

/* draft_say_counts - "name" lines/bytes */
void draft_say_counts(const char *name, const char *data, size_t len)
{
	unsigned long lines = 0;

	for (size_t i = 0; i < len; i++) {
		lines += data[i] == '\n';
	}
	printf("\"%s\" %lu/%zu\n", name, lines, len);
}

/* draft_attach - at the end of the list */
void draft_attach(struct draft *d, char *path)
{
	struct attachment *at = mem_alloc(sizeof(*at)), **end = &d->attachments;

	at->path = path;
	while (*end != NULL) {
		end = &(*end)->next;
	}
	*end = at;
}

/* draft_write - append the text to a file */
void draft_write(struct mail_state *mail, const struct draft *d, const char *name, mode_t mode)
{
	char *path = path_of_file(mail, name);
	bool ok;
	int fd;

	if (path == NULL) {
		return;
	}
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode);
	ok = fd >= 0 && fd_write_all(fd, buf_str(&d->text), d->text.len) == 0;
	if (fd >= 0 && close(fd) != 0) {
		ok = false;
	}
	if (ok) {
		draft_say_counts(path, buf_str(&d->text), d->text.len);
	} else {
		perror(name);
	}
	mem_free(path);
}

void draft_keep_dead(struct mail_state *mail, const struct draft *d)
{
	if (d->text.len > 0 && !var_on(mail, "nosave") && var_on(mail, "save")) {
		draft_write(mail, d, "~/dead.letter", 0600);
	}
}
