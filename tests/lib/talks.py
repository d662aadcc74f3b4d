"""talks - conversations held with two servers (peer.py), read from *.talks files, and compared

The format is described in tests/oracle/smtpd/README.
"""

import difflib
import os
import re
import socket
import ssl
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dialog  # noqa: E402
from flow import fail  # noqa: E402

REPLY_WAIT = 20


class Group:
    def __init__(self, name):
        self.name = name
        self.main = []
        self.talks = []


class Talk:
    def __init__(self, name, source):
        self.name = name
        self.source = source
        self.differs = None
        self.log_differs = None
        self.settings = []
        self.lines = []


def read_talks(path):
    groups = []
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            word, _, rest = line.partition(" ")
            if line == "" or line.startswith("#"):
                continue
            if word == "group":
                groups.append(Group(rest))
            elif word == "main":
                groups[-1].main.append(rest)
            elif word == "talk":
                name, _, source = rest.partition(" @")
                groups[-1].talks.append(Talk(name, source or "127.0.0.9"))
            elif word == "with":
                groups[-1].talks[-1].settings.append(rest)
            elif word == "differs":
                groups[-1].talks[-1].differs = rest
            elif word == "log-differs":
                groups[-1].talks[-1].log_differs = rest
            elif line.startswith("\t"):
                groups[-1].talks[-1].lines.append(line[1:])
            else:
                raise SystemExit("%s:%d: not understood: %s" % (path, number, line))
    return groups


class Client:
    def __init__(self, port, source):
        self.sock = socket.create_connection(("127.0.0.1", port), REPLY_WAIT, (source, 0))
        self.sock.settimeout(REPLY_WAIT)
        self.buffer = b""
        self.open = True
        self.said = []
        self.pending = b""
        self.owed = 0
        self.replies(1)

    def line(self):
        while b"\n" not in self.buffer and self.open:
            try:
                data = self.sock.recv(65536)
            except (socket.timeout, TimeoutError):
                self.said.append("(no reply)")
                data = b""
            except OSError:
                data = b""
            self.open = data != b""
            self.buffer += data
        line, newline, self.buffer = self.buffer.partition(b"\n")
        if not newline:
            return None
        return line.decode("utf-8", "backslashreplace").rstrip("\r")

    def replies(self, count):
        for _ in range(count):
            while True:
                line = self.line()
                if line is None:
                    self.said.append("(closed)")
                    return
                self.said.append(line)
                if line[3:4] != "-":
                    break

    def send(self, data, replies):
        self.pending += data
        self.owed += replies
        self.flush()

    def flush(self):
        if self.open and self.pending:
            try:
                self.sock.sendall(self.pending)
            except OSError:
                pass
        self.pending = b""
        if self.open:
            self.replies(self.owed)
        self.owed = 0

    def tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            self.sock = context.wrap_socket(self.sock)
            self.said.append("(TLS)")
        except (OSError, ssl.SSLError):
            self.said.append("(no TLS)")
            self.open = False

    def step(self, line):
        kind, text = line[:1], line[1:]
        self.said.append("> " + line)
        text = re.sub(r"\{(\d+)\*(.)\}", lambda m: m.group(2) * int(m.group(1)), text)
        line = kind + text
        if kind == "+":         # a command that goes out together with the next step
            self.pending += dialog.unescape(text.strip()) + b"\r\n"
            self.owed += 1
        elif kind == ":":       # a line of message data
            self.pending += dialog.unescape(text[1:]) + b"\r\n"
        elif kind == "=":       # bytes as they are, and how many replies they get
            count, _, text = text.partition(" ")
            self.send(dialog.unescape(text), int(count))
        elif kind == "*":       # a command many times
            count, _, text = text.partition(" ")
            for _ in range(int(count)):
                self.send(dialog.unescape(text) + b"\r\n", 1)
        elif line == "(tls)":
            self.tls()
        else:
            self.send(dialog.unescape(line) + b"\r\n", 1)

    def finish(self):
        if self.open:
            self.said.append("--")
            self.send(b"QUIT\r\n", 1)
            while self.open:
                line = self.line()
                if line is not None:
                    self.said.append(line)
        self.sock.close()


def normal(line):
    """What is different by nature: queue ids."""
    line = re.sub(r"queued as \S+", "queued as ID", line)
    line = re.sub(r"\b[0-9A-F]{8,14}: (?=client=|reject|warning|hold|discard|redirect|prepend|bcc|info|warn|"
                  r"filter|milter|queue file|message-id|BDAT)", "ID: ", line)
    line = re.sub(r"^(postfix/smtpd: warning: )[0-9A-F]{8,14}: ", r"\1ID: ", line)
    return line


def replies(port, talk):
    client = Client(port, talk.source)
    for line in talk.lines:
        client.step(line)
    client.flush()
    client.finish()
    return [normal(line) for line in client.said]


def converse(server, talk):
    said = replies(server.port, talk)
    server.wait_log("disconnect from")
    log = [normal(line) for line in server.new_log() if line.startswith("postfix/smtpd: ")
           and "overriding earlier entry" not in line]
    return said, log


def show(left, right):
    """Where two lists differ, for a person: - Postfix, + ours."""
    lines = list(difflib.unified_diff(left, right, lineterm="", n=1))[2:]
    return "\n".join("    " + line[:300] for line in lines if not line.startswith("@@"))


def judge(name, what, left, right, reason):
    if reason is not None:
        if left == right:
            fail(name, "%s are the same, but a difference is explained: %s" % (what, reason))
        return left != right
    if left != right:
        fail(name, "%s differ" % what)
        print(show(left, right), flush=True)
    return left == right
