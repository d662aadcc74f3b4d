/*
 * test_arena - memory that is freed all at once: aligned, zeroed, apart
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "unit.h"

/* Of sizes over all the blocks' sizes: each is aligned, zeroed, its neighbours stay as they are. */
TEST(arena, pieces_are_apart)
{
	struct arena a = ARENA_INIT;
	unsigned char *pieces[600];
	size_t total = 0;

	for (size_t i = 0; i < 600; i++) {
		size_t size = i * i % 3001;

		pieces[i] = arena_alloc(&a, size);
		CHECK_INT((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		for (size_t j = 0; j < size; j++) {
			if (pieces[i][j] != 0) {
				CHECK(!"zeroed");
				return;
			}
		}
		memset(pieces[i], (int)(i % 255 + 1), size);
		total += size;
	}
	CHECK(a.total >= total && a.total <= total + 600 * sizeof(max_align_t));
	for (size_t i = 0; i < 600; i++) {
		for (size_t j = 0; j < i * i % 3001; j++) {
			if (pieces[i][j] != i % 255 + 1) {
				CHECK(!"as it was written");
				return;
			}
		}
	}
	arena_free(&a);
	CHECK(a.blocks == NULL && a.total == 0);
}

TEST(arena, texts)
{
	struct arena a = ARENA_INIT;
	char large[2000];

	CHECK(arena_strdup(&a, NULL) == NULL);
	CHECK_STR(arena_strdup(&a, ""), "");
	CHECK_STR(arena_strndup(&a, "abcdef", 3), "abc");
	CHECK_STR(arena_strndup(&a, NULL, 0), "");
	CHECK_MEM(arena_strndup(&a, "a\0b", 3), 4, "a\0b", 4);
	CHECK_STR(arena_printf(&a, "%s", ""), "");
	memset(large, 'x', sizeof(large));
	large[sizeof(large) - 1] = '\0';
	CHECK_STR(arena_printf(&a, "%s", large), large);
	arena_free(&a);
}

/* One that is larger than any block gets one of its own, and a reset gives that back. */
TEST(arena, reset)
{
	struct arena a = ARENA_INIT;
	char *first, *again;

	first = arena_alloc(&a, 100);
	memset(first, 'x', 100);
	memset(arena_alloc(&a, 1 << 20), 'y', 1 << 20);
	CHECK(a.total >= (1 << 20) + 100);
	arena_reset(&a);
	CHECK_INT(a.total, 0);
	again = arena_alloc(&a, 100);
	CHECK(again == first); /* the small block was kept */
	CHECK_MEM(again, 3, "\0\0\0", 3);
	arena_reset(&a);
	arena_free(&a);
	arena_reset(&a);
	arena_free(&a);
}

TEST(arena, join)
{
	struct arena a = ARENA_INIT, b = ARENA_INIT, none = ARENA_INIT;
	char *one, *two, *three;

	arena_join(&a, &none);
	CHECK(a.blocks == NULL);
	two = arena_strdup(&b, "two");
	memset(arena_alloc(&b, 5000), 'x', 5000);
	arena_join(&a, &b); /* into an empty one */
	CHECK(b.blocks == NULL);
	CHECK_INT(b.total, 0);
	three = arena_strdup(&b, "three");
	memset(arena_alloc(&b, 100000), 'y', 100000);
	one = arena_strdup(&a, "one");
	arena_join(&a, &b);
	CHECK(a.total >= 105000);
	/* What comes now overwrites none of them. */
	for (int i = 0; i < 100; i++) {
		memset(arena_alloc(&a, 200), 'z', 200);
	}
	CHECK_STR(one, "one");
	CHECK_STR(two, "two");
	CHECK_STR(three, "three");
	arena_free(&a);
	arena_free(&b);
}

/* A size that no memory has ends the work, also where it wraps around. */
TEST(arena, too_much)
{
	static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 31, SIZE_MAX / 2 };
	static struct arena a;
	static volatile size_t refused;

#ifdef __SANITIZE_ADDRESS__
	unit_skip("the sanitizer ends whoever asks for so much");
#endif
	for (volatile size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct mem_guard guard;

		if (mem_guard_enter(&guard) == 0) {
			(void)arena_alloc(&a, sizes[i]);
			mem_guard_leave(&guard);
		} else {
			mem_guard_leave(&guard);
			refused++;
		}
	}
	CHECK_INT(refused, sizeof(sizes) / sizeof(sizes[0]));
	CHECK_STR(arena_strdup(&a, "good"), "good");
	arena_free(&a);
}
