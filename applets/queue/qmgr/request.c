/*
 * request - some recipients of a message on their way to one destination, and lists of such
 */
#include "applets/queue/qmgr/request.h"

#include "base/mem.h"

struct request *request_make(struct job *j, struct dest *d, size_t room)
{
	struct request *r = mem_alloc(sizeof(*r) + room * sizeof(r->rcpts[0]));

	r->job = j;
	r->dest = d;
	return r;
}

void request_append(struct request_list *l, struct request *r)
{
	r->next = NULL;
	r->prev = l->last;
	*(l->last != NULL ? &l->last->next : &l->first) = r;
	l->last = r;
	l->count++;
}

void request_prepend(struct request_list *l, struct request *r)
{
	r->prev = NULL;
	r->next = l->first;
	*(l->first != NULL ? &l->first->prev : &l->last) = r;
	l->first = r;
	l->count++;
}

void request_remove(struct request_list *l, struct request *r)
{
	*(r->prev != NULL ? &r->prev->next : &l->first) = r->next;
	*(r->next != NULL ? &r->next->prev : &l->last) = r->prev;
	l->count--;
}

void request_list_free(struct request_list *l)
{
	while (l->first != NULL) {
		struct request *r = l->first;

		request_remove(l, r);
		mem_free(r);
	}
}
