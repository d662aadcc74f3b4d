"""othermail - what goes between our server and another one: mails that are easily damaged, and what has come of them

Also Dovecot as a store: it takes mail by LMTP, keeps it in maildirs, and says who may log in.
"""

import os
import pwd
import smtplib
import subprocess
import tempfile
import time

HEAD = "From: s@test.example\nTo: a@far.example\nDate: Mon, 30 Nov 2026 12:00:00 +0000\nMessage-ID: <%s@test.example>\nSubject: %s\n"
MIME = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
DOVECOT = "/usr/sbin/dovecot"


def _mail(name, body, more=""):
    return ((HEAD % (name, name)) + more + "\n" + body).encode()


# Names and bytes, as they lie in a mailbox.
MAILS = {
    "dots": _mail("dots", ".\n..\n.\n. x\nFrom here\n>From there\n\n.\n"),
    "wide": _mail("wide", "Gr\u00fc\u00dfe aus K\u00f6ln, \u65e5\u672c\n", MIME),
    "blanks": _mail("blanks", "trailing  \n\t\n\n\n  two at the end\n\n\n"),
    "long-line": _mail("long-line", "x" * 998 + "\n" + "." * 998 + "\n"),
    "large": _mail("large", "".join("%d %s\n" % (n, "y" * (n % 70)) for n in range(6000))),
    "no-body": _mail("no-body", ""),
    "folded": _mail("folded", "text\n", "X-Folded: one\n  two\n\tthree\nX-Empty:\n"),
}


def submit(port, mail, sender, recipients, options=(), login=None, tls=True, each=()):
    """A mail by SMTP, with these words behind MAIL FROM and RCPT TO."""
    with smtplib.SMTP("127.0.0.1", port, "client.test.example", timeout=30) as smtp:
        smtp.ehlo()
        if tls and smtp.has_extn("starttls"):
            smtp.starttls()
            smtp.ehlo()
        if login:
            smtp.login(*login)
        if b"\xc3" in mail and "BODY=8BITMIME" not in options:
            options = [*options, "BODY=8BITMIME"]
        smtp.sendmail(sender, recipients, mail.replace(b"\n", b"\r\n"), mail_options=list(options), rcpt_options=list(each))


def in_maildir(path):
    """The messages of a maildir, bytes each."""
    found = []
    for folder in ("new", "cur"):
        directory = os.path.join(path, folder)
        for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
            with open(os.path.join(directory, name), "rb") as file:
                found.append(file.read())
    return found


def wait_maildir(path, count, seconds=20):
    """... when there are so many."""
    end = time.monotonic() + seconds
    while True:
        found = in_maildir(path)
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.05)


def not_whole(found, mails):
    """Names of those mails that are not there once, byte for byte, below what servers put on top."""
    return [name for name, mail in mails.items() if sum(message.endswith(b"\n" + mail) for message in found) != 1]


class Dovecot:
    """LMTP at dir/lmtp, IMAP at a port, Dovecot's authentication at dir/auth; users with passwords."""

    def __init__(self, users, port, mechanisms="plain login"):
        self.dir, self.port = tempfile.mkdtemp(prefix="pillarbox-dovecot-"), port
        os.chmod(self.dir, 0o755)
        owner = pwd.getpwnam("nobody")
        for name in ("run", "mail", "home"):
            os.mkdir(os.path.join(self.dir, name))
            os.chown(os.path.join(self.dir, name), owner.pw_uid if name != "run" else 0, -1)
        with open(self.dir + "/users", "w", encoding="ascii") as file:
            file.write("".join("%s:{PLAIN}%s:%d:%d::%s/home::\n" % (
                user, password, owner.pw_uid, owner.pw_gid, self.dir) for user, password in users.items()))
        with open(self.dir + "/dovecot.conf", "w", encoding="ascii") as file:
            file.write(CONF.replace("$DIR", self.dir).replace("$PORT", str(port)).replace("$MECHANISMS", mechanisms))
        subprocess.run([DOVECOT, "-c", self.dir + "/dovecot.conf"], check=True, timeout=60, stderr=subprocess.DEVNULL)

    def path(self, user):
        return "%s/mail/%s" % (self.dir, user)

    def log(self):
        with open(self.dir + "/log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        subprocess.run([DOVECOT, "-c", self.dir + "/dovecot.conf", "stop"], check=False, timeout=60, stderr=subprocess.DEVNULL)
        if not os.environ.get("FLOW_KEEP"):
            subprocess.run(["rm", "-rf", self.dir], check=False)


CONF = """base_dir = $DIR/run
log_path = $DIR/log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = $MECHANISMS
auth_username_format = %Ln
mail_location = maildir:$DIR/mail/%n
first_valid_uid = 1
first_valid_gid = 1
lmtp_save_to_detail_mailbox = no
recipient_delimiter = +
passdb {
  driver = passwd-file
  args = $DIR/users
}
userdb {
  driver = passwd-file
  args = $DIR/users
}
service imap-login {
  inet_listener imap {
    port = $PORT
  }
  inet_listener imaps {
    port = 0
  }
}
service lmtp {
  unix_listener $DIR/lmtp {
    mode = 0666
  }
}
service auth {
  unix_listener $DIR/auth {
    mode = 0666
  }
}
"""
