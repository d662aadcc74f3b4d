/*
 * canonical_stage - the addresses of headers through the canonical tables
 *
 * A stage of message/pipeline.h. A header whose table has yet to answer is kept, and what comes
 * behind it waits; a table that does not answer keeps the message out of the queue for now.
 */
#include "message/canonical_stage.h"

#include <string.h>

#include "base/mem.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "address/canonical.h"
#include "message/cleanup_header.h"

struct stage {
	struct pipeline_stage s;
	struct map_wait wait;
	struct buf header; /* that waits */
	enum canonical_place place;
	bool failed; /* a table does not answer */
};

static const char *change(void *arg, struct arena *a, const char *address)
{
	struct stage *c = arg;
	const char *to = canonical_address(a, address, c->place);

	c->failed = c->failed || to == NULL;
	return to != NULL ? to : address;
}

/* try_header - passed on, changed or not: OK; WAIT; or the message is refused */
static enum pipeline_status try_header(struct stage *c, const char *text, size_t len)
{
	size_t value = (size_t)((const char *)memchr(text, ':', len) + 1 - text);
	struct buf out = BUF_INIT;
	enum pipeline_status status = PIPELINE_OK;
	bool changed;

	c->failed = false;
	map_wait_enter(&c->wait);
	changed = cleanup_change_header(&out, text, len, value, change, c);
	if (map_wait_leave(&c->wait)) {
		status = PIPELINE_WAIT;
	} else if (c->failed) {
		status = pipeline_refuse(
			&c->s, PIPELINE_TEMPFAIL, "4.3.0", "canonical table look-up failed");
	} else {
		pipeline_pass_header(&c->s, changed ? out.data : text, changed ? out.len : len);
	}
	if (status != PIPELINE_WAIT) {
		map_wait_forget(&c->wait);
	}
	buf_free(&out);
	return status;
}

/* on_answers - the tables have answered what the header waits for */
static void on_answers(void *arg)
{
	struct stage *c = arg;
	struct buf header = c->header;
	enum pipeline_status status;

	memset(&c->header, 0, sizeof(c->header));
	status = try_header(c, buf_str(&header), header.len);
	if (status == PIPELINE_WAIT) {
		c->header = header;
		return;
	}
	buf_free(&header);
	pipeline_resume(&c->s, status);
}

static enum pipeline_status on_header(struct pipeline_stage *s, const char *text, size_t len)
{
	struct stage *c = (struct stage *)s;
	enum cleanup_role role = cleanup_header_role(text, len);
	enum pipeline_status status;

	c->place = role == CLEANUP_SENDER ? CANONICAL_HEADER_SENDER : CANONICAL_HEADER_RECIPIENT;
	/* One that does not end here comes in pieces. */
	if (role == CLEANUP_NOBODY || text[len - 1] != '\n' || !canonical_changes(c->place)) {
		pipeline_pass_header(s, text, len);
		return PIPELINE_OK;
	}
	status = try_header(c, text, len);
	if (status == PIPELINE_WAIT) {
		buf_add(&c->header, text, len);
	}
	return status;
}

static void on_free(struct pipeline_stage *s)
{
	struct stage *c = (struct stage *)s;

	map_wait_end(&c->wait);
	buf_free(&c->header);
	mem_free(c);
}

static const struct pipeline_class stage_class = { .header = on_header, .free = on_free };

void canonical_stage_add(struct pipeline *p, unsigned flags)
{
	bool ours = (flags & CLEANUP_LOCAL) != 0 || *param.remote_header_rewrite_domain != '\0';
	struct stage *c;

	if (!ours || (flags & CLEANUP_RAW) != 0 ||
		(!canonical_changes(CANONICAL_HEADER_SENDER) &&
			!canonical_changes(CANONICAL_HEADER_RECIPIENT))) {
		return;
	}
	c = mem_alloc(sizeof(*c));
	map_wait_init(&c->wait, pipeline_loop(p), on_answers, c);
	pipeline_add(p, &c->s, &stage_class);
}
