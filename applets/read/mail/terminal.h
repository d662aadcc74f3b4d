#ifndef APPLETS_READ_MAIL_TERMINAL_H
#define APPLETS_READ_MAIL_TERMINAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct buf;
struct mail_state;

/* Of the screen; of what is no terminal 24 and 80. */
void terminal_size(unsigned *rows, unsigned *columns);
/* May the character be sent to a terminal? (line ends and tabs: the caller's decision) */
bool terminal_safe(int32_t code);
/* Text without what drives a terminal; bytes that are not UTF-8 become ?, too. */
void terminal_put_safe(struct buf *out, const char *text, size_t len);
/* UTF-8 to where it is read, in the terminal's character set. */
void terminal_write(struct mail_state *mail, FILE *to, const char *text, size_t len);
/* The same of anybody's text, so that it cannot drive the terminal: control characters as ?. */
void terminal_say(struct mail_state *mail, FILE *to, const char *text);
/* A text to the terminal by screenfuls; without a pager, or when it cannot be run, as it is. */
void terminal_page(struct mail_state *mail, const struct buf *text);
/* Text that was typed, to UTF-8. */
void terminal_text(struct mail_state *mail, struct buf *text);
/*
 * One line without its end; false at the end of input, or when interrupted (the terminal throws
 * away what was typed of it).
 */
bool read_line(struct mail_state *mail, FILE *in, struct buf *line);
/* On the terminal: an interrupt is counted and ends nothing, or as before. */
void interrupts_catch(struct mail_state *mail, bool on);
/* Did one come that was not taken? */
bool interrupts_pending(struct mail_state *mail);
/* How many came since they were forgotten, if one of them was not taken yet; 0: none. */
int interrupts_take(struct mail_state *mail);
void interrupts_forget(struct mail_state *mail);
/* A hangup is noted and ends the reading of a line, until it is released. */
void hangup_catch(struct sigaction *before);
void hangup_release(const struct sigaction *before);
/* Did one come since they were caught? */
bool hangup_came(void);

#endif
