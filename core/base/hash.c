/*
 * hash - string to pointer, chained, grown at a load of one
 *
 * SipHash-1-3 with a key drawn from getrandom(2): keys are addresses and names
 * that strangers choose.
 */
#include "base/hash.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

static uint64_t key[2];

static uint64_t rotl(uint64_t v, int n)
{
	return (v << n) | (v >> (64 - n));
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

/* draw_key - once a process; early in boot getrandom may not block us, then the clock has to do */
static void draw_key(void)
{
	if (getrandom(key, sizeof(key), GRND_NONBLOCK) != (ssize_t)sizeof(key)) {
		key[0] = (uint64_t)time(NULL) ^ ((uint64_t)getpid() << 32);
	}
	key[1] |= 1;
}

static uint64_t sum_of(const char *s)
{
	size_t len = strlen(s), i;
	uint64_t v[4], word;

	if (key[1] == 0) {
		draw_key();
	}
	v[0] = key[0] ^ 0x736f6d6570736575u;
	v[1] = key[1] ^ 0x646f72616e646f6du;
	v[2] = key[0] ^ 0x6c7967656e657261u;
	v[3] = key[1] ^ 0x7465646279746573u;
	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&word, s + i, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)len << 56;
	for (int shift = 0; i < len; i++, shift += 8) {
		word |= (uint64_t)(unsigned char)s[i] << shift;
	}
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* slot_of - the link that points at the entry of the name, or at the end of its chain */
static struct hash_entry **slot_of(const struct hash *h, const char *name, uint64_t sum)
{
	struct hash_entry **link = &h->slots[sum & (h->slot_count - 1)];

	while (*link != NULL && ((*link)->sum != sum || strcmp((*link)->key, name) != 0)) {
		link = &(*link)->next;
	}
	return link;
}

static void grow(struct hash *h)
{
	size_t count = h->slot_count ? h->slot_count * 2 : 16;
	struct hash_entry **slots = mem_calloc(count, sizeof(struct hash_entry *));

	for (size_t i = 0; i < h->slot_count; i++) {
		while (h->slots[i] != NULL) {
			struct hash_entry *e = h->slots[i];

			h->slots[i] = e->next;
			e->next = slots[e->sum & (count - 1)];
			slots[e->sum & (count - 1)] = e;
		}
	}
	mem_free(h->slots);
	h->slots = slots;
	h->slot_count = count;
}

void *hash_get(const struct hash *h, const char *name)
{
	struct hash_entry *e;

	if (h->count == 0) {
		return NULL;
	}
	e = *slot_of(h, name, sum_of(name));
	return e != NULL ? e->value : NULL;
}

void *hash_set(struct hash *h, const char *name, void *value)
{
	uint64_t sum = sum_of(name);
	struct hash_entry **link, *e;
	size_t size = strlen(name) + 1;
	void *old = NULL;

	if (h->count >= h->slot_count) {
		grow(h);
	}
	link = slot_of(h, name, sum);
	e = *link;
	if (e != NULL) {
		old = e->value;
	} else {
		e = mem_alloc(sizeof(*e) + size);
		memcpy(e->key, name, size);
		e->sum = sum;
		*link = e;
		h->count++;
	}
	e->value = value;
	return old;
}

void *hash_del(struct hash *h, const char *name)
{
	struct hash_entry **link, *e;
	void *old;

	if (h->count == 0) {
		return NULL;
	}
	link = slot_of(h, name, sum_of(name));
	e = *link;
	if (e == NULL) {
		return NULL;
	}
	old = e->value;
	*link = e->next;
	mem_free(e);
	h->count--;
	return old;
}

struct hash_entry *hash_next(const struct hash *h, struct hash_entry *prev)
{
	size_t i = 0;

	if (prev != NULL) {
		if (prev->next != NULL) {
			return prev->next;
		}
		i = (prev->sum & (h->slot_count - 1)) + 1;
	}
	for (; i < h->slot_count; i++) {
		if (h->slots[i] != NULL) {
			return h->slots[i];
		}
	}
	return NULL;
}

void hash_free(struct hash *h, void (*free_value)(void *))
{
	for (size_t i = 0; i < h->slot_count; i++) {
		while (h->slots[i] != NULL) {
			struct hash_entry *e = h->slots[i];

			h->slots[i] = e->next;
			if (free_value != NULL) {
				free_value(e->value);
			}
			mem_free(e);
		}
	}
	mem_free(h->slots);
	memset(h, 0, sizeof(*h));
}
