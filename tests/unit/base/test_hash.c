/*
 * test_hash - the table of strings: set, replaced, removed, walked, grown
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "unit.h"

enum { MANY = 5000 };

static int freed;

static void count_freed(void *value)
{
	(void)value;
	freed++;
}

TEST(hash, empty)
{
	struct hash h = { NULL, 0, 0 };

	CHECK(hash_get(&h, "x") == NULL && hash_del(&h, "x") == NULL &&
		hash_next(&h, NULL) == NULL);
	hash_free(&h, count_freed);
	CHECK_INT(freed, 0);
}

TEST(hash, set_and_replaced)
{
	struct hash h = { NULL, 0, 0 };
	char name[] = "key";
	int one, two;

	CHECK(hash_set(&h, name, &one) == NULL);
	name[0] = 'x'; /* keys are copies */
	CHECK(hash_get(&h, "key") == &one && hash_get(&h, name) == NULL);
	CHECK(hash_set(&h, "key", &two) == &one && hash_get(&h, "key") == &two);
	CHECK_INT(h.count, 1);
	/* The empty name is one, and case counts. */
	CHECK(hash_set(&h, "", &one) == NULL && hash_get(&h, "") == &one);
	CHECK(hash_get(&h, "KEY") == NULL);
	CHECK(hash_del(&h, "key") == &two && hash_get(&h, "key") == NULL && h.count == 1);
	/* NULL as a value is there all the same. */
	CHECK(hash_set(&h, "none", NULL) == NULL);
	CHECK_INT(h.count, 2);
	hash_free(&h, NULL);
	CHECK(h.slots == NULL && h.count == 0);
}

/* Names whose lengths go over those of the words that are summed; each is found again. */
TEST(hash, many)
{
	struct hash h = { NULL, 0, 0 };
	char name[64];
	size_t seen = 0;
	uintptr_t sum = 0;

	for (uintptr_t i = 1; i <= MANY; i++) {
		snprintf(name, sizeof(name), "%.*s%lu", (int)(i % 30),
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", (unsigned long)i);
		CHECK(hash_set(&h, name, (void *)i) == NULL);
	}
	CHECK_INT(h.count, MANY);
	CHECK(h.slot_count >= MANY && (h.slot_count & (h.slot_count - 1)) == 0);
	for (struct hash_entry *e = NULL; (e = hash_next(&h, e)) != NULL;) {
		seen++;
		sum += (uintptr_t)e->value;
		if (hash_get(&h, e->key) != e->value) {
			CHECK(!"found by its own key");
		}
	}
	CHECK_INT(seen, MANY);
	CHECK_INT(sum, (uintptr_t)MANY * (MANY + 1) / 2);
	for (uintptr_t i = 1; i <= MANY; i += 2) {
		snprintf(name, sizeof(name), "%.*s%lu", (int)(i % 30),
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", (unsigned long)i);
		if (hash_del(&h, name) != (void *)i || hash_get(&h, name) != NULL) {
			CHECK(!"removed");
		}
	}
	CHECK_INT(h.count, MANY / 2);
	freed = 0;
	hash_free(&h, count_freed);
	CHECK_INT(freed, MANY / 2);
}

/* order_in_a_child - in which a process of its own walks 26 names */
static void order_in_a_child(char order[27])
{
	struct hash h = { NULL, 0, 0 };
	char name[2] = "a";
	int ends[2];
	pid_t pid;

	REQUIRE(pipe(ends) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		for (; name[0] <= 'z'; name[0]++) {
			(void)hash_set(&h, name, &h);
		}
		for (struct hash_entry *e = NULL; (e = hash_next(&h, e)) != NULL;) {
			(void)!write(ends[1], e->key, 1);
		}
		_exit(0);
	}
	REQUIRE(waitpid(pid, NULL, 0) == pid && read(ends[0], order, 26) == 26);
	order[26] = '\0';
	close(ends[0]);
	close(ends[1]);
}

/* Who chooses the names knows nothing of their places: each process has a key of its own. */
TEST(hash, nobody_knows_the_order)
{
	char one[27], other[27];

	order_in_a_child(one);
	order_in_a_child(other);
	CHECK(strcmp(one, other) != 0);
}
