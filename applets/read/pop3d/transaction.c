/*
 * transaction - POP3 after login: the INBOX, as it was at the start
 *
 * Numbers stay what they were when the session began; mail that comes in later
 * is for the next one. DELE only marks; files change in QUIT alone, so a
 * connection that breaks deletes nothing. That a message was read is noted at the
 * end however that comes.
 *
 * Long replies (RETR of 40 MB, LIST of 200,000) are made piece by piece: s->more
 * goes on when the output so far is sent.
 */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/dovecot/dovecot_conf.h"
#include "applets/read/pop3d/pop3d.h"

enum { MAIL_TIMEOUT = 600 };

static const char SYS_TEMP[] =
	"[SYS/TEMP] Internal error occurred. Refer to server log for more information.";

/* ---- Opening ---- */

static void free_session(struct pop3 *s)
{
	if (s->text != NULL) {
		mail_close(s->text);
	}
	mailbox_close(s->view);
	mailstore_close(s->ms);
	mem_free(s->deleted);
	mem_free(s->seen);
	mem_free(s->name);
	mem_free(s);
}

/* open_inbox - 0, or -1 with the reply said */
static int open_inbox(struct pop3 *s, const struct mail_user *user, struct buf *out)
{
	char *error = NULL;

	s->ms = mailstore_open(user, &error);
	if (s->ms == NULL) {
		log_error("pop3(%s): %s", s->name, error);
		mem_free(error);
		pop3_err(out, "%s", SYS_TEMP);
		return -1;
	}
	s->view = mailbox_open(s->ms, "INBOX", false);
	if (s->view == NULL) {
		log_error("pop3(%s): %s", s->name, mailstore_error(s->ms));
		if (mailstore_errno(s->ms) == MAIL_E_BUSY) {
			pop3_err(out,
				"[IN-USE] Couldn't open INBOX: it is locked by another program.");
		} else {
			pop3_err(out, "%s", SYS_TEMP);
		}
		return -1;
	}
	if (mailbox_session_lock(s->view) != 0) {
		log_info("pop3(%s): Info: Mailbox is locked by another POP3 session", s->name);
		pop3_err(out, "[IN-USE] Mailbox is locked by another POP3 session.");
		return -1;
	}
	return 0;
}

static const struct pop3_phase phase;

static void *mail_open_session(struct session_io *io, void *service, struct buf *out)
{
	struct mail_service *ms = service;
	struct pop3 *s = mem_alloc(sizeof(*s));

	s->io = io;
	s->phase = &phase;
	s->name = mem_strdup(ms->user.name);
	io->timeout = MAIL_TIMEOUT;
	if (open_inbox(s, &ms->user, out) != 0) {
		free_session(s);
		return NULL;
	}
	s->count = mailbox_count(s->view);
	s->deleted = mem_alloc((size_t)s->count + 1);
	s->seen = mem_alloc((size_t)s->count + 1);
	for (uint32_t n = 1; n <= s->count; n++) {
		const struct mail_info *info = mailbox_info(s->view, n);

		s->total += info->size;
		if (info->flags & MAIL_SEEN) {
			s->last_at_start = n;
		}
	}
	s->last = s->last_at_start;
	pop3_ok(out, ms->preauth ? "%s" : "Logged in.%s", "");
	return s;
}

/* ---- Arguments ---- */

/* take_message - a message number that is there and not deleted; 0 after an error reply */
static uint32_t take_message(struct pop3 *s, struct slice *args, bool more, struct buf *out)
{
	struct slice all = *args;
	uint64_t n = 0;

	switch (pop3_number(args, more, &n)) {
	case POP3_NUMBER_OK:
		break;
	case POP3_NUMBER_NONE:
		pop3_err(out, "Invalid message number: %.*s", (int)all.len, all.ptr);
		return 0;
	case POP3_NUMBER_LARGE:
		pop3_err(out, "Message number too large: %.*s", (int)all.len, all.ptr);
		return 0;
	case POP3_NUMBER_NOISE:
		pop3_err(out, "Noise after message number: %.*s", (int)args->len, args->ptr);
		return 0;
	}
	if (n == 0 || n > s->count) {
		pop3_err(out, "There's no message %" PRIu64 ".", n);
		return 0;
	}
	if (s->deleted[n - 1]) {
		pop3_err(out, "Message is deleted.");
		return 0;
	}
	return (uint32_t)n;
}

/* ---- Listings ---- */

static enum session_want cmd_stat(struct pop3 *s, struct slice args, struct buf *out)
{
	(void)args;
	pop3_ok(out, "%" PRIu32 " %" PRIu64, s->count - s->deleted_count,
		s->total - s->deleted_bytes);
	return SESSION_READ;
}

static void add_size(struct pop3 *s, uint32_t n, struct buf *out)
{
	buf_addf(out, "%" PRIu32 " %" PRIu64 "\r\n", n, mailbox_info(s->view, n)->size);
}

static void add_uidl(struct pop3 *s, uint32_t n, struct buf *out)
{
	char name[256];

	buf_addf(out, "%" PRIu32 " ", n);
	mailbox_message_name(s->view, n, name, sizeof(name));
	pop3_uidl(out, setting.pop3_uidl_format, mailbox_info(s->view, n)->uid,
		mailbox_uid_validity(s->view), name);
	buf_adds(out, "\r\n");
}

/* add_rows - rows of a listing, as many as may be now */
static void add_rows(
	struct pop3 *s, struct buf *out, void (*add)(struct pop3 *, uint32_t, struct buf *))
{
	while (s->at <= s->count && buf_unread(out) <= s->io->out_high) {
		if (!s->deleted[s->at - 1]) {
			add(s, s->at, out);
		}
		s->at++;
	}
	if (s->at > s->count) {
		buf_adds(out, ".\r\n");
		s->more = NULL;
	}
}

static void more_sizes(struct pop3 *s, struct buf *out)
{
	add_rows(s, out, add_size);
}

static void more_uidls(struct pop3 *s, struct buf *out)
{
	add_rows(s, out, add_uidl);
}

static enum session_want cmd_list(struct pop3 *s, struct slice args, struct buf *out)
{
	uint32_t n;

	if (args.len > 0) {
		n = take_message(s, &args, false, out);
		if (n != 0) {
			buf_adds(out, "+OK ");
			add_size(s, n, out);
		}
		return SESSION_READ;
	}
	pop3_ok(out, "%" PRIu32 " messages:", s->count - s->deleted_count);
	s->at = 1;
	s->more = more_sizes;
	more_sizes(s, out);
	return SESSION_READ;
}

static enum session_want cmd_uidl(struct pop3 *s, struct slice args, struct buf *out)
{
	uint32_t n;

	if (args.len > 0) {
		n = take_message(s, &args, false, out);
		if (n != 0) {
			buf_adds(out, "+OK ");
			add_uidl(s, n, out);
		}
		return SESSION_READ;
	}
	pop3_ok(out, "%s", "");
	s->at = 1;
	s->more = more_uidls;
	more_uidls(s, out);
	return SESSION_READ;
}

/* ---- Messages ---- */

/* more_text - bytes of the message; one that cannot be read on ends the connection: the client must
 * see that */
static void more_text(struct pop3 *s, struct buf *out)
{
	const char *data;
	size_t len, taken, before;

	while (s->text != NULL && !s->closing && buf_unread(out) <= s->io->out_high) {
		data = s->body.done ? NULL : mail_bytes(s->text, s->text_at, &len);
		before = out->len;
		if (data != NULL) {
			if (len > s->io->out_high) {
				len = s->io->out_high;
			}
			taken = pop3_body_add(&s->body, out, data, len);
			s->text_at += taken;
		} else if (s->body.done || s->text_at >= mail_size(s->text)) {
			pop3_body_end(&s->body, out);
			mail_close(s->text);
			s->text = NULL;
			s->more = NULL;
		} else {
			log_error("pop3(%s): %s", s->name, mailstore_error(s->ms));
			pop3_close(s, "Internal error while reading a message");
		}
		if (s->is_top) {
			s->top_bytes += out->len - before;
		} else {
			s->retr_bytes += out->len - before;
		}
	}
}

/* start_text - the reply's first line and as much as fits; 0, or -1 with an error said */
static int start_text(struct pop3 *s, uint32_t n, uint64_t lines, struct buf *out)
{
	s->text = mail_open(s->view, n);
	if (s->text == NULL) {
		if (mailstore_errno(s->ms) == MAIL_E_NOT_FOUND) {
			pop3_err(out, "Message was deleted by another program.");
		} else {
			pop3_err(out, "%s", SYS_TEMP);
		}
		return -1;
	}
	if (lines == POP3_ALL) {
		pop3_ok(out, "%" PRIu64 " octets", mailbox_info(s->view, n)->size);
	} else {
		pop3_ok(out, "%s", "");
	}
	s->text_at = 0;
	pop3_body_begin(&s->body, lines);
	s->more = more_text;
	more_text(s, out);
	return 0;
}

static enum session_want cmd_retr(struct pop3 *s, struct slice args, struct buf *out)
{
	uint32_t n = take_message(s, &args, false, out);

	s->is_top = false;
	if (n == 0 || start_text(s, n, POP3_ALL, out) != 0) {
		return SESSION_READ;
	}
	s->retr_count++;
	s->seen[n - 1] = 1;
	if (n > s->last) {
		s->last = n;
	}
	return SESSION_READ;
}

static enum session_want cmd_top(struct pop3 *s, struct slice args, struct buf *out)
{
	uint32_t n = take_message(s, &args, true, out);
	uint64_t lines;

	s->is_top = true;
	if (n == 0) {
		return SESSION_READ;
	}
	switch (pop3_number(&args, false, &lines)) {
	case POP3_NUMBER_OK:
		if (start_text(s, n, lines < POP3_ALL ? lines : POP3_ALL - 1, out) == 0) {
			s->top_count++;
		}
		break;
	case POP3_NUMBER_NONE:
		pop3_err(out, "Invalid line count.");
		break;
	case POP3_NUMBER_LARGE:
		pop3_err(out, "Line count too large.");
		break;
	case POP3_NUMBER_NOISE:
		pop3_err(out, "Noise after line count.");
		break;
	}
	return SESSION_READ;
}

static enum session_want cmd_dele(struct pop3 *s, struct slice args, struct buf *out)
{
	uint32_t n = take_message(s, &args, false, out);

	if (n == 0) {
		return SESSION_READ;
	}
	s->deleted[n - 1] = 1;
	s->deleted_count++;
	s->deleted_bytes += mailbox_info(s->view, n)->size;
	pop3_ok(out, "Marked to be deleted.");
	return SESSION_READ;
}

static enum session_want cmd_rset(struct pop3 *s, struct slice args, struct buf *out)
{
	(void)args;
	memset(s->deleted, 0, s->count);
	memset(s->seen, 0, s->count);
	s->deleted_count = 0;
	s->deleted_bytes = 0;
	s->last = s->last_at_start;
	pop3_ok(out, "%s", "");
	return SESSION_READ;
}

static enum session_want cmd_noop(struct pop3 *s, struct slice args, struct buf *out)
{
	(void)s;
	(void)args;
	pop3_ok(out, "%s", "");
	return SESSION_READ;
}

static enum session_want cmd_last(struct pop3 *s, struct slice args, struct buf *out)
{
	(void)args;
	pop3_ok(out, "%" PRIu32, s->last);
	return SESSION_READ;
}

/* ---- UPDATE ---- */

/* marked_uids - of the messages marked; caller frees; how many to *count_r */
static uint32_t *marked_uids(struct pop3 *s, const uint8_t *marks, size_t *count_r)
{
	uint32_t *uids = mem_calloc((size_t)s->count + 1, sizeof(*uids));

	*count_r = 0;
	for (uint32_t n = 1; n <= s->count; n++) {
		if (marks[n - 1]) {
			uids[(*count_r)++] = mailbox_info(s->view, n)->uid;
		}
	}
	return uids;
}

/* note_seen - what was retrieved has been seen */
static void note_seen(struct pop3 *s)
{
	uint32_t *uids;
	size_t count;

	for (uint32_t n = 1; n <= s->count; n++) {
		if (s->deleted[n - 1] || (mailbox_info(s->view, n)->flags & MAIL_SEEN)) {
			s->seen[n - 1] = 0;
		}
	}
	uids = marked_uids(s, s->seen, &count);
	if (count > 0 && !setting.pop3_no_flag_updates) {
		mailbox_store(
			s->view, uids, count, FLAGS_ADD, MAIL_SEEN, 0, UINT64_MAX, NULL, NULL);
	}
	memset(s->seen, 0, s->count);
	mem_free(uids);
}

/* delete_marked - 0 or -1 */
static int delete_marked(struct pop3 *s)
{
	uint32_t *uids;
	size_t count;
	int rc = 0;

	uids = marked_uids(s, s->deleted, &count);
	if (count > 0) {
		rc = mailbox_expunge(s->view, uids, count, true);
	}
	if (rc == 0) {
		s->expunged_count = (uint32_t)count;
	}
	mem_free(uids);
	return rc;
}

static enum session_want cmd_quit(struct pop3 *s, struct slice args, struct buf *out)
{
	(void)args;
	if (delete_marked(s) != 0) {
		log_error("pop3(%s): %s", s->name, mailstore_error(s->ms));
		memset(s->deleted, 0, s->count);
		pop3_err(out, "[SYS/TEMP] Couldn't delete the messages, none was deleted.");
	} else if (s->expunged_count > 0) {
		pop3_ok(out, "Logging out, messages deleted.");
	} else {
		pop3_ok(out, "Logging out.");
	}
	return pop3_close(s, "Logged out");
}

static enum session_want cmd_capa(struct pop3 *s, struct slice args, struct buf *out)
{
	(void)s, (void)args;
	pop3_put_capa(out);
	buf_adds(out, ".\r\n");
	return SESSION_READ;
}

static const struct pop3_command commands[] = {
	{ "CAPA", cmd_capa, false },
	{ "DELE", cmd_dele, false },
	{ "LAST", cmd_last, false },
	{ "LIST", cmd_list, false },
	{ "NOOP", cmd_noop, false },
	{ "QUIT", cmd_quit, false },
	{ "RETR", cmd_retr, false },
	{ "RSET", cmd_rset, false },
	{ "STAT", cmd_stat, false },
	{ "TOP", cmd_top, false },
	{ "UIDL", cmd_uidl, false },
};

static const struct pop3_phase phase = { commands, ARRAY_LEN(commands), true, NULL };

/* ---- Driving ---- */

static enum session_want mail_feed(void *session, struct buf *in, struct buf *out)
{
	return pop3_feed(session, in, out);
}

static enum session_want mail_event(void *session, enum session_event event, struct buf *out)
{
	struct pop3 *s = session;

	switch (event) {
	case SESSION_EV_TIMEOUT:
		if (s->more == NULL) {
			pop3_err(out, "Disconnected for inactivity.");
		}
		return pop3_close(s, "Inactivity - no input for 600 secs");
	case SESSION_EV_SHUTDOWN:
		if (s->more == NULL) {
			pop3_err(out, "[SYS/TEMP] Server shutting down.");
		}
		return pop3_close(s, "Server shutting down.");
	case SESSION_EV_NO_MEMORY:
		pop3_err(out, "[SYS/TEMP] Out of memory.");
		return pop3_close(s, "Out of memory");
	case SESSION_EV_DRAINED:
		if (s->more != NULL) {
			s->more(s, out);
		}
		return s->closing ? SESSION_CLOSE : SESSION_READ;
	case SESSION_EV_EOF:
		return pop3_close(s, "Connection closed");
	case SESSION_EV_ERROR:
		return pop3_close(s, s->io->error != NULL ? s->io->error : "Connection closed");
	case SESSION_EV_TLS_UP:
	case SESSION_EV_TLS_FAILED:
		return SESSION_READ;
	}
	return SESSION_CLOSE;
}

/* log_end - Dovecot's line, after pop3_logout_format */
static void log_end(const struct pop3 *s)
{
	struct buf b = BUF_INIT;

	for (const char *p = setting.pop3_logout_format; *p != '\0'; p++) {
		if (*p != '%' || p[1] == '\0') {
			buf_addc(&b, *p);
			continue;
		}
		switch (*++p) {
		case 't':
			buf_addf(&b, "%u", s->top_count);
			break;
		case 'p':
			buf_addf(&b, "%" PRIu64, s->top_bytes);
			break;
		case 'r':
			buf_addf(&b, "%u", s->retr_count);
			break;
		case 'b':
			buf_addf(&b, "%" PRIu64, s->retr_bytes);
			break;
		case 'd':
			buf_addf(&b, "%" PRIu32, s->expunged_count);
			break;
		case 'm':
			buf_addf(&b, "%" PRIu32, s->count);
			break;
		case 's':
			buf_addf(&b, "%" PRIu64, s->total);
			break;
		case 'i':
			buf_addf(&b, "%" PRIu64, s->io->bytes_in);
			break;
		case 'o':
			buf_addf(&b, "%" PRIu64, s->io->bytes_out);
			break;
		default:
			buf_addc(&b, *p);
		}
	}
	log_info("pop3(%s): Info: Disconnected: %s %s", s->name,
		s->reason != NULL ? s->reason : "Connection closed", buf_str(&b));
	buf_free(&b);
}

static void mail_close_session(void *session)
{
	struct pop3 *s = session;

	if (s->expunged_count == 0) {
		memset(s->deleted, 0, s->count);
	}
	note_seen(s);
	log_end(s);
	free_session(s);
}

const struct session_class pop3_mail_class = {
	.name = "pop3",
	.open = mail_open_session,
	.feed = mail_feed,
	.event = mail_event,
	.close = mail_close_session,
};
