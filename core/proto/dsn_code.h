#ifndef PROTO_DSN_CODE_H
#define PROTO_DSN_CODE_H

#include <stddef.h>

/*
 * Length of the enhanced status code at the head of text ("5.2.2 over quota": 5), which ends there
 * or before a blank; 0: there is none.
 */
size_t dsn_code_length(const char *text);

#endif
