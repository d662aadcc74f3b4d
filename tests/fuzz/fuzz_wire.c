/*
 * fuzz_wire - messages between our own processes: the wire, delivery requests and answers
 */
#include "ipc/delivery.h"
#include "fuzz.h"

void fuzz(const char *data, size_t len)
{
	struct buf in = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct delivery_request request;
	struct delivery_answer answer;
	struct wire w;
	size_t size;

	buf_add(&in, data, len);
	while (wire_next(&in, &w, &size) == 1) {
		struct wire again = w;

		REQUIRE(size <= buf_unread(&in));
		(void)delivery_get_request(&w, &a, &request);
		(void)delivery_get_answer(&again, &a, &answer);
		arena_reset(&a);
		buf_consume(&in, size);
	}
	buf_free(&in);
	arena_free(&a);
}
