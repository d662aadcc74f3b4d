#ifndef MIME_SOURCE_H
#define MIME_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Where the bytes of a message come from: a piece of memory, or a function
 * that gives a window at any offset (as mail_bytes() of mail/mailbox.h does). Lines
 * may end in LF or CRLF; everything in mime/ counts both as they are stored ("raw")
 * and as they go over the wire ("wire": every line end is CRLF).
 */
struct mime_source {
	/* Up to *len_r bytes at offset, *len_r says how many; NULL at the end. Valid until the next
	 * call. */
	const char *(*bytes)(void *arg, uint64_t offset, size_t *len_r);
	void *arg;
	const char *mem; /* instead of bytes(): the whole message */
	size_t mem_len;
	struct buf bounce; /* private: joins windows that are too short */
};

void mime_source_memory(struct mime_source *s, const char *data, size_t len);
void mime_source_function(struct mime_source *s,
	const char *(*bytes)(void *arg, uint64_t offset, size_t *len_r), void *arg);
void mime_source_free(struct mime_source *s);

/*
 * Bytes at offset in one piece: at least least of them unless the message ends
 * before, and up to about *len_r if that costs nothing. *len_r says how many; NULL at
 * the end. Valid until the next call.
 */
const char *mime_source_at(struct mime_source *s, uint64_t offset, size_t least, size_t *len_r);

/* A place in a message, counted both ways. */
struct mime_pos {
	uint64_t raw;  /* bytes as stored */
	uint64_t wire; /* bytes with every LF as CRLF */
};

/* Line ends of data that are a bare LF; *last_cr: the byte before data was CR, updated. */
size_t mime_bare_lfs(const char *data, size_t len, bool *last_cr);

/*
 * Append data to out with every line end as CRLF and NUL as 0x80 (RFC 3501
 * literals cannot hold NUL). *last_cr as above.
 */
void mime_to_wire(struct buf *out, const char *data, size_t len, bool *last_cr);

#endif
