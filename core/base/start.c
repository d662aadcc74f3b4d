/*
 * start - the first instructions: packed relocations, which older musl lacks
 *
 * A position-independent static program has a word to add its address to for
 * every pointer in constant data: 2,400 of 24 bytes each as plain relocations,
 * half a kilobyte in the packed form (DT_RELR). musl applies that since 1.2.4
 * only, so with an older one (START_RELR, set by the Makefile) the program
 * begins here, applies them and goes on to musl's own start, which finds the
 * plain ones left to do. Nothing may be called and no constant pointer used
 * before that.
 *
 * System V ABI, generic: "Relative Relocations" (SHT_RELR); x86-64 only.
 */
#include <stddef.h>

#if START_RELR

#include <elf.h>

enum { TAG_RELRSZ = 35, TAG_RELR = 36 }; /* not in the elf.h of that musl */

extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));
extern char __ehdr_start[] __attribute__((visibility("hidden")));

void start_relocate(void);

/* start_relocate - an even row is the address of a word; an odd one is a bitmap
 * of which of the next 63 words are to be relocated as well */
__attribute__((used, visibility("hidden"), optimize("no-stack-protector"))) void start_relocate(
	void)
{
	size_t base = (size_t)__ehdr_start, bytes = 0;
	const size_t *row = NULL;
	size_t *word = NULL;

	for (const Elf64_Dyn *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == TAG_RELR) {
			row = (const size_t *)(base + entry->d_un.d_ptr);
		} else if (entry->d_tag == TAG_RELRSZ) {
			bytes = entry->d_un.d_val;
		}
	}
	for (; bytes > 0; bytes -= sizeof(*row), row++) {
		if ((*row & 1) == 0) {
			word = (size_t *)(base + *row);
			*word++ += base;
			continue;
		}
		for (size_t i = 0, bits = *row >> 1; bits != 0; i++, bits >>= 1) {
			if ((bits & 1) != 0) {
				word[i] += base;
			}
		}
		word += 8 * sizeof(*row) - 1;
	}
}

/* The kernel enters here with the stack as _start wants it, and rdx zero. */
__asm__(".globl pillarbox_start\n"
	".hidden pillarbox_start\n"
	".type pillarbox_start, @function\n"
	"pillarbox_start:\n"
	"\tcall start_relocate\n"
	"\txorl %edx, %edx\n"
	"\tjmp _start\n");

#endif
