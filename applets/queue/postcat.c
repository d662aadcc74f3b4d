/*
 * postcat - show what is in the queue: envelope, headers, body
 *
 *	postcat -q ID	a message of the queue; a bare ID does as well
 *	-e -h -b	envelope records, header, body; all three when none is given
 *	-d		the number of each record's type	-o	its offset
 *	-r, -s N	accepted: records are in file order; skip those before offset N
 *
 * Records have the names and the order they have in a queue file of Postfix, and
 * the offsets they would have there, because people and programs know them. Root
 * and the owner of the queue may read it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue.h"
#include "queue/queue_read.h"
#include "applets/daemon/process.h"
#include "applets/applets.h"

enum {
	SHOW_ENVELOPE = 1,
	SHOW_HEADER = 2,
	SHOW_BODY = 4,
	READ_SIZE = 65536,
	RCPTS_AT_ONCE = 200,
	LINE_RECORD_MAX = 2048
};

struct cat {
	unsigned show;
	bool types, offsets, by_id;
	int64_t skip;      /* -s */
	const char *token; /* the message as named by the caller */
	int64_t at;        /* offset of the next record */
	bool in_header;
	struct buf line; /* of the content, not yet whole */
};

static _Noreturn void usage(void)
{
	log_fatal("usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e "
		  "(envelope records)] "
		  "[-h (header text)] [-o (offsets)] [-q (access queue)] [-v] [queue id(s)...]");
}

/* head - what stands before a record; false: it is not to be shown. len: bytes of its data in a
 * queue file */
static bool head(struct cat *c, char type, size_t len, unsigned what)
{
	int64_t at = c->at;

	c->at += 1 + (len < 128 ? 1 : len < 16384 ? 2 : 3) + (int64_t)len;
	if ((c->show & what) == 0 || at < c->skip) {
		return false;
	}
	if (c->offsets) {
		printf("%9lld ", (long long)at);
	}
	if (c->types) {
		printf("%3d ", type);
	}
	return true;
}

/* record - NAME: text */
static void record(struct cat *c, char type, const char *name, const char *text)
{
	if (head(c, type, strlen(text), SHOW_ENVELOPE)) {
		printf("%s: %s\n", name, text);
	}
}

static void attribute(struct cat *c, const char *name, const char *value)
{
	if (*value == '\0') {
		return;
	}
	if (head(c, 'A', strlen(name) + strlen(value) + 1, SHOW_ENVELOPE)) {
		printf("named_attribute: %s=%s\n", name, value);
	}
}

static void time_record(struct cat *c, char type, const char *name, size_t len, int64_t us)
{
	time_t when = (time_t)(us / 1000000);
	char text[64];
	struct tm tm;

	if (localtime_r(&when, &tm) == NULL ||
		strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm) == 0) {
		snprintf(text, sizeof(text), "-");
	}
	if (head(c, type, len, SHOW_ENVELOPE)) {
		printf("%s: %s\n", name, text);
	}
}

/* marker - *** MESSAGE CONTENTS 5CFBB21DB *** */
static void marker(struct cat *c, char type, size_t len, const char *what)
{
	if (head(c, type, len, SHOW_ENVELOPE)) {
		printf("*** %s %s ***\n", what, c->token);
	}
}

/* ---- Parts ---- */

static void number_attribute(struct cat *c, const char *name, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	attribute(c, name, value != 0 ? text : "");
}

static void show_client(struct cat *c, const struct queue_envelope *env)
{
	attribute(c, "log_client_name", env->client_name);
	attribute(c, "log_client_address", env->client_addr);
	attribute(c, "log_helo_name", env->helo);
	attribute(c, "log_protocol_name", env->proto);
	attribute(c, "client_name", env->client_name);
	attribute(c, "client_address", env->client_addr);
	attribute(c, "helo_name", env->helo);
	attribute(c, "protocol_name", env->proto);
	attribute(c, "sasl_username", env->sasl_user);
	attribute(c, "envelope_id", env->envid);
	number_attribute(c, "ret_flags",
		env->flags & QUEUE_F_RET_FULL           ? 1
			: env->flags & QUEUE_F_RET_HDRS ? 2
							: 0);
	attribute(c, "encoding", env->flags & QUEUE_F_8BIT ? "8bit" : "");
}

static void show_recipient(struct cat *c, const struct queue_recipient *r)
{
	attribute(c, "dsn_orig_rcpt", r->orcpt);
	number_attribute(c, "notify_flags", r->notify);
	/* The queue has it only where it is another. */
	record(c, 'O', "original_recipient", *r->original != '\0' ? r->original : r->address);
	record(c, r->done ? 'D' : 'R', r->done ? "done_recipient" : "recipient", r->address);
}

static void show_recipients(struct cat *c, struct queue *q, queue_id id)
{
	struct queue_recipient r[RCPTS_AT_ONCE];
	struct arena a = ARENA_INIT;
	int64_t from = 0;
	int count;

	do {
		count = queue_recipients(q, id, from, false, &a, r, RCPTS_AT_ONCE);
		if (count < 0) {
			log_fatal("%s", queue_error(q));
		}
		for (int i = 0; i < count; i++) {
			show_recipient(c, &r[i]);
			from = r[i].n + 1;
		}
		arena_reset(&a);
	} while (count == RCPTS_AT_ONCE);
	arena_free(&a);
}

static void show_envelope(struct cat *c, struct queue *q, const struct queue_envelope *env)
{
	int64_t count = queue_count_recipients(q, env->id, NULL);
	char text[128], id[QUEUE_ID_TEXT];

	if (c->show & SHOW_ENVELOPE) {
		printf("*** ENVELOPE RECORDS %s ***\n", c->token);
	}
	queue_id_text(env->id, id);
	/* size, offset of the content, recipients, flags, size again, SMTPUTF8 */
	snprintf(text, sizeof(text), "%15lld %15d %15lld %15d %15lld %15d", (long long)env->size, 0,
		(long long)count, 0, (long long)env->size, env->flags & QUEUE_F_SMTPUTF8 ? 1 : 0);
	record(c, 'C', "message_size", text);
	time_record(c, 'T', "message_arrival_time", 17, env->arrival);
	time_record(c, 'A', "create_time", 22, env->arrival);
	attribute(c, "log_ident", id);
	attribute(c, "rewrite_context", env->flags & QUEUE_F_LOCAL ? "local" : "remote");
	if (*env->full_name != '\0') {
		record(c, 'F', "sender_fullname", env->full_name);
	}
	record(c, 'S', "sender", env->sender);
	show_client(c, env);
	show_recipients(c, q, env->id);
}

/* show_line - one line of the content, without its end */
static void show_line(struct cat *c, const char *line, size_t len)
{
	/* The blank line belongs to the body. */
	if (c->in_header && len == 0) {
		c->in_header = false;
	}
	if (head(c, 'N', len < LINE_RECORD_MAX ? len : LINE_RECORD_MAX,
		    c->in_header ? SHOW_HEADER : SHOW_BODY)) {
		fwrite(line, 1, len, stdout);
		putchar('\n');
	}
}

static void show_piece(struct cat *c, const char *data, size_t len)
{
	const char *end;

	while ((end = memchr(data, '\n', len)) != NULL) {
		buf_add(&c->line, data, (size_t)(end - data));
		show_line(c, buf_str(&c->line), c->line.len);
		buf_reset(&c->line);
		len -= (size_t)(end - data) + 1;
		data = end + 1;
	}
	buf_add(&c->line, data, len);
}

static void show_content(struct cat *c, struct queue *q, queue_id id)
{
	char *data = mem_alloc(READ_SIZE);
	int64_t at = 0, n;

	c->in_header = true;
	while ((n = queue_read(q, id, at, data, READ_SIZE)) > 0) {
		show_piece(c, data, (size_t)n);
		at += n;
	}
	if (n < 0) {
		log_fatal("%s", queue_error(q));
	}
	if (c->line.len > 0) {
		show_line(c, buf_str(&c->line), c->line.len);
	}
	buf_free(&c->line);
	mem_free(data);
}

/* show_message - all of it; false: there is none of this id */
static bool show_message(struct cat *c, struct queue *q, queue_id id)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	int rc = queue_get(q, id, &a, &env);

	if (rc < 0) {
		log_fatal("%s", queue_error(q));
	}
	if (rc > 0) {
		c->at = 0;
		show_envelope(c, q, &env);
		marker(c, 'M', 15, "MESSAGE CONTENTS");
		show_content(c, q, id);
		marker(c, 'X', 0, "HEADER EXTRACTED");
		marker(c, 'E', 0, "MESSAGE FILE END");
	}
	arena_free(&a);
	return rc > 0;
}

/* ---- Arguments ---- */

/* show_other - no message of the queue: a file of this name is none of ours */
static int show_other(const struct cat *c)
{
	if (c->by_id) {
		log_fatal("open queue file %s: No such file or directory", c->token);
	}
	if (access(c->token, R_OK) != 0) {
		log_fatal("open %s: %m", c->token);
	}
	log_warn("%s: input is not a valid queue file", c->token);
	return 1;
}

static int show_all(struct cat *c, char **tokens)
{
	char *error = NULL;
	struct queue *q;
	int status = 0;
	queue_id id;

	service_drop_privileges(PROCESS_QUEUE, NULL);
	q = queue_open_below(param.queue_directory, QUEUE_READ, &error);
	/* A queue that nobody has put a message into yet: no message is there. */
	if (q == NULL && errno != ENOENT) {
		log_fatal("%s", error);
	}
	for (; *tokens != NULL; tokens++) {
		c->token = *tokens;
		if (!queue_id_parse(c->token, &id)) {
			if (c->by_id) {
				log_fatal("bad mail queue ID: %s", c->token);
			}
			status |= show_other(c);
		} else if (q == NULL || !show_message(c, q, id)) {
			status |= show_other(c);
		}
	}
	queue_close(q);
	if (fflush(stdout) != 0) {
		log_fatal("write error: %m");
	}
	return status;
}

int postcat_main(int argc, char **argv)
{
	struct cat c = { 0 };
	const char *dir = NULL;
	char *error = NULL;
	int opt, verbose = 0;

	log_open("postcat", LOG_TO_STDERR);
	while ((opt = getopt(argc, argv, "bc:defhoqrs:v")) != -1) {
		switch (opt) {
		case 'b':
			c.show |= SHOW_BODY;
			break;
		case 'c':
			dir = optarg;
			break;
		case 'd':
			c.types = true;
			break;
		case 'e':
			c.show |= SHOW_ENVELOPE;
			break;
		case 'f':
		case 'r':
			break;
		case 'h':
			c.show |= SHOW_HEADER;
			break;
		case 'o':
			c.offsets = true;
			break;
		case 'q':
			c.by_id = true;
			break;
		case 's':
			if (!str_to_int(optarg, 0, INT64_MAX, &c.skip)) {
				log_fatal("bad offset: %s", optarg);
			}
			break;
		case 'v':
			log_set_verbose(++verbose);
			break;
		default:
			usage();
		}
	}
	if (c.show == 0) {
		c.show = SHOW_ENVELOPE | SHOW_HEADER | SHOW_BODY;
	}
	if (optind == argc) {
		usage();
	}
	if (conf_load(conf_dir(dir), false, &error) != 0) {
		log_fatal("%s", error);
	}
	return show_all(&c, argv + optind);
}
