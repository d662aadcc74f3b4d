#ifndef PROTO_IMAP_FETCH_H
#define PROTO_IMAP_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/imap_parse.h"

/* What FETCH asks for (RFC 3501 6.4.5). */
enum {
	IMAP_FETCH_UID = 1,
	IMAP_FETCH_FLAGS = 2,
	IMAP_FETCH_DATE = 4,    /* INTERNALDATE */
	IMAP_FETCH_SIZE = 8,    /* RFC822.SIZE */
	IMAP_FETCH_MODSEQ = 16, /* RFC 7162 */
	IMAP_FETCH_ENVELOPE = 32,
	IMAP_FETCH_STRUCTURE = 64, /* BODYSTRUCTURE */
	IMAP_FETCH_BODY = 128      /* BODY without a section */
};

enum { IMAP_PATH_MAX = 100, IMAP_SECTIONS_MAX = 200, IMAP_FIELDS_MAX = 500 };

enum imap_section_kind {
	IMAP_SECTION_ALL, /* BODY[] and BODY[1.2] */
	IMAP_SECTION_HEADER,
	IMAP_SECTION_FIELDS,
	IMAP_SECTION_FIELDS_NOT,
	IMAP_SECTION_TEXT,
	IMAP_SECTION_MIME
};

struct imap_section {
	struct imap_section *next;
	enum imap_section_kind kind;
	const uint32_t *path; /* part numbers */
	size_t path_count;
	const char *const *fields;
	size_t field_count;
	bool peek; /* does not set \Seen */
	bool partial;
	uint64_t offset, length;
	const char *label; /* how the response names it: "BODY[1.MIME]<0>", "RFC822" */
};

struct imap_fetch {
	unsigned items;
	struct imap_section *sections;
	bool changed; /* CHANGEDSINCE modifier */
	uint64_t changed_since;
};

/* fetch-att, "(" fetch-att ... ")" or a macro. */
bool imap_args_fetch(struct imap_args *a, struct imap_fetch *out);
/* " (CHANGEDSINCE n)" if there is one. */
bool imap_args_fetch_modifiers(struct imap_args *a, struct imap_fetch *out);

#endif
