/*
 * tls_util - a server's and a client's engine, and the wires between them
 */
#include "tls_util.h"

#include <string.h>

#include "unit.h"

void tls_pair_turn(struct tls_pair *p)
{
	for (int i = 0; i < 40; i++) {
		p->client_rc =
			tls_process(p->client, &p->down, &p->client_in, &p->client_out, &p->up);
		p->server_rc =
			tls_process(p->server, &p->up, &p->server_in, &p->server_out, &p->down);
		if (buf_unread(&p->up) == 0 && buf_unread(&p->down) == 0 && i > 3) {
			return;
		}
		if (p->client_rc < 0 || p->server_rc < 0) {
			return;
		}
	}
}

struct tls_pair tls_pair_new(
	struct tls_context *server, struct tls_client *client, const struct tls_target *target)
{
	struct tls_pair p;
	struct buf error = BUF_INIT;

	memset(&p, 0, sizeof(p));
	p.server = tls_new_server(server);
	p.client = tls_client_start(client, target, &error);
	CHECK_STR(buf_str(&error), "");
	REQUIRE(p.client != NULL);
	tls_pair_turn(&p);
	return p;
}

void tls_pair_talk(struct tls_pair *p)
{
	char block[20000];

	for (size_t i = 0; i < sizeof(block); i++) {
		block[i] = (char)(i * 7 + i / 256);
	}
	buf_adds(&p->client_out, "EHLO x\r\n");
	buf_add(&p->server_out, block, sizeof(block));
	tls_pair_turn(p);
	CHECK_STR(buf_str(&p->server_in), "EHLO x\r\n");
	CHECK_MEM(buf_head(&p->client_in), buf_unread(&p->client_in), block, sizeof(block));
}

void tls_pair_free(struct tls_pair *p)
{
	struct buf *bufs[] = { &p->up, &p->down, &p->server_in, &p->server_out, &p->client_in,
		&p->client_out };

	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++) {
		buf_free(bufs[i]);
	}
	tls_free(p->server);
	tls_free(p->client);
}
