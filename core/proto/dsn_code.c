/*
 * dsn_code - enhanced status codes at the head of a text
 *
 *	class "." subject "." detail	class 2, 4 or 5; the others of one to three digits
 *
 * RFC 3463 section 2.
 */
#include "proto/dsn_code.h"

#include <string.h>

/* part - digits of a subject or detail, one to three; 0: it is none */
static size_t part(const char *p)
{
	size_t n = strspn(p, "0123456789");

	return n <= 3 ? n : 0;
}

size_t dsn_code_length(const char *text)
{
	size_t subject, detail, len;

	if ((text[0] != '2' && text[0] != '4' && text[0] != '5') || text[1] != '.') {
		return 0;
	}
	subject = part(text + 2);
	if (subject == 0 || text[2 + subject] != '.') {
		return 0;
	}
	detail = part(text + 3 + subject);
	len = 3 + subject + detail;
	return detail > 0 && (text[len] == '\0' || strchr(" \t\r\n", text[len]) != NULL) ? len : 0;
}
