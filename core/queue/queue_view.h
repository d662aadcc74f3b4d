#ifndef QUEUE_QUEUE_VIEW_H
#define QUEUE_QUEUE_VIEW_H

#include <stddef.h>

/*
 * Questions about the queue by people and scripts, on views that stay as they are whatever the
 * tables become (columns in queue_view.c):
 *
 *	queue		a row a message
 *	recipients	a row a recipient that is not done
 *	destinations	a row a domain that something waits for
 *	deliveries	a row a recipient that was delivered or bounced in the last day
 *
 * The parts of the queue are opened for reading alone. sql is one SELECT (or WITH, VALUES). row()
 * is called for the names of the columns, then for each row; it returns 0, or -1 to stop. 0, or -1
 * with a text (caller frees).
 */
enum { QUEUE_VIEW_COLUMNS = 100 };
int queue_select(const char *queue_directory, const char *sql,
	int (*row)(void *arg, int count, const char *const *columns), void *arg, char **error_r);

#endif
