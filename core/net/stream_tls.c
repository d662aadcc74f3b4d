/*
 * stream_tls - TLS as a stream's filter
 */
#include "net/stream_tls.h"

#include "base/mem.h"
#include "base/stream_filter.h"

struct tls_filter {
	struct stream_filter base;
	struct tls *engine;
};

static struct tls_filter *of(struct stream_filter *f)
{
	return (struct tls_filter *)f;
}

static int process(struct stream_filter *f, struct buf *in, struct buf *out)
{
	return tls_process(of(f)->engine, &f->wire_in, in, out, &f->wire_out);
}

static bool is_up(const struct stream_filter *f)
{
	return tls_is_up(((const struct tls_filter *)f)->engine);
}

static void say_end(struct stream_filter *f)
{
	tls_close_notify(of(f)->engine, &f->wire_out);
}

static const char *error(const struct stream_filter *f)
{
	return tls_error(((const struct tls_filter *)f)->engine);
}

static void free_filter(struct stream_filter *f)
{
	tls_free(of(f)->engine);
	mem_free(f);
}

static const struct stream_filter_class tls_class = {
	.process = process, .is_up = is_up, .say_end = say_end, .error = error, .free = free_filter
};

void stream_tls(struct stream *s, struct tls *engine)
{
	struct tls_filter *f = mem_alloc(sizeof(*f));

	f->base.class = &tls_class;
	f->engine = engine;
	stream_filter(s, &f->base);
}

const struct tls *stream_tls_engine(const struct stream *s)
{
	return s->filter != NULL && s->filter->class == &tls_class
		? ((const struct tls_filter *)s->filter)->engine
		: NULL;
}
