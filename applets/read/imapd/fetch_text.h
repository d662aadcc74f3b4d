#ifndef APPLETS_READ_IMAPD_FETCH_TEXT_H
#define APPLETS_READ_IMAPD_FETCH_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "mime/part.h"
#include "mime/source.h"
#include "mail/mailbox.h"

/*
 * A message's bytes for FETCH, and what was found out about them: its size on the wire, its
 * MIME tree, how far it was read. Of a large message this is kept as
 * imapd.place when the command has ended, so that a client that fetches it in pieces
 * does not make us read it anew for every piece.
 */
struct fetch_place {
	uint32_t uid;
	uint64_t raw;       /* bytes as stored */
	struct mime_pos at; /* reading stands here */
	bool last_cr;       /* the byte before it is CR */
	bool measured;
	uint64_t wire;      /* bytes on the wire, once measured */
	struct arena arena; /* of the tree */
	struct mime_parser *parser;
	struct mime_part *root; /* once parsed */
};

struct fetch_text {
	struct mail_text *mail;
	struct mime_source source;
	struct fetch_place *place;
};

struct imapd;

/* False: the message is gone or cannot be read. */
bool fetch_text_open(struct imapd *s, struct fetch_text *t, uint32_t seq);
/* Also of one that is not open. */
void fetch_text_close(struct imapd *s, struct fetch_text *t);
/* These do up to a slice of work; false: call again. */
bool fetch_text_measure(struct fetch_text *t);
bool fetch_text_parse(struct fetch_text *t);
/* Stand at wire position target, which is not before from (a line's beginning). */
bool fetch_text_seek(struct fetch_text *t, struct mime_pos from, uint64_t target);
/*
 * Append up to max wire bytes from where reading stands to out, and move on; how many. 0: the
 * message ends.
 */
uint64_t fetch_text_copy(struct fetch_text *t, struct buf *out, uint64_t max);

void fetch_place_drop(struct imapd *s);

#endif
