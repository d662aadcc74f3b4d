/*
 * command_note - what a command has taken is written down until the message has left the queue
 *
 * A mailbox tells what was delivered to it, a command does not: when the answer got lost (a queue
 * manager or an agent was killed, the server was stopped meanwhile), or another command of the same
 * recipient wants the message later, the note keeps it from getting the message twice.
 *
 *	pid/command.ID.N.HASH	empty; HASH is of the command and whose rights it has
 *
 * It is made by the command's keeper when the command ends with success, not synced (a power cut
 * ends commands too), and removed some time after the recipient is done. The directory is root's,
 * or whose the whole server is: with another owner there are no notes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_read.h"
#include "applets/deliver/command/command_impl.h"

enum { CLEAN_MS = 30000, NAME_SIZE = 80 };

static const char prefix[] = "command.";

/* open_dir - where notes are; -1: there are none. Not through a link, and nobody else's */
static int open_dir(void)
{
	struct buf path = BUF_INIT;
	struct stat st;
	int fd;

	if (param.process_id_directory[0] != '/') {
		buf_addf(&path, "%s/", param.queue_directory);
	}
	buf_adds(&path, param.process_id_directory);
	if (mkdir(buf_str(&path), 0755) == 0) {
		(void)chmod(buf_str(&path), 0755);
	}
	fd = open(buf_str(&path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	buf_free(&path);
	if (fd >= 0 &&
		(fstat(fd, &st) != 0 || st.st_uid != geteuid() ||
			(st.st_mode & (S_IWGRP | S_IWOTH)) != 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

uint64_t command_key(uint64_t sum, const char *text)
{
	sum = sum != 0 ? sum : UINT64_C(14695981039346656037); /* FNV-1a */
	do {
		sum = (sum ^ (unsigned char)*text) * UINT64_C(1099511628211);
	} while (*text++ != '\0');
	return sum;
}

/* note_name - of the command's note for this recipient */
static void note_name(char out[NAME_SIZE], const struct agent_request *q,
	const struct delivery_recipient *r, uint64_t key)
{
	snprintf(out, NAME_SIZE, "%s%s.%llu.%016llx", prefix, q->id, (unsigned long long)r->n,
		(unsigned long long)key);
}

void command_note(const struct command_work *w)
{
	char name[NAME_SIZE];
	int dir = open_dir(), fd;

	for (size_t i = 0; dir >= 0 && i < w->rcpt_count; i++) {
		note_name(name, w->request, w->rcpts[i], w->key);
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0) {
			close(fd);
		}
	}
	if (dir >= 0) {
		close(dir);
	}
}

bool command_was_done(
	const struct agent_request *q, const struct delivery_recipient *r, uint64_t key)
{
	char name[NAME_SIZE];
	int dir = open_dir();
	struct stat st;
	bool found;

	if (dir < 0) {
		return false;
	}
	note_name(name, q, r, key);
	found = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
	close(dir);
	return found;
}

/* is_done - is the recipient that the note is about out of the queue? Not known: false */
static bool is_done(struct agent_host *h, const char *name)
{
	char id_text[QUEUE_ID_TEXT];
	const char *id_start = name + sizeof(prefix) - 1, *dot = strchr(id_start, '.');
	struct queue *queue = agent_queue(h);
	struct arena a = ARENA_INIT;
	struct queue_recipient r;
	int64_t n;
	queue_id id;
	int found;

	if (queue == NULL || dot == NULL || (size_t)(dot - id_start) >= sizeof(id_text) ||
		!str_to_int(arena_strndup(&a, dot + 1, strcspn(dot + 1, ".")), 0, INT64_MAX, &n)) {
		arena_free(&a);
		return queue != NULL;
	}
	memcpy(id_text, id_start, (size_t)(dot - id_start));
	id_text[dot - id_start] = '\0';
	if (!queue_id_parse(id_text, &id)) {
		arena_free(&a);
		return true;
	}
	found = queue_recipients(queue, id, n, true, &a, &r, 1);
	arena_free(&a);
	return found == 0 || (found > 0 && r.n != n);
}

/* on_clean - notes whose recipients are done go; again later while there are others */
static void on_clean(struct timer *t)
{
	struct commands *k = t->owner;
	int fd = open_dir();
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	bool left = false;

	if (d == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (!str_starts(e->d_name, prefix)) {
			continue;
		}
		if (is_done(k->host, e->d_name)) {
			(void)unlinkat(dirfd(d), e->d_name, 0);
		} else {
			left = true;
		}
	}
	closedir(d);
	if (left) {
		command_notes_clean(k);
	}
}

void command_notes_clean(struct commands *k)
{
	if (k->note_timer.slot == 0) {
		loop_timer(k->host->service.loop, &k->note_timer, CLEAN_MS, on_clean, k);
	}
}
