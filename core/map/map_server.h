#ifndef MAP_MAP_SERVER_H
#define MAP_MAP_SERVER_H

#include "base/loop.h"
#include "base/str.h"
#include "map/map_question.h"

/*
 * Servers that tables ask, private to the room. All tables of a process that name the same one
 * share what is here: its connections, who waits for one, and what is known of it.
 */
struct map_server;

/* host "" and port a path: a unix socket. loop NULL: who asks blocks until the answer. */
struct map_server *map_server_use(struct slice host, struct slice port, struct loop *loop);
/* NULL: nothing. The last one ends it: what waits has failed. */
void map_server_release(struct map_server *s);
struct loop *map_server_loop(const struct map_server *s); /* as it was given */

/*
 * The question of a computation with this request, asked before or now; its state says how far it
 * is. Valid until the computation forgets it. NULL: too many are under way, it waits for later.
 */
struct map_question *map_server_ask(struct map_server *s, struct map_wait *w,
	const struct buf *request, map_complete_fn *complete);
/* The same for who blocks: it is answered. Valid until the next one. */
struct map_question *map_server_ask_now(
	struct map_server *s, const struct buf *request, map_complete_fn *complete);

#endif
