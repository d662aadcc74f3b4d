/*
 * wal - a write-ahead log read frame by frame, also behind damage
 */
#include "db/wal.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { FRAME = WAL_FRAME_HEADER + WAL_PAGE, MAGIC = 0x377f0682 };

struct frame {
	uint32_t page, commit; /* commit: pages of the database, 0: not the end of one */
	bool whole, ours;      /* ours: of this generation of the log */
};

struct reader {
	bool big; /* the checksum's byte order */
	uint32_t salt[2], sum[2];
	unsigned char data[FRAME];
};

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t get32_little(const unsigned char *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* add_sum - go on with a checksum over len bytes, a multiple of eight */
static void add_sum(bool big, const unsigned char *data, size_t len, uint32_t sum[2])
{
	for (size_t i = 0; i < len; i += 8) {
		sum[0] += (big ? get32(data + i) : get32_little(data + i)) + sum[1];
		sum[1] += (big ? get32(data + i + 4) : get32_little(data + i + 4)) + sum[0];
	}
}

/* read_header - false: it is damaged; the salts are then those of the first frame */
static bool read_header(int fd, struct reader *r)
{
	static const uint16_t one = 1;
	unsigned char h[WAL_HEADER] = { 0 };
	uint32_t sum[2] = { 0, 0 };
	bool good;

	(void)!pread(fd, h, sizeof(h), 0);
	r->big = get32(h) & 1;
	add_sum(r->big, h, 24, sum);
	good = (get32(h) & ~1U) == MAGIC && get32(h + 8) == WAL_PAGE && sum[0] == get32(h + 24) &&
		sum[1] == get32(h + 28);
	if (!good) {
		r->big = *(const unsigned char *)&one == 0; /* we wrote it on such a machine */
		if (pread(fd, h + 16, 8, WAL_HEADER + 8) != 8) {
			memset(h + 16, 0, 8);
		}
	}
	r->salt[0] = get32(h + 16);
	r->salt[1] = get32(h + 20);
	r->sum[0] = get32(h + 24);
	r->sum[1] = get32(h + 28);
	return good;
}

/* read_frame - false: the file ends */
static bool read_frame(int fd, struct reader *r, uint32_t n, struct frame *f)
{
	uint32_t sum[2] = { r->sum[0], r->sum[1] };
	const unsigned char *h = r->data;

	if (pread(fd, r->data, FRAME, WAL_HEADER + (off_t)n * FRAME) != FRAME) {
		return false;
	}
	f->page = get32(h);
	f->commit = get32(h + 4);
	f->ours = get32(h + 8) == r->salt[0] && get32(h + 12) == r->salt[1];
	/* Which frame is the next one's predecessor is told by what stands there, whole or not. */
	r->sum[0] = get32(h + 16);
	r->sum[1] = get32(h + 20);
	f->whole = false;
	if (f->ours) {
		add_sum(r->big, h, 8, sum);
		add_sum(r->big, h + WAL_FRAME_HEADER, WAL_PAGE, sum);
		f->whole = f->page > 0 && sum[0] == r->sum[0] && sum[1] == r->sum[1];
	}
	return true;
}

/* count - commits before and behind the damage; the number of frames up to the last whole commit */
static uint32_t count(struct wal *w, const struct frame *frames, uint32_t total)
{
	bool damaged = w->header_bad;
	uint32_t end = 0, bad = 0;

	for (uint32_t i = 0; i < total; i++) {
		const struct frame *f = &frames[i];

		damaged = damaged || !f->whole;
		bad += !f->whole;
		if (f->commit == 0 || !f->ours) {
			continue;
		}
		w->unfinished = !f->whole;
		if (!f->whole) {
			continue;
		}
		w->commits += !damaged;
		w->lost += damaged;
		w->bad = bad;
		w->pages = f->commit;
		end = i + 1;
	}
	return end;
}

bool wal_read(int fd, struct wal *w)
{
	struct reader *r = mem_alloc(sizeof(*r));
	struct frame *frames = NULL;
	uint32_t total = 0, cap = 0, end;

	memset(w, 0, sizeof(*w));
	w->header_bad = !read_header(fd, r);
	for (;; total++) {
		if (total == cap) {
			cap = cap == 0 ? 1024 : cap * 2;
			frames = mem_realloc(frames, cap * sizeof(*frames));
		}
		if (!read_frame(fd, r, total, &frames[total])) {
			break;
		}
	}
	end = count(w, frames, total);
	if (end > 0) {
		w->frame_of = mem_calloc((size_t)w->pages + 1, sizeof(*w->frame_of));
	}
	for (uint32_t i = 0; i < end; i++) {
		if (frames[i].whole && frames[i].page <= w->pages) {
			w->frame_of[frames[i].page] = i + 1;
		}
	}
	mem_free(frames);
	mem_free(r);
	return end > 0;
}

void wal_free(struct wal *w)
{
	mem_free(w->frame_of);
	memset(w, 0, sizeof(*w));
}

int64_t wal_offset(const struct wal *w, uint32_t page)
{
	if (page == 0 || page > w->pages || w->frame_of == NULL || w->frame_of[page] == 0) {
		return -1;
	}
	return WAL_HEADER + ((int64_t)w->frame_of[page] - 1) * FRAME + WAL_FRAME_HEADER;
}
