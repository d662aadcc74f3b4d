/*
 * lines - logical lines of configuration files and table sources
 *
 * Physical lines are split off a read buffer; one is always looked at ahead,
 * because only the line after a logical line tells that it has ended.
 *
 *	a = b,		<- number
 *	# comment
 *	    c		<- last; text is "a = b,    c"
 */
#include "conf/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/identity.h"

/* With the byte that a buf adds a block of 8 KB, which goes back when the file was read. */
enum { READ_SIZE = 8 * 1024 - 1 };

int lines_open(struct lines *l, const char *path)
{
	struct stat st;
	int fd = identity_open(path, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0) {
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		errno = EISDIR;
		return -1;
	}
	lines_open_fd(l, fd);
	return 0;
}

void lines_open_fd(struct lines *l, int fd)
{
	memset(l, 0, sizeof(*l));
	l->fd = fd;
}

void lines_close(struct lines *l)
{
	close(l->fd);
	buf_free(&l->in);
	buf_free(&l->next);
	buf_free(&l->text);
}

/* fill - read more; 1, 0 at the end of the file, -1 */
static int fill(struct lines *l)
{
	ssize_t n;

	if (l->eof) {
		return 0;
	}
	do {
		n = read(l->fd, buf_reserve(&l->in, READ_SIZE), READ_SIZE);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -1;
	}
	if (n == 0) {
		l->eof = true;
		return 0;
	}
	buf_added(&l->in, (size_t)n);
	return 1;
}

/* take - n bytes of a physical line into next, up to the limit */
static void take(struct lines *l, size_t n)
{
	size_t room = LINES_MAX - l->next.len;

	if (n > room) {
		l->next_long = true;
		buf_add(&l->next, buf_head(&l->in), room);
	} else {
		buf_add(&l->next, buf_head(&l->in), n);
	}
	buf_consume(&l->in, n);
}

/* read_physical - the next physical line into next, without its end; 1, 0, -1 */
static int read_physical(struct lines *l)
{
	bool any = false;
	const char *end;
	int rc;

	buf_reset(&l->next);
	l->next_long = false;
	for (;;) {
		end = memchr(buf_head(&l->in), '\n', buf_unread(&l->in));
		if (end != NULL) {
			break;
		}
		any = any || buf_unread(&l->in) > 0;
		take(l, buf_unread(&l->in));
		rc = fill(l);
		if (rc < 0) {
			return -1;
		}
		if (rc == 0) {
			if (!any) {
				return 0;
			}
			break;
		}
	}
	if (end != NULL) {
		take(l, (size_t)(end - buf_head(&l->in)));
		buf_consume(&l->in, 1);
	}
	l->physical++;
	if (l->next.len > 0 && l->next.data[l->next.len - 1] == '\r') {
		buf_truncate(&l->next, l->next.len - 1);
	}
	if (l->physical == 1 && l->next.len >= 3 && memcmp(l->next.data, "\xef\xbb\xbf", 3) == 0) {
		memmove(l->next.data, l->next.data + 3, l->next.len - 3);
		buf_truncate(&l->next, l->next.len - 3);
	}
	l->next_nul = l->next.len > 0 && memchr(l->next.data, '\0', l->next.len) != NULL;
	return 1;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* read_meaningful - the next line that is neither empty nor a comment; 1, 0, -1 */
static int read_meaningful(struct lines *l)
{
	int rc;
	size_t i;

	for (;;) {
		rc = read_physical(l);
		if (rc <= 0) {
			return rc;
		}
		for (i = 0; i < l->next.len && is_blank(l->next.data[i]); i++) {
			continue;
		}
		if (i < l->next.len && l->next.data[i] != '#') {
			return 1;
		}
	}
}

/* append - the line looked at becomes part of the logical line */
static void append(struct lines *l)
{
	size_t n = l->next.len;

	if (n > LINES_MAX - l->text.len) {
		n = LINES_MAX - l->text.len;
		l->too_long = true;
	}
	buf_add(&l->text, buf_str(&l->next), n);
	l->too_long = l->too_long || l->next_long;
	l->has_nul = l->has_nul || l->next_nul;
	l->last = l->physical;
	l->have_next = false;
}

int lines_next(struct lines *l)
{
	int rc = 1;

	buf_reset(&l->text);
	l->has_nul = l->too_long = l->orphan = false;
	if (!l->have_next) {
		rc = read_meaningful(l);
	}
	if (rc <= 0) {
		return rc;
	}
	l->number = l->physical;
	l->orphan = is_blank(l->next.data[0]);
	append(l);
	while ((rc = read_meaningful(l)) > 0 && is_blank(l->next.data[0])) {
		append(l);
	}
	if (rc < 0) {
		return -1;
	}
	l->have_next = rc > 0;
	return 1;
}
