/*
 * mirror - marker files of deferred messages, for commands that count files
 */
#include "applets/queue/qmgr/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "conf/params.h"
#include "queue/queue_read.h"
#include "applets/queue/qmgr/qmgr.h"

enum { AT_ONCE = 200, PAUSE_MS = 5 }; /* mail does not wait for markers */

void mirror_put(struct qmgr *m, queue_id id, bool deferred)
{
	char name[QUEUE_ID_TEXT];
	int fd;

	if (m->mirror.dir < 0) {
		return;
	}
	queue_id_text(id, name);
	if (!deferred) {
		(void)unlinkat(m->mirror.dir, name, 0); /* most were never deferred */
		return;
	}
	fd = openat(m->mirror.dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
		0600);
	if (fd < 0) {
		log_warn("queue_mirror: deferred/%s: %m", name);
	} else {
		close(fd);
	}
}

void mirror_look(struct qmgr *m, queue_id id)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;

	if (m->mirror.dir >= 0) {
		int rc = queue_get(m->queue, id, &a, &env);

		if (rc >= 0) {
			mirror_put(m, id, rc == 1 && env.state == QUEUE_DEFERRED);
		}
		arena_free(&a);
	}
}

/* is_marker - one of ours: an old queue of files may lie in this directory, too */
static bool is_marker(int dir, const char *name, queue_id *id_r)
{
	struct stat st;

	return queue_id_parse(name, id_r) && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode) && st.st_size == 0;
}

/* look_at_queue - the next messages get their markers; false: that was the last */
static bool look_at_queue(struct qmgr *m)
{
	struct queue_entry list[AT_ONCE];
	int count = queue_scan(m->queue, m->mirror.after, list, AT_ONCE);

	for (int i = 0; i < count; i++) {
		m->mirror.after = list[i].id;
		if (list[i].state == QUEUE_DEFERRED) {
			mirror_put(m, list[i].id, true);
		}
	}
	return count == AT_ONCE;
}

/* look_at_names - the next markers whose message is not deferred go; false: that was the last */
static bool look_at_names(struct qmgr *m)
{
	struct dirent *entry = NULL;
	queue_id id;

	for (int i = 0; i < AT_ONCE && (entry = readdir(m->mirror.names)) != NULL; i++) {
		if (is_marker(m->mirror.dir, entry->d_name, &id)) {
			mirror_look(m, id);
		}
	}
	return entry != NULL;
}

static void on_step(struct timer *t)
{
	struct qmgr *m = t->owner;
	struct mirror *r = &m->mirror;
	bool more;

	if (r->names != NULL) {
		more = look_at_names(m);
	} else if (!look_at_queue(m)) {
		int fd = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		r->names = fd >= 0 ? fdopendir(fd) : NULL;
		more = r->names != NULL;
	} else {
		more = true;
	}
	if (more) {
		loop_timer(m->loop, t, PAUSE_MS, on_step, m);
	} else if (r->names != NULL) {
		closedir(r->names);
		r->names = NULL;
	}
}

void mirror_start(struct qmgr *m)
{
	struct buf path = BUF_INIT;

	if (!param.queue_mirror) {
		return;
	}
	buf_addf(&path, "%s/deferred", param.queue_directory);
	m->mirror.dir = open(buf_str(&path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->mirror.dir < 0) {
		log_warn("queue_mirror: %s: %m", buf_str(&path));
	} else {
		loop_timer(m->loop, &m->mirror.step, PAUSE_MS, on_step, m);
	}
	buf_free(&path);
}

void mirror_stop(struct qmgr *m)
{
	loop_untimer(m->loop, &m->mirror.step);
	if (m->mirror.names != NULL) {
		closedir(m->mirror.names);
		m->mirror.names = NULL;
	}
	if (m->mirror.dir >= 0) {
		close(m->mirror.dir);
		m->mirror.dir = -1;
	}
}
