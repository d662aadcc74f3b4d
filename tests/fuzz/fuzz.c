/*
 * fuzz - the common part of the fuzz targets
 */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/unixsock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { OUTPUT_MAX = 1 << 20 };

_Noreturn void fuzz_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_open("fuzz", LOG_TO_FILE);	/* without a file: warnings go nowhere */
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	fuzz((const char *)data, len);
	return 0;
}

static char path[64];

static void remove_file(void)
{
	unlink(path);
}

const char *fuzz_file(const char *data, size_t len)
{
	int fd;

	if (path[0] == '\0') {
		snprintf(path, sizeof(path), "%s/pillarbox-fuzz.%d",
			access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
		atexit(remove_file);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	REQUIRE(fd >= 0 && fd_write_all(fd, data, len) == 0);
	close(fd);
	return path;
}

static void note_resume(struct session_io *io)
{
	*(int *)io->driver += 1;
}

/* step - feed until the session wants more input; false: it has ended */
static bool step(const struct session_class *class, void *session, struct buf *in, struct buf *out,
	int *resumed)
{
	for (int turns = 0; turns < 100000; turns++) {
		size_t before = buf_unread(in);
		enum session_want want = class->feed(session, in, out);

		if (out->len > OUTPUT_MAX) {
			buf_reset(out);
			want = class->event(session, SESSION_EV_DRAINED, out);
		}
		if (want == SESSION_WAIT && *resumed == 0) {
			return false;	/* nothing here will ever answer */
		}
		*resumed = 0;
		if (want == SESSION_CLOSE || want == SESSION_TLS || want == SESSION_HANDOFF) {
			return false;
		}
		if (buf_unread(in) == 0 || buf_unread(in) == before) {
			return true;
		}
	}
	fuzz_failed(__FILE__, __LINE__, "the session makes progress");
}

void fuzz_session(const struct session_class *class, void *service, const char *data, size_t len)
{
	struct buf in = BUF_INIT, out = BUF_INIT;
	int resumed = 0;
	struct session_io io = { .timeout = 300,
		.out_high = 65536,
		.resume = note_resume,
		.driver = &resumed,
		.tls_version = "",
		.tls_cipher = "",
		.error = "" };
	void *session;

	snprintf(io.peer.addr, sizeof(io.peer.addr), "127.0.0.1");
	snprintf(io.peer.host, sizeof(io.peer.host), "localhost");
	snprintf(io.local.addr, sizeof(io.local.addr), "127.0.0.1");
	session = class->open(&io, service, &out);
	if (session != NULL) {
		bool alive = true;

		for (size_t at = 0; alive && at < len; ) {
			size_t piece = 1 + (unsigned char)data[at] * 7u % 97u;

			piece = piece < len - at ? piece : len - at;
			buf_add(&in, data + at, piece);
			at += piece;
			alive = step(class, session, &in, &out, &resumed);
		}
		if (alive) {
			(void)class->event(session, SESSION_EV_EOF, &out);
		}
		class->close(session);
	}
	buf_free(&in);
	buf_free(&out);
}
