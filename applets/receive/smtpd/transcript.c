/*
 * transcript - postmaster hears of sessions that met an error (notify_classes)
 *
 * The class of an error is that of its reply, which is where all of them come by. Where only
 * resource and software are told, as by default, a transcript begins with the command that
 * met the error, so that the many sessions without one keep nothing; with any other class the whole
 * session is written down, up to TRANSCRIPT_MAX.
 */
#include "applets/receive/smtpd/transcript.h"

#include <string.h>

#include "conf/params.h"

enum { TRANSCRIPT_MAX = 4096, LINE_MAX_KEPT = 500, CODE_PROTOCOL_MAX = 503 };

unsigned transcript_classes(void)
{
	static const char names[][9] = { "policy", "protocol", "resource", "software", "bounce" };
	unsigned classes = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (list_has(param.notify_classes, names[i])) {
			classes |= 1U << i;
		}
	}
	return classes;
}

/* is_status - the enhanced code behind the class: "550 5.1.1 ..." is "1.1" */
static bool is_status(const char *reply, const char *subject)
{
	return strlen(reply) > 6 && reply[5] == '.' && str_starts(reply + 6, subject);
}

/* class_of - a reply's; 0: no error, or one that is nobody's fault */
static unsigned class_of(const char *reply)
{
	int code = (reply[0] - '0') * 100 + (reply[1] - '0') * 10 + reply[2] - '0';

	if (code < 400 || (code == 421 && (is_status(reply, "4.2") || is_status(reply, "3.2")))) {
		return 0;
	}
	if (is_status(reply, "3.1 ")) {
		return CLASS_RESOURCE;
	}
	if (is_status(reply, "3.0 ") || is_status(reply, "3.5 ")) {
		return CLASS_SOFTWARE;
	}
	if ((code >= 500 && code <= CODE_PROTOCOL_MAX) || code == 555) {
		return CLASS_PROTOCOL;
	}
	return (code == 550 || code == 450) && is_status(reply, "1.1 ") ? CLASS_BOUNCE
									: CLASS_POLICY;
}

/* is_whole - is all of every session written down? */
static bool is_whole(const struct smtpd *d)
{
	return (d->told & (CLASS_POLICY | CLASS_PROTOCOL | CLASS_BOUNCE)) != 0;
}

static void add(struct smtpd_session *s, const char *who, const char *text, size_t len)
{
	struct buf *t = &s->transcript;

	if (t->len >= TRANSCRIPT_MAX) {
		return;
	}
	buf_adds(t, who);
	len = len < LINE_MAX_KEPT ? len : LINE_MAX_KEPT;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		buf_addc(t, c < ' ' || c == 127 ? '?' : (char)c);
	}
	buf_addc(t, '\n');
	if (t->len >= TRANSCRIPT_MAX) {
		buf_adds(t, " [the rest of the session is left out]\n");
	}
}

void transcript_in(struct smtpd_session *s, struct slice line, bool secret)
{
	if (s->d->told == 0) {
		return;
	}
	if (!is_whole(s->d) && s->met == 0) {
		buf_reset(&s->transcript);
	}
	if (secret) {
		add(s, " In:  ", "[...]", 5);
	} else {
		add(s, " In:  ", line.ptr, line.len);
	}
}

void transcript_out(struct smtpd_session *s, const char *reply)
{
	if (s->d->told == 0) {
		return;
	}
	s->met |= class_of(reply) & s->d->told;
	if (is_whole(s->d) || s->met != 0) {
		add(s, " Out: ", reply, strlen(reply));
	}
}
