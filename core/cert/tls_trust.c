/*
 * tls_trust - trust anchors, found in their files by name
 *
 * A system's bundle has 140 certificates in 200 KB, of which one or two are ever wanted. So a file
 * is read once for where each certificate stands and what a hash of its name is; to judge a chain,
 * the few with the issuer's name are read again. A directory is taken as c_rehash leaves it (names
 * like 1a2b3c4d.0, each certificate once), or, where there are no such names, all of its files.
 *
 * Files that changed are read again at the next look; one that cannot be read is said once, and is
 * as if it were empty: then less is trusted, never more.
 *
 * RFC 5280 6.1.1 (d): a trust anchor is a name and a key. Its dates count as with OpenSSL.
 */
#include "cert/tls_trust.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "cert/pem.h"
#include "net/tls_files.h"
#include "cert/x509_says.h"

enum { FILES_MAX = 2000, ROWS_MAX = 20000 };

struct trust_row {
	uint64_t name; /* a part of the SHA-256 of the subject */
	uint32_t file, at, size;
};

struct tls_trust {
	char **given; /* the files we were told of */
	size_t given_count;
	char *directory;
	char **files; /* the same, and those of the directory */
	size_t file_count;
	struct trust_row *rows;
	size_t row_count;
	struct tls_stamp *stamps; /* of given, and of the directory at the end */
	time_t looked;
	unsigned generation; /* 0: never read */
};

struct tls_trust *tls_trust_new(const char *const *files, size_t count, const char *directory)
{
	struct tls_trust *t = mem_alloc(sizeof(*t));

	t->given = mem_calloc(count + 1, sizeof(*t->given));
	t->stamps = mem_calloc(count + 1, sizeof(*t->stamps));
	for (size_t i = 0; i < count; i++) {
		t->given[t->given_count++] = mem_strdup(files[i]);
	}
	t->directory = mem_strdup(directory != NULL ? directory : "");
	return t;
}

static void clear(struct tls_trust *t)
{
	for (size_t i = 0; i < t->file_count; i++) {
		mem_free(t->files[i]);
	}
	mem_free(t->files);
	mem_free(t->rows);
	t->files = NULL;
	t->rows = NULL;
	t->file_count = t->row_count = 0;
}

void tls_trust_free(struct tls_trust *t)
{
	if (t == NULL) {
		return;
	}
	clear(t);
	for (size_t i = 0; i < t->given_count; i++) {
		mem_free(t->given[i]);
	}
	mem_free(t->given);
	mem_free(t->stamps);
	mem_free(t->directory);
	mem_free(t);
}

size_t tls_trust_count(const struct tls_trust *t)
{
	return t->row_count;
}

static uint64_t name_hash(struct slice name)
{
	unsigned char sum[DIGEST_MAX];
	uint64_t hash;

	digest_of(DIGEST_SHA256, &name, 1, sum);
	memcpy(&hash, sum, sizeof(hash));
	return hash;
}

/* ---- Anchors ---- */

static void add_dn(void *arg, const void *data, size_t len)
{
	buf_add(arg, data, len);
}

static void *copy_bytes(const void *data, size_t len)
{
	return memcpy(mem_realloc(NULL, len), data, len);
}

static void copy_key(br_x509_pkey *to, const br_x509_pkey *from)
{
	to->key_type = from->key_type;
	if (from->key_type == BR_KEYTYPE_RSA) {
		to->key.rsa.n = copy_bytes(from->key.rsa.n, from->key.rsa.nlen);
		to->key.rsa.nlen = from->key.rsa.nlen;
		to->key.rsa.e = copy_bytes(from->key.rsa.e, from->key.rsa.elen);
		to->key.rsa.elen = from->key.rsa.elen;
	} else {
		to->key.ec.curve = from->key.ec.curve;
		to->key.ec.q = copy_bytes(from->key.ec.q, from->key.ec.qlen);
		to->key.ec.qlen = from->key.ec.qlen;
	}
}

bool tls_anchor_make(br_x509_trust_anchor *ta, const void *der, size_t len, bool is_ca)
{
	br_x509_decoder_context *dc;
	struct x509_names names;
	const br_x509_pkey *pk;
	struct buf dn = BUF_INIT;

	memset(ta, 0, sizeof(*ta));
	if (!x509_read(&names, der, len)) {
		return false;
	}
	dc = mem_alloc(sizeof(*dc));
	br_x509_decoder_init(dc, add_dn, &dn);
	br_x509_decoder_push(dc, der, names.len);
	pk = br_x509_decoder_get_pkey(dc);
	if (pk != NULL && dn.len > 0) {
		/* What is older than extensions and has made itself is an authority, too. */
		is_ca = is_ca || br_x509_decoder_isCA(dc) ||
			(names.extensions.ptr == NULL && names.issuer.len == names.subject.len &&
				memcmp(names.issuer.ptr, names.subject.ptr, names.issuer.len) == 0);
		ta->flags = is_ca ? BR_X509_TA_CA : 0;
		copy_key(&ta->pkey, pk);
		ta->dn.len = dn.len;
		ta->dn.data = (unsigned char *)buf_steal(&dn);
	}
	buf_free(&dn);
	mem_free(dc);
	return ta->dn.data != NULL;
}

void tls_anchor_free(br_x509_trust_anchor *ta)
{
	mem_free(ta->dn.data);
	if (ta->pkey.key_type == BR_KEYTYPE_RSA) {
		mem_free(ta->pkey.key.rsa.n);
		mem_free(ta->pkey.key.rsa.e);
	} else {
		mem_free(ta->pkey.key.ec.q);
	}
	memset(ta, 0, sizeof(*ta));
}

enum tls_date tls_date_of(const void *der, size_t len, int64_t now)
{
	struct x509_names names;
	int64_t from, until;

	if (!x509_read(&names, der, len) || !x509_dates(&names, &from, &until) || now > until) {
		return TLS_DATE_OVER;
	}
	return now < from ? TLS_DATE_EARLY : TLS_DATE_GOOD;
}

/* ---- The index ---- */

static bool is_certificate(const struct pem_object *o)
{
	return !o->damaged &&
		(strcmp(o->name, "CERTIFICATE") == 0 || strcmp(o->name, "X509 CERTIFICATE") == 0 ||
			strcmp(o->name, "TRUSTED CERTIFICATE") == 0);
}

/* add_file - its certificates; one that cannot be read is said */
static void add_file(struct tls_trust *t, const char *path)
{
	struct pem_file pf = { NULL, 0 };
	size_t before = t->row_count;
	char *error = NULL;

	if (t->file_count == FILES_MAX) {
		return;
	}
	if (pem_load(&pf, path, &error) != 0) {
		log_warn("cannot load Certification Authority data: %s", error);
		mem_free(error);
		pem_free(&pf);
		return;
	}
	t->files = mem_realloc(t->files, (t->file_count + 1) * sizeof(*t->files));
	t->files[t->file_count++] = mem_strdup(path);
	t->rows = mem_realloc(t->rows, (t->row_count + pf.count + 1) * sizeof(*t->rows));
	for (size_t i = 0; i < pf.count && t->row_count < ROWS_MAX; i++) {
		const struct pem_object *o = &pf.list[i];
		struct x509_names names;

		if (is_certificate(o) && x509_read(&names, buf_head(&o->der), o->der.len)) {
			t->rows[t->row_count++] = (struct trust_row){ name_hash(names.subject),
				(uint32_t)(t->file_count - 1), (uint32_t)o->at, (uint32_t)o->size };
		}
	}
	pem_free(&pf);
	if (t->row_count == before) {
		log_warn("cannot load Certification Authority data: %s: no usable certificate in "
			 "this file",
			path);
	}
}

/* is_hashed - "1a2b3c4d.0" */
static bool is_hashed(const char *name)
{
	size_t n = strspn(name, "0123456789abcdef");

	return n == 8 && name[8] == '.' && isdigit((unsigned char)name[9]);
}

static void walk(struct tls_trust *t, DIR *dir, bool hashed, size_t *count)
{
	struct buf path = BUF_INIT;
	struct dirent *entry;

	rewinddir(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || (hashed && !is_hashed(entry->d_name))) {
			continue;
		}
		++*count;
		buf_reset(&path);
		buf_addf(&path, "%s/%s", t->directory, entry->d_name);
		add_file(t, buf_str(&path));
	}
	buf_free(&path);
}

static void add_directory(struct tls_trust *t)
{
	DIR *dir = opendir(t->directory);
	size_t count = 0;

	if (dir == NULL) {
		log_warn("cannot load Certification Authority data: %s: %s", t->directory,
			strerror(errno));
		return;
	}
	walk(t, dir, true, &count);
	if (count == 0) {
		walk(t, dir, false, &count);
	}
	closedir(dir);
}

/* changed - since the stamps were taken, which are taken anew */
static bool changed(struct tls_trust *t)
{
	bool differs = t->generation == 0;

	for (size_t i = 0; i <= t->given_count; i++) {
		const char *path = i < t->given_count ? t->given[i] : t->directory;
		struct tls_stamp now;

		(void)tls_stamp_take(path, false, &now);
		differs = differs || !tls_stamp_same(&now, &t->stamps[i]);
		t->stamps[i] = now;
	}
	return differs;
}

unsigned tls_trust_refresh(struct tls_trust *t)
{
	time_t now = time(NULL);

	if (t->generation != 0 && now == t->looked) {
		return t->generation;
	}
	t->looked = now;
	if (!changed(t)) {
		return t->generation;
	}
	clear(t);
	for (size_t i = 0; i < t->given_count; i++) {
		add_file(t, t->given[i]);
	}
	if (t->directory[0] != '\0') {
		add_directory(t);
	}
	return ++t->generation;
}

/* ---- Look-up ---- */

/* read_row - the certificate of a row, into der; false: it is not there any more */
static bool read_row(const struct tls_trust *t, const struct trust_row *row, struct buf *der)
{
	int fd = open(t->files[row->file], O_RDONLY | O_CLOEXEC);
	char *text = mem_realloc(NULL, row->size + 1);
	struct pem_file pf = { NULL, 0 };
	ssize_t n = fd >= 0 ? pread(fd, text, row->size, (off_t)row->at) : -1;

	if (fd >= 0) {
		close(fd);
	}
	if (n == (ssize_t)row->size) {
		pem_parse(&pf, text, (size_t)n);
	}
	if (pf.count > 0 && is_certificate(&pf.list[0])) {
		buf_add(der, buf_head(&pf.list[0].der), buf_unread(&pf.list[0].der));
	}
	mem_free(text);
	pem_free(&pf);
	return der->len > 0;
}

size_t tls_trust_find(struct tls_trust *t, struct slice name, int64_t now,
	br_x509_trust_anchor *out, size_t max, enum tls_date *date_r)
{
	uint64_t hash = name_hash(name);
	size_t count = 0;

	for (size_t i = 0; i < t->row_count && count < max; i++) {
		struct buf der = BUF_INIT;
		enum tls_date date;

		if (t->rows[i].name != hash || !read_row(t, &t->rows[i], &der)) {
			buf_free(&der);
			continue;
		}
		date = tls_date_of(buf_head(&der), der.len, now);
		if (date != TLS_DATE_GOOD) {
			*date_r = date;
		} else if (tls_anchor_make(&out[count], buf_head(&der), der.len, false)) {
			count++;
		}
		buf_free(&der);
	}
	return count;
}
