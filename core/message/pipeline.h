#ifndef MESSAGE_PIPELINE_H
#define MESSAGE_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/loop.h"
#include "message/cleanup.h"

/*
 * The content of a new message on its way to the queue: stages, one behind the other, each of which
 * passes on what it lets through, changed or not, or refuses the message, or waits.
 *
 *	content -> cleanup -> header, header, ..., body, body, ..., end -> stage -> stage -> put
 *
 * The first is always message/cleanup.h: it makes headers of lines. Without another one content
 * goes from there straight to put(). Mail goes through one whichever way it comes: by SMTP
 * (applets/receive/smtpd), from this host (message/enqueue.h), from the queue manager itself.
 *
 * A stage that waits has taken what it was given; what comes behind it is kept for it, and the
 * caller, who is told PIPELINE_WAIT, gives no more until it hears that the pipeline goes on: so
 * what is kept is not more than was given at a time. Where nothing waits nothing is copied.
 */
enum pipeline_status {
	PIPELINE_OK,
	PIPELINE_WAIT,    /* give nothing more: resumed() will be called */
	PIPELINE_REJECT,  /* pipeline_dsn() and pipeline_text() say why */
	PIPELINE_TEMPFAIL /* the same; "" as text: put() failed */
};

struct pipeline;
struct pipeline_stage;

/*
 * All may be NULL: what comes is passed on. A header is whole, folds and LF with it; one with a
 * line above header_size_limit comes in pieces.
 */
struct pipeline_class {
	enum pipeline_status (*begin)(struct pipeline_stage *s);
	enum pipeline_status (*header)(struct pipeline_stage *s, const char *text, size_t len);
	/* The blank line before it is its beginning. */
	enum pipeline_status (*body)(struct pipeline_stage *s, const char *data, size_t len);
	enum pipeline_status (*end)(struct pipeline_stage *s);
	/* With the pipeline, also in the middle of its waiting; it stands in its owner's struct. */
	void (*free)(struct pipeline_stage *s);
};

struct pipeline_stage {
	const struct pipeline_class *class;
	/* The rest is private. */
	struct pipeline *pipeline;
	struct pipeline_stage *next;
	struct buf held; /* what has come since it waits */
	bool waits;
};

/*
 * cleanup's put is where it all ends; the texts of config must live as long. resumed(arg) is called
 * when all that was given is done with, from whatever called pipeline_resume(). loop is for the
 * stages: what they wait for is watched there.
 */
struct pipeline *pipeline_new(const struct cleanup_config *config, struct loop *loop,
	void (*resumed)(void *arg), void *arg);
/*
 * Whoever is to put stages into every new pipeline of this process, whatever mail it is for: called
 * by pipeline_new(). NULL: nobody.
 */
void pipeline_stages(void (*add)(void *arg, struct pipeline *p), void *arg);
/* Behind the others, before pipeline_begin(). It is the pipeline's from now on. */
void pipeline_add(struct pipeline *p, struct pipeline_stage *s, const struct pipeline_class *class);
/* received: a whole header that goes first, or NULL. */
enum pipeline_status pipeline_begin(struct pipeline *p, const char *received);
enum pipeline_status pipeline_write(struct pipeline *p, const char *data, size_t len);
enum pipeline_status pipeline_end(struct pipeline *p);
/* How far it is: what the last of these three has led to. A refusal stays. */
enum pipeline_status pipeline_status(const struct pipeline *p);
const char *pipeline_dsn(const struct pipeline *p); /* "5.4.0" */
const char *pipeline_text(const struct pipeline *p);
/* For its Message-ID; valid until the free. */
const struct cleanup *pipeline_cleanup(const struct pipeline *p);
/* At any moment; resumed() is not called. NULL: nothing. */
void pipeline_free(struct pipeline *p);

/* ---- For stages ---- */

struct loop *pipeline_loop(const struct pipeline *p);
/* To the next one. header() and body() pass on themselves what they let through. */
void pipeline_pass_header(struct pipeline_stage *s, const char *text, size_t len);
void pipeline_pass_body(struct pipeline_stage *s, const char *data, size_t len);
/* Why the message is refused, to be returned: texts are copied. */
enum pipeline_status pipeline_refuse(
	struct pipeline_stage *s, enum pipeline_status status, const char *dsn, const char *text);
/*
 * What was waited for is there, and this came of it: PIPELINE_OK goes on with what is kept. From
 * the loop, never from inside a function of the stage.
 */
void pipeline_resume(struct pipeline_stage *s, enum pipeline_status status);

#endif
