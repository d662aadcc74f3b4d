/*
 * headers - the header list
 *
 *	>N  1 root                  Tue Aug  9 14:21   20/743   "Just test"
 *
 * dot, state (N new, U unread), number, sender, date of the From_ line, lines/bytes as the mbox has
 * them, subject; cut to the terminal's width (a narrow one gets no size), where Chinese, Japanese
 * and Korean characters take two columns.
 */
#include "applets/read/mail/headers.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/utf8.h"
#include "mail/mailbox.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"
#include "applets/read/mail/vars.h"

/* below it neither the size nor the day of the week has a place */
enum { NARROW = 60 };

/* window_size - messages of one screenful: variable screen, else what the terminal holds */
static unsigned window_size(struct mail_state *mail)
{
	const char *screen = var_get(mail, "screen");
	unsigned rows, columns;
	int64_t n;

	if (screen != NULL && str_to_int(screen, 1, 10000, &n)) {
		return (unsigned)n;
	}
	terminal_size(&rows, &columns);
	return rows - 4;
}

/* cell_width - columns that a character takes: 0 combining, 2 East Asian wide */
static unsigned cell_width(int32_t code)
{
	static const struct {
		int32_t first, last;
		unsigned width;
	} ranges[] = {
		{ 0x0300, 0x036f, 0 },
		{ 0x1100, 0x115f, 2 },
		{ 0x200b, 0x200f, 0 },
		{ 0x20d0, 0x20ff, 0 },
		{ 0x2e80, 0x303e, 2 },
		{ 0x3041, 0xa4cf, 2 },
		{ 0xac00, 0xd7a3, 2 },
		{ 0xf900, 0xfaff, 2 },
		{ 0xfe00, 0xfe0f, 0 },
		{ 0xfe30, 0xfe6f, 2 },
		{ 0xff00, 0xff60, 2 },
		{ 0xffe0, 0xffe6, 2 },
		{ 0x1f300, 0x1f64f, 2 },
		{ 0x1f900, 0x1f9ff, 2 },
		{ 0x20000, 0x3fffd, 2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(ranges) && code >= ranges[i].first; i++) {
		if (code <= ranges[i].last) {
			return ranges[i].width;
		}
	}
	return 1;
}

/* put_cell - text padded or cut to width columns; what drives a terminal is shown as ? */
static void put_cell(struct buf *out, const char *text, unsigned width, bool pad)
{
	size_t left = strlen(text), size;
	unsigned column = 0;

	for (; left > 0; text += size, left -= size) {
		int32_t code = utf8_get(text, left, &size);
		bool safe = code == '\t' || terminal_safe(code);
		unsigned wide = safe ? cell_width(code) : 1;

		if (column + wide > width) {
			break;
		}
		if (code == '\t' || !safe) {
			buf_addc(out, safe ? ' ' : '?');
		} else {
			buf_add(out, text, size);
		}
		column += wide;
	}
	for (; pad && column < width; column++) {
		buf_addc(out, ' ');
	}
}

/* state_of - the letter in the list: what quitting will do first, then what is new */
static char state_of(struct mail_state *mail, unsigned n)
{
	unsigned marks = mail->messages[n].marks, flags = mailbox_info(mail->view, n)->flags;

	if (marks & MARK_SAVED) {
		return '*';
	}
	if (marks & MARK_HELD) {
		return 'P';
	}
	if (marks & MARK_MBOX) {
		return 'M';
	}
	if (folder_new(mail, n)) {
		return 'N';
	}
	if (folder_unread(mail, n)) {
		return 'U';
	}
	if (flags & MAIL_FLAGGED) {
		return 'F';
	}
	return flags & MAIL_ANSWERED ? 'A' : ' ';
}

/* from_width - columns of the sender: fewer on a narrow terminal, so that there is a subject */
static unsigned from_width(unsigned columns)
{
	return columns >= 80 ? 20 : columns >= NARROW ? 12 : 6;
}

/* print_header - one line, cut to the width */
static void print_header(struct mail_state *mail, unsigned n, unsigned columns)
{
	struct arena a = ARENA_INIT;
	struct buf line = BUF_INIT;
	unsigned long lines, bytes;
	char number[16], date[32], size[48];
	time_t when = mailbox_info(mail->view, n)->received;
	unsigned from = from_width(columns), used;
	bool narrow = columns < NARROW;
	const char *subject;
	struct tm tm;

	localtime_r(&when, &tm);
	strftime(date, sizeof(date), narrow ? "%b %e %H:%M" : "%a %b %e %H:%M", &tm);
	message_size(mail, n, &lines, &bytes);
	snprintf(number, sizeof(number), "%3u", n);
	snprintf(size, sizeof(size), "%4lu/%-5lu ", lines, bytes);
	buf_addf(&line, "%c%c%s ", n == mail->current ? '>' : ' ', state_of(mail, n), number);
	put_cell(&line, message_from(mail, &a, n, false), from, true);
	buf_addf(&line, "  %s %s", date, narrow ? "" : size);
	used = (unsigned)(3 + strlen(number) + from + 2 + strlen(date) + 1 +
		(narrow ? 0 : strlen(size)));
	subject = message_field(mail, &a, n, "Subject");
	if (subject[0] != '\0' && columns > used + 4) {
		buf_addc(&line, '"');
		put_cell(&line, subject, columns - used - 3, false);
		buf_addc(&line, '"');
	}
	buf_addc(&line, '\n');
	terminal_write(mail, stdout, buf_str(&line), line.len);
	buf_free(&line);
	arena_free(&a);
}

/* window_of - the first message of the screenful that holds n */
static unsigned window_of(struct mail_state *mail, unsigned n)
{
	unsigned size = window_size(mail);

	return (n - 1) / size * size + 1;
}

/* headers_window - a screenful, without what is deleted */
void headers_window(struct mail_state *mail, unsigned around)
{
	unsigned rows, columns, left = window_size(mail);

	if (mail->count == 0) {
		printf("No messages.\n");
		return;
	}
	around = around < 1 ? 1 : around > mail->count ? mail->count : around;
	terminal_size(&rows, &columns);
	for (unsigned n = window_of(mail, around); n <= mail->count && left > 0; n++) {
		if ((mail->messages[n].marks & MARK_DELETED) == 0) {
			print_header(mail, n, columns);
			left--;
		}
	}
}

/* headers_all - whatever is marked */
void headers_all(struct mail_state *mail)
{
	unsigned rows, columns;

	terminal_size(&rows, &columns);
	for (unsigned n = 1; n <= mail->count; n++) {
		print_header(mail, n, columns);
	}
}

/* headers_list - those of a list */
void headers_list(struct mail_state *mail, const unsigned *list)
{
	unsigned rows, columns;

	terminal_size(&rows, &columns);
	for (; *list != 0; list++) {
		print_header(mail, *list, columns);
	}
}

/* headers_scroll - the dot goes to the first of the screenful */
void headers_scroll(struct mail_state *mail, int screens)
{
	int64_t size = window_size(mail), to;

	if (mail->count == 0) {
		printf("No messages.\n");
		return;
	}
	to = (int64_t)window_of(mail, mail->current > 0 ? mail->current : 1) + screens * size;
	if (to > (int64_t)mail->count) {
		printf("On last screenful of messages\n");
	} else if (to < 1) {
		printf("On first screenful of messages\n");
	} else {
		mail->current = (unsigned)to;
		mail->moved = false;
	}
	headers_window(mail, mail->current);
}
