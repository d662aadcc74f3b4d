/*
 * test_smtp_client - what an SMTP and LMTP client says to a server, and what comes of its answers
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "smtp_script.h"
#include "unit.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* Parts of scripts. */
#define G "220 mx ESMTP|"
#define E G "250 mx|"
#define P G "250-mx\n250 PIPELINING|"
#define L G "250-mx\n250-PIPELINING\n250 ENHANCEDSTATUSCODES|"
#define OK "250 ok|"
#define GO "354 go|"
/* Parts of what the client says. */
#define HI "EHLO me|MAIL FROM:<s@x>|"
#define A "RCPT TO:<a@b>|"
#define C "RCPT TO:<c@d>|"
#define F "RCPT TO:<e@f>|"
#define END "DATA|.|QUIT"
/* Parts of results. */
#define SENT "sent 2.0.0 250 2.0.0 Ok: queued as 1\n"
#define Q "250 2.0.0 Ok: queued as 1"
#define SAID "host mx[192.0.2.1] said: "
#define BY(c) " (in reply to " c " command)\n"
#define TURNED "host mx[192.0.2.1] refused to talk to me: "
#define LOST "lost connection with mx[192.0.2.1] while "
#define LATE "conversation with mx[192.0.2.1] timed out while "
#define EARLY "Protocol error: host mx[192.0.2.1] answered before the end of data"
#define DOT "sending end of data -- message may be sent more than once\n"

struct row {
	struct script script;
	const char *commands, *result;
};

static const struct row rows[] = {
	/* ---- All is well ---- */
	{ { "one by one", E OK OK GO Q "|221 bye" }, HI A END, SENT },
	{ { "in one go", P OK OK GO Q "|221 bye" }, HI A END, SENT },
	{ { "no enhanced code", E OK OK GO "250 fine" }, HI A END, "sent 2.0.0 250 fine\n" },
	{ { "several lines to the dot", E OK OK GO "250-2.6.0 one\n250 2.6.0 two" }, HI A END,
		"sent 2.6.0 250-2.6.0 one 250 2.6.0 two\n" },
	{ { "three recipients", E OK OK OK OK GO Q, 0, 3 }, HI A C F END, SENT SENT SENT },
	{ { "three in one go", P OK OK OK OK GO Q, 0, 3 }, HI A C F END, SENT SENT SENT },
	{ { "251 is a yes", E OK "251 will forward|" GO Q }, HI A END, SENT },
	{ { "no text behind codes", "220|250|250|250|354|250" }, HI A END, "sent 2.0.0 250\n" },
	{ { "other end of lines", "220 mx|250-mx\n250 SIZE 0|" OK OK GO Q },
		"EHLO me|"
		"MAIL FROM:<s@x>|" A END,
		SENT },
	{ { "banner of several lines", "220-hello\n220-no spam\n220 mx ESMTP|250 mx|" OK OK GO Q },
		HI A END, SENT },
	{ { "two on one connection", E OK OK GO Q "|" OK OK GO Q, S_TWICE },
		HI A "DATA|.|MAIL FROM:<s@x>|" A END, SENT SENT },
	{ { "answer to QUIT is waited for", E OK OK GO Q "|221 bye", S_WAIT_QUIT }, HI A END,
		SENT },
	{ { "closed at QUIT", E OK OK GO Q "|!", S_WAIT_QUIT }, HI A END, SENT },
	{ { "silence at QUIT", E OK OK GO Q "|~", S_WAIT_QUIT }, HI A END, SENT },
	/* ---- Greeting ---- */
	{ { "greeting 421", "421 busy" }, "QUIT", "failure: wait 4.0.0 " TURNED "421 busy\n" },
	{ { "greeting 450", "450 4.3.2 later" }, "QUIT",
		"failure: wait 4.3.2 " TURNED "450 4.3.2 later\n" },
	{ { "greeting 554 is this host's", "554 5.7.1 no" }, "QUIT",
		"failure: wait 4.7.1 " TURNED "554 5.7.1 no\n" },
	{ { "greeting 554 of lines", "554-one\n554 two" }, "QUIT",
		"failure: wait 4.0.0 " TURNED "554-one 554 two\n" },
	{ { "greeting 554 is final", "554 5.7.1 no", S_KEEP_5XX }, "QUIT",
		"failure: back 5.7.1 " TURNED "554 5.7.1 no\n" },
	{ { "greeting 354", "354 what" }, "QUIT", "failure: wait 4.5.0 " TURNED "354 what\n" },
	{ { "greeting is cut", "220 m!" }, "",
		"failure: wait 4.4.2 " LOST "receiving the initial server greeting\n" },
	{ { "greeting does not come", "~" }, "",
		"failure: wait 4.4.2 " LATE "receiving the initial server greeting\n" },
	{ { "greeting and more", "220 mx\n220 again|250 mx", S_AT_ONCE }, "EHLO me|QUIT",
		"failure: wait 4.5.0 Protocol error: host mx[192.0.2.1] said without being "
		"asked: 220 again\n" },
	{ { "greeting, then 421", "220 mx\n421 busy\n!", S_AT_ONCE }, "EHLO me|QUIT",
		"failure: wait 4.0.0 " TURNED "421 busy\n" },
	{ { "a line before the greeting", "hello\n220 mx ESMTP|250 mx|" OK OK GO Q }, HI A END,
		SENT },
	/* ---- EHLO, HELO ---- */
	{ { "EHLO unknown", G "502 what|250 mx|" OK OK GO Q },
		"EHLO me|HELO me|MAIL FROM:<s@x>|" A END, SENT },
	{ { "EHLO 450, HELO taken", G "450 no|250 mx|" OK OK GO Q },
		"EHLO me|HELO me|"
		"MAIL FROM:<s@x>|" A END,
		SENT },
	{ { "EHLO 421", G "421 4.3.2 down" }, "EHLO me|QUIT",
		"failure: wait 4.3.2 " TURNED "421 4.3.2 down\n" },
	{ { "both refused", G "550 5.7.0 a|550 5.7.1 b" }, "EHLO me|HELO me|QUIT",
		"failure: back 5.7.1 " TURNED "550 5.7.1 b\n" },
	{ { "both not now", G "450 a|450 4.7.1 b" }, "EHLO me|HELO me|QUIT",
		"failure: wait 4.7.1 " TURNED "450 4.7.1 b\n" },
	{ { "closed at EHLO", G "!" }, "EHLO me",
		"failure: wait 4.4.2 " LOST "performing the EHLO handshake\n" },
	{ { "EHLO's answer is cut", G "250-mx\n250-SI!" }, "EHLO me",
		"failure: wait 4.4.2 " LOST "performing the EHLO handshake\n" },
	{ { "silence at EHLO", G "~" }, "EHLO me",
		"failure: wait 4.4.2 " LATE "performing the EHLO handshake\n" },
	{ { "closed at HELO", G "502 no|!" }, "EHLO me|HELO me",
		"failure: wait 4.4.2 " LOST "performing the HELO handshake\n" },
	{ { "HELO only", E OK OK GO Q, S_HELO }, "HELO me|MAIL FROM:<s@x>|" A END, SENT },
	{ { "HELO: its lines are no extensions", G "250-mx\n250-SIZE 1\n250 PIPELINING|" OK OK GO Q,
		  S_HELO },
		"HELO me|MAIL FROM:<s@x>|" A END, SENT },
	{ { "by greeting: no ESMTP", "220 mx|250 mx|" OK OK GO Q, S_BY_GREETING },
		"HELO me|MAIL FROM:<s@x>|" A END, SENT },
	{ { "by greeting: ESMTP", E OK OK GO Q, S_BY_GREETING }, HI A END, SENT },
	{ { "PIX", "220 **0**2**|250 mx|" OK OK GO Q, S_PIX }, "HELO me|MAIL FROM:<s@x>|" A END,
		SENT },
	{ { "no PIX", G "250 mx|" OK OK GO Q, S_PIX }, HI A END, SENT },
	/* ---- Extensions ---- */
	{ { "SIZE is said", G "250-mx\n250-8BITMIME\n250 SIZE 1000|" OK OK GO Q },
		"EHLO me|MAIL FROM:<s@x> SIZE=19|" A END, SENT },
	{ { "SIZE is not said of what is encoded", G "250-mx\n250 SIZE 1000|" OK OK GO Q, S_8BIT },
		HI A END, SENT },
	{ { "SIZE is said of 7bit", G "250-mx\n250 SIZE|" OK OK GO Q, S_7BIT },
		"EHLO me|MAIL FROM:<s@x> SIZE=19|" A END, SENT },
	{ { "SIZE is said of 8-bit mail left as it is", G "250-mx\n250 SIZE|" OK OK GO Q,
		  S_8BIT | S_NO_CONVERT },
		"EHLO me|MAIL FROM:<s@x> SIZE=19|" A END, SENT },
	{ { "too large for it", G "250-mx\n250 SIZE 18|" }, "EHLO me|QUIT",
		"back 5.3.4 message size 19 exceeds size limit 18 of server mx[192.0.2.1]\n" },
	{ { "just not too large", G "250-mx\n250-8BITMIME\n250 SIZE 19|" OK OK GO Q },
		"EHLO me|MAIL FROM:<s@x> SIZE=19|" A END, SENT },
	{ { "SIZE that is no number", G "250-mx\n250-8BITMIME\n250 SIZE many|" OK OK GO Q },
		"EHLO me|MAIL FROM:<s@x> SIZE=19|" A END, SENT },
	{ { "BODY", G "250-mx\n250 8BITMIME|" OK OK GO Q, S_8BIT },
		"EHLO me|MAIL FROM:<s@x> BODY=8BITMIME|" A END, SENT },
	{ { "BODY of 7bit", G "250-mx\n250 8bitmime|" OK OK GO Q, S_7BIT },
		"EHLO me|MAIL FROM:<s@x> BODY=7BIT|" A END, SENT },
	{ { "discarded words", G "250-mx\n250-SIZE 5\n250 8BITMIME|" OK OK GO Q, S_8BIT, 0, NULL,
		  "size, 8bitMIME" },
		HI A END, SENT },
	{ { "SMTPUTF8", G "250-mx\n250-8BITMIME\n250 SMTPUTF8|" OK OK GO Q, S_UTF8 },
		"EHLO me|MAIL FROM:<s@x> SMTPUTF8|" A END, SENT },
	{ { "SMTPUTF8 alone means 8BITMIME too", G "250-mx\n250 SMTPUTF8|" OK OK GO Q,
		  S_UTF8 | S_8BIT },
		"EHLO me|MAIL FROM:<s@x> BODY=8BITMIME SMTPUTF8|" A END, SENT },
	{ { "SMTPUTF8 is needed", E, S_UTF8, 2 }, "EHLO me|QUIT",
		"back 5.6.7 SMTPUTF8 is required, but was not offered by host mx[192.0.2.1]\n"
		"back 5.6.7 SMTPUTF8 is required, but was not offered by host mx[192.0.2.1]\n" },
	{ { "DSN", G "250-mx\n250 DSN|" OK OK OK OK GO Q, S_DSN, 3 },
		"EHLO me|MAIL FROM:<s@x> ENVID=QQ+2B1+3D2 RET=HDRS|"
		"RCPT TO:<a@b> ORCPT=rfc822;Bob@b NOTIFY=SUCCESS,FAILURE,DELAY|"
		"RCPT TO:<c@d> ORCPT=rfc822;old+2Bc@d NOTIFY=NEVER|RCPT TO:<e@f> NOTIFY=NEVER|" END,
		SENT SENT SENT },
	{ { "no DSN there", E OK OK GO Q, S_DSN }, HI A END, SENT },
	{ { "CHUNKING is not used", G "250-mx\n250 CHUNKING|" OK OK GO Q }, HI A END, SENT },
	{ { "XFORWARD",
		  G "250-mx\n250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE|" OK OK OK OK GO Q,
		  S_XFORWARD },
		"EHLO me|XFORWARD NAME=client.example ADDR=192.0.2.9|"
		"XFORWARD PROTO=ESMTP HELO=he+20lo+2B IDENT=4F00 SOURCE=REMOTE|MAIL FROM:<s@x>|" A
			END,
		SENT },
	{ { "XFORWARD of some", G "250-mx\n250 XFORWARD HELO|" OK OK OK GO Q, S_XFORWARD },
		"EHLO me|XFORWARD HELO=he+20lo+2B|MAIL FROM:<s@x>|" A END, SENT },
	{ { "XFORWARD refused",
		  G "250-mx\n250-PIPELINING\n250 XFORWARD NAME HELO|550 no|550 no|" OK OK GO Q,
		  S_XFORWARD },
		"EHLO me|XFORWARD NAME=client.example|"
		"XFORWARD HELO=he+20lo+2B|MAIL FROM:<s@x>|" A END,
		SENT },
	{ { "no XFORWARD there", E OK OK GO Q, S_XFORWARD }, HI A END, SENT },
	{ { "closed at XFORWARD", G "250-mx\n250 XFORWARD NAME HELO|!", S_XFORWARD },
		"EHLO me|XFORWARD NAME=client.example",
		"failure: wait 4.4.2 " LOST "sending XFORWARD name/address\n" },
	/* ---- MAIL ---- */
	{ { "MAIL 550", E "550 5.7.1 not you|" OK, 0, 2 }, HI "RSET|QUIT",
		"back 5.7.1 " SAID "550 5.7.1 not you" BY(
			"MAIL FROM") "back 5.7.1 " SAID "550 5.7.1 not you" BY("MAIL FROM") },
	{ { "MAIL 550, in one go", P "550 no|503 no|503 no|503 no|" OK, 0, 2 },
		HI A C "DATA|RSET|QUIT",
		"back 5.0.0 " SAID "550 no" BY("MAIL FROM") "back 5.0.0 " SAID
							    "550 no" BY("MAIL FROM") },
	{ { "MAIL 550, and then DATA taken", P "550 no|" OK GO "554 nobody" }, HI A END,
		"back 5.0.0 " SAID "550 no" BY("MAIL FROM") },
	{ { "MAIL 451", E "451 4.3.0 later|" OK }, HI "RSET|QUIT",
		"wait 4.3.0 " SAID "451 4.3.0 later" BY("MAIL FROM") },
	{ { "MAIL 421 and closed", E "421 4.3.2 down|!" }, HI "RSET",
		"wait 4.3.2 " SAID "421 4.3.2 down" BY("MAIL FROM") },
	{ { "MAIL 421, RSET taken", E "421 4.3.2 down|" OK }, HI "RSET|QUIT",
		"wait 4.3.2 " SAID "421 4.3.2 down" BY("MAIL FROM") "spoiled\n" },
	{ { "MAIL 354", E "354 what|" OK }, HI "RSET|QUIT",
		"wait 4.5.0 " SAID "354 what" BY("MAIL FROM") "spoiled\n" },
	{ { "MAIL refused, then the next", E "550 no|" OK OK OK GO Q, S_TWICE },
		HI "RSET|MAIL FROM:<s@x>|" A END,
		"back 5.0.0 " SAID "550 no" BY("MAIL FROM") SENT },
	{ { "the second: 421 before anything else", E OK OK GO Q "|421 4.4.2 idle|!", S_TWICE },
		HI A "DATA|.|MAIL FROM:<s@x>",
		SENT "failure: wait 4.4.2 " SAID "421 4.4.2 idle" BY("MAIL FROM") },
	{ { "the second: dead", E OK OK GO Q "|!", S_TWICE }, HI A "DATA|.|MAIL FROM:<s@x>",
		SENT "failure: wait 4.4.2 " LOST "sending MAIL FROM\n" },
	{ { "the second: closed later", E OK OK GO Q "|" OK "!", S_TWICE },
		HI A "DATA|.|MAIL FROM:<s@x>|RCPT TO:<a@b>",
		SENT "wait 4.4.2 (site) " LOST "sending RCPT TO\nfailure: wait 4.4.2 " LOST
		     "sending RCPT TO\n" },
	{ { "RSET refused", E "550 no|502 what" }, HI "RSET|QUIT",
		"back 5.0.0 " SAID "550 no" BY("MAIL FROM") "spoiled\n" },
	{ { "silence at RSET", E "550 no|~" }, HI "RSET",
		"back 5.0.0 " SAID "550 no" BY("MAIL FROM") },
	{ { "closed at MAIL", E "!" }, HI, "failure: wait 4.4.2 " LOST "sending MAIL FROM\n" },
	{ { "silence at MAIL", E "~" }, HI, "failure: wait 4.4.2 " LATE "sending MAIL FROM\n" },
	/* ---- RCPT ---- */
	{ { "RCPT 550", E OK "550 5.1.1 nobody|" OK }, HI A "RSET|QUIT",
		"back 5.1.1 " SAID "550 5.1.1 nobody" BY("RCPT TO") },
	{ { "RCPT 450", E OK "450 4.7.1 greylisted|" OK }, HI A "RSET|QUIT",
		"wait 4.7.1 " SAID "450 4.7.1 greylisted" BY("RCPT TO") },
	{ { "one of three", E OK OK "550 5.1.1 nobody|" OK GO Q, 0, 3 }, HI A C F END,
		SENT "back 5.1.1 " SAID "550 5.1.1 nobody" BY("RCPT TO") SENT },
	{ { "one of three, in one go", P OK OK "450 later|550 no|" GO Q, 0, 3 }, HI A C F END,
		SENT "wait 4.0.0 " SAID "450 later" BY("RCPT TO") "back 5.0.0 " SAID
								  "550 no" BY("RCPT TO") },
	{ { "all refused", E OK "550 a|550 b|" OK, 0, 2 }, HI A C "RSET|QUIT",
		"back 5.0.0 " SAID "550 a" BY("RCPT TO") "back 5.0.0 " SAID "550 b" BY("RCPT TO") },
	{ { "all refused, in one go", P OK "550 a|550 b|503 no|" OK, 0, 2 },
		HI A C "DATA|RSET|QUIT",
		"back 5.0.0 " SAID "550 a" BY("RCPT TO") "back 5.0.0 " SAID "550 b" BY("RCPT TO") },
	{ { "all refused, and 354: only the dot", P OK "550 a|" GO "554 no valid recipients" },
		HI A END, "back 5.0.0 " SAID "550 a" BY("RCPT TO") },
	{ { "all refused, and the dot taken", P OK "550 a|" GO Q }, HI A END,
		"back 5.0.0 " SAID "550 a" BY("RCPT TO") },
	{ { "552 at RCPT is final, as with Postfix", E OK "552 5.2.2 full|" OK }, HI A "RSET|QUIT",
		"back 5.2.2 " SAID "552 5.2.2 full" BY("RCPT TO") },
	{ { "too many recipients", P OK OK "452 4.5.3 too many|" GO Q, 0, 2 }, HI A C END,
		SENT "wait 4.5.3 " SAID "452 4.5.3 too many" BY("RCPT TO") },
	{ { "RCPT 421, and it goes on", E OK OK "421 4.7.0 slow down|" GO Q, 0, 2 }, HI A C END,
		SENT "wait 4.7.0 " SAID "421 4.7.0 slow down" BY("RCPT TO") "spoiled\n" },
	{ { "RCPT 421, and closed", E OK OK "421 4.7.0 slow down\n!", 0, 3 }, HI A C F,
		"wait 4.4.2 (site) " LOST "sending RCPT TO\n"
		"wait 4.7.0 " SAID "421 4.7.0 slow down" BY(
			"RCPT TO") "wait 4.4.2 (site) " LOST "sending RCPT TO\n"
				   "failure: wait 4.4.2 " LOST "sending RCPT TO\n" },
	{ { "closed among recipients", E OK "550 5.1.1 a|!", 0, 3 }, HI A C,
		"back 5.1.1 " SAID
		"550 5.1.1 a" BY("RCPT TO") "wait 4.4.2 (site) " LOST "sending RCPT TO\n"
					    "wait 4.4.2 (site) " LOST
					    "sending RCPT TO\nfailure: wait 4.4.2 " LOST
					    "sending RCPT TO\n" },
	{ { "silence among recipients", P OK OK "~", 0, 2 }, HI A C "DATA",
		"wait 4.4.2 (site) " LATE "sending RCPT TO\nwait 4.4.2 (site) " LATE
		"sending RCPT TO\nfailure: wait 4.4.2 " LATE "sending RCPT TO\n" },
	{ { "RCPT 354", E OK "354 go|" OK }, HI A "RSET|QUIT",
		"wait 4.5.0 " SAID "354 go" BY("RCPT TO") "spoiled\n" },
	{ { "refusal of several lines", E OK "550-5.1.1 No such\n550 5.1.1 user|" OK },
		HI A "RSET|QUIT",
		"back 5.1.1 " SAID "550-5.1.1 No such 550 5.1.1 user" BY("RCPT TO") },
	{ { "lines with other codes: the last counts", E OK "250-fine\n550 5.1.1 no|" OK },
		HI A "RSET|QUIT", "back 5.1.1 " SAID "250-fine 550 5.1.1 no" BY("RCPT TO") },
	{ { "enhanced code of another class", E OK "550 4.1.1 what|" OK }, HI A "RSET|QUIT",
		"back 5.0.0 " SAID "550 4.1.1 what" BY("RCPT TO") },
	{ { "enhanced code that is none", E OK "550 5.1234.1 what|" OK }, HI A "RSET|QUIT",
		"back 5.0.0 " SAID "550 5.1234.1 what" BY("RCPT TO") },
	/* ---- DATA ---- */
	{ { "DATA 554", E OK OK OK "554 5.5.1 no|" OK, 0, 2 }, HI A C "DATA|RSET|QUIT",
		"back 5.5.1 " SAID "554 5.5.1 no" BY("DATA") "back 5.5.1 " SAID
							     "554 5.5.1 no" BY("DATA") },
	{ { "DATA 451", P OK OK "451 4.3.0 later|" OK }, HI A "DATA|RSET|QUIT",
		"wait 4.3.0 " SAID "451 4.3.0 later" BY("DATA") },
	{ { "DATA 421", P OK OK "421 4.3.2 down|!" }, HI A "DATA|RSET",
		"wait 4.3.2 " SAID "421 4.3.2 down" BY("DATA") },
	{ { "DATA 451 after a refused one", P OK OK "550 no|451 later|" OK, 0, 2 },
		HI A C "DATA|RSET|QUIT",
		"wait 4.0.0 " SAID "451 later" BY("DATA") "back 5.0.0 " SAID
							  "550 no" BY("RCPT TO") },
	{ { "DATA 250 is no answer", E OK OK "250 ok|" OK }, HI A "DATA|RSET|QUIT",
		"wait 4.5.0 Protocol error: " SAID "250 ok" BY("DATA") "spoiled\n" },
	{ { "closed at DATA", E OK OK "!" }, HI A "DATA",
		"wait 4.4.2 (site) " LOST "sending DATA command\nfailure: wait 4.4.2 " LOST
		"sending DATA command\n" },
	{ { "silence at DATA", P OK OK "~" }, HI A "DATA",
		"wait 4.4.2 (site) " LATE "sending DATA command\nfailure: wait 4.4.2 " LATE
		"sending DATA command\n" },
	/* ---- Content and the dot ---- */
	{ { "no content", E OK OK GO Q, S_EMPTY, 0, "" }, HI A END, SENT },
	{ { "dot 554", E OK OK OK GO "554 5.7.1 spam", 0, 2 }, HI A C END,
		"back 5.7.1 " SAID "554 5.7.1 spam" BY(
			"end of DATA") "back 5.7.1 " SAID "554 5.7.1 spam" BY("end of DATA") },
	{ { "dot 452", P OK OK GO "452 4.3.1 full" }, HI A END,
		"wait 4.3.1 " SAID "452 4.3.1 full" BY("end of DATA") },
	{ { "dot 421", P OK OK GO "421 4.3.2 down" }, HI A END,
		"wait 4.3.2 " SAID "421 4.3.2 down" BY("end of DATA") "spoiled\n" },
	{ { "dot 354", P OK OK GO "354 go on" }, HI A END,
		"wait 4.5.0 " SAID "354 go on" BY("end of DATA") "spoiled\n" },
	{ { "closed at the dot", E OK "550 no|" OK GO "!", 0, 2 }, HI A C "DATA|.",
		"back 5.0.0 " SAID "550 no" BY("RCPT TO") "wait 4.4.2 (site) " LOST DOT
							  "failure: wait 4.4.2 " LOST DOT },
	{ { "the answer to the dot is cut", E OK OK GO "250 2.0.0 Ok: que!" }, HI A "DATA|.",
		"wait 4.4.2 (site) " LOST DOT "failure: wait 4.4.2 " LOST DOT },
	{ { "silence at the dot", P OK OK GO "~" }, HI A "DATA|.",
		"wait 4.4.2 (site) " LATE DOT "failure: wait 4.4.2 " LATE DOT },
	{ { "more than one answer to the dot", E OK OK GO Q "\n250 again", S_AT_ONCE }, HI A END,
		SENT "spoiled\n" },
	{ { "refused before the dot", E OK OK "354 go\n552 5.3.4 too big\n!", S_AT_ONCE },
		HI A "DATA", "back 5.3.4 " SAID "552 5.3.4 too big" BY("end of DATA") },
	{ { "taken before the dot", P OK OK "354 go\n250 2.0.0 Ok", S_AT_ONCE }, HI A "DATA",
		"wait 4.5.0 (site) " EARLY ": 250 2.0.0 Ok\nfailure: wait 4.5.0 " EARLY
		": 250 2.0.0 Ok\n" },
	{ { "half a line before the dot", P OK OK "354 go\n250 2.0!", S_AT_ONCE }, HI A "DATA",
		"wait 4.4.2 (site) " LOST "sending message body\nfailure: wait 4.4.2 " LOST
		"sending message body\n" },
	{ { "closed while content is sent", E OK OK "354 go\n!" }, HI A "DATA",
		"wait 4.4.2 (site) " LOST "sending message body\nfailure: wait 4.4.2 " LOST
		"sending message body\n" },
	/* ---- Out of step ---- */
	{ { "two answers to MAIL", E "250 ok\n250 ok|", S_AT_ONCE }, HI "QUIT",
		"wait 4.5.0 (site) Protocol "
		"error: host mx[192.0.2.1] said without being asked: 250 ok\nfailure: wait 4.5.0 "
		"Protocol error: host mx[192.0.2.1] said without being asked: 250 ok\n" },
	{ { "two answers to the last RCPT, in one go", P OK "250 ok\n250 ok|" GO Q, S_AT_ONCE },
		HI A "DATA",
		"wait 4.5.0 Protocol error: " SAID
		"250 ok" BY("DATA") "failure: wait 4.5.0 "
				    "Protocol error: host mx[192.0.2.1] said without being asked: "
				    "354 go\n" },
	{ { "a line that is no reply", E OK "what?\n250 ok|" GO Q }, HI A END, SENT },
	{ { "a line that is no reply, in one go", P OK "what?\n250 ok|" GO Q }, HI A "DATA",
		"wait 4.5.0 (site) Protocol error: non-ESMTP response from host mx[192.0.2.1] "
		"while "
		"sending RCPT TO: what?\nfailure: wait 4.5.0 Protocol error: non-ESMTP response "
		"from "
		"host mx[192.0.2.1] while sending RCPT TO: what?\n" },
	{ { "control bytes", E OK "550 a\tb\033[2J|" OK }, HI A "RSET|QUIT",
		"back 5.0.0 " SAID "550 a?b?[2J" BY("RCPT TO") },
	/* ---- LMTP ---- */
	{ { "LMTP", L OK OK OK GO Q "\n250 2.1.5 c ok", S_LMTP, 2 },
		"LHLO me|MAIL FROM:<s@x>|" A C END, SENT "sent 2.1.5 250 2.1.5 c ok\n" },
	{ { "LMTP, each for itself", L OK OK OK OK GO "250 a\n450 4.2.2 full\n550 5.7.1 no", S_LMTP,
		  3 },
		"LHLO me|MAIL FROM:<s@x>|" A C F END,
		"sent 2.0.0 250 a\nwait 4.2.2 " SAID "450 4.2.2 full" BY(
			"end of DATA") "back 5.7.1 " SAID "550 5.7.1 no" BY("end of DATA") },
	{ { "LMTP, one refused before", L OK OK "550 5.1.1 no|" OK GO "250 a\n250 e", S_LMTP, 3 },
		"LHLO me|MAIL FROM:<s@x>|" A C F END,
		"sent 2.0.0 250 a\nback 5.1.1 " SAID
		"550 5.1.1 no" BY("RCPT TO") "sent 2.0.0 250 e\n" },
	{ { "LMTP, closed among answers", L OK OK OK GO "250 a\n25!", S_LMTP, 2 },
		"LHLO me|MAIL FROM:<s@x>|" A C "DATA|.",
		"sent 2.0.0 250 a\nwait 4.4.2 (site) " LOST DOT "failure: wait 4.4.2 " LOST DOT },
	{ { "LMTP, too few answers", L OK OK OK GO "250 a\n~", S_LMTP, 2 },
		"LHLO me|MAIL FROM:<s@x>|" A C "DATA|.",
		"sent 2.0.0 250 a\nwait 4.4.2 (site) " LATE DOT "failure: wait 4.4.2 " LATE DOT },
	{ { "LMTP, too many answers", L OK OK GO "250 a\n250 b", S_LMTP | S_AT_ONCE },
		"LHLO me|MAIL FROM:<s@x>|" A END, "sent 2.0.0 250 a\nspoiled\n" },
	{ { "LMTP has no HELO", G "500 what", S_LMTP }, "LHLO me|QUIT",
		"failure: back "
		"5.0.0 " TURNED "500 what\n" },
	{ { "LMTP closed at LHLO", G "!", S_LMTP }, "LHLO me",
		"failure: wait 4.4.2 " LOST "performing the LHLO handshake\n" },
	{ { "LMTP, nobody taken", L OK "550 no|503 5.5.1 no|" OK, S_LMTP },
		"LHLO me|MAIL FROM:<s@x>|" A "DATA|RSET|QUIT",
		"back 5.0.0 " SAID "550 no" BY("RCPT TO") },
	{ { "LMTP, one refused before the dot", L OK OK OK "354 go\n552 5.2.2 a",
		  S_LMTP | S_AT_ONCE, 2 },
		"LHLO me|MAIL FROM:<s@x>|" A C "DATA",
		"back 5.2.2 " SAID "552 5.2.2 a" BY("end of DATA") "wait 4.5.0 (site) " EARLY
								   "\nfailure: wait 4.5.0 " EARLY
								   "\n" },
	{ { "LMTP, refused before the dot", L OK OK OK "354 go\n552 5.2.2 a\n!", S_LMTP | S_AT_ONCE,
		  2 },
		"LHLO me|MAIL FROM:<s@x>|" A C "DATA",
		"back 5.2.2 " SAID
		"552 5.2.2 a" BY("end of DATA") "wait 4.4.2 (site) " LOST
						"sending message body\nfailure: wait 4.4.2 " LOST
						"sending message body\n" },
	/* ---- STARTTLS ---- */
	{ { "STARTTLS", G "250-mx\n250 STARTTLS|220 go|250-mx\n250-STARTTLS\n250 DSN|" OK OK GO Q,
		  S_TLS },
		"EHLO me|STARTTLS|EHLO me|MAIL FROM:<s@x>|" A END, SENT },
	{ { "extensions before it are forgotten",
		  G "250-mx\n250-SIZE 1\n250 STARTTLS|220 go|250 mx|" OK OK GO Q, S_TLS_MUST },
		"EHLO me|STARTTLS|EHLO me|MAIL FROM:<s@x>|" A END, SENT },
	{ { "not offered, not needed", E OK OK GO Q, S_TLS }, HI A END, SENT },
	{ { "not offered, needed", E, S_TLS_MUST }, "EHLO me|QUIT",
		"failure: wait 4.7.4 TLS "
		"is required, but was not offered by host mx[192.0.2.1]\n" },
	{ { "refused, not needed", G "250-mx\n250 STARTTLS|454 4.7.0 no|" OK OK GO Q, S_TLS },
		"EHLO me|STARTTLS|MAIL FROM:<s@x>|" A END, SENT },
	{ { "refused, needed", G "250-mx\n250 STARTTLS|454 4.7.0 no|", S_TLS_MUST },
		"EHLO me|STARTTLS|QUIT",
		"failure: wait 4.7.0 TLS is required, but host "
		"mx[192.0.2.1] refused to start TLS: 454 4.7.0 no\n" },
	{ { "discarded STARTTLS, needed", G "250-mx\n250 STARTTLS|", S_TLS_MUST, 0, NULL,
		  "starttls" },
		"EHLO me|QUIT",
		"failure: wait 4.7.4 TLS is required, but was "
		"not offered by host mx[192.0.2.1]\n" },
	{ { "handshake fails", G "250-mx\n250 STARTTLS|220 go|", S_TLS | S_TLS_BAD },
		"EHLO me|STARTTLS",
		"failure: wait 4.7.5 Cannot start TLS: handshake "
		"failure\n" },
	{ { "clear text behind STARTTLS's answer", G "250-mx\n250 STARTTLS|220 go\n250 inject|",
		  S_TLS | S_AT_ONCE },
		"EHLO me|STARTTLS|QUIT",
		"failure: wait 4.5.0 Protocol error: host "
		"mx[192.0.2.1] said without being asked: 250 inject\n" },
	{ { "closed at STARTTLS", G "250-mx\n250 STARTTLS|!", S_TLS }, "EHLO me|STARTTLS",
		"failure: wait 4.4.2 " LOST "receiving the STARTTLS response\n" },
	{ { "TLS first: no STARTTLS", G "250-mx\n250 STARTTLS|" OK OK GO Q, S_TLS | S_WRAPPED },
		HI A END, SENT },
	/* ---- AUTH ---- */
	{ { "AUTH PLAIN", G "250-mx\n250 AUTH PLAIN LOGIN|235 2.7.0 yes|" OK OK GO Q, S_AUTH },
		"EHLO me|AUTH PLAIN AG1lAHBhc3M=|MAIL FROM:<s@x>|" A END, SENT },
	{ { "AUTH LOGIN",
		  G "250-mx\n250 AUTH=LOGIN|334 VXNlcm5hbWU6|334 UGFzc3dvcmQ6|235 yes|" OK OK GO Q,
		  S_AUTH },
		"EHLO me|AUTH LOGIN|bWU=|cGFzcw==|MAIL FROM:<s@x>|" A END, SENT },
	{ { "AUTH CRAM-MD5 before PLAIN",
		  G "250-mx\n250-AUTH PLAIN\n250 AUTH CRAM-MD5|334 PDFAbXg+|"
		    "235 yes|" OK OK GO Q,
		  S_AUTH },
		"EHLO me|AUTH CRAM-MD5|"
		"bWUgYzczNTYwM2IzNWUxOGIwOWQ4MWFiZWI5YTYwY2FlMmM=|MAIL FROM:<s@x>|" A END,
		SENT },
	{ { "wrong password waits", G "250-mx\n250 AUTH PLAIN|535 5.7.8 wrong|", S_AUTH },
		"EHLO me|AUTH PLAIN AG1lAHBhc3M=|QUIT",
		"failure: wait 4.7.8 SASL "
		"authentication failed; server mx[192.0.2.1] said: 535 5.7.8 wrong\n" },
	{ { "AUTH not now", G "250-mx\n250 AUTH PLAIN|454 4.7.0 later|", S_AUTH },
		"EHLO me|AUTH PLAIN AG1lAHBhc3M=|QUIT",
		"failure: wait 4.7.0 SASL "
		"authentication failed; server mx[192.0.2.1] said: 454 4.7.0 later\n" },
	{ { "no mechanism", G "250-mx\n250 AUTH GSSAPI|", S_AUTH }, "EHLO me|QUIT",
		"failure: "
		"wait 4.7.0 SASL authentication failed: server mx[192.0.2.1] offered no compatible "
		"authentication mechanisms for this type of connection security\n" },
	{ { "no AUTH at all", E, S_AUTH }, "EHLO me|QUIT",
		"failure: wait 4.7.0 SASL "
		"authentication failed: server mx[192.0.2.1] offered no compatible authentication "
		"mechanisms for this type of connection security\n" },
	{ { "challenge that is not base64", G "250-mx\n250 AUTH CRAM-MD5|334 *?*|501 cancelled|",
		  S_AUTH },
		"EHLO me|AUTH CRAM-MD5|*|QUIT",
		"failure: wait 4.7.0 SASL "
		"authentication failed; cannot authenticate to server mx[192.0.2.1]: the challenge "
		"is "
		"not base64\n" },
	{ { "challenge after PLAIN", G "250-mx\n250 AUTH PLAIN|334 bW9yZQ==|501 cancelled|",
		  S_AUTH },
		"EHLO me|AUTH PLAIN AG1lAHBhc3M=|*|QUIT",
		"failure: wait 4.7.0 SASL "
		"authentication failed; cannot authenticate to server mx[192.0.2.1]: the server "
		"goes "
		"on after the response\n" },
	{ { "SCRAM without the server's word", G "250-mx\n250 AUTH SCRAM-SHA-256|235 yes|",
		  S_AUTH },
		NULL,
		"failure: wait 4.7.0 SASL authentication failed; cannot authenticate to "
		"server mx[192.0.2.1]: the server has not proven that it knows the password\n" },
	{ { "closed at AUTH", G "250-mx\n250 AUTH PLAIN|!", S_AUTH },
		"EHLO me|AUTH PLAIN AG1lAHBhc3M=",
		"failure: wait 4.4.2 " LOST "performing the EHLO handshake\n" },
	{ { "TLS, then AUTH of the new list",
		  G "250-mx\n250-AUTH PLAIN\n250 STARTTLS|220 go|250-mx\n"
		    "250 AUTH LOGIN|334 |334 |235 yes|" OK OK GO Q,
		  S_AUTH | S_TLS_MUST },
		"EHLO me|STARTTLS|EHLO me|AUTH LOGIN|bWU=|cGFzcw==|MAIL FROM:<s@x>|" A END, SENT },
	/* ---- Asking only ---- */
	{ { "RCPT is asked", P OK OK "550 no|" OK, S_ASK_RCPT, 2 }, HI A C "RSET|QUIT",
		"sent 2.0.0 250 ok\nback 5.0.0 " SAID "550 no" BY("RCPT TO") },
	{ { "DATA is asked", E OK OK GO, S_ASK_DATA }, HI A "DATA", "sent 2.0.0 354 go\n" },
	{ { "DATA is asked and refused", E OK OK "554 no|" OK, S_ASK_DATA }, HI A "DATA|RSET|QUIT",
		"back 5.0.0 " SAID "554 no" BY("DATA") },
};

/* differs - run a row once; true: something is not as it should be (and was said) */
static bool differs(const struct row *row, int split, size_t piece)
{
	struct script_result r;
	char name[160];
	bool bad;
	size_t len = row->commands != NULL ? strlen(row->commands) : 0;

	script_run(&row->script, split, piece, &r);
	/* What the client says, or says and then waits for. */
	len -= len > 0 && row->commands[len - 1] == '|' ? 1 : 0;
	bad = !r.ended || strcmp(buf_str(&r.result), row->result) != 0 ||
		(row->commands != NULL &&
			(strlen(buf_str(&r.commands)) != len ||
				memcmp(buf_str(&r.commands), row->commands, len) != 0));
	if (bad) {
		(void)snprintf(name, sizeof(name), "%s, cut at %d", row->script.name, split);
		CHECK_ROW(name);
		CHECK(r.ended);
		CHECK_STR(buf_str(&r.result), row->result);
		CHECK_STR(buf_str(&r.commands), row->commands);
	}
	script_free(&r);
	return bad;
}

/* put_rows - for tests/flow/smtp_client_oracle, which asks Debian's Postfix the same */
static void put_rows(const char *path)
{
	FILE *file = fopen(path, "w");

	REQUIRE(file != NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct script *s = &rows[i].script;

		(void)fprintf(file, "%s\037%s\037%u\037%u\037%s\037%s\037%s\036", s->name,
			s->server, s->flags, s->recipients, s->discard != NULL ? s->discard : "",
			rows[i].commands != NULL ? rows[i].commands : "", rows[i].result);
	}
	CHECK(fclose(file) == 0);
}

/* every row with its input whole, byte by byte, and cut at every byte */
TEST(smtp_client, dialogs_at_every_split)
{
	if (getenv("SMTP_CLIENT_ROWS") != NULL) {
		put_rows(getenv("SMTP_CLIENT_ROWS"));
	}
	CHECK(ARRAY_LEN(rows) >= 120);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct script_result r;
		bool bad = differs(&rows[i], SCRIPT_WHOLE, 0);
		bool once = (rows[i].script.flags & S_AT_ONCE) != 0;

		script_run(&rows[i].script, SCRIPT_WHOLE, 0, &r);
		for (int split = 0; !bad && split < (int)r.server_bytes && !once; split++) {
			bad = differs(&rows[i], split, 1 + (size_t)split % 7);
		}
		(void)(bad || once || differs(&rows[i], -2, 1) || differs(&rows[i], -3, 5));
		script_free(&r);
	}
}
