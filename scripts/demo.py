"""demo - a mail's way through a running sandbox, step by step (for scripts/run)

usage: demo.py DIR BASE
"""

import imaplib
import os
import smtplib
import subprocess
import sys
import time

directory, base = sys.argv[1], int(sys.argv[2])
env = dict(os.environ, MAIL_CONFIG=directory + "/etc/postfix")


def step(number, text):
    print("\n%d. %s" % (number, text), flush=True)


def show(text):
    for line in text.splitlines():
        print("   | " + line)


subject = "A mail's way %d" % time.time_ns()
step(1, "SMTP: alice sends to tester on port %d" % (base + 25))
with smtplib.SMTP("127.0.0.1", base + 25, "client.example", timeout=20) as smtp:
    smtp.ehlo()
    smtp.mail("alice@test.example")
    smtp.rcpt("tester@test.example")
    code, reply = smtp.data("From: Alice <alice@test.example>\r\nTo: tester@test.example\r\n"
                            "Subject: %s\r\n\r\nHello, this went all the way.\r\n" % subject)
show("%d %s" % (code, reply.decode()))
queue_id = reply.decode().split()[-1]

step(2, "Queue: what the log says of %s" % queue_id)
end = time.monotonic() + 20
lines = []
while time.monotonic() < end and not any("removed" in line for line in lines):
    with open(directory + "/log/maillog", errors="replace") as file:
        lines = [line for line in file.read().splitlines() if queue_id in line]
    time.sleep(0.02)
show("\n".join(lines))
show(subprocess.run([directory + "/bin/mailq"], env=env, capture_output=True, text=True, check=False).stdout)

step(3, "Mailbox: %s/mail/tester" % directory)
show("%d bytes" % os.path.getsize(directory + "/mail/tester"))

step(4, "IMAP: tester reads it on port %d" % (base + 143))
imap = imaplib.IMAP4("127.0.0.1", base + 143, timeout=20)
imap.login("tester", "pass")
imap.select("INBOX")
found = imap.search(None, "SUBJECT", '"%s"' % subject)[1][0].split()
if len(found) != 1:
    print("the mail is not in the mailbox", file=sys.stderr)
    sys.exit(1)
show(imap.fetch(found[0], "(BODY.PEEK[])")[1][0][1].decode(errors="replace"))
imap.logout()
