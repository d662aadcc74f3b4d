/*
 * submit_error - what went wrong with a submission, for the program to say
 */
#include <stdarg.h>

#include "message/submit_impl.h"

void submit_set_error(struct submit *s, const char *fmt, ...)
{
	va_list ap;

	buf_reset(&s->error);
	va_start(ap, fmt);
	buf_addvf(&s->error, fmt, ap);
	va_end(ap);
}
