/*
 * tls_session - sessions that a client may resume, in memory
 *
 * RFC 5246 F.1.4: by its id; BearSSL has no tickets. About 600 bytes each.
 */
#include "net/tls_session.h"

#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/hash.h"
#include "base/mem.h"

struct session {
	struct session *newer, *older;
	char key[TLS_SESSION_KEY];
	unsigned trust;
	int64_t until;
	br_ssl_session_parameters params;
	struct tls_verdict *verdict;
};

struct tls_sessions {
	struct hash table;
	struct session *newest, *oldest;
	size_t max;
	int64_t seconds;
};

struct tls_sessions *tls_sessions_new(size_t max, int64_t seconds)
{
	struct tls_sessions *s = mem_alloc(sizeof(*s));

	s->max = max;
	s->seconds = seconds;
	return s;
}

static void free_session(struct tls_sessions *s, struct session *one)
{
	*(one->newer != NULL ? &one->newer->older : &s->newest) = one->older;
	*(one->older != NULL ? &one->older->newer : &s->oldest) = one->newer;
	(void)hash_del(&s->table, one->key);
	tls_verdict_unref(one->verdict);
	forget(one, sizeof(*one));
	mem_free(one);
}

void tls_sessions_free(struct tls_sessions *s)
{
	if (s == NULL) {
		return;
	}
	while (s->oldest != NULL) {
		free_session(s, s->oldest);
	}
	hash_free(&s->table, NULL);
	mem_free(s);
}

struct tls_verdict *tls_sessions_get(
	struct tls_sessions *s, const char *key, unsigned trust, br_ssl_session_parameters *out)
{
	struct session *one = hash_get(&s->table, key);

	if (one == NULL) {
		return NULL;
	}
	if (one->trust != trust || clock_ms() >= one->until) {
		free_session(s, one);
		return NULL;
	}
	*out = one->params;
	one->verdict->refs++;
	return one->verdict;
}

void tls_sessions_drop(struct tls_sessions *s, const char *key)
{
	struct session *one = hash_get(&s->table, key);

	if (one != NULL) {
		free_session(s, one);
	}
}

void tls_sessions_put(struct tls_sessions *s, const char *key, unsigned trust,
	const br_ssl_session_parameters *session, struct tls_verdict *v)
{
	struct session *one;

	tls_sessions_drop(s, key);
	if (s->max == 0) {
		return;
	}
	while (s->table.count >= s->max) {
		free_session(s, s->oldest);
	}
	one = mem_alloc(sizeof(*one));
	(void)str_copy(one->key, sizeof(one->key), key);
	one->trust = trust;
	one->until = clock_ms() + s->seconds * 1000;
	one->params = *session;
	one->verdict = v;
	v->refs++;
	(void)hash_set(&s->table, one->key, one);
	one->older = s->newest;
	*(s->newest != NULL ? &s->newest->newer : &s->oldest) = one;
	s->newest = one;
}
