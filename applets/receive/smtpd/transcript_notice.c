/*
 * transcript_notice - what a session said, mailed to postmaster
 *
 * From the address whose mail is never answered, so that a notice which fails makes no other.
 */
#include <time.h>

#include "base/date.h"
#include "conf/params.h"
#include "queue/queue_write.h"
#include "address/rewrite.h"
#include "applets/receive/smtpd/intake.h"
#include "applets/receive/smtpd/transcript.h"

/* write_notice - its headers and text */
static void write_notice(struct smtpd_session *s, struct buf *out, const char *id, const char *to)
{
	char date[DATE_SIZE];

	date_rfc5322(date, time(NULL), true);
	buf_addf(out, "Received: by %s (%s)\n\tid %s; %s\n", param.myhostname, param.mail_name, id,
		date);
	buf_addf(out, "Date: %s\n", date);
	buf_addf(out, "From: MAILER-DAEMON@%s (Mail Delivery System)\n", param.myorigin);
	buf_addf(out, "To: %s (Postmaster)\n", to);
	buf_addf(out, "Subject: %s SMTP server: errors from %s[%s]\n", param.mail_name,
		s->io->peer.host, s->io->peer.addr);
	buf_addf(out, "Message-Id: <%s.%s@%s>\n\n", "notice", id, param.myhostname);
	buf_adds(out, "Transcript of session follows.\n\n");
	buf_add(out, s->transcript.data, s->transcript.len);
	buf_adds(out, "\n\nFor other details, see the local mail logfile\n");
}

void transcript_end(struct smtpd_session *s)
{
	if (s->met != 0 && s->d->queue != NULL && !s->d->broken) {
		struct arena a = ARENA_INIT;
		struct buf text = BUF_INIT;
		const char *name = s->met == CLASS_BOUNCE ? param.bounce_notice_recipient
							  : param.error_notice_recipient;
		const struct queue_envelope env = { .sender = arena_printf(&a, "%s@%s",
							    param.double_bounce_sender,
							    param.myhostname),
			.flags = QUEUE_F_BOUNCE };
		const struct queue_recipient to = { .address = rewrite_address(&a,
							    *name != '\0' ? name : "postmaster",
							    REWRITE_LOCAL) };
		struct queue_message *m = queue_begin(s->d->queue, &env);
		char id[QUEUE_ID_TEXT];

		queue_id_text(queue_message_id(m), id);
		queue_add_recipient(m, &to);
		write_notice(s, &text, id, to.address);
		if (queue_write(m, text.data, text.len) == 0) {
			intake_notice(s->d, m);
		} else {
			queue_abort(m);
		}
		buf_free(&text);
		arena_free(&a);
	}
	buf_free(&s->transcript);
}
