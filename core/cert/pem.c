/*
 * pem - objects of PEM files: certificates and keys
 *
 * Files come from authorities, from Windows, out of a PKCS#12 bag, out of a YAML block: what
 * OpenSSL reads past is read past here too. What is there and cannot be used is kept as damaged or
 * encrypted, so that whoever needs it can say so instead of "not found".
 *
 * RFC 7468 (PEM; section 2: white space and line ends), RFC 1421 4.4 (headers of encrypted keys).
 */
#include "cert/pem.h"

#include <errno.h>
#include <string.h>

#include "base/encode.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { PEM_FILE_MAX = 4 << 20, PEM_OBJECTS_MAX = 2000 };

void pem_free(struct pem_file *pf)
{
	for (size_t i = 0; i < pf->count; i++) {
		if (pf->list[i].der.data != NULL) {
			memset(pf->list[i].der.data, 0, pf->list[i].der.cap);
		}
		buf_free(&pf->list[i].der);
	}
	mem_free(pf->list);
	memset(pf, 0, sizeof(*pf));
}

/* next_line - a line without white space around it; CR LF, LF and CR end it. False: no more */
static bool next_line(struct slice *rest, struct slice *line)
{
	size_t n = 0;

	if (rest->len == 0) {
		return false;
	}
	while (n < rest->len && rest->ptr[n] != '\n' && rest->ptr[n] != '\r') {
		n++;
	}
	*line = slice_trim((struct slice){ rest->ptr, n });
	if (n + 1 < rest->len && rest->ptr[n] == '\r' && rest->ptr[n + 1] == '\n') {
		n++;
	}
	n += n < rest->len ? 1 : 0;
	rest->ptr += n;
	rest->len -= n;
	return true;
}

/* boundary - the name in "-----BEGIN name-----" or "-----END name-----" */
static bool boundary(struct slice line, const char *word, struct slice *name)
{
	size_t start = strlen(word);

	if (line.len < start + 5 || memcmp(line.ptr, word, start) != 0 ||
		memcmp(line.ptr + line.len - 5, "-----", 5) != 0) {
		return false;
	}
	*name = (struct slice){ line.ptr + start, line.len - start - 5 };
	return true;
}

static struct pem_object *add_object(struct pem_file *pf, struct slice name, int line)
{
	struct pem_object *o;

	pf->list = mem_realloc(pf->list, (pf->count + 1) * sizeof(*pf->list));
	o = &pf->list[pf->count++];
	memset(o, 0, sizeof(*o));
	memcpy(o->name, name.ptr, name.len < sizeof(o->name) ? name.len : sizeof(o->name) - 1);
	o->line = line;
	o->encrypted = strcmp(o->name, "ENCRYPTED PRIVATE KEY") == 0;
	return o;
}

/* read_object - what follows a BEGIN line, up to its END */
static void read_object(struct pem_object *o, struct slice *rest, int *line_number)
{
	struct slice line, name, before = *rest;
	struct buf text = BUF_INIT;
	bool ended = false;

	while (!ended && next_line(rest, &line)) {
		if (boundary(line, "-----BEGIN ", &name)) {
			*rest = before; /* the END is missing: the next object is whole */
			break;
		}
		++*line_number;
		before = *rest;
		ended = boundary(line, "-----END ", &name);
		if (memchr(line.ptr, ':', line.len) != NULL) {
			o->encrypted =
				o->encrypted || memmem(line.ptr, line.len, "ENCRYPTED", 9) != NULL;
		} else if (!ended) {
			buf_add(&text, line.ptr, line.len);
		}
	}
	o->damaged = !ended || !slice_eq(name, o->name) || text.len == 0 ||
		(!o->encrypted && !base64_decode(&o->der, buf_str(&text), text.len));
	if (o->damaged) {
		buf_reset(&o->der);
	}
	if (text.data != NULL) {
		memset(text.data, 0, text.cap);
	}
	buf_free(&text);
}

void pem_parse(struct pem_file *pf, const char *text, size_t len)
{
	struct slice rest = { text, len }, line, name;
	int line_number = 0;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		rest = (struct slice){ text + 3, len - 3 };
	}
	while (pf->count < PEM_OBJECTS_MAX && next_line(&rest, &line)) {
		line_number++;
		if (boundary(line, "-----BEGIN ", &name)) {
			struct pem_object *o = add_object(pf, name, line_number);

			o->at = (size_t)(line.ptr - text);
			read_object(o, &rest, &line_number);
			o->size = (size_t)(rest.ptr - text) - o->at;
		}
	}
}

/* other_form - what a file without PEM objects is, where it shows; NULL: nothing known */
static const char *other_form(const char *text, size_t len)
{
	if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0)) {
		return "the text is UTF-16: store it as ASCII or UTF-8";
	}
	if (len >= 2 && text[0] == 0x30 && (text[1] & 0x80) != 0) {
		return "this is DER or PKCS#12 and not PEM: convert it (openssl x509 -inform der, "
		       "openssl pkcs12 -nodes)";
	}
	return NULL;
}

int pem_load(struct pem_file *pf, const char *path, char **error_r)
{
	size_t len, before = pf->count;
	char *text = file_read(path, PEM_FILE_MAX, &len);
	struct buf error = BUF_INIT;
	const char *form = NULL;

	if (text == NULL) {
		buf_addf(&error, "%s: %s", path, strerror(errno));
		*error_r = buf_steal(&error);
		return -1;
	}
	pem_parse(pf, text, len);
	if (pf->count == before) {
		form = other_form(text, len);
	}
	memset(text, 0, len);
	mem_free(text);
	if (form != NULL) {
		buf_addf(&error, "%s: %s", path, form);
		*error_r = buf_steal(&error);
		return -1;
	}
	return 0;
}
