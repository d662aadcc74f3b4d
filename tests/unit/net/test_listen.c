/*
 * test_listen - which open socket is the one that is wanted
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/listen.h"
#include "unit.h"

struct wish {
	const char *address;
	bool v4, v6;
	bool needs_v6;
};

/* All different, but for "" with both where there is no IPv6. */
static const struct wish wishes[] = {
	{ "127.0.0.1", true, true, false },
	{ "127.0.0.2", true, true, false },
	{ "", true, false, false },
	{ "", false, true, true },
	{ "", true, true, true },
	{ "::1", true, true, true },
};

static int open_wish(const struct wish *w, int port, unsigned flags)
{
	char *error = NULL;
	int fd = listen_tcp(w->address, port,
		flags | (w->v4 ? LISTEN_V4 : 0) | (w->v6 ? LISTEN_V6 : 0), 5, &error);

	mem_free(error);
	return fd;
}

static int port_of(int fd)
{
	char addr[64];
	int port = 0;

	(void)socket_address(fd, false, addr, sizeof(addr), &port);
	return port;
}

static bool has_v6(void)
{
	int fd = open_wish(&wishes[5], 0, 0);

	if (fd >= 0) {
		close(fd);
	}
	return fd >= 0;
}

TEST(listen, is_what_is_wanted)
{
	bool v6 = has_v6();
	char row[80];

	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		int fd, port;

		if (wishes[i].needs_v6 && !v6) {
			continue;
		}
		fd = open_wish(&wishes[i], 0, 0);
		REQUIRE(fd >= 0);
		port = port_of(fd);
		for (size_t j = 0; j < sizeof(wishes) / sizeof(wishes[0]); j++) {
			const struct wish *w = &wishes[j];

			if (w->needs_v6 && !v6) {
				continue;
			}
			snprintf(row, sizeof(row), "wish %zu, socket %zu", j, i);
			CHECK_ROW(row);
			CHECK_INT(listen_is(fd, w->address, port, w->v4, w->v6), i == j);
			CHECK(!listen_is(fd, w->address, port + 1, w->v4, w->v6));
		}
		/* The families that are served say nothing about a literal address. */
		CHECK_INT(listen_is(fd, "127.0.0.1", port, true, false), i == 0);
		close(fd);
	}
	CHECK_ROW(NULL);
}

TEST(listen, beside_one_that_shares)
{
	static const struct wish all = { "", true, false, false },
				 one = { "127.0.0.1", true, true, false };
	int on = 1, off = 0, port, wide, narrow;

	wide = open_wish(&all, 0, 0);
	REQUIRE(wide >= 0);
	port = port_of(wide);
	CHECK_INT(open_wish(&one, port, 0), -1);
	CHECK_INT(open_wish(&one, port, LISTEN_SHARED), -1);
	(void)setsockopt(wide, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	narrow = open_wish(&one, port, LISTEN_SHARED);
	CHECK(narrow >= 0);
	/* Nobody else comes in afterwards. */
	(void)setsockopt(wide, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
	(void)setsockopt(narrow, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
	CHECK_INT(open_wish(&(struct wish){ "127.0.0.2", true, true, false }, port, LISTEN_SHARED),
		-1);
	close(wide);
	close(narrow);
}
