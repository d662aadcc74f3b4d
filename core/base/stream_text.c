/*
 * stream_text - how a stream ended, for people
 */
#include <errno.h>
#include <string.h>

#include "base/stream.h"

const char *stream_text(const struct stream *s, enum stream_end why)
{
	switch (why) {
	case STREAM_OPEN:
		return "";
	case STREAM_EOF:
		return "Connection closed by the other side";
	case STREAM_LOST:
	case STREAM_ERROR:
		return strerror(s->error);
	case STREAM_MALFORMED:
		return "malformed message";
	case STREAM_TOO_LONG:
		return "message too long";
	case STREAM_TIMEOUT:
		return strerror(ETIMEDOUT);
	case STREAM_TLS:
		return s->text;
	case STREAM_DONE:
		return "done";
	}
	return "";
}
