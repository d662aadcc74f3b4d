#ifndef BASE_IDNA_H
#define BASE_IDNA_H

#include <stdbool.h>

enum { IDNA_ROOM = 256 };

/*
 * A host's name as name servers have it: "bücher.example" is "xn--bcher-kva.example" there. One in
 * ASCII is given back as it is, any other stands in room. NULL: it has no such form (it is not
 * UTF-8, or too long). *sure_r: what was asked for is certainly that; else it may be written in
 * another way that means the same and is known (this has no tables of Unicode's normalization): an
 * answer that there is no such name is then not to be believed.
 */
const char *idna_ascii(const char *name, char room[IDNA_ROOM], bool *sure_r);

#endif
