/*
 * deliver - a batch of messages into one mailbox, of either kind
 */
#include "deliver/deliver.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "deliver/deliver_impl.h"

/* make_parents - of a maildir; one that cannot be made is a reason for the delivery to fail */
static void make_parents(const char *path)
{
	char *parent = mem_strdup(path), *end = parent + strlen(parent);

	while (end > parent && end[-1] == '/') {
		*--end = '\0';
	}
	end = strrchr(parent, '/');
	if (end != NULL && end > parent) {
		*end = '\0';
		(void)dir_make(parent, 0700);
	}
	mem_free(parent);
}

int deliver_to_mailbox(
	const char *path, const struct deliver_how *how, struct deliver_item *items, size_t count)
{
	size_t len = strlen(path);
	int rc;

	for (size_t i = 0; i < count; i++) {
		items[i].status = DELIVER_NONE;
	}
	if (len > 0 && path[len - 1] == '/') {
		if (how->parents) {
			make_parents(path);
		}
		rc = deliver_maildir_batch(path, how, items, count);
	} else {
		rc = deliver_mbox_batch(path, how, items, count);
	}
	return rc;
}

int deliver_probe(const char *path, const struct deliver_how *how, char id[DELIVER_ID_SIZE])
{
	struct deliver_mbox m;
	const char *why;
	int rc, saved;

	if (deliver_mbox_open(&m, path, how, false, &why) != 0) {
		return errno == ENOENT ? 0 : -1;
	}
	rc = deliver_find_tail(&m, id);
	saved = errno;
	deliver_mbox_close(&m);
	errno = saved;
	return rc;
}
