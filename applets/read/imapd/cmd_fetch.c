/*
 * cmd_fetch - FETCH, UID FETCH
 *
 *	          text needed            structures        each section          ")"
 *	NEXT --> OPENED --parse--> HEAD -------------> SECTION(locate, seek, copy)* --> NEXT
 *
 * Any arrow may be interrupted (enough output, enough time) and go on later. Flags that
 * a fetch sets are told with the message and stored in one transaction at the end.
 *
 * RFC 3501 6.4.5, 7.4.2; RFC 7162 3.1.4
 */
#include <string.h>

#include "base/date.h"
#include "base/log.h"
#include "base/mem.h"
#include "mime/structure.h"
#include "proto/imap_fetch.h"
#include "applets/read/imapd/fetch_text.h"
#include "applets/read/imapd/header_cache.h"
#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/selected.h"
#include "applets/read/imapd/sync.h"

enum step { NEXT, PARSE, HEAD, LOCATE, SEEK, COPY };

struct fetch {
	struct imap_set set;
	struct imap_fetch what;
	uint32_t seq;
	enum step step;
	bool marks;                     /* \Seen */
	bool missing;                   /* messages were gone */
	const char *unread;             /* why one that is there could not be read; NULL */
	struct fetch_text text;         /* of the message at seq, when it is needed */
	struct buf envelope, structure; /* from the cache or parsed */
	const char *gap;                /* before the next item */
	const struct imap_section *section;
	struct mime_pos from; /* of the section */
	uint64_t left;        /* wire bytes of it to write */
	uint64_t target;
	struct buf made;  /* a section that is no piece of the message: HEADER.FIELDS */
	bool light;       /* every section can be made from cached fields */
	bool have_fields; /* those of this message are in fields */
	struct buf fields;
	uint32_t *seen;
	size_t seen_count, seen_room;
};

/* ---- The sections ---- */

/* is_listed - is the field one of those asked for? */
static bool is_listed(const struct imap_section *sec, struct slice name)
{
	size_t i;

	for (i = 0; i < sec->field_count; i++) {
		if (slice_ieq(name, sec->fields[i])) {
			return true;
		}
	}
	return false;
}

/*
 * make_fields - HEADER.FIELDS: the fields that are (not) listed, in wire form, with a blank line
 *
 * Lines that are no field are not listed ones. A message that ends with its header has no
 * blank line to show (RFC 3501 6.4.5); HEADER.FIELDS has one all the same, as from Dovecot: the
 * fields come from the cache, and clients look for it.
 */
static void make_fields(const struct imap_section *sec, struct slice header, struct buf *out)
{
	struct mime_field f;
	bool cr = false;

	buf_reset(out);
	while (mime_field_next(&header, &f)) {
		if (is_listed(sec, f.name) == (sec->kind == IMAP_SECTION_FIELDS)) {
			cr = false;
			mime_to_wire(out, f.raw.ptr, f.raw.len, &cr);
			if (out->data[out->len - 1] != '\n') {
				buf_adds(out, "\r\n");
			}
		}
	}
	if (header.len > 0 || sec->kind == IMAP_SECTION_FIELDS) {
		buf_adds(out, "\r\n");
	}
}

enum found { FOUND_NOT, FOUND_RANGE, FOUND_MADE };

/* locate_in - a section of message (or, with a path, of a part of it) between two places */
static bool locate_in(const struct imap_section *sec, const struct mime_part *p,
	struct mime_pos *from, struct mime_pos *to)
{
	const struct mime_part *message = sec->path_count == 0 ? p : p->child;

	switch (sec->kind) {
	case IMAP_SECTION_ALL:
		*from = sec->path_count == 0 ? p->head : p->body;
		*to = p->end;
		return true;
	case IMAP_SECTION_MIME:
		*from = p->head;
		*to = p->body;
		return true;
	case IMAP_SECTION_HEADER:
	case IMAP_SECTION_FIELDS:
	case IMAP_SECTION_FIELDS_NOT:
	case IMAP_SECTION_TEXT:
		if (sec->path_count > 0 && p->kind != MIME_MESSAGE) {
			return false;
		}
		*from = sec->kind == IMAP_SECTION_TEXT ? message->body : message->head;
		*to = sec->kind == IMAP_SECTION_TEXT ? message->end : message->body;
		return true;
	}
	return false;
}

/* top_header - of the message itself, without parsing all of it */
static struct slice top_header(struct fetch_text *t, struct mime_pos *end)
{
	struct slice header = mime_header_at(&t->source, 0);
	bool cr = false;

	end->raw = header.len;
	end->wire = header.len + mime_bare_lfs(header.ptr, header.len, &cr);
	return header;
}

/* is_fields - a section that is made rather than copied */
static bool is_fields(const struct imap_section *sec)
{
	return sec->kind == IMAP_SECTION_FIELDS || sec->kind == IMAP_SECTION_FIELDS_NOT;
}

/* locate_simple - a section without part numbers; false: more work is to be done */
static bool locate_simple(
	struct fetch *f, enum found *found, struct mime_pos *from, struct mime_pos *to)
{
	const struct imap_section *sec = f->section;
	struct mime_pos end;
	struct slice header;

	memset(from, 0, sizeof(*from));
	*found = FOUND_RANGE;
	if (sec->kind == IMAP_SECTION_ALL || sec->kind == IMAP_SECTION_TEXT) {
		if (!fetch_text_measure(&f->text)) {
			return false;
		}
		to->raw = f->text.place->raw;
		to->wire = f->text.place->wire;
		if (sec->kind == IMAP_SECTION_TEXT) {
			top_header(&f->text, from);
		}
		return true;
	}
	if (f->have_fields) {
		header.ptr = buf_str(&f->fields);
		header.len = f->fields.len;
	} else {
		header = top_header(&f->text, &end);
		*to = end;
	}
	if (is_fields(sec)) {
		make_fields(sec, header, &f->made);
		*found = FOUND_MADE;
	}
	return true;
}

/* locate - where the section is; false: more work is to be done */
static bool locate(struct fetch *f, enum found *found, struct mime_pos *from, struct mime_pos *to)
{
	const struct imap_section *sec = f->section;
	struct mime_part *p;

	if (sec->path_count == 0) {
		return locate_simple(f, found, from, to);
	}
	if (!fetch_text_parse(&f->text)) {
		return false;
	}
	*found = FOUND_NOT;
	p = mime_part_find(f->text.place->root, sec->path, sec->path_count);
	if (p != NULL && locate_in(sec, p, from, to)) {
		*found = FOUND_RANGE;
	}
	if (*found == FOUND_RANGE && is_fields(sec)) {
		make_fields(sec, mime_header_at(&f->text.source, from->raw), &f->made);
		*found = FOUND_MADE;
	}
	return true;
}

/* cut_partial - apply <first.count> to a section of size bytes; its first byte */
static uint64_t cut_partial(const struct imap_section *sec, uint64_t size, uint64_t *count)
{
	uint64_t first = sec->partial ? sec->offset : 0;

	if (first > size) {
		first = size;
	}
	*count = size - first;
	if (sec->partial && sec->length < *count) {
		*count = sec->length;
	}
	return first;
}

/* count_section - for the log at the end of the session */
static void count_section(struct imapd *s, const struct imap_section *sec, uint64_t bytes)
{
	if (sec->kind == IMAP_SECTION_ALL || sec->kind == IMAP_SECTION_TEXT) {
		s->body_count++;
		s->body_bytes += bytes;
	} else {
		s->header_count++;
		s->header_bytes += bytes;
	}
}

/* begin_item - its name, and what stands between it and the one before */
static void begin_item(struct fetch *f, struct buf *out, const char *name)
{
	buf_addf(out, "%s%s ", f->gap, name);
	f->gap = " ";
}

/* begin_section - label and size; then step is SEEK, or LOCATE of the next. False: more work is to
 * be done */
static bool begin_section(struct imapd *s, struct fetch *f, struct buf *out)
{
	struct mime_pos from = { 0 }, to = { 0 };
	enum found found;
	uint64_t first;

	if (!locate(f, &found, &from, &to)) {
		return false;
	}
	begin_item(f, out, f->section->label);
	if (found == FOUND_NOT) {
		/* Clients get on better with an empty part than with NIL. */
		buf_adds(out, "{0}\r\n");
		f->section = f->section->next;
		return true;
	}
	if (found == FOUND_MADE) {
		first = cut_partial(f->section, f->made.len, &f->left);
		buf_addf(out, "{%llu}\r\n", (unsigned long long)f->left);
		buf_add(out, buf_str(&f->made) + first, (size_t)f->left);
		count_section(s, f->section, f->left);
		buf_free(&f->made);
		f->section = f->section->next;
		return true;
	}
	if (f->section->kind == IMAP_SECTION_ALL && f->section->path_count == 0) {
		(void)mailbox_correct_size(s->view, f->text.place->uid, to.wire);
	}
	first = cut_partial(f->section, to.wire - from.wire, &f->left);
	buf_addf(out, "{%llu}\r\n", (unsigned long long)f->left);
	count_section(s, f->section, f->left);
	f->from = from;
	f->target = from.wire + first;
	f->step = SEEK;
	return true;
}

/* copy_section - some bytes; at the end step is LOCATE of the next */
static void copy_section(struct imapd *s, struct fetch *f, struct buf *out)
{
	uint64_t n = f->left > 0 ? fetch_text_copy(&f->text, out, f->left) : 0;

	f->left -= n;
	if (n == 0 && f->left > 0) {
		/* The file shrank under us. The size was said, so bytes must come. */
		log_error("imap(%s): %s: message %u: %llu bytes are missing", s->user,
			mailbox_name(s->view), f->text.place->uid, (unsigned long long)f->left);
		n = f->left < 65536 ? f->left : 65536;
		memset(buf_reserve(out, (size_t)n), ' ', (size_t)n);
		buf_added(out, (size_t)n);
		f->left -= n;
		f->missing = true;
	}
	if (f->left == 0) {
		f->section = f->section->next;
		f->step = LOCATE;
	}
}

/* ---- The message ---- */

/* remember_seen - \Seen is to be set */
static void remember_seen(struct imapd *s, struct fetch *f, uint32_t uid)
{
	if (f->seen_count == f->seen_room) {
		size_t room = f->seen_room > 0 ? f->seen_room * 2 : 16;
		uint32_t *more = arena_alloc(&s->arena, room * sizeof(*more));

		if (f->seen_count > 0) {
			memcpy(more, f->seen, f->seen_count * sizeof(*more));
		}
		f->seen = more;
		f->seen_room = room;
	}
	f->seen[f->seen_count++] = uid;
}

/* put_known - items that the index has */
static void put_known(
	struct imapd *s, struct fetch *f, struct buf *out, unsigned items, unsigned flags)
{
	const struct mail_info *info = mailbox_info(s->view, f->seq);
	char date[DATE_SIZE];

	if (items & IMAP_FETCH_UID) {
		begin_item(f, out, "UID");
		buf_addf(out, "%u", info->uid);
	}
	if (items & IMAP_FETCH_FLAGS) {
		begin_item(f, out, "FLAGS");
		put_flags(s, out, flags, info->keywords);
	}
	if (items & IMAP_FETCH_DATE) {
		begin_item(f, out, "INTERNALDATE");
		date_imap(date, info->received);
		buf_addf(out, "\"%s\"", date);
	}
	if (items & IMAP_FETCH_SIZE) {
		begin_item(f, out, "RFC822.SIZE");
		buf_addf(out, "%llu", (unsigned long long)info->size);
	}
	if (items & IMAP_FETCH_MODSEQ) {
		begin_item(f, out, "MODSEQ");
		buf_addf(out, "(%llu)", (unsigned long long)info->modseq);
	}
}

/* put_parsed - items that are made of the message's structure, or were before and kept */
static void put_parsed(struct fetch *f, struct buf *out)
{
	if (f->what.items & IMAP_FETCH_ENVELOPE) {
		begin_item(f, out, "ENVELOPE");
		buf_add(out, f->envelope.data, f->envelope.len);
	}
	if (f->what.items & IMAP_FETCH_STRUCTURE) {
		begin_item(f, out, "BODYSTRUCTURE");
		buf_add(out, f->structure.data, f->structure.len);
	}
	if (f->what.items & IMAP_FETCH_BODY) {
		begin_item(f, out, "BODY");
		mime_structure_put(out, f->text.place->root, false);
	}
}

/* put_head - "* n FETCH (" and what needs no bytes of the message */
static void put_head(struct imapd *s, struct fetch *f, struct buf *out)
{
	const struct mail_info *info = mailbox_info(s->view, f->seq);
	unsigned flags = info->flags & ~(unsigned)IMAP_RECENT, items = f->what.items;

	if (mailbox_recent(s->view, f->seq)) {
		flags |= IMAP_RECENT;
	}
	if (f->marks && !(flags & IMAP_SEEN)) {
		flags |= IMAP_SEEN;
		items |= IMAP_FETCH_FLAGS;
		remember_seen(s, f, info->uid);
	}
	if (info->keywords & ~s->keywords_told) {
		tell_keywords(s, out, false);
	}
	buf_addf(out, "* %u FETCH (", f->seq);
	f->gap = "";
	put_known(s, f, out, items, flags);
	put_parsed(f, out);
}

/* from_cache - ENVELOPE and BODYSTRUCTURE, as far as they are wanted; true: no parsing is needed */
static bool from_cache(struct imapd *s, struct fetch *f, uint32_t uid)
{
	bool good = !(f->what.items & IMAP_FETCH_BODY);

	buf_reset(&f->envelope);
	buf_reset(&f->structure);
	if (good && (f->what.items & IMAP_FETCH_ENVELOPE)) {
		good = mailbox_cache_get(s->view, uid, 'E', &f->envelope) == 1;
	}
	if (good && (f->what.items & IMAP_FETCH_STRUCTURE)) {
		good = mailbox_cache_get(s->view, uid, 'B', &f->structure) == 1;
	}
	return good;
}

/* to_cache - structures of a parsed message */
static void to_cache(struct imapd *s, struct fetch *f, uint32_t uid)
{
	const struct mime_part *root = f->text.place->root;

	buf_reset(&f->envelope);
	buf_reset(&f->structure);
	mime_envelope_put(&f->envelope, root);
	mime_structure_put(&f->structure, root, true);
	mailbox_cache_put(s->view, uid, 'E', f->envelope.data, f->envelope.len);
	mailbox_cache_put(s->view, uid, 'B', f->structure.data, f->structure.len);
}

/* open_message - its bytes are needed */
static bool open_message(struct imapd *s, struct fetch *f)
{
	if (!fetch_text_open(s, &f->text, f->seq)) {
		return false;
	}
	if (f->light && !f->have_fields) {
		header_cache_put(s->view, f->text.place->uid, mime_header_at(&f->text.source, 0));
	}
	return true;
}

/* not_opened - gone, or there and not to be read: that is another thing, for the log too */
static void not_opened(struct imapd *s, struct fetch *f)
{
	if (mailstore_errno(s->store) == MAIL_E_NOT_FOUND) {
		f->missing = true;
		return;
	}
	log_error("imap(%s): %s: message %u: %s", s->user, mailbox_name(s->view), f->seq,
		mailstore_error(s->store));
	f->unread = store_error_text(s, false);
}

/* begin_message - the next one, or false when there is none */
static bool begin_message(struct imapd *s, struct fetch *f)
{
	const unsigned parsed = IMAP_FETCH_ENVELOPE | IMAP_FETCH_STRUCTURE | IMAP_FETCH_BODY;
	const struct mail_info *info;
	bool cached;

	f->seq = imapd_next_seq(s, &f->set, f->seq);
	if (f->seq == 0) {
		return false;
	}
	info = mailbox_info(s->view, f->seq);
	if (f->what.changed && info->modseq <= f->what.changed_since) {
		return true;
	}
	cached = !(f->what.items & parsed) || from_cache(s, f, info->uid);
	f->have_fields = f->light && header_cache_get(s->view, info->uid, &f->fields);
	if ((!cached || (f->what.sections != NULL && !f->have_fields)) && !open_message(s, f)) {
		not_opened(s, f);
		return true;
	}
	f->section = f->what.sections;
	f->step = cached ? HEAD : PARSE;
	return true;
}

/* end_message - the closing parenthesis */
static void end_message(struct imapd *s, struct fetch *f, struct buf *out)
{
	buf_adds(out, ")\r\n");
	fetch_text_close(s, &f->text);
	f->step = NEXT;
}

/* step_message - one step of the message at seq; false: it must be repeated, since time is up */
static bool step_message(struct imapd *s, struct fetch *f, struct buf *out)
{
	switch (f->step) {
	case PARSE:
		if (!fetch_text_parse(&f->text)) {
			return false;
		}
		to_cache(s, f, f->text.place->uid);
		f->step = HEAD;
		return true;
	case HEAD:
		f->step = LOCATE;
		put_head(s, f, out);
		return true;
	case LOCATE:
		if (f->section == NULL) {
			end_message(s, f, out);
			return true;
		}
		return begin_section(s, f, out);
	case SEEK:
		if (!fetch_text_seek(&f->text, f->from, f->target)) {
			return false;
		}
		f->step = COPY;
		return true;
	case COPY:
		copy_section(s, f, out);
		return true;
	case NEXT:
		break;
	}
	return true;
}

/* ---- The command ---- */

/* let_go - what is not in the arena */
static void let_go(struct imapd *s)
{
	struct fetch *f = s->state;

	fetch_text_close(s, &f->text);
	buf_free(&f->envelope);
	buf_free(&f->structure);
	buf_free(&f->made);
	buf_free(&f->fields);
}

/* finish - store \Seen, reply */
static enum cmd_result finish(struct imapd *s, struct fetch *f)
{
	size_t failed = 0;
	uint32_t *failures;

	let_go(s);
	if (f->seen_count > 0) {
		failures = arena_alloc(&s->arena, f->seen_count * sizeof(*failures));
		s->quiet = f->seen;
		s->quiet_count = f->seen_count;
		if (mailbox_store(s->view, f->seen, f->seen_count, FLAGS_ADD, MAIL_SEEN, 0,
			    ~(uint64_t)0, failures, &failed) != 0) {
			return cmd_store_error(s, false);
		}
	}
	if (f->unread != NULL) {
		return cmd_no(s, "%s", f->unread);
	}
	if (f->missing) {
		return cmd_no(s, "[EXPUNGEISSUED] Some of the requested messages no longer exist.");
	}
	return cmd_ok(s, "Fetch completed.");
}

/* fetch_on - go on where it stood */
static enum cmd_result fetch_on(struct imapd *s, struct buf *in, struct buf *out)
{
	struct fetch *f = s->state;
	int64_t started = clock_ms();
	unsigned steps = 0;

	(void)in;
	for (;;) {
		if (f->step == NEXT) {
			if (!begin_message(s, f)) {
				return finish(s, f);
			}
		} else if (!step_message(s, f, out)) {
			return imapd_yield(s, out);
		}
		/* The clock costs more than a message from the cache. */
		if (buf_unread(out) > s->io->out_high ||
			(++steps % 64 == 0 && imapd_pause(s, out, started))) {
			return imapd_yield(s, out);
		}
	}
}

enum cmd_result cmd_fetch(struct imapd *s, struct imap_args *a, struct buf *out)
{
	struct fetch *f = arena_alloc(&s->arena, sizeof(*f));
	const struct imap_section *sec;

	if (!imap_args_space(a) || !imap_args_set(a, &f->set) || !imap_args_space(a) ||
		!imap_args_fetch(a, &f->what) || !imap_args_fetch_modifiers(a, &f->what) ||
		!imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	if (!imapd_resolve(s, &f->set)) {
		return CMD_DONE;
	}
	if (s->uid) {
		f->what.items |= IMAP_FETCH_UID;
	}
	if (f->what.items & IMAP_FETCH_MODSEQ) {
		imapd_condstore(s, out);
	}
	f->light = f->what.sections != NULL;
	for (sec = f->what.sections; sec != NULL; sec = sec->next) {
		f->marks = f->marks || !sec->peek;
		f->light = f->light && header_cache_serves(sec);
	}
	f->marks = f->marks && !mailbox_read_only(s->view);
	s->state = f;
	s->go_on = fetch_on;
	s->abandon = let_go;
	return fetch_on(s, NULL, out);
}
