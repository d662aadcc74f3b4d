/*
 * imap_session - the mail part's session: commands in, replies out
 *
 *	           line or literals complete          CMD_DONE
 *	READING -----------------------------> RUNNING --------> sync, reply --> READING
 *	                                       |     ^
 *	                              CMD_MORE v     | output drained, timer, input
 *	                                       WAITING
 *
 * One command runs at a time; what a client sends ahead waits. A command that has produced
 * io->out_high bytes or worked for a slice of time steps back, so that the other
 * sessions of the process go on.
 *
 * RFC 3501 3, 5.5, 7
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/selected.h"
#include "applets/read/imapd/sync.h"

_Static_assert((int)IMAP_SEEN == (int)MAIL_SEEN && (int)IMAP_DRAFT == (int)MAIL_DRAFT &&
		(int)IMAP_RECENT == (int)MAIL_RECENT,
	"flags of the grammar are those of the store");

static const struct imapd_command commands[] = {
	{ "APPEND", cmd_append, 0 },
	{ "CAPABILITY", cmd_capability, 0 },
	{ "CHECK", cmd_check, CMD_SELECTED },
	{ "CLOSE", cmd_close, CMD_SELECTED | CMD_QUIET },
	{ "COPY", cmd_copy, CMD_SELECTED | CMD_UID },
	{ "CREATE", cmd_create, 0 },
	{ "DELETE", cmd_delete, 0 },
	{ "ENABLE", cmd_enable, 0 },
	{ "EXAMINE", cmd_examine, CMD_QUIET },
	{ "EXPUNGE", cmd_expunge, CMD_SELECTED | CMD_UID },
	{ "FETCH", cmd_fetch, CMD_SELECTED | CMD_UID | CMD_KEEPS_NUMBERS },
	{ "ID", cmd_id, 0 },
	{ "IDLE", cmd_idle, 0 },
	{ "LIST", cmd_list, 0 },
	{ "LOGOUT", cmd_logout, CMD_QUIET },
	{ "LSUB", cmd_lsub, 0 },
	{ "MOVE", cmd_move, CMD_SELECTED | CMD_UID },
	{ "NAMESPACE", cmd_namespace, 0 },
	{ "NOOP", cmd_noop, 0 },
	{ "RENAME", cmd_rename, 0 },
	{ "SEARCH", cmd_search, CMD_SELECTED | CMD_UID | CMD_KEEPS_NUMBERS },
	{ "SELECT", cmd_select, CMD_QUIET },
	{ "STATUS", cmd_status, 0 },
	{ "STORE", cmd_store, CMD_SELECTED | CMD_UID | CMD_KEEPS_NUMBERS },
	{ "SUBSCRIBE", cmd_subscribe, 0 },
	{ "UNSELECT", cmd_unselect, CMD_SELECTED | CMD_QUIET },
	{ "UNSUBSCRIBE", cmd_unsubscribe, 0 },
};

/* ---- A command's life ---- */

/* end_command - changes, the tagged reply, and back to reading */
static void end_command(struct imapd *s, enum cmd_result result, struct buf *out)
{
	bool quiet = s->command != NULL && (s->command->flags & CMD_QUIET);
	bool keeps = s->command != NULL && (s->command->flags & CMD_KEEPS_NUMBERS) && !s->uid;

	if (!quiet && s->reply.len > 0 && s->reply.data[0] != 'B') {
		s->uid_with_flags = s->uid;
		imapd_sync(s, out, !keeps);
	}
	s->uid_with_flags = false;
	s->quiet = NULL;
	s->quiet_count = 0;
	buf_addf(out, "%s %s\r\n", s->tag, buf_str(&s->reply));
	if (s->reply.len > 0 && s->reply.data[0] == 'B') {
		if (++s->bad >= IMAPD_BAD_MAX) {
			buf_adds(out, "* BYE Too many invalid IMAP commands.\r\n");
			s->why = "Too many invalid IMAP commands";
			result = CMD_CLOSE;
		}
	} else {
		s->bad = 0;
	}
	s->closing = s->closing || result == CMD_CLOSE;
	s->command = NULL;
	s->uid = false;
	s->go_on = NULL;
	s->abandon = NULL;
	s->state = NULL;
	buf_free(&s->reply);
	arena_free(&s->arena);
}

/* find_command - the row of a name */
static const struct imapd_command *find_command(struct slice name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(commands); i++) {
		if (slice_ieq(name, commands[i].name)) {
			return &commands[i];
		}
	}
	return NULL;
}

/* read_name - tag, UID, command name; false: the reply is set */
static bool read_name(struct imapd *s, struct imap_args *a)
{
	struct slice tag, name;

	(void)str_copy(s->tag, sizeof(s->tag), "*");
	if (!imap_args_tag(a, &tag) || tag.len >= sizeof(s->tag) || !imap_args_space(a)) {
		cmd_bad(s, "Missing or invalid tag");
		return false;
	}
	memcpy(s->tag, tag.ptr, tag.len);
	s->tag[tag.len] = '\0';
	s->uid = imap_args_word(a, "UID") && imap_args_char(a, ' ');
	if (!imap_args_atom(a, &name) || (s->command = find_command(name)) == NULL ||
		(s->uid && !(s->command->flags & CMD_UID))) {
		buf_reset(&s->reply);
		buf_addf(&s->reply, "BAD Error in IMAP command %s%.*s: Unknown command.",
			s->uid ? "UID " : "", name.len < 64 ? (int)name.len : 64, name.ptr);
		return false;
	}
	return true;
}

/* check_command - may it be used now? */
static bool check_command(struct imapd *s)
{
	if ((s->command->flags & CMD_SELECTED) && s->view == NULL) {
		buf_reset(&s->reply);
		buf_adds(&s->reply, "BAD No mailbox selected.");
		return false;
	}
	return true;
}

/* after - what the session does about a handler's result */
static enum session_want after(struct imapd *s, enum cmd_result result, struct buf *out)
{
	if (result == CMD_MORE || result == CMD_WAIT) {
		return result == CMD_MORE ? SESSION_WAIT : SESSION_READ;
	}
	end_command(s, result, out);
	return s->closing ? SESSION_CLOSE : SESSION_READ;
}

/* run_command - reader.text is a whole command */
static enum session_want run_command(struct imapd *s, struct buf *out)
{
	enum cmd_result result = CMD_DONE;
	struct imap_args a;

	if (append_under_way(s)) {
		result = append_line(s, out);
		imap_reader_reset(&s->reader);
		return after(s, result, out);
	}
	if (s->reader.text.len == 0) { /* an empty line: what some clients send after a literal */
		imap_reader_reset(&s->reader);
		return SESSION_READ;
	}
	imap_args_init(&a, &s->arena, buf_str(&s->reader.text), s->reader.text.len);
	if (read_name(s, &a) && check_command(s)) {
		result = s->command->run(s, &a, out);
	}
	imap_reader_reset(&s->reader); /* what goes on later has all it needs in the arena */
	return after(s, result, out);
}

/* is_append - the command that announced a literal is APPEND */
static bool is_append(struct imapd *s)
{
	struct imap_args a;

	imap_args_init(&a, &s->arena, buf_str(&s->reader.text), s->reader.text.len);
	if (!read_name(s, &a)) {
		s->command = NULL;
		s->uid = false;
		buf_reset(&s->reply);
		return false;
	}
	if (strcmp(s->command->name, "APPEND") != 0) {
		s->command = NULL;
		return false;
	}
	return true;
}

/* on_literal - a literal was announced */
static enum session_want on_literal(struct imapd *s, struct buf *in, struct buf *out)
{
	enum cmd_result result;

	if (append_under_way(s) || is_append(s)) {
		result = append_literal(s, in, out);
		if (result != CMD_WAIT || s->go_on != NULL) {
			return after(s, result, out);
		}
		s->command = NULL; /* the literal is the mailbox name */
	}
	if (imap_reader_fits(&s->reader)) {
		buf_adds(out, s->reader.sync ? "+ OK\r\n" : "");
		imap_reader_accept(&s->reader);
		return SESSION_READ;
	}
	/* is_append() has left the tag. */
	imap_reader_refuse(&s->reader);
	buf_reset(&s->reply);
	buf_adds(&s->reply, "BAD [TOOBIG] Error in IMAP command: Literal too large.");
	return after(s, CMD_DONE, out);
}

/* too_long - a command above imap_max_line_length */
static enum session_want too_long(struct imapd *s, struct buf *out)
{
	struct imap_args a;
	struct slice tag;

	imap_args_init(&a, &s->arena, buf_str(&s->reader.text), s->reader.text.len);
	(void)str_copy(s->tag, sizeof(s->tag), "*");
	if (imap_args_tag(&a, &tag) && tag.len < sizeof(s->tag)) {
		memcpy(s->tag, tag.ptr, tag.len);
		s->tag[tag.len] = '\0';
	}
	imap_reader_reset(&s->reader);
	if (append_under_way(s)) {
		s->abandon(s);
	}
	buf_reset(&s->reply);
	buf_adds(&s->reply, "BAD Error in IMAP command received by server: Too long argument.");
	return after(s, CMD_DONE, out);
}

/* next_command - read and run one; SESSION_READ: more input, or another may follow */
static enum session_want next_command(
	struct imapd *s, struct buf *in, struct buf *out, bool *more_r)
{
	*more_r = true;
	switch (imap_reader_next(&s->reader, in)) {
	case IMAP_READ_MORE:
		*more_r = false;
		return SESSION_READ;
	case IMAP_READ_COMMAND:
		return run_command(s, out);
	case IMAP_READ_LITERAL:
		return on_literal(s, in, out);
	case IMAP_READ_TOO_LONG:
		return too_long(s, out);
	}
	return SESSION_CLOSE;
}

/* continue_command - the command under way, with input if there is any */
static enum session_want continue_command(struct imapd *s, struct buf *in, struct buf *out)
{
	return after(s, s->go_on(s, in, out), out);
}

/* ---- The session class ---- */

static void *session_open(struct session_io *io, void *service, struct buf *out)
{
	const struct mail_service *m = service;
	struct imapd *s = mem_alloc(sizeof(*s));
	char *error = NULL;

	s->io = io;
	s->notify.fd = -1;
	s->why = "Connection closed";
	io->timeout = IMAPD_TIMEOUT;
	s->reader.max = (size_t)setting.imap_max_line_length;
	s->store = mailstore_open(&m->user, &error);
	if (s->store == NULL) {
		log_error("imap(%s): %s", m->user.name, error);
		if (m->preauth) {
			buf_adds(out, "* BYE [SERVERBUG] Internal error occurred.\r\n");
		} else {
			buf_addf(out,
				"%s NO [UNAVAILABLE] Internal error occurred. Refer to server log "
				"for more information.\r\n",
				m->tag);
		}
		mem_free(error);
		mem_free(s);
		return NULL;
	}
	s->user = mem_strdup(m->user.name);
	if (m->preauth) {
		buf_adds(out, "* PREAUTH [CAPABILITY ");
		put_capabilities(out);
		buf_addf(out, "] Logged in as %s\r\n", s->user);
	} else {
		buf_addf(out, "%s OK [CAPABILITY ", m->tag);
		put_capabilities(out);
		buf_adds(out, "] Logged in\r\n");
	}
	return s;
}

static enum session_want session_feed(void *session, struct buf *in, struct buf *out)
{
	struct imapd *s = session;
	int64_t started = clock_ms();
	enum session_want want;
	bool more = true;

	for (;;) {
		if (s->go_on != NULL) {
			want = continue_command(s, in, out);
			if (s->go_on != NULL) {
				return want;
			}
		} else {
			want = next_command(s, in, out, &more);
		}
		if (want != SESSION_READ || !more) {
			return want;
		}
		if (buf_unread(in) > 0 && imapd_pause(s, out, started)) {
			/* Many commands at once: the others' turn. */
			imapd_yield(s, out);
			return SESSION_WAIT;
		}
	}
}

/* abandon_command - the client went away; what it had begun is given up */
static void abandon_command(struct imapd *s)
{
	if (s->abandon != NULL) {
		s->abandon(s);
		s->abandon = NULL;
	}
}

static enum session_want session_event_happened(
	void *session, enum session_event event, struct buf *out)
{
	struct imapd *s = session;
	struct buf none = BUF_INIT;

	switch (event) {
	case SESSION_EV_DRAINED:
		return s->go_on != NULL ? continue_command(s, &none, out) : SESSION_READ;
	case SESSION_EV_TIMEOUT:
		buf_adds(out, "* BYE Disconnected for inactivity.\r\n");
		s->why = "Disconnected for inactivity";
		return SESSION_CLOSE;
	case SESSION_EV_SHUTDOWN:
		buf_adds(out, "* BYE Server shutting down.\r\n");
		s->why = "Server shutting down.";
		return SESSION_CLOSE;
	case SESSION_EV_NO_MEMORY:
		buf_adds(out, "* BYE [SERVERBUG] Out of memory\r\n");
		s->why = "Out of memory";
		return SESSION_CLOSE;
	case SESSION_EV_ERROR:
		if (s->io->error != NULL) {
			log_debug(1, "imap(%s): %s", s->user, s->io->error);
		}
		return SESSION_CLOSE;
	case SESSION_EV_EOF:
	case SESSION_EV_TLS_FAILED:
		return SESSION_CLOSE;
	case SESSION_EV_TLS_UP:
		return SESSION_READ;
	}
	return SESSION_CLOSE;
}

static void session_close(void *session)
{
	struct imapd *s = session;

	abandon_command(s);
	if (s->io->loop != NULL) {
		loop_untimer(s->io->loop, &s->turn);
		loop_untimer(s->io->loop, &s->still_here);
		loop_untimer(s->io->loop, &s->look);
		loop_unwatch(s->io->loop, &s->notify);
	}
	imapd_unselect(s);
	mailstore_close(s->store);
	log_info("imap(%s): Info: Disconnected: %s in=%llu out=%llu deleted=%llu expunged=%llu "
		 "trashed=0 hdr_count=%llu hdr_bytes=%llu body_count=%llu body_bytes=%llu",
		s->user, s->why, (unsigned long long)s->io->bytes_in,
		(unsigned long long)s->io->bytes_out, (unsigned long long)s->deleted,
		(unsigned long long)s->expunged, (unsigned long long)s->header_count,
		(unsigned long long)s->header_bytes, (unsigned long long)s->body_count,
		(unsigned long long)s->body_bytes);
	imap_reader_free(&s->reader);
	buf_free(&s->reply);
	arena_free(&s->arena);
	mem_free(s->user);
	mem_free(s);
}

const struct session_class imapd_mail_class = {
	.name = "imap",
	.open = session_open,
	.feed = session_feed,
	.event = session_event_happened,
	.close = session_close,
};
