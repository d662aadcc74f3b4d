#ifndef CERT_PEM_H
#define CERT_PEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* PEM files (RFC 7468), as certificate authorities, tools and editors leave them. */

struct pem_object {
	char name[64];   /* "CERTIFICATE", "RSA PRIVATE KEY" */
	int line;        /* of its BEGIN, from 1 */
	size_t at, size; /* where it stands in its file */
	bool encrypted;  /* by a passphrase: Proc-Type (RFC 1421) or its name */
	bool damaged;    /* no END, or not base64; der is empty then */
	struct buf der;
};

struct pem_file {
	struct pem_object *list;
	size_t count;
};

/*
 * Add the objects of a file to pf, which starts zeroed. Text around objects, any line ends, white
 * space around lines and a byte order mark are passed over. 0, or -1 with a text that names the
 * file (caller frees): it cannot be read, or holds no PEM at all but another form that is known.
 */
int pem_load(struct pem_file *pf, const char *path, char **error_r);
/* The same from memory. */
void pem_parse(struct pem_file *pf, const char *text, size_t len);
/* Overwrites what may be a key. */
void pem_free(struct pem_file *pf);

#endif
