/*
 * test_restrict - restriction lists run: what each answers, in which order, what is warned of, and
 * a table that has yet to answer
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"
#include "map/map_wait.h"
#include "route/resolve.h"
#include "policy/restrict.h"
#include "conf_util.h"
#include "unit.h"

static struct {
	struct restrict_set *set;
	struct arena arena;
	struct restrict_run run;
	struct restrict_query query;
	char logged[1000]; /* "what text|" of each */
	bool all_end;      /* restrict_end() after the list */
} S;

static void on_log(void *arg, const char *what, const char *text)
{
	size_t len = strlen(S.logged);

	(void)arg;
	snprintf(S.logged + len, sizeof(S.logged) - len, "%s %s|", what, text);
}

/* begin - somebody from elsewhere, who has said all up to RCPT */
static void begin(const char *lines)
{
	char *error = NULL;

	log_open("unit", LOG_TO_FILE);
	conf_util_load(lines);
	route_init();
	memset(&S, 0, sizeof(S));
	S.set = restrict_set_new(&error);
	if (S.set == NULL) {
		printf("%s\n", error);
		unit_abort();
	}
	S.query = (struct restrict_query){
		.client_name = "client.example",
		.client_addr = "192.0.2.9",
		.local_addr = "192.0.2.1",
		.helo = "helo.example",
		.sender = "s@from.example",
		.sender_full = "s@from.example",
		.recipient = "u@far.example",
		.recipient_full = "u@far.example",
		.recipient_count = 1,
		.log = on_log,
	};
	restrict_begin(&S.run, S.set, &S.query, &S.arena);
}

static void finish(void)
{
	restrict_set_free(S.set);
	arena_free(&S.arena);
}

static const char *answer(enum restrict_verdict verdict)
{
	switch (verdict) {
	case RESTRICT_DUNNO:
		return "dunno";
	case RESTRICT_OK:
		return "ok";
	case RESTRICT_PENDING:
		return "pending";
	case RESTRICT_REJECT:
		break;
	}
	return S.run.reply;
}

#define DENIED "554 5.7.1 <u@far.example>: Recipient address rejected: Access denied"
#define CONFIG "451 4.3.5 Server configuration error"

static const struct row {
	const char *list, *want; /* of smtpd_recipient_restrictions */
	const char *more;        /* further lines */
	const char *logged;
} rows[] = {
	{ "", "dunno", NULL, NULL },
	{ "permit", "ok", NULL, NULL },
	{ "reject", DENIED, NULL, NULL },
	{ "permit, reject", "ok", NULL, NULL },
	{ "reject permit", DENIED, NULL, NULL },
	{ "PERMIT", "ok", NULL, NULL },
	{ "reject_unauth_destination, permit", "554 5.7.1 <u@far.example>: Relay access denied",
		NULL, NULL },
	{ "reject_unauth_destination, permit", "ok", "relay_domains = far.example", NULL },
	{ "permit_mynetworks, reject", DENIED, "mynetworks = 192.0.2.8", NULL },
	{ "permit_mynetworks, reject", "ok", "mynetworks = 192.0.2.8/31", NULL },
	{ "permit_sasl_authenticated, reject", DENIED, NULL, NULL },
	/* What is not known is never passed over. */
	{ "permitt, permit", CONFIG, NULL, NULL },
	{ "check_recipient_access", CONFIG, NULL, NULL },
	{ "check_recipient_access nothing, permit", CONFIG, NULL, NULL },
	{ "check_recipient_access fail:x, permit",
		"451 4.3.5 <u@far.example>: Recipient address rejected: Server configuration error",
		NULL, NULL },
	{ "permit, permitt", "ok", NULL, NULL },
	/* warn_if_reject is of the next one only. */
	{ "warn_if_reject reject, permit", "ok", NULL, "reject_warning " DENIED "|" },
	{ "warn_if_reject reject, reject", DENIED, NULL, "reject_warning " DENIED "|" },
	{ "warn_if_reject permit, reject", "ok", NULL, NULL },
	{ "reject, warn_if_reject", DENIED, NULL, NULL },
	{ "warn_if_reject", "dunno", NULL, NULL },
	/* Tables: the old form, the first that decides, lists as results. */
	{ "inline:{u@far.example=REJECT}", DENIED, NULL, NULL },
	{ "inline:{far.example=OK}, reject", "ok", NULL, NULL },
	{ "inline:{near.example=OK}, reject", DENIED, NULL, NULL },
	{ "inline:{far.example=DUNNO}, permit", "ok", NULL, NULL },
	{ "check_sender_access inline:{from.example=OK}, reject", "ok", NULL, NULL },
	{ "check_client_access inline:{192.0.2=REJECT}",
		"554 5.7.1 <client.example[192.0.2.9]>: Client host rejected: Access denied", NULL,
		NULL },
	{ "check_helo_access inline:{{helo.example=450 later}}",
		"450 4.7.1 <helo.example>: Helo command rejected: later", NULL, NULL },
	{ "inline:{far.example=permit}, reject", "ok", NULL, NULL },
	{ "inline:{{far.example=permit_mynetworks, reject}}", DENIED, NULL, NULL },
	/* Classes. */
	{ "c, reject", "ok", "smtpd_restriction_classes = c\nc = permit", NULL },
	{ "c, reject", DENIED, "smtpd_restriction_classes = c\nc = permit_mynetworks", NULL },
	{ "c, permit", DENIED, "smtpd_restriction_classes = c d\nc = d\nd = reject", NULL },
	{ "c, permit", CONFIG, "smtpd_restriction_classes = c\nc = c", NULL },
	{ "c, permit", CONFIG, "smtpd_restriction_classes = c", NULL },
	{ "inline:{far.example=c}, permit", DENIED, "smtpd_restriction_classes = c\nc = reject",
		NULL },
};

TEST(restrict, each_list)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char lines[1000];

		CHECK_ROW(rows[i].list);
		snprintf(lines, sizeof(lines), "smtpd_recipient_restrictions = %s\n%s\n",
			rows[i].list, rows[i].more != NULL ? rows[i].more : "");
		begin(lines);
		CHECK_STR(answer(restrict_run(&S.run, RESTRICT_RECIPIENT)), rows[i].want);
		CHECK_STR(S.logged, rows[i].logged != NULL ? rows[i].logged : "");
		finish();
	}
	CHECK_ROW(NULL);
}

/* One list permits, the next is run all the same; each names what it is about. */
TEST(restrict, list_after_list)
{
	begin("smtpd_client_restrictions = permit\nsmtpd_helo_restrictions = reject\n"
	      "smtpd_sender_restrictions = reject\nsmtpd_data_restrictions = reject\n"
	      "smtpd_end_of_data_restrictions = reject\nsmtpd_etrn_restrictions = reject\n");
	S.query.etrn = "site.example";
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_CLIENT)), "ok");
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_HELO)),
		"554 5.7.1 <helo.example>: Helo command rejected: Access denied");
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_SENDER)),
		"554 5.7.1 <s@from.example>: Sender address rejected: Access denied");
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_DATA)),
		"554 5.7.1 <DATA>: Data command rejected: Access denied");
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_END_OF_DATA)),
		"554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied");
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_ETRN)),
		"554 5.7.1 <site.example>: Etrn command rejected: Access denied");
	finish();
}

/* DEFER_IF_PERMIT counts at the end, also after a permit; a rejection goes before it. */
TEST(restrict, deferred_verdicts)
{
	begin("smtpd_recipient_restrictions = check_recipient_access "
	      "inline:{{far.example=DEFER_IF_PERMIT not now}}, permit\n"
	      "smtpd_reject_unlisted_recipient = no\n");
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_RECIPIENT)), "ok");
	CHECK_STR(answer(restrict_end(&S.run, true)),
		"450 4.7.1 <u@far.example>: Recipient address rejected: not now");
	finish();
	begin("smtpd_recipient_restrictions = check_recipient_access "
	      "inline:{{far.example=DEFER_IF_PERMIT not now}}, reject\n");
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_RECIPIENT)), DENIED);
	finish();
	begin("smtpd_recipient_restrictions = check_recipient_access "
	      "inline:{{far.example=DEFER_IF_REJECT not now}}, reject\n");
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_RECIPIENT)),
		"450 4.7.1 <u@far.example>: Recipient address rejected: not now");
	finish();
}

/* What nobody gets is not looked at further. */
TEST(restrict, discarded)
{
	begin("smtpd_sender_restrictions = check_sender_access inline:{from.example=DISCARD}, "
	      "reject\n"
	      "smtpd_recipient_restrictions = reject\n");
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_SENDER)), "ok");
	CHECK(S.run.discard);
	CHECK_STR(answer(restrict_run(&S.run, RESTRICT_RECIPIENT)), "ok");
	finish();
}

/* ---- A table that has yet to answer ---- */

static int count_prepended(void)
{
	int count = 0;

	for (const struct restrict_header *h = S.run.prepend; h != NULL; h = h->next) {
		count++;
	}
	return count;
}

static void on_answers(void *arg)
{
	++*(int *)arg;
}

/* run_waiting - the list, as smtpd does it */
static const char *run_waiting(struct map_wait *w)
{
	enum restrict_verdict verdict;

	map_wait_enter(w);
	verdict = restrict_run(&S.run, RESTRICT_RECIPIENT);
	CHECK_INT(map_wait_leave(w), verdict == RESTRICT_PENDING);
	return answer(verdict);
}

TEST(restrict, pending)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer, called = 0;
	struct loop *loop = loop_new();
	char lines[1000], request[300];
	struct map_wait w;
	ssize_t n;

	REQUIRE(bind(fd, (struct sockaddr *)&at, size) == 0 && listen(fd, 5) == 0 &&
		getsockname(fd, (struct sockaddr *)&at, &size) == 0);
	snprintf(lines, sizeof(lines),
		"smtpd_restriction_classes = c\n"
		"c = inline:{{far.example=PREPEND X: y}}, warn_if_reject reject,\n"
		" warn_if_reject check_recipient_access tcp:127.0.0.1:%d,\n"
		" check_sender_access inline:{{from.example=WARN behind}}\n"
		"smtpd_recipient_restrictions = c, permit\n",
		ntohs(at.sin_port));
	begin(lines);
	map_wait_init(&w, loop, on_answers, &called);
	/* It stays where it is, and what has been is not done again. */
	for (int i = 0; i < 3; i++) {
		CHECK_STR(run_waiting(&w), "pending");
		CHECK_STR(S.logged, "reject_warning " DENIED "|");
		CHECK_INT(count_prepended(), 1);
	}
	for (int i = 0; i < 5; i++) {
		loop_turn(loop, 2);
	}
	peer = accept(fd, NULL, NULL);
	REQUIRE(peer >= 0);
	n = read(peer, request, sizeof(request) - 1);
	REQUIRE(n > 0);
	request[n] = '\0';
	CHECK_STR(request, "get u@far.example\n");
	REQUIRE(write(peer, "200 REJECT%20no\n", 16) == 16);
	for (int i = 0; i < 100 && called == 0; i++) {
		loop_turn(loop, 10);
	}
	CHECK_INT(called, 1);
	CHECK_STR(run_waiting(&w), "ok");
	CHECK(strstr(S.logged,
		      "|reject_warning 554 5.7.1 <u@far.example>: Recipient address "
		      "rejected: no|") != NULL);
	CHECK(strstr(S.logged, "behind") != NULL);
	CHECK_INT(count_prepended(), 1);
	map_wait_end(&w);
	finish();
	close(peer);
	close(fd);
	loop_free(loop);
}
