/*
 * der - elements of DER, taken off one after the other
 *
 * X.690 8.1: definite lengths up to 4 bytes; what is longer than what is there is damaged.
 */
#include "cert/der.h"

/* der_next - take one element off in; body is its content. False: none, or damaged */
bool der_next(struct slice *in, unsigned *tag, struct slice *body)
{
	const unsigned char *p = (const unsigned char *)in->ptr;
	size_t head = 2, len;

	if (in->len < 2) {
		return false;
	}
	*tag = p[0];
	len = p[1];
	if (len >= 0x80) {
		size_t bytes = len & 0x7f;

		if (bytes == 0 || bytes > 4 || in->len < 2 + bytes) {
			return false;
		}
		for (len = 0; head < 2 + bytes; head++) {
			len = len << 8 | p[head];
		}
	}
	if (len > in->len - head) {
		return false;
	}
	*body = (struct slice){ in->ptr + head, len };
	in->ptr += head + len;
	in->len -= head + len;
	return true;
}

/* der_take - the next element, which must have this tag */
bool der_take(struct slice *in, unsigned tag, struct slice *body)
{
	unsigned got;

	return der_next(in, &got, body) && got == tag;
}

/* der_take_whole - the same, with its head */
bool der_take_whole(struct slice *in, unsigned tag, struct slice *whole)
{
	struct slice before = *in, body;

	if (!der_take(in, tag, &body)) {
		return false;
	}
	*whole = (struct slice){ before.ptr, before.len - in->len };
	return true;
}

unsigned der_peek(struct slice in)
{
	return in.len > 0 ? (unsigned char)in.ptr[0] : 0;
}
