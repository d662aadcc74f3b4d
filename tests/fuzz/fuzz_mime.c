/*
 * fuzz_mime - the MIME tree, header fields, address lists, encoded words, dates
 */
#include "base/date.h"
#include "mime/address.h"
#include "mime/part.h"
#include "mime/word.h"
#include "fuzz.h"

/* check_part - every part lies inside its parent and in order */
static void check_part(const struct mime_part *p, size_t len)
{
	REQUIRE(p->head.raw <= p->body.raw && p->body.raw <= p->end.raw && p->end.raw <= len);
	REQUIRE(p->head.raw <= p->head.wire && p->end.raw <= p->end.wire);
	for (const struct mime_part *child = p->child; child != NULL; child = child->next) {
		REQUIRE(child->parent == p && child->head.raw >= p->body.raw &&
			child->end.raw <= p->end.raw);
		check_part(child, len);
	}
}

void fuzz(const char *data, size_t len)
{
	struct mime_source source;
	struct arena a = ARENA_INIT;
	struct buf text = BUF_INIT;
	struct slice rest = { data, len };
	struct mime_field field;
	int zone;
	time_t when;

	mime_source_memory(&source, data, len);
	check_part(mime_parse(&a, &source), len);
	mime_source_free(&source);
	for (int fields = 0; fields < 1000 && mime_field_next(&rest, &field); fields++) {
		(void)mime_addresses(&a, field.value);
		mime_words_decode(&text, field.value, NULL);
		(void)date_parse_rfc5322(field.value.ptr, field.value.len, &when, &zone);
		buf_reset(&text);
	}
	buf_free(&text);
	arena_free(&a);
}
