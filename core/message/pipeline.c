/*
 * pipeline - the content of a new message through its stages
 *
 * What cleanup puts out is bytes; where stages follow, split() makes headers and body of them
 * again. Everything is one kind of event or another, so that one function gives it to a stage, or
 * keeps it as a kind, a length and its bytes while the stage waits.
 *
 * Events are kept per stage: one that waits in the middle holds up those behind it only by giving
 * them nothing.
 */
#include "message/pipeline.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "conf/params.h"

enum event { EVENT_BEGIN, EVENT_HEADER, EVENT_BODY, EVENT_END };
enum { EVENT_HEAD = 5 }; /* a byte for the kind, four for the length */

struct pipeline {
	struct cleanup_config config; /* put and arg are the caller's */
	struct cleanup *cleanup;
	struct pipeline_stage *first, **last;
	struct loop *loop;
	void (*resumed)(void *arg);
	void *arg;
	enum pipeline_status status; /* OK, or the refusal */
	char *dsn, *text;
	/* split(): */
	struct buf header; /* the one that may go on in the next line */
	size_t line;       /* where the last line begins in it */
	bool in_body;
	bool in_piece; /* of a header that was too long, in the middle of a line */
};

static struct {
	void (*add)(void *arg, struct pipeline *p);
	void *arg;
} G;

/* ---- Events ---- */

/* put - the end of it all */
static void put(struct pipeline *p, enum event event, const char *data, size_t len)
{
	if (event != EVENT_BEGIN && event != EVENT_END && len > 0 &&
		p->config.put(p->config.arg, data, len) != 0) {
		p->status = PIPELINE_TEMPFAIL;
	}
}

static void give(struct pipeline *p, struct pipeline_stage *s, enum event event, const char *data,
	size_t len);

/* act - the stage's function for an event; where it has none it is passed on */
static enum pipeline_status act(
	struct pipeline_stage *s, enum event event, const char *data, size_t len)
{
	const struct pipeline_class *class = s->class;

	switch (event) {
	case EVENT_BEGIN:
		return class->begin != NULL ? class->begin(s) : PIPELINE_OK;
	case EVENT_HEADER:
		if (class->header != NULL) {
			return class->header(s, data, len);
		}
		break;
	case EVENT_BODY:
		if (class->body != NULL) {
			return class->body(s, data, len);
		}
		break;
	case EVENT_END:
		return class->end != NULL ? class->end(s) : PIPELINE_OK;
	}
	give(s->pipeline, s->next, event, data, len);
	return PIPELINE_OK;
}

/* keep - for later: the stage waits */
static void keep(struct pipeline_stage *s, enum event event, const char *data, size_t len)
{
	(void)buf_reserve(&s->held, EVENT_HEAD + len);
	buf_addc(&s->held, (char)event);
	buf_addu32(&s->held, (uint32_t)len);
	buf_add(&s->held, data, len);
}

/* follow - the end comes to the next stage when this one has let it through */
static void follow(struct pipeline_stage *s, enum event event)
{
	if (event == EVENT_BEGIN || event == EVENT_END) {
		give(s->pipeline, s->next, event, "", 0);
	}
}

/* give - an event to a stage (NULL: behind the last) */
static void give(struct pipeline *p, struct pipeline_stage *s, enum event event, const char *data,
	size_t len)
{
	enum pipeline_status status;

	if (p->status != PIPELINE_OK) {
		return;
	}
	if (s == NULL) {
		put(p, event, data, len);
		return;
	}
	if (s->waits) {
		keep(s, event, data, len);
		return;
	}
	status = act(s, event, data, len);
	if (status == PIPELINE_WAIT) {
		s->waits = true;
		/* What it lets through comes behind this one. */
		if (event == EVENT_BEGIN || event == EVENT_END) {
			buf_addc(&s->held, (char)event);
			buf_addu32(&s->held, UINT32_MAX);
		}
	} else if (status != PIPELINE_OK) {
		p->status = status;
	} else {
		follow(s, event);
	}
}

/* give_kept - what has come while it waited, as far as it goes */
static void give_kept(struct pipeline_stage *s)
{
	struct pipeline *p = s->pipeline;
	struct buf kept = s->held;

	memset(&s->held, 0, sizeof(s->held));
	while (buf_unread(&kept) > 0 && !s->waits && p->status == PIPELINE_OK) {
		const unsigned char *head = (const unsigned char *)buf_head(&kept);
		enum event event = (enum event)head[0];
		uint32_t len = (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 |
			(uint32_t)head[3] << 8 | head[4];

		buf_consume(&kept, EVENT_HEAD);
		if (len == UINT32_MAX) {
			follow(s, event);
			continue;
		}
		give(p, s, event, buf_head(&kept), len);
		buf_consume(&kept, len);
	}
	/* Behind what it keeps since it waits again. */
	buf_add(&s->held, buf_head(&kept), buf_unread(&kept));
	buf_free(&kept);
}

/* ---- Bytes into headers ---- */

/* end_header - it does not go on */
static void end_header(struct pipeline *p, size_t len)
{
	if (len > 0) {
		give(p, p->first, EVENT_HEADER, p->header.data, len);
		memmove(p->header.data, p->header.data + len, p->header.len - len);
		buf_truncate(&p->header, p->header.len - len);
	}
	p->line = 0;
}

/* take_line - the last line of header is whole */
static void take_line(struct pipeline *p)
{
	char first = p->header.data[p->line];

	if (p->in_piece) {
		p->in_piece = false;
		end_header(p, p->header.len);
		return;
	}
	if (p->line > 0 && first != ' ' && first != '\t') {
		end_header(p, p->line);
	}
	if (p->header.data[0] == '\n') {
		p->in_body = true;
		give(p, p->first, EVENT_BODY, p->header.data, p->header.len);
		buf_free(&p->header);
	}
	p->line = p->header.len;
}

/* split - from cleanup: whole headers, a blank line, the body */
static int split(void *arg, const void *data, size_t len)
{
	struct pipeline *p = arg;
	const char *text = data;

	while (len > 0 && !p->in_body) {
		const char *lf = memchr(text, '\n', len);
		size_t n = lf != NULL ? (size_t)(lf - text) + 1 : len;

		buf_add(&p->header, text, n);
		text += n;
		len -= n;
		if (lf != NULL) {
			take_line(p);
		} else if ((int64_t)p->header.len > param.header_size_limit) {
			end_header(p, p->header.len);
			p->in_piece = true;
		}
	}
	if (len > 0) {
		give(p, p->first, EVENT_BODY, text, len);
	}
	return p->status == PIPELINE_OK ? 0 : -1;
}

/* ---- The pipeline ---- */

void pipeline_stages(void (*add)(void *arg, struct pipeline *p), void *arg)
{
	G.add = add;
	G.arg = arg;
}

struct pipeline *pipeline_new(const struct cleanup_config *config, struct loop *loop,
	void (*resumed)(void *arg), void *arg)
{
	struct pipeline *p = mem_alloc(sizeof(*p));

	p->config = *config;
	p->last = &p->first;
	p->loop = loop;
	p->resumed = resumed;
	p->arg = arg;
	if (G.add != NULL) {
		G.add(G.arg, p);
	}
	return p;
}

void pipeline_add(struct pipeline *p, struct pipeline_stage *s, const struct pipeline_class *class)
{
	memset(s, 0, sizeof(*s));
	s->class = class;
	s->pipeline = p;
	*p->last = s;
	p->last = &s->next;
}

enum pipeline_status pipeline_status(const struct pipeline *p)
{
	if (p->status != PIPELINE_OK) {
		return p->status;
	}
	for (const struct pipeline_stage *s = p->first; s != NULL; s = s->next) {
		if (s->waits) {
			return PIPELINE_WAIT;
		}
	}
	return PIPELINE_OK;
}

/* note - what cleanup says, unless somebody behind it has said more */
static enum pipeline_status note(struct pipeline *p, enum cleanup_status status)
{
	if (status != CLEANUP_OK && p->status == PIPELINE_OK) {
		if (status == CLEANUP_HOPS) {
			p->dsn = mem_strdup("5.4.0");
			p->text = mem_strdup("too many hops");
		}
		p->status = status == CLEANUP_HOPS ? PIPELINE_REJECT : PIPELINE_TEMPFAIL;
	}
	return pipeline_status(p);
}

enum pipeline_status pipeline_begin(struct pipeline *p, const char *received)
{
	struct cleanup_config config = p->config;

	if (p->first != NULL) {
		config.put = split;
		config.arg = p;
	}
	give(p, p->first, EVENT_BEGIN, "", 0);
	p->cleanup = cleanup_begin(&config, received);
	return pipeline_status(p);
}

enum pipeline_status pipeline_write(struct pipeline *p, const char *data, size_t len)
{
	return p->status != PIPELINE_OK ? p->status : note(p, cleanup_write(p->cleanup, data, len));
}

enum pipeline_status pipeline_end(struct pipeline *p)
{
	enum pipeline_status status;

	if (p->status != PIPELINE_OK) {
		return p->status;
	}
	status = note(p, cleanup_end(p->cleanup));
	if (status == PIPELINE_OK || status == PIPELINE_WAIT) {
		end_header(p, p->header.len); /* a message without a body */
		give(p, p->first, EVENT_END, "", 0);
	}
	return pipeline_status(p);
}

const char *pipeline_dsn(const struct pipeline *p)
{
	return p->dsn != NULL ? p->dsn : "";
}

const char *pipeline_text(const struct pipeline *p)
{
	return p->text != NULL ? p->text : "";
}

const struct cleanup *pipeline_cleanup(const struct pipeline *p)
{
	return p->cleanup;
}

void pipeline_free(struct pipeline *p)
{
	struct pipeline_stage *s;

	if (p == NULL) {
		return;
	}
	while ((s = p->first) != NULL) {
		p->first = s->next;
		buf_free(&s->held);
		if (s->class->free != NULL) {
			s->class->free(s);
		}
	}
	cleanup_free(p->cleanup);
	buf_free(&p->header);
	mem_free(p->dsn);
	mem_free(p->text);
	mem_free(p);
}

/* ---- For stages ---- */

struct loop *pipeline_loop(const struct pipeline *p)
{
	return p->loop;
}

void pipeline_pass_header(struct pipeline_stage *s, const char *text, size_t len)
{
	give(s->pipeline, s->next, EVENT_HEADER, text, len);
}

void pipeline_pass_body(struct pipeline_stage *s, const char *data, size_t len)
{
	give(s->pipeline, s->next, EVENT_BODY, data, len);
}

enum pipeline_status pipeline_refuse(
	struct pipeline_stage *s, enum pipeline_status status, const char *dsn, const char *text)
{
	struct pipeline *p = s->pipeline;

	if (p->text == NULL) {
		p->dsn = mem_strdup(dsn);
		p->text = mem_strdup(text);
	}
	return status;
}

void pipeline_resume(struct pipeline_stage *s, enum pipeline_status status)
{
	struct pipeline *p = s->pipeline;

	s->waits = status == PIPELINE_WAIT;
	if (status != PIPELINE_OK && status != PIPELINE_WAIT && p->status == PIPELINE_OK) {
		p->status = status;
	}
	if (!s->waits) {
		give_kept(s);
	}
	if (pipeline_status(p) != PIPELINE_WAIT && p->resumed != NULL) {
		p->resumed(p->arg);
	}
}
