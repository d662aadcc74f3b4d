/*
 * map_build - make name.db: collect rows, sort them, write blocks
 *
 * name.db is an SQLite file:
 *
 *	CREATE TABLE map (first BLOB PRIMARY KEY, rows BLOB NOT NULL) WITHOUT ROWID;
 *	PRAGMA application_id = "PBM1"; PRAGMA user_version = 1;
 *
 * Rows are put into blocks in key order, keys shortened by what they share
 * with the one before. That halves the file, and SQLite is asked for one row
 * in thirty. Blocks are made to fill a page.
 *
 *	put:	 texts[] (one growing buffer)  <-  slots[] (hash, for duplicates)
 *	commit:	 sort by key -> blocks -> .name.db.PID -> fsync -> rename
 *
 * The new file lies beside the old one, so that the rename cannot fail half
 * way; until then readers see the old table whole.
 *
 * A file that is mounted there by itself (a container's) keeps its name: then
 * the new bytes are copied over the old ones. A reader must not take a mixture
 * for a table: the first page is made void before and written last, and who
 * reads a mounted table looks at its time once more after each look-up
 * (map_db.c). It is never cut shorter, because readers have it mapped.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/identity.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "db/db_open.h"
#include "map/map.h"
#include "map/map_block.h"

enum { FIRST_SLOTS = 1024, SMALL_SORT = 12 };
#define TEXT_MAX ((size_t)1 << 31) /* offsets are 32 bits */

/* A row in texts: key, NUL, value, NUL. */
struct row {
	uint64_t cache; /* eight bytes of the key, at the depth being sorted */
	uint32_t at;    /* offset of the key */
};

struct map_builder {
	char *source; /* the table's source, "-" or missing ones allowed */
	char *path;   /* name.db */
	char *temp;
	unsigned flags;
	struct buf texts;
	struct row *rows;
	size_t count, cap;
	uint32_t *slots; /* number of a row + 1; 0 empty */
	size_t slot_count;
	uint64_t seed;
	struct buf error;
};

enum { Q_ADD };
static const char *const sql[] = { [Q_ADD] = "INSERT INTO map VALUES (?1, ?2)" };

static int fail(struct map_builder *b, const char *what, const char *path)
{
	buf_reset(&b->error);
	buf_addf(&b->error, "%s %s: %s", what, path, strerror(errno));
	return -1;
}

static const char *key_of(const struct map_builder *b, size_t n)
{
	return b->texts.data + b->rows[n].at;
}

/* sum - of a key; seeded, because sources may be written by strangers' mail */
static uint64_t sum(const struct map_builder *b, const char *key, size_t len)
{
	uint64_t h = b->seed ^ len;

	for (; len >= 8; len -= 8, key += 8) {
		uint64_t w;

		memcpy(&w, key, 8);
		h = (h ^ w) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	for (size_t i = 0; i < len; i++) {
		h = (h ^ (unsigned char)key[i]) * 0x9e3779b97f4a7c15u;
	}
	return h ^ (h >> 32);
}

/* find_slot - the slot of a key, or the empty one where it would be */
static size_t find_slot(const struct map_builder *b, const char *key, size_t len)
{
	size_t i = sum(b, key, len) & (b->slot_count - 1);

	while (b->slots[i] != 0 && strcmp(key_of(b, b->slots[i] - 1), key) != 0) {
		i = (i + 1) & (b->slot_count - 1);
	}
	return i;
}

static void grow_slots(struct map_builder *b)
{
	mem_free(b->slots);
	b->slot_count = b->slot_count > 0 ? b->slot_count * 2 : FIRST_SLOTS;
	b->slots = mem_calloc(b->slot_count, sizeof(*b->slots));
	for (size_t n = 0; n < b->count; n++) {
		const char *key = key_of(b, n);

		b->slots[find_slot(b, key, strlen(key))] = (uint32_t)n + 1;
	}
}

/* copy_old - incremental: all rows of the present table; 0 or -1 */
static int copy_row(void *arg, const char *key, const char *value)
{
	return map_build_put(arg, key, value) < 0 ? -1 : 0;
}

static int copy_old(struct map_builder *b)
{
	struct buf spec = BUF_INIT;
	unsigned flags = b->flags;
	char *error = NULL;
	struct map *m;
	int rc;

	buf_addf(&spec, "hash:%s", b->source);
	m = map_open(spec.data, MAP_EXACT, &error);
	b->flags = MAP_IGNORE_DUP;
	rc = map_each(m, copy_row, b);
	b->flags = flags;
	if (rc != 0 && b->error.len == 0) {
		buf_adds(&b->error, map_error(m));
	}
	map_close(m);
	buf_free(&spec);
	return rc;
}

struct map_builder *map_build_begin(const char *path, unsigned flags, char **error_r)
{
	struct map_builder *b = mem_alloc(sizeof(*b));
	const char *slash = strrchr(path, '/');
	struct buf temp = BUF_INIT, db = BUF_INIT;

	buf_addf(&db, "%s.db", path);
	if (slash != NULL) {
		buf_add(&temp, path, (size_t)(slash - path) + 1);
	}
	buf_addf(&temp, ".%s.db.%ld", slash != NULL ? slash + 1 : path, (long)getpid());
	b->source = mem_strdup(path);
	b->path = buf_steal(&db);
	b->temp = buf_steal(&temp);
	b->flags = flags;
	if (getrandom(&b->seed, sizeof(b->seed), GRND_NONBLOCK) != (ssize_t)sizeof(b->seed)) {
		b->seed = (uint64_t)getpid() << 20;
	}
	grow_slots(b);
	if ((flags & MAP_INCREMENTAL) && access(b->path, F_OK) == 0 && copy_old(b) != 0) {
		*error_r = mem_strdup(map_build_error(b));
		map_build_abort(b);
		return NULL;
	}
	return b;
}

const char *map_build_error(const struct map_builder *b)
{
	return buf_str(&b->error);
}

/* add_texts - key and value behind the others */
static uint32_t add_texts(struct map_builder *b, const char *key, size_t len, const char *value)
{
	size_t at = b->texts.len;

	buf_add(&b->texts, key, len + 1);
	buf_add(&b->texts, value, strlen(value) + 1);
	return (uint32_t)at;
}

int map_build_put(struct map_builder *b, const char *key, const char *value)
{
	size_t len = strlen(key), slot = find_slot(b, key, len);

	if (b->texts.len + len + strlen(value) + 2 > TEXT_MAX) {
		errno = EFBIG;
		return fail(b, "build", b->path);
	}
	if (b->slots[slot] != 0) {
		if (b->flags & MAP_REPLACE_DUP) {
			b->rows[b->slots[slot] - 1].at = add_texts(b, key, len, value);
		} else if (!(b->flags & MAP_IGNORE_DUP)) {
			log_warn("%s: duplicate entry: \"%s\"", b->path, key);
		}
		return 0;
	}
	if (b->count == b->cap) {
		b->cap = b->cap > 0 ? b->cap * 2 : FIRST_SLOTS;
		b->rows = mem_realloc(b->rows, b->cap * sizeof(*b->rows));
	}
	b->rows[b->count].at = add_texts(b, key, len, value);
	b->slots[slot] = (uint32_t)++b->count;
	if (b->count * 2 > b->slot_count) {
		grow_slots(b);
	}
	return 1;
}

/* empty_slot - and close the gap: what was moved on because of it goes back */
static void empty_slot(struct map_builder *b, size_t gap)
{
	size_t mask = b->slot_count - 1;

	for (size_t i = (gap + 1) & mask; b->slots[i] != 0; i = (i + 1) & mask) {
		const char *key = key_of(b, b->slots[i] - 1);
		size_t home = sum(b, key, strlen(key)) & mask;

		/* Between its home and i lies the gap. */
		if (((i - home) & mask) >= ((i - gap) & mask)) {
			b->slots[gap] = b->slots[i];
			gap = i;
		}
	}
	b->slots[gap] = 0;
}

int map_build_del(struct map_builder *b, const char *key)
{
	size_t slot = find_slot(b, key, strlen(key)), n, last = b->count - 1;
	const char *moved;

	if (b->slots[slot] == 0) {
		return 0;
	}
	n = b->slots[slot] - 1;
	empty_slot(b, slot);
	if (n != last) {
		moved = key_of(b, last);
		b->slots[find_slot(b, moved, strlen(moved))] = (uint32_t)n + 1;
		b->rows[n] = b->rows[last];
	}
	b->count--;
	return 1;
}

/* ---- Sorting: multikey quicksort, eight bytes of the key at a time ---- */

static uint64_t load(const char *key, size_t depth)
{
	uint64_t v = 0;

	/* Behind its NUL a key goes on with zeros. */
	for (size_t i = 0; i < 8; i++) {
		unsigned char c = (unsigned char)key[depth + i];

		v |= (uint64_t)c << (56 - 8 * i);
		if (c == '\0') {
			break;
		}
	}
	return v;
}

static void sort_small(const struct map_builder *b, struct row *rows, size_t n, size_t depth)
{
	for (size_t i = 1; i < n; i++) {
		struct row r = rows[i];
		size_t j = i;

		while (j > 0 &&
			(rows[j - 1].cache > r.cache ||
				(rows[j - 1].cache == r.cache &&
					strcmp(b->texts.data + rows[j - 1].at + depth,
						b->texts.data + r.at + depth) > 0))) {
			rows[j] = rows[j - 1];
			j--;
		}
		rows[j] = r;
	}
}

static uint64_t middle(uint64_t a, uint64_t b, uint64_t c)
{
	if (a > b) {
		uint64_t t = a;

		a = b;
		b = t;
	}
	return c <= a ? a : c >= b ? b : c;
}

static void sort_rows(const struct map_builder *b, struct row *rows, size_t n, size_t depth);

/* sort_equal - rows whose eight bytes at depth are the same: by what follows */
static void sort_equal(const struct map_builder *b, struct row *rows, size_t n, size_t depth)
{
	/* A zero byte: the keys have ended, and keys are unique. */
	if (n < 2 || (rows[0].cache & 0xff) == 0) {
		return;
	}
	for (size_t i = 0; i < n; i++) {
		rows[i].cache = load(b->texts.data + rows[i].at, depth + 8);
	}
	sort_rows(b, rows, n, depth + 8);
}

static void sort_rows(const struct map_builder *b, struct row *rows, size_t n, size_t depth)
{
	while (n > SMALL_SORT) {
		uint64_t pivot = middle(rows[0].cache, rows[n / 2].cache, rows[n - 1].cache);
		size_t low = 0, i = 0, high = n;

		while (i < high) {
			struct row r = rows[i];

			if (r.cache < pivot) {
				rows[i++] = rows[low];
				rows[low++] = r;
			} else if (r.cache > pivot) {
				rows[i] = rows[--high];
				rows[high] = r;
			} else {
				i++;
			}
		}
		sort_equal(b, rows + low, high - low, depth);
		/* The smaller part recursively, so that the stack stays small. */
		if (low < n - high) {
			sort_rows(b, rows, low, depth);
			rows += high;
			n -= high;
		} else {
			sort_rows(b, rows + high, n - high, depth);
			n = low;
		}
	}
	sort_small(b, rows, n, depth);
}

/* ---- Writing ---- */

static size_t number_size(size_t v)
{
	size_t n = 1;

	while (v >= 0x80) {
		v >>= 7;
		n++;
	}
	return n;
}

static void put_number(struct buf *out, size_t v)
{
	while (v >= 0x80) {
		buf_addc(out, (char)(v | 0x80));
		v >>= 7;
	}
	buf_addc(out, (char)v);
}

/* block_row_size - bytes that block_add() would take */
static size_t block_row_size(size_t shared, size_t rest_len, size_t value_len)
{
	return number_size(shared) + number_size(rest_len) + number_size(value_len) + rest_len +
		value_len;
}

static void block_add(struct buf *block, size_t shared, const char *rest, size_t rest_len,
	const char *value, size_t value_len)
{
	put_number(block, shared);
	put_number(block, rest_len);
	put_number(block, value_len);
	buf_add(block, rest, rest_len);
	buf_add(block, value, value_len);
}

static size_t common(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] != '\0' && a[n] == b[n]) {
		n++;
	}
	return n;
}

/* write_blocks - all rows, sorted before */
static int write_blocks(struct map_builder *b, struct db *db)
{
	struct buf block = BUF_INIT;
	const char *first = NULL, *last = NULL;
	int rc = 0;

	for (size_t n = 0; n < b->count && rc == 0; n++) {
		const char *key = key_of(b, n), *value = key + strlen(key) + 1;
		size_t len = strlen(key), value_len = strlen(value);
		size_t shared = last != NULL ? common(last, key) : 0;

		if (first != NULL &&
			strlen(first) + block.len +
					block_row_size(shared, len - shared, value_len) >
				MAP_BLOCK_ROOM) {
			rc = db_run(db, Q_ADD, "bb", (const void *)first, strlen(first),
				(const void *)block.data, block.len);
			buf_reset(&block);
			first = NULL;
		}
		if (first == NULL) {
			first = key;
			shared = 0;
		}
		block_add(&block, shared, key + shared, len - shared, value, value_len);
		last = key;
	}
	if (rc == 0 && first != NULL) {
		rc = db_run(db, Q_ADD, "bb", (const void *)first, strlen(first),
			(const void *)block.data, block.len);
	}
	buf_free(&block);
	return rc;
}

/* write_file - the new table under its temporary name */
static int write_file(struct map_builder *b)
{
	/*
	 * Nobody else knows the file, and a torn one is not renamed: no journal, one fsync at the
	 * end.
	 */
	static const char pragmas[] =
		"PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; "
		"PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-1024";
	char *error = NULL;
	struct db *db;
	int rc;

	unlink(b->temp);
	db = db_open(b->temp, DB_CREATE, pragmas, sql, ARRAY_LEN(sql), NULL, &error);
	if (db == NULL) {
		buf_reset(&b->error);
		buf_adds(&b->error, error);
		mem_free(error);
		return -1;
	}
	rc = db_exec(db,
		"BEGIN; CREATE TABLE map (first BLOB PRIMARY KEY, rows BLOB NOT NULL) WITHOUT "
		"ROWID; "
		"PRAGMA application_id=0x50424d31; PRAGMA user_version=1");
	if (rc == 0) {
		rc = write_blocks(b, db);
	}
	if (rc == 0) {
		rc = db_commit(db);
	}
	if (rc != 0) {
		buf_reset(&b->error);
		buf_adds(&b->error, db_error(db));
	}
	db_close(db);
	return rc;
}

/*
 * set_owner - others: it was made in a place of somebody else's than root, and is that one's. Else
 * the source's owner and the group of mail_owner, mode 0640: the daemons
 * that look things up run as mail_owner, and nobody else needs to read passwords of relays. Who
 * is not root cannot give files away; then the source's mode rules, without what others may do.
 */
static int set_owner(struct map_builder *b, int fd, bool others)
{
	const struct passwd *owner = NULL;
	struct stat st;
	mode_t mode = 0640;
	bool have = stat(b->source, &st) == 0;

	/* What others may read in the source they may in the table: mail_owner has no other way. */
	if (others) {
		return fchmod(fd, have ? st.st_mode & 0644 : 0600) == 0
			? 0
			: fail(b, "change the mode of", b->temp);
	}
	if (geteuid() == 0) {
		owner = param.mail_owner != NULL ? getpwnam(param.mail_owner) : NULL;
		if (fchown(fd, have ? st.st_uid : 0,
			    owner != NULL  ? owner->pw_gid
				    : have ? st.st_gid
					   : 0) != 0) {
			return fail(b, "change the owner of", b->temp);
		}
	}
	if (owner == NULL && have) {
		mode = st.st_mode & 0640;
	}
	return fchmod(fd, mode) == 0 ? 0 : fail(b, "change the mode of", b->temp);
}

/* copy_range - bytes from..to of the file in; zeros from its end on. 0 or -1 */
static int copy_range(int in, int out, off_t from, off_t to)
{
	char piece[16384];

	while (from < to) {
		size_t want =
			to - from < (off_t)sizeof(piece) ? (size_t)(to - from) : sizeof(piece);
		ssize_t n;

		memset(piece, 0, want);
		n = pread(in, piece, want, from);
		if (n < 0 || pwrite(out, piece, want, from) != (ssize_t)want) {
			return -1;
		}
		from += (off_t)want;
	}
	return 0;
}

/* copy_over - the new file in, over the one that keeps its name; 0 or -1 with errno */
static int copy_over(int in, int out)
{
	enum { PAGE = 4096 };
	char zeros[PAGE] = { 0 };
	struct stat new, old;

	if (fstat(in, &new) != 0 || fstat(out, &old) != 0) {
		return -1;
	}
	/* No room is found out here, while the old table is whole. */
	if (new.st_size > old.st_size &&
		(errno = posix_fallocate(out, old.st_size, new.st_size - old.st_size)) != 0) {
		return -1;
	}
	if (pwrite(out, zeros, PAGE, 0) != PAGE || fdatasync(out) != 0 ||
		copy_range(in, out, PAGE, new.st_size > old.st_size ? new.st_size : old.st_size) !=
			0 ||
		fdatasync(out) != 0 || copy_range(in, out, 0, PAGE) != 0) {
		return -1;
	}
	return fsync(out);
}

/* replace - give the new file its name, or its bytes to the file that cannot lose it */
static int replace(struct map_builder *b, int in)
{
	int out, rc;

	if (rename(b->temp, b->path) == 0) {
		return 0;
	}
	if (errno != EBUSY || !file_is_mount(b->path)) {
		return fail(b, "replace", b->path);
	}
	out = open(b->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (out < 0) {
		return fail(b, "open", b->path);
	}
	rc = copy_over(in, out) == 0 ? 0 : fail(b, "write", b->path);
	close(out);
	unlink(b->temp);
	return rc;
}

/* finish_file - owner, mode, onto the disk, into its place */
static int finish_file(struct map_builder *b, bool others)
{
	int fd = open(b->temp, O_RDWR | O_CLOEXEC | O_NOFOLLOW), rc;

	if (fd < 0) {
		return fail(b, "open", b->temp);
	}
	rc = set_owner(b, fd, others);
	if (rc == 0 && fsync(fd) != 0) {
		rc = fail(b, "write", b->temp);
	}
	if (rc == 0) {
		rc = replace(b, fd);
	}
	close(fd);
	if (rc == 0) {
		/* So that it outlives a power cut; if not, the table can be made again. */
		(void)file_sync_name(b->path, -1);
	}
	return rc;
}

int map_build_commit(struct map_builder *b)
{
	struct identity_saved id;
	int rc;

	for (size_t n = 0; n < b->count; n++) {
		b->rows[n].cache = load(key_of(b, n), 0);
	}
	sort_rows(b, b->rows, b->count, 0);
	if (identity_enter_parent(&id, b->path) != 0) {
		return fail(b, "open the directory of", b->path);
	}
	rc = write_file(b);
	if (rc == 0) {
		rc = finish_file(b, id.changed);
	}
	if (rc != 0) {
		unlink(b->temp);
	}
	identity_leave(&id);
	return rc;
}

void map_build_abort(struct map_builder *b)
{
	if (b == NULL) {
		return;
	}
	mem_free(b->source);
	mem_free(b->path);
	mem_free(b->temp);
	mem_free(b->rows);
	mem_free(b->slots);
	buf_free(&b->texts);
	buf_free(&b->error);
	mem_free(b);
}
