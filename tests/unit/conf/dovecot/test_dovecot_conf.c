/*
 * test_dovecot_conf - dovecot.conf in both dialects
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "conf/params.h"
#include "unit.h"

static const char *write_conf(const char *name, const char *text)
{
	static char path[512];
	FILE *fp;

	snprintf(path, sizeof(path), "%s/%s", unit_tmpdir(), name);
	fp = fopen(path, "w");
	REQUIRE(fp != NULL);
	fputs(text, fp);
	fclose(fp);
	return path;
}

static void load(const char *text)
{
	char *error = NULL;

	if (dovecot_conf_load(write_conf("dovecot.conf", text), false, &error) != 0) {
		CHECK_STR(error, NULL);
	}
	mem_free(error);
}

/* dump - a tree as one line */
static void dump(const struct conf_node *section, struct buf *out)
{
	for (const struct conf_node *n = section->first; n != NULL; n = n->next) {
		if (n->value != NULL) {
			buf_addf(out, "%s=%s;", n->key, n->value);
		} else {
			buf_addf(out, "%s %s{", n->key, n->name != NULL ? n->name : "");
			dump(n, out);
			buf_addc(out, '}');
		}
	}
}

static const struct {
	const char *text, *want;
} rows[] = {
	{ "", "" },
	{ "# c\n  # d\n\nssl = no\n", "ssl=no;" },
	{ "ssl=no # c\n", "ssl=no;" },
	{ "ssl = no\nssl = yes\n", "ssl=yes;" },
	{ "log_path =\n", "log_path=;" },
	{ "login_greeting = \"a # b \\\" \\\\ c\"\n", "login_greeting=a # b \" \\ c;" },
	{ "login_greeting = 'a # b'\n", "login_greeting=a # b;" },
	{ "login_greeting = it's # x'\n", "login_greeting=it's # x';" },
	{ "listen = a, \\\n   b \\\n  c\nssl = no\n", "listen=a, b c;ssl=no;" },
	{ "ssl_cert = </etc/x.pem\n", "ssl_cert=</etc/x.pem;" },
	{ "service imap-login {\n inet_listener imap {\n  port = 0\n }\n}\nservice imap-login {\n "
	  "inet_listener imap {\n"
	  "  address = ::1\n }\n user = x\n}\n",
		"service imap-login{inet_listener imap{port=0;address=::1;}user=x;}" },
	{ "service \"a b\" {\n}\nprotocol !lmtp {\n}\nlocal_name x.y {\n protocol imap {\n  "
	  "ssl_cert = z\n }\n}\n",
		"service a b{}protocol !lmtp{}local_name x.y{protocol imap{ssl_cert=z;}}" },
	{ "passdb {\n driver = a\n}\npassdb {\n driver = b\n}\nplugin {\n a = 1\n}\nplugin {\n b = "
	  "2\n a = 3\n}\n",
		"passdb {driver=a;}passdb {driver=b;}plugin {a=3;b=2;}" },
	{ "namespace inbox {\n mailbox Sent { special_use = \\Sent }\n mailbox \"Sent Mail\" {\n  "
	  "auto = no\n }\n}\n",
		"namespace inbox{mailbox Sent{special_use=\\Sent;}mailbox Sent Mail{auto=no;}}" },
	{ "mail_plugins = a\nmail_plugins = $mail_plugins b\nprotocol imap {\n mail_plugins = "
	  "$mail_plugins c\n}\n",
		"mail_plugins=a b;protocol imap{mail_plugins=a b c;}" },
	{ "login_greeting = $unknown %$: \"$ssl\" $\n", "login_greeting=$unknown %$: \"yes\" $;" },
	{ "login_greeting = \"$ssl\"\n", "login_greeting=$ssl;" },
	{ "auth_allow_cleartext = yes\nssl_server_cert_file = /a\nssl_server_key_file = /b\n",
		"disable_plaintext_auth=no;ssl_cert=/a;ssl_key=/b;" },
	{ "mail_driver = maildir\nmail_path = ~/Maildir\nmail_inbox_path = /x\n",
		"mail_driver=maildir;mail_path=~/Maildir;mail_inbox_path=/"
		"x;mail_location=maildir:~/Maildir:INBOX=/x;" },
	{ "protocols {\n imap = yes\n lmtp = no\n pop3 = yes\n}\n",
		"protocols {imap=yes;lmtp=no;pop3=yes;}protocols=imap pop3;" },
	{ "passdb passwd-file {\n passwd_file_path = /u\n default_password_scheme = PLAIN\n}\n"
	  "userdb static {\n fields {\n  uid = v\n  home = /h/%{user}\n }\n}\n",
		"passdb "
		"passwd-file{passwd_file_path=/u;default_password_scheme=PLAIN;driver=passwd-file;"
		"args=scheme=PLAIN /u;}userdb static{fields {uid=v;home=/h/%{user};}driver=static;"
		"args=uid=v home=/h/%{user};}" },
};

TEST(dovecot_conf, tree)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = BUF_INIT;

		CHECK_ROW(rows[i].text);
		load(rows[i].text);
		dump(dovecot_conf_root(), &out);
		CHECK_STR(buf_str(&out), rows[i].want);
		buf_free(&out);
	}
}

static const struct {
	const char *text, *want;
} errors[] = {
	{ "ssl = no\nnonsense\n", ":2: expecting '=' or '{': nonsense" },
	{ "= no\n", ":1: setting without a name" },
	{ "\n}\n", ":2: unexpected '}'" },
	{ "service x {\n a = b\n", ":1: section is not closed: service" },
	{ "{\n}\n", ":1: section without a type" },
	{ "!include none.conf\n", ":1: no such file: " },
	{ "ssl = a\\", ":1: the last line ends in '\\'" },
	{ "!include dovecot.conf\n", ":1: too many files within files" },
};

TEST(dovecot_conf, errors_name_file_and_line)
{
	load("ssl = required\n");
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		const char *path = write_conf("dovecot.conf", errors[i].text);
		char *error = NULL;

		CHECK_ROW(errors[i].text);
		CHECK_INT(dovecot_conf_load(path, false, &error), -1);
		REQUIRE(error != NULL && str_starts(error, path));
		CHECK(str_starts(error + strlen(path), errors[i].want));
		mem_free(error);
	}
	CHECK_STR(setting.ssl, "required");
}

TEST(dovecot_conf, sections_nest_within_bounds)
{
	struct buf text = BUF_INIT;
	char *error = NULL;

	for (int i = 0; i < 100000; i++) {
		buf_adds(&text, "service x {\n");
	}
	CHECK_INT(dovecot_conf_load(write_conf("dovecot.conf", text.data), false, &error), -1);
	CHECK(error != NULL && strstr(error, ":32: too many sections") != NULL);
	mem_free(error);
	buf_free(&text);
}

TEST(dovecot_conf, includes)
{
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/conf.d", unit_tmpdir());
	REQUIRE(mkdir(dir, 0700) == 0);
	write_conf("conf.d/10-b.conf", "ssl = no\nlisten = b\n");
	write_conf("conf.d/20-a.conf", "ssl = required\n");
	load("!include conf.d/*.conf\n!include_try none.conf\n!include none.d/*.conf\nprotocol "
	     "imap {\n"
	     "  !include conf.d/10-*.conf\n}\n");
	CHECK_STR(setting.ssl, "required");
	CHECK_STR(setting.listen, "b");
	CHECK_STR(conf_protocol_setting("imap", "ssl"), "no");
	CHECK_STR(conf_protocol_setting("pop3", "ssl"), "required");
	CHECK_STR(conf_protocol_setting("pop3", "log_path"), "syslog");
	CHECK(conf_protocol_setting("pop3", "no_such") == NULL);
}

TEST(dovecot_conf, defaults_and_conversion)
{
	load("");
	CHECK_INT(setting.disable_plaintext_auth, 1);
	CHECK_INT(setting.imap_idle_notify_interval, 120);
	CHECK_INT(setting.imap_max_line_length, 65536);
	CHECK_INT(setting.imap_max_line_length, 65536);
	CHECK_STR(setting.mail_location, "mbox:~/mail:INBOX=/var/mail/%u");
	CHECK_STR(setting.protocols, "imap pop3 lmtp");
	CHECK_INT(setting.auth_failure_delay, 2);
	load("imap_idle_notify_interval = 1500 ms\nimap_max_line_length = "
	     "3kB\nmail_max_userip_connections = unlimited\n"
	     "auth_failure_delay = 1 hour\nfirst_valid_uid = 0\nauth_verbose = y\n");
	CHECK_INT(setting.imap_idle_notify_interval, 2);
	CHECK_INT(setting.imap_max_line_length, 3072);
	CHECK_INT(setting.mail_max_userip_connections, 1000000);
	CHECK_INT(setting.auth_failure_delay, 3600);
	CHECK_INT(setting.first_valid_uid, 0);
	CHECK_INT(setting.auth_verbose, 1);
	load("imap_idle_notify_interval = soon\nimap_max_line_length = -1\nfirst_valid_uid = "
	     "x\nauth_verbose = maybe\n");
	CHECK_INT(setting.imap_idle_notify_interval, 120);
	CHECK_INT(setting.imap_max_line_length, 65536);
	CHECK_INT(setting.first_valid_uid, 500);
	CHECK_INT(setting.auth_verbose, 0);
}

TEST(dovecot_conf, walking)
{
	const struct conf_node *n = NULL;
	int count = 0;

	load("passdb {\n driver = a\n}\nuserdb {\n driver = c\n}\npassdb {\n driver = b\n args = "
	     "x\n}\n");
	while ((n = conf_next_section(dovecot_conf_root(), "passdb", n)) != NULL) {
		CHECK_STR(conf_setting(n, "driver", NULL), count++ == 0 ? "a" : "b");
	}
	CHECK_INT(count, 2);
	CHECK_STR(conf_setting(conf_section(dovecot_conf_root(), "userdb", NULL), "driver", NULL),
		"c");
	CHECK(conf_section(dovecot_conf_root(), "service", "x") == NULL);
	CHECK_STR(conf_setting(NULL, "x", "def"), "def");
	CHECK_STR(dovecot_file_path("< /a b"), "/a b");
	CHECK_STR(dovecot_file_path("/a"), "/a");
}

static const struct {
	const char *text, *want;
} expansions[] = {
	{ "/var/mail/%u", "/var/mail/Ann@Ex.Org" },
	{ "%n at %d", "Ann at Ex.Org" },
	{ "%h/x", "/home/ann/x" },
	{ "%s", "imap" },
	{ "%Lu", "ann@ex.org" },
	{ "%Un", "ANN" },
	{ "%1n/%1.1n/%0.2Ln", "A/n/an" },
	{ "100%%", "100%" },
	{ "%{user}", "Ann@Ex.Org" },
	{ "%{user | lower}", "ann@ex.org" },
	{ "%{user|username|upper}", "ANN" },
	{ "%{user | domain}", "Ex.Org" },
	{ "%{domain}%{home}", "Ex.Org/home/ann" },
	{ "%L{user}", "ann@ex.org" },
	{ "%{nope}", "UNSUPPORTED_VARIABLE_nope" },
	{ "%y", "UNSUPPORTED_VARIABLE_y" },
	{ "a%", "a" },
	{ "%{user", "Ann@Ex.Org" },
};

TEST(dovecot_conf, variables)
{
	for (size_t i = 0; i < ARRAY_LEN(expansions); i++) {
		char *got = dovecot_expand(expansions[i].text, "Ann@Ex.Org", "/home/ann", "imap");

		CHECK_ROW(expansions[i].text);
		CHECK_STR(got, expansions[i].want);
		mem_free(got);
	}
}

/* Where mail is follows main.cf unless dovecot.conf says it. */
TEST(dovecot_conf, follows_main_cf)
{
	static const struct {
		const char *main_cf, *dovecot, *want;
	} places[] = {
		{ "", "", "mbox:~/mail:INBOX=/var/mail/%u" },
		{ "mail_spool_directory = /flash/mail\n", "", "mbox:~/mail:INBOX=/flash/mail/%u" },
		{ "mail_spool_directory = /flash/mail/\n", "", "maildir:/flash/mail/%u" },
		{ "home_mailbox = Maildir/\n", "", "maildir:~/Maildir" },
		{ "home_mailbox = Mailbox\nmail_spool_directory = /x\n", "",
			"mbox:~/mail:INBOX=~/Mailbox" },
		{ "home_mailbox = Maildir/\n", "mail_location = mbox:~/m\n", "mbox:~/m" },
	};
	char *error = NULL;

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		CHECK_ROW(places[i].main_cf);
		write_conf("main.cf", places[i].main_cf);
		CHECK_INT(conf_load(unit_tmpdir(), false, &error), 0);
		load(places[i].dovecot);
		CHECK_STR(setting.mail_location, places[i].want);
		CHECK_STR(conf_protocol_setting("imap", "mail_location"), places[i].want);
	}
	mem_free(error);
}
