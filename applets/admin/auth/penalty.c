/*
 * penalty - how long a guess at a password waits, by the address that it comes from
 *
 * The table holds ORIGINS_MAX addresses. The one that was made first makes room, unless guesses
 * of it are under way: then a newcomer goes uncounted, which takes that many addresses at work.
 */
#include "applets/admin/auth/penalty.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum {
	ORIGINS_MAX = 4096,
	FRIENDS_MAX = 64,
	FAILURES_MAX = 40,
	OWN_FREE = 3,
	STEP = 4,
	WAIT_MAX_MS = 15000,
	KEY_SIZE = 40
};

/* A user who has logged in from an address. */
struct friend
{
	struct friend *next;
	int failures, under_way; /* of this name since then */
	char user[];
};

struct origin {
	struct origin *next; /* made after this one */
	char key[KEY_SIZE];
	int failures, under_way;
	int64_t forgiven;       /* when a failure was forgiven, or counted as the first */
	struct friend *friends; /* the latest first */
	int friend_count;
};

struct penalties {
	struct hash by_key;
	struct origin *first, **last;
};

struct penalties *penalties_new(void)
{
	struct penalties *p = mem_alloc(sizeof(*p));

	p->last = &p->first;
	return p;
}

static void free_origin(struct origin *o)
{
	while (o->friends != NULL) {
		struct friend *next = o->friends->next;

		mem_free(o->friends);
		o->friends = next;
	}
	mem_free(o);
}

void penalties_free(struct penalties *p)
{
	while (p->first != NULL) {
		struct origin *o = p->first;

		p->first = o->next;
		free_origin(o);
	}
	hash_free(&p->by_key, NULL);
	mem_free(p);
}

/* make_key - what address counts as; false: it is none */
static bool make_key(const char *address, char key[KEY_SIZE])
{
	unsigned char raw[16];

	if (inet_pton(AF_INET, address, raw) == 1) {
		snprintf(key, KEY_SIZE, "%u.%u.%u.%u", raw[0], raw[1], raw[2], raw[3]);
		return true;
	}
	if (inet_pton(AF_INET6, address, raw) != 1) {
		return false;
	}
	if (memcmp(raw, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0) {
		snprintf(key, KEY_SIZE, "%u.%u.%u.%u", raw[12], raw[13], raw[14], raw[15]);
	} else {
		snprintf(key, KEY_SIZE, "%02x%02x%02x%02x%02x%02x%02x%02x", raw[0], raw[1], raw[2],
			raw[3], raw[4], raw[5], raw[6], raw[7]);
	}
	return true;
}

/* make_room - false: everything is in use */
static bool make_room(struct penalties *p)
{
	struct origin *o = p->first;

	if (p->by_key.count < ORIGINS_MAX) {
		return true;
	}
	if (o->under_way > 0) {
		return false;
	}
	p->first = o->next;
	if (p->first == NULL) {
		p->last = &p->first;
	}
	(void)hash_del(&p->by_key, o->key);
	free_origin(o);
	return true;
}

/* find_origin - made when make; NULL: none, or no room */
static struct origin *find_origin(struct penalties *p, const char *address, bool make)
{
	char key[KEY_SIZE];
	struct origin *o;

	if (!make_key(address, key)) {
		return NULL;
	}
	o = hash_get(&p->by_key, key);
	if (o == NULL && make && make_room(p)) {
		o = mem_alloc(sizeof(*o));
		memcpy(o->key, key, sizeof(o->key));
		*p->last = o;
		p->last = &o->next;
		(void)hash_set(&p->by_key, key, o);
	}
	return o;
}

static struct friend *find_friend(struct origin *o, const char *user)
{
	struct friend *f = o->friends;

	while (f != NULL && strcmp(f->user, user) != 0) {
		f = f->next;
	}
	return f;
}

/* add_friend - the user has logged in; the one who did so longest ago is forgotten */
static void add_friend(struct origin *o, const char *user)
{
	struct friend **link = &o->friends, *f;
	size_t size = strlen(user) + 1;

	while (*link != NULL && strcmp((*link)->user, user) != 0) {
		link = &(*link)->next;
	}
	f = *link;
	if (f != NULL) {
		*link = f->next;
	} else {
		f = mem_alloc(sizeof(*f) + size);
		memcpy(f->user, user, size);
		o->friend_count++;
	}
	f->failures = 0;
	f->next = o->friends;
	o->friends = f;
	if (o->friend_count > FRIENDS_MAX) {
		for (link = &o->friends; (*link)->next != NULL; link = &(*link)->next) {
			continue;
		}
		mem_free(*link);
		*link = NULL;
		o->friend_count--;
	}
}

/* forgive - one failure for each while that has passed */
static void forgive(struct origin *o, int64_t now)
{
	int64_t times = (now - o->forgiven) / PENALTY_FORGIVE_MS;

	if (times <= 0) {
		return;
	}
	o->failures = times < o->failures ? o->failures - (int)times : 0;
	for (struct friend *f = o->friends; f != NULL; f = f->next) {
		f->failures = times < f->failures ? f->failures - (int)times : 0;
	}
	o->forgiven += times * PENALTY_FORGIVE_MS;
}

int penalty_enter(struct penalties *p, const char *address, const char *user, int64_t now)
{
	struct origin *o = find_origin(p, address, true);
	struct friend *f;
	int count, wait;

	if (o == NULL) {
		return 0;
	}
	forgive(o, now);
	f = find_friend(o, user);
	if (f != NULL && f->under_way++ + f->failures < OWN_FREE) {
		o->under_way++;
		return 0;
	}
	count = o->failures + o->under_way - PENALTY_FREE;
	if (count >= 0 && o->under_way >= PENALTY_WAITING) {
		if (f != NULL) {
			f->under_way--;
		}
		return PENALTY_REFUSED;
	}
	o->under_way++;
	if (count < 0) {
		return 0;
	}
	wait = count / STEP < 4 ? 1000 << (count / STEP) : WAIT_MAX_MS;
	return wait < WAIT_MAX_MS ? wait : WAIT_MAX_MS;
}

void penalty_leave(struct penalties *p, const char *address, const char *user, int64_t now,
	enum penalty_outcome outcome)
{
	struct origin *o = find_origin(p, address, false);
	struct friend *f;

	if (o == NULL || o->under_way == 0) {
		return;
	}
	o->under_way--;
	f = find_friend(o, user);
	if (f != NULL && f->under_way > 0) {
		f->under_way--;
	}
	switch (outcome) {
	case PENALTY_SUCCEEDED:
		add_friend(o, user);
		break;
	case PENALTY_FAILED:
		forgive(o, now);
		if (o->failures == 0) {
			o->forgiven = now;
		}
		if (o->failures < FAILURES_MAX) {
			o->failures++;
		}
		if (f != NULL && f->failures < FAILURES_MAX) {
			f->failures++;
		}
		break;
	case PENALTY_UNDECIDED:
		break;
	}
}
