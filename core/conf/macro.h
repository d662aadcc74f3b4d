#ifndef CONF_MACRO_H
#define CONF_MACRO_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * $name expansion, as main.cf has it and as other texts use it that are expanded
 * when they are needed (mailbox_command, forward_path, default_rbl_reply):
 *
 *	$name ${name} $(name)			the value
 *	${name?text} ${name?{text}}		text if the value is not empty
 *	${name:text} ${name:{text}}		text if it is empty or there is none
 *	${name?{text1}:{text2}}
 *	${{a} == {b} ? {text1} : {text2}}	== != < <= > >=, numbers as numbers; <level and
 *						its kin compare compatibility levels
 *	$$					a dollar sign
 */
struct expand {
	/* Value of name, or NULL when there is none; valid until the next look-up. */
	const char *(*lookup)(void *arg, const char *name);
	void *arg;
	bool recursive;     /* values are expanded themselves */
	const char *filter; /* NULL, or the bytes values may hold: others become '_' */
	bool keep_unknown;  /* $name without a value stays as written; else it is "" */
};

/* Append the expansion of text. 0, or -1 with what is wrong in *error_r (caller frees). */
int expand_text(const struct expand *e, struct buf *out, const char *text, char **error_r);

#endif
