/*
 * command_end - what the end of a command means for the delivery
 *
 *	0			sent
 *	other exit status	output that begins with "4.2.2 text" or "5.1.1 text" decides; else
 *				<sysexits.h>; else it is bounced
 *	a signal		somebody killed it, or it broke: a later one may do better
 *	time limit		bounced
 *
 * Manuals: Postfix's pipe(8), local(8).
 */
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "base/str.h"
#include "proto/dsn_code.h"
#include "applets/deliver/command/command_impl.h"

static const struct meaning {
	int status;
	char dsn[6], text[32];
} meanings[] = {
	{ EX_USAGE, "5.3.0", "command line usage error" },
	{ EX_DATAERR, "5.6.0", "data format error" },
	{ EX_NOINPUT, "5.3.0", "cannot open input" },
	{ EX_NOUSER, "5.1.1", "user unknown" },
	{ EX_NOHOST, "5.1.2", "host name unknown" },
	{ EX_UNAVAILABLE, "5.3.0", "service unavailable" },
	{ EX_SOFTWARE, "5.3.0", "internal software error" },
	{ EX_OSERR, "4.3.0", "system resource problem" },
	{ EX_OSFILE, "5.3.0", "critical OS file missing" },
	{ EX_CANTCREAT, "5.2.0", "can't create user output file" },
	{ EX_IOERR, "5.3.0", "input/output error" },
	{ EX_TEMPFAIL, "4.3.0", "temporary failure" },
	{ EX_PROTOCOL, "5.5.0", "remote error in protocol" },
	{ EX_NOPERM, "5.7.0", "permission denied" },
	{ EX_CONFIG, "5.3.5", "local configuration error" },
};

/* clean_output - one line of printable text */
static void clean_output(struct buf *b)
{
	while (b->len > 0 && (unsigned char)b->data[b->len - 1] <= ' ') {
		buf_truncate(b, b->len - 1);
	}
	for (size_t i = 0; i < b->len; i++) {
		if ((unsigned char)b->data[i] < ' ' || b->data[i] == 0x7f) {
			b->data[i] = ' ';
		}
	}
}

/*
 * said_status - a command may say more than its exit status can: "5.2.2 over quota" at the
 * beginning of its output. True: it is in end
 */
static bool said_status(struct arena *a, const char *output, struct command_end *end)
{
	size_t len = dsn_code_length(output);
	const char *rest = output + len + strspn(output + len, " ");

	if (len == 0 || output[0] == '2' || *rest == '\0') {
		return false;
	}
	end->dsn = arena_strndup(a, output, len);
	end->text = rest;
	return true;
}

static const struct meaning *meaning_of(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		if (meanings[i].status == status) {
			return &meanings[i];
		}
	}
	return NULL;
}

/* what_it_was - dsn and text without the output */
static void what_it_was(struct arena *a, const char *shown, int status, struct command_end *end)
{
	const struct meaning *m = WIFEXITED(status) ? meaning_of(WEXITSTATUS(status)) : NULL;

	end->dsn = "5.3.0";
	if (m != NULL) {
		end->dsn = m->dsn;
		end->text = m->text;
	} else if (WIFEXITED(status)) {
		end->text = arena_printf(
			a, "Command died with status %d: \"%s\"", WEXITSTATUS(status), shown);
	} else {
		end->dsn = "4.3.0";
		end->text = arena_printf(
			a, "Command died with signal %d: \"%s\"", WTERMSIG(status), shown);
	}
}

void command_outcome(struct arena *a, const char *shown, int status, enum command_cut cut,
	struct buf *output, struct command_end *end)
{
	bool said = false;

	clean_output(output);
	*end = (struct command_end){ .dsn = "2.0.0", .text = "", .output = buf_str(output) };
	if (cut == COMMAND_UNREADABLE) {
		end->dsn = "4.3.0";
		end->text = "cannot read the message from the queue";
		said = true;
	} else if (cut == COMMAND_TIMED_OUT) {
		end->dsn = "5.3.0";
		end->text = arena_printf(a, "Command time limit exceeded: \"%s\"", shown);
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		end->status = DELIVERY_SENT;
		return;
	} else if (WIFEXITED(status) && said_status(a, end->output, end)) {
		said = true;
	} else {
		what_it_was(a, shown, status, end);
	}
	if (!said && output->len > 0) {
		end->text = arena_printf(a, "%s. Command output: %s", end->text, end->output);
	}
	end->status = end->dsn[0] == '4' ? DELIVERY_DEFERRED : DELIVERY_BOUNCED;
}
