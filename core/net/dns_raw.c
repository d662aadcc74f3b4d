/*
 * dns_raw - DNS replies as they came
 *
 * c-ares of 2021 hides the flags of a reply and knows no TLSA record. A reply comes from a name
 * server that is trusted to validate it; still nothing in it is believed to fit its lengths.
 *
 * RFC 1035 4.1 (form), RFC 6698 2.1 (TLSA).
 */
#include "net/dns_raw.h"

#include <string.h>

#include "base/encode.h"
#include "base/str.h"

enum { HEADER = 12, TYPE_CNAME = 5, JUMPS_MAX = 20, TLSA_DATA_MAX = 4096 };

struct reader {
	const unsigned char *start;
	size_t len, at;
};

struct record {
	char name[256];
	unsigned type;
	size_t data, data_len; /* where in the reply */
};

static unsigned number(const struct reader *r, size_t at)
{
	return (unsigned)r->start[at] << 8 | r->start[at + 1];
}

/* add_label - to name, with a dot before it unless it is the first */
static bool add_label(char name[256], size_t *used, const unsigned char *label, size_t len)
{
	if (*used + len + 2 > 256) {
		return false;
	}
	if (*used > 0) {
		name[(*used)++] = '.';
	}
	for (size_t i = 0; i < len; i++) {
		if (label[i] <= ' ' || label[i] >= 0x7f || label[i] == '.') {
			return false; /* no name that somebody asked for */
		}
		name[(*used)++] = (char)label[i];
	}
	return true;
}

/* take_name - at r->at, which moves behind it */
static bool take_name(struct reader *r, char name[256])
{
	size_t at = r->at, used = 0;
	bool jumped = false;

	for (int jumps = 0; at < r->len;) {
		unsigned n = r->start[at];

		if (n >= 0xc0) {
			if (at + 2 > r->len || ++jumps > JUMPS_MAX) {
				return false;
			}
			if (!jumped) {
				r->at = at + 2;
			}
			jumped = true;
			at = number(r, at) & 0x3fff;
		} else if (n == 0) {
			if (!jumped) {
				r->at = at + 1;
			}
			name[used] = '\0';
			return true;
		} else {
			if (n > 63 || at + 1 + n > r->len ||
				!add_label(name, &used, r->start + at + 1, n)) {
				return false;
			}
			at += 1 + n;
		}
	}
	return false;
}

static bool take_record(struct reader *r, struct record *out)
{
	if (!take_name(r, out->name) || r->at + 10 > r->len) {
		return false;
	}
	out->type = number(r, r->at);
	out->data_len = number(r, r->at + 8);
	out->data = r->at + 10;
	if (out->data_len > r->len - out->data) {
		return false;
	}
	r->at = out->data + out->data_len;
	return true;
}

/* begin - behind the question; the number of answers, or -1: damaged */
static int begin(struct reader *r, const unsigned char *reply, size_t len)
{
	char name[256];
	int answers;

	*r = (struct reader){ reply, len, HEADER };
	if (len < HEADER || number(r, 4) != 1 || !take_name(r, name) || r->at + 4 > len) {
		return -1;
	}
	answers = (int)number(r, 6);
	r->at += 4;
	return answers;
}

int dns_raw_rcode(const unsigned char *reply, size_t len)
{
	return len >= HEADER && (reply[2] & 0x80) ? reply[3] & 0x0f : -1;
}

bool dns_raw_authenticated(const unsigned char *reply, size_t len)
{
	return len >= HEADER && (reply[3] & 0x20);
}

void dns_raw_ask_authenticated(unsigned char *query, size_t len)
{
	if (len >= HEADER) {
		query[3] |= 0x20;
	}
}

bool dns_raw_end(const unsigned char *reply, size_t len, const char *name, char end[256])
{
	struct reader r;

	if (!str_copy(end, 256, name)) {
		return false;
	}
	for (int jumps = 0; jumps < JUMPS_MAX; jumps++) {
		int answers = begin(&r, reply, len);
		bool moved = false;
		struct record rec;

		for (int i = 0; i < answers && !moved; i++) {
			if (!take_record(&r, &rec)) {
				return false;
			}
			if (rec.type == TYPE_CNAME && str_ieq(rec.name, end)) {
				struct reader target = { reply, len, rec.data };

				if (!take_name(&target, end)) {
					return false;
				}
				moved = true;
			}
		}
		if (answers < 0 || !moved) {
			return answers >= 0;
		}
	}
	return false;
}

int dns_raw_tlsa(const unsigned char *reply, size_t len, size_t max, struct buf *out)
{
	struct reader r;
	struct record rec;
	int answers = begin(&r, reply, len), count = 0;

	for (int i = 0; i < answers; i++) {
		const unsigned char *data;

		if (!take_record(&r, &rec)) {
			return -1;
		}
		data = reply + rec.data;
		if (rec.type != DNS_RAW_TLSA || rec.data_len < 4 || rec.data_len > TLSA_DATA_MAX ||
			(size_t)count == max) {
			continue;
		}
		buf_addf(out, "%u %u %u ", data[0], data[1], data[2]);
		hex_encode(out, data + 3, rec.data_len - 3);
		buf_addc(out, '\0');
		count++;
	}
	return answers < 0 ? -1 : count;
}
