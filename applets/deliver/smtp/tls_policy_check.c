/*
 * tls_policy_check - what `postfix check' says of smtp_tls_* and lmtp_tls_*
 *
 * The agents go on with what they can; what they cannot do makes mail wait, and that is better
 * known before.
 */
#include <stdarg.h>

#include "base/mem.h"
#include "base/str.h"
#include "cert/pem.h"
#include "conf/params.h"
#include "applets/deliver/smtp/tls_policy_impl.h"

struct checking {
	const struct tls_settings *s;
	void (*warn)(const char *text);
};

static void say(const struct checking *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct checking *c, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addvf(&text, fmt, ap);
	va_end(ap);
	c->warn(buf_str(&text));
	buf_free(&text);
}

static void check_protocols(const struct checking *c, const char *name, const char *value)
{
	int min, max;

	if (!tls_versions(value, &min, &max)) {
		say(c, "%s_tls_%s = %s: invalid TLS protocol list", c->s->service, name, value);
	} else if (min > max) {
		say(c, "%s_tls_%s = %s: this build has TLSv1, TLSv1.1 and TLSv1.2", c->s->service,
			name, value);
	}
}

static void check_grade(const struct checking *c, const char *name, const char *value)
{
	if (!list_has("export low medium high", value)) {
		say(c, "%s_tls_%s = %s: no such cipher grade", c->s->service, name, value);
	}
}

/* check_anchors - a list of files; the files are there and hold something */
static void check_anchors(const struct checking *c, const char *name, const char *files)
{
	struct slice rest = slice_of(files), word;

	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		char *path = mem_strndup(word.ptr, word.len), *error = NULL;
		struct pem_file pf = { NULL, 0 };

		if (pem_load(&pf, path, &error) != 0) {
			say(c, "%s_tls_%s: %s", c->s->service, name, error);
			mem_free(error);
		} else if (pf.count == 0) {
			say(c, "%s_tls_%s: %s: no certificate in this file", c->s->service, name,
				path);
		}
		pem_free(&pf);
		mem_free(path);
	}
}

static void check_own(const struct checking *c)
{
	struct tls_server_config own;
	struct tls_client_config config = { .own = &own };
	struct buf error = BUF_INIT;
	struct tls_client *client;

	if (!tls_settings_own(c->s, &own)) {
		return;
	}
	client = tls_client_new(&config, &error);
	if (client == NULL) {
		say(c, "%s_tls_cert_file: %s", c->s->service, buf_str(&error));
	}
	tls_client_free(client);
	buf_free(&error);
}

void tls_policies_check(bool lmtp, void (*warn)(const char *text))
{
	struct tls_settings s;
	struct checking c = { &s, warn };
	enum tls_level level;

	tls_settings_load(&s, lmtp);
	if (!tls_settings_level(&s, &level)) {
		say(&c, "%s_tls_security_level: invalid TLS level \"%s\"", s.service, s.level);
		return;
	}
	if (level == TLS_LEVEL_NONE && s.policy_maps[0] == '\0' && s.per_site[0] == '\0') {
		return;
	}
	if (level >= TLS_LEVEL_VERIFY && s.ca_file[0] == '\0' && s.ca_path[0] == '\0' &&
		s.anchors[0] == '\0') {
		say(&c,
			"%s_tls_security_level = %s: without %s_tls_CAfile or %s_tls_CApath no "
			"server "
			"is "
			"trusted",
			s.service, tls_level_name(level), s.service, s.service);
	}
	if (level == TLS_LEVEL_FINGERPRINT && s.fingerprints[0] == '\0') {
		say(&c,
			"%s_tls_security_level = fingerprint: without "
			"%s_tls_fingerprint_cert_match "
			"there is none to match",
			s.service, s.service);
	}
	if (!tls_digest_known(s.digest)) {
		say(&c, "%s_tls_fingerprint_digest = %s: no such digest", s.service, s.digest);
	}
	check_protocols(&c, "protocols", s.protocols);
	check_protocols(&c, "mandatory_protocols", s.mandatory_protocols);
	check_grade(&c, "ciphers", s.ciphers);
	check_grade(&c, "mandatory_ciphers", s.mandatory_ciphers);
	check_anchors(&c, "CAfile", s.ca_file);
	check_anchors(&c, "trust_anchor_file", s.anchors);
	check_own(&c);
}
