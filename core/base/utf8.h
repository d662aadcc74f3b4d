#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Code point at s (len > 0), its length in *size_r; invalid (RFC 3629): -1 and size 1. */
int32_t utf8_get(const char *s, size_t len, size_t *size_r);

/*
 * Make text fit to be shown, in place: control bytes, bytes that are not UTF-8, C1 controls, line
 * separators and what turns the direction of text become '?' (one for each byte).
 */
void utf8_printable(char *text, size_t len);

#endif
