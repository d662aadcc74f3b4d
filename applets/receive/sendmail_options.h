#ifndef APPLETS_RECEIVE_SENDMAIL_OPTIONS_H
#define APPLETS_RECEIVE_SENDMAIL_OPTIONS_H

#include <stdbool.h>

/* What the options of sendmail(1) have said; the texts are argv's. */
struct sendmail_options {
	const char *sender; /* -f, -r; NULL: the caller */
	const char *full_name;
	const char *envid;
	const char *verp; /* of -XV: delimiters, or "" */
	unsigned flags, notify;
	bool from_headers;     /* -t */
	bool keep_dots;        /* -i */
	char mode;             /* of -b, 'm' without one */
	const char *queue_run; /* of -q, "" none given; NULL: no -q */
};

/* The options of argv; optind is then at the first recipient. What is wrong ends the program. */
void sendmail_options(struct sendmail_options *o, int argc, char **argv);

/* End with a line that names who calls. */
_Noreturn void sendmail_end(int status, const char *text);
/* For what is wrong and does not keep the mail. */
void sendmail_warn(const char *text);

#endif
