/*
 * draft_reply - letters that answer messages, or pass them on
 */
#include "applets/read/mail/compose/draft_reply.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "conf/params.h"
#include "mime/address.h"
#include "applets/read/mail/compose/draft.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/list.h"
#include "applets/read/mail/show.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/vars.h"

/* own_domain - is mail for a user of that domain ours? */
static bool own_domain(struct mail_state *mail, const char *domain)
{
	char host[256];

	/* main.cf says it; without one the host's name */
	if (main_cf_known(mail) &&
		(str_ieq(domain, param.myhostname) || str_ieq(domain, param.mydomain) ||
			str_ieq(domain, param.myorigin))) {
		return true;
	}
	return (gethostname(host, sizeof(host)) == 0 && str_ieq(domain, host)) ||
		str_ieq(domain, "localhost");
}

/* has_address - does the list name this address? */
static bool has_address(const char *list, const char *address)
{
	struct arena a = ARENA_INIT;
	struct buf one = BUF_INIT;
	bool found = false;

	for (struct mime_address *m = mime_addresses(&a, slice_of(list)); m != NULL && !found;
		m = m->next) {
		if (m->mailbox != NULL && m->domain != NULL) {
			buf_reset(&one);
			list_put_address(&one, m);
			found = str_ieq(buf_str(&one), address);
		}
	}
	buf_free(&one);
	arena_free(&a);
	return found;
}

/* is_us - our login name here, or one of alternates and from */
static bool is_us(struct mail_state *mail, const struct mime_address *m, const char *address)
{
	static const char *const lists[] = { "alternates", "from", "replyto" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (var_on(mail, lists[i]) && has_address(var_get(mail, lists[i]), address)) {
			return true;
		}
	}
	return str_ieq(m->mailbox, mail->user) &&
		(m->domain == NULL || m->domain[0] == '\0' || var_on(mail, "allnet") ||
			own_domain(mail, m->domain));
}

/* add_address - to a list, unless it is us, or in the draft already */
static void add_address(
	struct mail_state *mail, struct draft *d, struct buf *list, const struct mime_address *m)
{
	struct buf one = BUF_INIT;

	if (m->mailbox == NULL || m->mailbox[0] == '\0' || mime_address_is_group(m)) {
		return;
	}
	list_put_address(&one, m);
	if (!has_address(buf_str(&d->to), buf_str(&one)) &&
		!has_address(buf_str(&d->cc), buf_str(&one)) &&
		(var_on(mail, "metoo") || !is_us(mail, m, buf_str(&one)))) {
		list_add(list, buf_str(&one));
	}
	buf_free(&one);
}

/* add_field - the addresses of a header of the message, up to a bound */
static void add_field(struct mail_state *mail, struct draft *d, struct buf *list, struct arena *a,
	unsigned n, const char *name)
{
	int left = 1000;

	for (struct mime_address *m =
			mime_addresses(a, slice_of(message_raw_field(mail, a, n, name)));
		m != NULL && left-- > 0; m = m->next) {
		add_address(mail, d, list, m);
	}
}

/* draft_reply - to whom, subject, references, and what is quoted */
void draft_reply(struct mail_state *mail, struct draft *d, unsigned n, bool all)
{
	struct arena a = ARENA_INIT;
	const char *to = message_raw_field(mail, &a, n, "Reply-To");
	const char *subject = message_field(mail, &a, n, "Subject"),
		   *id = message_raw_field(mail, &a, n, "Message-ID");
	const char *references = message_raw_field(mail, &a, n, "References");

	add_field(mail, d, &d->to, &a, n, to[0] != '\0' ? "Reply-To" : "From");
	if (d->to.len == 0) { /* a mail to ourselves is answered all the same */
		list_add(&d->to, message_from(mail, &a, n, true));
	}
	if (all) {
		add_field(mail, d, &d->to, &a, n, "To");
		add_field(mail, d, &d->cc, &a, n, "Cc");
	}
	if (d->subject.len == 0) {
		buf_addf(&d->subject, "%s%s", str_istarts(subject, "re:") ? "" : "Re: ", subject);
	}
	if (id[0] != '\0' && d->in_reply_to.len == 0) {
		buf_adds(&d->in_reply_to, id);
		buf_addf(&d->references, "%s%s%s", references, references[0] != '\0' ? "\n " : "",
			id);
	}
	if (var_on(mail, "quote")) {
		const char *prefix = var_get(mail, "indentprefix"),
			   *from = message_field(mail, &a, n, "From");

		buf_addf(&d->text, "%s wrote:\n\n",
			from[0] != '\0' ? from : message_from(mail, &a, n, true));
		show_quoted(mail, &d->text, n, prefix != NULL && prefix[0] != '\0' ? prefix : "\t");
		buf_addc(&d->text, '\n');
	}
	arena_free(&a);
}

/* draft_forward - subject, and the message as text */
void draft_forward(struct mail_state *mail, struct draft *d, unsigned n)
{
	struct arena a = ARENA_INIT;
	const char *subject = message_field(mail, &a, n, "Subject");
	struct buf text = BUF_INIT;

	buf_addf(&d->subject, "%s%s", str_istarts(subject, "fwd:") ? "" : "Fwd: ", subject);
	buf_adds(&d->text, "\n-------- Original Message --------\n");
	buf_addf(&d->text, "From: %s\nTo: %s\nDate: %s\nSubject: %s\n\n",
		message_field(mail, &a, n, "From"), message_field(mail, &a, n, "To"),
		message_field(mail, &a, n, "Date"), subject);
	show_quoted(mail, &text, n, "");
	buf_add(&d->text, buf_str(&text), text.len);
	buf_free(&text);
	arena_free(&a);
}
