/*
 * cmd_idle - IDLE: tell of changes as they happen
 *
 * The store's descriptor wakes us for what other sessions, processes and programs do to the
 * mailbox. There may be none (inotify is missing or its limit is used up), and what another host
 * does to a network file system is not heard of: we look every mailbox_idle_check_interval.
 * Every imap_idle_notify_interval a line goes out, which keeps routers from
 * forgetting the connection and finds clients that are gone.
 *
 * RFC 2177
 */
#include <string.h>

#include "conf/dovecot/dovecot_conf.h"
#include "applets/read/imapd/fetch_text.h"
#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/sync.h"

static void on_notify(struct watch *w, unsigned events)
{
	struct imapd *s = w->owner;

	(void)events;
	s->io->resume(s->io);
}

static void arm_still_here(struct imapd *s);

static void on_still_here(struct timer *t)
{
	struct imapd *s = t->owner;

	s->still_due = true;
	s->io->resume(s->io);
	arm_still_here(s);
}

static void arm_still_here(struct imapd *s)
{
	int64_t seconds = setting.imap_idle_notify_interval;

	if (seconds > 0) {
		loop_timer(s->io->loop, &s->still_here, seconds * 1000, on_still_here, s);
	}
}

static void arm_look(struct imapd *s);

static void on_look(struct timer *t)
{
	struct imapd *s = t->owner;

	s->io->resume(s->io);
	arm_look(s);
}

static void arm_look(struct imapd *s)
{
	int64_t seconds = setting.mailbox_idle_check_interval;

	if (seconds > 0 && s->view != NULL) {
		loop_timer(s->io->loop, &s->look, seconds * 1000, on_look, s);
	}
}

/* leave_idle - nothing wakes us any more */
static void leave_idle(struct imapd *s)
{
	s->io->timeout = IMAPD_TIMEOUT;
	if (s->io->loop != NULL) {
		loop_unwatch(s->io->loop, &s->notify);
		loop_untimer(s->io->loop, &s->still_here);
		loop_untimer(s->io->loop, &s->look);
	}
}

/* idle_on - input came, or the mailbox may have changed */
static enum cmd_result idle_on(struct imapd *s, struct buf *in, struct buf *out)
{
	const char *lf = memchr(buf_head(in), '\n', buf_unread(in));
	size_t len;
	bool done;

	if (lf == NULL && buf_unread(in) < 16) {
		if (s->still_due) {
			s->still_due = false;
			buf_adds(out, "* OK Still here\r\n");
		}
		if (buf_unread(out) <= s->io->out_high) {
			imapd_sync(s, out, true);
		}
		return s->closing ? CMD_CLOSE : CMD_WAIT;
	}
	leave_idle(s);
	len = lf != NULL ? (size_t)(lf - buf_head(in)) : buf_unread(in);
	done = slice_ieq(slice_trim((struct slice){ buf_head(in), len }), "DONE");
	buf_consume(in, len + (lf != NULL));
	return done ? cmd_ok(s, "Idle completed.") : cmd_bad(s, "Expected DONE");
}

enum cmd_result cmd_idle(struct imapd *s, struct imap_args *a, struct buf *out)
{
	int fd;

	if (!imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	fetch_place_drop(s);
	arena_free(&s->arena); /* nothing of it is needed, and idling may take long */
	buf_adds(out, "+ idling\r\n");
	imapd_sync(s, out, true);
	s->io->timeout = 0; /* "Still here" finds out whether the client is */
	s->still_due = false;
	s->go_on = idle_on;
	s->abandon = leave_idle;
	fd = s->view != NULL ? mailbox_notify_fd(s->view) : -1;
	if (s->io->loop != NULL) {
		if (fd >= 0) {
			loop_watch(s->io->loop, &s->notify, fd, LOOP_READ, on_notify, s);
		}
		arm_still_here(s);
		arm_look(s);
	}
	return CMD_WAIT;
}
