/*
 * headers - the header list
 *
 *	>N  1 root                  Tue Aug  9 14:21   20/743   "Just test"
 *
 * dot, state (N new, U unread), number, sender, date of the From_ line, lines/bytes, subject; cut
 *to the terminal's width. Columns are counted in characters of UTF-8.
 */
#include "mail.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "mime/charset.h"

enum { FROM_WIDTH = 20, WIDTH_MIN = 40, WIDTH_MAX = 500, BEFORE_SUBJECT = 57 };

static void terminal_size(unsigned *rows, unsigned *columns)
{
	struct winsize ws;

	*rows = 24;
	*columns = 80;
	if (ioctl(1, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 5 && ws.ws_col >= WIDTH_MIN) {
		*rows = ws.ws_row;
		*columns = ws.ws_col < WIDTH_MAX ? ws.ws_col : WIDTH_MAX;
	}
}

/* window_size - messages of one screenful: variable screen, else what the terminal holds */
static unsigned window_size(void)
{
	const char *screen = var_get("screen");
	unsigned rows, columns;
	int64_t n;

	if (screen != NULL && str_to_int(screen, 1, 10000, &n)) {
		return (unsigned)n;
	}
	terminal_size(&rows, &columns);
	return rows - 4;
}

/* put_cell - text padded or cut to width characters; control characters shown as ? */
static void put_cell(struct buf *out, const char *text, unsigned width, bool pad)
{
	size_t left = strlen(text), size;
	unsigned column = 0;

	while (left > 0 && column < width) {
		int32_t code = utf8_get(text, left, &size);

		if (code < 0 || (code < 32 && code != '\t') || code == 127) {
			buf_addc(out, '?');
		} else if (code == '\t') {
			buf_addc(out, ' ');
		} else {
			buf_add(out, text, size);
		}
		text += size;
		left -= size;
		column++;
	}
	for (; pad && column < width; column++) {
		buf_addc(out, ' ');
	}
}

static char state_of(unsigned n)
{
	unsigned marks = G.messages[n].marks, flags = mailbox_info(G.view, n)->flags;

	if (marks & MARK_SAVED) {
		return '*';
	}
	if (marks & MARK_HELD) {
		return 'P';
	}
	if (marks & MARK_MBOX) {
		return 'M';
	}
	if (folder_new(n)) {
		return 'N';
	}
	if (folder_unread(n)) {
		return 'U';
	}
	if (flags & MAIL_FLAGGED) {
		return 'F';
	}
	return flags & MAIL_ANSWERED ? 'A' : ' ';
}

static void print_header(unsigned n, unsigned columns)
{
	struct arena a = ARENA_INIT;
	struct buf line = BUF_INIT;
	unsigned long lines, bytes;
	char date[32], size[48];
	time_t when = mailbox_info(G.view, n)->received;
	const char *subject;
	struct tm tm;

	localtime_r(&when, &tm);
	strftime(date, sizeof(date), "%a %b %e %H:%M", &tm);
	message_size(n, &lines, &bytes);
	snprintf(size, sizeof(size), "%4lu/%-5lu", lines, bytes);
	buf_addf(&line, "%c%c%3u ", n == G.current ? '>' : ' ', state_of(n), n);
	put_cell(&line, message_from(&a, n, false), FROM_WIDTH, true);
	buf_addf(&line, "  %s %s ", date, size);
	subject = message_field(&a, n, "Subject");
	if (subject[0] != '\0' && columns > BEFORE_SUBJECT + 4) {
		buf_addc(&line, '"');
		put_cell(&line, subject, columns - BEFORE_SUBJECT - 2, false);
		buf_addc(&line, '"');
	}
	printf("%s\n", buf_str(&line));
	buf_free(&line);
	arena_free(&a);
}

void headers_window(unsigned around)
{
	unsigned rows, columns, size = window_size(), first;

	if (G.count == 0) {
		printf("No messages.\n");
		return;
	}
	around = around < 1 ? 1 : around > G.count ? G.count : around;
	first = (around - 1) / size * size + 1;
	terminal_size(&rows, &columns);
	for (unsigned n = first; n <= G.count && n < first + size; n++) {
		if ((G.messages[n].marks & MARK_DELETED) == 0) {
			print_header(n, columns);
		}
	}
}

void headers_list(const unsigned *list)
{
	unsigned rows, columns;

	terminal_size(&rows, &columns);
	for (; *list != 0; list++) {
		print_header(*list, columns);
	}
}

void headers_scroll(int screens)
{
	unsigned size = window_size();
	int64_t to = (int64_t)(G.current > 0 ? G.current : 1) + (int64_t)screens * size;

	if (to > G.count) {
		printf("On last screenful of messages\n");
		to = G.count;
	} else if (to < 1) {
		printf("On first screenful of messages\n");
		to = 1;
	}
	G.current = (unsigned)to;
	headers_window(G.current);
}
