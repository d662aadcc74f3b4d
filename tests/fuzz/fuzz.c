/*
 * fuzz - the common part of the fuzz targets
 */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

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
	log_open("fuzz", LOG_TO_FILE); /* without a file: warnings go nowhere */
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	fuzz((const char *)data, len);
	return 0;
}

/* ---- Files ---- */

enum { TREE_DEPTH_MAX = 8 };

static char dir[200];

/* remove_tree - all below path, and with self path too */
static void remove_tree(const char *path, int depth, bool self)
{
	DIR *d = depth < TREE_DEPTH_MAX ? opendir(path) : NULL;
	const struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		char below[4096];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
			continue;
		}
		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (unlink(below) != 0) {
			remove_tree(below, depth + 1, true);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
	if (self) {
		rmdir(path);
	}
}

static void remove_dir(void)
{
	remove_tree(dir, 0, true);
}

const char *fuzz_dir(void)
{
	const char *top = getenv("FUZZ_TMP");

	if (dir[0] == '\0') {
		snprintf(dir, sizeof(dir), "%s/pillarbox-fuzz.%d", top != NULL ? top : "/tmp",
			(int)getpid());
		REQUIRE(mkdir(dir, 0700) == 0);
		atexit(remove_dir);
	}
	return dir;
}

void fuzz_clear(void)
{
	remove_tree(fuzz_dir(), 0, false);
}

const char *fuzz_path(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", fuzz_dir(), name);
	return path;
}

const char *fuzz_put(const char *name, const char *data, size_t len)
{
	const char *path = fuzz_path(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	REQUIRE(fd >= 0 && fd_write_all(fd, data, len) == 0);
	close(fd);
	return path;
}

const char *fuzz_file(const char *data, size_t len)
{
	return fuzz_put("file", data, len);
}

/* ---- Input ---- */

struct slice fuzz_part(struct slice *rest)
{
	struct slice part = *rest;
	const char *mark = rest->len > 0 ? memmem(rest->ptr, rest->len, "\n%%\n", 4) : NULL;

	if (mark == NULL) {
		*rest = (struct slice){ rest->ptr + rest->len, 0 };
		return part;
	}
	part.len = (size_t)(mark + 1 - part.ptr);
	*rest = (struct slice){ mark + 4, rest->len - part.len - 3 };
	return part;
}

size_t fuzz_patch(char *base, size_t size, const char *data, size_t len)
{
	const unsigned char *p = (const unsigned char *)data;

	while (len >= 4 && size > 0) {
		size_t at = ((size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]) % size;
		size_t n = p[3] % 32;

		p += 4;
		len -= 4;
		if (n == 31) {
			size = at;
			continue;
		}
		for (size_t i = 0; i < n && i < len && at + i < size; i++) {
			base[at + i] = (char)p[i];
		}
		n = n < len ? n : len;
		p += n;
		len -= n;
	}
	return size;
}

/* ---- Sessions ---- */

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
		/* What only gave others their turn goes on; what waits for an answer has none. */
		for (int idle = 0; want == SESSION_WAIT && *resumed == 0; idle++) {
			size_t made = out->len;

			want = class->event(session, SESSION_EV_DRAINED, out);
			if (idle > 100) {
				return false;
			}
			if (out->len != made) {
				idle = 0;
			}
			if (out->len > OUTPUT_MAX) {
				buf_reset(out);
			}
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

		for (size_t at = 0; alive && at < len;) {
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
