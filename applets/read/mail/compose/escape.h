#ifndef APPLETS_READ_MAIL_COMPOSE_ESCAPE_H
#define APPLETS_READ_MAIL_COMPOSE_ESCAPE_H

struct draft;
struct mail_state;

enum progress { LETTER_GOES_ON, LETTER_ENDS, LETTER_GIVEN_UP };
/* Do what a line says that begins with ~ and another character. */
enum progress escape_run(struct mail_state *mail, struct draft *d, const char *line);

#endif
