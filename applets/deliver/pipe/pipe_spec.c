/*
 * pipe_spec - the attributes of a pipe service in master.cf
 *
 *	flags=DRhu user=uucp:uucp directory=/var/spool eol=\r\n argv=/bin/x -f ${sender}
 *
 * argv= is the last; what braces keep together is one word already. An empty argv= in front of the
 * command ("argv= /bin/x") is taken as people mean it.
 *
 * Manual: Postfix's pipe(8).
 */
#include "applets/deliver/pipe/pipe_spec.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"

/* Letters of flags= in the order of their values. */
static const char letters[] = "BDFORXhqu.>";

static void parse_flags(struct pipe_spec *s, const char *text)
{
	for (; *text != '\0'; text++) {
		const char *at = strchr(letters, *text);

		if (at == NULL) {
			log_warn("unknown flag: %c (ignored)", *text);
		} else {
			s->flags |= 1U << (at - letters);
		}
	}
}

/* octal - up to three digits behind a backslash */
static char octal(const char **p)
{
	unsigned v = 0;

	for (int i = 0; i < 3 && **p >= '0' && **p <= '7'; i++) {
		v = v * 8 + (unsigned)(*(*p)++ - '0');
	}
	return (char)v;
}

/* unescape - \r\n and their like; a NUL ends the text */
static const char *unescape(struct arena *a, const char *text)
{
	static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
	char *out = arena_strdup(a, text), *to = out;

	while (*text != '\0') {
		const char *at;

		if (*text != '\\' || text[1] == '\0') {
			*to++ = *text++;
			continue;
		}
		text++;
		at = strchr(names, *text);
		if (at != NULL) {
			*to++ = values[at - names];
			text++;
		} else if (*text >= '0' && *text <= '7') {
			*to++ = octal(&text);
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
	return out;
}

static void parse_user(struct arena *a, struct pipe_spec *s, const char *text)
{
	const char *colon = strchr(text, ':');

	s->user = colon != NULL ? arena_strndup(a, text, (size_t)(colon - text)) : text;
	s->group = colon != NULL ? colon + 1 : NULL;
}

/* value_of - the text behind name=, or NULL */
static const char *value_of(const char *word, const char *name)
{
	size_t len = strlen(name);

	return strncmp(word, name, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

/* parse_word - one attribute but argv=; false: error */
static bool parse_word(struct arena *a, const char *word, struct pipe_spec *s, const char **error)
{
	const char *v;

	if ((v = value_of(word, "flags")) != NULL) {
		parse_flags(s, v);
	} else if ((v = value_of(word, "user")) != NULL) {
		parse_user(a, s, v);
	} else if ((v = value_of(word, "directory")) != NULL) {
		s->directory = v;
	} else if ((v = value_of(word, "chroot")) != NULL) {
		s->chroot = v;
	} else if ((v = value_of(word, "eol")) != NULL) {
		s->eol = unescape(a, v);
	} else if ((v = value_of(word, "null_sender")) != NULL) {
		s->null_sender = v;
	} else if ((v = value_of(word, "size")) != NULL) {
		if (!str_to_int(v, 0, INT64_MAX, &s->size)) {
			*error = arena_printf(a, "bad size= value: %s", v);
			return false;
		}
	} else {
		*error = arena_printf(a, "unknown attribute name: %s", word);
		return false;
	}
	return true;
}

bool pipe_spec_parse(struct arena *a, char *const *words, struct pipe_spec *s, const char **error)
{
	*s = (struct pipe_spec){ .eol = "\n", .null_sender = "MAILER-DAEMON" };
	for (; *words != NULL; words++) {
		const char *v = value_of(*words, "argv");

		if (v != NULL) {
			size_t count = 0;
			char **argv;

			words += *v == '\0';
			while (words[count] != NULL) {
				count++;
			}
			argv = arena_alloc(a, (count + 1) * sizeof(*argv));
			memcpy(argv, words, count * sizeof(*argv));
			if (count > 0 && *v != '\0') {
				argv[0] = arena_strdup(a, v);
			}
			s->argv = count > 0 ? argv : NULL;
			break;
		}
		if (!parse_word(a, *words, s, error)) {
			return false;
		}
	}
	*error = s->user == NULL || s->user[0] == '\0' ? "missing user= command-line attribute"
		: s->argv == NULL                      ? "missing argv= command-line attribute"
						       : NULL;
	return *error == NULL;
}
