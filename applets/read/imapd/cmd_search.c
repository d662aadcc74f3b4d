/*
 * cmd_search - SEARCH, UID SEARCH
 *
 * Each message is judged first by what the index knows (flags, dates, sizes, numbers).
 * Only if that leaves the answer open its header is read, and only then its body.
 * The program is a tree of three-valued logic: yes, no, not known yet.
 *
 * RFC 3501 6.4.4; RFC 4731 (ESEARCH), RFC 5032 (WITHIN), RFC 7162 3.1.5 (MODSEQ)
 */
#include <string.h>
#include <time.h>

#include "base/date.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/imap_search.h"
#include "applets/read/imapd/header_cache.h"
#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/selected.h"
#include "applets/read/imapd/sync.h"
#include "applets/read/imapd/search_text.h"

struct search {
	struct imap_search program;
	struct search_text *text; /* NULL: no key looks into messages */
	struct mail_text *mail;   /* of seq, while it is read */
	bool light;               /* header keys can be decided by cached fields */
	bool header_known;        /* they are, for seq */
	struct buf fields;
	uint32_t seq;
	uint32_t *found; /* numbers or UIDs, ascending */
	size_t count, room;
	uint64_t modseq; /* highest of those found */
	uint64_t first_modseq, last_modseq;
	const char *unread; /* why a message could not be read; NULL */
	time_t now;
};

enum verdict { NO, YES, MAYBE };

/* ---- Judging ---- */

/* local_day - days since 1970 in the server's time zone */
static int64_t local_day(time_t when)
{
	struct tm tm;

	localtime_r(&when, &tm);
	return date_days(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

/* judge_text - a key that looks into the message */
static enum verdict judge_text(const struct search *se, const struct imap_key *k)
{
	enum known known = search_text_known(se->text)[k->id];

	return known == HIT ? YES : known == MISS ? NO : MAYBE;
}

/* judge_simple - a key by what the index knows */
static enum verdict judge_simple(struct imapd *s, const struct search *se, const struct imap_key *k,
	const struct mail_info *info)
{
	int64_t n = (int64_t)k->number;

	switch (k->kind) {
	case IMAP_KEY_ALL:
		return YES;
	case IMAP_KEY_SET:
		return imap_set_has(&k->set, se->seq);
	case IMAP_KEY_UID:
		return imap_set_has(&k->set, info->uid);
	case IMAP_KEY_FLAG:
		if (k->flags & IMAP_RECENT) {
			return mailbox_recent(s->view, se->seq);
		}
		return (info->flags & k->flags) == k->flags;
	case IMAP_KEY_KEYWORD:
		return (info->keywords & k->number) != 0;
	case IMAP_KEY_BEFORE:
		return local_day(info->received) < n;
	case IMAP_KEY_ON:
		return local_day(info->received) == n;
	case IMAP_KEY_SINCE:
		return local_day(info->received) >= n;
	case IMAP_KEY_OLDER:
		return info->received <= se->now - (time_t)n;
	case IMAP_KEY_YOUNGER:
		return info->received >= se->now - (time_t)n;
	case IMAP_KEY_LARGER:
		return info->size > k->number;
	case IMAP_KEY_SMALLER:
		return info->size < k->number;
	case IMAP_KEY_MODSEQ:
		return info->modseq >= k->number;
	case IMAP_KEY_SENT_BEFORE:
	case IMAP_KEY_SENT_ON:
	case IMAP_KEY_SENT_SINCE:
	case IMAP_KEY_HEADER:
	case IMAP_KEY_BODY:
	case IMAP_KEY_TEXT:
		return judge_text(se, k);
	case IMAP_KEY_NOT:
	case IMAP_KEY_AND:
	case IMAP_KEY_OR:
		break;
	}
	return NO;
}

/* judge - any key; depth is bounded by the parser */
static enum verdict judge(struct imapd *s, const struct search *se, const struct imap_key *k,
	const struct mail_info *info)
{
	const struct imap_key *c;
	enum verdict v, all, decides;

	if (k->kind == IMAP_KEY_NOT) {
		v = judge(s, se, k->child, info);
		return v == MAYBE ? MAYBE : v == YES ? NO : YES;
	}
	if (k->kind != IMAP_KEY_AND && k->kind != IMAP_KEY_OR) {
		return judge_simple(s, se, k, info);
	}
	decides = k->kind == IMAP_KEY_AND ? NO : YES;
	all = decides == NO ? YES : NO;
	for (c = k->child; c != NULL; c = c->next) {
		v = judge(s, se, c, info);
		if (v == decides) {
			return v;
		}
		if (v == MAYBE) {
			all = MAYBE;
		}
	}
	return all;
}

/* close_mail - the message that was read */
static void close_mail(struct search *se)
{
	if (se->mail != NULL) {
		mail_close(se->mail);
		se->mail = NULL;
	}
}

/* by_fields - decide by the fields in the cache; MAYBE: they are not there or decide nothing */
static enum verdict by_fields(struct imapd *s, struct search *se, const struct mail_info *info)
{
	struct slice header;

	if (!se->light || !header_cache_get(s->view, info->uid, &se->fields)) {
		return MAYBE;
	}
	header.ptr = buf_str(&se->fields);
	header.len = se->fields.len;
	search_text_header(se->text, &header);
	se->header_known = true;
	return judge(s, se, se->program.key, info);
}

/* open_mail - the message itself, and its header if that was not looked at */
static enum verdict open_mail(struct imapd *s, struct search *se, const struct mail_info *info)
{
	struct slice header;

	se->mail = mail_open(s->view, se->seq);
	if (se->mail == NULL) {
		/* Expunged meanwhile it has no text any more; else the answer would be a guess. */
		if (mailstore_errno(s->store) != MAIL_E_NOT_FOUND && se->unread == NULL) {
			log_error("imap(%s): %s: message %u: %s", s->user, mailbox_name(s->view),
				se->seq, mailstore_error(s->store));
			se->unread = store_error_text(s, false);
		}
		return NO;
	}
	search_text_open(se->text, se->mail);
	if (!se->header_known) {
		header = search_text_header(se->text, NULL);
		if (se->light) {
			header_cache_put(s->view, info->uid, header);
		}
	}
	return judge(s, se, se->program.key, info);
}

/* judge_message - the one at seq. MAYBE: time is up, call again. */
static enum verdict judge_message(struct imapd *s, struct search *se)
{
	const struct mail_info *info = mailbox_info(s->view, se->seq);
	enum verdict v;

	if (se->text == NULL) {
		return judge(s, se, se->program.key, info);
	}
	if (se->mail == NULL) {
		search_text_begin(se->text);
		se->header_known = false;
		v = judge(s, se, se->program.key, info);
		if (v == MAYBE) {
			v = by_fields(s, se, info);
		}
		if (v == MAYBE) {
			v = open_mail(s, se, info);
		}
		if (v != MAYBE) {
			return v;
		}
	}
	return search_text_body(se->text) ? judge(s, se, se->program.key, info) : MAYBE;
}

/* ---- The result ---- */

/* add_found - the message at seq */
static void add_found(struct imapd *s, struct search *se)
{
	const struct mail_info *info = mailbox_info(s->view, se->seq);

	if (se->count == se->room) {
		size_t room = se->room > 0 ? se->room * 2 : 64;

		se->found = mem_realloc(se->found, room * sizeof(*se->found));
		se->room = room;
	}
	se->found[se->count++] = s->uid ? info->uid : se->seq;
	se->modseq = info->modseq > se->modseq ? info->modseq : se->modseq;
	se->last_modseq = info->modseq;
	if (se->count == 1) {
		se->first_modseq = info->modseq;
	}
}

/*
 * modseq_of - the highest of the messages that the reply names: all, or only the first and the
 * last one (RFC 4731 3.2)
 */
static uint64_t modseq_of(const struct search *se)
{
	uint64_t first = se->first_modseq, last = se->last_modseq;

	switch (se->program.returns) {
	case IMAP_RETURN_MIN:
		return first;
	case IMAP_RETURN_MAX:
		return last;
	case IMAP_RETURN_MIN | IMAP_RETURN_MAX:
		return first > last ? first : last;
	default:
		return se->modseq;
	}
}

/* put_esearch - * ESEARCH (RFC 4731) */
static void put_esearch(struct imapd *s, const struct search *se, struct buf *out)
{
	unsigned returns = se->program.returns;

	buf_addf(out, "* ESEARCH (TAG \"%s\")%s", s->tag, s->uid ? " UID" : "");
	if (se->count > 0 && (returns & IMAP_RETURN_MIN)) {
		buf_addf(out, " MIN %u", se->found[0]);
	}
	if (se->count > 0 && (returns & IMAP_RETURN_MAX)) {
		buf_addf(out, " MAX %u", se->found[se->count - 1]);
	}
	if (returns & IMAP_RETURN_COUNT) {
		buf_addf(out, " COUNT %zu", se->count);
	}
	if (se->count > 0 && (returns & IMAP_RETURN_ALL)) {
		buf_adds(out, " ALL ");
		imap_set_put(out, se->found, se->count);
	}
	if (se->count > 0 && se->program.modseq) {
		buf_addf(out, " MODSEQ %llu", (unsigned long long)modseq_of(se));
	}
	buf_adds(out, "\r\n");
}

/* put_search - * SEARCH */
static void put_search(const struct search *se, struct buf *out)
{
	size_t i;

	buf_adds(out, "* SEARCH");
	for (i = 0; i < se->count; i++) {
		buf_addf(out, " %u", se->found[i]);
	}
	if (se->count > 0 && se->program.modseq) {
		buf_addf(out, " (MODSEQ %llu)", (unsigned long long)se->modseq);
	}
	buf_adds(out, "\r\n");
}

/* ---- The command ---- */

static void let_go(struct imapd *s)
{
	struct search *se = s->state;

	close_mail(se);
	search_text_free(se->text);
	buf_free(&se->fields);
	mem_free(se->found);
	se->found = NULL;
}

/* finish - all messages were judged */
static enum cmd_result finish(struct imapd *s, struct search *se, struct buf *out)
{
	if (se->program.extended) {
		put_esearch(s, se, out);
	} else {
		put_search(se, out);
	}
	let_go(s);
	return se->unread != NULL ? cmd_no(s, "%s", se->unread) : cmd_ok(s, "Search completed.");
}

static enum cmd_result search_on(struct imapd *s, struct buf *in, struct buf *out)
{
	struct search *se = s->state;
	uint32_t count = mailbox_count(s->view);
	int64_t started = clock_ms();
	unsigned steps = 0;

	(void)in;
	while (se->seq <= count) {
		enum verdict v = judge_message(s, se);

		if (v != MAYBE) {
			if (v == YES) {
				add_found(s, se);
			}
			close_mail(se);
			se->seq++;
		}
		if ((v == MAYBE || ++steps % 64 == 0) && imapd_pause(s, out, started)) {
			return imapd_yield(s, out);
		}
	}
	return finish(s, se, out);
}

/* resolve - sets and keywords of the tree, by this mailbox */
static void resolve(struct imapd *s, struct imap_key *k)
{
	uint32_t count = mailbox_count(s->view);
	int bit;

	for (; k != NULL; k = k->next) {
		if (k->kind == IMAP_KEY_SET) {
			imap_set_resolve(&k->set, count);
		} else if (k->kind == IMAP_KEY_UID) {
			imap_set_resolve(
				&k->set, count > 0 ? mailbox_info(s->view, count)->uid : 0);
		} else if (k->kind == IMAP_KEY_KEYWORD) {
			bit = mailbox_keyword_bit(s->view, k->text, false);
			k->number = bit >= 0 ? (uint64_t)1 << bit : 0;
		}
		resolve(s, k->child);
	}
}

enum cmd_result cmd_search(struct imapd *s, struct imap_args *a, struct buf *out)
{
	struct search *se = arena_alloc(&s->arena, sizeof(*se));

	if (!imap_args_space(a) || !imap_args_search(a, &se->program)) {
		if (se->program.bad_charset) {
			return cmd_no(s, "[BADCHARSET (US-ASCII UTF-8)] Unknown charset.");
		}
		return cmd_args_error(s, a);
	}
	resolve(s, se->program.key);
	if (se->program.modseq) {
		imapd_condstore(s, out);
	}
	if (se->program.text_keys > 0) {
		se->text = search_text_new(&s->arena, &se->program);
		se->light = search_text_light(se->text);
	}
	se->now = time(NULL);
	se->seq = 1;
	s->state = se;
	s->go_on = search_on;
	s->abandon = let_go;
	return search_on(s, NULL, out);
}
